"""JAXA AMSR2 level 2 SMC: pixels of one half orbit, averaged onto cells of 0.1 degree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import numpy.typing as npt

from zoo.coarse import Observed, coarse_field
from zoo.errors import DataError
from zoo.grids import geographic_geobox, window_of
from zoo.hdf5 import is_simulated, open_hdf5
from zoo.types import Area, Granule, Quality
from zoo_amsr2.jaxa import DEPTH, check_variable, flag_counts, in_plane, moisture, raw_values, version

if TYPE_CHECKING:
    import xarray as xr

# GW1AM2_YYYYMMDDhhmm_PPP{A,D}_L2SGSMC{L,H}dvaaappp.h5: P path number, then as in level 3
NAME = re.compile(r"(GW1AM2_(\d{12})_\d{3}([AD])_L2SGSMC[LH]([A-Z])(\d{7}))\.h5", re.IGNORECASE)
PRODUCT = "AMSR2 L2 SMC"
SHORT_NAME = "AMSR2_L2_SMC"
STEP = 0.1
"""Degrees; pixels lie about 10 km apart."""
CLEAN = 0
"""`Pixel Data Quality`: 0 is normal; what the other values mean is not in the file."""
SECONDS = "Scan Time"
"""float64 (scans), TAI93: seconds since 1993-01-01 00:00 UTC, leap seconds counted."""
EPOCH = datetime(1993, 1, 1, tzinfo=UTC)
LEAP_DAYS = (  # UTC days that began after a leap second, IERS Bulletin C
    (1993, 7), (1994, 7), (1996, 1), (1997, 7), (1999, 1), (2006, 1), (2009, 1), (2012, 7), (2015, 7), (2017, 1),
)  # fmt: skip
CLOCK_ERROR = timedelta(hours=1)
"""Largest difference of the first scan and the time in the name; more means that the clock is not TAI93."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """Pixels of a half orbit that have a place on the grid, all arrays of shape (n,)."""

    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    raw: npt.NDArray[np.int16]
    moisture: npt.NDArray[np.float32]
    quality: npt.NDArray[np.uint8]
    seconds: npt.NDArray[np.float64]

    def __getitem__(self, kept: npt.NDArray[np.bool_]) -> Pixels:
        return Pixels(*(getattr(self, name)[kept] for name in self.__slots__))


def granule(path: Path, match: re.Match[str]) -> Granule:
    """Describe a file whose name matches `NAME`; the period is that of its scans."""
    named = datetime.strptime(match[2], "%Y%m%d%H%M").replace(tzinfo=UTC)
    with open_hdf5(path, PRODUCT) as file:
        raw_values(file, path)
        seconds = _scan_seconds(file)
    known = seconds[seconds > 0]
    if not known.size:
        msg = f"{path} has no valid {SECONDS!r}; download it again"
        raise DataError(msg)
    start, end = utc(float(known.min())), utc(float(known.max()))
    if abs(start - named) > CLOCK_ERROR:
        msg = (
            f"{path} begins at {start:%Y-%m-%d %H:%M} UTC by its {SECONDS!r} (TAI93), but its name says "
            f"{named:%Y-%m-%d %H:%M}; check that it has the name it was published under"
        )
        raise DataError(msg)
    product = f"{SHORT_NAME}.{version(match[4], match[5])}"
    return Granule(product, match[1], start, end, (path,), "A" if match[3].upper() == "A" else "D")


def read(granules: Sequence[Granule], area: Area | None, quality: Quality, variable: str | None) -> xr.DataArray:
    """Read soil moisture; see `zoo.types.SensorReader.open`. Without an area: the window around all pixels.

    A cell is the mean of the pixels whose centre lies in it; where pixels lie farther apart than cells, cells in
    between stay empty.
    """
    check_variable(variable)
    swaths = [_pixels(each) for each in granules]
    globe = geographic_geobox(STEP)
    rows, columns = window_of(globe, area) if area else _window_around([pixels for pixels, _ in swaths], granules)
    observed = []
    for each, (pixels, simulated) in zip(granules, swaths, strict=True):
        inside = (pixels.row >= rows.start) & (pixels.row < rows.stop)
        inside &= (pixels.column >= columns.start) & (pixels.column < columns.stop)
        if inside.any():
            observed.append(_observed(pixels[inside], rows, columns, quality, each, simulated))
    if not observed:
        ids = ", ".join(each.id for each in granules)
        msg = f"No pixel of {ids} lies in the area {area}; choose another area, --date or --orbit"
        raise DataError(msg)
    long_name = "surface soil moisture, JAXA SMC, mean of the pixels in a cell"
    return coarse_field(observed, globe[rows, columns], granules, long_name=long_name, depth=DEPTH)


def utc(seconds: float) -> datetime:
    """Return the instant of a TAI93 clock.

    Examples
    --------
    >>> utc(0.0).isoformat()
    '1993-01-01T00:00:00+00:00'
    """
    counted = EPOCH + timedelta(seconds=seconds)
    leaps = 0
    for year, month in LEAP_DAYS:
        leaps += counted - timedelta(seconds=leaps) > datetime(year, month, 1, tzinfo=UTC)
    return counted - timedelta(seconds=leaps)


def _pixels(granule: Granule) -> tuple[Pixels, bool]:
    """Read the pixels of a half orbit, and whether the file says that it is simulated."""
    path = granule.paths[0]
    with open_hdf5(path, PRODUCT) as file:
        raw = raw_values(file, path)
        latitude, longitude, quality = (
            in_plane(file, name, path)
            for name in ("Latitude of Observation Point", "Longitude of Observation Point", "Pixel Data Quality")
        )
        shapes = {raw.shape, latitude.shape, longitude.shape, quality.shape}
        seconds = _scan_seconds(file)
        if len(shapes) > 1 or seconds.shape != raw.shape[:1]:
            msg = f"{path} holds fields of different shapes: {', '.join(map(str, sorted(shapes)))}, {seconds.shape}"
            raise DataError(msg)
        fraction = moisture(raw, file, path)
        simulated = is_simulated(file)
    placed = (np.abs(latitude) <= 90) & (np.abs(longitude) <= 360)
    rows, columns = geographic_geobox(STEP).shape.yx
    row = np.floor((90 - latitude[placed].astype(np.float64)) / STEP).astype(np.int64)
    column = np.floor(((longitude[placed].astype(np.float64) + 180) % 360) / STEP).astype(np.int64)
    scan = np.broadcast_to(seconds[:, None], raw.shape)
    return Pixels(
        np.minimum(row, rows - 1),
        np.minimum(column, columns - 1),
        raw[placed],
        fraction[placed],
        quality[placed],
        scan[placed],
    ), simulated


def _scan_seconds(file: h5py.File) -> npt.NDArray[np.float64]:
    return np.asarray(file[SECONDS][:], dtype=np.float64).ravel()


def _window_around(swaths: Sequence[Pixels], granules: Sequence[Granule]) -> tuple[slice, slice]:
    rows = np.concatenate([swath.row for swath in swaths])
    columns = np.concatenate([swath.column for swath in swaths])
    if not rows.size:
        msg = f"{', '.join(each.id for each in granules)} places no pixel on the globe; download the file again"
        raise DataError(msg)
    return slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)


def _observed(
    pixels: Pixels, rows: slice, columns: slice, quality: Quality, granule: Granule, simulated: bool
) -> Observed:
    kept = np.isfinite(pixels.moisture)
    if quality == "recommended":
        kept &= pixels.quality == CLEAN
    shape = rows.stop - rows.start, columns.stop - columns.start
    cell = (pixels.row[kept] - rows.start) * shape[1] + pixels.column[kept] - columns.start
    count = np.bincount(cell, minlength=shape[0] * shape[1])
    total = np.bincount(cell, weights=pixels.moisture[kept], minlength=shape[0] * shape[1])
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(shape).astype(np.float32)
    seconds = pixels.seconds[pixels.seconds > 0]
    if seconds.size:
        start, end = utc(float(seconds.min())), utc(float(seconds.max()))
    else:
        assert granule.start is not None
        assert granule.end is not None
        start, end = granule.start, granule.end
    return Observed(mean, start, end, _counts(pixels), simulated)


def _counts(pixels: Pixels) -> dict[str, int]:
    """Count pixels, not cells: those of each value of the quality flag, and the missing ones."""
    values, counts = np.unique(pixels.quality[pixels.quality != CLEAN], return_counts=True)
    flagged = {f"pixel_quality_{value}": int(count) for value, count in zip(values, counts, strict=True)}
    return flag_counts(pixels.raw, pixels.moisture) | flagged
