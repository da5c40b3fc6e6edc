"""Scores of predicted against observed soil moisture, with 95 % intervals.

Independent rows: r and spearman (Fisher z), r2_pearson (the square), ubrmse (chi-square, normal errors), bias and
slope (Student t) have analytic intervals, the rest bootstrap-t intervals. Rows in groups (stations over time, blocks
of pixels, blocks in time) are not independent: there every interval resamples whole groups. Errors are predicted -
observed; variances are those of the population (divided by n).

Sources of the definitions: Entekhabi et al. 2010, J. Hydrometeorol. 11, 832; Gupta et al. 2009, J. Hydrol. 377, 80;
Kling et al. 2012, J. Hydrol. 424, 264; and for r2 and mre as each says. Which method is used where was chosen by
coverage, see `benchmarks/coverage.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from zoo.errors import DataError, UnknownNameError
from zoo.scores.intervals import Array
from zoo.scores.moments import constant, metric_of, pair_sums, spearman_of
from zoo.scores.resampling import RESAMPLES, Resamples
from zoo.types import Score

__all__ = [
    "ALL_METRICS",
    "METRICS",
    "bias",
    "kge",
    "kge_2012",
    "mae",
    "mre",
    "mse",
    "mse_bias",
    "mse_correlation",
    "mse_variance",
    "p_value",
    "pearson_r",
    "r2",
    "r2_pearson",
    "rmse",
    "score_table",
    "slope",
    "spearman",
    "ubrmse",
]

METRICS = ("r", "r2", "r2_pearson", "rmse", "ubrmse", "bias", "mae", "mre")
"""The metrics of every score table, in the order in which they are told."""
ALL_METRICS = (
    "r",
    "p",
    "spearman",
    *METRICS[1:],
    "slope",
    "kge",
    "kge_2012",
    "mse",
    "mse_bias",
    "mse_variance",
    "mse_correlation",
)
"""All metrics, in that order; a validation has them all."""
_OF_ONE_PAIR = ("rmse", "mae", "mre", "bias", "mse", "mse_bias")
_NEED_SPREAD = ("r", "p", "spearman", "r2", "r2_pearson", "slope", "kge", "kge_2012")
_OF_CONSTANT = ("r2", "slope")
"""Of those, the ones that a constant prediction has."""


def pearson_r(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Pearson's correlation, cov(o, p) / (sd(o) sd(p)); None if n < 3 or either is constant."""
    return _point("r", observed, predicted)


