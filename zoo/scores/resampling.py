"""Units of a sample that hang together, how often resamples hold them, and intervals from both.

Sources: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 12 (bootstrap-t on a scale that
stabilises the variance); Davison & Hinkley 1997, chapter 2.7 (variance from empirical influence values); Carlstein
1986, Ann. Stat. 14, 1171 (length of blocks in time, AR(1)).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from zoo.scores import intervals
from zoo.scores.intervals import Array, Interval
from zoo.scores.moments import SCALES, Scale, metric_of, pair_sums, spearman_of, unit_sums

__all__ = [
    "FEWEST_UNITS",
    "RESAMPLES",
    "Resamples",
    "block_median",
    "bootstrap_p",
    "draw",
    "interval_of",
    "time_blocks",
    "units_of",
]

Metric = Callable[[Array], Array]
PLAIN: Scale = (lambda x: x, lambda x: x)

RESAMPLES = 2000
LARGEST_SAMPLE = 1000
"""Units that are resampled; more of them are pooled at random into so many, which stay independent."""
LARGEST_FOR_RANKS = 100
"""The same for Spearman's correlation, whose ranks are made anew without each unit."""
FEWEST_UNITS = 5
"""Units from which on resampling them says something."""
_STEP = 1e-5
"""Step of the numeric derivative, relative to the largest sum."""
_RANGES = {
    "r": (-1.0, 1.0),
    "r2": (-math.inf, 1.0),
    "kge": (-math.inf, 1.0),
    "kge_2012": (-math.inf, 1.0),
    "bias": (-math.inf, math.inf),
    "slope": (-math.inf, math.inf),
    "sd_difference": (-math.inf, math.inf),
}


