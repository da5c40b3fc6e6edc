"""A whole map, from tiled GeoTIFFs to a COG: against its own stages, without each overlap, and against plain loops.

    python benchmarks/pipeline.py [--side 4096] [--parts stages overlap loops memory] [--folder FOLDER] [--json]

14 float32 predictors of `side` x `side` pixels (tiled, deflated) are made and a network of 1000-1000, compressed to
1e-3 m3 m-3 on pixels of them, and a forest are trained on `regions.parquet`; with --folder both are kept. Each run is
a process of its own, and sides of a ratio take turns (--repeats, median of the paired ratios).

`stages`: wall seconds of the map over (CPU seconds of decode + inference + encode, each run alone, by one thread)
over cores. `overlap`: seconds with one window after the other on all cores, with and without reading ahead, without
writing behind, and without any of these, over those of the default: windows are read and predicted side by side.
`loops`: what a user would write, a loop over windows with rasterio around the network in torch, or the forest in
scikit-learn on all cores, which writes a deflated GeoTIFF; run on the first --loop pixels and scaled by pixels.
`memory`: peak of the process at `side` and at twice the side.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import rasterio
from best_onnxruntime import CORES, machine, write
from map_scene import FEATURES, TILE, Models, default_data, make_models, table_rows, write_rasters

PARTS = ("stages", "overlap", "loops", "memory")
MODELS = ("compressed", "forest")
OVERLAPS: dict[str, dict[str, Any]] = {
    "one_window_at_a_time": {"workers": 0},
    "one_window_without_reading_ahead": {"workers": 0, "readers": 0},
    "without_writing_behind": {"writing": False},
    "without_any_overlap": {"workers": 0, "readers": 0, "writing": False},
}
"""What is switched off. The model still uses all cores for each window."""
CALIBRATED = 1024
"""Side of the rasters on whose pixels the network is compressed."""
TORCH_ROWS = 8192
"""Rows that go through torch at once: more take more memory, not less time."""


@dataclass(frozen=True)
class Run:
    """One process: what it does, with which model, on which rasters."""

    what: str
    model: str
    stack: str
    models: str
    overlap: str = ""
    pixels: int = 0


def main() -> None:
    """Prepare, run the parts, print."""
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(_child(Run(**json.loads(arguments.child)))))
        return
    found: dict[str, Any] = machine() | {"gdal": rasterio.__gdal_version__, "pixels": arguments.side**2}
    with ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        models, (X, _) = models_for(folder, arguments.data), table_rows(arguments.data)
        rasters = write_rasters(folder, arguments.side, X)
        for part in arguments.parts:
            measure = cast("Callable[..., dict[str, Any]]", globals()[f"_{part}"])
            more = {"large": write_rasters(folder, 2 * arguments.side, X)} if part == "memory" else {}
            for model in arguments.models:
                found |= measure(Run("map", model, str(rasters), str(models.folder)), arguments, **more)
    if arguments.record:
        write("pipeline", found)
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(f"{k}: {v}" for k, v in found.items()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=default_data())
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--loop", type=int, default=1 << 20, help="pixels of the plain loops")
    parser.add_argument("--folder", type=Path, help="where rasters and models are kept; a temporary one by default")
    parser.add_argument("--record", action="store_true", help="write the figures into benchmarks/results")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def models_for(folder: Path, data: Path) -> Models:
    """Train what is not in the folder yet."""
    X, y = table_rows(data)
    return make_models(folder / "models", X, y, _calibration_pixels(write_rasters(folder, CALIBRATED, X)))


def _calibration_pixels(stack: Path, count: int = 60_000) -> np.ndarray:
    layers = []
    for name in FEATURES:
        with rasterio.open(stack / f"{name}.tif") as file:
            layers.append(file.read(1).ravel())
    chosen = np.random.default_rng(0).choice(layers[0].size, count, replace=False)
    return np.stack([layer[chosen] for layer in layers], axis=1)


def _stages(run: Run, arguments: argparse.Namespace) -> dict[str, Any]:
    pairs = [(measured(run), measured(run, what="stages")) for _ in range(arguments.repeats)]
    alone = {key: _median([stages[key] for _, stages in pairs]) for key in ("decode", "inference", "encode")}
    ratios = [whole["seconds"] / (sum(stages[key] for key in alone) / CORES) for whole, stages in pairs]
    seconds = _median([whole["seconds"] for whole, _ in pairs])
    return {
        **{f"{run.model}_{key}_cpu_seconds": round(value, 2) for key, value in alone.items()},
        f"{run.model}_seconds": round(seconds, 2),
        f"{run.model}_pixels_per_second": round(arguments.side**2 / seconds),
        f"{run.model}_wall_over_cpu_by_cores_ratio": round(_median(ratios), 3),
    }


def _overlap(run: Run, arguments: argparse.Namespace) -> dict[str, Any]:
    times: dict[str, list[float]] = {way: [] for way in OVERLAPS}
    for _ in range(arguments.repeats):
        default = measured(run)["seconds"]
        for way in OVERLAPS:
            times[way].append(measured(run, overlap=way)["seconds"] / default)
    return {f"{run.model}_{way}_over_default_ratio": round(_median(times[way]), 3) for way in OVERLAPS}


def _loops(run: Run, arguments: argparse.Namespace) -> dict[str, Any]:
    name = {"compressed": "torch", "forest": "scikit_learn"}[run.model]
    theirs, ours = [], []
    for _ in range(arguments.repeats):
        theirs.append(measured(run, what="loop", pixels=arguments.loop)["pixels_per_second"])
        ours.append(measured(run)["pixels_per_second"])
    return {
        f"{run.model}_{name}_loop_pixels": arguments.loop,
        f"{run.model}_{name}_loop_pixels_per_second": round(_median(theirs)),
        f"{run.model}_map_pixels_per_second": round(_median(ours)),
        f"{run.model}_over_{name}_loop_ratio": round(_median([b / a for a, b in zip(theirs, ours, strict=True)]), 2),
    }


def _memory(run: Run, arguments: argparse.Namespace, large: Path) -> dict[str, Any]:
    small, big = measured(run), measured(run, stack=str(large))
    return {
        f"{run.model}_peak_mib": round(small["peak_mib"]),
        f"{run.model}_peak_mib_four_times_the_pixels": round(big["peak_mib"]),
        f"{run.model}_peak_over_1.5_gib_ratio": round(big["peak_mib"] / 1536, 3),
        f"{run.model}_peak_four_times_the_pixels_over_once_ratio": round(big["peak_mib"] / small["peak_mib"], 3),
        f"{run.model}_seconds_four_times_the_pixels_over_once_ratio": round(big["seconds"] / small["seconds"], 2),
    }


def measured(run: Run, **changes: Any) -> dict[str, Any]:
    """Do a run in a process of its own."""
    command = [sys.executable, __file__, "--child", json.dumps(asdict(run) | changes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _child(run: Run) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=Path(run.stack).parent) as folder:
        target = Path(folder) / "map.tif"
        found = {"map": _map, "stages": _alone, "loop": _loop}[run.what](run, target)
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return found | {"peak_mib": int(peak[1]) / 1024 if peak else 0.0}


def _session(run: Run, threads: int | None = None) -> Any:
    from zoo.inference.certified import CertifiedSession
    from zoo.inference.runtime import Session

    models = Models(Path(run.models))
    if run.model == "forest":
        return Session(models.forest, "cpu", threads)
    return CertifiedSession(Session(models.compressed, "cpu", threads), Session(models.dense, "cpu", threads))


def _version() -> Any:
    """Return what the tags of the map are taken from."""
    record = SimpleNamespace(
        target=SimpleNamespace(depth=(0.0, 0.05)),
        artefacts={"onnx": SimpleNamespace(sha256="")},
        dataset=SimpleNamespace(fingerprint=""),
        simulated=True,
    )
    return SimpleNamespace(ref="benchmark@v1", record=record)


def _map(run: Run, target: Path) -> dict[str, Any]:
    """Make the map as `zoo predict` does."""
    from zoo.prediction import predict_map
    from zoo.stack import Stack
    from zoo.tiles.pipeline import Overlap

    session, stack = _session(run), Stack.from_folder(Path(run.stack))
    begin, used = time.perf_counter(), time.process_time()
    overlap = replace(Overlap.suited(), **OVERLAPS[run.overlap]) if run.overlap else None
    done = predict_map(_version(), session, stack, target, overlap=overlap)
    seconds = time.perf_counter() - begin
    return {
        "seconds": seconds,
        "cpu_seconds": time.process_time() - used,
        "pixels_per_second": done.pixels / seconds,
        "uncovered": getattr(session, "uncovered", 0),
    }


def _alone(run: Run, target: Path) -> dict[str, Any]:
    """Take the CPU seconds of each stage, one after the other, each by one thread as far as it lets itself."""
    from zoo.stack import Stack
    from zoo.stack.opened import OpenedStack
    from zoo.writers import open_writer

    session, stack = _session(run, threads=1), Stack.from_folder(Path(run.stack))
    spent = {"decode": 0.0, "inference": 0.0, "encode": 0.0}

    def timed(stage: str, call: Callable[[], Any]) -> Any:
        begin = time.process_time()
        answer = call()
        spent[stage] += time.process_time() - begin
        return answer

    writer = open_writer(target, stack.geobox)
    timed("encode", writer.__enter__)
    with OpenedStack(stack, session.names) as opened:
        for window in opened.windows:
            _, predictors, _ = timed("decode", partial(opened.read, window))
            rows = predictors.reshape(len(FEATURES), -1).T
            values = timed("inference", partial(session.answers, rows))["soil_moisture"]
            timed("encode", partial(writer.write, window, values.reshape(predictors.shape[1:])))
    timed("encode", partial(writer.__exit__, None, None, None))
    return spent


def _loop(run: Run, target: Path) -> dict[str, Any]:
    """Loop over the tiles as a user would: read the layers, predict, write."""
    predict = _torch_network(run) if run.model == "compressed" else _scikit_learn_forest(run)
    predict(np.zeros((TILE, len(FEATURES)), np.float32))
    begin, pixels = time.perf_counter(), 0
    with ExitStack() as files:
        layers = [files.enter_context(rasterio.open(Path(run.stack) / f"{name}.tif")) for name in FEATURES]
        profile = layers[0].profile
        made = files.enter_context(rasterio.open(target, "w", **profile))
        for _, window in layers[0].block_windows(1):
            values = np.stack([layer.read(1, window=window) for layer in layers])
            rows = values.reshape(len(layers), -1).T
            answer = np.full(len(rows), profile["nodata"], np.float32)
            whole = (rows != profile["nodata"]).all(axis=1)
            answer[whole] = predict(np.ascontiguousarray(rows[whole]))
            made.write(answer.reshape(values.shape[1:]), 1, window=window)
            pixels += len(rows)
            if pixels >= run.pixels:
                break
    return {"pixels_per_second": pixels / (time.perf_counter() - begin)}


def _torch_network(run: Run) -> Callable[[np.ndarray], np.ndarray]:
    """Return the dense network as torch runs it, in float32 and on all cores."""
    import torch

    torch.set_num_threads(CORES)
    estimator = Models(Path(run.models)).framework("dense")
    network, coding = estimator._network(torch.device("cpu")).to(torch.float32), estimator._coding
    offset, scale = (float(number) for number in estimator.state()["target"])

    @torch.inference_mode()
    def predict(rows: np.ndarray) -> np.ndarray:
        found = []
        for part in np.array_split(rows, max(1, len(rows) // TORCH_ROWS)):
            codes = torch.as_tensor(np.asarray(coding.encode(part), np.float32))
            found.append(network.outputs(codes)[0].numpy() * scale + offset)
        return np.concatenate(found)

    return predict


def _scikit_learn_forest(run: Run) -> Callable[[np.ndarray], np.ndarray]:
    """Return the forest as scikit-learn runs it, on all cores."""
    forest = Models(Path(run.models)).framework("forest").forest_.set_params(n_jobs=-1)
    return cast("Callable[[np.ndarray], np.ndarray]", forest.predict)


def _median(values: list[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    os.environ.setdefault("GDAL_CACHEMAX", "256")
    main()
