"""Grids: EASE-Grid 2.0, regular longitude and latitude, and the grid of the fine map.

A grid is an odc-geo `GeoBox`, north up. Published constants: EASE-Grid 2.0 global, EPSG:6933 (Brodzik
et al. 2012, doi:10.3390/ijgi1010032; NSIDC's EASE2_M36km.gpd, EASE2_M09km.gpd, EASE2_M03km.gpd).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.xr import wrap_xr

from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.types import Area

EASE2_CRS = "EPSG:6933"
EASE2_CORNER = (-17367530.4451615, 7314540.8306386)
"""Outer upper-left corner of every global grid here, metres."""
EASE2_CELL_M36 = 36032.220840584
"""Cell of M36, metres. The finer grids divide it exactly, as published."""
EASE2_SHAPE_M36 = (406, 964)
EASE2_DIVISIONS = {"M36": 1, "M09": 4, "M03": 12, "M01": 36}
"""Cells along one side of an M36 cell."""

_EDGE_TOLERANCE = 1e-6
"""Cells: an area that ends on a cell's edge takes no cell beyond it."""
_NEST_TOLERANCE = 1e-3
_ROUND_TRIP = 1.0
"""Metres, or degrees: how far a point may lie from itself after the way to longitude and latitude and back."""


def ease2_geobox(name: str) -> GeoBox:
    """Return a global EASE-Grid 2.0: `M36`, `M09`, `M03` or `M01`.

    Raises
    ------
    UnknownNameError
        If there is no such grid.

    Examples
    --------
    >>> ease2_geobox("M09").shape.yx
    (1624, 3856)
    """
    if name not in EASE2_DIVISIONS:
        kind = "EASE-Grid 2.0 grid"
        raise UnknownNameError(kind, name, EASE2_DIVISIONS)
    parts = EASE2_DIVISIONS[name]
    cell = EASE2_CELL_M36 / parts
    rows, columns = EASE2_SHAPE_M36
    west, north = EASE2_CORNER
    return GeoBox((rows * parts, columns * parts), Affine(cell, 0, west, 0, -cell, north), EASE2_CRS)


def geographic_geobox(step: float) -> GeoBox:
    """Return the global grid of `step` degrees (EPSG:4326), from 180 W and 90 N.

    Examples
    --------
    >>> geographic_geobox(0.25).shape.yx
    (720, 1440)
    """
    shape = round(180 / step), round(360 / step)
    return GeoBox(shape, Affine(360 / shape[1], 0, -180, 0, -180 / shape[0], 90), "EPSG:4326")


