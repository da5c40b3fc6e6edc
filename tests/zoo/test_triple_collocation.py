"""Triple collocation gives back the errors that were put in."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zoo.errors import DataError
from zoo.scores.triple_collocation import triple_collocation


def test_errors_scales_and_ratios_put_in_come_out() -> None:
    rng = np.random.default_rng(0)
    n, spread = 200_000, 0.06
    truth = rng.normal(0.25, spread, n)
    about = ((1.0, 0.02), (0.5, 0.015), (1.4, 0.05))
    three = [0.03 + scale * truth + rng.normal(0, error, n) for scale, error in about]
    found = triple_collocation(*three, names=("in situ", "map", "sensor"))
    for part, (scale, error) in zip(found, about, strict=True):
        signal = scale * spread
        assert part.snr_db == pytest.approx(20 * math.log10(signal / error), abs=0.1)
        assert part.error == pytest.approx(error, rel=0.02)
        assert part.beta == pytest.approx(1 / scale, rel=0.01)
        assert part.error_scaled == pytest.approx(error / scale, rel=0.02)
        assert part.r == pytest.approx(signal / math.hypot(signal, error), abs=0.005)
        assert part.snr_low < part.snr_db < part.snr_high
    assert [part.name for part in found] == ["in situ", "map", "sensor"]


def test_covariances_that_contradict_the_model_give_none() -> None:
    """One of three covariances is negative: no common signal makes that."""
    u, v = np.array([1.0, -1, 1, -1] * 50), np.array([1.0, 1, -1, -1] * 50)
    found = triple_collocation(u + v, u, v - 0.5 * u, resamples=50)
    assert found[0].snr_db is None
    assert (found[0].snr_low, found[0].r) == (None, None)
    constant = triple_collocation(u, v, np.ones(200), resamples=50)
    assert all(part.snr_db is None for part in constant)


def test_grouped_rows_have_wider_intervals() -> None:
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(30), 20)
    truth = rng.normal(0, 1, 30)[groups] + 0.1 * rng.normal(0, 1, 600)
    three = [truth + 0.5 * rng.normal(0, 1, 30)[groups] for _ in range(3)]
    alone, together = (triple_collocation(*three, groups=g)[0] for g in (None, groups))
    assert together.snr_db == pytest.approx(alone.snr_db)
    assert together.snr_db - together.snr_low > 2 * (alone.snr_db - alone.snr_low)
    assert together.snr_high is None or together.snr_high > alone.snr_high


def test_too_few_rows_and_unequal_lengths_are_errors() -> None:
    with pytest.raises(DataError, match="3 or more complete rows; got 2"):
        triple_collocation([1, 2, np.nan], [1, 2, 3], [2, 1, 3])
    with pytest.raises(DataError, match="one length; got 3, 3, 2"):
        triple_collocation([1, 2, 3], [1, 2, 3], [2, 1])
