"""SPL3SMP and SPL3SMP_E, the level 3 passive retrievals: both passes of a day on the 36 or 9 km EASE-Grid 2.0.

The arrays are placed by their position, and a part of the globe by the row and column indices in it; never by the
attribute `coordinates`, which in the evening group names the latitude and longitude of the morning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from zoo.coarse import Observed, coarse_field
from zoo.errors import DataError
from zoo.grids import cells_in, ease2_geobox, window_of
from zoo.hdf5 import is_simulated, open_hdf5
from zoo.types import Area, Granule, Orbit, Quality
from zoo_smap.passive import DEPTH, FILL_UINT16, GRIDS, observe, read_cells, version

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

# SMAP_L3_SM_P[_E]_YYYYMMDD_RLVvvv_NNN.h5
NAME = re.compile(r"(SMAP_L3_SM_P(_E)?_(\d{8})_[A-Z]\d{5}_\d{3})\.h5", re.IGNORECASE)
GROUP = "Soil_Moisture_Retrieval_Data"
PASSES: dict[Orbit, tuple[str, str]] = {"D": (f"{GROUP}_AM", ""), "A": (f"{GROUP}_PM", "_pm")}
"""Group and suffix of its datasets: descending at 6:00 and ascending at 18:00 local solar time."""
AXES = ("row", "column")


def granule(path: Path, match: re.Match[str]) -> Granule:
    """Describe a file whose name matches `NAME`; the period is the UTC day."""
    short_name = f"SPL3SMP{(match[2] or '').upper()}"
    with open_hdf5(path, short_name) as file:
        held = _held(file, path)
        _origin(file, held, short_name, path)
        product = f"{short_name}.{version(file)}"
    day = datetime.strptime(match[3], "%Y%m%d").replace(tzinfo=UTC)
    period = day, day + timedelta(days=1)
    if len(held) == 1:
        return Granule(product, match[1], *period, (path,), next(iter(held)))
    return Granule(product, match[1], *period, (path,), passes=tuple(held))


def read(
    granules: Sequence[Granule], area: Area | None, quality: Quality, variable: str | None, orbit: Orbit | None
) -> xr.DataArray:
    """Read one retrieval of one pass, or its mean over both; see `zoo.types.SensorReader.open`."""
    grid = _grid(granules[0])
    if any(_grid(each) != grid for each in granules):
        ids = ", ".join(each.id for each in granules)
        msg = f"{ids} hold different parts of the grid; read such files apart"
        raise DataError(msg)
    observed = [
        _observed(each, one, grid, area, quality, variable or "soil_moisture")
        for each in granules
        for one in each.passes or (each.orbit,)
        if one is not None and orbit in (None, one)
    ]
    long_name = f"soil moisture, 0-5 cm ({variable or 'baseline'})"
    return coarse_field(observed, cells_in(grid, area) if area else grid, granules, long_name=long_name, depth=DEPTH)


def _observed(
    granule: Granule, orbit: Orbit, grid: GeoBox, area: Area | None, quality: Quality, variable: str
) -> Observed:
    path = granule.paths[0]
    window = window_of(grid, area) if area else (slice(0, grid.shape.y), slice(0, grid.shape.x))
    with open_hdf5(path, granule.product) as file:
        held = _held(file, path)
        first = _origin(file, held, granule.product, path)
        group, suffix = held[orbit]
        rows, columns = (
            slice(part.start + start, part.stop + start) for part, start in zip(window, first, strict=True)
        )
        _check_places(file[group], suffix, window, first, path)
        cells = read_cells(file[group], variable, granule.id, suffix=suffix, window=window)
        simulated = is_simulated(file)
    assert granule.start is not None
    assert granule.end is not None
    return observe(cells, rows, columns, quality, (granule.start, granule.end), simulated=simulated, orbit=orbit)


def _held(file: h5py.File, path: Path) -> dict[Orbit, tuple[str, str]]:
    """Return the passes that a file holds; the first releases had the morning alone, in a group without AM or PM."""
    held = {orbit: place for orbit, place in PASSES.items() if place[0] in file}
    if not held and GROUP in file:
        held = {"D": (GROUP, "")}
    if not held:
        msg = f"{path} is no SPL3SMP file: it has no group {GROUP}_AM or _PM; check that it has its published name"
        raise DataError(msg)
    return held


def _grid(granule: Granule) -> GeoBox:
    """Return the part of the global grid that the file's arrays cover."""
    path = granule.paths[0]
    with open_hdf5(path, granule.product) as file:
        held = _held(file, path)
        top, left = _origin(file, held, granule.product, path)
        rows, columns = _shape(file, held)
    return _globe(granule.product)[top : top + rows, left : left + columns]


def _globe(product: str) -> GeoBox:
    return ease2_geobox(GRIDS["_E" if product.startswith("SPL3SMP_E") else ""])


def _shape(file: h5py.File, held: dict[Orbit, tuple[str, str]]) -> tuple[int, ...]:
    group, suffix = next(iter(held.values()))
    shape: tuple[int, ...] = file[f"{group}/soil_moisture{suffix}"].shape
    return shape


def _origin(file: h5py.File, held: dict[Orbit, tuple[str, str]], product: str, path: Path) -> tuple[int, int]:
    """Return row and column of the first cell on the global grid: 0, 0 as published, else as the indices say."""
    shape, globe = _shape(file, held), _globe(product).shape.yx
    if shape == globe:
        return 0, 0
    top, left = (_first(file, held, axis) if len(shape) == 2 else -1 for axis in (0, 1))
    if min(top, left) < 0 or top + shape[0] > globe[0] or left + shape[1] > globe[1]:
        msg = (
            f"{path} holds {' x '.join(map(str, shape))} cells that cannot be placed on the grid of "
            f"{product.split('.')[0]} ({globe[0]} x {globe[1]}) by their EASE row and column; download the whole file"
        )
        raise DataError(msg)
    return top, left


def _first(file: h5py.File, held: dict[Orbit, tuple[str, str]], axis: int) -> int:
    """Return the index on one axis at which arrays cut out of the globe begin; -1 if the cells do not say."""
    starts = set()
    for group, suffix in held.values():
        index = file[f"{group}/EASE_{AXES[axis]}_index{suffix}"][:].astype(np.int64)
        seen = index != FILL_UINT16
        starts |= set(np.unique((index - np.indices(index.shape)[axis])[seen]).tolist())
    return starts.pop() if len(starts) == 1 else -1


def _check_places(
    fields: h5py.Group, suffix: str, window: tuple[slice, slice], first: tuple[int, int], path: Path
) -> None:
    """Refuse arrays whose positions and indices contradict each other."""
    for axis, name in enumerate(AXES):
        index = fields[f"EASE_{name}_index{suffix}"][window].astype(np.int64)
        expected = np.indices(index.shape)[axis] + window[axis].start + first[axis]
        if ((index != expected) & (index != FILL_UINT16)).any():
            msg = f"{path} holds cells of {fields.name} elsewhere than their EASE_{name}_index says; download it again"
            raise DataError(msg)
