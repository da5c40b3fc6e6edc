"""Coarse-mean conservation: the fine map keeps what the sensor measured, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import sparse

from zoo.correction.footprints import Field, Footprints
from zoo.correction.sensor_error import shrunk
from zoo.correction.spline import Mask, Stencil, Surface, solved
from zoo.correction.texture import weighted
from zoo.errors import DataError, UsageError

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

Mode = Literal["none", "smooth", "exact"]
Map = npt.NDArray[np.floating[Any]]

TOLERANCE = 1e-6
"""How close a cell's mean has to come to the sensor, m3 m-3: the precision that `exact` promises."""
MIN_SHARE = 0.5
"""Least part of a cell that the map has to cover for its mean to be kept; as for a cell to be learnt from."""
_ROUNDS = 8
"""Smooth passes at most. One does where nothing meets a bound."""
_ENOUGH = TOLERANCE / 10
_MOVABLE = 0.1
"""Part of a cell's pixels that must be off the bounds for a smooth field to move its mean."""
_LEAST_GAIN = 0.9
"""A pass that leaves more than this of the residual is the last one."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What the correction did; residuals in m3 m-3, over the cells whose mean is kept.

    Attributes
    ----------
    mode : none, smooth or exact
    cells : number of those cells
    rms_before, rms_after, max_after : of the residuals; None without a cell
    out_of_reach : cells whose value no map within the bounds can have
    partial : cells with a value of which the map covers too little: they are corrected as those around them
    sensor_error : within which the means were to be kept, m3 m-3; None for no such leave
    texture : the part of the map's differences inside cells that was kept
    """

    mode: str
    cells: int
    rms_before: float | None
    rms_after: float | None
    max_after: float | None
    out_of_reach: int
    partial: int = 0
    sensor_error: float | None = None
    texture: float = 1.0


def correct(
    fine: Map,
    fine_geobox: GeoBox,
    coarse: xr.DataArray,
    mode: Mode = "exact",
    bounds: tuple[float, float] = (0.0, 1.0),
    *,
    sensor_error: float | None = None,
    min_share: float = MIN_SHARE,
    texture: float = 1.0,
) -> tuple[Map, Correction]:
    """Bring the means of a fine map over coarse cells to what the sensor measured.

    Parameters
    ----------
    fine : (h, w), m3 m-3, NaN where missing; stays NaN there
    fine_geobox : its grid
    coarse : the sensor's field, dims (y, x); NaN where it has no value, and the map is only smoothed into there
    mode : `none` reports the residuals only; `smooth` adds them blurred, one smooth field; `exact` adds the smooth
        field with which the mean of every cell equals the sensor's to 1e-6
    bounds : lowest and highest value of the result
    sensor_error : standard deviation of the sensor, m3 m-3. The residuals are then taken for signal and noise, and
        only their signal is corrected; no mean is left further from the sensor's than this
    min_share : part of a cell's pixels that have to be valid for its mean to be kept
    texture : how much of the map's differences inside cells to believe, 0 to 1; see `texture_weight`

    Returns
    -------
    The corrected map (h, w), float32 if `fine` is that and else float64, and what was done. A pixel belongs to the
    coarse cell that holds its centre.

    Raises
    ------
    UsageError
        If the mode is another, or an option out of range.
    DataError
        If no coarse cell with a value is covered.
    """
    _check(mode, sensor_error, min_share, texture)
    footprints = Footprints.of(fine_geobox, coarse.odc.geobox)
    if texture < 1 and mode != "none":
        fine = weighted(fine, footprints, texture)
    map_ = _Map.of(fine, footprints, bounds)
    sensor = map_.footprints.placed(np.asarray(coarse.values, dtype=np.float64))
    kept = np.isfinite(sensor) & map_.covered(min_share)
    if not kept.any():
        msg = (
            f"no coarse cell with a value lies on the map with {min_share:.0%} of it valid; "
            "give a coarse field of the same place and day"
        )
        raise DataError(msg)
    sensor_of_kept = np.where(kept, sensor, np.nan)
    before = sensor_of_kept - map_.means(fine)
    wanted = sensor_of_kept
    if sensor_error:
        wanted = map_.means(fine) + shrunk(before, map_.footprints.shape, sensor_error)
    result = fine if mode == "none" else map_.brought_to(wanted, exactly=mode == "exact")
    after = sensor_of_kept - map_.means(result)
    partial = int((np.isfinite(sensor) & ~kept & (map_.count > 0)).sum())
    out_of_reach = int(((sensor_of_kept < bounds[0]) | (sensor_of_kept > bounds[1])).sum())
    largest = float(np.nanmax(np.abs(after)))
    done = Correction(
        mode, int(kept.sum()), _rms(before), _rms(after), largest, out_of_reach, partial, sensor_error or None, texture
    )
    return result, done


def _check(mode: str, sensor_error: float | None, min_share: float, texture: float) -> None:
    if mode not in get_args(Mode):
        msg = f"--correct {mode!r} is not known; expected none, smooth or exact"
        raise UsageError(msg)
    if sensor_error is not None and not 0 <= sensor_error < 1:
        msg = f"--sensor-error {sensor_error:g} is out of range; give m3 m-3, for example 0.04 for SMAP"
        raise UsageError(msg)
    for name, value in (("share of a cell", min_share), ("weight of texture", texture)):
        if not 0 <= value <= 1:
            msg = f"the {name} {value:g} is out of range; give a number from 0 to 1"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True)
