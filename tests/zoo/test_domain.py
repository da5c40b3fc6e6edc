"""Errors inside and outside of a model's domain, on rows whose errors are known."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.registry.schema import DomainRecord
from zoo.scores.domain import domain_errors


def simulated(ratio: float, groups: int = 40, rows: int = 50, seed: int = 0):
    """Normal errors of 0.05 m3 m-3 inside, and `ratio` times that in the tenth of the rows that is outside."""
    rng = np.random.default_rng(seed)
    outside = rng.random(groups * rows) < 0.1
    error = rng.normal(0, 0.05, outside.size) * np.where(outside, ratio, 1)
    return error, outside, np.repeat(np.arange(groups), rows)


def test_root_mean_squares_are_those_of_the_two_parts():
    error, outside, groups = simulated(2)
    found = domain_errors(error, outside, groups)
    assert (found.n, found.outside, found.groups) == (2000, outside.sum(), len(set(groups[outside])))
    assert found.rmse_outside == pytest.approx(np.sqrt(np.mean(error[outside] ** 2)))
    assert found.rmse_inside == pytest.approx(np.sqrt(np.mean(error[~outside] ** 2)))
    assert found.difference == pytest.approx(found.rmse_outside - found.rmse_inside)
    assert found.ci_low is not None
    assert 0 < found.ci_low < found.difference < found.ci_high


def test_the_interval_holds_the_true_difference_as_often_as_it_says():
    held = 0
    for seed in range(100):
        found = domain_errors(*simulated(1.5, groups=30, rows=30, seed=seed), resamples=400)
        held += found.ci_low <= 0.025 <= found.ci_high
    assert 88 <= held <= 100


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [(2.0, "errors were larger there"), (0.5, "it did not tell where errors are large")],
)
def test_a_record_says_whether_the_domain_told_of_errors(ratio, verdict):
    error, outside, groups = simulated(ratio)
    assert _record(domain_errors(error, outside, groups)).verdict == verdict


def test_without_rows_out_of_domain_nothing_is_claimed():
    error, outside, groups = simulated(1)
    found = domain_errors(error, outside & False, groups)
    assert (found.outside, found.groups, found.rmse_outside, found.difference) == (0, 0, None, None)
    assert "not known" in _record(found).verdict


def test_rows_without_an_error_are_left_out():
    error, outside, groups = simulated(2)
    error[::2] = np.nan
    kept = np.isfinite(error)
    assert domain_errors(error, outside, groups) == domain_errors(error[kept], outside[kept], groups[kept])


def test_rows_out_of_domain_in_few_groups_give_no_interval():
    error, outside, groups = simulated(2)
    found = domain_errors(error, outside & (groups < 4), groups)
    assert (found.groups, found.ci_low, found.ci_high) == (4, None, None)
    assert _record(found).verdict == "errors were larger there, not clearly"


def test_too_few_groups_for_an_interval_still_give_the_figures():
    found = domain_errors([0.1, 0.2], [True, False], [0, 0])
    assert (found.rmse_outside, found.rmse_inside) == (pytest.approx(0.1), pytest.approx(0.2))
    assert _record(found).verdict == "it did not tell where errors are large"


def _record(found):
    return DomainRecord(**{name: getattr(found, name) for name in DomainRecord.model_fields})