def ease2_cells(
    lon: npt.ArrayLike, lat: npt.ArrayLike, name: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find the cells of points.

    Parameters
    ----------
    lon, lat : degrees, any shape
    name : grid, as in `ease2_geobox`

    Returns
    -------
    Row and column, from the upper left; -1, -1 beyond latitude 85.0446 or where a coordinate is missing.
    Longitude 180 belongs to the last column.
    """
    box = ease2_geobox(name)
    east, north = pyproj.Transformer.from_crs("EPSG:4326", EASE2_CRS, always_xy=True).transform(lon, lat)
    west_edge, north_edge = EASE2_CORNER
    cell = box.resolution.x
    column = (np.asarray(east, dtype=np.float64) - west_edge) / cell
    row = (north_edge - np.asarray(north, dtype=np.float64)) / cell
    rows, columns = box.shape.yx
    known = np.isfinite(row) & np.isfinite(column) & (row >= 0) & (row < rows)
    clamped = np.clip(np.floor(np.where(known, column, 0)), 0, columns - 1)
    return (
        np.where(known, np.floor(np.where(known, row, 0)), -1).astype(np.int64),
        np.where(known, clamped, -1).astype(np.int64),
    )


def cells_in(geobox: GeoBox, area: Area) -> GeoBox:
    """Return the smallest part of a grid that holds every cell whose centre lies in the area.

    Raises
    ------
    DataError
        If no centre does.
    """
    rows, columns = window_of(geobox, area)
    return geobox[rows, columns]


def window_of(geobox: GeoBox, area: Area) -> tuple[slice, slice]:
    """Return rows and columns of `cells_in`, to read a part of a file.

    Raises
    ------
    DataError
        If no cell has its centre in the area.
    """
    near = _near(geobox, area)
    if near is not None:
        inside = crop_mask(geobox[near], area)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if rows.size:
            top, left = near[0].start, near[1].start
            return (
                slice(int(top + rows[0]), int(top + rows[-1] + 1)),
                slice(int(left + columns[0]), int(left + columns[-1] + 1)),
            )
    msg = (
        f"No cell of the grid has its centre in the area {area}; the data cover {_bounds_text(geobox)} "
        f"(west south east north); choose a larger area or another"
    )
    raise DataError(msg)


def crop_mask(geobox: GeoBox, area: Area) -> npt.NDArray[np.bool_]:
    """Say for each cell whether its centre lies in the area, shape (rows, columns)."""
    lon, lat = centres(geobox)
    inside = (lon >= area.west) & (lon <= area.east) & (lat >= area.south) & (lat <= area.north)
    return np.broadcast_to(inside, geobox.shape.yx)


def centres(geobox: GeoBox) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return longitude and latitude of the cell centres, degrees on WGS84.

    Returns
    -------
    Two arrays that broadcast to (rows, columns): where the projection keeps meridians and parallels straight,
    as EPSG:6933 does, their shapes are (1, columns) and (rows, 1). NaN where a centre lies off the globe, as the
    outer corners of the MODIS sinusoidal grid do.
    """
    rows, columns = geobox.shape.yx
    transform = geobox.affine
    x = transform.c + transform.a * (np.arange(columns) + 0.5)
    y = transform.f + transform.e * (np.arange(rows) + 0.5)
    to_degrees = pyproj.Transformer.from_crs(_crs(geobox), "EPSG:4326", always_xy=True)
    if _is_straight(geobox):
        lon, _ = to_degrees.transform(x, np.full(columns, y[rows // 2]))
        _, lat = to_degrees.transform(np.full(rows, x[columns // 2]), y)
        return lon[None, :], lat[:, None]
    across, down = np.meshgrid(x, y)
    return geographic(across, down, _crs(geobox))


def geographic(
    x: npt.ArrayLike, y: npt.ArrayLike, crs: pyproj.CRS
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return longitude and latitude of points of a projection, degrees on WGS84; NaN for points off the globe.

    PROJ wraps those around: beyond the 180th meridian of a sinusoidal grid it answers with a place on the other
    side. Projected again such a place comes out elsewhere.
    """
    to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    lon, lat = _returning(x, y, to_degrees)
    # What lies on the very edge may be called either side: a second try two centimetres further in.
    inner_lon, inner_lat = _returning(x * (1 - 1e-9), y, to_degrees)
    return np.where(np.isnan(lon), inner_lon, lon), np.where(np.isnan(lat), inner_lat, lat)


def _returning(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], to_degrees: pyproj.Transformer
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Longitude and latitude of those points that come back to themselves, NaN for others."""
    lon, lat = to_degrees.transform(x, y)
    again = to_degrees.transform(lon, lat, direction=pyproj.enums.TransformDirection.INVERSE)
    away = np.maximum(np.abs(again[0] - x), np.abs(again[1] - y))
    known = np.isfinite(lon) & np.isfinite(lat) & (away < _ROUND_TRIP)
    return np.where(known, lon, np.nan), np.where(known, lat, np.nan)


def geographic_bounds(geobox: GeoBox) -> tuple[float, float, float, float]:
    """Return the outer bounds (west, south, east, north) of a grid in degrees on WGS84.

    Of a grid that reaches off the globe, the bounds of the part that is on it, from 65 x 65 points.
    """
    box = geobox.boundingbox
    crs = _crs(geobox)
    to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    bounds = to_degrees.transform_bounds(box.left, box.bottom, box.right, box.top, densify_pts=51)
    if np.isfinite(bounds).all() and bounds[0] < bounds[2]:
        return bounds
    x, y = np.meshgrid(np.linspace(box.left, box.right, 65), np.linspace(box.bottom, box.top, 65))
    lon, lat = geographic(x, y, crs)
    if np.isnan(lon).all():
        return bounds
    return float(np.nanmin(lon)), float(np.nanmin(lat)), float(np.nanmax(lon)), float(np.nanmax(lat))


def target_geobox(
    area: Area | None, *, like: Path | None = None, crs: str | None = None, resolution: float | None = None
) -> GeoBox:
    """Return the grid of the fine map.

    By default EASE-Grid 2.0 M01 (1000.895 m) over all M09 cells that the area touches, so that each of them
    is whole: 9 x 9 pixels a cell.

    Parameters
    ----------
    area : the place; may be None with `like`
    like : a raster whose grid is taken, cut to the area if there is one
    crs, resolution : a coordinate system and the pixel in its units; the grid lies on multiples of it

    Raises
    ------
    UsageError
        If options contradict each other or the CRS is unknown.
    DataError
        If `like` cannot be read or has no cell in the area.
    """
    if like is not None:
        if crs is not None or resolution is not None:
            msg = "--like already says CRS and resolution; give either --like or --crs with --resolution"
            raise UsageError(msg)
        box = _grid_of_raster(like)
        return box if area is None else cells_in(box, area)
    if area is None:
        msg = "The map needs a place; give --area WEST SOUTH EAST NORTH in degrees, or --like FILE"
        raise UsageError(msg)
    if crs is None and resolution is None:
        return _whole_m09_cells(area)
    if crs is None or resolution is None or resolution <= 0:
        msg = (
            f"--crs {crs} --resolution {resolution} make no grid; give both, the resolution positive in "
            "units of the CRS, for example --crs EPSG:32650 --resolution 1000"
        )
        raise UsageError(msg)
    return _on_multiples(area, crs, resolution)


def as_array(
    values: npt.ArrayLike,
    geobox: GeoBox,
    name: str,
    attrs: Mapping[str, Any],
    time: datetime | None = None,
) -> xr.DataArray:
    """Wrap values as the project's spatial array.

    Parameters
    ----------
    values : shape (rows, columns), stored as float32
    time : aware; becomes the scalar coordinate `time`, UTC
    """
    array = wrap_xr(np.asarray(values, dtype=np.float32), geobox, always_yx=True, nodata=None)
    array.attrs = dict(attrs)
    array = array.rename(name)
    return array if time is None else array.assign_coords(time=utc64(time))


def utc64(moment: datetime) -> np.datetime64:
    """Return an aware datetime as `datetime64[ns]`, UTC."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "ns")


def geobox_of(array: xr.DataArray) -> GeoBox:
    """Return the grid of an array.

    Raises
    ------
    DataError
        If it has no CRS or no regular coordinates.
    """
    box = array.odc.geobox
    if not isinstance(box, GeoBox) or box.crs is None:
        msg = f"The array {array.name!r} lies on no grid; expected coordinates x, y and a CRS in spatial_ref"
        raise DataError(msg)
    return box


def nests(fine: GeoBox, coarse: GeoBox) -> bool:
    """Say whether every cell edge of `coarse` is a cell edge of `fine`, if both went on for ever.

    Examples
    --------
    >>> nests(ease2_geobox("M01"), ease2_geobox("M09"))
    True
    """
    if fine.crs != coarse.crs:
        return False
    small, large = fine.affine, coarse.affine
    in_cells = (
        large.a / small.a,
        large.e / small.e,
        (large.c - small.c) / small.a,
        (large.f - small.f) / small.e,
    )
    offsets = [abs(value - round(value)) for value in in_cells]
    return min(in_cells[:2]) > 1 - _NEST_TOLERANCE and max(offsets) < _NEST_TOLERANCE


def _bounds_text(geobox: GeoBox) -> str:
    return " ".join(f"{edge:.2f}" for edge in geographic_bounds(geobox))


def _is_straight(geobox: GeoBox) -> bool:
    """Whether longitude depends on x alone and latitude on y alone."""
    crs = _crs(geobox)
    return bool(crs.is_geographic) or crs.to_epsg() == 6933


def _crs(geobox: GeoBox) -> pyproj.CRS:
    if geobox.crs is None:
        msg = "The grid has no CRS; expected one, for example EPSG:6933"
        raise DataError(msg)
    return geobox.crs.proj


def _bounds_in(area: Area, crs: pyproj.CRS) -> tuple[float, float, float, float]:
    """Bounds of the area in another system; infinite where the projection ends."""
    to_crs = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    return to_crs.transform_bounds(*area.bounds, densify_pts=51)


def _near(geobox: GeoBox, area: Area) -> tuple[slice, slice] | None:
    """Rows and columns around the area with a margin of two cells; None if they do not meet."""
    west, south, east, north = _bounds_in(area, _crs(geobox))
    transform = geobox.affine
    rows, columns = geobox.shape.yx
    across = sorted(((west - transform.c) / transform.a, (east - transform.c) / transform.a))
    down = sorted(((north - transform.f) / transform.e, (south - transform.f) / transform.e))
    if not np.isfinite([*across, *down]).all():
        return slice(0, rows), slice(0, columns)
    left, right = np.clip([np.floor(across[0]) - 2, np.ceil(across[1]) + 2], 0, columns).astype(int)
    top, bottom = np.clip([np.floor(down[0]) - 2, np.ceil(down[1]) + 2], 0, rows).astype(int)
    if right <= left or bottom <= top:
        return None
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _grid_of_raster(path: Path) -> GeoBox:
    try:
        with rasterio.open(path) as source:
            box = GeoBox.from_rio(source)
    except rasterio.errors.RasterioError as error:
        msg = f"{path} cannot be read as a raster; --like needs one with a CRS, for example a GeoTIFF"
        raise DataError(msg) from error
    if box.crs is None:
        msg = f"{path} has no CRS; --like needs a raster with one"
        raise DataError(msg)
    return box


def _whole_m09_cells(area: Area) -> GeoBox:
    coarse = ease2_geobox("M09")
    west, south, east, north = _bounds_in(area, _crs(coarse))
    cell = coarse.resolution.x
    x0, y0 = EASE2_CORNER
    rows, columns = coarse.shape.yx
    left, right = _outward((west - x0) / cell, (east - x0) / cell, columns)
    top, bottom = _outward((y0 - north) / cell, (y0 - south) / cell, rows)
    if right <= left or bottom <= top:
        msg = f"The area {area} lies outside EASE-Grid 2.0, which ends at latitude 85.04; choose another"
        raise UsageError(msg)
    parts = EASE2_DIVISIONS["M01"] // EASE2_DIVISIONS["M09"]
    return ease2_geobox("M01")[top * parts : bottom * parts, left * parts : right * parts]


def _outward(low: float, high: float, size: int) -> tuple[int, int]:
    """First cell and first cell after, of all cells that an interval (in cells) touches."""
    first = np.clip(np.floor(low + _EDGE_TOLERANCE), 0, size)
    after = np.clip(np.ceil(high - _EDGE_TOLERANCE), 0, size)
    return int(first), int(after)


def _on_multiples(area: Area, crs: str, resolution: float) -> GeoBox:
    try:
        system = pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        msg = f"--crs {crs!r} is not a coordinate reference system; give for example EPSG:32650"
        raise UsageError(msg) from error
    west, south, east, north = _bounds_in(area, system)
    if not np.isfinite([west, south, east, north]).all():
        msg = f"The area {area} cannot be shown in --crs {crs}; choose a CRS made for that place"
        raise UsageError(msg)
    left, bottom = (math.floor(edge / resolution + _EDGE_TOLERANCE) for edge in (west, south))
    right, top = (math.ceil(edge / resolution - _EDGE_TOLERANCE) for edge in (east, north))
    shape = top - bottom, right - left
    return GeoBox(shape, Affine(resolution, 0, left * resolution, 0, -resolution, top * resolution), crs)
