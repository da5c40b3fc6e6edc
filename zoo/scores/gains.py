"""What downscaling gains over the coarse field that it began with, against stations.

Source: Merlin et al. 2015, Remote Sens. 7, 3783, doi:10.3390/rs70403783. With S the slope of the least-squares line
of the map on the station, R their correlation and B the bias, at low (LR) and high resolution (HR):

    g_effi = (|1 - S_LR| - |1 - S_HR|) / (|1 - S_LR| + |1 - S_HR|)
    g_prec = (|1 - R_LR| - |1 - R_HR|) / (|1 - R_LR| + |1 - R_HR|)
    g_accu = (|B_LR| - |B_HR|) / (|B_LR| + |B_HR|)
    g_down = (g_effi + g_prec + g_accu) / 3

Each lies in [-1, 1]: above 0 the fine map is nearer to the station, at 0 nothing is gained.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zoo.errors import DataError
from zoo.scores.moments import metric_of, pair_sums, unit_sums
from zoo.scores.resampling import RESAMPLES, draw, interval_of, units_of
from zoo.types import Score

__all__ = ["GAINS", "downscaling_gains"]

GAINS = ("g_down", "g_effi", "g_prec", "g_accu")
"""The gain and its parts: in the slope (efficiency), the correlation (precision) and the bias (accuracy)."""
_PARTS = {"g_effi": ("slope", 1.0), "g_prec": ("r", 1.0), "g_accu": ("bias", 0.0)}
"""Of each part, the metric and its ideal value."""

Array = npt.NDArray[np.float64]


def downscaling_gains(
    observed: npt.ArrayLike,
    fine: npt.ArrayLike,
    coarse: npt.ArrayLike,
    *,
    estimator: str,
    reference: str,
    split: str,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Score]:
    """Score the gain of a downscaled map over its coarse field on one sample.

    Parameters
    ----------
    observed, fine, coarse : (n,), m3 m-3, station, map and coarse field; rows that lack one of them are left out
    estimator, reference, split, groups, seed, resamples : as for `zoo.scores.metrics.score_table`

    Returns
    -------
    `g_down`, `g_effi`, `g_prec`, `g_accu`, with bootstrap intervals; None with fewer than 3 rows or without spread.

    Raises
    ------
    DataError
        If the arrays differ in length.
    """
    values = [np.asarray(part, dtype=np.float64).ravel() for part in (observed, fine, coarse)]
    labels = None if groups is None else np.asarray(groups).ravel()
    if len({part.size for part in (*values, *(() if labels is None else (labels,)))}) > 1:
        msg = f"Gains need arrays of one length; got {', '.join(str(part.size) for part in values)}"
        raise DataError(msg)
    kept = np.isfinite(values).all(axis=0)
    o, high, low = (part[kept] for part in values)
    numbers = None if labels is None else np.unique(labels[kept], return_inverse=True)[1].ravel()
    units = units_of(o.size, numbers, np.random.default_rng(seed))
    sums = np.hstack([unit_sums(pair_sums(o, part), units) for part in (high, low)])
    weights = draw(len(sums), resamples, seed)
    return [_score(name, sums, weights, o.size, (estimator, reference, split)) for name in GAINS]


def _score(name: str, sums: Array, weights: Array | None, n: int, labels: tuple[str, str, str]) -> Score:
    estimator, reference, split = labels
    value = float(_gain(name, sums.sum(axis=0, keepdims=True))[0]) if n >= 3 else float("nan")
    if not np.isfinite(value):
        return Score(estimator, name, None, n, None, None, reference, split)
    low, high = interval_of(sums, weights, lambda some: _gain(name, some), limits=(-1.0, 1.0)) or (None, None)
    return Score(estimator, name, value, n, low, high, reference, split)


def _gain(name: str, sums: Array) -> Array:
    """Compute a gain from the sums of the fine map and of the coarse field, (m, 2 c) -> (m,)."""
    if name == "g_down":
        return np.asarray(sum(_gain(part, sums) for part in _PARTS) / len(_PARTS))
    metric, ideal = _PARTS[name]
    high, low = (np.abs(metric_of(metric, part) - ideal) for part in np.hsplit(sums, 2))
    with np.errstate(invalid="ignore"):
        return np.asarray((low - high) / (low + high))
