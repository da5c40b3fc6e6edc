"""A compiled network in fewer bits: float16 for CUDA, 8-bit integers (quantise-dequantise pairs) for the CPU.

What becomes narrower are the wide layers whose input is bounded (behind a sigmoid or a clip). The input coding stays
float32: 1,400 m and 300 K have no digits to spare.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from zoo.inference.certified import Certificate, NotCertifiedError
from zoo.inference.runtime import Session
from zoo_onnx.certificate import LEAST_PIXELS, certify, measure

WIDE = 64
"""Outputs from which on a layer is worth it."""
BOUNDED = frozenset({"Sigmoid", "Tanh", "Clip", "HardSigmoid", "Softsign"})
PRODUCTS = frozenset({"Gemm", "MatMul"})
CURVES = frozenset({"Sigmoid", "Tanh", "Relu", "Softplus", "Softsign"})
WORST = 0.01
"""No certificate is given beyond this, m3 m-3: a quarter of what SMAP aims at."""
SMALLEST = 1e-6
LEAST_GAIN = 1.1
TIMED, RUNS = 4096, 3
"""Rows and pairs of runs by which int8 has to show that it is faster."""
STEPS = 255
"""Steps of an 8-bit activation; a sigmoid's go from 0 to 1."""

Array = npt.NDArray[Any]


