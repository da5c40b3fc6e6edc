"""SPL2SMP, the SMAP level 2 passive retrieval: cells of one half orbit on the 36 km EASE-Grid 2.0."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo.coarse import Observed, coarse_field
from zoo.errors import DataError, UnknownNameError
from zoo.grids import ease2_geobox, window_of
from zoo.hdf5 import attribute, missing_as_nan, open_hdf5
from zoo.types import Area, Granule, Quality

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

# SMAP L2_SM_P Data Product Specification Document, sections 4.4 and 4.6, and the files of releases R18290 and N16023.
NAME = re.compile(r"(SMAP_L2_SM_P_(NRT_)?\d{5}_([AD])_\d{8}T\d{6}_[A-Z]\d{5}_\d{3})\.h5", re.IGNORECASE)
GROUP = "Soil_Moisture_Retrieval_Data"
FILL = -9999.0
FILL_UINT16 = 65534
VALID_MAX = 0.5
"""The file's valid_max; retrievals above it are kept as the flags say, and counted."""
EPOCH = datetime(2000, 1, 1, 12, tzinfo=UTC)
"""tb_time_seconds counts from noon without leap seconds, as its twin tb_time_utc shows."""
QUALITY_BITS = (  # of retrieval_qual_flag; a set bit means that the thing is NOT so
    "retrieval_not_recommended",
    "retrieval_not_attempted",
    "retrieval_unsuccessful",
    "freeze_thaw_unsuccessful",
)
NOT_RECOMMENDED = 0b101
"""Bits 0 and 2: a value may be stored although the retrieval failed."""
SURFACE_BITS = (  # of surface_flag; a set bit means that the lower threshold is passed, soil moisture may be there
    "static_water_body",
    "radar_water_body_detection",
    "coastal_proximity",
    "urban_area",
    "precipitation",
    "snow_or_ice",
    "permanent_snow_or_ice",
    "radiometer_frozen_ground",
    "model_frozen_ground",
    "mountainous_terrain",
    "dense_vegetation",
    "nadir_region",
)
DEPTH = (0.0, 0.05)


@dataclass(frozen=True, slots=True)
class Swath:
    """Cells of a half orbit, all arrays of shape (n,)."""

    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    moisture: npt.NDArray[np.float32]
    quality: npt.NDArray[np.uint16]
    surface: npt.NDArray[np.uint16]
    seconds: npt.NDArray[np.float64]

    def __getitem__(self, kept: npt.NDArray[np.bool_]) -> Swath:
        return Swath(*(getattr(self, name)[kept] for name in self.__slots__))


def granule(path: Path, match: re.Match[str]) -> Granule:
    """Describe a file whose name matches `NAME`; the period is that of its metadata."""
    with open_hdf5(path, "SPL2SMP") as file:
        extent = file["Metadata/Extent"]
        start, end = (_utc(attribute(extent, f"range{edge}DateTime"), path) for edge in ("Beginning", "Ending"))
        version = attribute(file["Metadata/DatasetIdentification"], "ECSVersionID")
    # abstract and orbitDirection of one file contradict each other: the pass is taken from the name
    product = f"SPL2SMP{'_NRT' if match[2] else ''}.{version}"
    return Granule(product, match[1], start, end, (path,), "A" if match[3].upper() == "A" else "D")


def read(granules: Sequence[Granule], area: Area | None, quality: Quality, variable: str | None) -> xr.DataArray:
    """Read one retrieval; see `zoo.types.SensorReader.open`. Without an area: the window around all cells."""
    swaths = [_swath(each, variable or "soil_moisture") for each in granules]
    globe = ease2_geobox("M36")
    rows, columns = window_of(globe, area) if area else _window_around(swaths)
    observed = []
    for each, swath in zip(granules, swaths, strict=True):
        inside = (swath.row >= rows.start) & (swath.row < rows.stop)
        inside &= (swath.column >= columns.start) & (swath.column < columns.stop)
        if inside.any():
            observed.append(_observed(swath[inside], rows, columns, quality, each))
    if not observed:
        ids = ", ".join(each.id for each in granules)
        msg = f"No cell of {ids} lies in the area {area}; choose another area, --date or --orbit"
        raise DataError(msg)
    return coarse_field(
        observed,
        globe[rows, columns],
        granules,
        long_name=f"soil moisture, 0-5 cm ({variable or 'baseline'})",
        depth=DEPTH,
    )


def _swath(granule: Granule, variable: str) -> Swath:
    with open_hdf5(granule.paths[0], "SPL2SMP") as file:
        fields = file[GROUP]
        known = [name for name in fields if re.fullmatch(r"soil_moisture(_option\d)?", name)]
        if variable not in known:
            kind = f"soil moisture retrieval in {granule.id}"
            raise UnknownNameError(kind, variable, known)
        option = variable.removeprefix("soil_moisture")
        swath = Swath(
            fields["EASE_row_index"][:].astype(np.int64),
            fields["EASE_column_index"][:].astype(np.int64),
            missing_as_nan(fields[variable][:], FILL),
            fields[f"retrieval_qual_flag{option}"][:],
            fields["surface_flag"][:],
            fields["tb_time_seconds"][:],
        )
    return swath[(swath.row != FILL_UINT16) & (swath.column != FILL_UINT16)]


def _window_around(swaths: Sequence[Swath]) -> tuple[slice, slice]:
    rows = np.concatenate([swath.row for swath in swaths])
    columns = np.concatenate([swath.column for swath in swaths])
    return slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)


def _observed(swath: Swath, rows: slice, columns: slice, quality: Quality, granule: Granule) -> Observed:
    moisture = swath.moisture.copy()
    if quality == "recommended":
        moisture[(swath.quality & NOT_RECOMMENDED) != 0] = np.nan
    field = np.full((rows.stop - rows.start, columns.stop - columns.start), np.nan, dtype=np.float32)
    field[swath.row - rows.start, swath.column - columns.start] = moisture
    seconds = swath.seconds[swath.seconds != FILL]
    start, end = (_instant(edge) for edge in (seconds.min(), seconds.max())) if seconds.size else _period(granule)
    return Observed(field, start, end, _flag_counts(swath, moisture))


def _flag_counts(swath: Swath, kept: npt.NDArray[np.float32]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for values, names in ((swath.quality, QUALITY_BITS), (swath.surface, SURFACE_BITS)):
        known = values[values != FILL_UINT16]
        counts |= {name: int(((known >> bit) & 1).sum()) for bit, name in enumerate(names)}
    return counts | {"kept_above_valid_max": int((kept > VALID_MAX).sum())}


def _instant(seconds: Any) -> datetime:
    return EPOCH + timedelta(seconds=float(seconds))


def _period(granule: Granule) -> tuple[datetime, datetime]:
    assert granule.start is not None
    assert granule.end is not None
    return granule.start, granule.end


def _utc(text: str, path: Path) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{path} has {text!r} for a time in Metadata/Extent; expected ISO 8601 as in 2015-08-11T01:30:02.239Z"
        raise DataError(msg) from error
