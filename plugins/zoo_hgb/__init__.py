"""Gradient boosting on histograms as a plugin."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import DownscalerSpec, hookimpl
from zoo.predictors import PAPER_EQ1


@hookimpl
def zoo_downscalers() -> Iterable[DownscalerSpec]:
    """Return gradient boosting."""
    return [
        DownscalerSpec(
            name="hgb",
            title="Gradient boosting of regression trees on histograms (scikit-learn)",
            estimator="zoo_hgb.estimator:HistogramGradientBoosting",
            presets={
                "default": {},
                "fast": {"learning_rate": 0.15, "max_iter": 120},
                "paper-eq1": {"features": PAPER_EQ1},
            },
            requires=("sklearn",),
        )
    ]
