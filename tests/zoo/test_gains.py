"""Gains of downscaling: worked by hand from their definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from zoo.errors import DataError
from zoo.scores.gains import GAINS, downscaling_gains

LABELS = {"estimator": "rf", "reference": "stations", "split": "independent"}


def gains(o: np.ndarray, fine: np.ndarray, coarse: np.ndarray, **options: object) -> dict[str, float | None]:
    return {score.metric: score.value for score in downscaling_gains(o, fine, coarse, **LABELS, **options)}


def sample(n: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    o = rng.uniform(0.05, 0.4, n)
    return o, 0.05 + 0.9 * o + rng.normal(0, 0.02, n), 0.14 + 0.3 * o + rng.normal(0, 0.03, n)


def test_lines_without_noise_have_known_gains() -> None:
    """Slopes .75 and .5, correlations 1, offsets chosen for biases of .01 and -.03 at a mean of .2."""
    o = np.array([0.1, 0.2, 0.3])
    found = gains(o, 0.75 * (o - 0.2) + 0.21, 0.5 * (o - 0.2) + 0.17 + np.array([0.03, -0.06, 0.03]))
    r = np.corrcoef(o, 0.5 * (o - 0.2) + np.array([0.03, -0.06, 0.03]))[0, 1]
    assert found["g_effi"] == pytest.approx((0.5 - 0.25) / (0.5 + 0.25))
    assert found["g_accu"] == pytest.approx((0.03 - 0.01) / (0.03 + 0.01))
    assert r < 0.9
    assert found["g_prec"] == pytest.approx(1), "the fine map lies on a line, the coarse one does not"
    assert found["g_down"] == pytest.approx((1 / 3 + 1 / 2 + 1) / 3)


def test_parts_follow_from_slope_correlation_and_bias() -> None:
    o, fine, coarse = sample()
    found = gains(o, fine, coarse)
    high, low = stats.linregress(o, fine), stats.linregress(o, coarse)

    def gain(far: float, near: float) -> float:
        return (abs(far) - abs(near)) / (abs(far) + abs(near))

    parts = [
        gain(1 - low.slope, 1 - high.slope),
        gain(1 - low.rvalue, 1 - high.rvalue),
        gain(np.mean(coarse - o), np.mean(fine - o)),
    ]
    assert [found[name] for name in GAINS] == pytest.approx([np.mean(parts), *parts])


def test_exchanging_fine_and_coarse_changes_the_sign_and_nothing_else() -> None:
    o, fine, coarse = sample()
    one, other = gains(o, fine, coarse), gains(o, coarse, fine)
    assert [one[name] for name in GAINS] == pytest.approx([-other[name] for name in GAINS])
    assert all(-1 <= value <= 1 for value in one.values())


def test_rows_that_lack_one_of_the_three_are_left_out() -> None:
    o, fine, coarse = sample()
    holes = coarse.copy()
    holes[::4] = np.nan
    kept = np.isfinite(holes)
    scores = downscaling_gains(o, fine, holes, **LABELS)
    assert scores == downscaling_gains(o[kept], fine[kept], coarse[kept], **LABELS)
    assert {score.n for score in scores} == {30}
    few = downscaling_gains(o[:2], fine[:2], coarse[:2], **LABELS)
    assert all(score.value is None and score.ci_low is None for score in few)
    with pytest.raises(DataError, match="one length; got 40, 40, 39"):
        downscaling_gains(o, fine, coarse[1:], **LABELS)
