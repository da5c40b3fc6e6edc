"""Downscale satellite soil moisture: a model zoo with plugins for sensors, predictors and downscalers."""

from zoo.errors import ZooError
from zoo.hookspecs import hookimpl
from zoo.types import (
    Area,
    DownscalerSpec,
    ExporterSpec,
    Granule,
    LayerSpec,
    ModelRef,
    PredictorSpec,
    ReferenceSpec,
    Score,
    SensorSpec,
)

__version__ = "0.1.0"

__all__ = [
    "Area",
    "DownscalerSpec",
    "ExporterSpec",
    "Granule",
    "LayerSpec",
    "ModelRef",
    "PredictorSpec",
    "ReferenceSpec",
    "Score",
    "SensorSpec",
    "ZooError",
    "__version__",
    "hookimpl",
]
