"""The five hooks. Each is a noun, takes no argument and returns cheap descriptions."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from zoo.types import DownscalerSpec, ExporterSpec, PredictorSpec, ReferenceSpec, SensorSpec

PROJECT = "zoo"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def zoo_sensors() -> Iterable[SensorSpec]:  # type: ignore[empty-body]
    """Coarse soil-moisture sensors that this plugin reads."""


@hookspec
def zoo_predictors() -> Iterable[PredictorSpec]:  # type: ignore[empty-body]
    """Products that deliver predictor layers."""


@hookspec
def zoo_downscalers() -> Iterable[DownscalerSpec]:  # type: ignore[empty-body]
    """Regressors from predictors to soil moisture."""


@hookspec
def zoo_exporters() -> Iterable[ExporterSpec]:  # type: ignore[empty-body]
    """Compiled formats for trained models."""


@hookspec
def zoo_references() -> Iterable[ReferenceSpec]:  # type: ignore[empty-body]
    """Measurements to validate against."""
