"""Prediction intervals for single pixels, calibrated on groups (blocks, stations) that the model did not see.

Normalised conformal prediction (Papadopoulos et al. 2008, Lei et al. 2018, J. Am. Stat. Assoc. 113, 1094) with two
unequal ends, as in conformalised quantile regression (Romano, Patterson & Candes 2019, NeurIPS 32): what an answer is
off at held-out groups, over how far a small difficulty model lets it be off on that side, and the quantile of these
ratios as the factor that gives the nominal coverage. Ratios come from difficulty models that did not see the group
either. The ends differ because errors lean: a dry answer can hardly be too wet, and a wet one hardly too dry.

Rows of a group are not independent, so groups count alike, whatever their size, as in the CDF pooling of Dunn,
Wasserman & Ramdas 2023, J. Am. Stat. Assoc. 118, 2491. Their bound with certainty needs more than 1 / (1 - level)
groups, and is infinite with fewer; here the level is raised until groups left out of the quantile, each in its turn,
are covered as often as promised, on average over groups.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.learning.difficulty import HeldOut, learn
from zoo.learning.interval import Interval
from zoo.learning.splits import deal

__all__ = ["LEVEL", "calibrate", "group_quantile", "interval_score", "shifted"]

Floats = npt.NDArray[np.float64]

LEVEL = 0.9
"""Nominal coverage of the intervals."""
_FOLDS = 5
_NARROWEST = 1e-6
"""Smallest factor: that of a model without any error."""
_LEVELS = 101
_MANY_GROUPS = 300
"""With more groups one of them hardly moves the quantile, and none is left out."""


def calibrate(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    predicted: npt.ArrayLike,
    index: npt.ArrayLike,
    groups: npt.NDArray[Any],
    *,
    level: float = LEVEL,
    cap: float = np.inf,
    adaptive: bool = True,
    clip: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
) -> Interval:
    """Learn how wide intervals must be, from predictions for rows that the model did not see.

    Parameters
    ----------
    X : (n, k), predictors
    y, predicted : (n,), soil moisture and what a model that had not seen the row's group said of it, m3 m-3
    index : (n,), dissimilarity index with respect to what that model had seen
    groups : (n,), rows that hang together
    level : nominal coverage
    cap : dissimilarity index beyond which a width grows no further
    adaptive : whether widths differ from pixel to pixel; else all are equal
    clip : lowest and highest soil moisture
    seed : of the folds
    """
    rows = HeldOut.of(X, y, predicted, index, groups, cap=cap, clip=clip, adaptive=adaptive)
    everywhere = np.ones(len(rows.error), np.bool_)
    ratio = np.empty(len(rows.error))
    folds = deal(groups, min(_FOLDS, len(np.unique(groups))), seed)
    for fold in np.unique(folds):
        held = folds == fold
        below, above = learn(rows, everywhere if held.all() else ~held, level).parts(rows.terms[held])
        ratio[held] = np.maximum(-rows.error[held] / below, rows.error[held] / above)
    factor = max(group_quantile(ratio, groups, level), _NARROWEST)
    return rows.interval(learn(rows, everywhere, level), level, factor)


def group_quantile(scores: Floats, groups: npt.NDArray[Any], level: float) -> float:
    """Return a bound that a share `level` of a new group's scores keeps to, on average over groups.

    Groups weigh alike. The bound is a quantile of the pooled scores at `level`, or at the least higher one at which
    each group's scores are, on average over groups, as often within the bound from the others (see the module).

    Parameters
    ----------
    scores : (n,)
    groups : (n,), rows that hang together
    level : between 0 and 1
    """
    _, member, size = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    ordered, member = scores[order], member.ravel()[order]
    weight = 1 / size[member]
    total = np.cumsum(weight)
    levels = np.linspace(level, 1, _LEVELS)
    if 1 < len(size) <= _MANY_GROUPS:
        own = [member == one for one in range(len(size))]
        covered = np.mean([_left_out(ordered, weight, total, mask, levels) for mask in own], axis=0)
        enough = np.flatnonzero(covered >= level)
        level = float(levels[enough[0]]) if len(enough) else 1.0
    return float(ordered[_place(total, level)])


def interval_score(y: Floats, lower: Floats, upper: Floats, level: float = LEVEL) -> Floats:
    """Interval score (n,), the smaller the better: width, and 2 / (1 - level) times the distance to what it misses.

    Gneiting & Raftery 2007, J. Am. Stat. Assoc. 102, 359, equation 43.
    """
    missed = np.maximum(lower - y, 0) + np.maximum(y - upper, 0)
    return np.asarray(upper - lower + 2 / (1 - level) * missed)


def shifted(
    lower: npt.NDArray[Any],
    upper: npt.NDArray[Any],
    before: npt.NDArray[Any],
    after: npt.NDArray[Any],
    clip: tuple[float, float],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Move intervals along with a map that was corrected after it was predicted, and cut them to `clip` again.

    The widths stay: what the correction changes of the error was no part of the calibration.
    """
    moved = after - before
    return np.clip(lower + moved, *clip), np.clip(upper + moved, *clip)


def _left_out(ordered: Floats, weight: Floats, total: Floats, own: npt.NDArray[np.bool_], levels: Floats) -> Floats:
    """Share of a group's scores within the bound that the others give at each of `levels`."""
    others = total - np.cumsum(np.where(own, weight, 0))
    bounds = ordered[_place(others, levels)]
    return np.asarray(np.searchsorted(ordered[own], bounds, side="right") / own.sum())


def _place(total: Floats, level: Any) -> Any:
    """First place at which running weights reach a level; a hair less, for what summing rounds."""
    return np.minimum(np.searchsorted(total, np.asarray(level) * total[-1] * (1 - 1e-12)), len(total) - 1)
