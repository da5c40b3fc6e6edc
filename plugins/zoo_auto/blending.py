"""Weights of a blend, and whether it is worth more than its best member.

Source: Breiman 1996, Mach. Learn. 24, 49 (stacked regressions with weights not below 0), here with sum 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from zoo.learning.splits import Fold

Array = npt.NDArray[np.float64]

LEAST_WEIGHT = 0.02
"""A member of less weight is left out: it costs time and moves nothing."""
_SUM_TO_ONE = 1e3
"""How much the sum of the weights counts, in units of the target's root sum of squares."""


def convex_weights(predicted: Array, y: Array, weight: Array) -> Array:
    """Return weights (m,), none below 0, with sum 1, of the least squared error of `predicted` (m, n) @ weights."""
    root = np.sqrt(weight)
    strength = _SUM_TO_ONE * max(float(np.linalg.norm(root * y)), 1e-6)
    design = np.vstack([(predicted * root).T, np.full(len(predicted), strength)])
    found, _ = nnls(design, np.append(root * y, strength))
    return np.asarray(found / found.sum())


def choose(
    predicted: Array, y: Array, weight: Array, folds: Sequence[Fold], *, blend: bool = True
) -> tuple[Array, float | None]:
    """Choose the best member or a blend by what they are worth in folds that the blend's weights have not seen.

    Parameters
    ----------
    predicted : (m, n) out-of-fold predictions of the members; columns with NaN are left out
    y, weight : (n,)
    folds : that the predictions come from
    blend : whether a blend may be chosen

    Returns
    -------
    Weights (m,) with sum 1, and the mean squared error of the cross-fitted blend, None without one.
    """
    held_out = [rows[np.isfinite(predicted[:, rows]).all(axis=0)] for _, rows in folds]
    everything = np.concatenate(held_out)
    errors = _error(predicted[:, everything], y[everything], weight[everything])
    single = np.zeros(len(predicted))
    single[int(np.argmin(errors))] = 1.0
    if not blend or len(predicted) < 2:
        return single, None
    blended = np.full(len(y), np.nan)
    for rows in held_out:
        others = np.setdiff1d(everything, rows)
        blended[rows] = convex_weights(predicted[:, others], y[others], weight[others]) @ predicted[:, rows]
    error = float(_error(blended[None, everything], y[everything], weight[everything])[0])
    if error >= errors.min():
        return single, error
    weights = convex_weights(predicted[:, everything], y[everything], weight[everything])
    kept = weights >= LEAST_WEIGHT
    weights[~kept] = 0.0
    weights[kept] = convex_weights(predicted[kept][:, everything], y[everything], weight[everything])
    return weights, error


def _error(predicted: Array, y: Array, weight: Array) -> Array:
    """Weighted mean squared error of each row of `predicted` (m, n)."""
    return np.asarray(((predicted - y) ** 2 * weight).sum(axis=1) / weight.sum())
