"""Intervals on simulated groups whose truth is known: coverage of new groups, width, score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from zoo.errors import IntegrityError
from zoo.learning.conformal import calibrate, group_quantile, interval_score, shifted
from zoo.learning.interval import Interval


def simulated(groups: int, rows: int = 60, seed: int = 0):
    """Answers with errors that differ from group to group, and grow with the dissimilarity and with wetness."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(groups), rows)
    X = rng.normal(size=(len(label), 3))
    index, answers = rng.gamma(2, 0.1, len(label)), rng.uniform(0.08, 0.45, len(label))
    spread = 0.02 * np.exp(2.5 * index) * (answers + 0.03) / 0.25
    error = rng.normal(size=groups)[label] * 0.6 + rng.normal(size=len(label)) * 0.8
    return X, answers + spread * error, answers, index, label, spread


def covered(interval, X, y, answers, index):
    lower, upper = interval.ends(X, answers, index, (-9, 9))
    return (lower <= y) & (y <= upper)


def test_new_groups_are_covered_as_often_as_promised():
    *known, _ = simulated(40)
    *new, _ = simulated(400, seed=1)
    X, y, answers, index, _ = new
    interval = calibrate(*known, clip=(-9, 9))
    assert interval.groups == 40
    assert covered(interval, X, y, answers, index).mean() == pytest.approx(0.9, abs=0.03)


def test_with_few_groups_it_does_not_fall_short_on_average():
    """The plain quantile of the pooled rows covers .875 of new groups' rows here."""
    rng = np.random.default_rng(0)
    shares, plain = [], []
    for _ in range(400):
        level = rng.normal(size=8)
        label = np.repeat(np.arange(8), 25)
        scores = np.abs(level[label] + 0.5 * rng.normal(size=200))
        bound = group_quantile(scores, label, 0.9)
        shares.append(_normal_share(bound))
        plain.append(_normal_share(np.quantile(scores, 0.9)))
    assert np.mean(plain) < 0.885
    assert 0.885 < np.mean(shares) < 0.95


def _normal_share(bound: float) -> float:
    spread = np.sqrt(1 + 0.25)
    return float(norm.cdf(bound / spread) - norm.cdf(-bound / spread))


def test_widths_follow_the_error_and_beat_a_constant_width():
    *known, _ = simulated(40)
    X, y, answers, index, _, spread = simulated(400, seed=1)
    adaptive, constant = (calibrate(*known, clip=(-9, 9), adaptive=adaptive) for adaptive in (True, False))
    widths = sum(adaptive.parts(X, answers, index))
    assert np.corrcoef(np.log(widths), np.log(spread))[0, 1] > 0.97
    below, above = constant.parts(X, answers, index)
    np.testing.assert_allclose(below, below[0])
    np.testing.assert_allclose(below, above)
    assert covered(constant, X, y, answers, index).mean() == pytest.approx(0.9, abs=0.03)
    scores = [interval_score(y, *one.ends(X, answers, index, (-9, 9))).mean() for one in (adaptive, constant)]
    assert scores[0] < 0.9 * scores[1]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_end_is_farther_where_errors_lean_to(sign):
    """Errors of 0.05 (e - 1), e exponential: 5 and 95 % of them lie below -.047 and .100 m3 m-3."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 50)
    X, index, answers = rng.normal(size=(3000, 2)), rng.gamma(2, 0.1, 3000), rng.uniform(0.1, 0.4, 3000)
    known, new = (answers + sign * 0.05 * (rng.exponential(size=3000) - 1) for _ in range(2))
    leaning, equal = (calibrate(X, known, answers, index, groups, clip=(-9, 9), adaptive=how) for how in (True, False))
    short, long = (part.mean() for part in leaning.parts(X, answers, index)[::sign])
    assert 0.04 < short < 0.055 < 0.07 < long < 0.11
    assert covered(leaning, X, new, answers, index).mean() == pytest.approx(0.9, abs=0.02)
    scores = [interval_score(new, *one.ends(X, answers, index, (-9, 9))).mean() for one in (leaning, equal)]
    assert scores[0] < 0.95 * scores[1]


def test_dry_answers_may_be_too_dry_and_wet_ones_too_wet():
    """Soil moisture that is uniform between 0 and .5, whatever the answer."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 50)
    X, index, answers = rng.normal(size=(3000, 2)), np.zeros(3000), rng.uniform(0.05, 0.45, 3000)
    found = calibrate(X, rng.uniform(0, 0.5, 3000), answers, index, groups)
    below, above = found.parts(X[:2] * 0, [0.08, 0.42], [0, 0])
    assert below[0] < above[0] / 2
    assert above[1] < below[1] / 2


