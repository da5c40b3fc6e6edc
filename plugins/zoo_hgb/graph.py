"""Boosted trees as flat arrays, and the arrays as an ONNX graph that takes every branch as scikit-learn does.

State: that of a forest (`zoo_rf.graph`: `offsets`, `feature`, `threshold`, `left`, `right`, `value`, `features`), where
`value` is what a leaf adds, m3 m-3, and `first_guess` (1,) float64 what the trees correct.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_rf.graph import BATCH, IR, OPSET, OPSET_ML, round_down

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

TOGETHER = 8
"""Trees in one operator."""


def flatten(trees: Sequence[npt.NDArray[Any]], first_guess: float, features: int) -> dict[str, npt.NDArray[Any]]:
    """Join scikit-learn's trees (`nodes` of its `TreePredictor`) into arrays.

    Trees are grown on float32 predictors, so the float64 threshold t may be the largest float32 not above it.
    """
    nodes = np.concatenate(trees)
    leaf = nodes["is_leaf"].astype(bool)
    return {
        "offsets": np.cumsum([0, *(len(tree) for tree in trees)], dtype=np.int64),
        "feature": np.where(leaf, -1, nodes["feature_idx"]).astype(np.int32),
        "threshold": np.where(leaf, np.float32(0), round_down(np.where(leaf, 0.0, nodes["num_threshold"]))),
        "left": np.where(leaf, -1, nodes["left"].astype(np.int64)).astype(np.int32),
        "right": np.where(leaf, -1, nodes["right"].astype(np.int64)).astype(np.int32),
        "value": np.where(leaf, nodes["value"], 0.0).astype(np.float64),
        "first_guess": np.array([first_guess], np.float64),
        "features": np.array([features], np.int64),
    }


def build(state: Mapping[str, npt.NDArray[Any]]) -> onnx.ModelProto:
    """Build the graph: input `X` float32 (n, k), output `y` float32 (n, 1), first guess and the sum over the trees."""
    from onnx import TensorProto, helper, numpy_helper

    count = len(state["offsets"]) - 1
    groups = [range(first, min(first + TOGETHER, count)) for first in range(0, count, TOGETHER)]
    sums = [f"sum_{number}" for number in range(len(groups))]
    nodes = [
        helper.make_node("TreeEnsembleRegressor", ["X"], [name], domain="ai.onnx.ml", **_trees(state, group))
        for name, group in zip(sums, groups, strict=True)
    ]
    guess = numpy_helper.from_array(state["first_guess"].astype(np.float32), "first_guess")
    nodes += [
        helper.make_node("Sum", sums, ["correction"]),
        helper.make_node("Add", ["correction", "first_guess"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "gradient_boosting",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", int(state["features"][0])])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [guess],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR)
    helper.set_model_props(model, {"batch": str(BATCH)})
    return model


def _trees(state: Mapping[str, npt.NDArray[Any]], trees: range) -> dict[str, Any]:
    """Return the attributes of an operator that sums some trees."""
    offsets = state["offsets"]
    own = slice(int(offsets[trees.start]), int(offsets[trees.stop]))
    sizes = np.diff(offsets[trees.start : trees.stop + 1])
    tree = np.repeat(np.arange(len(trees)), sizes)
    node = np.concatenate([np.arange(size) for size in sizes])
    leaf = state["left"][own] < 0
    return {
        "n_targets": 1,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": node.tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_featureids": np.where(leaf, 0, state["feature"][own]).tolist(),
        "nodes_values": state["threshold"][own].tolist(),
        "nodes_truenodeids": np.where(leaf, 0, state["left"][own]).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, state["right"][own]).tolist(),
        "target_treeids": tree[leaf].tolist(),
        "target_nodeids": node[leaf].tolist(),
        "target_ids": [0] * int(leaf.sum()),
        "target_weights": state["value"][own][leaf].tolist(),
    }
