"""JAXA AMSR2 level 3 SMC: daily maps of one pass, 0.1 and 0.25 degree, without coordinates and quality flags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt

from zoo.coarse import Observed, coarse_field
from zoo.errors import DataError
from zoo.grids import cells_in, geographic_geobox, window_of
from zoo.hdf5 import is_simulated, open_hdf5
from zoo.types import Area, Granule
from zoo_amsr2.jaxa import (
    DEPTH,
    VALUES,
    check_variable,
    flag_counts,
    in_plane,
    moisture,
    raw_values,
    version,
)
from zoo_amsr2.origin import Origin, find_origin

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

# GW1AM2_YYYYMMDD_01D_EQM{A,D}_L3SGSMC{H,L}dvaaappp.h5: d developer, v product, a algorithm, p parameter version
NAME = re.compile(r"(GW1AM2_(\d{8})_01D_EQM([AD])_L3SGSMC([HL])([A-Z])(\d{7}))\.h5", re.IGNORECASE)
PRODUCT = "AMSR2 L3 SMC"
SHORT_NAME = {"H": "AMSR2_L3_SMC_10", "L": "AMSR2_L3_SMC_25"}
STEPS = {(1800, 3600): 0.1, (720, 1440): 0.25}
"""Cell in degrees by the shape of the arrays."""
MINUTES = "Time Information"
"""int16, from 00:00 UTC of the day in the name; below 0 is the day before, from 1440 on the day after."""
NO_MINUTES = -30000
"""Sentinels lie below."""


def granule(path: Path, match: re.Match[str]) -> Granule:
    """Describe a file whose name matches `NAME`; the period is the day in it."""
    with open_hdf5(path, PRODUCT) as file:
        _grid(file, path)
    day = datetime.strptime(match[2], "%Y%m%d").replace(tzinfo=UTC)
    product = f"{SHORT_NAME[match[4].upper()]}.{version(match[5], match[6])}"
    return Granule(product, match[1], day, day + timedelta(days=1), (path,), "A" if match[3].upper() == "A" else "D")


def read(granules: Sequence[Granule], area: Area | None, variable: str | None) -> xr.DataArray:
    """Read soil moisture; see `zoo.types.SensorReader.open`. The note says how its place was found."""
    check_variable(variable)
    with open_hdf5(granules[0].paths[0], PRODUCT) as file:
        grid = _grid(file, granules[0].paths[0])
    observed, origins = zip(*(_observed(each, grid, area) for each in granules), strict=True)
    return coarse_field(
        observed,
        cells_in(grid, area) if area else grid,
        granules,
        long_name="surface soil moisture, JAXA SMC",
        depth=DEPTH,
        notes=[f"{each.id}: {origin}" for each, origin in zip(granules, origins, strict=True)],
    )


def _observed(granule: Granule, grid: GeoBox, area: Area | None) -> tuple[Observed, Origin]:
    path = granule.paths[0]
    rows, columns = window_of(grid, area) if area else (slice(None), slice(None))
    with open_hdf5(path, PRODUCT) as file:
        if _grid(file, path) != grid:
            msg = f"{path} lies on another grid than the first file; read such files apart"
            raise DataError(msg)
        everywhere = raw_values(file, path)
        origin = find_origin(everywhere >= 0, path)

        def window(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return _from_180_west(values, origin)[rows, columns]

        raw = window(everywhere)
        fraction = moisture(raw, file, path)
        minutes = window(in_plane(file, MINUTES, path)) if MINUTES in file else np.full(raw.shape, NO_MINUTES)
        simulated = is_simulated(file)
    start, end = _seen(minutes[np.isfinite(fraction)], granule)
    return Observed(fraction, start, end, flag_counts(raw, fraction), simulated), origin


def _from_180_west(values: npt.NDArray[Any], origin: Origin) -> npt.NDArray[Any]:
    return np.roll(values, values.shape[1] // 2, axis=1) if origin.west == 0 else values


def _seen(minutes: npt.NDArray[np.integer[Any]], granule: Granule) -> tuple[datetime, datetime]:
    """First and last observation; the granule's day where the file does not say."""
    assert granule.start is not None
    assert granule.end is not None
    known = minutes[minutes > NO_MINUTES]
    if not known.size:
        return granule.start, granule.end
    first, last = (timedelta(minutes=int(edge)) for edge in (known.min(), known.max()))
    return granule.start + first, granule.start + last


def _grid(file: h5py.File, path: Path) -> GeoBox:
    """Return the grid, by the shape of the arrays."""
    shape = file[VALUES].shape
    if shape[:2] not in STEPS or shape[2:] not in ((), (1,)):
        shapes = " or ".join(f"{rows} x {columns} x 1" for rows, columns in STEPS)
        msg = f"{path} holds {' x '.join(map(str, shape))} values; {PRODUCT} is a global map of {shapes}"
        raise DataError(msg)
    return geographic_geobox(STEPS[shape[:2]])
