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
BATCH = 32768
"""Rows that suit the graph: one tree, which fits a core's cache, answers them all before the next one comes."""
SUMMED = 16
"""Trees whose answers are added at once: bounds the memory of a batch."""


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
    """Build the graph: input `X` float32 (n, k), output `y` float32 (n, 1), the mean over the trees.

    Each tree is an operator of its own. Within one operator onnxruntime sends each row through all trees, which
    fetches every tree anew for every row: 2 to 2.7 times slower with 106 trees of depth 14 (onnxruntime 1.31).
    """
    from onnx import TensorProto, helper

    count = len(state["offsets"]) - 1
    nodes = [
        helper.make_node("TreeEnsembleRegressor", ["X"], [f"tree_{tree}"], domain="ai.onnx.ml", **_tree(state, tree))
        for tree in range(count)
    ]
    sums = []
    for number, first in enumerate(range(0, count, SUMMED)):
        trees = [f"tree_{tree}" for tree in range(first, min(first + SUMMED, count))]
        sums.append(f"sum_{number}")
        nodes.append(helper.make_node("Sum", trees, [sums[-1]]))
    nodes.append(helper.make_node("Sum", sums, ["y"]))
    graph = helper.make_graph(
        nodes,
        "random_forest",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", int(state["features"][0])])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR)
    helper.set_model_props(model, {"batch": str(BATCH)})
    return model


def _tree(state: Mapping[str, npt.NDArray[Any]], tree: int) -> dict[str, Any]:
    """Return the operator's attributes for one tree; the mean is a sum of leaves that are divided beforehand."""
    offsets = state["offsets"]
    own = slice(int(offsets[tree]), int(offsets[tree + 1]))
    leaf = state["left"][own] < 0
    node = np.arange(len(leaf))
    return {
        "n_targets": 1,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
        "nodes_treeids": [0] * len(leaf),
        "nodes_nodeids": node.tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_featureids": np.where(leaf, 0, state["feature"][own]).tolist(),
        "nodes_values": state["threshold"][own].tolist(),
        "nodes_truenodeids": np.where(leaf, 0, state["left"][own]).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, state["right"][own]).tolist(),
        "target_treeids": [0] * int(leaf.sum()),
        "target_nodeids": node[leaf].tolist(),
        "target_ids": [0] * int(leaf.sum()),
        "target_weights": (state["value"][own][leaf] / (len(offsets) - 1)).tolist(),
    }
