"""What does not come from a satellite's pass: elevation tiles, stations, and the truth itself."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
from affine import Affine

from zoo.simulate.domain import Domain
from zoo.simulate.fields import Field
from zoo.simulate.landscape import Landscape, truth_1km
from zoo.simulate.raster import write_geotiff

Points: TypeAlias = npt.NDArray[np.float64]

_GMTED_PIXEL = 1 / 120
_GMTED_SHIFT = 1 / 7200
"""The tiles lie half an arc second west and south of whole degrees."""
_DEM_ERROR = 3.0
"""Standard deviation, m."""
_POINT_DIFFERENCE = 0.020
"""Between a probe and the 250 m around it, m3 m-3, the same all day."""
_PROBE_NOISE = 0.006
_DRYING = 0.004
"""Over the day, m3 m-3."""
_RANDOM_STATIONS = 20

STATIONS: dict[str, tuple[float, float]] = {
    "L1": (115.53885, 41.55076), "L2": (115.60314, 41.78007), "L3": (115.62838, 42.04218),
    "L4": (115.68971, 42.25761), "L5": (115.74281, 42.41974), "L6": (116.33330, 41.80295),
    "L7": (116.34238, 42.21409), "L8": (116.36103, 41.95531), "L9": (116.08734, 41.74474),
    "L10": (115.94508, 41.74691), "L11": (116.22271, 42.41197), "L12": (116.36778, 42.40121),
    "L13": (115.99656, 42.41643), "L14": (116.43741, 41.57443), "M1": (115.85593, 41.96557),
    "M2": (115.80944, 42.10528), "M3": (116.08250, 41.94972), "M4": (116.18551, 42.09596),
    "M5": (116.18824, 42.18555), "M6": (115.93874, 42.18680), "M7": (115.96818, 42.17698),
    "M8": (115.88861, 42.30639), "M9": (116.07037, 42.30554), "M10": (116.24275, 42.30257),
    "M11": (116.13948, 42.16893), "M12": (116.17660, 42.02510), "S1": (115.94572, 42.00664),
    "S2": (115.93780, 42.04017), "S3": (115.91940, 42.05714), "S4": (115.93507, 42.08267),
    "S5": (115.89405, 42.07394), "S6": (115.86573, 42.04554), "S7": (115.89611, 42.02972),
    "S8": (115.87306, 42.01750),
}  # fmt: skip
"""Longitude and latitude of the Shandian network SMN-SDR; only the places are real."""


def write_terrain(folder: Path, domain: Domain, elevation: Field, rng: np.random.Generator) -> list[Path]:
    """Write every GMTED2010 tile (mean, 30 arc seconds, 30 by 20 degrees) that the scene touches."""
    folder.mkdir(parents=True)
    shape = round(20 / _GMTED_PIXEL), round(30 / _GMTED_PIXEL)
    paths = []
    west, south, east, north = domain.area.bounds
    for bottom in range(*_span(south + 70, north + 70, 20, -70)):
        for left in range(*_span(west, east, 30, 0)):
            corner = left - _GMTED_SHIFT, bottom + 20 - _GMTED_SHIFT
            affine = Affine(_GMTED_PIXEL, 0, corner[0], 0, -_GMTED_PIXEL, corner[1])
            window = domain.window(affine, shape, "EPSG:4326")
            if window is None:
                continue
            rows, columns = window
            part = affine * Affine.translation(columns.start, rows.start)
            size = rows.stop - rows.start, columns.stop - columns.start
            mean = domain.average(elevation, part, size, "EPSG:4326")
            mean += _DEM_ERROR * rng.standard_normal(size, dtype=np.float32)
            tile = np.full(shape, -32768, dtype=np.int16)
            tile[window] = np.where(np.isfinite(mean), np.round(np.nan_to_num(mean)), -32768)
            name = f"{abs(bottom):02d}{'N' if bottom >= 0 else 'S'}{abs(left):03d}{'E' if left >= 0 else 'W'}"
            path = folder / f"{name}_20101117_gmted_mea300.tif"
            paths.append(write_geotiff(path, tile, affine, "EPSG:4326", domain.statement, nodata=-32768))
    return paths


def _span(low: float, high: float, step: int, offset: int) -> tuple[int, int, int]:
    """Range of the tiles' lower edges over an interval."""
    return (
        math.floor(low / step) * step + offset,
        math.floor(high / step) * step + offset + 1,
        step,
    )


