"""Coarse-mean conservation: the fine map keeps what the sensor measured, cell by cell.

The residual of a coarse cell is the sensor's value minus the mean of the map's valid pixels in it. Adding it back is
the residual correction of area-to-point downscaling: as one number a cell it conserves the mean and shows the cells'
edges; interpolated between cell centres it is smooth and conserves the mean only roughly. `exact` does the smooth
correction until it stops helping, and lays the small rest flat over each cell, so that both hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyproj
from scipy.ndimage import distance_transform_edt, map_coordinates

from zoo.errors import DataError, UsageError

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

Field = npt.NDArray[np.float64]
Mode = Literal["none", "smooth", "exact"]

TOLERANCE = 1e-6
"""How close a cell's mean has to come to the sensor, m3 m-3: the precision that `exact` promises."""

ROUNDS = 10
"""Smooth passes at most; each leaves roughly a third of the residual of the one before."""


REACH = 3.0
"""Cells over which a residual fades (to 1/e) where the sensor saw nothing: far from it the map is left alone."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What the correction did; residuals in m3 m-3, over coarse cells that have a value and a valid pixel.

    Attributes
    ----------
    mode : none, smooth or exact
    cells : number of those cells
    rms_before, rms_after, max_after : of the residuals
    out_of_reach : cells whose value no map within the bounds can have
    """

    mode: str
    cells: int
    rms_before: float | None
    rms_after: float | None
    max_after: float | None
    out_of_reach: int


def correct(
    fine: npt.NDArray[np.floating[Any]],
    fine_geobox: GeoBox,
    coarse: xr.DataArray,
    mode: Mode = "exact",
    bounds: tuple[float, float] = (0.0, 1.0),
) -> tuple[Field, Correction]:
    """Bring the means of a fine map over coarse cells to what the sensor measured.

    Parameters
    ----------
    fine : (h, w), m3 m-3, NaN where missing; stays NaN there
    fine_geobox : its grid
    coarse : the sensor's field, dims (y, x); NaN where it has no value, and the map is only smoothed into there
    mode : `none` reports the residuals only; `smooth` adds them interpolated bilinearly between cell centres;
        `exact` also makes the mean of every cell that has a value equal the sensor's to 1e-6
    bounds : lowest and highest value of the result

    Returns
    -------
    The corrected map (h, w) float64, and what was done. A pixel belongs to the coarse cell that holds its centre.

    Raises
    ------
    UsageError
        If the mode is another.
    DataError
        If no coarse cell with a value holds a valid pixel.
    """
    if mode not in get_args(Mode):
        msg = f"--correct {mode!r} is not known; expected none, smooth or exact"
        raise UsageError(msg)
    rows, columns = _coarse_positions(fine_geobox, coarse)
    sensor = np.asarray(coarse.values, dtype=np.float64)
    cells = _Cells.of(rows, columns, sensor, np.isfinite(fine))
    if not cells.observed.any():
        msg = "no coarse cell with a value lies on the map; give a coarse field of the same place and day"
        raise DataError(msg)
    original = np.asarray(fine, np.float64)
    result, before = original.copy(), cells.residual(original)
    if mode != "none":
        result = np.clip(result, *bounds)
        result = _smoothed(result, cells, rows, columns, bounds, ROUNDS if mode == "exact" else 1)
    if mode == "exact":
        result = _levelled(result, cells, bounds)
    return result, _report(mode, cells, before, cells.residual(result), bounds)


