"""Memory of a prediction does not grow with the map."""

import subprocess
import sys

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from zoo.predictors import PAPER

PROGRAM = """
import resource, sys
from zoo.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert not ended.code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peak_mib(side: int, folder) -> float:
    """Predict a map of `side` x `side` pixels from 14 layers with the published forest."""
    profile = {"driver": "GTiff", "width": side, "height": side, "count": 1, "dtype": "float32", "tiled": True,
               "blockxsize": 512, "blockysize": 512, "crs": "EPSG:6933", "transform": from_origin(0, 0, 1000, 1000),
               "compress": "deflate"}  # fmt: skip
    rng = np.random.default_rng(0)
    folder.mkdir()
    for name in PAPER:
        with rasterio.open(folder / f"{name}.tif", "w", **profile) as file:
            file.write(np.repeat(np.repeat(rng.random((side // 64, side // 64), np.float32), 64, 0), 64, 1), 1)
    command = [sys.executable, "-c", PROGRAM, "predict", "--model", "smd-rf@v1", "--stack", str(folder)]
    done = subprocess.run(
        [*command, "-o", str(folder / "map.tif"), "--quiet"], capture_output=True, text=True, check=True, timeout=300
    )
    return float(done.stdout.split()[-1])


@pytest.mark.slow
def test_four_times_the_pixels_take_no_more_memory(tmp_path):
    small, large = peak_mib(1024, tmp_path / "small"), peak_mib(2048, tmp_path / "large")
    held_in_memory = 14 * (2048**2 - 1024**2) * 4 / 2**20  # 168 MiB, were the layers read as a whole
    assert large - small < 0.25 * held_in_memory
