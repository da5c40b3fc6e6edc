"""What `auto` chooses from: ridge, and every downscaler that is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.learning.splits import Use
from zoo.model.recipe import Recipe
from zoo.plugins import host, load
from zoo.types import Downscaler, DownscalerSpec
from zoo_auto.ridge import Ridge

AUTO, RIDGE = "auto", "ridge"
MORE = ("rf:paper",)
"""Presets beside the default ones. The forest of Cai et al. 2022, Table 6, tries few predictors at a split: of the
two forests now one, now the other is the better in places or times not seen."""

QUICK: Mapping[str, Mapping[str, Any]] = {"dbn": {"n_members": 2}, "rf": {"n_estimators": 100}}
"""Parameters in the inner folds alone, to save about half the time; what is kept is trained in full."""


def installed() -> list[str]:
    """Name ridge and all installed downscalers but `auto`, some with a further preset: `NAME[:PRESET]`."""
    names = sorted(set(host().specs(DownscalerSpec)) - {AUTO})
    return [RIDGE, *names, *(name for name in MORE if name.partition(":")[0] in names)]


def make(name: str, parameters: Mapping[str, Any], seed: int, use: Use) -> Downscaler:
    """Make the unfitted estimator behind a name; what cannot be made raises as `zoo.model.recipe.Recipe` does."""
    if name == RIDGE:
        return Ridge(**parameters)
    downscaler, _, preset = name.partition(":")
    return Recipe(downscaler, preset or "default", dict(parameters), seed=seed, use=use).estimator()


def to_onnx_of(name: str) -> Any:
    """Return what turns the state of a member of this name into a graph."""
    if name == RIDGE:
        return Ridge.to_onnx
    spec = host().find(DownscalerSpec, name.partition(":")[0])
    return load(spec.estimator, spec.requires, what=f"Downscaler {spec.name!r}", extra="train").to_onnx
