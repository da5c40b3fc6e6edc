"""What onnxruntime gives at its best for a model: over batch sizes, threads within a run and runs side by side."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

RESULTS = Path(__file__).resolve().parent / "results"
BATCHES = (256, 512, 1024, 2048, 4096, 8192)
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Setting(NamedTuple):
    """Rows a run, threads within a run, runs at a time."""

    batch: int
    threads: int
    runs: int


def best_setting(content: bytes, rows: np.ndarray) -> tuple[Setting, Callable[[], object]]:
    """Try all settings on the first rows, twice each; return the fastest, and a call that predicts all rows by it."""
    pairs = {(1, 1), (CORES, 1), (1, CORES)}
    settings = [Setting(batch, *pair) for batch, pair in itertools.product(BATCHES, sorted(pairs))]
    some = rows[: 4 * max(BATCHES)]
    calls = {setting: predictor(content, setting) for setting in settings}
    times = {setting: min(seconds(lambda s=setting: calls[s](some)) for _ in range(2)) for setting in settings}
    best = min(times, key=times.__getitem__)
    return best, lambda: calls[best](rows)


def predictor(content: bytes, setting: Setting) -> Callable[[np.ndarray], object]:
    """Open bare sessions; nothing but onnxruntime is between the rows and the answers."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = setting.threads
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    pool = ThreadPoolExecutor(setting.runs)

    def predict(rows: np.ndarray) -> object:
        parts = [rows[start : start + setting.batch] for start in range(0, len(rows), setting.batch)]
        return list(pool.map(lambda part: session.run(["soil_moisture"], {"predictors": part}), parts))

    return predict


def seconds(call: Callable[[], object]) -> float:
    """Time a call by the wall clock."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def paired(calls: Sequence[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Time calls in turn, after one run each to warm up; a list of seconds a call."""
    for call in calls:
        call()
    runs = [[seconds(call) for call in calls] for _ in range(repeats)]
    return [list(column) for column in zip(*runs, strict=True)]


def ratio(slower: list[float], faster: list[float]) -> float:
    """Return the median of the paired ratios; above 1, the second is faster."""
    return statistics.median(a / b for a, b in zip(slower, faster, strict=True))


def sgemm_gflops(size: int = 2048, repeats: int = 5) -> float:
    """Measure the machine's rate of float32 matrix products, GFLOP/s."""
    a, b = (np.random.default_rng(seed).random((size, size), np.float32) for seed in (0, 1))
    best: float = min(seconds(lambda: a @ b) for _ in range(repeats + 1))
    return 2 * size**3 / best / 1e9


def write(name: str, found: dict[str, Any]) -> None:
    """Add what a benchmark found to `benchmarks/results/NAME.json`; figures that it did not measure stay."""
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    before = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(before | found, indent=2) + "\n")


def machine() -> dict[str, Any]:
    """Name the processor, the cores that may be used, and the versions."""
    import platform

    import sklearn
    import torch

    names = [line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return {
        "machine": f"{next(iter(names), platform.machine())}, {CORES} cores",
        "versions": f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}, torch {torch.__version__}, "
        f"scikit-learn {sklearn.__version__}",
        "load_average": os.getloadavg()[0],
    }


def _cpuinfo() -> list[str]:
    try:
        with open("/proc/cpuinfo") as lines:
            return lines.read().splitlines()
    except OSError:
        return []
