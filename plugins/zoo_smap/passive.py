"""What the passive SMAP retrievals of level 2 and 3 share: names, fills, quality bits, clock, and cells by index."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from zoo.coarse import Observed
from zoo.errors import DataError, UnknownNameError
from zoo.hdf5 import attribute, missing_as_nan
from zoo.types import Orbit, Quality

# SMAP L2_SM_P and L3_SM_P Data Product Specification Documents (sections 4.4 and 4.6), the files of releases R18290
# and N16023, and published dumps of L3 files of R18290 and R19240.
GRIDS = {"": "M36", "_E": "M09"}
"""EASE-Grid 2.0 by the suffix of the short name; the polar groups of the _E products are not read."""
FILL = -9999.0
FILL_UINT16 = 65534
VALID_MAX = 0.5
"""The file's valid_max; retrievals above it are kept as the flags say, and counted."""
EPOCH = datetime(2000, 1, 1, 12, tzinfo=UTC)
"""tb_time_seconds counts from noon without leap seconds, as its twin tb_time_utc shows.

The attribute epochUTCDateTime (11:58:55.816) would give times 64.184 s earlier, which the granule's own period fits
better; the texts that go with the cells are followed.
"""
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
RETRIEVAL = re.compile(r"soil_moisture(_option\d|_dca|_scah|_scav)?")
"""Datasets that hold a retrieval: the baseline, and the algorithms by number (level 2) or by name (level 3)."""
DEPTH = (0.0, 0.05)


@dataclass(frozen=True, slots=True)
class Cells:
    """Observed cells of a half orbit or of one pass of a day, all arrays of shape (n,)."""

    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    moisture: npt.NDArray[np.float32]
    quality: npt.NDArray[np.uint16]
    surface: npt.NDArray[np.uint16]
    seconds: npt.NDArray[np.float64]

    def __getitem__(self, kept: npt.NDArray[np.bool_]) -> Cells:
        return Cells(*(getattr(self, name)[kept] for name in self.__slots__))

    def inside(self, rows: slice, columns: slice) -> Cells:
        """Return the cells of a window of the grid."""
        return self[
            (self.row >= rows.start)
            & (self.row < rows.stop)
            & (self.column >= columns.start)
            & (self.column < columns.stop)
        ]


def version(file: h5py.File) -> str:
    """Return the version under which the file is catalogued, `008`."""
    return str(attribute(file["Metadata/DatasetIdentification"], "ECSVersionID"))


def read_cells(fields: h5py.Group, variable: str, granule: str, *, suffix: str = "", window: Any = ...) -> Cells:
    """Read a retrieval and its flags, each cell at its EASE row and column.

    Parameters
    ----------
    suffix : of every dataset's name, `_pm` in the evening group of level 3
    window : what to read of each dataset
    granule : for the message if there is no such retrieval

    Raises
    ------
    UnknownNameError
        If the group does not hold `variable`.
    """
    known = list(retrievals(fields, suffix))
    if variable not in known:
        kind = f"soil moisture retrieval in {granule}"
        raise UnknownNameError(kind, variable, known)
    option = variable.removeprefix("soil_moisture")
    row, column = (fields[f"EASE_{axis}_index{suffix}"][window] for axis in ("row", "column"))
    placed = (row != FILL_UINT16) & (column != FILL_UINT16)

    def read(name: str) -> npt.NDArray[Any]:
        values = fields[name + suffix][window]
        return values[placed]  # type: ignore[no-any-return]

    return Cells(
        row[placed].astype(np.int64),
        column[placed].astype(np.int64),
        missing_as_nan(read(variable), FILL),
        read(f"retrieval_qual_flag{option}"),
        read("surface_flag"),
        read("tb_time_seconds"),
    )


def retrievals(fields: h5py.Group, suffix: str = "") -> Iterable[str]:
    """Return the names of the retrievals in a group, without the suffix."""
    names = (name.removesuffix(suffix) for name in fields if name.endswith(suffix))
    return (name for name in names if RETRIEVAL.fullmatch(name))


def observe(
    cells: Cells,
    rows: slice,
    columns: slice,
    quality: Quality,
    period: tuple[datetime, datetime],
    *,
    simulated: bool = False,
    orbit: Orbit | None = None,
) -> Observed:
    """Put cells into a window of the grid, masked as `quality` says.

    Parameters
    ----------
    period : stands where no cell of the window says when it was seen
    """
    moisture = cells.moisture.copy()
    if quality == "recommended":
        moisture[(cells.quality & NOT_RECOMMENDED) != 0] = np.nan
    field = np.full((rows.stop - rows.start, columns.stop - columns.start), np.nan, dtype=np.float32)
    field[cells.row - rows.start, cells.column - columns.start] = moisture
    seconds = cells.seconds[cells.seconds != FILL]
    start, end = (_instant(edge) for edge in (seconds.min(), seconds.max())) if seconds.size else period
    return Observed(field, start, end, _flag_counts(cells, moisture), simulated, orbit)


def utc(text: str, path: Path) -> datetime:
    """Read a time of the group Metadata/Extent."""
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{path} has {text!r} for a time in Metadata/Extent; expected ISO 8601 as in 2015-08-11T01:30:02.239Z"
        raise DataError(msg) from error


def _flag_counts(cells: Cells, kept: npt.NDArray[np.float32]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for values, names in ((cells.quality, QUALITY_BITS), (cells.surface, SURFACE_BITS)):
        known = values[values != FILL_UINT16]
        counts |= {name: int(((known >> bit) & 1).sum()) for bit, name in enumerate(names)}
    return counts | {"kept_above_valid_max": int((kept > VALID_MAX).sum())}


def _instant(seconds: Any) -> datetime:
    return EPOCH + timedelta(seconds=float(seconds))
