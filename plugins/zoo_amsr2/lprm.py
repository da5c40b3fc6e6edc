"""LPRM AMSR2 level 3: daily maps of one pass, 0.25 degree (SOILM3) and 10 km (DS_SOILM3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import xarray as xr
from odc.geo.geobox import GeoBox

from zoo.coarse import Observed, coarse_field
from zoo.errors import DataError, UnknownNameError
from zoo.grids import cells_in, geographic_geobox, window_of
from zoo.hdf5 import attribute, is_simulated, missing_as_nan, open_hdf5
from zoo.types import Area, Granule, Quality

# GES DISC LPRM_AMSR2_[DS_]{A,D}_SOILM3 version 001, as the files say themselves. The time in the name is that of the
# first scan and differs from day to day.
NAME = re.compile(r"(LPRM-AMSR2_(?:L3_)?(DS_)?([AD])_SOILM3_V(\d{3})_(\d{8})(?:\d{6})?)\.nc4?", re.IGNORECASE)
PRODUCT = "LPRM AMSR2 level 3"
BANDS = {"c1": "6.9 GHz", "c2": "7.3 GHz", "x": "10.7 GHz"}
DEFAULT_BAND = "c1"
FILL = -32767
PERCENT = 100.0
"""Soil moisture is stored in percent by volume."""
CEILING = 0.99
"""The retrieval's upper end, where it saturates; such cells are kept and counted."""
CLEAN = 0
"""`mask` has no fill and its bits are not documented in the file: 0 is the clean choice."""
MASK_BITS = 10
SCAN_FILL = 0.0
SCAN_EPOCH = datetime(1993, 1, 1, tzinfo=UTC)
DEPTH = (0.0, 0.05)
"""Nominal; C band feels the top one or two centimetres."""
OFF_CENTRE = 0.02
"""Cells: how far the file's coordinates (float32) may lie from the grid's centres."""


def granule(path: Path, match: re.Match[str]) -> Granule:
    """Describe a file whose name matches `NAME`; the period is the UTC day."""
    with open_hdf5(path, PRODUCT) as file:
        _layout(file, path)
    day = datetime.strptime(match[5], "%Y%m%d").replace(tzinfo=UTC)
    # the catalogue has one short name a pass (LPRM_AMSR2_D_SOILM3): here the pass is the orbit, so that both can
    # be averaged over a day, as the passes of other products are, and --orbit chooses one
    product = f"LPRM_AMSR2_{'DS_' if match[2] else ''}SOILM3.{match[4]}"
    return Granule(product, match[1], day, day + timedelta(days=1), (path,), "A" if match[3].upper() == "A" else "D")


def read(granules: Sequence[Granule], area: Area | None, quality: Quality, variable: str | None) -> xr.DataArray:
    """Read one band; see `zoo.types.SensorReader.open`. The two grids are never averaged together."""
    band = (variable or DEFAULT_BAND).removeprefix("soil_moisture_")
    if band not in BANDS:
        kind = "LPRM band"
        raise UnknownNameError(kind, band, BANDS)
    with open_hdf5(granules[0].paths[0], PRODUCT) as file:
        grid, _, _ = _layout(file, granules[0].paths[0])
    observed = [_observed(granule, grid, area, quality, f"soil_moisture_{band}") for granule in granules]
    box = cells_in(grid, area) if area else grid
    return coarse_field(observed, box, granules, long_name=f"surface soil moisture, LPRM {BANDS[band]}", depth=DEPTH)


def _observed(granule: Granule, grid: GeoBox, area: Area | None, quality: Quality, name: str) -> Observed:
    path = granule.paths[0]
    rows, columns = window_of(grid, area) if area else (slice(0, grid.shape.y), slice(0, grid.shape.x))
    with open_hdf5(path, PRODUCT) as file:
        here, upward, transposed = _layout(file, path)
        if here != grid:
            msg = f"{path} lies on another grid than the first file; read such files apart"
            raise DataError(msg)

        def window(dataset: str) -> npt.NDArray[np.generic]:
            taken = slice(here.shape.y - rows.stop, here.shape.y - rows.start) if upward else rows
            read = file[dataset][columns, taken].T if transposed else file[dataset][taken, columns]
            return read[::-1] if upward else read  # type: ignore[no-any-return]

        scale, offset = attribute(file[name], "scale_factor"), attribute(file[name], "add_offset")
        moisture = (missing_as_nan(window(name), FILL) * scale + offset) / np.float32(PERCENT)
        mask, scans = window("mask").astype(np.int64), window("scantime").astype(np.float64)
        simulated = is_simulated(file)
    moisture = moisture.astype(np.float32)
    counts = _flag_counts(mask, moisture)
    if quality == "recommended":
        moisture[mask != CLEAN] = np.nan
    return Observed(moisture, *_scanned(scans, granule), counts, simulated)


def _flag_counts(mask: npt.NDArray[np.int64], moisture: npt.NDArray[np.float32]) -> dict[str, int]:
    bits = {f"mask_bit_{1 << bit}": int(((mask >> bit) & 1).sum()) for bit in range(MASK_BITS)}
    return {
        "no_retrieval": int(np.isnan(moisture).sum()),
        "masked": int((mask != CLEAN).sum()),
        "saturated": int((moisture >= CEILING).sum()),
    } | {name: count for name, count in bits.items() if count}


def _scanned(scans: npt.NDArray[np.float64], granule: Granule) -> tuple[datetime, datetime]:
    """First and last scan of the window; the granule's day where nothing was scanned."""
    seen = scans[scans != SCAN_FILL]
    if not seen.size:
        assert granule.start is not None
        assert granule.end is not None
        return granule.start, granule.end
    return (
        SCAN_EPOCH + timedelta(seconds=float(seen.min())),
        SCAN_EPOCH + timedelta(seconds=float(seen.max())),
    )


def _layout(file: h5py.File, path: Path) -> tuple[GeoBox, bool, bool]:
    """Place the arrays by their coordinates.

    Returns
    -------
    The grid, north up; whether the file's rows go north; whether its arrays are (longitude, latitude).
    """
    lon, lat = file["Longitude"][:].astype(np.float64), file["Latitude"][:].astype(np.float64)
    upward = bool(lat[-1] > lat[0])
    step = abs(lon[-1] - lon[0]) / (lon.size - 1)
    globe = geographic_geobox(step)
    row = (90 - (lat[::-1] if upward else lat)) / step - 0.5
    column = (lon + 180) / step - 0.5
    first = round(row[0]), round(column[0])
    off = max(
        np.abs(row - first[0] - np.arange(row.size)).max(), np.abs(column - first[1] - np.arange(column.size)).max()
    )
    shape = file["mask"].shape
    outside = first[0] + lat.size > globe.shape.y or first[1] + lon.size > globe.shape.x
    if off > OFF_CENTRE or min(first) < 0 or outside or set(shape) != {lon.size, lat.size}:
        msg = f"{path} does not lie on a regular grid of {step:g} degrees from 180 W and 90 N, as {PRODUCT} does"
        raise DataError(msg)
    part = globe[first[0] : first[0] + lat.size, first[1] : first[1] + lon.size]
    return part, upward, shape == (lon.size, lat.size)
