"""Data sets of native granules: HDF4-EOS."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox
from pyhdf.error import HDF4Error
from pyhdf.SD import SD, SDC

from zoo.errors import DataError
from zoo.stack.area_mean import Window
from zoo_modis.tiles import SINUSOIDAL

Array = npt.NDArray[Any]
KEPT = 384 * 2**20
"""Bytes of unpacked data sets that are kept: HDF4 unpacks the whole of one for any part of it."""


class Unpacked:
    """Data sets read last, at most `KEPT` bytes of them."""

    def __init__(self) -> None:
        self._arrays: OrderedDict[tuple[Path, str], Array] = OrderedDict()

    def get(self, path: Path, dataset: str) -> Array | None:
        """Return a data set if it is still there."""
        found = self._arrays.get((path, dataset))
        if found is not None:
            self._arrays.move_to_end((path, dataset))
        return found

    def put(self, path: Path, dataset: str, values: Array) -> None:
        """Keep a data set, and let the oldest go."""
        self._arrays[path, dataset] = values
        while len(self._arrays) > 1 and sum(array.nbytes for array in self._arrays.values()) > KEPT:
            self._arrays.popitem(last=False)


@dataclass
class HdfGranule:
    """One native granule; satisfies `zoo_modis.reader.Layers`."""

    path: Path
    unpacked: Unpacked

    @property
    def name(self) -> str:
        """File name, for messages."""
        return self.path.name

    @property
    def simulated(self) -> bool:
        """Whether an attribute of the file says so."""
        return self._facts[1]

    def find(self, names: tuple[str, ...]) -> str:
        """Return the data set's name if the file has it; DataError else."""
        if self.unpacked.get(self.path, names[0]) is None:
            with _opened(self.path) as file:
                _check_dataset(file, names[0], self.path)
        return names[0]

    def grid(self, dataset: str) -> GeoBox:
        """Grid of a data set from `StructMetadata.0`: outer corners, rows and columns, never a fixed size."""
        return _grid(self._facts[0], dataset, self.path)

    def read(self, dataset: str, window: Window) -> Array:
        """Read the stored values of a window."""
        values = self.unpacked.get(self.path, dataset)
        if values is None:
            with _opened(self.path) as file:
                _check_dataset(file, dataset, self.path)
                sds = file.select(dataset)
                try:
                    values = np.asarray(sds.get())
                finally:
                    sds.endaccess()
            self.unpacked.put(self.path, dataset, values)
        return values[window]

    def nodata(self, dataset: str) -> float | None:
        """None: the table of products knows the fills."""
        return None

    @cached_property
    def _facts(self) -> tuple[str, bool]:
        """`StructMetadata.0`, and whether the file is simulated; pyhdf takes long over text."""
        with _opened(self.path) as file:
            attributes = file.attributes()
        simulated = any("simulated" in str(value).lower() for value in attributes.values())
        return str(attributes.get("StructMetadata.0", "")), simulated


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


def _check_dataset(file: SD, dataset: str, path: Path) -> None:
    try:
        file.nametoindex(dataset)
    except HDF4Error:
        msg = f"{path.name} has no data set {dataset!r}; it holds {', '.join(sorted(file.datasets()))}"
        raise DataError(msg) from None


def _grid(structure: str, dataset: str, path: Path) -> GeoBox:
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
