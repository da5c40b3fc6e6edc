"""Further outputs of a compiled model: the ends of the prediction interval, and the dissimilarity index.

They are in a branch of their own, which an input `uncertainty` turns off: onnxruntime 1.31 runs all operators of a
graph whatever outputs it is asked for, also with `only_execute_path_to_fetches`. The input has a default, true, so that
whoever knows nothing of it gets right outputs; without it they are NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from zoo.errors import IntegrityError
from zoo.inference.light_graph import BRANCH
from zoo.learning.applicability import Applicability
from zoo.learning.interval import Interval

if TYPE_CHECKING:
    from zoo.inference.runtime import Session
    from zoo.model.artefact import TrainedModel

__all__ = ["INDEX", "LOWER", "UPPER", "Part", "check", "part_of"]

LOWER, UPPER, INDEX = "soil_moisture_lower", "soil_moisture_upper", "dissimilarity_index"
TOLERANCE = 1e-5
"""Largest difference of an end of an interval from the trained one's, m3 m-3."""
_INDEX_TOLERANCE = 1e-3
"""Largest difference of an index; squares of nearly equal rows cancel in float32."""
_PREFIX = "uncertainty/"
_TILE = 128
"""Training rows that pixels are compared with at once: the table of distances stays in a core's cache."""


@dataclass(slots=True)
class Part:
    """What is added to a graph: nodes, inputs and outputs, constants, and what the file says of them."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Branch:
    """Nodes and constants of the branch, in the order in which they are added."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: npt.ArrayLike, dtype: type = np.float32) -> str:
        """Add a constant, and return its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype), _PREFIX + name))
        return _PREFIX + name

    def add(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node, and return its output's name."""
        self.nodes.append(helper.make_node(operator, list(inputs), [_PREFIX + name], **attributes))
        return _PREFIX + name

    def graph(self, outputs: Sequence[str]) -> onnx.GraphProto:
        """Return it as a graph with outputs (n, 1)."""
        return helper.make_graph(
            self.nodes, "branch", [], [_column(_PREFIX + name) for name in outputs], self.constants
        )


def part_of(model: TrainedModel) -> Part:
    """Build the outputs that a model has arrays for; nothing for a model without."""
    if model.applicability is None:
        return Part()
    names, branch, area = [INDEX], _Branch(), Applicability.from_arrays(model.applicability)
    said = {"aoa_threshold": repr(area.threshold)}
    _add_index(branch, area)
    if model.interval is not None:
        names, interval = [INDEX, LOWER, UPPER], Interval.from_arrays(model.interval)
        said |= {"interval_level": f"{interval.level:g}", "interval_groups": str(interval.groups)}
        _add_ends(branch, interval)
    node = helper.make_node(
        "If", [BRANCH], names, name=BRANCH, then_branch=branch.graph(names), else_branch=_nothing(names)
    )
    return Part(
        nodes=[node],
        inputs=[helper.make_tensor_value_info(BRANCH, TensorProto.BOOL, [])],
        outputs=[_column(name) for name in names],
        constants=[numpy_helper.from_array(np.array(True), BRANCH)],
        said=said,
    )


def _nothing(names: Sequence[str]) -> onnx.GraphProto:
    """Return NaN in every output, a shape that does not hang on what was asked for."""
    branch = _Branch()
    missing = branch.constant("missing", np.nan)
    for name in names:
        branch.add("Add", ["soil_moisture", missing], name)
    return branch.graph(names)


def _column(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1])


def check(session: Session, model: TrainedModel) -> None:
    """Compare the outputs with the trained model's on its test vectors.

    Raises
    ------
    IntegrityError
        If one differs by more than rounding.
    """
    if model.applicability is None:
        return
    names = (INDEX,) if model.interval is None else (INDEX, LOWER, UPPER)
    if missing := [name for name in names if name not in session.extras]:
        msg = f"The compiled model has no {', '.join(missing)}, which the trained one has; export it anew"
        raise IntegrityError(msg)
    found = session.answers(model.test_X, names)
    index = Applicability.from_arrays(model.applicability).index(model.test_X)
    expected: dict[str, npt.NDArray[Any]] = {INDEX: index}
    allowed: dict[str, Any] = {INDEX: _INDEX_TOLERANCE * (1 + index), LOWER: TOLERANCE, UPPER: TOLERANCE}
    if model.interval is not None:
        ends = Interval.from_arrays(model.interval).ends(model.test_X, found["soil_moisture"], found[INDEX], model.clip)
        expected[LOWER], expected[UPPER] = ends
    for name, values in expected.items():
        difference = np.abs(found[name] - values)
        if not (difference <= allowed[name]).all():  # NaN compares false
            msg = (
                f"The compiled model's {name} differs from the trained one's by up to {difference.max():.2g}; nothing "
                f"was written; train anew or report a fault of the downscaler {model.downscaler!r}"
            )
            raise IntegrityError(msg)


