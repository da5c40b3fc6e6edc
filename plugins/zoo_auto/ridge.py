"""Ridge regression as a downscaler: the candidate that every other has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

PENALTIES = np.logspace(-3, 3, 13)
OPSET, IR = 17, 8


class Ridge(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Linear regression with a penalty from `PENALTIES` by leave-one-out, on predictors in standard deviations."""

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        groups: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Ridge:
        """Learn; X (n, k), y (n,); `groups` are not used."""
        rows = np.asarray(X, np.float64)
        self.scaler_ = StandardScaler().fit(rows, sample_weight=sample_weight)
        self.line_ = RidgeCV(PENALTIES).fit(self.scaler_.transform(rows), y, sample_weight=sample_weight)
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Soil moisture for X (n, k), shape (n,)."""
        check_is_fitted(self, "line_")
        return np.asarray(self.line_.predict(self.scaler_.transform(np.asarray(X, np.float64))))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Means and scales of the predictors (k,), slopes (k,), and the answer at the means (1,)."""
        check_is_fitted(self, "line_")
        return {
            "mean": np.asarray(self.scaler_.mean_),
            "scale": np.asarray(self.scaler_.scale_),
            "slope": np.asarray(self.line_.coef_),
            "intercept": np.atleast_1d(self.line_.intercept_),
        }

    @staticmethod
    def to_onnx(state: Mapping[str, npt.NDArray[Any]]) -> onnx.ModelProto:
        """Build the graph from `state()`: input `X` float32 (n, k), output `y` float32 (n, 1), opset 17.

        Means are taken off before the product: slopes times reflectance in thousands would lose digits.
        """
        from onnx import TensorProto, helper, numpy_helper

        slope = (state["slope"] / state["scale"])[:, None]
        constants = {"mean": state["mean"], "slope": slope, "intercept": state["intercept"]}
        graph = helper.make_graph(
            [
                helper.make_node("Sub", ["X", "mean"], ["anomaly"]),
                helper.make_node("Gemm", ["anomaly", "slope", "intercept"], ["y"]),
            ],
            "ridge",
            [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", len(slope)])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
            [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
