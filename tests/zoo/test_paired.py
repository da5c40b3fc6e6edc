"""Paired comparison against closed forms, published values and the null hypothesis."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from zoo.errors import DataError
from zoo.scores import metrics
from zoo.scores.paired import Difference, paired_differences, pitman_morgan, williams


def sample(n: int = 34, seed: int = 0, noises: tuple[float, float] = (0.02, 0.05)) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    o = rng.uniform(0.05, 0.4, n)
    common = rng.normal(0, 0.02, n)
    return o, *(o + common + rng.normal(0, noise, n) for noise in noises)


def by_metric(found: list[Difference]) -> dict[str, Difference]:
    return {difference.metric: difference for difference in found}


def test_williams_equals_a_published_value() -> None:
    """Steiger 1980, case A, as in the examples of the R package psych: t = -0.89 at n = 103."""
    p = williams(0.4, 0.5, 0.1, 103)
    assert stats.t.isf(p / 2, 100) == pytest.approx(0.89, abs=0.005)


@pytest.mark.parametrize("test", ["williams", "pitman-morgan"])
def test_analytic_tests_reject_one_time_in_twenty_when_nothing_differs(test: str) -> None:
    rng = np.random.default_rng(4)
    rejected = 0
    for _ in range(1500):
        o, a, b = (rng.normal(size=34) for _ in range(3))
        a, b = o + a, o + b
        if test == "williams":
            r = np.corrcoef([o, a, b])
            rejected += williams(r[0, 1], r[0, 2], r[1, 2], 34) < 0.05
        else:
            rejected += pitman_morgan(a - o, b - o) < 0.05
    assert 0.035 < rejected / 1500 < 0.065


def test_the_other_tests_keep_their_level_too() -> None:
    """60 samples whose A and B are drawn alike: at 5 % about 3 reject, 10 or more one time in 1,000."""
    rejected = dict.fromkeys(("rmse", "mae", "bias", "slope", "spearman"), 0)
    for seed in range(60):
        found = paired_differences(
            *sample(seed=seed, noises=(0.04, 0.04)), seed=seed % 4, metrics=tuple(rejected), resamples=200
        )
        for difference in found:
            rejected[difference.metric] += difference.p < 0.05
    assert max(rejected.values()) < 10, rejected


def test_a_large_difference_is_found_and_has_the_sign_of_a_minus_b() -> None:
    o, a, b = sample(noises=(0.01, 0.08))
    found = by_metric(paired_differences(o, a, b))
    for name in ("rmse", "ubrmse", "mae", "mse"):
        assert found[name].difference < 0
        assert found[name].ci_high < 0
        assert found[name].p < 0.01
    assert found["r"].difference == pytest.approx(metrics.pearson_r(o, a) - metrics.pearson_r(o, b))
    assert found["r"].ci_low > 0
    assert (found["r"].test, found["ubrmse"].test, found["rmse"].test) == ("Williams", "Pitman-Morgan", "permutation")
    assert "p" not in found


def test_the_difference_in_bias_agrees_with_the_paired_t_test() -> None:
    o, a, b = sample(60)
    difference = by_metric(paired_differences(o, a, b))["bias"]
    known = stats.ttest_rel(a, b)
    low, high = known.confidence_interval(0.95)
    assert difference.difference == pytest.approx(np.mean(a - b))
    assert difference.p == pytest.approx(known.pvalue, abs=0.03)
    assert (difference.ci_low, difference.ci_high) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_swapping_predictions_changes_signs_only() -> None:
    o, a, b = sample()
    one, other = (
        by_metric(paired_differences(o, *two, metrics=("r", "rmse", "mae", "kge"))) for two in ((a, b), (b, a))
    )
    for name, difference in one.items():
        assert difference.difference == pytest.approx(-other[name].difference)
        assert difference.ci_low == pytest.approx(-other[name].ci_high, abs=1e-6)
        assert difference.p == pytest.approx(other[name].p, abs=1e-9)


def test_equal_predictions_do_not_differ() -> None:
    o, a, _ = sample()
    for difference in paired_differences(o, a, a):
        assert difference.difference == 0
        assert difference.p is None or difference.p == 1


def test_copies_of_rows_in_groups_bring_no_certainty() -> None:
    o, a, b = sample()
    groups = np.repeat(np.arange(34), 8)
    copied = [np.repeat(part, 8) for part in (o, a, b)]
    names = {"metrics": ("rmse", "r")}
    single = by_metric(paired_differences(o, a, b, **names))["rmse"]
    naive = by_metric(paired_differences(*copied, **names))["rmse"]
    grouped = by_metric(paired_differences(*copied, groups=groups, **names))["rmse"]
    width = single.ci_high - single.ci_low
    assert grouped.ci_high - grouped.ci_low == pytest.approx(width, rel=0.15)
    assert naive.ci_high - naive.ci_low < 0.45 * width
    assert grouped.p == pytest.approx(single.p, abs=0.01)
    assert (grouped.n, grouped.units) == (272, 34)
    assert by_metric(paired_differences(*copied, groups=groups, **names))["r"].test == "bootstrap-t"


def test_rows_that_lack_a_prediction_are_left_out_and_undefined_figures_are_none() -> None:
    o, a, b = sample()
    holes = b.copy()
    holes[:4] = np.nan
    names = {"metrics": ("r", "mae", "kge")}
    assert paired_differences(o, a, holes, **names) == paired_differences(o[4:], a[4:], b[4:], **names)
    flat = by_metric(paired_differences(o, a, np.full(34, 0.2), **names))["r"]
    assert (flat.b, flat.difference, flat.p, flat.test) == (None, None, None, "none")
    with pytest.raises(DataError, match="one length; got 34, 34, 33"):
        paired_differences(o, a, b[1:])