@dataclass(frozen=True, slots=True)
class _Cells:
    """Which valid pixel lies in which coarse cell; `label` is -1 where in none, or the pixel is missing."""

    label: npt.NDArray[np.intp]
    sensor: Field
    count: Field

    @classmethod
    def of(cls, rows: Field, columns: Field, sensor: Field, valid: npt.NDArray[np.bool_]) -> _Cells:
        height, width = sensor.shape
        row, column = np.floor(rows + 0.5), np.floor(columns + 0.5)
        inside = valid & (row >= 0) & (row < height) & (column >= 0) & (column < width)
        label = np.full(valid.shape, -1, np.intp)
        label[inside] = (row * width + column)[inside]
        return cls(label, sensor, np.bincount(label[inside], minlength=sensor.size).astype(np.float64))

    @property
    def observed(self) -> npt.NDArray[np.bool_]:
        """Cells that have a value and a valid pixel, flat."""
        return np.isfinite(self.sensor.ravel()) & (self.count > 0)

    def total(self, values: Field) -> Field:
        """Sum over the pixels of each cell, flat."""
        inside = self.label >= 0
        sums = np.bincount(self.label[inside], weights=values[inside], minlength=self.sensor.size)
        return sums.astype(np.float64)

    def residual(self, values: Field) -> Field:
        """Sensor minus mean, flat, NaN for cells that are not observed."""
        mean = self.total(values) / np.where(self.count > 0, self.count, np.nan)
        return np.where(self.observed, self.sensor.ravel() - mean, np.nan)

    def spread(self, per_cell: Field) -> Field:
        """Lay one number a cell over its pixels; 0 elsewhere."""
        numbers: Field = np.append(np.nan_to_num(per_cell), 0.0)  # label -1 finds the last one
        return numbers[self.label]


def _coarse_positions(fine: GeoBox, coarse: xr.DataArray) -> tuple[Field, Field]:
    """Row and column of every fine pixel's centre on the coarse grid, where whole numbers are cell centres."""
    box: GeoBox = coarse.odc.geobox
    height, width = fine.shape.yx
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x, y = fine.affine * (x, y)
    if fine.crs is not None and box.crs is not None and fine.crs != box.crs:
        transformer = pyproj.Transformer.from_crs(fine.crs.to_wkt(), box.crs.to_wkt(), always_xy=True)
        x, y = transformer.transform(x, y)
    columns, rows = ~box.affine * (x, y)
    return rows - 0.5, columns - 0.5


def _smoothed(
    values: Field, cells: _Cells, rows: Field, columns: Field, bounds: tuple[float, float], rounds: int
) -> Field:
    """Add the residuals, interpolated between cell centres; repeat while that brings the means nearer."""
    error = _rms(cells.residual(values))
    for _ in range(rounds):
        field = _filled(cells.residual(values).reshape(cells.sensor.shape))
        tried = np.clip(values + map_coordinates(field, [rows, columns], order=1, mode="nearest"), *bounds)
        error, last = _rms(cells.residual(tried)), error
        if error >= last:
            break
        values = tried
        if error < TOLERANCE:
            break
    return values


def _filled(field: Field) -> Field:
    """Give cells without a residual that of the nearest cell that has one, fading with the distance to it."""
    distance, nearest = distance_transform_edt(np.isnan(field), return_indices=True)
    filled: Field = field[tuple(nearest)] * np.exp(-((distance / REACH) ** 2))
    return filled


def _levelled(values: Field, cells: _Cells, bounds: tuple[float, float]) -> Field:
    """Shift every observed cell to its mean; what the bounds cut off is spread over the pixels that have room.

    The share of a pixel is proportional to its room up (or down) to the bound, so that one pass suffices and no
    pixel leaves the bounds: sum(room) >= count * residual wherever the sensor's value lies within them.
    """
    residual = np.nan_to_num(cells.residual(values))
    shifted = values + cells.spread(residual)
    inside = np.clip(shifted, *bounds)
    left = cells.count * np.nan_to_num(cells.residual(inside))
    upward = cells.spread(left) > 0
    room = np.where(upward, bounds[1] - inside, inside - bounds[0])
    capacity = cells.total(room)
    share = np.clip(np.divide(left, capacity, out=np.zeros_like(left), where=capacity > 0), -1.0, 1.0)
    return np.clip(inside + cells.spread(share) * room, *bounds)


def _rms(residual: Field) -> float:
    known = residual[np.isfinite(residual)]
    return float(np.sqrt(np.mean(known**2)))


def _report(mode: str, cells: _Cells, before: Field, after: Field, bounds: tuple[float, float]) -> Correction:
    sensor = cells.sensor.ravel()[cells.observed]
    return Correction(
        mode=mode,
        cells=int(cells.observed.sum()),
        rms_before=_rms(before),
        rms_after=_rms(after),
        max_after=float(np.nanmax(np.abs(after))),
        out_of_reach=int(((sensor < bounds[0]) | (sensor > bounds[1])).sum()),
    )
