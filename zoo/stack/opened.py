"""A stack whose files stay open while its windows are read one after the other, by one or more threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.io import DatasetReader

from zoo.stack.area_mean import Floats, Window, same_pixels
from zoo.stack.layers import Stack
from zoo.stack.sources import Layer, failing_to_read

CACHE = 64 * 2**20
"""Bytes of raster blocks that GDAL may keep; by itself it takes a twentieth of the memory."""
MAX_WATER = 0.5
"""Pixels with a larger share of open water are masked."""
SIDE = 512
"""Side of a window, pixels, where the files do not ask for another: the tile of the maps written."""
LARGEST_TILE = 2048
"""Tiles of files with a longer side do not decide the windows."""
LONGEST_STRIP = 8192
"""Width of windows of files that are stored row by row, pixels."""


class OpenedStack:
    """Reads windows of a stack that fall together with the tiles of its files.

    Parameters
    ----------
    stack, names : predictors to read, in this order
    gaps : whether windows are wanted in which no pixel has all predictors

    Attributes
    ----------
    windows : the grid cut into windows, row by row
    window_bytes : memory that the predictors of one window take
    """

    def __init__(self, stack: Stack, names: Sequence[str], *, gaps: bool = False) -> None:
        stack.check(names)
        self.stack, self.names, self._gaps = stack, list(names), gaps
        self._direct = {name for name, layer in stack.layers.items() if same_pixels(layer.geobox, stack.geobox)}
        self._lock = threading.Lock()
        self._files: dict[tuple[int, str], DatasetReader] = {}

    def __enter__(self) -> Self:
        """Look at the files."""
        with ExitStack() as stack:
            stack.enter_context(rasterio.Env(GDAL_CACHEMAX=CACHE))
            stack.callback(self._close)
            tiles = [self._tile(self.stack.layers[name]) for name in self.names if name in self._direct]
            rows, columns = window_shape(tiles, self.stack.geobox.shape.yx)
            self.windows = cut(self.stack.geobox.shape.yx, rows, columns)
            self.window_bytes = 4 * rows * columns * len(self.names)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        self._stack.__exit__(kind, error, trace)

    def read(self, window: Window) -> tuple[Window, Floats | None, npt.NDArray[np.bool_] | None]:
        """Return the window, its predictors (k, h, w), and where open water is (h, w) if there is such a layer.

        The predictors are None if no pixel on land has all of them, unless gaps are wanted: the others are not read.
        """
        wet = None
        if self.stack.water is not None:
            share = np.empty(_shape(window), np.float32)
            self._read(self.stack.water, window, share)
            wet = share > MAX_WATER
        values = np.empty((len(self.names), *_shape(window)), np.float32)
        whole = np.ones(values.shape[1:], np.bool_) if wet is None else ~wet
        for name, part in zip(self.names, values, strict=True):
            if not (self._gaps or whole.any()):
                return window, None, wet
            if not self._read(self.stack.layers[name], window, part):
                whole &= np.isfinite(part)
        return window, values if self._gaps or whole.any() else None, wet

    def _read(self, layer: Layer, window: Window, values: Floats) -> bool:
        """Read a layer into `values`; return whether it was seen that nothing is missing."""
        if layer.name in self._direct:
            return layer.read_into(values, window, self._opened)
        return self.stack.read_layer(layer, window, values, self._opened)

    def _tile(self, layer: Layer) -> tuple[int, int]:
        with failing_to_read(layer.path), rasterio.open(layer.address) as file:
            rows, columns = file.block_shapes[layer.band - 1]
            return rows, columns

    def _opened(self, layer: Layer) -> DatasetReader:
        """Return the file of a layer, opened by this thread: GDAL's datasets serve one thread each."""
        key = threading.get_ident(), layer.address
        if key not in self._files:
            with self._lock:
                self._files[key] = rasterio.open(layer.address)
        return self._files[key]

    def _close(self) -> None:
        for file in self._files.values():
            file.close()


def window_shape(tiles: Sequence[tuple[int, int]], shape: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of windows that hold whole tiles of files.

    Parameters
    ----------
    tiles : rows and columns of the tiles of each file
    shape : of the grid
    """
    if not tiles:
        return SIDE, SIDE
    rows, columns = (max(sizes) for sizes in zip(*tiles, strict=True))
    if columns > LARGEST_TILE or columns >= shape[1] > SIDE:  # stored row by row
        across = min(shape[1], LONGEST_STRIP)
        return _multiple(rows, max(1, SIDE * SIDE // across)), across
    return _multiple(rows, SIDE), _multiple(columns, SIDE)


def cut(shape: tuple[int, int], rows: int, columns: int) -> list[Window]:
    """Cut a grid into windows of at most `rows` x `columns`, row by row."""
    return [
        (slice(top, min(top + rows, shape[0])), slice(left, min(left + columns, shape[1])))
        for top in range(0, shape[0], rows)
        for left in range(0, shape[1], columns)
    ]


def _multiple(step: int, wanted: int) -> int:
    """Return the least multiple of a tile's side from `wanted` on; `wanted` where the tile is too large for that."""
    return wanted if step > LARGEST_TILE else -(-wanted // step) * step


def _shape(window: Window) -> tuple[int, int]:
    return window[0].stop - window[0].start, window[1].stop - window[1].start