def units_of(size: int, labels: npt.NDArray[np.intp] | None, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return the unit of each row: rows themselves, or groups, pooled at random if there are too many."""
    if labels is None:
        pooled: npt.NDArray[np.intp] = rng.permutation(size) % LARGEST_SAMPLE
        return pooled
    count = int(labels.max()) + 1 if labels.size else 0
    return labels if count <= LARGEST_SAMPLE else (rng.permutation(count) % LARGEST_SAMPLE)[labels]


@lru_cache(maxsize=8)
def draw(units: int, resamples: int, seed: int) -> Array | None:
    """Say how often each resample holds each unit, (resamples, units); None with too few units."""
    if units < FEWEST_UNITS:
        return None
    rng = np.random.default_rng([seed, units])
    return rng.multinomial(units, np.full(units, 1 / units), size=resamples).astype(np.float64)


def interval_of(
    sums: Array,
    weights: Array | None,
    metric: Metric,
    scale: Scale = PLAIN,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Bootstrap-t interval of a function of sums, or BCa where t is undefined, or jackknife with few units.

    Parameters
    ----------
    sums : (units, c), what each unit adds
    weights : (b, units) from `draw`
    metric : sums (m, c) -> (m,)
    scale : growing map to the scale on which t is taken, and the way back
    limits : lowest and highest value that the figure can have
    """
    with np.errstate(all="ignore"):
        left_out = metric(sums.sum(axis=0) - sums)
        value = float(metric(sums.sum(axis=0, keepdims=True))[0])
    if weights is None:
        return intervals.jackknife_t(value, left_out, *limits)
    found = _studentised(sums, weights, metric, scale)
    if found is None:
        with np.errstate(all="ignore"):
            return intervals.bca(value, metric(weights @ sums), left_out)
    return max(found[0], limits[0]), min(found[1], limits[1])


def bootstrap_p(sums: Array, weights: Array | None, metric: Metric) -> float | None:
    """Two-sided p of a figure being 0, by bootstrap-t; None if t is undefined."""
    if weights is None:
        return None
    value, error, t = _t_values(sums, weights, metric)
    if t is None:
        return None
    return float((1 + np.sum(np.abs(t) >= abs(value / error))) / (1 + t.size))


def _studentised(sums: Array, weights: Array, metric: Metric, scale: Scale) -> Interval:
    forward, back = scale
    value, error, t = _t_values(sums, weights, lambda some: forward(metric(some)))
    if t is None:
        return None
    with np.errstate(all="ignore"):
        ends = back(value - np.quantile(t, intervals.TAILS)[::-1] * error)
    return (float(ends[0]), float(ends[1])) if np.isfinite(ends).all() else None


def _t_values(sums: Array, weights: Array, metric: Metric) -> tuple[float, float, Array | None]:
    """Return the figure, its standard error, and t of each resample; no t if it is undefined too often."""
    total = np.vstack([sums.sum(axis=0), weights @ sums])
    with np.errstate(all="ignore"):
        values = metric(total)
        influence = _gradient(metric, total) @ sums.T
        often = np.vstack([np.ones(len(sums)), weights])
        error = np.sqrt((often * influence**2).sum(axis=1) * len(sums) / (len(sums) - 1))
        t = (values[1:] - values[0]) / error[1:]
    t = t[np.isfinite(t)]
    defined = t.size >= len(weights) / 2 and np.isfinite(values[0]) and np.isfinite(error[0]) and error[0] > 0
    return float(values[0]), float(error[0]), t if defined else None


def _gradient(function: Metric, sums: Array) -> Array:
    """Numeric derivative of a function of sums, (m, c)."""
    steps = np.diag(_STEP * np.maximum(np.abs(sums).max(axis=0), 1e-9))
    slopes = np.zeros(sums.shape)
    used = function(sums[:1] + 100 * steps) != function(sums[:1])
    for column in np.flatnonzero(used):
        step = steps[column]
        slopes[:, column] = (function(sums + step) - function(sums - step)) / (2 * step[column])
    return slopes


@dataclass(slots=True)
class Resamples:
    """Pairs of one sample by unit, from which every metric of every resample follows.

    Attributes
    ----------
    observed, predicted : (n,)
    units : (n,), number of the unit that a pair belongs to
    sums : (units, c), see `zoo.scores.moments`
    independent : whether a unit is a row, so that analytic intervals hold
    weights : (resamples, units), how often each resample holds each unit; None with too few units
    """

    observed: Array
    predicted: Array
    units: npt.NDArray[np.intp]
    sums: Array
    independent: bool
    weights: Array | None

    @classmethod
    def of(
        cls, o: Array, p: Array, labels: npt.NDArray[np.intp] | None, seed: int, resamples: int = RESAMPLES
    ) -> Resamples:
        """Draw resamples of rows, or of the groups that `labels` (0, 1, ...) name."""
        units = units_of(o.size, labels, np.random.default_rng(seed))
        sums = unit_sums(pair_sums(o, p), units)
        return cls(o, p, units, sums, labels is None, draw(len(sums), resamples, seed))

    def interval(self, name: str, value: float) -> Interval:
        """Return the interval of a metric whose value is given."""
        match name:
            case "r2_pearson":
                return intervals.squared(self.interval("r", self._whole("r")))
            case "mse":
                return intervals.squared(self.interval("rmse", self._whole("rmse")))
            case "mse_bias":
                return intervals.squared(self.interval("bias", self._whole("bias")))
            case "mse_variance":
                return intervals.squared(self.interval("sd_difference", self._whole("sd_difference")))
            case "spearman":
                return self._ranked(value)
        if self.independent and name in ("r", "ubrmse", "bias", "slope"):
            return self._analytic(name, value)
        return self._resampled(name)

    def _whole(self, name: str) -> float:
        return float(metric_of(name, self.sums.sum(axis=0, keepdims=True))[0])

    def _analytic(self, name: str, value: float) -> Interval:
        n = self.observed.size
        match name:
            case "r":
                return intervals.fisher(value, n)
            case "ubrmse":
                return intervals.chi_square(value, n)
            case "bias":
                return intervals.student(value, self._whole("ubrmse"), n)
            case _:
                return intervals.slope(value, self._whole("r"), n)

    def _resampled(self, name: str) -> Interval:
        limits = _RANGES.get(name, (0.0, math.inf))
        return interval_of(self.sums, self.weights, lambda sums: metric_of(name, sums), SCALES[name], limits)

    def _ranked(self, value: float) -> Interval:
        """Interval of Spearman's correlation: analytic, or jackknife over units on Fisher's scale."""
        if self.independent:
            return intervals.spearman(value, self.observed.size)
        count = min(len(self.sums), LARGEST_FOR_RANKS)
        pooled = self.units % count
        left_out = np.array(
            [spearman_of(self.observed, self.predicted, (pooled != unit).astype(np.float64)) for unit in range(count)]
        )
        if count < 2 or not np.isfinite(left_out).all() or abs(value) >= 1 or (abs(left_out) >= 1).any():
            return None
        ends = intervals.jackknife_t(math.atanh(value), np.arctanh(left_out), -math.inf, math.inf)
        return None if ends is None else (math.tanh(ends[0]), math.tanh(ends[1]))


def time_blocks(time: pd.Series | pd.DatetimeIndex, o: npt.ArrayLike, p: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Cut a series into blocks of consecutive times that hardly depend on one another.

    Their length is (sqrt(6) a / (1 - a^2))^(2/3) n^(1/3) steps (Carlstein 1986), a the lag-1 autocorrelation of the
    errors or of the products of observed and predicted anomalies, whichever is larger; at least one step, and at
    most so long that 8 blocks remain.

    Parameters
    ----------
    time : (n,) times of one station, any order
    o, p : (n,), observed and predicted

    Returns
    -------
    (n,) number of the block of each row.
    """
    stamps = pd.DatetimeIndex(pd.to_datetime(time, utc=True)).as_unit("s").asi8
    order = np.argsort(stamps, kind="stable")
    steps = np.diff(stamps[order])
    step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0
    near = steps <= 1.5 * step
    observed, predicted = (np.asarray(values, np.float64)[order] for values in (o, p))
    a = max(_lag_one(predicted - observed, near), _lag_one(observed, near) * _lag_one(predicted, near), 0.0)
    a = min(a, 0.99)
    length = max(1.0, (math.sqrt(6) * a / (1 - a * a)) ** (2 / 3) * stamps.size ** (1 / 3))
    span = (stamps - stamps.min()) / step + 1
    length = min(length, max(1.0, float(span.max()) / 8))
    return np.asarray(span // length, dtype=np.int64)


def block_median(time: pd.DatetimeIndex, values: Array, seed: int) -> Interval:
    """Percentile interval of the median of a series, whose blocks in time are resampled; None with too few."""
    blocks = time_blocks(time, np.zeros(values.size), values)
    numbers = np.unique(blocks, return_inverse=True)[1].ravel()
    weights = draw(int(numbers.max()) + 1, RESAMPLES, seed)
    if weights is None:
        return None
    order = np.argsort(values)
    often = np.cumsum(weights[:, numbers[order]], axis=1)
    middle = np.argmax(often >= often[:, -1:] / 2, axis=1)
    low, high = np.quantile(values[order][middle], intervals.TAILS)
    return float(low), float(high)


def _lag_one(values: Array, near: npt.NDArray[np.bool_]) -> float:
    """Lag-1 autocorrelation over neighbours in time; 0 where there are too few."""
    about = values - values.mean()
    square = float(np.mean(about**2))
    if near.sum() < 3 or square <= 0:
        return 0.0
    return float(np.mean(about[1:][near] * about[:-1][near])) / square
