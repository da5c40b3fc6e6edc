"""The best of all installed downscalers, or their blend, as a downscaler of its own."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import DownscalerSpec, hookimpl


@hookimpl
def zoo_downscalers() -> Iterable[DownscalerSpec]:
    """Return `auto`."""
    return [
        DownscalerSpec(
            name="auto",
            title="All installed downscalers and ridge under one inner cross-validation: the best, or their blend",
            estimator="zoo_auto.estimator:AutoDownscaler",
            presets={"default": {}, "single": {"blend": False}},
            requires=("sklearn", "onnx"),
        )
    ]
