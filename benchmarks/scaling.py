"""Time and memory of a map against its pixels: 1, 4, 16 million, or as asked for.

    python benchmarks/scaling.py [--sides 1024 2048 4096] [--model compressed] [--folder FOLDER] [--json]

The rasters and models are those of `pipeline.py`; each map is made by a process of its own, the sizes take turns, and
the median of --repeats runs counts. Linear is a ratio of 1: the seconds a pixel, and the peak memory, of one size over
those of the largest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import rasterio
from best_onnxruntime import machine, write
from map_scene import default_data, table_rows, write_rasters
from pipeline import MODELS, Run, measured, models_for


def main() -> None:
    """Prepare, make maps of every size in turn, print."""
    arguments = _arguments()
    found: dict[str, Any] = machine() | {"gdal": rasterio.__gdal_version__}
    with ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        models = models_for(folder, arguments.data)
        X, _ = table_rows(arguments.data)
        runs = {
            side: Run("map", arguments.model, str(write_rasters(folder, side, X)), str(models.folder))
            for side in sorted(arguments.sides)
        }
        times: dict[int, list[dict[str, Any]]] = {side: [] for side in runs}
        for _ in range(arguments.repeats):
            for side, run in runs.items():
                times[side].append(measured(run))
    found |= _compared(arguments.model, times)
    if arguments.record:
        write("scaling", found)
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(f"{k}: {v}" for k, v in found.items()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=default_data())
    parser.add_argument("--sides", nargs="+", type=int, default=[1024, 2048, 4096])
    parser.add_argument("--model", choices=MODELS, default="compressed")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where rasters and models are kept; a temporary one by default")
    parser.add_argument("--record", action="store_true", help="write the figures into benchmarks/results")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _compared(model: str, times: dict[int, list[dict[str, Any]]]) -> dict[str, Any]:
    seconds = {side: statistics.median(run["seconds"] for run in runs) for side, runs in times.items()}
    peaks = {side: statistics.median(run["peak_mib"] for run in runs) for side, runs in times.items()}
    largest = max(times)
    found: dict[str, Any] = {}
    for side in times:
        key = f"{model}_{side**2 // 2**20}_mpx"
        found |= {f"{key}_seconds": round(seconds[side], 2), f"{key}_peak_mib": round(peaks[side])}
        if side < largest:
            a_pixel = (seconds[side] / side**2) / (seconds[largest] / largest**2)
            found |= {
                f"{key}_seconds_a_pixel_over_largest_ratio": round(a_pixel, 3),
                f"{key}_peak_over_largest_ratio": round(peaks[side] / peaks[largest], 3),
            }
    return found


if __name__ == "__main__":
    main()
