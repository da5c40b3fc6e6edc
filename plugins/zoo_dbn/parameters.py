"""The limits of the network's parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

from zoo.errors import UsageError
from zoo.learning.splits import USES
from zoo_dbn.scaling import SCALINGS


class ParameterError(UsageError, ValueError):
    """A parameter of the network is out of its limits; a ValueError for scikit-learn."""


Rule = tuple[Callable[[Any], bool], str]


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Compare every parameter with its limits.

    Raises
    ------
    ParameterError
        At the first that is out of them; the message says what is expected.
    """
    for name, (holds, expected) in _RULES.items():
        if not holds(parameters[name]):
            msg = f"{name} = {parameters[name]!r} is out of its limits; expected {expected}"
            raise ParameterError(msg)
    if parameters["early_stopping"] and parameters["validation_share"] == 0:
        msg = "early_stopping needs rows to look at; give validation_share between 0 and 1, for example 0.2"
        raise ParameterError(msg)


def _whole(low: int, *, auto: bool = False) -> Rule:
    def holds(value: Any) -> bool:
        return (auto and value == "auto") or (_is(value, Integral) and value >= low)

    return holds, f"a whole number of at least {low}{' or auto' if auto else ''}"


def _number(low: float, high: float = float("inf"), *, above: bool = False, auto: bool = False) -> Rule:
    def holds(value: Any) -> bool:
        if isinstance(value, str):
            return auto and value == "auto"
        return _is(value, Real) and (low < value if above else low <= value) and value < high

    least = f"above {low:g}" if above else f"of at least {low:g}"
    return holds, f"a number {least}{f' and below {high:g}' if high < float('inf') else ''}{' or auto' if auto else ''}"


def _one_of(*names: str) -> Rule:
    return lambda value: value in names, f"one of: {', '.join(names)}"


def _flag() -> Rule:
    return lambda value: value in (True, False), "true or false"


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _layers(value: Any) -> bool:
    sized = isinstance(value, (list, tuple)) and len(value) > 0
    return sized and all(_is(size, Integral) and size >= 1 for size in value)


def _scaling(value: Any) -> bool:
    if not isinstance(value, str):
        listed = isinstance(value, (list, tuple)) and len(value) > 0
        return listed and all(isinstance(scaling, str) and _scaling(scaling) for scaling in value)
    names = value.split("+")
    return len(set(names)) == len(names) and set(names) <= set(SCALINGS) and names != ["levels"]


_RULES: dict[str, Rule] = {
    "hidden_layers_structure": (_layers, "the sizes of one or more layers, for example [200, 200]"),
    "cd_k": _whole(1),
    "RBM_epochs": _whole(1, auto=True),
    "RBM_learning_rate": _number(0, above=True),
    "BP_epochs": _whole(1, auto=True),
    "BP_learning_rate": _number(0, above=True),
    "batch_size": _whole(1),
    "dropout": _number(0, 1),
    "pretrain": _flag(),
    "visible": _one_of("binary", "gaussian"),
    "input_scaling": (
        _scaling,
        f"one or more of {', '.join(SCALINGS)}, joined with '+', or a list of such; levels never alone",
    ),
    "target_scaling": _one_of("zscore", "minmax"),
    "momentum": _number(0, 1),
    "RBM_weight_decay": _number(0),
    "weight_decay": _number(0),
    "optimizer": _one_of("sgd", "adamw"),
    "schedule": _one_of("constant", "cosine"),
    "smooth_l1_beta": _number(0, above=True),
    "early_stopping": _flag(),
    "validation_share": _number(0, 1),
    "patience": _whole(1),
    "n_members": _whole(1),
    "input_noise": _number(0, auto=True),
    "screening": _flag(),
    "use": _one_of(*USES),
    "device": _one_of("auto", "cpu", "cuda"),
}
