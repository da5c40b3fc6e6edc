"""What is known of training rows beside predictors and target, and estimators that take of it what they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.learning.splits import Fold

__all__ = ["Context", "fit", "fit_keywords", "out_of_fold"]


@dataclass(frozen=True, slots=True)
class Context:
    """Labels of rows: what hangs together, where it is, and when.

    Attributes
    ----------
    groups : (n,), rows of one label are never on both sides of a split in space
    places : (n,), the place of each row, where a group holds several; None where the groups are the places
    times : (n,), datetime64, the time of each row; None where there is one time only, or none is known
    """

    groups: npt.NDArray[Any] | None = None
    places: npt.NDArray[Any] | None = None
    times: npt.NDArray[Any] | None = None

    def take(self, rows: npt.NDArray[Any]) -> Context:
        """Return the labels of some rows, numbers or a mask."""
        parts = (self.groups, self.places, self.times)
        return Context(*(None if part is None else part[rows] for part in parts))

    def given(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return the labels that there are, by name."""
        parts = {"groups": self.groups, "places": self.places, "times": self.times}
        return {name: part for name, part in parts.items() if part is not None}


def fit_keywords(estimator: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    """Choose from `known` what the estimator's `fit` has a parameter for."""
    parameters = signature(estimator.fit).parameters
    return {name: value for name, value in known.items() if name in parameters and value is not None}


def fit(estimator: Any, X: npt.NDArray[Any], y: npt.NDArray[Any], context: Context, **more: Any) -> Any:
    """Fit an estimator on rows, with those labels (and of `more`) that its `fit` takes."""
    return estimator.fit(X, y, **fit_keywords(estimator, {**context.given(), **more}))


def out_of_fold(
    estimator: Any,
    X: npt.NDArray[Any],
    y: npt.NDArray[Any],
    context: Context,
    folds: list[Fold],
    advance: Any = lambda steps: None,
) -> npt.NDArray[np.float64]:
    """Predict every row by a model that saw nothing of its fold, (n,); NaN for a row that no fold holds out."""
    from sklearn.base import clone

    predicted = np.full(len(y), np.nan)
    for seen, held_out in folds:
        model = fit(clone(estimator), X[seen], y[seen], context.take(seen))
        predicted[held_out] = model.predict(X[held_out])
        advance(1)
    return predicted
