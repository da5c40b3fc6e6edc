"""The trained network as an ONNX graph, built from its state; torch is not needed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
"""What belongs to opset 17, so that runtimes of that age read the file."""


class _Graph:
    """Nodes and constants in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: npt.ArrayLike, dtype: type = np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype), name))
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output


def build_model(state: Mapping[str, npt.NDArray[Any]]) -> onnx.ModelProto:
    """Build the graph from `DeepBeliefNetwork.state()`.

    Input `X` float32 (n, k) in the predictors' own units, output `y` float32 (n, 1), m3 m-3; the batch is free.
    """
    graph = _Graph()
    codes = _encode(graph, state)
    _answer(graph, state, codes)
    width = int(state["coding/column"].max()) + 1
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", width])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])]
    built = helper.make_graph(graph.nodes, "deep_belief_network", inputs, outputs, graph.constants)
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def _encode(graph: _Graph, state: Mapping[str, npt.NDArray[Any]]) -> str:
    """Add the ramps of `scaling.Coding`.

    A product with ones and zeros picks the predictors, and exactly: onnxruntime's Gather along rows took most of
    the coding's time, a fifth of that of a whole network of 1000-1000 units (660 ramps, onnxruntime 1.31).
    """
    column = state["coding/column"]
    pick = np.zeros((int(column.max()) + 1, len(column)))
    pick[column, np.arange(len(column))] = 1
    feet = graph.constant("feet", -state["coding/low"])
    above = graph.add("Gemm", ["X", graph.constant("pick", pick), feet], "above_foot")
    rise = graph.add("Mul", [above, graph.constant("slope", state["coding/slope"])], "rise")
    ramps = graph.add("Clip", [rise, graph.constant("zero", 0.0), graph.constant("one", 1.0)], "ramps")
    mixing, offset = (graph.constant(name, state[f"coding/{name}"]) for name in ("mixing", "offset"))
    return graph.add("Gemm", [ramps, mixing, offset], "codes")


def _answer(graph: _Graph, state: Mapping[str, npt.NDArray[Any]], codes: str) -> None:
    """Add each member's layers, and their mean in the target's units; both are folded into the head's weights."""
    head = sum(name.startswith("weight/") for name in state) - 1
    members = len(state["weight/0"])
    offset, scale = (float(value) for value in state["target"])
    answers = []
    for member in range(members):
        below = codes
        for layer in range(head):
            below = _layer(graph, state, below, layer, member)
        weight = state[f"weight/{head}"][member].astype(float) * scale / members
        name = graph.constant(f"weight_{member}_{head}", weight)
        answers.append(graph.add("MatMul", [below, name], f"answer_{member}"))
    total = graph.add("Sum", answers, "total")
    bias = offset + scale * float(state[f"bias/{head}"].astype(float).mean())
    graph.add("Add", [total, graph.constant("bias", [bias])], "y")


def _layer(graph: _Graph, state: Mapping[str, npt.NDArray[Any]], below: str, layer: int, member: int) -> str:
    weight = graph.constant(f"weight_{member}_{layer}", state[f"weight/{layer}"][member])
    bias = graph.constant(f"bias_{member}_{layer}", state[f"bias/{layer}"][member, 0])
    total = graph.add("Gemm", [below, weight, bias], f"total_{member}_{layer}")
    return graph.add("Sigmoid", [total], f"layer_{member}_{layer}")
