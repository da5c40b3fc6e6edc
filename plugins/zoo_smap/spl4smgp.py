"""SPL4SMGP, the SMAP level 4 analysis: 3-hour means of soil moisture on the global 9 km EASE-Grid 2.0.

The product has no quality flags. `recommended` masks what a radiometer cannot tell and a downscaler should not
learn from: frozen soil and snow on the ground, both as the product's own land model has them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import h5py
import numpy as np

from zoo.coarse import Observed, coarse_field
from zoo.errors import DataError, UnknownNameError
from zoo.grids import cells_in, ease2_geobox, window_of
from zoo.hdf5 import is_simulated, missing_as_nan, open_hdf5
from zoo.types import Area, Granule, Quality

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from odc.geo.geobox import GeoBox

# SMAP L4_SM Data Product Specification, table 9 (geophysical collection), and the file name convention:
# SMAP_L4_SM_gph_YYYYMMDDThhmmss_VLMmmm_NNN.h5, L validated or beta, M the major version.
NAME = re.compile(r"(SMAP_L4_SM_gph_(\d{8}T\d{6})_V[a-z](\d)\d{3}_\d{3})\.h5", re.IGNORECASE)
GROUP = "Geophysical_Data"
FILL = -9999.0
HALF_MEAN = timedelta(minutes=90)
"""The name holds the middle of the 3-hour mean."""
FREEZING = 273.15
"""Of soil_temp_layer1 (0-10 cm), K."""
VARIABLES = {
    "sm_surface": ("soil moisture, 0-5 cm", (0.0, 0.05)),
    "sm_rootzone": ("soil moisture, 0-100 cm", (0.0, 1.0)),
}


def granule(path: Path, match: re.Match[str]) -> Granule:
    """Describe a file whose name matches `NAME`."""
    with open_hdf5(path, "SPL4SMGP") as file:
        _grid(file, path)
    middle = datetime.strptime(match[2], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return Granule(f"SPL4SMGP.{int(match[3]):03d}", match[1], middle - HALF_MEAN, middle + HALF_MEAN, (path,))


def read(granules: Sequence[Granule], area: Area | None, quality: Quality, variable: str | None) -> xr.DataArray:
    """Read one variable; see `zoo.types.SensorReader.open`."""
    name = variable or "sm_surface"
    if name not in VARIABLES:
        kind = "soil moisture variable of SPL4SMGP"
        raise UnknownNameError(kind, name, VARIABLES)
    long_name, depth = VARIABLES[name]
    with open_hdf5(granules[0].paths[0], "SPL4SMGP") as file:
        grid = _grid(file, granules[0].paths[0])
    observed = [_observed(each, grid, area, quality, name) for each in granules]
    return coarse_field(observed, cells_in(grid, area) if area else grid, granules, long_name=long_name, depth=depth)


def _observed(granule: Granule, grid: GeoBox, area: Area | None, quality: Quality, variable: str) -> Observed:
    window = window_of(grid, area) if area else (slice(None), slice(None))
    with open_hdf5(granule.paths[0], "SPL4SMGP") as file:
        if _grid(file, granule.paths[0]) != grid:
            msg = f"{granule.paths[0]} covers another part of the grid than the first file; read such files apart"
            raise DataError(msg)
        fields = file[GROUP]
        moisture = missing_as_nan(fields[variable][window], FILL)
        temperature = missing_as_nan(fields["soil_temp_layer1"][window], FILL)
        snow = missing_as_nan(fields["snow_mass"][window], FILL)
        simulated = is_simulated(file)
    land = np.isfinite(moisture)
    frozen, snowy = temperature < FREEZING, snow > 0
    counts = {
        "no_land": int((~land).sum()),
        "frozen_soil": int((frozen & land).sum()),
        "snow": int((snowy & land).sum()),
    }
    if quality == "recommended":
        moisture[frozen | snowy] = np.nan
    assert granule.start is not None
    assert granule.end is not None
    return Observed(moisture, granule.start, granule.end, counts, simulated)


def _grid(file: h5py.File, path: Path) -> GeoBox:
    """Place the arrays by cell_row and cell_column: the whole globe as published, a part if someone cut it."""
    rows, columns = file[GROUP]["sm_surface"].shape
    first = int(file["cell_row"][0, 0]), int(file["cell_column"][0, 0])
    last = int(file["cell_row"][-1, -1]), int(file["cell_column"][-1, -1])
    globe = ease2_geobox("M09")
    if (last[0] - first[0] + 1, last[1] - first[1] + 1) != (rows, columns) or last >= globe.shape.yx:
        msg = f"{path} does not lie on EASE-Grid 2.0 M09: cells {first} to {last} for {rows} x {columns} values"
        raise DataError(msg)
    return globe[first[0] : last[0] + 1, first[1] : last[1] + 1]
