"""Put a downscaler's graph into the file that predicts: named ends, the clip, the mark of clipping, and metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from zoo import __version__
from zoo.errors import ZooError
from zoo_onnx import uncertainty

if TYPE_CHECKING:
    from zoo.model.artefact import TrainedModel

OPSET, IR = 17, 8
"""Version of ONNX's own operators (ONNX 1.12) and of the file; other domains keep the version that the graph has."""

_CORE = "core/"


def package(core: onnx.ModelProto, model: TrainedModel, more: Mapping[str, str] | None = None) -> onnx.ModelProto:
    """Wrap a graph `X` -> `y` as `predictors` -> `soil_moisture`, `out_of_range`, with the model's header inside.

    The graph of a compressed model has a second output `unsure`, bool (n, 1); the answer is NaN there.
    `more` and the graph's own metadata (`batch`, rows at once that suit it) go into the file, too.

    Raises
    ------
    ZooError
        If the graph is not what `Downscaler.to_onnx` promises, or ONNX's checker refuses it.
    """
    features = len(model.features)
    _check_core(core, features, model.downscaler)
    inner = compose.add_prefix(core, _CORE).graph
    extra = uncertainty.part_of(model)
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["predictors"], [_CORE + "X"]),
            *inner.node,
            *_tail(unsure=_unsure(core)),
            *extra.nodes,
        ],
        "soil_moisture",
        [helper.make_tensor_value_info("predictors", TensorProto.FLOAT, ["n", features]), *extra.inputs],
        [
            helper.make_tensor_value_info("soil_moisture", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("out_of_range", TensorProto.BOOL, ["n", 1]),
            *extra.outputs,
        ],
        [*inner.initializer, *_limits(model.clip, unsure=_unsure(core)), *extra.constants],
        sparse_initializer=inner.sparse_initializer,
    )
    packed = helper.make_model(
        graph,
        producer_name="soil-moisture-zoo",
        producer_version=__version__,
        doc_string=f"Soil moisture (m3 m-3) by the downscaler {model.downscaler}",
        opset_imports=core.opset_import,
        functions=core.functions,
        ir_version=max(IR, core.ir_version),
    )
    helper.set_model_props(
        packed, {**_own(core), "zoo": model.header.text(), "devices": _devices(core), **extra.said, **(more or {})}
    )
    _check(packed, model.downscaler)
    return packed


def signature(model: onnx.ModelProto) -> dict[str, list[dict[str, Any]]]:
    """Describe inputs and outputs: name, shape (`n` is free) and type."""
    return {
        "inputs": [_describe(value) for value in model.graph.input],
        "outputs": [_describe(value) for value in model.graph.output],
    }


def _own(core: onnx.ModelProto) -> dict[str, str]:
    return {item.key: item.value for item in core.metadata_props}


def _devices(core: onnx.ModelProto) -> str:
    """Name what onnxruntime can run it on; it has no CUDA kernel for the operators of `ai.onnx.ml` (trees)."""
    return "cpu" if any(node.domain == "ai.onnx.ml" for node in core.graph.node) else "cpu cuda"


def _unsure(core: onnx.ModelProto) -> bool:
    """Say whether the graph marks rows that it should not answer."""
    return any(output.name == "unsure" for output in core.graph.output)


def _tail(*, unsure: bool) -> list[onnx.NodeProto]:
    """Clip to the physical range, and mark where that changed the value; then take out what is unsure."""
    clipped = "clipped" if unsure else "soil_moisture"
    hidden = [helper.make_node("Where", [_CORE + "unsure", "no_answer", clipped], ["soil_moisture"])] if unsure else []
    return [
        helper.make_node("Clip", [_CORE + "y", "clip_low", "clip_high"], [clipped]),
        helper.make_node("Equal", [_CORE + "y", clipped], ["in_range"]),
        helper.make_node("Not", ["in_range"], ["out_of_range"]),
        *hidden,
    ]


def _limits(clip: tuple[float, float], *, unsure: bool) -> list[onnx.TensorProto]:
    named = {"clip_low": clip[0], "clip_high": clip[1]} | ({"no_answer": float("nan")} if unsure else {})
    return [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in named.items()]


def _describe(value: onnx.ValueInfoProto) -> dict[str, Any]:
    tensor = value.type.tensor_type
    shape = [item.dim_param or item.dim_value for item in tensor.shape.dim]
    return {"name": value.name, "shape": shape, "dtype": helper.tensor_dtype_to_np_dtype(tensor.elem_type).name}


def _check_core(core: onnx.ModelProto, features: int, downscaler: str) -> None:
    initial = {tensor.name for tensor in core.graph.initializer}
    inputs = [_describe(value) for value in core.graph.input if value.name not in initial]
    outputs = [_describe(value) for value in core.graph.output]
    versions = [item.version for item in core.opset_import if item.domain in ("", "ai.onnx")]
    answer = ("y", "float32")
    fits = (
        [(item["name"], item["dtype"], item["shape"][1:]) for item in inputs] == [("X", "float32", [features])]
        and [(item["name"], item["dtype"]) for item in outputs] in ([answer], [answer, ("unsure", "bool")])
        and versions == [OPSET]
    )
    if not fits:
        msg = (
            f"to_onnx of the downscaler {downscaler!r} gave inputs {inputs}, outputs {outputs}, opset {versions}; "
            f"expected X float32 (n, {features}), y float32 (n, 1), opset [{OPSET}]; the plugin must be corrected"
        )
        raise ZooError(msg)


def _check(packed: onnx.ModelProto, downscaler: str) -> None:
    try:
        onnx.checker.check_model(packed, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        msg = f"to_onnx of the downscaler {downscaler!r} gave a graph that ONNX refuses: {error}; correct the plugin"
        raise ZooError(msg) from error
