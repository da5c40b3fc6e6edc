"""The prediction interval that a trained model carries: numbers that are saved, compiled and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import IntegrityError

__all__ = ["Interval"]

Floats = npt.NDArray[np.float64]

_NONE = np.zeros(2)
"""The lean of models trained before there was one."""


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """A prediction interval around an answer y, from y - factor exp(power - lean) to y + factor exp(power + lean).

    power = bias + dissimilarity * min(index, cap) + answer * log(y + dry) + predictors . clip(X - centre), in limits
    lean = lean[0] + lean[1] * log(y + dry), in lean_limits

    Attributes
    ----------
    level : nominal coverage
    groups : number of groups that it was calibrated on
    factor : quantile of the ratios, error over what the difficulty model lets it be
    bias : of the logarithm of half the width
    dissimilarity : coefficient of the dissimilarity index, not negative, and the index that it grows up to
    answer : coefficient of the logarithm of soil moisture, and what is added before the logarithm, m3 m-3
    predictors : (k,) coefficients
    centre, reach : (k,) mean of each predictor, and how far from it one still counts
    limits : lowest and highest power
    lean : constant, and coefficient of the logarithm of soil moisture, of half the logarithm of upper over lower part
    lean_limits : lowest and highest lean
    """

    level: float
    groups: int
    factor: float
    bias: float
    dissimilarity: tuple[float, float]
    answer: tuple[float, float]
    predictors: Floats
    centre: Floats
    reach: Floats
    limits: tuple[float, float]
    lean: tuple[float, float]
    lean_limits: tuple[float, float]

    def parts(self, X: npt.ArrayLike, answers: npt.ArrayLike, index: npt.ArrayLike) -> tuple[Floats, Floats]:
        """How far it goes below and above answers (n,), for predictors X (n, k) and dissimilarity index (n,).

        Returns
        -------
        (n,) each, m3 m-3, positive
        """
        wetness = np.log(np.asarray(answers, np.float64) + self.answer[1])
        near = np.clip(np.asarray(X, np.float64) - self.centre, -self.reach, self.reach)
        power = (
            self.bias
            + self.dissimilarity[0] * np.minimum(np.asarray(index, np.float64), self.dissimilarity[1])
            + self.answer[0] * wetness
            + near @ self.predictors
        )
        power = np.clip(power, *self.limits)
        lean = np.clip(self.lean[0] + self.lean[1] * wetness, *self.lean_limits)
        return self.factor * np.exp(power - lean), self.factor * np.exp(power + lean)

    def ends(
        self, X: npt.ArrayLike, answers: npt.ArrayLike, index: npt.ArrayLike, clip: tuple[float, float]
    ) -> tuple[Floats, Floats]:
        """Lower and upper end (n,) each, within `clip`, m3 m-3; see `parts`."""
        y, (below, above) = np.asarray(answers, np.float64), self.parts(X, answers, index)
        return np.clip(y - below, *clip), np.clip(y + above, *clip)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything as arrays of float64."""
        scalars = {"level": [self.level], "groups": [self.groups], "factor": [self.factor], "bias": [self.bias]}
        pairs = {"dissimilarity": self.dissimilarity, "answer": self.answer, "limits": self.limits}
        pairs |= {"lean": self.lean, "lean_limits": self.lean_limits}
        rest = {"predictors": self.predictors, "centre": self.centre, "reach": self.reach}
        return {name: np.asarray(value, np.float64) for name, value in {**scalars, **pairs, **rest}.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Interval:
        """Take it from `arrays()`; IntegrityError if they are incomplete or no numbers."""
        try:
            found = cls(
                level=float(arrays["level"][0]),
                groups=int(arrays["groups"][0]),
                factor=float(arrays["factor"][0]),
                bias=float(arrays["bias"][0]),
                dissimilarity=_pair(arrays["dissimilarity"]),
                answer=_pair(arrays["answer"]),
                predictors=arrays["predictors"],
                centre=arrays["centre"],
                reach=arrays["reach"],
                limits=_pair(arrays["limits"]),
                lean=_pair(arrays.get("lean", _NONE)),
                lean_limits=_pair(arrays.get("lean_limits", _NONE)),
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            msg = "The model's prediction interval is incomplete; train anew"
            raise IntegrityError(msg) from error
        fits = found.predictors.shape == found.centre.shape == found.reach.shape
        if not fits or not all(np.isfinite(array).all() for array in found.arrays().values()):
            msg = "The model's prediction interval holds arrays that do not fit, NaN or infinity; train anew"
            raise IntegrityError(msg)
        return found


def _pair(array: npt.NDArray[Any]) -> tuple[float, float]:
    return float(array[0]), float(array[1])
