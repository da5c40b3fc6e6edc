"""Pixels per second of a trained DBN and a forest: our runtime against onnxruntime at its best and the frameworks.

    python benchmarks/inference.py [--rows 1000000] [--repeats 5] [--only dense frameworks forest] [--json] [--write]

The dense DBN has 1000-1000 units, the forest is the preset `paper`; both are trained on `regions.parquet` (real soil
moisture) where it is found, else on a smooth function. The sides of a ratio take turns, and the median of the paired
ratios is printed: above 1, our runtime is faster. `dbn_runtime_over_best_onnxruntime_ratio` is against the fastest of
all batch sizes, threads and sessions side by side, beside the machine's own rate of float32 matrix products.
The frameworks are torch (eager and `torch.compile`, all cores) and scikit-learn's MLP, each with the same weights and
the input coding done beforehand, which is in their favour; int8 is our own graph in 8-bit integers, with its error.
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
import torch
from best_onnxruntime import best_setting, machine, paired, ratio, sgemm_gflops, write
from sklearn.neural_network import MLPRegressor

from zoo.inference.certified import NotCertifiedError
from zoo.inference.runtime import Session
from zoo.model.artefact import Feature, TrainedModel, probe_rows
from zoo.model.recipe import Recipe
from zoo.plugins import make
from zoo.types import ExporterSpec
from zoo_onnx.precision import certified
from zoo_onnx.trained import TrainedNetwork

BANDS = [f"B{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, "8A", 9, 10, 11, 12)]
FEATURES = [*BANDS, "VV", "VH", "angle", "ndvi", "ndwi", "doy_sin", "doy_cos"]
PARTS = ["dense", "frameworks", "forest"]
DENSE = {"hidden_layers_structure": [1000, 1000], "n_members": 1, "BP_epochs": 1, "random_state": 0}


def main() -> None:
    """Train on a part of the rows, export, and time prediction."""
    arguments = _arguments()
    onnxruntime.set_default_logger_severity(3)
    X, y, source = _data(arguments.data)
    rng = np.random.default_rng(0)
    pixels = X[rng.integers(len(X), size=arguments.rows)]
    found: dict[str, Any] = machine() | {"data": source}
    # parts may be measured one by one: each keeps what the machine was like then
    told = {"sgemm_gflops": round(sgemm_gflops(), 1), "load_average": found.pop("load_average")}
    found |= {f"{part}_{what}": value for part in arguments.only for what, value in told.items()}
    some = pixels[: arguments.rows // 5]
    if {"dense", "frameworks"} & set(arguments.only):
        recipe = Recipe("dbn", parameters=DENSE)
        network = recipe.estimator().fit(X, y)
        content = _exported(recipe, network, X)
        if "dense" in arguments.only:
            found |= _dense(content, some, arguments.repeats) | _narrow(content, X, some, arguments.repeats)
        if "frameworks" in arguments.only:
            found |= _frameworks(content, network.state(), some, arguments.repeats)
    if "forest" in arguments.only:
        found |= _forest(X, y, pixels, arguments.repeats)
    if arguments.write:
        write("inference", found)
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(f"{k}: {v}" for k, v in found.items()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("ZOO_REAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="into benchmarks/results")
    return parser.parse_args()


def _data(folder: Path) -> tuple[np.ndarray, np.ndarray, str]:
    path = folder / "tables" / "regions.parquet"
    if path.is_file():
        table = pd.read_parquet(path).dropna(subset=[*FEATURES, "y"])
        return table[FEATURES].to_numpy(np.float32), table["y"].to_numpy(float), path.name
    X = np.random.default_rng(0).random((20_000, 20), dtype=np.float32)
    return X, 0.1 + 0.2 * X[:, 0] + 0.1 * np.sin(3 * X[:, 1]) * X[:, 2], "a smooth function"


def _dense(content: bytes, pixels: np.ndarray, repeats: int) -> dict[str, Any]:
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


def _narrow(content: bytes, X: np.ndarray, pixels: np.ndarray, repeats: int) -> dict[str, Any]:
    """Measure the network in 8-bit integers against our own runtime in float32."""
    dense = Session(content, device="cpu")
    try:
        narrow, parity = certified(content, X, "int8")
    except NotCertifiedError as refused:
        return {"dbn_int8": str(refused)}
    session = Session(narrow, device="cpu")
    theirs, ours = paired([lambda: dense.predict(pixels), lambda: session.predict(pixels)], repeats)
    return {
        "dbn_int8_pixels_per_second": round(len(pixels) / statistics.median(ours)),
        "dbn_int8_error_max": parity["max"],
        "dbn_int8_error_p99.9": parity["p99.9"],
        "dbn_int8_over_fp32_ratio": round(ratio(theirs, ours), 3),
    }


def _frameworks(content: bytes, state: dict[str, Any], pixels: np.ndarray, repeats: int) -> dict[str, Any]:
    """Measure torch and scikit-learn with the same weights; all answers must agree."""
    session = Session(content, device="cpu")
    codes = TrainedNetwork.read(state, "dbn").ramps.encode(pixels).astype(np.float32)
    weights = [(state[f"weight/{layer}"][0], state[f"bias/{layer}"][0, 0]) for layer in range(3)]
    offset, scale = (float(value) for value in state["target"])
    eager = _torch(weights)
    mlp = _mlp(weights)
    sides = {
        "torch_eager": _in_batches(eager, codes),
        "torch_compile": _in_batches(torch.compile(eager, dynamic=False), codes),
        "scikit_learn_mlp": lambda: mlp.predict(codes),
    }
    found: dict[str, Any] = {}
    answers = session.predict(pixels)[0]
    for name, call in sides.items():
        try:
            said = np.clip(np.asarray(call()).ravel() * scale + offset, *session.clip)
        except Exception as error:  # torch.compile needs a C++ compiler, and says so in ways of its own
            found[f"dbn_{name}"] = f"failed: {type(error).__name__}"
            continue
        theirs, ours = paired([call, lambda: session.predict(pixels)], repeats)
        found |= {
            f"dbn_{name}_pixels_per_second": round(len(pixels) / statistics.median(theirs)),
            f"dbn_{name}_difference": float(np.abs(said - answers).max()),
            f"dbn_runtime_over_{name}_ratio": round(ratio(theirs, ours), 3),
        }
    return found


def _torch(weights: list[tuple[np.ndarray, np.ndarray]]) -> torch.nn.Module:
    layers: list[torch.nn.Module] = []
    for weight, bias in weights:
        layer = torch.nn.Linear(*weight.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.as_tensor(weight.T))
            layer.bias.copy_(torch.as_tensor(bias))
        layers += [layer, torch.nn.Sigmoid()]
    return torch.nn.Sequential(*layers[:-1]).eval()


def _in_batches(module: Any, codes: np.ndarray, batch: int = 4096) -> Any:
    parts = torch.as_tensor(codes).split(batch)

    def call() -> np.ndarray:
        with torch.inference_mode():
            return torch.cat([module(part) for part in parts]).numpy()

    return call


def _mlp(weights: list[tuple[np.ndarray, np.ndarray]]) -> MLPRegressor:
    """Put the weights into scikit-learn's network, which is made by one step on two rows."""
    inputs = len(weights[0][0])
    mlp = MLPRegressor(hidden_layer_sizes=(1000, 1000), activation="logistic", max_iter=1)
    mlp.partial_fit(np.zeros((2, inputs), np.float32), np.zeros(2, np.float32))
    mlp.coefs_ = [weight for weight, _ in weights]
    mlp.intercepts_ = [bias for _, bias in weights]
    return mlp


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