def write_stations(folder: Path, domain: Domain, landscape: Landscape, rng: np.random.Generator) -> list[Path]:
    """Write half-hourly soil moisture at 3 cm for the day of the scene, as a table.

    Columns station, lon, lat, depth (m), time (UTC) and sm (m3 m-3).
    """
    folder.mkdir(parents=True)
    places = _places(domain, rng)
    lon, lat = np.array(list(places.values())).T
    around = _at_points(domain, landscape, lon, lat)
    point = around + _POINT_DIFFERENCE * rng.standard_normal(len(places))
    hours = np.arange(48) / 2
    values = point[:, None] - _DRYING * (hours[None, :] / 24 - 0.5)
    values = np.clip(values + _PROBE_NOISE * rng.standard_normal(values.shape), 0.005, 0.6)
    start = datetime.combine(domain.day, datetime.min.time(), UTC)
    times = pd.date_range(start, periods=hours.size, freq="30min")
    table = pd.DataFrame(
        {
            "station": np.repeat(list(places), hours.size),
            "lon": np.repeat(lon, hours.size),
            "lat": np.repeat(lat, hours.size),
            "depth": 0.03,
            "time": np.tile(times, len(places)),
            "sm": values.ravel(),
        }
    )
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    metadata = {**(arrow.schema.metadata or {}), b"simulated": domain.statement.encode()}
    path = folder / "stations.parquet"
    pq.write_table(arrow.replace_schema_metadata(metadata), path)
    return [path]


def _places(domain: Domain, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Return the network's stations in the area; where there is none, some places at random."""
    west, south, east, north = domain.area.bounds
    inside = {
        name: (lon, lat) for name, (lon, lat) in STATIONS.items() if west <= lon <= east and south <= lat <= north
    }
    lon, lat = rng.uniform(west, east, _RANDOM_STATIONS), rng.uniform(south, north, _RANDOM_STATIONS)
    at_random = {f"R{n}": (float(x), float(y)) for n, (x, y) in enumerate(zip(lon, lat, strict=True), 1)}
    return inside or at_random


def _at_points(domain: Domain, landscape: Landscape, lon: Points, lat: Points) -> Points:
    """Return the true soil moisture of the base pixel at each place, or of the nearest that is land."""
    x, y = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:6933", always_xy=True).transform(lon, lat)
    columns, rows = ~domain.base.affine * (x, y)
    wet = np.argwhere(landscape.water < 0.5)
    found = []
    for row, column in zip(np.floor(rows), np.floor(columns), strict=True):
        nearest = wet[np.abs(wet - (row, column)).sum(axis=1).argmin()]
        found.append(landscape.moisture[tuple(nearest)])
    return np.array(found, dtype=np.float64)


def write_truth(folder: Path, domain: Domain, landscape: Landscape) -> tuple[Path, Field]:
    """Write the true soil moisture on the target grid, NaN on water, and return it with its path."""
    folder.mkdir(parents=True)
    truth = truth_1km(domain, landscape.moisture, landscape.water < 0.5)
    path = write_geotiff(
        folder / "sm_1km_truth.tif",
        truth,
        domain.target.affine,
        "EPSG:6933",
        domain.statement,
        nodata=float("nan"),
        predictor=3,
        description="soil_moisture",
        units="m3 m-3",
        tags={"date": domain.day.isoformat()},
    )
    return path, truth
