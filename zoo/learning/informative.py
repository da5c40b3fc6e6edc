"""Training where it is informative: rows that weigh more than others, and rows that are left out.

Both touch what a model learns from, never what it is scored on: every held-out row counts, and counts alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import UsageError
from zoo.learning.fitting import Context, fit
from zoo.learning.fitting import out_of_fold as plain_out_of_fold
from zoo.learning.splits import Fold, leave_group_out

__all__ = ["Emphasis", "check_outliers", "check_weighable", "out_of_fold", "outliers", "ridge"]

Floats = npt.NDArray[np.float64]

FOLDS = 5
"""Parts of the training rows, each predicted by a ridge regression on the others."""
NORMAL = 1.4826
"""Standard deviation of a normal variable over its median absolute deviation (Rousseeuw & Croux 1993)."""


@dataclass(frozen=True, slots=True)
class Emphasis:
    """What counts among training rows; by default all of them alike.

    Attributes
    ----------
    weights : (n,) of the rows; None weighs all alike
    outliers : rows further off than so many robust standard deviations are left out; None leaves none out
    seed : of the folds by which they are found
    """

    weights: Floats | None = None
    outliers: float | None = None
    seed: int = 0

    def take(self, rows: npt.NDArray[Any]) -> Emphasis:
        """Return that of some rows, numbers or a mask."""
        return self if self.weights is None else replace(self, weights=self.weights[rows])

    def fit(
        self, estimator: Any, X: npt.NDArray[Any], y: npt.NDArray[Any], context: Context
    ) -> tuple[Any, npt.NDArray[np.bool_]]:
        """Fit an estimator on the rows that count; return it, and which rows were left out (n,)."""
        if self.outliers is None:
            return fit(estimator, X, y, context, sample_weight=self.weights), np.zeros(len(y), bool)
        left_out = outliers(X, y, context.groups, self.outliers, self.seed)
        kept = ~left_out
        weights = None if self.weights is None else self.weights[kept]
        return fit(estimator, X[kept], y[kept], context.take(kept), sample_weight=weights), left_out


def out_of_fold(
    estimator: Any,
    X: npt.NDArray[Any],
    y: npt.NDArray[Any],
    context: Context,
    folds: list[Fold],
    emphasis: Emphasis,
    advance: Any = lambda steps: None,
) -> tuple[Floats, list[int]]:
    """Predict every row by a model that saw nothing of its fold.

    Returns
    -------
    Predictions (n,), NaN for a row that no fold holds out; and how many of each fold's training rows were left out
    """
    from sklearn.base import clone

    predicted, left_out = np.full(len(y), np.nan), []
    for seen, held_out in folds:
        model, dropped = emphasis.take(seen).fit(clone(estimator), X[seen], y[seen], context.take(seen))
        predicted[held_out] = model.predict(X[held_out])
        left_out.append(int(dropped.sum()))
        advance(1)
    return predicted, left_out


def outliers(
    X: npt.NDArray[Any], y: npt.NDArray[Any], groups: npt.NDArray[Any] | None, limit: float, seed: int
) -> npt.NDArray[np.bool_]:
    """Find the rows that a ridge regression on other rows misses by far.

    Each of up to `FOLDS` parts, of whole groups where there are two, is predicted by a ridge regression on the others.

    Parameters
    ----------
    X, y : (n, k) and (n,), rows to learn from
    groups : (n,), rows of one label are predicted together
    limit : in robust standard deviations of the residuals around their median
    seed : of the parts

    Returns
    -------
    (n,), True where the residual is further off than the limit
    """
    labels = np.arange(len(y)) if groups is None or len(np.unique(groups)) < 2 else groups
    folds = leave_group_out(labels, min(FOLDS, len(np.unique(labels))), seed)
    residual = y - plain_out_of_fold(ridge(), X, y, Context(labels), folds)
    off = np.abs(residual - np.median(residual))
    spread = NORMAL * float(np.median(off))
    return np.asarray(off > limit * spread) if spread > 0 else np.zeros(len(y), bool)


def ridge() -> Any:
    """Make a ridge regression on standardised predictors, its penalty by leave-one-out."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))


def check_weighable(name: str, estimator: Any) -> None:
    """Refuse an estimator whose `fit` takes no weights.

    Raises
    ------
    UsageError
        If it has no parameter `sample_weight`.
    """
    if "sample_weight" not in signature(estimator.fit).parameters:
        msg = f"The downscaler {name} takes no weights of rows (sample_weight); leave --weights out, or train another"
        raise UsageError(msg)


def check_outliers(limit: float | None) -> float | None:
    """Return a limit for outliers, or refuse one that would leave out half of the rows."""
    if limit is not None and not limit > 1:
        msg = f"--outliers {limit:g} is out of range; give robust standard deviations above 1, for example 4"
        raise UsageError(msg)
    return limit
