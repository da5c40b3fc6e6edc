"""Gradient boosting that knows how to become arrays and ONNX: a `zoo.types.Downscaler`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.utils.validation import check_is_fitted, validate_data

from zoo_gbm import graph

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx


class GradientBoosting(RegressorMixin, BaseEstimator):  # type: ignore[misc,unused-ignore]
    """Gradient-boosted regression trees (Friedman 2001, doi:10.1214/aos/1013203451), squared loss.

    Predictors are taken in their own units: trees need no scaling.

    Parameters
    ----------
    n_estimators : number of trees
    learning_rate : share of each tree's answer that is added
    max_depth : levels of a tree
    min_samples_leaf : fewest rows in a leaf
    subsample : share of the rows drawn for each tree
    random_state : seed; the same seed gives the same trees
    """

    parity_tolerance: ClassVar[float] = 1e-6
    """Largest difference that an export may show on its test vectors, m3 m-3; only float32 sums are rounded."""

    def __init__(
        self,
        n_estimators: int = 200,
        *,
        learning_rate: float = 0.05,
        max_depth: int = 3,
        min_samples_leaf: int = 3,
        subsample: float = 0.7,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.subsample = subsample
        self.random_state = random_state

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        groups: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : (n, k), predictors without NaN
        y : (n,), soil moisture, m3 m-3
        groups : not used: nothing is held out here
        sample_weight : (n,), weight of each row
        """
        X, y = validate_data(self, X, y, dtype=np.float32, y_numeric=True)
        model = GradientBoostingRegressor(**self.get_params(deep=False))
        self.model_ = model.fit(X, y, sample_weight=sample_weight)
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Soil moisture for X (n, k), shape (n,), m3 m-3."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        answers: npt.NDArray[np.float64] = self.model_.predict(X)
        return answers

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the first guess and all trees as arrays, one entry a node; see `zoo_gbm.graph`."""
        check_is_fitted(self)
        first_guess = float(np.ravel(self.model_.init_.constant_)[0])
        trees = [member.tree_ for member in self.model_.estimators_[:, 0]]
        return graph.flatten(trees, first_guess, self.learning_rate, self.n_features_in_)

    @staticmethod
    def to_onnx(state: Mapping[str, npt.NDArray[Any]]) -> onnx.ModelProto:
        """Build the graph from `state()`: input `X` float32 (n, k), output `y` float32 (n, 1), opset 17."""
        return graph.build(state)
