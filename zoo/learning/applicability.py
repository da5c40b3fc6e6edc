"""Where a model may be applied: the dissimilarity index and the area of applicability.

Source: Meyer & Pebesma 2021, Methods Ecol. Evol. 12, 1620 (doi:10.1111/2041-210X.13650). Predictors are standardised
and weighted by what the model makes of them; the index of a pixel is the distance to the nearest training row over the
mean distance between training rows. The largest index, outliers removed, that a training row has to the rows of other
cross-validation folds is the threshold: beyond it nothing is known of the error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import IntegrityError
from zoo.learning.splits import Fold

__all__ = ["MOST_ROWS", "Applicability", "area_of_applicability", "farthest_points", "fold_index", "sensitivity"]

Floats = npt.NDArray[np.float64]

MOST_ROWS = 1000
"""Training rows that the index looks at: all, or so many of them that cover the rest as evenly as can be."""
_DRAWN = 20_000
"""Training rows among which those are sought; further ones are left out at random."""
_PAIRED = 2000
"""Rows whose distances to one another give the mean distance; further ones are left out at random."""
_SHUFFLED = 1000
"""Rows by which the weights are measured."""
_CHUNK = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Applicability:
    """Training rows in the space in which distances are measured, and how far from them the model is known.

    Attributes
    ----------
    centre : (k,) float32, mean of each predictor in training
    factor : (k,) float32, weight over standard deviation and mean distance; 0 where a predictor has no say
    rows : (m, k) float32, training rows, `(X - centre) * factor`
    threshold : largest index within the area of applicability
    """

    centre: npt.NDArray[np.float32]
    factor: npt.NDArray[np.float32]
    rows: npt.NDArray[np.float32]
    threshold: float

    def index(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Dissimilarity index of predictors X (n, k), (n,); 0 on a training row, 1 a mean distance away."""
        given = np.asarray(X, np.float32)
        found = np.empty(len(given), np.float32)
        for part in _chunks(len(given)):
            found[part] = _nearest((given[part] - self.centre) * self.factor, self.rows)
        return found

    def outside(self, X: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Say which rows of X (n, k) lie outside the area of applicability, (n,)."""
        return np.asarray(self.index(X) > np.float32(self.threshold))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything as arrays."""
        threshold = np.array([self.threshold], np.float64)
        return {"centre": self.centre, "factor": self.factor, "rows": self.rows, "threshold": threshold}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Applicability:
        """Take it from `arrays()`; IntegrityError if they do not fit together."""
        try:
            found = cls(arrays["centre"], arrays["factor"], arrays["rows"], float(arrays["threshold"][0]))
            fits = found.rows.shape[1:] == found.centre.shape == found.factor.shape and len(found.rows) > 0
        except (KeyError, IndexError, TypeError) as error:
            msg = "The model's area of applicability is incomplete; train anew"
            raise IntegrityError(msg) from error
        if not fits or not all(np.isfinite(array).all() for array in found.arrays().values()):
            msg = f"The model's area of applicability has rows {found.rows.shape} that do not fit; train anew"
            raise IntegrityError(msg)
        return found


def area_of_applicability(
    X: npt.ArrayLike, weights: npt.ArrayLike, folds: Sequence[Fold], *, most: int = MOST_ROWS, seed: int = 0
) -> tuple[Applicability, Floats]:
    """Learn the area of applicability.

    With at most `most` rows the index is exact. Of more, the `most` that are farthest from one another stand for all
    (Gonzalez 1985, Theor. Comput. Sci. 38, 293): the index is then too large by no more than the distance from a
    left-out row to the nearest kept one. The training rows' own indices, which give the threshold, are taken in the
    same way from the rows that their fold's model saw.

    Parameters
    ----------
    X : (n, k), training predictors
    weights : (k,), what the model makes of each; see `sensitivity`
    folds : of the cross-validation, rows seen and held out
    most : rows that are kept
    seed : of the rows left out

    Returns
    -------
    The area, and the index of each training row with respect to what its fold saw, (n,); NaN in no fold
    """
    given = np.asarray(X, np.float64)
    centre, factor = given.mean(axis=0), _factor(given, np.asarray(weights, np.float64))
    rng = np.random.default_rng(seed)
    factor = factor / _mean_distance((given - centre) * factor, rng)
    coded = ((given - centre) * factor).astype(np.float32)
    index = fold_index(coded, folds, most=most, seed=seed)
    kept = _representatives(coded, most, rng)
    return Applicability(centre.astype(np.float32), factor.astype(np.float32), kept, _threshold(index)), index


def fold_index(
    coded: npt.NDArray[np.float32], folds: Sequence[Fold], *, most: int = MOST_ROWS, seed: int = 0
) -> Floats:
    """Distance of each coded row (n, k) to the nearest that its fold saw, (n,); NaN for rows never held out."""
    rng = np.random.default_rng(seed)
    index = np.full(len(coded), np.nan)
    for seen, held in folds:
        others = _representatives(coded[seen], most, rng)
        for part in _chunks(len(held)):
            index[held[part]] = _nearest(coded[held[part]], others)
    return index


def sensitivity(
    predict: Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]],
    X: npt.NDArray[np.float32],
    *,
    rows: int = _SHUFFLED,
    seed: int = 0,
) -> Floats:
    """How far a model's answers move when a predictor is shuffled among the rows, root mean square, (k,).

    Half its square is the predictor's total effect on the variance (Jansen 1999, Comput. Phys. Commun. 117, 35). The
    reference has no part in it, so that it can be measured on training rows.

    Parameters
    ----------
    predict : soil moisture for X (n, k), (n,)
    X : (n, k), training predictors
    rows : drawn from them
    seed : of the draw and the shuffle
    """
    rng = np.random.default_rng(seed)
    drawn = X if len(X) <= rows else X[rng.choice(len(X), rows, replace=False)]
    changed = np.repeat(drawn[None], X.shape[1], axis=0)
    for column, part in enumerate(changed):
        part[:, column] = rng.permutation(part[:, column])
    answers = np.asarray(predict(changed.reshape(-1, X.shape[1])), np.float64).reshape(X.shape[1], -1)
    moved = answers - np.asarray(predict(drawn), np.float64)
    return np.asarray(np.sqrt((moved**2).mean(axis=1)))


