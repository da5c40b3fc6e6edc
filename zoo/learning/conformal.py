"""Prediction intervals for single pixels, calibrated on groups (blocks, stations) that the model did not see.

Normalised conformal prediction (Papadopoulos et al. 2008, Lei et al. 2018, J. Am. Stat. Assoc. 113, 1094): absolute
residuals of held-out groups over what a small difficulty model expects there, and the quantile of these ratios as the
factor that gives the nominal coverage. Ratios come from difficulty models that did not see the group either.

Rows of a group are not independent, so groups count alike, whatever their size, as in the CDF pooling of Dunn,
Wasserman & Ramdas 2023, J. Am. Stat. Assoc. 118, 2491. Their bound with certainty needs more than 1 / (1 - level)
groups, and is infinite with fewer; here the level is raised until groups left out of the quantile, each in its turn,
are covered as often as promised, on average over groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import IntegrityError
from zoo.learning.splits import deal

__all__ = [
    "LEVEL",
    "Interval",
    "calibrate",
    "group_quantile",
    "interval_score",
    "shifted",
]

Floats = npt.NDArray[np.float64]

LEVEL = 0.9
"""Nominal coverage of the intervals."""
_FOLDS = 5
_MOST_ROWS = 20_000
"""Rows that a difficulty model is learnt from; further ones are left out at random."""
_SPREADS = 3.0
"""Standard deviations beyond which a predictor changes a width no further."""
_FLOOR = 1e-3
"""Smallest residual told from none, m3 m-3: widths are learnt on a logarithmic scale."""
_NARROWEST = 1e-6
"""Smallest factor: that of a model without any error."""
_DRY = 0.03
"""Added to soil moisture before its logarithm is taken, m3 m-3: about the noise of a reference."""
_PENALTIES = (1.0, 0.3, 10.0)
"""On squared coefficients, standardised: dissimilarity, soil moisture, and each predictor.

Residuals hang together within groups, so that few of thousands of rows say anything new, and what predictors say of
the error seldom holds in the next place. Chosen on held-out folds of `oznet` and of in-situ rows of `us_gauges`.
"""
_LEVELS = 101
_MANY_GROUPS = 300
"""With more groups one of them hardly moves the quantile, and none is left out."""


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """A prediction interval, answer -+ half a width, which is factor * exp(clip(power)).

    power = bias + dissimilarity * min(index, cap) + answer * log(y + dry) + predictors . clip(X - centre)

    Attributes
    ----------
    level : nominal coverage
    groups : number of groups that it was calibrated on
    factor : quantile of the ratios, residual over expected residual
    bias : of the logarithm of the expected residual
    dissimilarity : coefficient of the dissimilarity index, not negative, and the index that it grows up to
    answer : coefficient of the logarithm of soil moisture, and what is added before the logarithm, m3 m-3
    predictors : (k,) coefficients
    centre, reach : (k,) mean of each predictor, and how far from it one still counts
    limits : lowest and highest logarithm of the expected residual
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

    def half_width(self, X: npt.ArrayLike, answers: npt.ArrayLike, index: npt.ArrayLike) -> Floats:
        """Half the width for predictors X (n, k), soil moisture (n,) and dissimilarity index (n,); (n,), m3 m-3."""
        y = np.asarray(answers, np.float64)
        near = np.clip(np.asarray(X, np.float64) - self.centre, -self.reach, self.reach)
        power = (
            self.bias
            + self.dissimilarity[0] * np.minimum(np.asarray(index, np.float64), self.dissimilarity[1])
            + self.answer[0] * np.log(y + self.answer[1])
            + near @ self.predictors
        )
        return np.asarray(self.factor * np.exp(np.clip(power, *self.limits)))

    def ends(
        self, X: npt.ArrayLike, answers: npt.ArrayLike, index: npt.ArrayLike, clip: tuple[float, float]
    ) -> tuple[Floats, Floats]:
        """Lower and upper end (n,) each, within `clip`, m3 m-3; see `half_width`."""
        y, half = np.asarray(answers, np.float64), self.half_width(X, answers, index)
        return np.clip(y - half, *clip), np.clip(y + half, *clip)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything as arrays of float64."""
        scalars = {"level": [self.level], "groups": [self.groups], "factor": [self.factor], "bias": [self.bias]}
        pairs = {"dissimilarity": self.dissimilarity, "answer": self.answer, "limits": self.limits}
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
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            msg = "The model's prediction interval is incomplete; train anew"
            raise IntegrityError(msg) from error
        fits = found.predictors.shape == found.centre.shape == found.reach.shape
        if not fits or not all(np.isfinite(array).all() for array in found.arrays().values()):
            msg = "The model's prediction interval holds arrays that do not fit, NaN or infinity; train anew"
            raise IntegrityError(msg)
        return found


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
    rows = _Rows.of(X, y, predicted, index, groups, cap=cap, clip=clip, adaptive=adaptive)
    everywhere = np.ones(len(rows.y), np.bool_)
    expected = np.empty(len(rows.y))
    folds = deal(groups, min(_FOLDS, len(np.unique(groups))), seed)
    for fold in np.unique(folds):
        held = folds == fold
        slopes, limits = _learn(rows, everywhere if held.all() else ~held)
        expected[held] = np.exp(np.clip(slopes[0] + rows.terms[held] @ slopes[1:], *limits))
    factor = max(group_quantile(rows.residual / expected, groups, level), _NARROWEST)
    return rows.interval(*_learn(rows, everywhere), level, factor)


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


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Held-out rows: `terms` (n, 2 + k) are what widths depend on, standardised; `penalty` (2 + k,) is on each.

    Groups weigh alike.
    """

    terms: Floats
    penalty: Floats
    middle: Floats
    spread: Floats
    y: Floats
    predicted: Floats
    groups: int
    weight: Floats
    centre: Floats
    reach: Floats
    cap: float

    @classmethod
    def of(
        cls, X: Any, y: Any, predicted: Any, index: Any, groups: Any, *, cap: float, clip: Any, adaptive: bool
    ) -> _Rows:
        given, observed, answers = (np.asarray(values, np.float64) for values in (X, y, predicted))
        answers, near = np.clip(answers, *clip), np.asarray(index, np.float64)
        cap = float(min(cap, near.max()))
        centre, reach = given.mean(axis=0), _SPREADS * given.std(axis=0)
        cut = np.clip(given - centre, -reach, reach)
        terms = np.column_stack([np.minimum(near, cap), np.log(answers + _DRY), cut])
        middle, spread = terms.mean(axis=0), terms.std(axis=0)
        told = adaptive & (spread > 1e-12 * (1 + np.abs(middle)))
        spread = np.where(told, spread, np.inf)
        penalty = np.array([*_PENALTIES[:2], *[_PENALTIES[2]] * given.shape[1]])
        scaled = (terms - middle) / spread
        labels, member, size = np.unique(groups, return_inverse=True, return_counts=True)
        weight = 1 / size[member.ravel()]
        return cls(scaled, penalty, middle, spread, observed, answers, len(labels), weight, centre, reach, cap)

    @property
    def residual(self) -> Floats:
        return np.abs(self.y - self.predicted)

    def interval(self, slopes: Floats, limits: tuple[float, float], level: float, factor: float) -> Interval:
        """Put coefficients of standardised terms, the first the constant, into units."""
        raw = slopes[1:] / self.spread
        return Interval(
            level=level,
            groups=self.groups,
            factor=factor,
            bias=float(slopes[0] - raw @ self.middle),
            dissimilarity=(float(raw[0]), self.cap),
            answer=(float(raw[1]), _DRY),
            predictors=raw[2:],
            centre=self.centre,
            reach=self.reach,
            limits=limits,
        )


