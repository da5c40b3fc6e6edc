"""The graphs of several downscalers as one: each on its own predictors, and the weighted sum of their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

OPSET, IR = 17, 8


@dataclass(frozen=True, slots=True)
class Part:
    """A member: its graph `X` -> `y`, the columns of the whole that are its X, and its weight."""

    model: onnx.ModelProto
    columns: npt.NDArray[np.int64]
    weight: float


def join(parts: Sequence[Part], features: int) -> onnx.ModelProto:
    """Build one graph, `X` float32 (n, features) -> `y` float32 (n, 1), from the members' graphs.

    Their names get a prefix each. Columns are picked by a product with ones and zeros, which is exact.
    """
    nodes, constants, functions, answers = [], [], [], []
    for number, part in enumerate(parts):
        prefix = f"member_{number}/"
        inner = compose.add_prefix(part.model, prefix)
        if len(part.columns) == features:
            nodes.append(helper.make_node("Identity", ["X"], [prefix + "X"]))
        else:
            pick = np.eye(features, dtype=np.float32)[:, part.columns]
            constants.append(numpy_helper.from_array(np.ascontiguousarray(pick), prefix + "columns"))
            nodes.append(helper.make_node("MatMul", ["X", prefix + "columns"], [prefix + "X"]))
        nodes += inner.graph.node
        constants += inner.graph.initializer
        functions += inner.functions
        constants.append(numpy_helper.from_array(np.array(part.weight, np.float32), prefix + "weight"))
        answers.append(prefix + "weighted")
        nodes.append(helper.make_node("Mul", [prefix + "y", prefix + "weight"], [answers[-1]]))
    nodes.append(helper.make_node("Sum", answers, ["y"]))
    graph = helper.make_graph(
        nodes,
        "blend",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        constants,
        sparse_initializer=[item for part in parts for item in part.model.graph.sparse_initializer],
    )
    joined = helper.make_model(
        graph,
        opset_imports=_operators([part.model for part in parts]),
        functions=functions,
        ir_version=max(IR, *(part.model.ir_version for part in parts)),
    )
    batches = [int(item.value) for part in parts for item in part.model.metadata_props if item.key == "batch"]
    if batches:
        helper.set_model_props(joined, {"batch": str(min(batches))})
    onnx.checker.check_model(joined, full_check=True)
    return joined


def _operators(models: Sequence[onnx.ModelProto]) -> list[onnx.OperatorSetIdProto]:
    """Return each domain that is used, in the newest version that a member asks for."""
    versions = {"": OPSET}
    for model in models:
        for item in model.opset_import:
            domain = "" if item.domain == "ai.onnx" else item.domain
            versions[domain] = max(versions.get(domain, 0), item.version)
    return [helper.make_opsetid(domain, version) for domain, version in versions.items()]
