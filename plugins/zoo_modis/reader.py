"""Read MODIS land products: native HDF4-EOS, and the same layers as GeoTIFF or NetCDF."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import xarray as xr
from odc.geo.geobox import GeoBox

from zoo.errors import DataError, UnknownNameError
from zoo.grids import as_array
from zoo.predictors import LAYERS
from zoo.stack.area_mean import Window, join, same_pixels, window_near
from zoo.stack.sources import NETCDF
from zoo.types import Area, Granule
from zoo_modis.hdf import HdfGranule, Unpacked
from zoo_modis.names import Name, parse
from zoo_modis.products import Field, Quality
from zoo_modis.rasters import RasterGranule, dates

_MARGIN = 2


class Layers(Protocol):
    """The data sets of one granule, however it is stored."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def simulated(self) -> bool:
        """Whether the files say that they are simulated."""

    def find(self, names: tuple[str, ...]) -> Any:
        """Return a data set by any of its names; DataError if it is not there."""

    def grid(self, dataset: Any) -> GeoBox:
        """Grid of a data set."""

    def read(self, dataset: Any, window: Window) -> npt.NDArray[Any]:
        """Read the stored values of a window."""

    def nodata(self, dataset: Any) -> float | None:
        """Value that the file declares as missing, beside those that the table of products knows."""


class ModisReader:
    """Reader of every product in `zoo_modis.products`; satisfies `PredictorReader` and `DatedReader`."""

    def __init__(self, day: date | None = None) -> None:
        self._day = day
        self._unpacked = Unpacked()
        self._granules: dict[tuple[Path, ...], Layers] = {}

    def at(self, day: date) -> ModisReader:
        """Return a reader that takes from NetCDF files of several dates the composite that contains the day."""
        return ModisReader(day)

    def granule(self, path: Path) -> Granule:
        """Say what a file is: from its name; a NetCDF file of AppEEARS stands for all of its dates."""
        name = parse(path)
        starts = [name.start] if name.start else dates(path)
        return Granule(name.full_product, name.id, min(starts), name.product.end(max(starts)), (path,))

    def open(self, paths: Sequence[Path], layer: str, *, area: Area | None = None) -> Sequence[xr.DataArray]:
        """Read one layer; tiles are joined, and of two files for one tile the newer is read.

        Returns
        -------
        One DataArray a grid (sinusoidal, or whatever the files were warped to); none if nothing meets `area`.

        Raises
        ------
        DataError
            If a file cannot be read or lacks the layer's data sets.
        """
        pieces = (self._read(parse(files[0]), self._layers(files), layer, area) for files in _granules(paths))
        return join([piece for piece in pieces if piece is not None])

    def _layers(self, files: tuple[Path, ...]) -> Layers:
        if files not in self._granules:
            native = files[0].suffix.lower() == ".hdf"
            self._granules[files] = HdfGranule(files[0], self._unpacked) if native else RasterGranule(files, self._day)
        return self._granules[files]

    def _read(self, name: Name, source: Layers, layer: str, area: Area | None) -> xr.DataArray | None:
        product = name.product
        if layer not in product.fields:
            kind = f"layer of {product.name}"
            raise UnknownNameError(kind, layer, product.fields)
        field = product.fields[layer]
        dataset = source.find(_names(field))
        box = source.grid(dataset)
        window = window_near(box, area, _MARGIN)
        if window is None:
            return None
        values = _masked(source, dataset, field, box, window)
        spec = LAYERS[layer]
        attrs = {
            "units": spec.units,
            "long_name": spec.title,
            "product": name.full_product,
            "granules": [name.id],
        }
        if source.simulated:
            attrs["simulated"] = "true"
        return as_array(values, box[window], layer, attrs)


def _granules(paths: Sequence[Path]) -> Iterable[tuple[Path, ...]]:
    """Files that belong together; of several versions of a tile the newest, native before what was cut from it."""
    together: dict[tuple[bool, str, str], list[Path]] = {}
    for path in paths:
        name = parse(path)
        part = path.name if path.suffix.lower() in NETCDF else f"{name.id}{name.piece}"
        together.setdefault((path.suffix.lower() == ".hdf", name.id, part), []).append(path)
    chosen: dict[tuple[object, ...], tuple[Path, ...]] = {}
    for (_, _, part), files in sorted(together.items()):
        name = parse(files[0])
        chosen[(name.start, name.tile) if name.tile else (part,)] = tuple(sorted(files))
    return chosen.values()


def _names(dataset: Field | Quality) -> tuple[str, ...]:
    return (dataset.dataset, dataset.also) if dataset.also else (dataset.dataset,)


def _masked(source: Layers, dataset: Any, field: Field, box: GeoBox, window: Window) -> npt.NDArray[np.float32]:
    """Physical values of a window, NaN where fill, class, out of range or refused by the quality rules."""
    raw, scale = source.read(dataset, window), field.scale
    low, high = map(float, field.valid)
    if raw.dtype.kind == "f" and isinstance(source, RasterGranule) and source.is_physical(dataset, scale, field.valid):
        low, high, scale = low * scale, high * scale, 1.0
    good = (raw >= low) & (raw <= high)
    for missing in (field.fill, source.nodata(dataset)):
        if missing is not None:
            good &= raw != missing
    for names in dict.fromkeys(_names(rule) for rule in field.quality):
        flags = _flags(source, names, box, window)
        for rule in field.quality:
            if _names(rule) == names:
                bits = flags if rule.bits == 8 else (flags >> rule.first) & ((1 << rule.bits) - 1)
                good &= np.isin(bits, rule.accepted)
    return np.where(good, raw * np.float32(scale), np.nan).astype(np.float32)


def _flags(source: Layers, names: tuple[str, ...], box: GeoBox, window: Window) -> npt.NDArray[Any]:
    """Quality values as integers, -1 where they are not; they lie on the pixels of the values."""
    dataset = source.find(names)
    if not same_pixels(source.grid(dataset), box):
        msg = f"{source.name}: the quality layer {names[0]} lies on other pixels than the values; download both anew"
        raise DataError(msg)
    flags = source.read(dataset, window)
    return flags if flags.dtype.kind in "iu" else np.where(np.isfinite(flags), flags, -1).astype(np.int64)
