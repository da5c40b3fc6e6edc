"""Read a map of soil moisture back, with what its tags say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError

from zoo.errors import DataError
from zoo.grids import as_array, geobox_of

NODATA = -9999.0
"""Nodata of soil-moisture products, also where a file does not declare it."""
LARGEST_ODD_SHARE = 0.01
"""A map with a larger share of values outside 0-1 is not in m3 m-3."""
NETCDF = (".nc", ".nc4")
RASTER = (".tif", ".tiff", *NETCDF)


def read_map(path: Path) -> xr.DataArray:
    """Read a map of soil moisture.

    Returns
    -------
    Dims (y, x), m3 m-3, NaN where there is none; the file's tags as attributes.

    Raises
    ------
    DataError
        If it is no .tif or .nc raster, has no CRS or no valid value, or is not m3 m-3.
    """
    if not path.is_file():
        msg = f"{path} is no file; give a map (.tif or .nc), for example one made by: zoo predict"
        raise DataError(msg)
    try:
        values, box, tags = _read_netcdf(path) if path.suffix.lower() in NETCDF else _read_geotiff(path)
    except (RasterioError, OSError, ValueError) as error:
        msg = f"{path} cannot be read as a map of soil moisture (.tif, .nc): {' '.join(str(error).split())}"
        raise DataError(msg) from error
    values[values == NODATA] = np.nan
    array = as_array(values, box, "soil_moisture", tags)
    geobox_of(array)
    _check_units(array, path)
    return array


def _read_geotiff(path: Path) -> tuple[np.ndarray[Any, Any], GeoBox, dict[str, Any]]:
    with rasterio.open(path) as source:
        values = source.read(1, masked=True).astype(np.float32).filled(np.nan)
        return values * source.scales[0] + source.offsets[0], GeoBox.from_rio(source), dict(source.tags())


def _read_netcdf(path: Path) -> tuple[np.ndarray[Any, Any], GeoBox, dict[str, Any]]:
    with xr.open_dataset(path, engine="h5netcdf", decode_coords="all") as source:
        grids = [str(name) for name, array in source.data_vars.items() if {"y", "x"} <= set(array.dims)]
        grids = grids or [str(name) for name, array in source.data_vars.items() if array.ndim >= 2]
        if not grids:
            msg = "it holds no variable on a grid"
            raise ValueError(msg)
        array = source["soil_moisture" if "soil_moisture" in grids else grids[0]].squeeze(drop=True)
        if array.ndim != 2:
            msg = f"variable {array.name!r} has dims {array.dims}, expected one time, y and x"
            raise ValueError(msg)
        return array.to_numpy().astype(np.float32), geobox_of(array), {**source.attrs, **array.attrs}


def _check_units(array: xr.DataArray, path: Path) -> None:
    values = array.to_numpy()
    valid = values[np.isfinite(values)]
    if valid.size == 0:
        msg = f"{path} holds no valid value; give a map with soil moisture in it"
        raise DataError(msg)
    if ((valid < 0) | (valid > 1)).mean() > LARGEST_ODD_SHARE:
        low, high = np.quantile(valid, [0.05, 0.95])
        msg = f"{path} runs from {low:g} to {high:g} (5-95 %), expected soil moisture in m3 m-3 between 0 and 1"
        raise DataError(msg)


def date_of(tags: Mapping[str, Any]) -> date | None:
    """Return the date in a file's tags: `time_coverage_start` (ISO 8601), else TIFFTAG_DATETIME."""
    texts = str(tags.get("time_coverage_start", ""))[:10], str(tags.get("TIFFTAG_DATETIME", ""))[:10].replace(":", "-")
    for text in texts:
        try:
            return date.fromisoformat(text)
        except ValueError:
            continue
    return None
