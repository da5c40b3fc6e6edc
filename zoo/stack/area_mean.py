"""Area means from one grid onto another, and pieces of one grid joined.

One rule everywhere: GDAL's `average` resampling, which weights source pixels by their overlap with the target
pixel, with the share of valid source area beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import rasterio.warp
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling

from zoo.grids import as_array, geobox_of
from zoo.types import Area

Floats = npt.NDArray[np.float32]
Window = tuple[slice, slice]

MAX_DIVISIONS = 8
"""A target pixel is cut into at most 8 x 8 where the two grids are sheared against each other."""
_ALIGNED = 0.05
"""Pixels: grids whose corners fall together to this are one grid (tile corners are rounded in file metadata)."""


def area_mean(values: Floats, source: GeoBox, target: GeoBox) -> tuple[Floats, Floats]:
    """Average layers over the pixels of another grid.

    GDAL takes for a target pixel's footprint the upright rectangle of source pixels between its upper left and
    lower right corner. Where the grids are sheared against each other (MODIS' sinusoidal grid far from its
    meridian) that is too wide or too narrow, so the target pixel is cut into smaller ones first.

    Parameters
    ----------
    values : shape (k, h, w) on `source`, NaN where missing
    source, target : grids, any CRS

    Returns
    -------
    Means, shape (k, H, W) on `target`, NaN where nothing is valid; and the share of each target pixel's area
    that valid source pixels cover, 0-1, same shape.
    """
    layers = len(values)
    step_x, step_y = pixel_in_source(source, target)
    parts = _divisions(step_x, step_y)
    margin = math.ceil(max(abs(step_x).sum(), abs(step_y).sum())) + 2
    padded = np.zeros((2 * layers, values.shape[1] + 2 * margin, values.shape[2] + 2 * margin), np.float32)
    inner = padded[:, margin:-margin, margin:-margin]
    valid = np.isfinite(values)
    np.copyto(inner[:layers], values, where=valid)
    inner[layers:] = valid
    rows, columns = target.shape.yx
    summed = np.zeros((2 * layers, rows * parts, columns * parts), np.float32)
    rasterio.warp.reproject(
        padded,
        summed,
        src_transform=source.affine * Affine.translation(-margin, -margin),
        src_crs=str(source.crs),
        dst_transform=target.affine * Affine.scale(1 / parts),
        dst_crs=str(target.crs),
        resampling=Resampling.average,
        tolerance=0.01,
    )
    if parts > 1:
        summed = summed.reshape(2 * layers, rows, parts, columns, parts).mean(axis=(2, 4))
    share = np.clip(summed[layers:], 0, 1)
    # Slivers from rounding of the projection are no coverage.
    covered = share > 1e-4
    means = np.full_like(share, np.nan)
    np.divide(summed[:layers], summed[layers:], out=means, where=covered)
    return means, np.where(covered, share, np.float32(0))


def mean_of_pieces(pieces: Iterable[tuple[Floats, Floats]], shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Merge area means of several pieces (scenes, zones) as sum(mean * share) / sum(share).

    Parameters
    ----------
    pieces : pairs as returned by `area_mean`, each of `shape`

    Returns
    -------
    Mean, NaN where no piece is valid, and share, at most 1.
    """
    weighted, share = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for mean, part in pieces:
        weighted += np.where(part > 0, mean, 0) * part
        share += part
    merged = np.full(shape, np.nan, np.float32)
    np.divide(weighted, share, out=merged, where=share > 0)
    return merged, np.minimum(share, 1)


def join(pieces: Sequence[xr.DataArray]) -> list[xr.DataArray]:
    """Join pieces of one grid (tiles, scenes of one UTM zone) into one array a grid.

    Where pieces overlap, the first that is valid counts. Name and attributes are the first piece's, `granules`
    those of all.

    Raises
    ------
    DataError
        If a piece has no CRS.
    """
    groups: list[list[xr.DataArray]] = []
    for piece in pieces:
        box = geobox_of(piece)
        group = next((group for group in groups if _same_grid(geobox_of(group[0]), box)), None)
        if group is None:
            groups.append([piece])
        else:
            group.append(piece)
    return [group[0] if len(group) == 1 else _joined(group) for group in groups]


