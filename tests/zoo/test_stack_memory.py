"""The memory of making a stack: bounded by the block, not by tiles or map. Measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer

SIDE = 7200
"""A tile of 15 x 15 degrees in steps of 7.5 arc-seconds: 200 MiB as float32, and its running sums twice that."""
CHILD = r"""
import json, re, sys
from datetime import date
from pathlib import Path
from zoo.grids import target_geobox
from zoo.stack import build_stack
from zoo.types import Area

def peak():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024

before = peak()
target = target_geobox(Area(95, 39, 107, 51))
stack = build_stack([Path(sys.argv[1])], ["dem"], target, date(2019, 9, 25), Path(sys.argv[2]))
after = peak()
print(json.dumps(after - before))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc, of Linux")
def test_a_large_tile_is_stacked_in_a_fraction_of_its_size(tmp_path: Path) -> None:
    heights = np.tile(np.arange(SIDE, dtype=np.int16) // 4, (SIDE, 1))
    (tmp_path / "data").mkdir()
    with rasterio.open(
        tmp_path / "data" / "35n095e_20101117_gmted_mea075.tif", "w", driver="GTiff", dtype="int16", count=1,
        height=SIDE, width=SIDE, crs="EPSG:4326", transform=Affine(15 / SIDE, 0, 94, 0, -15 / SIDE, 52),
        tiled=True, compress="deflate", zlevel=1,
    ) as file:  # fmt: skip
        file.write(heights, 1)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, tmp_path / "data", tmp_path / "stack"], capture_output=True, text=True, check=True
    )
    with rasterio.open(tmp_path / "stack" / "dem.tif") as file:
        values, affine = file.read(1), file.transform
    # EASE-Grid 2.0 keeps meridians straight, and the heights rise with longitude alone.
    longitude, _ = Transformer.from_crs("EPSG:6933", "EPSG:4326", always_xy=True).transform(
        affine.c + affine.a * (np.arange(values.shape[1]) + 0.5), np.full(values.shape[1], affine.f)
    )
    expected = 120 * (longitude - 94) - 0.5
    np.testing.assert_allclose(values, np.tile(expected, (len(values), 1)), atol=0.1)
    # Whole, the area's 33 million elevations and their running sums would take 400 MiB.
    assert json.loads(done.stdout) < 280
