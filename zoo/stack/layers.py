"""A stack of predictor rasters, opened by name and read window by window on one grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox
from rasterio.windows import Window as RasterWindow

from zoo.errors import DataError, UsageError
from zoo.stack.area_mean import Window, area_mean, area_of, blocks, same_pixels, window_near
from zoo.stack.sources import Layer, Opened, folder_layers, parse_argument

WATER = "water"
MIN_VALID = 0.25
"""Least share of a pixel's area with valid data; below it the pixel is missing."""
_WARP_BLOCK = 64
"""Side of the windows in which a layer of another grid is averaged, target pixels: bounds the memory."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Predictor layers on one grid; nothing is read before `read`.

    Attributes
    ----------
    layers : every layer by name, `water` (share of open water) among them if there is one
    geobox : the grid on which `read` answers; layers of another grid are averaged onto it
    """

    layers: Mapping[str, Layer]
    geobox: GeoBox
    min_valid: float = field(default=MIN_VALID)

    @classmethod
    def of(cls, layers: Sequence[Layer], *, like: GeoBox | None = None) -> Stack:
        """Make a stack of opened layers on the grid `like`, or on that of the first.

        Raises
        ------
        UsageError
            If there is no layer, or a name occurs twice.
        """
        if not layers:
            msg = "No predictor layer was given; give --stack NAME=FILE[:BAND] for each, or a folder of GeoTIFFs"
            raise UsageError(msg)
        named = {layer.name: layer for layer in layers}
        if len(named) < len(layers):
            names = [layer.name for layer in layers]
            twice = sorted({name for name in names if names.count(name) > 1})
            msg = f"The predictor {', '.join(twice)} is given twice; give each name once"
            raise UsageError(msg)
        return cls(named, like or layers[0].geobox)

    @classmethod
    def from_arguments(cls, arguments: Sequence[str], *, like: GeoBox | None = None) -> Stack:
        """Open layers given as `name=path`, `name=path:band`, `name=file.nc:variable`, or as folders.

        Raises
        ------
        UsageError
            If an argument has another form, or a name occurs twice.
        DataError
            If a file is missing, unreadable, has no CRS or not the band named.
        """
        layers: list[Layer] = []
        for argument in arguments:
            folder = Path(argument)
            layers += folder_layers(folder) if folder.is_dir() else [parse_argument(argument)]
        return cls.of(layers, like=like)

    @classmethod
    def from_folder(cls, folder: Path, *, like: GeoBox | None = None) -> Stack:
        """Open every GeoTIFF (layer named like the file) and every 2-D variable of NetCDF files in a folder.

        Raises
        ------
        DataError
            If the folder is missing or holds no raster.
        """
        return cls.of(folder_layers(folder), like=like)

    @property
    def names(self) -> list[str]:
        """Names of the predictors, without `water`."""
        return [name for name in self.layers if name != WATER]

    @property
    def water(self) -> Layer | None:
        """The layer with the share of open water, if there is one."""
        return self.layers.get(WATER)

    @property
    def units(self) -> dict[str, str]:
        """Units by layer."""
        return {name: layer.units for name, layer in self.layers.items()}

    @property
    def provenance(self) -> dict[str, str]:
        """What each layer was made from, as text: granules, else the file's name (and band or variable)."""
        return {name: layer.origin for name, layer in self.layers.items()}

    @property
    def granules(self) -> list[str]:
        """Ids of the granules that the layers were made from, sorted; empty for plain rasters."""
        return sorted({granule for layer in self.layers.values() for granule in layer.granules})

    @property
    def products(self) -> list[str]:
        """Products that the layers were made from, sorted; empty for plain rasters."""
        return sorted({layer.product for layer in self.layers.values() if layer.product})

    @property
    def sources(self) -> list[Path]:
        """Files that the layers were made from, sorted: those of the granules, else the rasters themselves."""
        behind = (layer for layer in self.layers.values() if not layer.from_day)
        return sorted({path for layer in behind for path in layer.sources or (layer.path,)})

    @property
    def simulated(self) -> bool:
        """Whether any layer says that it is made of simulated data."""
        return any(layer.simulated for layer in self.layers.values())

    def check(self, names: Sequence[str]) -> None:
        """Raise DataError naming those of `names` that the stack lacks."""
        missing = [name for name in names if name not in self.layers]
        if missing:
            msg = (
                f"The stack lacks {', '.join(missing)} and holds {', '.join(self.names)}; add --stack {missing[0]}=FILE"
                f"{' and so on' if missing[1:] else ''}, or the granules that deliver what is missing"
            )
            raise DataError(msg)

    def read(
        self, window: Window | RasterWindow | None = None, names: Sequence[str] | None = None
    ) -> npt.NDArray[np.float32]:
        """Read a window of layers.

        Parameters
        ----------
        window : rows and columns of `geobox` as two slices or a rasterio window; everything by default
        names : layers, in the order wanted; `names` of the stack by default

        Returns
        -------
        float32, shape (k, h, w), NaN where missing.

        Raises
        ------
        DataError
            If a layer is missing or cannot be read.
        """
        wanted = self.names if names is None else list(names)
        self.check(wanted)
        part = _slices(window, self.geobox)
        rows, columns = part
        values = np.empty((len(wanted), rows.stop - rows.start, columns.stop - columns.start), np.float32)
        for index, name in enumerate(wanted):
            self.read_layer(self.layers[name], part, values[index])
        return values

    def read_water(self, window: Window | RasterWindow | None = None) -> npt.NDArray[np.float32] | None:
        """Read the share of open water, shape (h, w); None if the stack has no such layer."""
        return None if self.water is None else self.read(window, [WATER])[0]

    def read_layer(
        self, layer: Layer, window: Window, values: npt.NDArray[np.float32], opened: Opened | None = None
    ) -> bool:
        """Read one layer into `values` (h, w); return whether it was seen that nothing is missing.

        `opened` gives a file that stays open; else it is opened for this.
        """
        if same_pixels(layer.geobox, self.geobox):
            return layer.read_into(values, window, opened)
        top, left = window[0].start, window[1].start
        for block in blocks(self.geobox, _WARP_BLOCK, window):
            rows, columns = block
            part = values[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
            part[:] = self._averaged(layer, self.geobox[block], opened)
        return False

    def _averaged(self, layer: Layer, target: GeoBox, opened: Opened | None) -> npt.NDArray[np.float32]:
        """Area mean of a layer on another grid over a block; NaN where less than `min_valid` is valid."""
        near = window_near(layer.geobox, area_of(target))
        if near is None:
            return np.full(target.shape.yx, np.nan, np.float32)
        mean, share = area_mean(layer.read(near, opened)[None], layer.geobox[near], target)
        return np.where(share[0] >= self.min_valid, mean[0], np.float32(np.nan))


def _slices(window: Window | RasterWindow | None, box: GeoBox) -> Window:
    rows, columns = box.shape.yx
    if window is None:
        return slice(0, rows), slice(0, columns)
    parts = window.toslices() if isinstance(window, RasterWindow) else window
    (top, bottom, _), (left, right, _) = parts[0].indices(rows), parts[1].indices(columns)
    return slice(top, max(top, bottom)), slice(left, max(left, right))
