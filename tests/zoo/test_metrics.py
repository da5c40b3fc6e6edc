"""Scores and intervals against closed forms, scipy, scikit-learn and simulated coverage."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from zoo.errors import DataError, UnknownNameError
from zoo.scores import intervals, metrics
from zoo.scores.metrics import ALL_METRICS, METRICS, score_table
from zoo.scores.moments import metric_of, pair_sums, spearman_of
from zoo.scores.resampling import time_blocks
from zoo.types import Score

LABELS = {"estimator": "rf", "reference": "stations", "split": "independent"}


def by_metric(scores: list[Score]) -> dict[str, Score]:
    return {score.metric: score for score in scores}


def pair(n: int, seed: int = 0, noise: float = 0.04) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    observed = rng.uniform(0.05, 0.4, n)
    return observed, 0.7 * observed + 0.08 + rng.normal(0, noise, n)


def test_values_equal_hand_computed_ones() -> None:
    observed, predicted = [0.1, 0.2, 0.4], [0.2, 0.2, 0.3]
    assert metrics.bias(observed, predicted) == pytest.approx(0.0)
    assert metrics.rmse(observed, predicted) == pytest.approx(math.sqrt(0.02 / 3))
    assert metrics.mae(observed, predicted) == pytest.approx(0.2 / 3)
    assert metrics.mre(observed, predicted) == pytest.approx((1 + 0 + 0.25) / 3)
    assert metrics.pearson_r(observed, predicted) == pytest.approx(5 / math.sqrt(28))
    assert metrics.r2_pearson(observed, predicted) == pytest.approx(25 / 28)
    assert metrics.r2(observed, predicted) == pytest.approx(1 - 0.02 / (0.14 / 3))


def test_bias_is_predicted_minus_observed_and_leaves_ubrmse() -> None:
    observed, predicted = pair(50)
    assert metrics.bias(observed, observed + 0.03) == pytest.approx(0.03)
    assert metrics.ubrmse(observed, observed + 0.03) == pytest.approx(0, abs=1e-12)
    assert metrics.ubrmse(observed, predicted) == pytest.approx(np.std(predicted - observed))


def test_r_p_and_interval_equal_scipy() -> None:
    observed, predicted = pair(34)
    score = by_metric(score_table(observed, predicted, **LABELS))["r"]
    known = stats.pearsonr(observed, predicted)
    low, high = known.confidence_interval(0.95)
    assert (score.value, score.ci_low, score.ci_high) == pytest.approx((known.statistic, low, high), abs=1e-12)
    assert metrics.p_value(score.value, 34) == pytest.approx(known.pvalue, rel=1e-9)


def test_the_interval_of_the_paper_s_correlation() -> None:
    """AUDIT: R = .7253 and .6939 at n = 34 have 95 % intervals [.51, .85] and [.47, .84]."""
    for r, expected in ((0.7253, (0.51, 0.85)), (0.6939, (0.47, 0.84))):
        x, y = _with_correlation(r, 34)
        score = by_metric(score_table(x, y, **LABELS))["r"]
        assert (score.ci_low, score.ci_high) == pytest.approx(expected, abs=0.006)


def _with_correlation(r: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=n)
    e = rng.normal(size=n)
    x -= x.mean()
    e -= e.mean()
    e -= x * (e @ x) / (x @ x)
    return x, r * x / np.linalg.norm(x) + math.sqrt(1 - r * r) * e / np.linalg.norm(e)


def test_r2_and_errors_equal_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    observed, predicted = pair(200, seed=3)
    assert metrics.r2(observed, predicted) == pytest.approx(sklearn.r2_score(observed, predicted))
    assert metrics.rmse(observed, predicted) == pytest.approx(sklearn.root_mean_squared_error(observed, predicted))
    assert metrics.mae(observed, predicted) == pytest.approx(sklearn.mean_absolute_error(observed, predicted))
    relative = sklearn.mean_absolute_percentage_error(observed, predicted)
    assert metrics.mre(observed, predicted) == pytest.approx(relative)


def test_bias_interval_equals_the_paired_t_test() -> None:
    observed, predicted = pair(34)
    score = by_metric(score_table(observed, predicted, **LABELS))["bias"]
    known = stats.ttest_rel(predicted, observed).confidence_interval(0.95)
    assert (score.ci_low, score.ci_high) == pytest.approx((known.low, known.high))


def test_ubrmse_interval_is_the_chi_square_one() -> None:
    observed, predicted = pair(34)
    score = by_metric(score_table(observed, predicted, **LABELS))["ubrmse"]
    squares = np.sum((predicted - observed - np.mean(predicted - observed)) ** 2)
    ends = [math.sqrt(squares / stats.chi2.ppf(q, 33)) for q in (0.975, 0.025)]
    assert [score.ci_low, score.ci_high] == pytest.approx(ends)


def test_r2_pearson_interval_is_the_image_of_that_of_r() -> None:
    for predicted_sign, seed in ((1, 0), (-1, 0), (0, 4)):
        observed, predicted = pair(20, seed=seed)
        if predicted_sign == 0:
            predicted = np.random.default_rng(9).normal(size=20)
        scores = by_metric(score_table(observed, predicted_sign * predicted if predicted_sign else predicted, **LABELS))
        r, squared = scores["r"], scores["r2_pearson"]
        reached = np.linspace(r.ci_low, r.ci_high, 2001) ** 2
        assert (squared.ci_low, squared.ci_high) == pytest.approx((reached.min(), reached.max()), abs=1e-4)


FUNCTIONS = {
    "r2": lambda o, p, axis=-1: 1 - ((p - o) ** 2).sum(axis) / ((o - o.mean(axis, keepdims=True)) ** 2).sum(axis),
    "rmse": lambda o, p, axis=-1: np.sqrt(((p - o) ** 2).mean(axis)),
    "mae": lambda o, p, axis=-1: np.abs(p - o).mean(axis),
    "mre": lambda o, p, axis=-1: (np.abs(p - o) / o).mean(axis),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bca_agrees_with_scipy_s(name: str) -> None:
    observed, predicted = pair(60, seed=5)
    sums = pair_sums(observed, predicted)
    weights = np.random.default_rng(0).multinomial(60, np.full(60, 1 / 60), size=4000).astype(float)
    low, high = intervals.bca(
        FUNCTIONS[name](observed, predicted), metric_of(name, weights @ sums), metric_of(name, sums.sum(axis=0) - sums)
    )
    known = stats.bootstrap(
        (observed, predicted), FUNCTIONS[name], paired=True, n_resamples=9999, method="BCa", rng=1
    ).confidence_interval
    width = known.high - known.low
    assert low == pytest.approx(known.low, abs=0.1 * width)
    assert high == pytest.approx(known.high, abs=0.1 * width)


@pytest.mark.parametrize(("name", "power", "root"), [("rmse", 2, 2), ("mae", 1, 1)])
def test_bootstrap_t_agrees_with_one_written_out(name: str, power: int, root: int) -> None:
    """Resample by resample: the mean of |e|^power on a log scale, its standard error by the delta method."""
    observed, predicted = pair(40, seed=5)
    score = by_metric(score_table(observed, predicted, **LABELS))[name]
    sizes = np.abs(predicted - observed) ** power
    rng = np.random.default_rng(8)

    def estimate(values: np.ndarray) -> tuple[float, float]:
        return math.log(values.mean()), values.std(ddof=1) / math.sqrt(values.size) / values.mean()

    middle, error = estimate(sizes)
    t = [(m - middle) / e for m, e in (estimate(rng.choice(sizes, sizes.size)) for _ in range(4000))]
    ends = [math.exp((middle - quantile * error) / root) for quantile in np.quantile(t, [0.975, 0.025])]
    width = ends[1] - ends[0]
    assert [score.ci_low, score.ci_high] == pytest.approx(ends, abs=0.1 * width)


def test_many_rows_pooled_give_the_interval_of_all_rows() -> None:
    """Beyond 2,000 rows the bootstrap pools at random: compare with the normal approximation of the mean."""
    observed, predicted = pair(30_000)
    score = by_metric(score_table(observed, predicted, **LABELS))["mae"]
    absolute = np.abs(predicted - observed)
    half = 1.96 * absolute.std() / math.sqrt(absolute.size)
    assert score.ci_high - score.ci_low == pytest.approx(2 * half, rel=0.1)


def test_kge_equals_closed_forms() -> None:
    """A shift changes the means alone; doubling changes means and spread, and not their ratio."""
    observed = np.arange(1, 11)
    assert metrics.kge(observed, observed + 1) == pytest.approx(1 - 1 / 5.5)
    assert metrics.kge_2012(observed, observed + 1) == pytest.approx(1 - math.hypot(1 / 5.5, 5.5 / 6.5 - 1))
    assert metrics.kge(observed, 2 * observed) == pytest.approx(1 - math.sqrt(2))
    assert metrics.kge_2012(observed, 2 * observed) == pytest.approx(0)
    assert metrics.kge(observed, observed[::-1]) == pytest.approx(-1)
    assert metrics.kge(observed - 5.5, observed) is None


def test_slope_and_its_interval_equal_a_least_squares_fit() -> None:
    observed, predicted = pair(34)
    score = by_metric(score_table(observed, predicted, **LABELS, metrics=("slope",)))["slope"]
    known = stats.linregress(observed, predicted)
    half = stats.t.ppf(0.975, 32) * known.stderr
    assert (score.value, score.ci_low, score.ci_high) == pytest.approx(
        (known.slope, known.slope - half, known.slope + half)
    )


def test_spearman_equals_scipy_s_with_ties_and_ignores_any_growing_map() -> None:
    observed, predicted = (np.round(values, 2) for values in pair(60))
    assert metrics.spearman(observed, predicted) == pytest.approx(stats.spearmanr(observed, predicted).statistic)
    assert metrics.spearman(observed, np.exp(9 * predicted)) == pytest.approx(metrics.spearman(observed, predicted))
    weights = np.random.default_rng(0).integers(0, 4, 60)
    repeated = stats.spearmanr(np.repeat(observed, weights), np.repeat(predicted, weights)).statistic
    assert spearman_of(observed, predicted, weights.astype(float)) == pytest.approx(repeated)


def test_the_parts_of_the_mean_square_error_sum_to_it() -> None:
    observed, predicted = pair(50)
    parts = [f(observed, predicted) for f in (metrics.mse_bias, metrics.mse_variance, metrics.mse_correlation)]
    assert sum(parts) == pytest.approx(metrics.mse(observed, predicted), rel=1e-12)
    assert metrics.mse(observed, predicted) == pytest.approx(metrics.rmse(observed, predicted) ** 2)
    shifted = observed + 0.02
    assert metrics.mse_bias(observed, shifted) == pytest.approx(0.0004)
    assert metrics.mse_variance(observed, shifted) == pytest.approx(0, abs=1e-15)
    assert metrics.mse_correlation(observed, shifted) == pytest.approx(0, abs=1e-15)


def test_p_is_a_metric_of_independent_rows_only() -> None:
    observed, predicted = pair(34)
    (score,) = score_table(observed, predicted, **LABELS, metrics=("p",))
    assert score.value == pytest.approx(stats.pearsonr(observed, predicted).pvalue)
    assert (score.ci_low, score.ci_high) == (None, None)
    (grouped,) = score_table(observed, predicted, **LABELS, metrics=("p",), groups=np.arange(34) // 4)
    assert grouped.value is None


def test_every_metric_has_an_interval_around_its_value_in_rows_and_in_groups() -> None:
    observed, predicted = pair(60)
    for groups in (None, np.arange(60) // 6, np.arange(60) // 20):
        for score in score_table(observed, predicted, **LABELS, metrics=ALL_METRICS, groups=groups):
            if score.metric != "p":
                assert score.ci_low <= score.value <= score.ci_high, (score, groups)


def test_the_interval_of_a_median_is_that_of_the_sign_test() -> None:
    """Conover 1999, table A3: of 28 values the 9th smallest and the 9th largest; of 5 no two suffice."""
    values = np.random.default_rng(0).permutation(np.arange(1.0, 29.0))
    assert intervals.median(values) == (9.0, 20.0)
    assert intervals.median(np.arange(6.0)) == (0.0, 5.0)
    assert intervals.median(np.arange(5.0)) is None


def test_blocks_in_time_grow_with_autocorrelation_and_keep_neighbours_together() -> None:
    rng = np.random.default_rng(1)
    days = pd.Series(pd.date_range("2019-01-01", periods=400, tz="UTC"))
    white = rng.normal(size=400)
    slow = np.convolve(rng.normal(size=430), np.ones(31), "valid")
    few, many = (np.unique(time_blocks(days, np.zeros(400), errors)).size for errors in (slow, white))
    assert many > 200
    assert 8 <= few < 20
    blocks = time_blocks(days, np.zeros(400), slow)
    assert (np.diff(blocks) >= 0).all()
    shuffled = rng.permutation(400)
    assert (time_blocks(days[shuffled], np.zeros(400), slow[shuffled]) == blocks[shuffled]).all()


def test_rows_of_one_group_do_not_count_as_independent() -> None:
    """Each row repeated 50 times carries no news: the grouped interval stays that of the rows themselves."""
    observed, predicted = pair(40)
    single = by_metric(score_table(observed, predicted, **LABELS))
    groups = np.repeat(np.arange(40), 50)
    copied = np.repeat(observed, 50), np.repeat(predicted, 50)
    naive = by_metric(score_table(*copied, **LABELS))
    grouped = by_metric(score_table(*copied, **LABELS, groups=groups))
    for name in METRICS:
        width = single[name].ci_high - single[name].ci_low
        assert grouped[name].ci_high - grouped[name].ci_low == pytest.approx(width, rel=0.35)
        assert naive[name].ci_high - naive[name].ci_low < 0.4 * width


def test_two_to_four_groups_use_the_jackknife_and_one_has_no_interval() -> None:
    rng = np.random.default_rng(2)
    groups = np.repeat([0, 1, 2, 3], 25)
    offsets = np.array([0.01, 0.03, -0.02, 0.04])
    observed = rng.uniform(0.1, 0.3, 100)
    score = by_metric(score_table(observed, observed + offsets[groups], **LABELS, groups=groups))["bias"]
    known = stats.ttest_1samp(offsets, 0).confidence_interval(0.95)
    assert (score.ci_low, score.ci_high) == pytest.approx((known.low, known.high))
    alone = score_table(observed, observed + offsets[groups], **LABELS, groups=np.zeros(100))
    assert all(score.ci_low is None and score.value is not None for score in alone)


def test_undefined_figures_are_none_and_json_takes_them() -> None:
    cases = {
        "none": ([], []),
        "one": ([0.2], [0.3]),
        "two": ([0.2, 0.3], [0.3, 0.1]),
        "constant observed": ([0.2] * 6, [0.1, 0.2, 0.3, 0.2, 0.1, 0.3]),
        "constant predicted": ([0.1, 0.2, 0.3, 0.2, 0.1, 0.3], [0.2] * 6),
        "all missing": ([np.nan] * 5, [0.2] * 5),
        "observed zero": ([0.0] * 5, [0.1, 0.2, 0.3, 0.2, 0.1]),
        "perfect": ([0.1, 0.2, 0.3, 0.2], [0.1, 0.2, 0.3, 0.2]),
    }
    for groups in (None, 1):
        for name, (observed, predicted) in cases.items():
            labels = None if groups is None else np.arange(len(observed))
            scores = score_table(observed, predicted, **LABELS, groups=labels)
            text = json.dumps([asdict(score) for score in scores], allow_nan=False)
            assert "NaN" not in text, name
    constant = by_metric(score_table(*cases["constant predicted"], **LABELS))
    assert constant["r"].value is None
    assert constant["r2"].value is not None
    assert by_metric(score_table(*cases["one"], **LABELS))["rmse"].value == pytest.approx(0.1)
    assert by_metric(score_table(*cases["two"], **LABELS))["r"].value is None
    assert by_metric(score_table(*cases["observed zero"], **LABELS))["mre"].value is None
    assert by_metric(score_table(*cases["perfect"], **LABELS))["r"].value == pytest.approx(1)


def test_missing_pairs_are_left_out_and_n_says_so() -> None:
    observed, predicted = pair(30)
    holes = observed.copy()
    holes[::5] = np.nan
    kept = np.isfinite(holes)
    full = score_table(observed[kept], predicted[kept], **LABELS)
    assert score_table(holes, predicted, **LABELS) == full
    assert full[0].n == 24


def test_mre_counts_only_observed_values_other_than_zero() -> None:
    score = by_metric(score_table([0.0, 0.1, 0.2, 0.4], [0.1, 0.2, 0.2, 0.2], **LABELS))["mre"]
    assert (score.n, score.value) == (3, pytest.approx(0.5))


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 40), st.integers(0, 1000), st.floats(-5, 5), st.floats(0.1, 10))
def test_correlation_ignores_shift_and_scale_and_errors_decompose(
    n: int, seed: int, shift: float, scale: float
) -> None:
    observed, predicted = pair(n, seed=seed)
    assert metrics.pearson_r(observed, scale * predicted + shift) == pytest.approx(
        metrics.pearson_r(observed, predicted), abs=1e-9
    )
    moved = predicted + shift
    total, centred, mean = (f(observed, moved) for f in (metrics.rmse, metrics.ubrmse, metrics.bias))
    assert total == pytest.approx(math.hypot(centred, mean), rel=1e-9)


def test_same_seed_same_intervals() -> None:
    observed, predicted = pair(50)
    assert score_table(observed, predicted, **LABELS, seed=4) == score_table(observed, predicted, **LABELS, seed=4)
    assert score_table(observed, predicted, **LABELS, seed=4) != score_table(observed, predicted, **LABELS, seed=5)


def test_forty_thousand_rows_in_ten_groups_take_under_two_seconds() -> None:
    observed, predicted = pair(40_000)
    groups = np.repeat([f"region-{i}" for i in range(10)], 4000)
    start = time.perf_counter()
    score_table(observed, predicted, **LABELS, groups=groups)
    assert time.perf_counter() - start < 2


def test_unequal_lengths_and_unknown_metrics_are_errors() -> None:
    with pytest.raises(DataError, match="one length; got 3 observed, 2 predicted"):
        score_table([1, 2, 3], [1, 2], **LABELS)
    with pytest.raises(UnknownNameError, match="Did you mean 'rmse'"):
        score_table([1, 2, 3], [1, 2, 3], **LABELS, metrics=("rmsd",))
