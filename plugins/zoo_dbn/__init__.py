"""The deep belief network as a downscaler."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import DownscalerSpec, hookimpl
from zoo_dbn.presets import PRESETS


@hookimpl
def zoo_downscalers() -> Iterable[DownscalerSpec]:
    """Return the deep belief network."""
    return [
        DownscalerSpec(
            name="dbn",
            title="Deep belief network: sigmoid layers, optional pre-training as stacked RBMs, back-propagation",
            estimator="zoo_dbn.estimator:DeepBeliefNetwork",
            presets=PRESETS,
            requires=("torch", "sklearn", "onnx"),
        )
    ]
