"""Which predictors a model listens to, measured on rows that it has not seen.

A predictor's values are shuffled among the rows and the error grows by so much as the model needed them (Breiman
2001, doi:10.1023/A:1010933404324; Fisher et al. 2019, J. Mach. Learn. Res. 20, 177). Predictors that say the same
stand in for one another, so each of them looks small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo.learning.splits import leave_group_out
from zoo.progress import task
from zoo.scores.intervals import bca

if TYPE_CHECKING:
    from zoo.model.recipe import Recipe
    from zoo.samples.rows import Samples

__all__ = ["Importance", "held_out_importance", "importance"]

Array = npt.NDArray[np.float64]
Predict = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]
REPEATS = 10
RESAMPLES = 1000
FEWEST_GROUPS = 5


@dataclass(frozen=True, slots=True)
class Importance:
    """Growth of RMSE, m3 m-3, when a predictor is shuffled, with a 95 % interval over groups of rows."""

    predictor: str
    increase: float
    ci_low: float | None
    ci_high: float | None


def held_out_importance(
    samples: Samples, recipe: Recipe, *, folds: int | None = 5, repeats: int = REPEATS, seed: int = 0
) -> list[Importance]:
    """Measure importance on held-out groups: a model a fold, shuffled among the rows that it has not seen.

    Parameters
    ----------
    samples : rows with groups, which stay together
    recipe : how each fold's model is trained
    folds : number of folds; None makes one a group
    repeats : shuffles that are averaged
    seed : of folds and shuffles

    Raises
    ------
    DataError
        If there are fewer groups than folds.
    """
    from sklearn.base import clone

    X, y = samples.predictors.to_numpy(np.float32), samples.target
    base, shuffled = np.zeros(len(y)), np.zeros((len(y), X.shape[1]))
    rng = np.random.default_rng(seed)
    parts = leave_group_out(samples.groups, folds, seed)
    with task(f"importance of predictors, {recipe.downscaler}", len(parts)) as advance:
        for seen, held_out in parts:
            model = clone(recipe.estimator()).fit(X[seen], y[seen], groups=samples.groups[seen])
            base[held_out], shuffled[held_out] = _squares(model.predict, X[held_out], y[held_out], repeats, rng)
            advance(1)
    names = [layer.name for layer in samples.features]
    return _importances(names, base, shuffled, samples.groups, rng)


def importance(
    predict: Predict,
    X: npt.NDArray[np.float32],
    y: Array,
    names: Sequence[str],
    *,
    groups: npt.NDArray[Any] | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
) -> list[Importance]:
    """Measure the importance for a finished model on rows that it was not trained on.

    Parameters
    ----------
    predict : soil moisture for X (n, k), (n,)
    X, y : (n, k) predictors without missing values and (n,) reference, m3 m-3
    names : of the predictors
    groups : (n,), rows that hang together; each row by itself without it
    repeats : shuffles that are averaged
    seed : of the shuffles
    """
    rng = np.random.default_rng(seed)
    base, shuffled = _squares(predict, X, y, repeats, rng)
    return _importances(names, base, shuffled, np.arange(len(y)) if groups is None else groups, rng)


def _squares(
    predict: Predict, X: npt.NDArray[np.float32], y: Array, repeats: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Squared errors (n,), and those with each predictor shuffled (n, k), the mean over repeats."""
    base = (np.asarray(predict(X), dtype=np.float64) - y) ** 2
    shuffled = np.zeros((len(y), X.shape[1]))
    for column in range(X.shape[1]):
        changed = np.tile(X, (repeats, 1))
        changed[:, column] = np.concatenate([rng.permutation(X[:, column]) for _ in range(repeats)])
        error = np.asarray(predict(changed), dtype=np.float64) - np.tile(y, repeats)
        shuffled[:, column] = (error**2).reshape(repeats, -1).mean(axis=0)
    return base, shuffled


def _importances(
    names: Sequence[str], base: Array, shuffled: Array, groups: npt.NDArray[Any], rng: np.random.Generator
) -> list[Importance]:
    labels, unit = np.unique(groups, return_inverse=True)
    columns = (np.ones_like(base), base, *shuffled.T)
    sums = np.stack([np.bincount(unit.ravel(), weights=column) for column in columns], axis=1)
    weights = rng.multinomial(len(labels), np.full(len(labels), 1 / len(labels)), size=RESAMPLES).astype(float)
    found = []
    for number, name in enumerate(names):
        part = sums[:, [0, 1, 2 + number]]
        value = float(_growth(part.sum(axis=0)[None])[0])
        ends = None
        if len(labels) >= FEWEST_GROUPS:
            ends = bca(value, _growth(weights @ part), _growth(part.sum(axis=0) - part))
        low, high = ends or (None, None)
        found.append(Importance(name, value, low, high))
    return found


def _growth(sums: Array) -> Array:
    """Growth of RMSE from sums (m, 3) of rows, squares and squares when shuffled."""
    return np.asarray(np.sqrt(sums[:, 2] / sums[:, 0]) - np.sqrt(sums[:, 1] / sums[:, 0]), dtype=np.float64)