def farthest_points(coded: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.intp]:
    """Choose rows of (n, k) one after the other, each the farthest from those chosen; row numbers (count,).

    The first is the row nearest to the mean. No choice covers the rest with less than half the distance (Gonzalez
    1985, Theor. Comput. Sci. 38, 293).
    """
    squares = (coded**2).sum(axis=1)
    chosen = np.empty(min(count, len(coded)), np.intp)
    chosen[0] = np.argmin(((coded - coded.mean(axis=0)) ** 2).sum(axis=1))
    nearest = np.full(len(coded), np.inf, np.float32)
    for number in range(len(chosen)):
        if number:
            chosen[number] = np.argmax(nearest)
        row = coded[chosen[number]]
        np.minimum(nearest, squares - 2 * (coded @ row) + row @ row, out=nearest)
        nearest[chosen[number]] = -np.inf
    return chosen


def _representatives(coded: npt.NDArray[np.float32], most: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    if len(coded) <= most:
        return coded
    drawn = coded if len(coded) <= _DRAWN else coded[np.sort(rng.choice(len(coded), _DRAWN, replace=False))]
    return drawn[farthest_points(drawn, most)]


def _factor(X: Floats, weights: Floats) -> Floats:
    """Weight over standard deviation; equal weights if the model heeds nothing, 0 where a predictor is constant."""
    positive = np.maximum(weights, 0)
    positive = positive / positive.max() if positive.max() > 0 else np.ones_like(positive)
    spread = X.std(axis=0)
    return np.asarray(np.divide(positive, spread, out=np.zeros_like(spread), where=spread > 0))


def _mean_distance(coded: Floats, rng: np.random.Generator) -> float:
    """Mean distance between two different rows."""
    drawn = coded if len(coded) <= _PAIRED else coded[rng.choice(len(coded), _PAIRED, replace=False)]
    squares = (drawn**2).sum(axis=1)
    total = np.sqrt(np.maximum(squares[:, None] + squares - 2 * (drawn @ drawn.T), 0))
    np.fill_diagonal(total, 0)
    mean = float(total.sum() / max(1, len(drawn) * (len(drawn) - 1)))
    return mean if mean > 0 else 1.0


def _threshold(index: Floats) -> float:
    """Largest index without outliers: the upper quartile and 1.5 times the distance between the quartiles, or less."""
    lower, upper = np.nanquantile(index, [0.25, 0.75])
    return float(min(upper + 1.5 * (upper - lower), np.nanmax(index)))


def _nearest(coded: npt.NDArray[np.float32], rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Distance to the nearest of `rows`, (n,), by the same products as in the compiled model."""
    product = coded @ (-2 * rows.T) + (rows**2).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum((coded**2).sum(axis=1) + product.min(axis=1), 0)))


def _chunks(rows: int) -> Iterator[slice]:
    for start in range(0, rows, _CHUNK):
        yield slice(start, start + _CHUNK)