def _add_index(branch: _Branch, area: Applicability) -> None:
    """Add |z|^2 - 2 z . r + |r|^2, the least over training rows r, and its root."""
    centred = branch.add("Sub", ["predictors", branch.constant("area_centre", area.centre)], "area_centred")
    coded = branch.add("Mul", [centred, branch.constant("factor", area.factor)], "coded")
    tiles = [
        _nearest(branch, coded, area.rows[start : start + _TILE], number)
        for number, start in enumerate(range(0, len(area.rows), _TILE))
    ]
    least = branch.add("Min", tiles, "least")
    squares = branch.add("ReduceSumSquare", [coded], "squares", axes=[1], keepdims=1)
    distance = branch.add("Relu", [branch.add("Add", [squares, least], "squared_distance")], "not_negative")
    branch.add("Sqrt", [distance], INDEX)


def _nearest(branch: _Branch, coded: str, rows: npt.NDArray[np.float32], number: int) -> str:
    minus_twice = branch.constant(f"rows_{number}", -2 * rows.T)
    own = branch.constant(f"rows_squared_{number}", (rows**2).sum(axis=1))
    products = branch.add("Gemm", [coded, minus_twice, own], f"products_{number}")
    return branch.add("ReduceMin", [products], f"least_{number}", axes=[1], keepdims=1)


def _add_ends(branch: _Branch, interval: Interval) -> None:
    """Add the sums of `zoo.learning.interval.Interval`, and what follows from them."""
    log_factor = float(np.log(interval.factor))
    low, high = (limit + log_factor for limit in interval.limits)
    wetness = _wetness(branch, interval.answer[1]) if interval.answer[0] or interval.lean[1] else ""
    terms = [branch.constant("bias", [[interval.bias + log_factor]])]
    if interval.dissimilarity[0]:
        near = branch.add("Min", [_PREFIX + INDEX, branch.constant("cap", [[interval.dissimilarity[1]]])], "capped")
        terms.append(branch.add("Mul", [near, branch.constant("of_index", [[interval.dissimilarity[0]]])], "by_index"))
    if interval.answer[0]:
        terms.append(branch.add("Mul", [wetness, branch.constant("of_answer", [[interval.answer[0]]])], "by_answer"))
    if interval.predictors.any():
        terms.append(_linear(branch, interval))
    power = _within(branch, branch.add("Sum", terms, "sum"), (low, high), "power")
    lean = _lean(branch, interval, wetness)
    for operator, name in (("Sub", LOWER), ("Add", UPPER)):
        part = branch.add("Exp", [branch.add(operator, [power, lean], f"power_{operator}")], f"part_{operator}")
        end = branch.add(operator, ["soil_moisture", part], f"open_{operator}")
        cut = branch.add("Max", [end, "clip_low"], f"above_{operator}")
        branch.add("Min", [cut, "clip_high"], name)


def _wetness(branch: _Branch, dry: float) -> str:
    return branch.add("Log", [branch.add("Add", ["soil_moisture", branch.constant("dry", [[dry]])], "wet")], "wetness")


def _lean(branch: _Branch, interval: Interval, wetness: str) -> str:
    lean = branch.constant("lean_constant", [[interval.lean[0]]])
    if interval.lean[1]:
        leaning = branch.add("Mul", [wetness, branch.constant("leaning", [[interval.lean[1]]])], "by_wetness")
        lean = branch.add("Add", [leaning, lean], "open_lean")
    return _within(branch, lean, interval.lean_limits, "lean")


def _within(branch: _Branch, value: str, limits: tuple[float, float], name: str) -> str:
    low, high = (branch.constant(f"{name}_{end}", limit) for end, limit in zip(("low", "high"), limits, strict=True))
    return branch.add("Clip", [value, low, high], name)


def _linear(branch: _Branch, interval: Interval) -> str:
    centred = branch.add("Sub", ["predictors", branch.constant("centre", interval.centre)], "centred")
    below = branch.add("Min", [centred, branch.constant("reach", interval.reach)], "below")
    cut = branch.add("Max", [below, branch.constant("minus_reach", -interval.reach)], "cut")
    return branch.add("MatMul", [cut, branch.constant("predictors", interval.predictors[:, None])], "by_predictors")
