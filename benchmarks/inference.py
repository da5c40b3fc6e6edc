"""Pixels per second of a trained DBN and a forest: our runtime against onnxruntime at its best and the frameworks.

    python benchmarks/inference.py [--rows 1000000] [--repeats 5] [--json]

The dense DBN has 1000-1000 units, the forest is the preset `paper`; both are trained on `regions.parquet` (real soil
moisture) where it is found, else on a smooth function. The sides of a ratio take turns, and the median of the paired
ratios is printed: above 1, our runtime is faster. `dbn_runtime_over_best_onnxruntime_ratio` is against the fastest of
all batch sizes, threads and sessions side by side, beside the machine's own rate of float32 matrix products.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from best_onnxruntime import best_setting, machine, paired, ratio, sgemm_gflops

from zoo.artefact import Feature, TrainedModel, probe_rows
from zoo.plugins import make
from zoo.recipe import Recipe
from zoo.runtime import Session
from zoo.types import ExporterSpec

BANDS = [f"B{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, "8A", 9, 10, 11, 12)]
FEATURES = [*BANDS, "VV", "VH", "angle", "ndvi", "ndwi", "doy_sin", "doy_cos"]
DENSE = {"hidden_layers_structure": [1000, 1000], "n_members": 1, "BP_epochs": 1, "random_state": 0}


def main() -> None:
    """Train on a part of the rows, export, and time prediction."""
    arguments = _arguments()
    onnxruntime.set_default_logger_severity(3)
    X, y, source = _data(arguments.data)
    rng = np.random.default_rng(0)
    pixels = X[rng.integers(len(X), size=arguments.rows)]
    found: dict[str, Any] = machine() | {"data": source, "sgemm_gflops": round(sgemm_gflops(), 1)}
    found |= _dense(X, y, pixels[: arguments.rows // 5], arguments.repeats)
    found |= _forest(X, y, pixels, arguments.repeats)
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(f"{k}: {v}" for k, v in found.items()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("ZOO_REAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _data(folder: Path) -> tuple[np.ndarray, np.ndarray, str]:
    path = folder / "tables" / "regions.parquet"
    if path.is_file():
        table = pd.read_parquet(path).dropna(subset=[*FEATURES, "y"])
        return table[FEATURES].to_numpy(np.float32), table["y"].to_numpy(float), path.name
    X = np.random.default_rng(0).random((20_000, 20), dtype=np.float32)
    return X, 0.1 + 0.2 * X[:, 0] + 0.1 * np.sin(3 * X[:, 1]) * X[:, 2], "a smooth function"


def _dense(X: np.ndarray, y: np.ndarray, pixels: np.ndarray, repeats: int) -> dict[str, Any]:
    recipe = Recipe("dbn", parameters=DENSE)
    content = _exported(recipe, recipe.estimator().fit(X, y), X)
    session = Session(content, device="cpu")
    setting, best = best_setting(content, pixels)
    theirs, ours = paired([best, lambda: session.predict(pixels)], repeats)
    rate = len(pixels) / statistics.median(ours)
    return {
        "dbn_pixels_per_second": round(rate),
        "dbn_best_onnxruntime_pixels_per_second": round(len(pixels) / statistics.median(theirs)),
        "dbn_best_onnxruntime_setting": str(setting),
        "dbn_gflops": round(2 * sum(a * b for a, b in ((40, 1000), (1000, 1000), (1000, 1))) * rate / 1e9, 1),
        "dbn_runtime_over_best_onnxruntime_ratio": round(ratio(theirs, ours), 3),
    }


def _forest(X: np.ndarray, y: np.ndarray, pixels: np.ndarray, repeats: int) -> dict[str, Any]:
    recipe = Recipe("rf", "paper")
    estimator = recipe.estimator().fit(X, y)
    session = Session(_exported(recipe, estimator, X), device="cpu")
    forest = estimator.forest_.set_params(n_jobs=-1)
    theirs, ours = paired([lambda: forest.predict(pixels), lambda: session.predict(pixels)], repeats)
    difference = np.abs(session.predict(pixels)[0] - np.clip(forest.predict(pixels), *session.clip))
    return {
        "rf_pixels": len(pixels),
        "rf_pixels_per_second": round(len(pixels) / statistics.median(ours)),
        "rf_scikit_learn_pixels_per_second": round(len(pixels) / statistics.median(theirs)),
        "rf_p99.99": float(np.quantile(difference, 0.9999)),
        "rf_runtime_over_scikit_learn_ratio": round(ratio(theirs, ours), 3),
    }


def _exported(recipe: Recipe, estimator: Any, X: np.ndarray) -> bytes:
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
        return target.read_bytes()


if __name__ == "__main__":
    main()
