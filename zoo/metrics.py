"""Scores of predicted against observed soil moisture, with 95 % intervals.

Independent rows: r (Fisher z), r2_pearson (its square), ubrmse (chi-square, normal errors) and bias (Student
t) have analytic intervals, the rest BCa bootstrap intervals. Rows in groups (stations over time, blocks of
pixels) are not independent: there every interval resamples whole groups. Errors are predicted - observed.

Source of the definitions: Entekhabi et al. 2010, J. Hydrometeorol. 11, 832, and for r2 and mre as each says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from zoo import intervals
from zoo.errors import DataError, UnknownNameError
from zoo.intervals import Array, Interval
from zoo.types import Score

__all__ = [
    "METRICS",
    "bias",
    "mae",
    "mre",
    "p_value",
    "pearson_r",
    "r2",
    "r2_pearson",
    "rmse",
    "score_table",
    "ubrmse",
]

METRICS = ("r", "r2", "r2_pearson", "rmse", "ubrmse", "bias", "mae", "mre")
"""All metrics, in the order in which they are told."""
RESAMPLES = 2000
LARGEST_SAMPLE = 2000
"""Units that are resampled; more independent rows are pooled at random into so many."""
FEWEST_GROUPS = 5
"""Groups from which on resampling them says something."""
_RANGES = {
    "r": (-1.0, 1.0),
    "r2": (-math.inf, 1.0),
    "r2_pearson": (0.0, 1.0),
    "bias": (-math.inf, math.inf),
}


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
) -> list[Score]:
    """Score one estimator.

    Parameters
    ----------
    observed, predicted : (n,), m3 m-3; pairs with a missing value are left out
    estimator, reference, split : labels of the scores, see `Score`
    groups : (n,), rows with one label hang together. From 5 groups on, intervals are BCa over resampled
        groups; with 2 to 4, delete-one-group jackknife with Student t; with 1 there are none
    seed : of the bootstrap
    metrics : which, in which order

    Returns
    -------
    One `Score` a metric. What is undefined (fewer than 3 pairs, a constant) is None, never NaN. `n` counts
    the pairs that went into the figure: for `mre` those whose observed value is not 0.

    Raises
    ------
    DataError
        If the arrays differ in length.
    UnknownNameError
        If a metric is not in `METRICS`.
    """
    for name in metrics:
        if name not in METRICS:
            kind = "metric"
            raise UnknownNameError(kind, name, METRICS)
    o, p, labels = _pairs(observed, predicted, groups)
    sample = _Sample.of(o, p, labels, np.random.default_rng(seed))
    scores = []
    for name in metrics:
        value = _point(name, o, p)
        low, high = (None if value is None else sample.interval(name, value, o.size)) or (None, None)
        n = int(np.count_nonzero(o)) if name == "mre" else o.size
        scores.append(Score(estimator, name, value, n, low, high, reference, split))
    return scores


@dataclass(slots=True)
class _Sample:
    """Sums over units, from which every metric of every resample follows.

    Attributes
    ----------
    sums : (units, 12), see `_sums`; a unit is a row or a group
    independent : whether a unit is a row, so that analytic intervals hold
    weights : (resamples, units), how often each resample holds each unit; None with too few units
    """

    sums: Array
    independent: bool
    weights: Array | None

    @classmethod
    def of(cls, o: Array, p: Array, labels: npt.NDArray[np.intp] | None, rng: np.random.Generator) -> _Sample:
        """Pool rows into units and draw resamples; pooled at random, rows stay independent."""
        units = rng.permutation(o.size) % LARGEST_SAMPLE if labels is None else labels
        sums = _by_unit(_sums(o, p), units)
        size = len(sums)
        weights = None
        if size >= (3 if labels is None else FEWEST_GROUPS):
            weights = rng.multinomial(size, np.full(size, 1 / size), size=RESAMPLES).astype(np.float64)
        return cls(sums, labels is None, weights)

    def interval(self, name: str, value: float, n: int) -> Interval:
        """Return the interval of a metric whose value is given."""
        if self.independent and name in ("r", "r2_pearson", "ubrmse", "bias"):
            return self._analytic(name, value, n)
        left_out = _from_sums(name, self.sums.sum(axis=0) - self.sums)
        if self.weights is not None:
            return intervals.bca(value, _from_sums(name, self.weights @ self.sums), left_out)
        return None if self.independent else intervals.jackknife_t(value, left_out, *_RANGES.get(name, (0.0, math.inf)))

    def _analytic(self, name: str, value: float, n: int) -> Interval:
        total = self.sums.sum(axis=0, keepdims=True)
        match name:
            case "r":
                return intervals.fisher(value, n)
            case "r2_pearson":
                return intervals.squared(intervals.fisher(float(_from_sums("r", total)[0]), n))
            case "ubrmse":
                return intervals.chi_square(value, n)
            case _:
                return intervals.student(value, float(_from_sums("ubrmse", total)[0]), n)


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
    if o.size < (3 if name in ("r", "r2", "r2_pearson", "ubrmse") else 1):
        return None
    if name in ("r", "r2", "r2_pearson") and _constant(o):
        return None
    if name in ("r", "r2_pearson") and _constant(p):
        return None
    value = float(_from_sums(name, _sums(o, p).sum(axis=0, keepdims=True))[0])
    return value if math.isfinite(value) else None


def _constant(values: Array) -> bool:
    """Whether values differ by no more than rounding does."""
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())


def _sums(o: Array, p: Array) -> Array:
    """Per row, what the metrics sum up, (n, 12).

    Columns: 1, o', o'^2, p', p'^2, o'p', e, e', e'^2, |e|, |e/o|, o != 0. A dash takes the mean off, which
    changes no metric and keeps differences of sums exact.
    """
    if o.size == 0:
        return np.zeros((0, 12))
    e = p - o
    do, dp, de = o - o.mean(), p - p.mean(), e - e.mean()
    relative = np.divide(np.abs(e), np.abs(o), out=np.zeros_like(o), where=o != 0)
    columns = (np.ones_like(o), do, do**2, dp, dp**2, do * dp, e, de, de**2, np.abs(e), relative, o != 0)
    return np.column_stack(columns).astype(np.float64)


def _by_unit(rows: Array, units: npt.NDArray[np.intp]) -> Array:
    """Sum rows (n, c) over units, (number of units, c)."""
    if len(rows) == 0:
        return rows
    return np.stack([np.bincount(units, weights=column) for column in rows.T], axis=1)


def _from_sums(name: str, sums: Array) -> Array:
    """Compute a metric from sums (m, 12), shape (m,); NaN where undefined."""
    n, o, oo, p, pp, op, e, d, dd, absolute, relative, nonzero = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        if name in ("r", "r2_pearson"):
            r = np.clip((op - o * p / n) / np.sqrt(_spread(n, o, oo) * _spread(n, p, pp)), -1, 1)
            result = r if name == "r" else r**2
        elif name in ("r2", "rmse", "ubrmse"):
            scatter = np.maximum(dd - d**2 / n, 0)
            squares = scatter + e**2 / n
            result = {
                "r2": lambda: 1 - squares / _spread(n, o, oo),
                "rmse": lambda: np.sqrt(squares / n),
                "ubrmse": lambda: np.sqrt(scatter / n),
            }[name]()
        else:
            result = {"bias": e / n, "mae": absolute / n, "mre": relative / nonzero}[name]
    return np.asarray(result, dtype=np.float64)


def _spread(n: Array, total: Array, squares: Array) -> Array:
    """Sum of squares about the mean; NaN where it is nothing but rounding."""
    spread = squares - total**2 / n
    return np.where(spread > 1e-12 * squares, spread, np.nan)
