"""What each part of the method is worth, on the folds of the model's own cross-validation.

Pre-training on and off; and the residual of the sensor added back or not, in blocks that neither the model nor the
correction has seen: there the residual of the cells around is all that there is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo.learning.fitting import Context
from zoo.learning.informative import Emphasis, out_of_fold
from zoo.learning.splits import Fold, folds_for, units_for
from zoo.model.recipe import Recipe
from zoo.progress import task
from zoo.scores.paired import paired_differences

if TYPE_CHECKING:
    from zoo.samples.rows import Samples

__all__ = ["MOST_ROWS", "Ablated", "ablation"]

Floats = npt.NDArray[np.float64]

MOST_ROWS = 5_000
"""Of a larger table so many rows are drawn, for both sides alike."""
METRICS = ("r2", "rmse")


@dataclass(frozen=True, slots=True)
class Ablated:
    """A metric with and without a part of the method, on one sample.

    Attributes
    ----------
    part : what was left out
    metric : `r2` (1 - SSE/SST) or `rmse` (m3 m-3)
    with_it, without : the two figures
    difference, ci_low, ci_high : with minus without, and its 95 % interval over whole groups
    n : rows
    how : what both sides were
    """

    part: str
    metric: str
    with_it: float | None
    without: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    how: str


def ablation(samples: Samples, recipe: Recipe) -> list[Ablated]:
    """Leave out what can be left out of a recipe, and compare on held-out rows.

    Parameters
    ----------
    samples : rows; the correction needs the `cells` that they are
    recipe : downscaler, use and folds; pre-training needs its parameter `pretrain`
    """
    chosen = _drawn(samples, recipe.seed)
    folds = folds_for(recipe.use, chosen.groups, chosen.times, recipe.folds, recipe.seed)
    drawn = "" if len(chosen) == len(samples) else f", {len(chosen):,} of {len(samples):,} rows"
    found = []
    if "pretrain" in recipe.estimator().get_params():
        found += _pre_training(chosen, recipe, folds, f"{len(folds)} folds{drawn}")
    if chosen.cells is not None and recipe.use == "space":
        found += _correction(chosen, recipe, folds, f"{len(folds)} folds{drawn}, residual of the cells around")
    return found


def _pre_training(samples: Samples, recipe: Recipe, folds: list[Fold], how: str) -> list[Ablated]:
    X, y, context = _rows(samples)
    emphasis = Emphasis(samples.weights, recipe.outliers, recipe.seed)
    answers = {}
    with task("with and without pre-training", 2 * len(folds)) as advance:
        for on in (True, False):
            variant = replace(recipe, parameters={**recipe.parameters, "pretrain": on})
            answers[on], _ = out_of_fold(variant.estimator(), X, y, context, folds, emphasis, advance)
    return _compared("pre-training", samples, recipe, answers[True], answers[False], how)


def _correction(samples: Samples, recipe: Recipe, folds: list[Fold], how: str) -> list[Ablated]:
    X, y, context = _rows(samples)
    assert samples.cells is not None
    emphasis = Emphasis(samples.weights, recipe.outliers, recipe.seed)
    times = np.zeros(len(y)) if samples.times is None else samples.times
    plain, corrected = np.full((2, len(y)), np.nan)
    with task("with and without the correction", len(folds)) as advance:
        for seen, held_out in folds:
            model, _ = emphasis.take(seen).fit(recipe.estimator(), X[seen], y[seen], context.take(seen))
            answer = np.asarray(model.predict(X))
            plain[held_out] = answer[held_out]
            residual = residual_around(samples.cells, times, y - answer, seen, held_out)
            corrected[held_out] = answer[held_out] + residual
            advance(1)
    return _compared("correction", samples, recipe, corrected, plain, how)


def residual_around(
    cells: npt.NDArray[Any],
    times: npt.NDArray[Any],
    residual: Floats,
    seen: npt.NDArray[np.intp],
    asked: npt.NDArray[np.intp],
) -> Floats:
    """Interpolate residuals linearly between the centres of cells of one time; outside of them the nearest counts.

    Parameters
    ----------
    cells : (n, 2), row and column
    times : (n,), cells of one time are taken together
    residual : (n,), m3 m-3
    seen, asked : row numbers of the cells known, and of those wanted

    Returns
    -------
    (len(asked),), 0 where no cell of that time is known
    """
    from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

    found = np.zeros(len(asked))
    for time in np.unique(times[asked]):
        known, wanted = seen[times[seen] == time], times[asked] == time
        if not len(known):
            continue
        places = cells[asked[wanted]].astype(float)
        values = np.asarray(NearestNDInterpolator(cells[known], residual[known])(places))
        if np.linalg.matrix_rank(cells[known] - cells[known[0]]) == 2:
            between = np.asarray(LinearNDInterpolator(cells[known], residual[known])(places))
            values = np.where(np.isfinite(between), between, values)
        found[wanted] = values
    return found


def _compared(part: str, samples: Samples, recipe: Recipe, a: Floats, b: Floats, how: str) -> list[Ablated]:
    units = units_for(recipe.use, samples.groups, samples.times)
    differences = paired_differences(samples.target, a, b, groups=units, seed=recipe.seed, metrics=METRICS)
    return [Ablated(part, d.metric, d.a, d.b, d.difference, d.ci_low, d.ci_high, d.n, how) for d in differences]


def _rows(samples: Samples) -> tuple[npt.NDArray[np.float32], Floats, Context]:
    X = samples.predictors.to_numpy(dtype=np.float32)
    return X, samples.target, Context(samples.groups, samples.places, samples.times)


def _drawn(samples: Samples, seed: int) -> Samples:
    """Draw `MOST_ROWS` rows of a larger table."""
    if len(samples) <= MOST_ROWS:
        return samples
    rows = np.sort(np.random.default_rng(seed).choice(len(samples), MOST_ROWS, replace=False))
    return samples.take(rows)