def _learn(rows: _Rows, seen: npt.NDArray[np.bool_]) -> tuple[Floats, tuple[float, float]]:
    """Learn the logarithm of the expected absolute residual, linear in the terms.

    Maximum likelihood of exponential residuals, which gives the mean whatever their distribution (a convex problem),
    with a penalty on the slopes. No interval is narrower for being farther from training.

    Returns
    -------
    Coefficients (1 + terms,), the constant first; range of the logarithm on the rows seen
    """
    from scipy.optimize import minimize

    place = np.flatnonzero(seen)
    if len(place) > _MOST_ROWS:
        place = place[np.linspace(0, len(place) - 1, _MOST_ROWS).astype(np.intp)]
    terms, weight = rows.terms[place], rows.weight[place]
    weight = weight / weight.sum()
    residual = rows.residual[place] + _FLOOR

    def loss(slopes: Floats) -> tuple[float, Floats]:
        power = slopes[0] + terms @ slopes[1:]
        ratio = residual * np.exp(-power)
        steep, pull = weight * (1 - ratio), rows.penalty * slopes[1:]
        value = weight @ (power + ratio) + pull @ slopes[1:] / 2
        return float(value), np.concatenate([[steep.sum()], terms.T @ steep + pull])

    start = np.zeros(1 + terms.shape[1])
    start[0] = np.log(weight @ residual)
    bounds = [(None, None), (0, None), *[(None, None)] * (terms.shape[1] - 1)]
    slopes = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    low, high = np.quantile(slopes[0] + terms @ slopes[1:], [0.005, 0.995])
    return slopes, (float(low), float(high))


def _left_out(ordered: Floats, weight: Floats, total: Floats, own: npt.NDArray[np.bool_], levels: Floats) -> Floats:
    """Share of a group's scores within the bound that the others give at each of `levels`."""
    others = total - np.cumsum(np.where(own, weight, 0))
    bounds = ordered[_place(others, levels)]
    return np.asarray(np.searchsorted(ordered[own], bounds, side="right") / own.sum())


def _place(total: Floats, level: Any) -> Any:
    """First place at which running weights reach a level; a hair less, for what summing rounds."""
    return np.minimum(np.searchsorted(total, np.asarray(level) * total[-1] * (1 - 1e-12)), len(total) - 1)


def _pair(array: npt.NDArray[Any]) -> tuple[float, float]:
    return float(array[0]), float(array[1])
