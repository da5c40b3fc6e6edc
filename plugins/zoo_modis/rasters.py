"""Data sets of granules delivered as GeoTIFF (one file a layer, or one band a layer) or NetCDF."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import h5netcdf
import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox
from rasterio.windows import Window as RasterWindow

from zoo.errors import DataError
from zoo.stack.area_mean import Window
from zoo.stack.sources import NETCDF, reading
from zoo_modis.names import Name, parse, plain
from zoo_modis.tiles import tile_box

Array = npt.NDArray[Any]
_GLANCE = 512
"""Side of the reduced raster from which the kind of stored numbers is told."""


class Place(NamedTuple):
    """Where a data set stands: file, address for GDAL, and band from 1."""

    path: Path
    address: str
    band: int


@dataclass
class RasterGranule:
    """The rasters of one granule; satisfies `zoo_modis.reader.Layers`.

    Attributes
    ----------
    paths : GeoTIFFs, one a layer or with one band a layer, or one NetCDF file
    day : of a file with several dates, the one whose composite contains this day; the first without it
    """

    paths: Sequence[Path]
    day: date | None = None

    @property
    def name(self) -> str:
        """The granule, for messages."""
        return parse(self.paths[0]).id

    @cached_property
    def simulated(self) -> bool:
        """Whether a file says so."""
        return any(_says_simulated(place) for place in self._places.values())

    def find(self, names: tuple[str, ...]) -> Place:
        """Return where a data set stands, under any of its names; DataError if none of the files has it."""
        for name in names:
            if plain(name) in self._places:
                return self._places[plain(name)]
        msg = (
            f"{self.name} has no layer {' or '.join(names)}; it holds {', '.join(sorted(self._places))}; "
            "values and their quality layer are both needed: add the file"
        )
        raise DataError(msg)

    def grid(self, place: Place) -> GeoBox:
        """Grid of a data set; that of the tile if the file itself says none."""
        with reading(place.address, place.path) as source:
            box = GeoBox.from_rio(source)
        tile = parse(place.path).tile
        if box.crs is None and tile and box.shape.x == box.shape.y:
            return tile_box(tile, box.shape.x)
        if box.crs is None or box.affine.e > 0 or box.affine.b or box.affine.d:
            msg = f"{place.path.name} has no CRS or is not north up; expected a GeoTIFF or NetCDF as it was delivered"
            raise DataError(msg)
        return box

    def read(self, place: Place, window: Window) -> Array:
        """Read the stored values of a window; a declared scale is not applied (for MOD13 10000, to divide by)."""
        with reading(place.address, place.path) as source:
            values: Array = source.read(place.band, window=RasterWindow.from_slices(*window))
        return values

    def nodata(self, place: Place) -> float | None:
        """Value that the file declares as missing."""
        with reading(place.address, place.path) as source:
            value: float | None = source.nodata
        return value

    def is_physical(self, place: Place, scale: float, valid: tuple[int, int]) -> bool:
        """Whether a file of fractional numbers holds physical values instead of the product's integers."""
        with reading(place.address, place.path) as source:
            shape = min(source.height, _GLANCE), min(source.width, _GLANCE)
            seen = source.read(place.band, out_shape=shape, masked=True).compressed()
        seen = seen[np.isfinite(seen) & (np.abs(seen) < 1e30)]
        if not seen.size or (seen == np.rint(seen)).all():
            return False
        inside = (seen >= valid[0] * scale) & (seen <= valid[1] * scale)
        return bool(inside.mean() > 0.5)

    @cached_property
    def _places(self) -> dict[str, Place]:
        found: dict[str, Place] = {}
        for path in self.paths:
            found |= _variables(path, self.day) if path.suffix.lower() in NETCDF else _bands(path)
        return found


def dates(path: Path) -> list[datetime]:
    """Return the first days of the composites in a NetCDF file of AppEEARS, UTC.

    Raises
    ------
    DataError
        If it cannot be read, or has no time that counts days.
    """
    try:
        with h5netcdf.File(path, "r") as file:
            time = file.variables["time"]
            match = re.match(r"days since (\d{4})-(\d\d?)-(\d\d?)", str(time.attrs["units"]))
            days = np.atleast_1d(np.asarray(time[...], dtype=np.float64))
    except (OSError, KeyError) as error:
        msg = f"{path} cannot be read as NetCDF with a time; it may be incomplete: download it again"
        raise DataError(msg) from error
    if match is None:
        msg = f"{path} counts time in {time.attrs['units']!r}; expected 'days since', as AppEEARS writes it"
        raise DataError(msg)
    year, month, day = map(int, match.groups())
    first = datetime(year, month, day, tzinfo=UTC)
    return [first + timedelta(days=float(count)) for count in days]


def _bands(path: Path) -> dict[str, Place]:
    """One place for the layer in the file's name, or one a described band."""
    name = parse(path)
    if name.layer:
        return {name.layer: Place(path, str(path), 1)}
    with reading(str(path), path) as source:
        described = list(source.descriptions)
    if not all(described):
        msg = f"{path.name} says neither in its name nor by band descriptions which layers it holds; export it so"
        raise DataError(msg)
    return {plain(text): Place(path, str(path), number) for number, text in enumerate(described, 1)}


def _variables(path: Path, day: date | None) -> dict[str, Place]:
    name = parse(path)
    band = 1 if name.start else 1 + _index(dates(path), name, day, path)
    with reading(f"netcdf:{path}", path) as source:
        names = [entry.rpartition(":")[2] for entry in source.subdatasets]
        names = names or [source.tags(1).get("NETCDF_VARNAME", "")]
    return {plain(text): Place(path, f'netcdf:"{path}":{text}', band) for text in names}


def _index(starts: Sequence[datetime], name: Name, day: date | None, path: Path) -> int:
    if day is None:
        return 0
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    for index, start in enumerate(starts):
        if start <= noon < name.product.end(start):
            return index
    msg = f"{path.name} holds no composite for {day}; it holds {', '.join(f'{start:%Y-%m-%d}' for start in starts)}"
    raise DataError(msg)


def _says_simulated(place: Place) -> bool:
    with reading(place.address, place.path) as source:
        return "simulated" in str(source.tags()).lower()