def r2(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Coefficient of determination, 1 - SSE/SST, SST about the observed mean; None if n < 3 or SST is 0."""
    return _point("r2", observed, predicted)


def r2_pearson(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Square of Pearson's r, blind to bias and slope: the R2 of Cai et al. 2022; None as `pearson_r`."""
    return _point("r2_pearson", observed, predicted)


def rmse(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Root mean square error, sqrt(mean(e^2)), in the units of the input; None if there is no pair."""
    return _point("rmse", observed, predicted)


def ubrmse(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Unbiased RMSE, sqrt(rmse^2 - bias^2) = population standard deviation of e; None if n < 3."""
    return _point("ubrmse", observed, predicted)


def bias(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Mean error, mean(predicted - observed), positive where predicted too wet; None if there is no pair."""
    return _point("bias", observed, predicted)


def mae(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Mean absolute error, mean(|e|), in the units of the input; None if there is no pair."""
    return _point("mae", observed, predicted)


def mre(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Mean relative error, mean(|e| / |observed|) over pairs with observed != 0; None if there is none.

    Cai et al. 2022 do not state the denominator; here it is the reference.
    """
    return _point("mre", observed, predicted)


def spearman(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Spearman's rank correlation, Pearson's of the mid-ranks; None as `pearson_r`."""
    return _point("spearman", observed, predicted)


def slope(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Slope of the least-squares line of predicted on observed, cov(o, p) / var(o); None as `r2`."""
    return _point("slope", observed, predicted)


def kge(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Kling-Gupta efficiency of 2009, 1 - sqrt((r - 1)^2 + (sd(p)/sd(o) - 1)^2 + (mean(p)/mean(o) - 1)^2)."""
    return _point("kge", observed, predicted)


def kge_2012(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Kling-Gupta efficiency of 2012: `kge` with the ratio of sd/mean in place of that of the sd."""
    return _point("kge_2012", observed, predicted)


def mse(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Mean square error, mse_bias + mse_variance + mse_correlation; None if there is no pair."""
    return _point("mse", observed, predicted)


def mse_bias(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Part of the mean square error due to bias, (mean(p) - mean(o))^2 (Gupta et al. 2009)."""
    return _point("mse_bias", observed, predicted)


def mse_variance(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Part of the mean square error due to unequal spread, (sd(p) - sd(o))^2 (Gupta et al. 2009)."""
    return _point("mse_variance", observed, predicted)


def mse_correlation(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Part of the mean square error due to imperfect correlation, 2 sd(o) sd(p) (1 - r) (Gupta et al. 2009)."""
    return _point("mse_correlation", observed, predicted)


def p_value(r: float | None, n: int) -> float | None:
    """Two-sided p of Pearson's r under no correlation, Student t with n - 2 degrees; None if undefined.

    It holds for independent rows: do not ask for it where rows come in groups.
    """
    if r is None or n < 3:
        return None
    return float(special.betainc(n / 2 - 1, 0.5, max(0.0, 1 - r * r)))


def score_table(
    observed: npt.ArrayLike,
    predicted: npt.ArrayLike,
    *,
    estimator: str,
    reference: str,
    split: str,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
    metrics: Sequence[str] = METRICS,
    resamples: int = RESAMPLES,
) -> list[Score]:
    """Score one estimator.

    Parameters
    ----------
    observed, predicted : (n,), m3 m-3; pairs with a missing value are left out
    estimator, reference, split : labels of the scores, see `Score`
    groups : (n,), rows with one label hang together. From 5 groups on, intervals are bootstrap-t over
        resampled groups; with 2 to 4, delete-one-group jackknife with Student t; with 1 there are none
    seed : of the bootstrap
    metrics : which, in which order
    resamples : of the bootstrap

    Returns
    -------
    One `Score` a metric. What is undefined (fewer than 3 pairs, a constant) is None, never NaN. `n` counts
    the pairs that went into the figure: for `mre` those whose observed value is not 0. `p` is None in groups.

    Raises
    ------
    DataError
        If the arrays differ in length.
    UnknownNameError
        If a metric is not in `ALL_METRICS`.
    """
    for name in metrics:
        if name not in ALL_METRICS:
            kind = "metric"
            raise UnknownNameError(kind, name, ALL_METRICS)
    o, p, labels = _pairs(observed, predicted, groups)
    sample = Resamples.of(o, p, labels, seed, resamples)
    scores = []
    for name in metrics:
        value = None if name == "p" and labels is not None else _point(name, o, p)
        low, high = (None if value is None or name == "p" else sample.interval(name, value)) or (None, None)
        n = int(np.count_nonzero(o)) if name == "mre" else o.size
        scores.append(Score(estimator, name, value, n, low, high, reference, split))
    return scores


def _pairs(
    observed: npt.ArrayLike, predicted: npt.ArrayLike, groups: npt.ArrayLike | None
) -> tuple[Array, Array, npt.NDArray[np.intp] | None]:
    """Return flat float64 pairs without missing values, and group numbers."""
    o = np.asarray(observed, dtype=np.float64).ravel()
    p = np.asarray(predicted, dtype=np.float64).ravel()
    labels = None if groups is None else np.asarray(groups).ravel()
    if o.size != p.size or (labels is not None and labels.size != o.size):
        sizes = f"{o.size} observed, {p.size} predicted" + ("" if labels is None else f", {labels.size} groups")
        msg = f"Scores need arrays of one length; got {sizes}"
        raise DataError(msg)
    kept = np.isfinite(o) & np.isfinite(p)
    numbers = None if labels is None else np.unique(labels[kept], return_inverse=True)[1].ravel()
    return o[kept], p[kept], numbers


def _point(name: str, observed: npt.ArrayLike, predicted: npt.ArrayLike) -> float | None:
    """Compute one metric, or None where it is undefined."""
    o, p, _ = _pairs(observed, predicted, None)
    if o.size < (1 if name in _OF_ONE_PAIR else 3):
        return None
    if name in _NEED_SPREAD and (constant(o) or (name not in _OF_CONSTANT and constant(p))):
        return None
    if name == "spearman":
        value = spearman_of(o, p)
    elif name == "p":
        value = float("nan") if (p_ := p_value(_point("r", o, p), o.size)) is None else p_
    else:
        value = float(metric_of(name, pair_sums(o, p).sum(axis=0, keepdims=True))[0])
    return value if math.isfinite(value) else None
