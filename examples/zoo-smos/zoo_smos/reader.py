"""Reader of SMOS L3 soil moisture: a `zoo.types.SensorReader`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
import pyproj
import xarray as xr
from odc.geo.geobox import GeoBox

from zoo.coarse import Observed, coarse_field
from zoo.errors import DataError, UnknownNameError
from zoo.grids import window_of
from zoo.types import Area, Granule, Quality
from zoo_smos.product import (
    DAYS,
    DEPTH,
    EPOCH,
    GRID,
    MAX_RFI,
    NAME,
    NAME_TIME,
    ON_CENTRE,
    RFI_FIELDS,
    SECONDS,
    SHORT_NAME,
    SOIL_MOISTURE,
)

Floats = npt.NDArray[np.float64]


class SmosReader:
    """Reads `MIR_CLF31A` and `MIR_CLF31D` granules, whole or cut to a region."""

    def granule(self, path: Path) -> Granule:
        """Say what a file is from its name; DataError if it is another product."""
        match = NAME.fullmatch(path.name)
        if match is None:
            msg = f"{path.name} is no SMOS L3 daily granule; expected SM_OPER_MIR_CLF31A_START_END_VVV_CCC_7.DBL.nc"
            raise DataError(msg)
        return Granule(
            product=f"{SHORT_NAME}.{match['version']}",
            id=path.name.removesuffix(".nc").removesuffix(".DBL"),
            start=_utc(match["start"]),
            end=_utc(match["end"]),
            paths=(path,),
            orbit=cast(Literal["A", "D"], match["orbit"].upper()),
        )

    def open(
        self,
        paths: Sequence[Path],
        *,
        area: Area | None = None,
        quality: Quality = "recommended",
        variable: str | None = None,
    ) -> xr.DataArray:
        """Read soil moisture from granules.

        Parameters
        ----------
        paths : files of one product that cover the same cells
        area : only cells whose centre lies in it
        quality : `recommended` drops retrievals disturbed by radio interference, where the files say so
        variable : `Soil_Moisture`, the only soil moisture of the product

        Returns
        -------
        DataArray `soil_moisture` as `zoo.types.SensorReader.open` describes; its period runs from the first to
        the last mean acquisition time among the valid cells.
        """
        if variable not in (None, SOIL_MOISTURE):
            kind = f"soil-moisture field in {SHORT_NAME}"
            raise UnknownNameError(kind, str(variable), [SOIL_MOISTURE])
        granules = [self.granule(path) for path in paths]
        observed, grids = zip(*(_observed(granule, area, quality) for granule in granules), strict=True)
        if any(grid != grids[0] for grid in grids):
            names = ", ".join(path.name for path in paths)
            msg = f"{names} cover different cells; give files cut to the same region, or one --area inside all of them"
            raise DataError(msg)
        return coarse_field(observed, grids[0], granules, long_name="surface soil moisture", depth=DEPTH)


def _observed(granule: Granule, area: Area | None, quality: Quality) -> tuple[Observed, GeoBox]:
    """Return what one granule holds in the area, north up, and the grid of it."""
    path = granule.paths[0]
    file = _load(path)
    grid = GRID[_cells(file, path)]
    window = (slice(None), slice(None)) if area is None else window_of(grid, area)
    north_up = file.sortby("lat", ascending=False).transpose("lat", "lon").isel(lat=window[0], lon=window[1])
    moisture = _physical(north_up[SOIL_MOISTURE])
    flags = {"no retrieval": int(np.isnan(moisture).sum())}
    for name in RFI_FIELDS:
        if name in north_up:
            disturbed = np.isfinite(moisture) & (_physical(north_up[name]) > MAX_RFI)
            flags[f"{name} > {MAX_RFI:g}"] = int(disturbed.sum())
            if quality == "recommended":
                moisture[disturbed] = np.nan
    start, end = _period(north_up, np.isfinite(moisture), granule)
    simulated = "simulated" in str(file.attrs.get("comment", "")).lower()
    return Observed(moisture.astype(np.float32), start, end, flags, simulated), grid[window]


def _load(path: Path) -> xr.Dataset:
    """Read the fields that are needed, as stored."""
    try:
        with xr.open_dataset(path, engine="scipy", mask_and_scale=False, decode_times=False) as file:
            names = [SOIL_MOISTURE, DAYS, SECONDS, *(name for name in RFI_FIELDS if name in file)]
            return file[names].load()
    except KeyError as error:
        msg = f"{path.name} does not hold all of {SOIL_MOISTURE}, {DAYS}, {SECONDS}; expected a SMOS L3 daily granule"
        raise DataError(msg) from error
    except Exception as error:  # scipy raises many kinds on a damaged file
        detail = " ".join(str(error).split())
        msg = f"{path.name} cannot be read as NetCDF-3 ({type(error).__name__}: {detail}); download it again"
        raise DataError(msg) from error


def _cells(file: xr.Dataset, path: Path) -> tuple[slice, slice]:
    """Rows and columns of the global grid that a file covers, from its coordinates; latitude may run both ways."""
    to_metres = pyproj.Transformer.from_crs("EPSG:4326", GRID.crs, always_xy=True)
    lon, lat = (file[name].to_numpy().astype(np.float64) for name in ("lon", "lat"))
    x, _ = to_metres.transform(lon, np.zeros_like(lon))
    _, y = to_metres.transform(np.zeros_like(lat), lat)
    column, _ = ~GRID.affine * (x, np.zeros_like(x))
    _, row = ~GRID.affine * (np.zeros_like(y), y)
    return _run(np.sort(row - 0.5), path), _run(column - 0.5, path)


def _run(number: Floats, path: Path) -> slice:
    """Cell numbers as a slice; DataError unless they are whole and follow one another."""
    nearest = np.round(number)
    if np.abs(number - nearest).max() > ON_CENTRE or (np.diff(nearest) != 1).any():
        msg = f"{path.name} does not lie on EASE-Grid 2.0 at 25 km; expected a SMOS L3 daily granule of CATDS"
        raise DataError(msg)
    return slice(int(nearest[0]), int(nearest[-1]) + 1)


def _physical(field: xr.DataArray) -> Floats:
    """Scaled values, NaN where filled."""
    stored = field.to_numpy()
    values: Floats = stored * float(field.attrs.get("scale_factor", 1)) + float(field.attrs.get("add_offset", 0))
    if "_FillValue" in field.attrs:
        values = np.where(stored == field.attrs["_FillValue"], np.nan, values)
    return values


def _period(file: xr.Dataset, valid: npt.NDArray[np.bool_], granule: Granule) -> tuple[datetime, datetime]:
    """First and last acquisition among the valid cells; the day of the file name if there is none."""
    seconds = (_physical(file[DAYS]) * 86400 + _physical(file[SECONDS]))[valid]
    seconds = seconds[np.isfinite(seconds)]
    if seconds.size:
        return EPOCH + timedelta(seconds=float(seconds.min())), EPOCH + timedelta(seconds=float(seconds.max()))
    assert granule.start is not None
    assert granule.end is not None
    return granule.start, granule.end


def _utc(text: str) -> datetime:
    return datetime.strptime(text, NAME_TIME).replace(tzinfo=UTC)
