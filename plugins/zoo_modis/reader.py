"""Read MODIS land products from HDF4-EOS."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from pyhdf.error import HDF4Error
from pyhdf.SD import SD, SDC

from zoo.errors import DataError, UnknownNameError
from zoo.grids import as_array
from zoo.predictors import LAYERS
from zoo.stack.area_mean import Window, join, window_near
from zoo.types import Area, Granule
from zoo_modis.products import PRODUCTS, Field, Product

SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
"""The MODIS sphere."""
_NAME = re.compile(r"(?P<product>\w+)\.A(?P<date>\d{7})\.(?P<tile>h\d\dv\d\d)\.(?P<version>\d{3})\.\d+\.hdf", re.I)
_MARGIN = 2


@dataclass(frozen=True, slots=True)
class _Name:
    """What a file name says, `MOD11A2.A2019265.h26v04.061.2019274042127.hdf`."""

    product: Product
    start: datetime
    tile: str
    version: str


class ModisReader:
    """Reader of every product in `zoo_modis.products`; satisfies `zoo.types.PredictorReader`."""

    def granule(self, path: Path) -> Granule:
        """Say what a file is, from its name."""
        name = _parse(path)
        end = name.start + timedelta(days=name.product.days)
        if name.product.ends_with_year:
            end = min(end, datetime(name.start.year + 1, 1, 1, tzinfo=UTC))
        return Granule(f"{name.product.name}.{name.version}", path.stem, name.start, end, (path,))

    def open(self, paths: Sequence[Path], layer: str, *, area: Area | None = None) -> Sequence[xr.DataArray]:
        """Read one layer; tiles are joined, and of two files for one tile the newer is read.

        Returns
        -------
        One DataArray on the sinusoidal grid; none if no tile meets `area`.

        Raises
        ------
        DataError
            If a file cannot be read or lacks the layer's data sets.
        """
        newest = {(_parse(path).start, _parse(path).tile): path for path in sorted(paths, key=lambda path: path.name)}
        pieces = (self._read(path, layer, area) for path in newest.values())
        return join([piece for piece in pieces if piece is not None])

    def _read(self, path: Path, layer: str, area: Area | None) -> xr.DataArray | None:
        granule, product = self.granule(path), _parse(path).product
        if layer not in product.fields:
            kind = f"layer of {product.name}"
            raise UnknownNameError(kind, layer, product.fields)
        field = product.fields[layer]
        with _opened(path) as file:
            _check_dataset(file, field.dataset, path)
            attributes = file.attributes()
            box = _grid(str(attributes.get("StructMetadata.0", "")), field.dataset, path)
            window = window_near(box, area, _MARGIN)
            if window is None:
                return None
            values = _masked(file, field, window, path)
        spec = LAYERS[layer]
        attrs = {
            "units": spec.units,
            "long_name": spec.title,
            "product": granule.product,
            "granules": [granule.id],
        }
        if any("simulated" in str(value).lower() for value in attributes.values()):
            attrs["simulated"] = "true"
        return as_array(values, box[window], layer, attrs)


def _parse(path: Path) -> _Name:
    match = _NAME.fullmatch(path.name)
    if match is None or match["product"].upper() not in PRODUCTS:
        msg = (
            f"{path.name} is not named like a MODIS granule of {', '.join(PRODUCTS)}; expected for example "
            "MOD11A2.A2019265.h26v04.061.2019274042127.hdf; keep the names of the downloaded files"
        )
        raise DataError(msg)
    try:
        start = datetime.strptime(match["date"], "%Y%j").replace(tzinfo=UTC)
    except ValueError as error:
        msg = f"{path.name} names the date A{match['date']}; expected A, year and day of year, A2019265"
        raise DataError(msg) from error
    return _Name(PRODUCTS[match["product"].upper()], start, match["tile"].lower(), match["version"])


@contextmanager
def _opened(path: Path) -> Iterator[SD]:
    """Open an HDF4 file; whatever fails in it is one clear line."""
    try:
        file = SD(str(path), SDC.READ)
        try:
            yield file
        finally:
            file.end()
    except HDF4Error as error:
        msg = f"{path} cannot be read as HDF4 ({error}); it may be incomplete: download it again"
        raise DataError(msg) from error


def _masked(file: SD, field: Field, window: Window, path: Path) -> npt.NDArray[np.float32]:
    """Physical values of a window, NaN where fill, class, out of range or refused by the quality rules."""
    raw = _window(file, field.dataset, window, path)
    low, high = field.valid
    good = (raw >= low) & (raw <= high)
    if field.fill is not None:
        good &= raw != field.fill
    for dataset in dict.fromkeys(rule.dataset for rule in field.quality):
        flags = _window(file, dataset, window, path)
        for rule in field.quality:
            if rule.dataset == dataset:
                bits = flags if rule.bits == 8 else (flags >> rule.first) & ((1 << rule.bits) - 1)
                good &= np.isin(bits, rule.accepted)
    return np.where(good, raw * field.scale, np.nan).astype(np.float32)


def _window(file: SD, dataset: str, window: Window, path: Path) -> npt.NDArray[Any]:
    _check_dataset(file, dataset, path)
    sds = file.select(dataset)
    try:
        rows, columns = window
        count = (rows.stop - rows.start, columns.stop - columns.start)
        return np.asarray(sds.get(start=(rows.start, columns.start), count=count)).reshape(count)
    finally:
        sds.endaccess()


def _check_dataset(file: SD, dataset: str, path: Path) -> None:
    if dataset not in file.datasets():
        msg = f"{path.name} has no data set {dataset!r}; it holds {', '.join(sorted(file.datasets()))}"
        raise DataError(msg)


def _grid(structure: str, dataset: str, path: Path) -> GeoBox:
    """Grid of a data set from `StructMetadata.0`: outer corners, rows and columns, never a fixed size."""
    groups = re.split(r"GROUP\s*=\s*GRID_\d+", structure)[1::2]
    text = next((group for group in groups if f'"{dataset}"' in group), "")
    try:
        columns, rows = int(_entry(text, "XDim")), int(_entry(text, "YDim"))
        (west, north), (east, south) = _point(text, "UpperLeftPointMtrs"), _point(text, "LowerRightMtrs")
        projection = _entry(text, "Projection")
    except LookupError as error:
        msg = f"{path.name} says no grid for {dataset!r}; expected {error.args[0]} in its StructMetadata.0"
        raise DataError(msg) from error
    if projection != "GCTP_SNSOID":
        msg = f"{path.name} is on the projection {projection}; expected the MODIS sinusoidal grid, GCTP_SNSOID"
        raise DataError(msg)
    pixel = Affine((east - west) / columns, 0, west, 0, (south - north) / rows, north)
    return GeoBox((rows, columns), pixel, SINUSOIDAL)


def _entry(text: str, key: str) -> str:
    match = re.search(rf"^\s*{key}\s*=\s*(.+?)\s*$", text, re.MULTILINE)
    if match is None:
        raise LookupError(key)
    return match[1]


def _point(text: str, key: str) -> tuple[float, float]:
    x, y = _entry(text, key).strip("()").split(",")
    return float(x), float(y)
