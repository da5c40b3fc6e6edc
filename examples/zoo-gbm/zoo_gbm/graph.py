"""Boosted trees as flat arrays, and the arrays as an ONNX graph that takes every branch as scikit-learn does.

State: `tree` and `node` int64, which tree a node belongs to and its number in it; `feature` int32 (-1 at a leaf);
`threshold` float32; `left` and `right` int32, the next node where x <= threshold and where not; `value` float64, what
a leaf adds, m3 m-3; `first_guess` (1,) float64, what the trees correct; `features` (1,) int64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

OPSET, OPSET_ML, IR = 17, 3, 8


def flatten(
    trees: Sequence[Any], first_guess: float, learning_rate: float, features: int
) -> dict[str, npt.NDArray[Any]]:
    """Join scikit-learn's trees (`sklearn.tree._tree.Tree`) into arrays."""
    leaf = np.concatenate([tree.children_left for tree in trees]) < 0
    return {
        "tree": np.repeat(np.arange(len(trees)), [tree.node_count for tree in trees]),
        "node": np.concatenate([np.arange(tree.node_count) for tree in trees]),
        "feature": np.where(leaf, -1, np.concatenate([tree.feature for tree in trees])).astype(np.int32),
        "threshold": np.where(leaf, np.float32(0), round_down(np.concatenate([tree.threshold for tree in trees]))),
        "left": np.concatenate([tree.children_left for tree in trees]).astype(np.int32),
        "right": np.concatenate([tree.children_right for tree in trees]).astype(np.int32),
        "value": learning_rate * np.concatenate([tree.value[:, 0, 0] for tree in trees]).astype(np.float64),
        "first_guess": np.array([first_guess], np.float64),
        "features": np.array([features], np.int64),
    }


def round_down(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the largest float32 that is not above each threshold.

    scikit-learn asks whether a float32 predictor is <= a float64 threshold; the answer is the same with this one.
    """
    nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def build(state: Mapping[str, npt.NDArray[Any]]) -> onnx.ModelProto:
    """Build the graph: input `X` float32 (n, k), output `y` float32 (n, 1)."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("TreeEnsembleRegressor", ["X"], ["y"], domain="ai.onnx.ml", **_attributes(state))],
        "gradient_boosting",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", int(state["features"][0])])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR)


def _attributes(state: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    leaf = state["left"] < 0
    return {
        "n_targets": 1,
        "aggregate_function": "SUM",
        "base_values": state["first_guess"].tolist(),
        "post_transform": "NONE",
        "nodes_treeids": state["tree"].tolist(),
        "nodes_nodeids": state["node"].tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_featureids": np.where(leaf, 0, state["feature"]).tolist(),
        "nodes_values": state["threshold"].tolist(),
        "nodes_truenodeids": np.where(leaf, 0, state["left"]).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, state["right"]).tolist(),
        "target_treeids": state["tree"][leaf].tolist(),
        "target_nodeids": state["node"][leaf].tolist(),
        "target_ids": [0] * int(leaf.sum()),
        "target_weights": state["value"][leaf].tolist(),
    }
