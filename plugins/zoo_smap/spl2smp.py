"""SPL2SMP and SPL2SMP_E, the level 2 passive retrievals: cells of one half orbit on the 36 or 9 km EASE-Grid 2.0."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo.coarse import coarse_field
from zoo.errors import DataError
from zoo.grids import ease2_geobox, window_of
from zoo.hdf5 import attribute, is_simulated, open_hdf5
from zoo.types import Area, Granule, Quality
from zoo_smap.passive import DEPTH, GRIDS, Cells, observe, read_cells, utc, version

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

NAME = re.compile(r"(SMAP_L2_SM_P(_E)?_(NRT_)?\d{5}_([AD])_\d{8}T\d{6}_[A-Z]\d{5}_\d{3})\.h5", re.IGNORECASE)
GROUP = "Soil_Moisture_Retrieval_Data"


def granule(path: Path, match: re.Match[str]) -> Granule:
    """Describe a file whose name matches `NAME`; the period is that of its metadata."""
    short_name = f"SPL2SMP{(match[2] or '').upper()}{'_NRT' if match[3] else ''}"
    with open_hdf5(path, short_name) as file:
        extent = file["Metadata/Extent"]
        start, end = (utc(attribute(extent, f"range{edge}DateTime"), path) for edge in ("Beginning", "Ending"))
        product = f"{short_name}.{version(file)}"
    # abstract and orbitDirection of one file contradict each other: the pass is taken from the name
    return Granule(product, match[1], start, end, (path,), "A" if match[4].upper() == "A" else "D")


def read(granules: Sequence[Granule], area: Area | None, quality: Quality, variable: str | None) -> xr.DataArray:
    """Read one retrieval; see `zoo.types.SensorReader.open`. Without an area: the window around all cells."""
    swaths = [_cells(each, variable or "soil_moisture") for each in granules]
    globe = ease2_geobox(GRIDS["_E" if granules[0].product.startswith("SPL2SMP_E") else ""])
    rows, columns = window_of(globe, area) if area else _window_around([cells for cells, _ in swaths], granules)
    observed = []
    for each, (cells, simulated) in zip(granules, swaths, strict=True):
        if (inside := cells.inside(rows, columns)).row.size:
            assert each.start is not None
            assert each.end is not None
            observed.append(observe(inside, rows, columns, quality, (each.start, each.end), simulated=simulated))
    if not observed:
        ids = ", ".join(each.id for each in granules)
        msg = f"No cell of {ids} lies in the area {area}; choose another area, --date or --orbit"
        raise DataError(msg)
    long_name = f"soil moisture, 0-5 cm ({variable or 'baseline'})"
    return coarse_field(observed, globe[rows, columns], granules, long_name=long_name, depth=DEPTH)


def _cells(granule: Granule, variable: str) -> tuple[Cells, bool]:
    """Read the cells of a half orbit, and whether the file says that it is simulated."""
    with open_hdf5(granule.paths[0], "SPL2SMP") as file:
        return read_cells(file[GROUP], variable, granule.id), is_simulated(file)


def _window_around(swaths: Sequence[Cells], granules: Sequence[Granule]) -> tuple[slice, slice]:
    rows = np.concatenate([swath.row for swath in swaths])
    columns = np.concatenate([swath.column for swath in swaths])
    if not rows.size:
        msg = f"{', '.join(each.id for each in granules)} places no cell on the grid; download the file again"
        raise DataError(msg)
    return slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)
