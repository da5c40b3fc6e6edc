"""Two predictions of one sample: how far their scores differ, with an interval and a test.

Sources: Williams 1959, J. R. Stat. Soc. B 21, 396, as Steiger 1980, Psychol. Bull. 87, 245, recommends it (two
correlations with one variable in common); Pitman 1939, Biometrika 31, 9, and Morgan 1939, Biometrika 31, 13 (two
correlated variances); Good 2005, Permutation, Parametric and Bootstrap Tests of Hypotheses (signs of differences).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from zoo.errors import DataError
from zoo.scores import intervals
from zoo.scores.metrics import ALL_METRICS, score_table
from zoo.scores.moments import metric_of, pair_sums, spearman_of, unit_sums
from zoo.scores.resampling import LARGEST_FOR_RANKS, RESAMPLES, bootstrap_p, draw, interval_of, units_of

__all__ = ["Difference", "paired_differences", "pitman_morgan", "williams"]

Array = npt.NDArray[np.float64]

FLIPS = 10_000
"""Permutations of a test."""
_LIKE_RMSE = ("rmse", "mse", "r2")
"""Equal exactly where the mean square errors are: on one sample the spread of the observed is the same."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How a metric of A differs from that of B on one sample.

    Attributes
    ----------
    metric : as in `zoo.scores.metrics`
    a, b : the two figures
    difference : a - b; None where one is undefined
    ci_low, ci_high : its 95 % interval
    p : two-sided p of no difference; None where there is no test
    test : which
    n, units : pairs, and what is resampled (rows or groups)
    """

    metric: str
    a: float | None
    b: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    test: str
    n: int
    units: int


def paired_differences(
    observed: npt.ArrayLike,
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
    metrics: Sequence[str] = ALL_METRICS,
    resamples: int = RESAMPLES,
) -> list[Difference]:
    """Compare two predictions on the rows where both and the reference have a value.

    Parameters
    ----------
    observed, a, b : (n,), m3 m-3
    groups : (n,), rows with one label hang together: intervals and tests then take whole groups
    seed, resamples : of the bootstrap and the permutations
    metrics : which; `p` is passed over

    Returns
    -------
    One `Difference` a metric. Intervals are bootstrap-t over pairs (a row keeps both its predictions). Tests:
    Williams for r of independent rows, Pitman-Morgan for ubrmse of independent rows, swapping A and B at random
    (by row or by group) for rmse, mse, r2, mae, mre and bias, bootstrap-t for the others.

    Raises
    ------
    DataError
        If the arrays differ in length.
    """
    values = [np.asarray(part, dtype=np.float64).ravel() for part in (observed, a, b)]
    labels = None if groups is None else np.asarray(groups).ravel()
    if len({part.size for part in (*values, *(() if labels is None else (labels,)))}) > 1:
        msg = f"A comparison needs arrays of one length; got {', '.join(str(part.size) for part in values)}"
        raise DataError(msg)
    kept = np.isfinite(values).all(axis=0)
    numbers = None if labels is None else np.unique(labels[kept], return_inverse=True)[1].ravel()
    o, one, other = (part[kept] for part in values)
    sample = _Paired.of(o, one, other, numbers, seed, resamples)
    return [sample.difference(name) for name in metrics if name != "p"]


def williams(r_a: float, r_b: float, r_ab: float, n: int) -> float | None:
    """Two-sided p of two correlations with one variable in common being equal.

    Parameters
    ----------
    r_a, r_b : correlations of A and of B with the reference
    r_ab : of A with B
    n : sample size; below 4, or with A equal to B, there is no test
    """
    if n < 4 or r_ab >= 1:
        return None
    determinant = 1 - r_a**2 - r_b**2 - r_ab**2 + 2 * r_a * r_b * r_ab
    spread = 2 * (n - 1) / (n - 3) * determinant + ((r_a + r_b) / 2) ** 2 * (1 - r_ab) ** 3
    if spread <= 0:
        return None
    t = (r_a - r_b) * math.sqrt((n - 1) * (1 + r_ab) / spread)
    return _student_p(t, n - 3)


def pitman_morgan(errors_a: Array, errors_b: Array) -> float | None:
    """Two-sided p of two correlated variances being equal: the sum and the difference do not correlate."""
    n = errors_a.size
    sums, differences = errors_a + errors_b, errors_a - errors_b
    if n < 3 or np.ptp(sums) == 0 or np.ptp(differences) == 0:
        return None
    r = float(np.corrcoef(sums, differences)[0, 1])
    return _student_p(r * math.sqrt((n - 2) / max(1 - r * r, 1e-300)), n - 2)


@lru_cache(maxsize=2)
def _signs(units: int, seed: int) -> Array:
    """Draw which units are swapped, (FLIPS, units) of -1 and 1."""
    swapped = np.random.default_rng([seed, units]).integers(0, 2, size=(FLIPS, units), dtype=np.int8)
    return np.asarray(swapped * 2.0 - 1.0, dtype=np.float64)


def _student_p(t: float, degrees: int) -> float:
    return float(2 * special.stdtr(degrees, -abs(t)))


@dataclass(frozen=True, slots=True)
class _Paired:
    """One sample of pairs (observed, a, b); `sums` are those of A and of B side by side, by unit."""

    o: Array
    a: Array
    b: Array
    units: npt.NDArray[np.intp]
    sums: Array
    independent: bool
    weights: Array | None
    seed: int

    @classmethod
    def of(
        cls, o: Array, a: Array, b: Array, labels: npt.NDArray[np.intp] | None, seed: int, resamples: int
    ) -> _Paired:
        units = units_of(o.size, labels, np.random.default_rng(seed))
        sums = np.hstack([unit_sums(pair_sums(o, part), units) for part in (a, b)])
        return cls(o, a, b, units, sums, labels is None, draw(len(sums), resamples, seed), seed)

    def difference(self, name: str) -> Difference:
        labels = {"estimator": "", "reference": "", "split": "", "metrics": (name,), "resamples": 1}
        figures = [score_table(self.o, part, **labels)[0].value for part in (self.a, self.b)]  # type: ignore[arg-type]
        about = {"n": self.o.size, "units": self.o.size if self.independent else len(self.sums)}
        one, other = figures
        if one is None or other is None:
            return Difference(name, one, other, None, None, None, None, "none", **about)
        low, high = self._interval(name) or (None, None)
        p, test = self._test(name)
        return Difference(name, one, other, one - other, low, high, p, test, **about)

    def _metric(self, name: str, sums: Array) -> Array:
        one, other = np.hsplit(sums, 2)
        return metric_of(name, one) - metric_of(name, other)

    def _interval(self, name: str) -> intervals.Interval:
        if name == "spearman":
            return self._ranked()[0]
        return interval_of(self.sums, self.weights, lambda sums: self._metric(name, sums))

    def _ranked(self) -> tuple[intervals.Interval, float | None]:
        """Jackknife over units: interval and p of the difference of rank correlations."""
        pooled = self.units % min(len(self.sums), LARGEST_FOR_RANKS)
        count = int(pooled.max()) + 1
        weights = [(pooled != unit).astype(np.float64) for unit in range(count)]
        left_out = np.array([spearman_of(self.o, self.a, w) - spearman_of(self.o, self.b, w) for w in weights])
        value = spearman_of(self.o, self.a) - spearman_of(self.o, self.b)
        found = intervals.jackknife_t(value, left_out, -2.0, 2.0)
        if found is None or np.ptp(left_out) == 0:
            return found, None
        error = math.sqrt((count - 1) / count * float(np.sum((left_out - left_out.mean()) ** 2)))
        return found, _student_p(value / error, count - 1)

    def _test(self, name: str) -> tuple[float | None, str]:
        if name == "spearman":
            return self._ranked()[1], "jackknife-t"
        if self.independent and name in ("r", "r2_pearson"):
            return self._williams(), "Williams"
        if self.independent and name == "ubrmse":
            return pitman_morgan(self.a - self.o, self.b - self.o), "Pitman-Morgan"
        if name in (*_LIKE_RMSE, "mae", "mre", "bias"):
            return self._swapped(name), "permutation"
        return bootstrap_p(self.sums, self.weights, lambda sums: self._metric(name, sums)), "bootstrap-t"

    def _williams(self) -> float | None:
        r_a, r_b, r_ab = (
            float(np.corrcoef(*pair)[0, 1]) for pair in ((self.o, self.a), (self.o, self.b), (self.a, self.b))
        )
        return williams(r_a, r_b, r_ab, self.o.size)

    def _swapped(self, name: str) -> float:
        """Compare the sum of differences with what swapping A and B unit by unit gives."""
        by_unit = np.bincount(self.units, weights=self._losses(name, self.a) - self._losses(name, self.b))
        reached = np.abs(_signs(by_unit.size, self.seed) @ by_unit) >= abs(by_unit.sum()) * (1 - 1e-12)
        return float((1 + reached.sum()) / (1 + FLIPS))

    def _losses(self, name: str, predicted: Array) -> Array:
        errors = predicted - self.o
        if name in _LIKE_RMSE:
            return np.asarray(errors**2)
        if name == "mre":
            return np.divide(np.abs(errors), np.abs(self.o), out=np.zeros_like(errors), where=self.o != 0)
        return np.asarray(np.abs(errors) if name == "mae" else errors)
