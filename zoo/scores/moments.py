"""Metrics as functions of sums over pairs, so that thousands of resamples cost one matrix product.

Sources: Entekhabi et al. 2010, J. Hydrometeorol. 11, 832 (errors); Gupta et al. 2009, J. Hydrol. 377, 80 (KGE and
the parts of the mean square error); Kling et al. 2012, J. Hydrol. 424, 264 (KGE with the ratio of the coefficients
of variation).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["NAMES", "SCALES", "Scale", "constant", "metric_of", "pair_sums", "spearman_of", "unit_sums"]

Array = npt.NDArray[np.float64]

COLUMNS = 14


def pair_sums(o: Array, p: Array) -> Array:
    """Per pair, what the metrics sum up, (n, 14).

    Columns: 1, o', o'^2, p', p'^2, o'p', e, e', e'^2, |e|, |e/o|, o != 0, o, p, with e = p - o. A dash takes the
    mean off, which keeps differences of sums exact.
    """
    if o.size == 0:
        return np.zeros((0, COLUMNS))
    e = p - o
    do, dp, de = o - o.mean(), p - p.mean(), e - e.mean()
    relative = np.divide(np.abs(e), np.abs(o), out=np.zeros_like(o), where=o != 0)
    columns = (np.ones_like(o), do, do**2, dp, dp**2, do * dp, e, de, de**2, np.abs(e), relative, o != 0, o, p)
    return np.column_stack(columns).astype(np.float64)


def unit_sums(rows: Array, units: npt.NDArray[np.intp]) -> Array:
    """Sum rows (n, c) over units, (number of units, c)."""
    if len(rows) == 0:
        return rows
    return np.stack([np.bincount(units, weights=column) for column in rows.T], axis=1)


def metric_of(name: str, sums: Array) -> Array:
    """Compute a metric from sums (m, 14), shape (m,); NaN where undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(_METRICS[name](_Moments(sums)), dtype=np.float64)


def constant(values: Array) -> bool:
    """Whether values differ by no more than rounding does."""
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())


def spearman_of(o: Array, p: Array, weights: Array | None = None) -> float:
    """Pearson's correlation of mid-ranks; a weight says how often a pair counts. NaN where undefined."""
    w = np.ones_like(o) if weights is None else weights
    a, b = _ranks(o, w), _ranks(p, w)
    da, db = a - np.average(a, weights=w), b - np.average(b, weights=w)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.sum(w * da * db) / np.sqrt(np.sum(w * da**2) * np.sum(w * db**2)))


def _ranks(values: Array, weights: Array) -> Array:
    _, place = np.unique(values, return_inverse=True)
    tied = np.bincount(place, weights=weights)
    ranks: Array = (np.cumsum(tied) - tied / 2)[place]
    return ranks


class _Moments:
    """Means, population variances and errors from sums (m, 14), each (m,), worked out as they are asked for."""

    def __init__(self, sums: Array) -> None:
        self.columns = sums.T

    def mean(self, column: int) -> Array:
        return np.asarray(self.columns[column] / self.columns[0])

    @property
    def bias(self) -> Array:
        return self.mean(6)

    @property
    def mre(self) -> Array:
        return np.asarray(self.columns[10] / self.columns[11])

    @property
    def var_o(self) -> Array:
        return _variance(self.columns[0], self.columns[1], self.columns[2])

    @property
    def var_p(self) -> Array:
        return _variance(self.columns[0], self.columns[3], self.columns[4])

    @property
    def covariance(self) -> Array:
        return self.mean(5) - self.mean(1) * self.mean(3)

    @property
    def var_e(self) -> Array:
        return np.maximum(self.mean(8) - self.mean(7) ** 2, 0)

    @property
    def sd_o(self) -> Array:
        return np.asarray(np.sqrt(self.var_o))

    @property
    def sd_p(self) -> Array:
        return np.asarray(np.sqrt(self.var_p))

    @property
    def r(self) -> Array:
        return np.asarray(np.clip(self.covariance / np.sqrt(self.var_o * self.var_p), -1, 1))

    @property
    def mse(self) -> Array:
        return np.asarray(self.var_e + self.bias**2)

    def kge(self, spread: Array) -> Array:
        wetness = self.mean(13) / self.mean(12)
        return np.asarray(1 - np.sqrt((self.r - 1) ** 2 + (spread - 1) ** 2 + (wetness - 1) ** 2))


def _variance(n: Array, total: Array, squares: Array) -> Array:
    """Return the population variance; NaN where it is nothing but rounding."""
    about = squares - total**2 / n
    return np.where(about > 1e-12 * squares, about, np.nan) / n


_METRICS: dict[str, Callable[[_Moments], Array]] = {
    "r": lambda m: m.r,
    "r2": lambda m: 1 - m.mse / m.var_o,
    "r2_pearson": lambda m: m.r**2,
    "rmse": lambda m: np.sqrt(m.mse),
    "ubrmse": lambda m: np.sqrt(m.var_e),
    "bias": lambda m: m.bias,
    "mae": lambda m: m.mean(9),
    "mre": lambda m: m.mre,
    "slope": lambda m: m.covariance / m.var_o,
    "kge": lambda m: m.kge(m.sd_p / m.sd_o),
    "kge_2012": lambda m: m.kge(m.sd_p * m.mean(12) / (m.mean(13) * m.sd_o)),
    "mse": lambda m: m.mse,
    "mse_bias": lambda m: m.bias**2,
    "mse_variance": lambda m: (m.sd_p - m.sd_o) ** 2,
    "mse_correlation": lambda m: 2 * m.sd_o * m.sd_p * (1 - m.r),
    "sd_difference": lambda m: m.sd_p - m.sd_o,
}
NAMES = tuple(_METRICS)
"""What `metric_of` knows; `sd_difference`, sd(p) - sd(o), serves the interval of `mse_variance`."""

Scale = tuple[Callable[[Array], Array], Callable[[Array], Array]]
_PLAIN: Scale = (lambda x: x, lambda x: x)
_LOG: Scale = (np.log, np.exp)
_BELOW_ONE: Scale = (lambda x: -np.log(1 - x), lambda x: 1 - np.exp(-x))
SCALES: dict[str, Scale] = {
    "r": (np.arctanh, np.tanh),
    "r2": _BELOW_ONE,
    "kge": _BELOW_ONE,
    "kge_2012": _BELOW_ONE,
    "rmse": _LOG,
    "ubrmse": _LOG,
    "mae": _LOG,
    "mre": _LOG,
    "mse": _LOG,
    "mse_correlation": _LOG,
    "bias": _PLAIN,
    "slope": _PLAIN,
    "sd_difference": _PLAIN,
}
"""Per metric, a growing map to a scale on which its spread hardly depends on its value, and the way back."""