def narrowed(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """Return a copy of a packaged model in the precision `fp16` or `int8`; its metadata say so."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    {"fp16": _half, "int8": _quantised}[precision](copy)
    used = {name for node in copy.graph.node for name in node.input}
    kept = [tensor for tensor in copy.graph.initializer if tensor.name in used]
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(kept)
    properties = {item.key: item.value for item in model.metadata_props} | {"precision": precision}
    helper.set_model_props(copy, properties)
    onnx.checker.check_model(copy, full_check=True)
    return copy


def certified(dense: bytes, pixels: npt.NDArray[np.float32], precision: str) -> tuple[bytes, dict[str, Any]]:
    """Narrow a packaged model and measure on pixels (n, k) what that changes: the file, and the registry's parity.

    The certificate's tolerance is what was measured, rounded up. float16 is measured on the CPU, where onnxruntime
    adds up in float32; on a GPU the model's test vectors are held to it when the session is opened.

    Raises
    ------
    NotCertifiedError
        If the change is above `WORST`, pixels are too few, nothing could be narrowed, or 8 bits are not faster here.
    """
    rows = np.unique(pixels[np.isfinite(pixels).all(axis=1)], axis=0)
    box = Certificate(WORST, tuple(rows.min(axis=0).tolist()), tuple(rows.max(axis=0).tolist())) if len(rows) else None
    if box is None or len(rows) < LEAST_PIXELS:
        msg = f"{len(rows)} pixels do not make a certificate, {LEAST_PIXELS} do; give more with --calibrate"
        raise NotCertifiedError(msg)
    model = narrowed(onnx.load_from_string(dense), precision)
    if [node.op_type for node in model.graph.node] == [
        node.op_type for node in onnx.load_from_string(dense).graph.node
    ]:
        msg = f"The model has no wide layer behind a bounded one; {precision} changes nothing; use the dense form"
        raise NotCertifiedError(msg)
    wide, narrow = (Session(content, device="cpu") for content in (dense, model.SerializeToString()))
    found = measure(narrow, wide, rows, WORST)
    tolerance = _rounded_up(max(found["max"], 2 * found["p99.9"]))
    if precision == "int8" and (gain := _gain(narrow, wide, rows)) < LEAST_GAIN:
        msg = f"In int8 the model runs at {gain:.2g} times the speed of float32 on this processor; not worth it"
        raise NotCertifiedError(msg)
    box = replace(box, tolerance=tolerance)
    properties = {item.key: item.value for item in model.metadata_props} | {"certificate": box.text()}
    helper.set_model_props(model, properties)
    content: bytes = model.SerializeToString(deterministic=True)
    return content, certify(content, wide, rows, replace(box, tolerance=min(tolerance, WORST)))


def _rounded_up(value: float) -> float:
    """Round up to one digit."""
    if not value > 0:
        return SMALLEST
    digit = 10.0 ** math.floor(math.log10(value))
    return max(SMALLEST, float(f"{math.ceil(value / digit) * digit:.1g}"))


def _gain(narrow: Session, wide: Session, rows: npt.NDArray[np.float32]) -> float:
    """Return how many times faster the narrow one is on some rows: the median of paired runs."""
    some = np.resize(rows, (TIMED, rows.shape[1]))

    def seconds(session: Session) -> float:
        start = time.perf_counter()
        session.predict(some)
        return time.perf_counter() - start

    seconds(wide), seconds(narrow)
    return statistics.median(seconds(wide) / seconds(narrow) for _ in range(RUNS))


def _half(model: onnx.ModelProto) -> None:
    """Run layers in float16 from the first wide one on to where another operator reads them."""
    graph, constants = model.graph, _constants(model)
    bounded, half, nodes = _bounded(model), set[str](), list[onnx.NodeProto]()
    cast: dict[str, str] = {}

    def as_type(name: str, kind: int) -> str:
        key = f"{name}/{TensorProto.DataType.Name(kind).lower()}"
        if key not in cast:
            cast[key] = key
            nodes.append(helper.make_node("Cast", [name], [key], to=kind))
        return cast[key]

    for node in graph.node:
        given = node.input[0] if node.input else ""
        layer = node.op_type in PRODUCTS and len(node.input) > 1 and node.input[1] in constants
        wide = layer and given in bounded and constants[node.input[1]].shape[1] >= WIDE
        if wide or (given in half and (layer or node.op_type in CURVES)):
            if given not in half:
                node.input[0] = as_type(given, TensorProto.FLOAT16)
            for place in range(1, len(node.input)):
                node.input[place] = _constant(graph, node.input[place], constants, np.float16)
            half.add(node.output[0])
        else:
            for place, name in enumerate(node.input):
                if name in half:
                    node.input[place] = as_type(name, TensorProto.FLOAT)
        nodes.append(node)
    _replace(graph, nodes)


def _quantised(model: onnx.ModelProto) -> None:
    """Multiply in 8-bit integers behind each sigmoid, with one scale a column of the weights."""
    graph, constants = model.graph, _constants(model)
    curve = {node.output[0] for node in graph.node if node.op_type == "Sigmoid"}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        wide = (
            node.op_type in PRODUCTS and node.input[0] in curve and constants[node.input[1]].shape[1] >= WIDE
            if len(node.input) > 1 and node.input[1] in constants
            else False
        )
        nodes += _in_integers(graph, node, constants) if wide else [node]
    _replace(graph, nodes)


def _in_integers(graph: onnx.GraphProto, node: onnx.NodeProto, constants: Mapping[str, Array]) -> list[onnx.NodeProto]:
    given, name = node.input[0], node.input[1]
    weight = constants[name].astype(np.float64)
    scale = np.maximum(np.abs(weight).max(axis=0), 1e-30) / 127
    offset = constants[node.input[2]] if len(node.input) > 2 else np.zeros(len(scale))
    product = node.output[0]
    added = {
        f"{name}/int8": np.clip(np.round(weight / scale), -127, 127).astype(np.int8),
        f"{name}/scale": scale.astype(np.float32),
        f"{name}/zero": np.zeros(len(scale), np.int8),
        f"{product}/offset": np.round(offset / (scale / STEPS)).astype(np.int32),
        f"{product}/offset_scale": (scale / STEPS).astype(np.float32),
        f"{product}/offset_zero": np.zeros(len(scale), np.int32),
        f"{given}/scale": np.float32(1 / STEPS),
        f"{given}/zero": np.uint8(0),
    }
    present = {tensor.name for tensor in graph.initializer}
    for key, value in added.items():
        if key not in present:
            graph.initializer.append(numpy_helper.from_array(np.asarray(value), key))
    pair = [f"{given}/scale", f"{given}/zero"]
    kernel = [f"{name}/int8", f"{name}/scale", f"{name}/zero"]
    bias = [f"{product}/offset", f"{product}/offset_scale", f"{product}/offset_zero"]
    parts = [f"{product}/{part}" for part in ("steps", "given", "weight", "bias")]
    # onnxruntime makes one integer product of this pattern; as MatMul and Add it would multiply in float32
    return [
        helper.make_node("QuantizeLinear", [given, *pair], [parts[0]]),
        helper.make_node("DequantizeLinear", [parts[0], *pair], [parts[1]]),
        helper.make_node("DequantizeLinear", kernel, [parts[2]], axis=1),
        helper.make_node("DequantizeLinear", bias, [parts[3]], axis=0),
        helper.make_node("Gemm", parts[1:], [product]),
    ]


def _bounded(model: onnx.ModelProto) -> set[str]:
    """Return tensors that depend on predictors through a bounded function only."""
    bounded = set(_constants(model))
    for node in model.graph.node:
        if node.op_type in BOUNDED or all(name in bounded for name in node.input if name):
            bounded.update(node.output)
    return bounded


def _constants(model: onnx.ModelProto) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _constant(graph: onnx.GraphProto, name: str, constants: Mapping[str, Array], dtype: type) -> str:
    """Add a constant in another type under a name of its own."""
    key = f"{name}/{np.dtype(dtype).name}"
    if all(tensor.name != key for tensor in graph.initializer):
        graph.initializer.append(numpy_helper.from_array(constants[name].astype(dtype), key))
    return key


def _replace(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
