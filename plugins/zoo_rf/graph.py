"""A forest as flat arrays, and the arrays as an ONNX graph that takes every branch as scikit-learn does.

State: `offsets` (trees + 1,) int64, where each tree's nodes begin; for all nodes one after the other `feature` int32
(-1 at a leaf), `threshold` float32, `left` and `right` int32 (numbers within the tree, -1 at a leaf) and `value`
float64 (mean soil moisture of the node, m3 m-3); `features` (1,) int64, the number of predictors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

OPSET, OPSET_ML, IR = 17, 3, 8
"""Versions of the graph; TreeEnsemble of `ai.onnx.ml` 5 was no faster (onnxruntime 1.31) and needs a newer runtime."""


def flatten(trees: Sequence[Any], features: int) -> dict[str, npt.NDArray[Any]]:
    """Join scikit-learn's trees into arrays.

    scikit-learn compares float32 predictors with float64 thresholds, `x <= t`. For float32 x that is the same as
    `x <= t'` with t' the largest float32 not above t, which is what is kept.
    """
    threshold = np.concatenate([tree.threshold for tree in trees])
    leaf = np.concatenate([tree.children_left for tree in trees]) < 0
    return {
        "offsets": np.cumsum([0, *(tree.node_count for tree in trees)], dtype=np.int64),
        "feature": np.where(leaf, -1, np.concatenate([tree.feature for tree in trees])).astype(np.int32),
        "threshold": np.where(leaf, np.float32(0), round_down(threshold)),
        "left": np.concatenate([tree.children_left for tree in trees]).astype(np.int32),
        "right": np.concatenate([tree.children_right for tree in trees]).astype(np.int32),
        "value": np.concatenate([tree.value[:, 0, 0] for tree in trees]).astype(np.float64),
        "features": np.array([features], np.int64),
    }


def round_down(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the largest float32 that is not above each value."""
    nearest = values.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest.astype(np.float64) > values, below, nearest)


def build(state: Mapping[str, npt.NDArray[Any]]) -> onnx.ModelProto:
    """Build the graph: input `X` float32 (n, k), output `y` float32 (n, 1), the mean over the trees."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("TreeEnsembleRegressor", ["X"], ["y"], domain="ai.onnx.ml", **_attributes(state))],
        "random_forest",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", int(state["features"][0])])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR)


def _attributes(state: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Return the operator's attributes; the mean is a sum of leaves that are divided beforehand."""
    sizes = np.diff(state["offsets"])
    tree = np.repeat(np.arange(len(sizes)), sizes)
    node = np.arange(len(tree)) - state["offsets"][tree]
    leaf = state["left"] < 0
    return {
        "n_targets": 1,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": node.tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_featureids": np.where(leaf, 0, state["feature"]).tolist(),
        "nodes_values": state["threshold"].tolist(),
        "nodes_truenodeids": np.where(leaf, 0, state["left"]).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, state["right"]).tolist(),
        "target_treeids": tree[leaf].tolist(),
        "target_nodeids": node[leaf].tolist(),
        "target_ids": [0] * int(leaf.sum()),
        "target_weights": (state["value"][leaf] / len(sizes)).tolist(),
    }
