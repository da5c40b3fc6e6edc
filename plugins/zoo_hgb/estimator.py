"""Gradient boosting on histograms that knows how to become arrays and ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from zoo_hgb import graph
from zoo_rf.estimator import merge_equal_rows

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx


class HistogramGradientBoosting(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Gradient boosting (Friedman 2001, doi:10.1214/aos/1013203451) on binned predictors in their own units.

    Training is scikit-learn's, after LightGBM (Ke et al. 2017). Equal rows are merged and their weights added first,
    so that a weight counts like repetitions and the order of rows has no effect. Parameters bear scikit-learn's names.

    Parameters
    ----------
    max_iter : number of trees
    learning_rate : share of each tree's answer that is added
    max_leaf_nodes : most leaves of a tree, None for no limit
    max_depth : deepest level of a tree, None for no limit
    min_samples_leaf : fewest rows in a leaf
    l2_regularization : penalty on the leaves' answers
    max_features : share of predictors tried at a split
    max_bins : bins of a predictor
    random_state : seed; of the predictors tried at a split, and of the rows that bins are made from if there are many
    """

    parity_tolerance: ClassVar[float] = 1e-6
    """Largest difference that an export may show on its test vectors, m3 m-3: branches are taken exactly, so
    only the rounding of a sum of float32 is left."""

    def __init__(
        self,
        max_iter: int = 400,
        *,
        learning_rate: float = 0.05,
        max_leaf_nodes: int | None = 31,
        max_depth: int | None = None,
        min_samples_leaf: int = 20,
        l2_regularization: float = 1.0,
        max_features: float = 1.0,
        max_bins: int = 255,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.max_features = max_features
        self.max_bins = max_bins
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
        groups : not used; nothing is held out
        sample_weight : (n,), weight of each row
        """
        checked_X, checked_y = validate_data(self, X, y, dtype=np.float32, y_numeric=True)
        checked_weight = _check_sample_weight(sample_weight, checked_X, ensure_non_negative=True)
        rows, target, weight = merge_equal_rows(checked_X, checked_y, checked_weight)
        # l2_regularization is measured against the weights: equal ones must count as 1 each
        given = None if (weight == weight[0]).all() else weight
        trees = HistGradientBoostingRegressor(**self.get_params(deep=False), early_stopping=False)
        self.trees_ = trees.fit(rows, target, sample_weight=given)
        self.n_iter_ = int(trees.n_iter_)
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Soil moisture for X (n, k), shape (n,), m3 m-3."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        answers: npt.NDArray[np.float64] = self.trees_.predict(X)
        return answers

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the first guess and all trees as arrays, one entry a node; see `zoo_hgb.graph`."""
        check_is_fitted(self)
        nodes = [stage[0].nodes for stage in self.trees_._predictors]
        return graph.flatten(nodes, float(np.ravel(self.trees_._baseline_prediction)[0]), self.n_features_in_)

    @staticmethod
    def to_onnx(state: Mapping[str, npt.NDArray[Any]]) -> onnx.ModelProto:
        """Build the graph from `state()`: input `X` float32 (n, k), output `y` float32 (n, 1), opset 17."""
        return graph.build(state)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "trees_")
