"""Seconds and memory of the correction to the coarse mean, on a random map.

    python benchmarks/correction.py [--megapixels 16] [--repeats 3] [--json]

A float32 map with a tenth of its pixels missing over 9 x 9 pixel cells, a twentieth of them without a value. Printed
are the median of the repeats, the memory at its peak beyond map and coarse field (the corrected map included), and
both for each million pixels.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox
from odc.geo.xr import wrap_xr

from zoo.correction import correct

RATIO = 9


def main() -> None:
    """Make a map, correct it, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    cells = max(1, round((given.megapixels * 1e6) ** 0.5 / RATIO))
    side, rng = cells * RATIO, np.random.default_rng(given.seed)
    fine = rng.uniform(0.1, 0.3, (side, side)).astype(np.float32)
    fine[rng.random(fine.shape, dtype=np.float32) < 0.1] = np.nan
    coarse = rng.uniform(0.15, 0.25, (cells, cells)).astype(np.float32)
    coarse[rng.random(coarse.shape) < 0.05] = np.nan
    bounds = (0, 0, side * 1000, side * 1000)
    fine_box, coarse_box = (GeoBox.from_bbox(bounds, "EPSG:6933", resolution=r) for r in (1000, 1000 * RATIO))
    field = wrap_xr(coarse, coarse_box)
    correct(fine[:90, :90], fine_box[:90, :90], field[:10, :10])  # imports
    seconds, peak = [], 0.0
    for _ in range(given.repeats):
        with Watch() as watch:
            started = time.perf_counter()
            _, report = correct(fine, fine_box, field)
            seconds.append(time.perf_counter() - started)
        peak = max(peak, watch.peak)
    megapixels = fine.size / 1e6
    found = {
        "megapixels": round(megapixels, 2),
        "cells": report.cells,
        "max_after": report.max_after,
        "seconds": round(statistics.median(seconds), 2),
        "seconds_per_megapixel": round(statistics.median(seconds) / megapixels, 4),
        "peak_mib": round(peak, 1),
        "peak_in_maps": round(peak / (fine.nbytes / 2**20), 2),
    }
    print(json.dumps(found, indent=1) if given.json else "\n".join(f"{k}: {v}" for k, v in found.items()))


class Watch:
    """Resident memory of this process at its highest, MiB above that at the start, looked at every 5 ms."""

    def __enter__(self) -> Watch:
        self._start, self.peak, self._going = resident(), 0.0, True
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while self._going:
            self.peak = max(self.peak, resident() - self._start)
            time.sleep(0.005)

    def __exit__(self, *_: object) -> None:
        self._going = False
        self._thread.join()


def resident() -> float:
    """Return the resident memory of this process, MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")


if __name__ == "__main__":
    main()