class _Map:
    """A fine map over its coarse cells.

    Attributes
    ----------
    fine : (h, w), NaN where missing
    footprints : which pixel lies in which cell
    bounds : of soil moisture
    count : valid pixels by cell, flat
    full : pixels that make a whole cell, flat: a cell of 2.5 x 2.5 pixels holds at least 2 x 2 centres
    """

    fine: Map
    footprints: Footprints
    bounds: tuple[float, float]
    count: Field
    full: Field

    @classmethod
    def of(cls, fine: Map, footprints: Footprints, bounds: tuple[float, float]) -> _Map:
        count, every, area = (np.zeros(footprints.cells) for _ in range(3))
        for strip in footprints.strips():
            labels, valid = footprints.labels(strip), np.isfinite(fine[strip])
            count += footprints.total(labels[valid])
            every += footprints.total(labels.ravel())
            area += footprints.total(labels.ravel(), np.broadcast_to(footprints.areas[strip], labels.shape).ravel())
        side = np.sqrt(np.divide(every, area, out=np.ones_like(every), where=area > 0))
        return cls(fine, footprints, bounds, count, np.maximum(np.floor(side + 1e-6), 1) ** 2)

    def covered(self, share: float) -> Mask:
        """Cells of which at least a share is valid, flat."""
        return np.asarray((self.count > 0) & (self.count >= share * self.full))

    def means(self, values: Map) -> Field:
        """Mean over the valid pixels of each cell, flat; NaN where there is none."""
        total = np.zeros(self.footprints.cells)
        for strip in self.footprints.strips():
            part = values[strip]
            valid = np.isfinite(part)
            total += self.footprints.total(self.footprints.labels(strip)[valid], part[valid].astype(np.float64))
        means: Field = np.divide(total, self.count, out=np.full(total.shape, np.nan), where=self.count > 0)
        return means

    def brought_to(self, wanted: Field, *, exactly: bool) -> Map:
        """Add the smooth field that gives the wanted means (NaN for none wanted) within the bounds.

        Where pixels meet a bound the field is solved for again with those that can still move; what no smooth field
        can do is shifted cell by cell.
        """
        shape = self.footprints.shape
        result = np.clip(self.fine, *self.bounds)
        residual = wanted - self.means(result)
        if not exactly:
            return self._added(solved(sparse.eye(self.footprints.cells).tocsr(), residual, shape))
        coefficients = np.zeros(self.footprints.cells)
        error = float(np.nanmax(np.abs(residual)))
        for number in range(_ROUNDS):
            if error <= _ENOUGH:
                return result
            stencil = self._stencil(result if number else None)
            movable = np.where(stencil.count >= _MOVABLE * self.count, residual, np.nan)
            tried = coefficients + solved(stencil.matrix(self.count), movable, shape)
            candidate = self._added(tried)
            left = wanted - self.means(candidate)
            last, now = error, float(np.nanmax(np.abs(left)))
            if not now < last:
                break
            result, residual, error, coefficients = candidate, left, now, tried
            if now > _LEAST_GAIN * last:
                break
        return self._levelled(result, residual)

    def _stencil(self, values: Map | None) -> Stencil:
        """Count the pixels that can move: all valid ones, or those of `values` that are off the bounds."""
        stencil, (low, high) = Stencil(self.footprints), self.bounds
        for strip in self.footprints.strips():
            if values is None:
                stencil.add(strip, np.isfinite(self.fine[strip]))
            else:
                stencil.add(strip, (values[strip] > low) & (values[strip] < high))
        return stencil

    def _added(self, coefficients: Field) -> Map:
        """Add a smooth field to the map, within the bounds."""
        surface = Surface(self.footprints, coefficients)
        result = np.empty_like(self.fine)
        for strip in self.footprints.strips():
            result[strip] = np.clip(self.fine[strip] + surface.at(strip), *self.bounds)
        return result

    def _levelled(self, values: Map, residual: Field) -> Map:
        """Shift every cell to its mean; what the bounds cut off is spread over the pixels that have room.

        The share of a pixel is proportional to its room up (or down) to the bound, so that one pass suffices and
        no pixel leaves the bounds: sum(room) >= count * residual wherever the wanted mean lies within them.
        """
        wanted = np.nan_to_num(self.means(values) + residual)
        shift = np.nan_to_num(residual)
        result = np.empty_like(values)
        for strip in self.footprints.strips():
            result[strip] = np.clip(values[strip] + shift[self.footprints.labels(strip)], *self.bounds)
        left = np.where(np.isfinite(residual), (wanted - np.nan_to_num(self.means(result))) * self.count, 0.0)
        if float(np.abs(left / np.maximum(self.count, 1)).max()) <= _ENOUGH:
            return result
        low, high = self.bounds
        room = np.zeros(self.footprints.cells)
        for strip in self.footprints.strips():
            labels, valid = self.footprints.labels(strip), np.isfinite(result[strip])
            part = np.where(left[labels] > 0, high - result[strip], result[strip] - low).astype(np.float64)
            room += self.footprints.total(labels[valid], part[valid])
        share = np.clip(np.divide(left, room, out=np.zeros_like(left), where=room > 0), -1.0, 1.0)
        for strip in self.footprints.strips():
            labels = self.footprints.labels(strip)
            part = np.where(left[labels] > 0, high - result[strip], result[strip] - low)
            result[strip] = np.clip(result[strip] + share[labels] * part, low, high)
        return result


def _rms(residual: Field) -> float:
    known = residual[np.isfinite(residual)]
    return float(np.sqrt(np.mean(known**2)))
