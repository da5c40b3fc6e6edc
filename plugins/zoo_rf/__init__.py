"""The random forest SMD-RF as a plugin."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import DownscalerSpec, hookimpl
from zoo.predictors import PAPER_EQ1

PAPER = {
    "n_estimators": 106,
    "max_depth": 14,
    "max_features": 0.1,
    "min_samples_leaf": 1,
    "min_samples_split": 3,
}
"""Table 6 of Cai et al. 2022."""


@hookimpl
def zoo_downscalers() -> Iterable[DownscalerSpec]:
    """Return the random forest."""
    return [
        DownscalerSpec(
            name="rf",
            title="Random forest (SMD-RF of Cai et al. 2022)",
            estimator="zoo_rf.estimator:RandomForest",
            presets={"default": {}, "paper": PAPER, "paper-eq1": {**PAPER, "features": PAPER_EQ1}},
            requires=("sklearn",),
        )
    ]
