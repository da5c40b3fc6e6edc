"""Pixels per second of a trained DBN and a forest: onnxruntime against the framework that trained them.

Run: ``python benchmarks/inference.py [--rows 200000] [--repeats 5] [--json]``. The sides of a ratio take turns,
and the median of the paired ratios is printed: above 1, onnxruntime is faster.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import sklearn
import torch

from zoo.artefact import Feature, TrainedModel, probe_rows
from zoo.plugins import make
from zoo.recipe import Recipe
from zoo.runtime import Session
from zoo.types import ExporterSpec


def main() -> None:
    """Train small models on a smooth function, export them, and time prediction."""
    arguments = _arguments()
    rng = np.random.default_rng(0)
    X = rng.random((2000, 14), dtype=np.float32)
    y = 0.1 + 0.2 * X[:, 0] + 0.1 * np.sin(3 * X[:, 1]) * X[:, 2]
    pixels = rng.random((arguments.rows, 14), dtype=np.float32)
    found: dict[str, Any] = {}
    for recipe in (Recipe("dbn", parameters={"BP_epochs": 3}), Recipe("rf", "paper")):
        estimator = recipe.estimator().fit(X, y)
        session = _session(recipe, estimator, X)
        ours, theirs = _paired(
            lambda s=session: s.predict(pixels), lambda e=estimator: e.predict(pixels), arguments.repeats
        )
        ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
        found[f"{recipe.downscaler}_pixels_per_second"] = round(arguments.rows / statistics.median(ours))
        found[f"{recipe.downscaler}_onnxruntime_over_framework_ratio"] = round(ratio, 2)
    found["machine"] = f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    found["versions"] = (
        f"onnxruntime {onnxruntime.__version__}, torch {torch.__version__}, scikit-learn {sklearn.__version__}"
    )
    print(
        json.dumps(found, indent=2) if arguments.json else "\n".join(f"{key}: {value}" for key, value in found.items())
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _session(recipe: Recipe, estimator: Any, X: np.ndarray) -> Session:
    test = probe_rows(X)
    model = TrainedModel(
        downscaler=recipe.downscaler,
        params={},
        features=tuple(Feature(f"x{i}", "1", float(c.min()), float(c.max())) for i, c in enumerate(X.T)),
        target={"name": "soil_moisture", "units": "m3 m-3"},
        state=estimator.state(),
        test_X=test,
        test_y=np.asarray(estimator.predict(test), np.float64),
    )
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "model.safetensors", Path(folder) / "model.onnx"
        model.save(source)
        make(ExporterSpec("onnx", "ONNX", "zoo_onnx.exporter:OnnxExporter", ".onnx")).export(source, target)
        return Session(target, device="cpu")


def _paired(a: Callable[[], object], b: Callable[[], object], repeats: int) -> tuple[list[float], list[float]]:
    a(), b()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for kept, call in zip(times, (a, b), strict=True):
            start = time.perf_counter()
            call()
            kept.append(time.perf_counter() - start)
    return times


if __name__ == "__main__":
    main()