def test_a_width_never_shrinks_with_dissimilarity_and_grows_no_further_than_the_cap():
    X, y, answers, index, groups, _ = simulated(30)
    shrinking = answers + (y - answers) * np.exp(-8 * index)
    interval = calibrate(X, shrinking, answers, index, groups)
    assert interval.dissimilarity[0] >= 0
    capped = calibrate(X, y, answers, index, groups, cap=0.3)
    widths = sum(capped.parts(X[:3] * 0, answers[:3] * 0 + 0.2, [0.1, 0.3, 5.0]))
    assert widths[0] < widths[1] == pytest.approx(widths[2])


def test_sizes_of_groups_do_not_count_but_groups_do():
    rng = np.random.default_rng(0)
    small, large = rng.uniform(0, 1, (400, 5)), rng.uniform(0, 1, 20_000)
    scores = np.concatenate([small.ravel(), 10 + large])
    groups = np.concatenate([np.repeat(np.arange(400), 5), np.full(20_000, 400)])
    assert group_quantile(scores, groups, 0.9) < 1 < np.quantile(scores, 0.9)


def test_single_rows_give_the_plain_quantile_and_one_group_its_own():
    scores = np.random.default_rng(0).permutation(1000) + 1.0
    assert group_quantile(scores, np.arange(1000), 0.9) == 900
    assert group_quantile(scores, np.zeros(1000), 0.9) == 900


@settings(max_examples=25, deadline=None)
@given(groups=st.integers(1, 6), rows=st.integers(1, 8), seed=st.integers(0, 99))
def test_any_small_sample_gives_finite_intervals_around_the_answer(groups, rows, seed):
    X, y, answers, index, label, _ = simulated(groups, rows, seed)
    interval = calibrate(X, y, answers, index, label)
    lower, upper = interval.ends(X * 1e6, answers, index * 1e6, (0, 1))
    assert np.isfinite(lower).all()
    assert (lower <= answers).all()
    assert (upper >= answers).all()
    assert (lower >= 0).all()
    assert (upper <= 1).all()


def test_a_model_without_error_gives_narrow_intervals():
    X, _, answers, index, groups, _ = simulated(5)
    interval = calibrate(X, answers, answers, index, groups)
    for part in interval.parts(X, answers, index):
        assert 0 <= part.max() < 1e-3


def test_the_interval_score_is_least_for_the_true_quantiles():
    y = np.random.default_rng(0).normal(size=200_000)
    ends = norm.ppf([0.05, 0.95])
    best = interval_score(y, *ends).mean()
    # width + 2 / .1 * E max(y - u, 0) * 2, with E max(y - u, 0) = phi(u) - .05 u
    assert best == pytest.approx(2 * ends[1] + 40 * (norm.pdf(ends[1]) - 0.05 * ends[1]), rel=0.01)
    for scale in (0.8, 1.25):
        assert interval_score(y, *(scale * ends)).mean() > best


def test_an_interval_moves_with_its_map_within_the_limits():
    before, after = np.array([0.2, 0.2, np.nan]), np.array([0.25, 0.02, np.nan])
    lower, upper = shifted(np.array([0.1, 0.1, np.nan]), np.array([0.3, 0.3, np.nan]), before, after, (0, 1))
    np.testing.assert_allclose(lower, [0.15, 0.0, np.nan])
    np.testing.assert_allclose(upper, [0.35, 0.12, np.nan])


def test_arrays_come_back_and_damaged_ones_are_refused():
    X, y, answers, index, groups, _ = simulated(10)
    interval = calibrate(X, y, answers, index, groups)
    again = Interval.from_arrays(interval.arrays())
    np.testing.assert_array_equal(again.parts(X, answers, index), interval.parts(X, answers, index))
    arrays = interval.arrays()
    before = Interval.from_arrays({name: array for name, array in arrays.items() if not name.startswith("lean")})
    np.testing.assert_allclose(*before.parts(X, answers, index))
    for damaged in (
        {name: array for name, array in arrays.items() if name != "limits"},
        {**arrays, "reach": arrays["reach"][:1]},
        {**arrays, "factor": np.array([np.inf])},
    ):
        with pytest.raises(IntegrityError, match="train anew"):
            Interval.from_arrays(damaged)
