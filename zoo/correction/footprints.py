"""Which pixel of the fine map lies in which coarse cell, and sums over cells, strip by strip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyproj
from affine import Affine

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

Field = npt.NDArray[np.float64]
Points = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int32]

STRIP = 1 << 19
"""Pixels that are worked on at once: bounds the memory beside the map itself."""


@dataclass(frozen=True, slots=True)
class Footprints:
    """The pixels of a fine grid on a lattice of coarse cells that covers all of it.

    A pixel belongs to the one cell that holds its centre, so that cells share out the pixels whatever the ratio.

    Attributes
    ----------
    rows, columns : position of each pixel's centre on the lattice, where whole numbers are cells' centres;
        (h, 1) and (1, w) where both grids run along the same straight lines, else (h, w), float32
    shape : rows and columns of the lattice
    origin : row and column of its first cell in the coarse field; may be negative
    areas : area of a pixel in cells, (h, 1)
    """

    rows: npt.NDArray[np.floating[Any]]
    columns: npt.NDArray[np.floating[Any]]
    shape: tuple[int, int]
    origin: tuple[int, int]
    areas: Field

    @classmethod
    def of(cls, fine: GeoBox, coarse: GeoBox) -> Self:
        """Lay the lattice over a fine grid: the cells that it touches and one more on every side."""
        rows, columns = _positions(fine, coarse)
        first = int(np.floor(rows.min() + 0.5)) - 1, int(np.floor(columns.min() + 0.5)) - 1
        last = int(np.floor(rows.max() + 0.5)) + 1, int(np.floor(columns.max() + 0.5)) + 1
        shape = last[0] - first[0] + 1, last[1] - first[1] + 1
        areas = _areas(fine, coarse)
        rows, columns = rows - first[0], columns - first[1]
        if _aligned(fine, coarse):
            return cls(rows, columns, shape, first, areas)
        return cls(_in_single(rows), _in_single(columns), shape, first, areas)

    @property
    def straight(self) -> bool:
        """Whether rows of the fine grid run along rows of the lattice."""
        return self.rows.shape[1] == 1 and bool(self.columns.shape[0] == 1)

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and columns of the fine grid."""
        return self.rows.shape[0], self.columns.shape[1]

    @property
    def cells(self) -> int:
        """Number of cells of the lattice."""
        return self.shape[0] * self.shape[1]

    def strips(self) -> Iterator[slice]:
        """Cut the fine grid into strips of whole rows."""
        height, width = self.map_shape
        step = max(1, STRIP // width)
        for top in range(0, height, step):
            yield slice(top, min(top + step, height))

    def position(self, strip: slice) -> tuple[Field, Field]:
        """Row and column of the pixels of a strip on the lattice; shapes that broadcast to the strip's."""
        columns = self.columns if self.straight else self.columns[strip]
        return self.rows[strip].astype(np.float64), columns.astype(np.float64)

    def labels(self, strip: slice) -> Labels:
        """Return the number of the cell of each pixel of a strip; cells are counted row by row."""
        rows, columns = self.position(strip)
        labels: Labels = (np.floor(rows + 0.5) * self.shape[1] + np.floor(columns + 0.5)).astype(np.int32)
        return labels

    def total(self, labels: Labels, weights: Field | None = None) -> Field:
        """Sum of weights (or the number) of pixels by cell, for pixels with given labels."""
        return np.bincount(labels, weights, self.cells).astype(np.float64)

    def placed(self, values: npt.NDArray[np.floating[Any]]) -> Field:
        """Put the coarse field on the lattice, flat; NaN where the lattice leaves it."""
        placed = np.full(self.shape, np.nan)
        (top, left), (height, width) = self.origin, values.shape
        rows = slice(max(0, top), min(height, top + self.shape[0]))
        columns = slice(max(0, left), min(width, left + self.shape[1]))
        if rows.start < rows.stop and columns.start < columns.stop:
            placed[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = values[
                rows, columns
            ]
        return placed.ravel()


def _positions(fine: GeoBox, coarse: GeoBox) -> tuple[Field, Field]:
    """Row and column of every pixel's centre on the coarse grid, where whole numbers are cells' centres."""
    height, width = fine.shape.yx
    across, down = np.arange(width)[None, :] + 0.5, np.arange(height)[:, None] + 0.5
    if not _aligned(fine, coarse):
        return _of_points(fine, coarse, *np.broadcast_arrays(across, down))
    _, columns = _of_points(fine, coarse, across, np.full(across.shape, height / 2))
    rows, _ = _of_points(fine, coarse, np.full(down.shape, width / 2), down)
    return rows, columns


def _of_points(fine: GeoBox, coarse: GeoBox, across: Points, down: Points) -> tuple[Field, Field]:
    """Row and column on the coarse grid of points given in pixels from the fine grid's corner."""
    x, y = _through(fine.affine, across, down)
    if fine.crs is not None and coarse.crs is not None and fine.crs != coarse.crs:
        transformer = pyproj.Transformer.from_crs(fine.crs.to_wkt(), coarse.crs.to_wkt(), always_xy=True)
        x, y = transformer.transform(x, y)
    columns, rows = _through(~coarse.affine, x, y)
    return rows - 0.5, columns - 0.5


def _through(affine: Affine, x: Points, y: Points) -> tuple[Field, Field]:
    return affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f


def _aligned(fine: GeoBox, coarse: GeoBox) -> bool:
    """Whether rows of one grid run along rows of the other."""
    upright = all(box.affine.b == 0 and box.affine.d == 0 for box in (fine, coarse))
    return upright and (fine.crs == coarse.crs or (_straight(fine) and _straight(coarse)))


def _straight(box: GeoBox) -> bool:
    """Whether longitude depends on x alone and latitude on y alone."""
    return box.crs is not None and bool(box.crs.geographic or box.crs.to_epsg() == 6933)


def _areas(fine: GeoBox, coarse: GeoBox) -> Field:
    """Area of a pixel in cells, in the middle of each row (h, 1)."""
    height, width = fine.shape.yx
    down, middle = np.arange(height)[:, None] + 0.5, np.full((height, 1), width / 2)
    south, north = (_of_points(fine, coarse, middle, down + half) for half in (0.5, -0.5))
    east, west = (_of_points(fine, coarse, middle + half, down) for half in (0.5, -0.5))
    (a, b), (c, d) = ((one[0] - other[0], one[1] - other[1]) for one, other in ((south, north), (east, west)))
    return np.abs(a * d - b * c)


def _in_single(values: Field) -> npt.NDArray[np.float32]:
    """Store positions in half the memory, each in the same cell as before."""
    single = values.astype(np.float32)
    raised = np.floor(single.astype(np.float64) + 0.5) > np.floor(values + 0.5)
    single[raised] = np.nextafter(single[raised], np.float32(-np.inf))
    return single
