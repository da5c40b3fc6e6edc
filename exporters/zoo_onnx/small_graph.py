"""A compressed network as an ONNX graph: ramps, then layers, and the doubt on top of the first hidden one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from zoo.inference.certified import Certificate
from zoo_onnx.doubt import Doubt
from zoo_onnx.selection import SmallNetwork
from zoo_onnx.trained import Ramps

OPSET, IR = 17, 8

BATCH = 1024
"""Rows at once that suit it: its layers are narrow, and each run costs some microseconds by itself."""

Doubles = npt.NDArray[np.float64]


def build(network: SmallNetwork, certificate: Certificate, doubt: Doubt) -> onnx.ModelProto:
    """Build the graph.

    Input `X` float32 (n, k) within the certificate's box; outputs `y` float32 (n, 1), m3 m-3, and `unsure` bool (n, 1),
    where `y` should not be trusted.
    """
    corner = np.array(certificate.low)
    layers = [_climb(network.coding(), corner)]
    for kernel, shift, bent in zip(network.weights, network.biases, network.bent, strict=True):
        layers.append((kernel.detach().double().numpy(), shift.detach().double().numpy(), "Sigmoid" if bent else ""))
    # the corner is taken off before anything is multiplied: 1,400 m or 300 K lose no digits in float32
    nodes = [helper.make_node("Sub", ["X", "corner"], ["above"])]
    constants = [_constant("corner", corner)]
    below, first = "above", ""
    for number, (weight, bias, curve) in enumerate(_merged(layers)):
        constants += [_constant(f"weight_{number}", weight), _constant(f"bias_{number}", bias)]
        nodes.append(helper.make_node("Gemm", [below, f"weight_{number}", f"bias_{number}"], [f"total_{number}"]))
        below = f"total_{number}"
        if curve:
            limits = ["zero", "one"] if curve == "Clip" else []
            constants += [_constant(name, np.array(value)) for name, value in zip(limits, (0.0, 1.0), strict=False)]
            nodes.append(helper.make_node(curve, [below, *limits], [f"layer_{number}"]))
            below = f"layer_{number}"
            first = first or (below if curve == "Sigmoid" else "")
    nodes.append(helper.make_node("Identity", [below], ["y"]))
    _add_doubt(doubt, first, nodes, constants)
    graph = helper.make_graph(
        nodes,
        "compressed_network",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", len(corner)])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("unsure", TensorProto.BOOL, ["n", 1]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    helper.set_model_props(model, {"batch": str(BATCH)})
    return model


def _add_doubt(doubt: Doubt, first: str, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> None:
    for number, (weight, bias) in enumerate(zip(doubt.weights, doubt.biases, strict=True)):
        constants += [_constant(f"doubt_weight_{number}", weight.double().numpy())]
        constants += [_constant(f"doubt_bias_{number}", bias.double().numpy())]
    nodes += [
        helper.make_node("Gemm", [first, "doubt_weight_0", "doubt_bias_0"], ["doubt_apart"]),
        helper.make_node("Mul", ["doubt_apart", "doubt_apart"], ["doubt_square"]),
        helper.make_node("Gemm", ["doubt_square", "doubt_weight_1", "doubt_bias_1"], ["doubt"]),
        helper.make_node("Greater", ["doubt", "nothing"], ["unsure"]),
    ]
    constants.append(_constant("nothing", np.array(0.0)))


def _climb(ramps: Ramps, corner: Doubles) -> tuple[Doubles, Doubles, str]:
    """Write the ramps as a layer; one that bends nowhere within the box has no curve and merges into the next."""
    slopes = np.zeros((len(corner), len(ramps.low)))
    slopes[ramps.column, np.arange(len(ramps.low))] = ramps.slope
    feet = (corner[ramps.column] - ramps.low) * ramps.slope
    return slopes, feet, "" if ramps.straight else "Clip"


def _merged(layers: list[tuple[Doubles, Doubles, str]]) -> list[tuple[Doubles, Doubles, str]]:
    """Multiply out two layers with nothing in between where that is no more work."""
    kept: list[tuple[Doubles, Doubles, str]] = []
    for weight, bias, curve in layers:
        if kept and not kept[-1][2]:
            first, offset, _ = kept[-1]
            if first.shape[0] * weight.shape[1] <= first.size + weight.size:
                kept[-1] = (first @ weight, offset @ weight + bias, curve)
                continue
        kept.append((weight, bias, curve))
    return kept


def _constant(name: str, value: Doubles) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name)
