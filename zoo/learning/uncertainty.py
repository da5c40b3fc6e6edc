"""What training leaves behind about a model's errors: intervals for single pixels, and where they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.learning.applicability import Applicability, area_of_applicability
from zoo.learning.conformal import LEVEL, calibrate
from zoo.learning.interval import Interval
from zoo.learning.splits import Fold

__all__ = ["CAP", "Uncertainty", "uncertainty_of"]

CAP = 2.0
"""Multiple of the threshold beyond which the dissimilarity index widens an interval no further."""


@dataclass(frozen=True, slots=True, eq=False)
class Uncertainty:
    """Intervals and area of applicability of a model.

    Attributes
    ----------
    interval, applicability : of the model
    outside : (n,), training rows that were out of the domain of the model of their fold
    """

    interval: Interval
    applicability: Applicability
    outside: npt.NDArray[np.bool_]

    def ends(
        self, X: npt.NDArray[np.float32], answers: npt.ArrayLike, clip: tuple[float, float]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Lower and upper end of the interval for predictors X (n, k) and soil moisture (n,), (n,) each, m3 m-3."""
        return self.interval.ends(X, answers, self.applicability.index(X), clip)


def uncertainty_of(
    weights: npt.NDArray[np.float64],
    X: npt.NDArray[np.float32],
    y: npt.NDArray[np.float64],
    groups: npt.NDArray[Any],
    folds: Sequence[Fold],
    held_out: npt.NDArray[np.float64],
    *,
    clip: tuple[float, float] = (0.0, 1.0),
    level: float = LEVEL,
    adaptive: bool = True,
    seed: int = 0,
) -> Uncertainty:
    """Learn both from the cross-validation that scored a model.

    Parameters
    ----------
    weights : (k,), what the final model makes of each predictor; see `zoo.learning.applicability.sensitivity`
    X, y, groups : (n, k), (n,), (n,), training rows: predictors, soil moisture, and what hangs together
    folds : of the cross-validation, rows seen and held out
    held_out : (n,), predictions by models that had not seen the row's fold; NaN for a row in no fold
    clip : lowest and highest soil moisture
    level : nominal coverage of the intervals
    adaptive : whether widths differ from pixel to pixel; else all are equal
    seed : where chance plays
    """
    applicability, index = area_of_applicability(X, weights, folds, seed=seed)
    known = np.isfinite(held_out) & np.isfinite(index)
    interval = calibrate(
        X[known],
        y[known],
        held_out[known],
        index[known],
        groups[known],
        level=level,
        cap=CAP * applicability.threshold,
        adaptive=adaptive,
        clip=clip,
        seed=seed,
    )
    return Uncertainty(interval, applicability, index > applicability.threshold)