def window_near(box: GeoBox, area: Area | None, margin: int = 2) -> Window | None:
    """Return the rows and columns of a grid around an area, with a margin in pixels; None if they do not meet."""
    rows, columns = box.shape.yx
    if area is None:
        return slice(0, rows), slice(0, columns)
    bounds = Transformer.from_crs("EPSG:4326", str(box.crs), always_xy=True).transform_bounds(
        *area.bounds, densify_pts=51
    )
    corners = [~box.affine * (x, y) for x in bounds[::2] for y in bounds[1::2]]
    across, down = zip(*corners, strict=True)
    if not np.isfinite([*across, *down]).all():
        return slice(0, rows), slice(0, columns)
    left, right = max(0, math.floor(min(across)) - margin), min(columns, math.ceil(max(across)) + margin)
    top, bottom = max(0, math.floor(min(down)) - margin), min(rows, math.ceil(max(down)) + margin)
    return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None


def area_of(box: GeoBox) -> Area:
    """Return the geographic bounds of a grid."""
    west, south, east, north = Transformer.from_crs(str(box.crs), "EPSG:4326", always_xy=True).transform_bounds(
        *box.boundingbox.bbox, densify_pts=51
    )
    return Area(max(west, -180.0), max(south, -90.0), min(east, 180.0), min(north, 90.0))


def blocks(box: GeoBox, side: int, part: Window | None = None) -> Iterator[Window]:
    """Cut a grid, or a part of it, into windows of at most `side` x `side` pixels, row by row."""
    rows, columns = part or (slice(0, box.shape.y), slice(0, box.shape.x))
    for top in range(rows.start, rows.stop, side):
        for left in range(columns.start, columns.stop, side):
            yield slice(top, min(top + side, rows.stop)), slice(left, min(left + side, columns.stop))


def same_pixels(one: GeoBox, other: GeoBox) -> bool:
    """Say whether two grids have the same pixels."""
    return one.shape == other.shape and _same_grid(one, other) and _offset(one, other) == (0, 0)


def pixel_in_source(source: GeoBox, target: GeoBox) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Step of one target pixel to the right and down, (columns, rows) of the source, at the target's middle."""
    row, column = target.shape.y / 2, target.shape.x / 2
    corners = [target.affine * point for point in ((column, row), (column + 1, row), (column, row + 1))]
    transformer = Transformer.from_crs(str(target.crs), str(source.crs), always_xy=True)
    placed = [~source.affine * transformer.transform(*corner) for corner in corners]
    origin, right, down = (np.array(point, dtype=np.float64) for point in placed)
    if not np.isfinite([origin, right, down]).all():
        return np.ones(2), np.ones(2)
    return right - origin, down - origin


def _divisions(step_x: npt.NDArray[np.float64], step_y: npt.NDArray[np.float64]) -> int:
    """Cuts that keep a part's footprint within a quarter of the target pixel of the true parallelogram."""
    shear = max(abs(step_y[0] / step_x[0]), abs(step_x[1] / step_y[1]))
    return min(MAX_DIVISIONS, max(1, math.ceil(4 * float(shear) - 0.5)))


def _same_grid(one: GeoBox, other: GeoBox) -> bool:
    if one.crs != other.crs:
        return False
    ratio = ~one.affine * other.affine
    sizes = abs(ratio.a - 1) * other.shape.x, abs(ratio.e - 1) * other.shape.y, abs(ratio.b), abs(ratio.d)
    shifts = abs(ratio.c - round(ratio.c)), abs(ratio.f - round(ratio.f))
    return bool(max(*sizes, *shifts) < _ALIGNED)


def _offset(base: GeoBox, box: GeoBox) -> tuple[int, int]:
    """Row and column of `box` in `base`."""
    ratio = ~base.affine * box.affine
    return round(ratio.f), round(ratio.c)


def _joined(pieces: Sequence[xr.DataArray]) -> xr.DataArray:
    base = geobox_of(pieces[0])
    placed = [(*_offset(base, geobox_of(piece)), piece) for piece in pieces]
    top, left = min(row for row, _, _ in placed), min(column for _, column, _ in placed)
    bottom = max(row + piece.shape[0] for row, _, piece in placed)
    right = max(column + piece.shape[1] for _, column, piece in placed)
    values = np.full((bottom - top, right - left), np.nan, np.float32)
    for row, column, piece in placed:
        part = values[row - top : row - top + piece.shape[0], column - left : column - left + piece.shape[1]]
        np.copyto(part, piece.to_numpy(), where=np.isnan(part))
    granules = dict.fromkeys(name for piece in pieces for name in piece.attrs.get("granules", ()))
    attrs = {**pieces[0].attrs, "granules": list(granules)}
    if any(piece.attrs.get("simulated") for piece in pieces):
        attrs["simulated"] = "true"
    grid = GeoBox(values.shape, base.affine * Affine.translation(left, top), base.crs)
    return as_array(values, grid, str(pieces[0].name), attrs)
