"""Gradient boosting as a plugin of the soil-moisture zoo."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import DownscalerSpec, hookimpl


@hookimpl
def zoo_downscalers() -> Iterable[DownscalerSpec]:
    """Return the downscaler; scikit-learn is imported with the estimator, on first use."""
    return [
        DownscalerSpec(
            name="gbm",
            title="Gradient-boosted regression trees (scikit-learn)",
            estimator="zoo_gbm.estimator:GradientBoosting",
            presets={"default": {}, "shallow": {"n_estimators": 100, "max_depth": 2}},
            requires=("sklearn", "onnx"),
        )
    ]
