"""A random forest that knows how to become arrays and ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from zoo_rf import graph

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx


class RandomForest(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Random forest regression (Breiman 2001) from predictors in their own units to soil moisture.

    Training is scikit-learn's; a forest needs no scaling. Equal rows are merged and their weights added first, so
    that a weight counts like repetitions and the order of rows has no effect. Parameters bear scikit-learn's names.
    The defaults did best, among six sets, on 300 rows of real soil moisture with regions held out; the paper's
    Table 6 is the preset `paper`.

    Parameters
    ----------
    n_estimators : number of trees
    max_depth : deepest level of a tree, None for no limit
    max_features : share (float), number (int), "sqrt" or "log2" of predictors tried at a split
    min_samples_leaf : fewest rows in a leaf
    min_samples_split : fewest rows in a node that is split
    max_samples : share or number of rows drawn for a tree; None for as many as there are
    bootstrap : whether each tree sees a draw of the rows, or all of them
    random_state : seed; the same seed gives the same forest whatever `n_jobs`
    n_jobs : threads in training, -1 for all
    """

    parity_tolerance: ClassVar[float] = 1e-6
    """Largest difference that an export may show on its test vectors, m3 m-3: branches are taken exactly, so
    only the rounding of a sum of float32 is left."""

    def __init__(
        self,
        n_estimators: int = 300,
        *,
        max_depth: int | None = None,
        max_features: float | int | str | None = 1 / 3,
        min_samples_leaf: float | int = 3,
        min_samples_split: float | int = 2,
        max_samples: float | int | None = None,
        bootstrap: bool = True,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = -1,
    ) -> None:
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.max_features = max_features
        self.min_samples_leaf = min_samples_leaf
        self.min_samples_split = min_samples_split
        self.max_samples = max_samples
        self.bootstrap = bootstrap
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        groups: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Grow the forest.

        Parameters
        ----------
        X : (n, k), predictors without NaN
        y : (n,), soil moisture, m3 m-3
        groups : not used; a forest holds nothing out
        sample_weight : (n,), weight of each row
        """
        checked_X, checked_y = validate_data(self, X, y, dtype=np.float32, y_numeric=True)
        checked_weight = _check_sample_weight(sample_weight, checked_X, ensure_non_negative=True)
        rows, target, weight = merge_equal_rows(checked_X, checked_y, checked_weight)
        # scikit-learn draws other samples with equal weights than without any
        given = None if (weight == weight[0]).all() else weight
        self.forest_ = RandomForestRegressor(**self.get_params(deep=False)).fit(rows, target, sample_weight=given)
        # threads add up the trees in the order in which they end: one thread gives the same bits every time
        self.forest_.n_jobs = 1
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Soil moisture for X (n, k), shape (n,), m3 m-3."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        answers: npt.NDArray[np.float64] = self.forest_.predict(X)
        return answers

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """All trees as arrays, one entry a node; see `zoo_rf.graph`."""
        check_is_fitted(self)
        return graph.flatten([member.tree_ for member in self.forest_.estimators_], self.n_features_in_)

    @staticmethod
    def to_onnx(state: Mapping[str, npt.NDArray[Any]]) -> onnx.ModelProto:
        """Build the graph from `state()`: input `X` float32 (n, k), output `y` float32 (n, 1), opset 17."""
        return graph.build(state)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "forest_")


def merge_equal_rows(
    X: npt.NDArray[np.float32], y: npt.NDArray[Any], weight: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return each different row of (X, y) that has a weight once, sorted, with the sum of its weights.

    Bootstrapping would else draw other samples from a row of weight two than from the same row twice.
    """
    kept = weight > 0
    table = np.column_stack([X[kept].astype(np.float64), y[kept]])
    rows, place = np.unique(table, axis=0, return_inverse=True)
    summed = np.bincount(place.ravel(), weight[kept], len(rows)).astype(np.float64)
    return rows[:, :-1].astype(np.float32), rows[:, -1], summed
