"""Write a simulated SMOS granule over a simulated scene, laid out as the product's files are.

With it, training and tests need no download: `python -m zoo_smos.simulate SCENE FOLDER`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox

from zoo.grids import centres, window_of
from zoo.simulate import Scene
from zoo.stack import area_mean
from zoo_smos.product import DAYS, EPOCH, GRID, SECONDS, SOIL_MOISTURE

NOISE = 0.015
"""Standard deviation of the simulated retrieval, m3 m-3; the mission asks for less than 0.04."""
LOCAL_HOUR = 6.0
"""Of the ascending pass, local solar time."""

FILL, TIME_FILL = -32768, -2147483647
SCALE = 3.05185094759971e-05


def write_granule(scene: Scene, folder: Path, *, seed: int = 0) -> Path:
    """Write the ascending granule of a scene's day: the means of its truth in the 25 km cells, and noise.

    Returns
    -------
    The file, `SM_OPER_MIR_CLF31A_..._300_002_7.DBL.nc`; its `comment` says that it is simulated.
    """
    grid = GRID[window_of(GRID, scene.area)]
    day = f"{scene.date:%Y%m%d}"
    path = folder / f"SM_OPER_MIR_CLF31A_{day}T000000_{day}T235959_300_002_7.DBL.nc"
    unfinished = path.with_suffix(".part")
    _dataset(scene, grid, _retrieved(scene, grid, seed)).to_netcdf(
        unfinished,
        format="NETCDF3_CLASSIC",
        engine="scipy",
        encoding={"lat": {"_FillValue": None}, "lon": {"_FillValue": None}},
    )
    os.replace(unfinished, path)
    return path


def _retrieved(scene: Scene, grid: GeoBox, seed: int) -> npt.NDArray[np.float64]:
    """Mean truth and noise, m3 m-3 (rows, columns); NaN where less than half of the cell is known."""
    with rasterio.open(scene.truth) as source:
        truth, fine = source.read(1, masked=True).filled(np.nan), GeoBox.from_rio(source)
    mean, share = area_mean(truth[None].astype(np.float32), fine, grid)
    noise = np.random.default_rng(seed).normal(0, NOISE, grid.shape.yx)
    seen: npt.NDArray[np.float64] = np.where(share[0] >= 0.5, np.clip(mean[0] + noise, 0, 1), np.nan)
    return seen


def _dataset(scene: Scene, grid: GeoBox, moisture: npt.NDArray[np.float64]) -> xr.Dataset:
    """Pack as stored: whole numbers, latitude from south to north."""
    lon, lat = centres(grid)
    seen = np.isfinite(moisture)
    day = (scene.date - EPOCH.date()).days
    second = np.broadcast_to((LOCAL_HOUR - lon / 15) % 24 * 3600, grid.shape.yx)
    packed = np.where(seen, np.round(np.nan_to_num(moisture) / SCALE), FILL).astype(np.int16)
    fields = {
        DAYS: (np.where(seen, day, TIME_FILL).astype(np.int32), {"units": "d", "_FillValue": np.int32(TIME_FILL)}),
        SECONDS: (
            np.where(seen, second, TIME_FILL).astype(np.int32),
            {"units": "s", "_FillValue": np.int32(TIME_FILL)},
        ),
        SOIL_MOISTURE: (
            packed,
            {"units": "m3.m-3", "scale_factor": SCALE, "add_offset": 0.0, "_FillValue": np.int16(FILL)},
        ),
    }
    file = xr.Dataset(
        {name: (("lat", "lon"), values, attrs) for name, (values, attrs) in fields.items()},
        coords={
            "lat": ("lat", lat[:, 0].astype(np.float32), {"units": "degrees_north"}),
            "lon": ("lon", lon[0].astype(np.float32), {"units": "degrees_east"}),
        },
        attrs={"title": "L3-SM : Preliminary Daily Retrieval Map", "comment": scene.description["statement"]},
    )
    return file.sortby("lat")


def main() -> None:
    """Write a granule over a scene made by `zoo simulate`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    print(write_granule(Scene.open(given.scene), given.folder, seed=given.seed))


if __name__ == "__main__":
    main()
