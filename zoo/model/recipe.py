"""How to train: a downscaler, a preset of its parameters, single parameters over that, the use, and the folds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.errors import UnknownNameError, UsageError
from zoo.learning.splits import Use
from zoo.plugins import host, load
from zoo.types import Downscaler, DownscalerSpec


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train: a downscaler, a preset, single parameters over it, the use, and the folds.

    Attributes
    ----------
    downscaler : name of the plugin
    preset : one of the plugin's parameter sets
    parameters : parameters that replace the preset's
    folds : number of folds; None makes one a group
    seed : of the folds and of the downscaler's `random_state`
    use : what the model is for, new places, new times or both; folds mirror it, and a downscaler that has a
        parameter of this name is told
    outliers : training rows that a ridge regression on others misses by more than so many robust standard deviations
        are left out; None leaves none out
    """

    downscaler: str
    preset: str = "default"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    folds: int | None = None
    seed: int = 0
    use: Use = "space"
    outliers: float | None = None

    @property
    def spec(self) -> DownscalerSpec:
        """The plugin's description."""
        return host().find(DownscalerSpec, self.downscaler)

    @property
    def settings(self) -> dict[str, Any]:
        """The preset's content; it may name `features` beside parameters."""
        presets = {"default": {}, **self.spec.presets}
        if self.preset not in presets:
            kind = f"preset of {self.downscaler}"
            raise UnknownNameError(kind, self.preset, presets)
        return dict(presets[self.preset])

    @property
    def features(self) -> tuple[str, ...] | None:
        """Predictors that the preset asks for, if it does."""
        named = self.settings.get("features")
        return tuple(named) if named else None

    def estimator(self) -> Downscaler:
        """Make the unfitted estimator.

        Raises
        ------
        UnknownNameError
            If a parameter is none of the estimator's.
        """
        spec = self.spec
        factory = load(spec.estimator, spec.requires, what=f"Downscaler {spec.name!r}", extra="train")
        chosen = {key: value for key, value in self.settings.items() if key != "features"} | dict(self.parameters)
        known = factory().get_params()
        for name in chosen:
            if name not in known:
                kind = f"parameter of {spec.name}"
                raise UnknownNameError(kind, name, known)
        if "random_state" in known:
            chosen.setdefault("random_state", self.seed)
        if "use" in known:
            chosen.setdefault("use", self.use)
        made: Downscaler = factory(**chosen)
        return made


def parse_parameter(text: str) -> tuple[str, Any]:
    """Read `name=value`; the value is JSON, or else text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        msg = f"--set {text!r} is not NAME=VALUE; expected for example --set BP_epochs=200"
        raise UsageError(msg)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
