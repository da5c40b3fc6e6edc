"""Where a scene lies: its target grid, the finer grid that it is computed on, and sampling from there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyproj
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.warp import Resampling, reproject

from zoo.grids import ease2_geobox, target_geobox
from zoo.simulate.fields import Field
from zoo.types import Area

PARTS = 4
"""Base pixels along one side of a target pixel: 250 m."""
CELL = 9
"""Target pixels along one side of an M09 cell."""
_MARGIN = 2
"""M09 cells around the target grid."""


@dataclass(frozen=True, slots=True)
class Domain:
    """Grids of a scene.

    Attributes
    ----------
    area : as asked for
    day : of the scene, UTC
    statement : says that the data are simulated; goes into every file
    target : grid of the 1 km truth, EASE-Grid 2.0 M01, whole M09 cells
    base : 4 x 4 pixels a target pixel, two M09 cells wider on every side
    """

    area: Area
    day: date
    statement: str
    target: GeoBox
    base: GeoBox

    @classmethod
    def over(cls, area: Area, day: date, statement: str) -> Domain:
        """Lay the grids over an area."""
        target = target_geobox(area)
        rows, columns = target.shape.yx
        pad = _MARGIN * CELL
        affine = target.affine * Affine.translation(-pad, -pad) * Affine.scale(1 / PARTS)
        shape = (rows + 2 * pad) * PARTS, (columns + 2 * pad) * PARTS
        return cls(area, day, statement, target, GeoBox(shape, affine, target.crs))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the base grid."""
        rows, columns = self.base.shape.yx
        return rows, columns

    @property
    def spacing(self) -> tuple[float, float]:
        """Ground distance between rows and between columns of the base grid, metres.

        An equal-area cylinder standing on 30 degrees stretches the columns by cos 30 / cos lat and shrinks the
        rows by the same factor.
        """
        stretch = math.cos(math.radians(30)) / math.cos(math.radians((self.area.south + self.area.north) / 2))
        cell = self.base.affine.a
        return cell * stretch, cell / stretch

    def inside(self, size: int) -> tuple[slice, slice]:
        """Rows and columns of the target grid in an array whose pixels are `size` base pixels wide."""
        pad = _MARGIN * CELL * PARTS // size
        rows, columns = self.shape
        return slice(pad, rows // size - pad), slice(pad, columns // size - pad)

    def m09_origin(self) -> tuple[int, int]:
        """Row and column in the global M09 grid of the base grid's upper-left cell."""
        world = ease2_geobox("M09")
        column, row = ~world.affine * (self.base.affine.c, self.base.affine.f)
        return round(row), round(column)

    def average(self, values: Field, affine: Affine, shape: tuple[int, int], crs: str) -> Field:
        """Area mean of a base field in the pixels of another grid; NaN outside and where nothing is valid."""
        return self._onto(values, affine, shape, crs, Resampling.average)

    def interpolate(self, values: Field, affine: Affine, shape: tuple[int, int], crs: str) -> Field:
        """Bilinear values of base fields, (..., row, column), at the pixels of another grid; NaN outside."""
        return self._onto(values, affine, shape, crs, Resampling.bilinear)

    def _onto(self, values: Field, affine: Affine, shape: tuple[int, int], crs: str, how: Resampling) -> Field:
        result = np.full((*values.shape[:-2], *shape), np.nan, dtype=np.float32)
        with rasterio.Env(GDAL_NUM_THREADS="1"):
            reproject(
                np.ascontiguousarray(values, dtype=np.float32),
                result,
                src_transform=self.base.affine,
                src_crs="EPSG:6933",
                src_nodata=np.nan,
                dst_transform=affine,
                dst_crs=crs,
                dst_nodata=np.nan,
                init_dest_nodata=True,
                resampling=how,
            )
        return result

    def window(self, affine: Affine, shape: tuple[int, int], crs: str) -> tuple[slice, slice] | None:
        """Rows and columns of a larger grid that the base grid touches; None if it does not."""
        box = self.base.boundingbox
        to_crs = pyproj.Transformer.from_crs("EPSG:6933", crs, always_xy=True)
        west, south, east, north = to_crs.transform_bounds(box.left, box.bottom, box.right, box.top, densify_pts=21)
        (left, top), (right, bottom) = ~affine * (west, north), ~affine * (east, south)
        rows = slice(max(0, math.floor(top)), min(shape[0], math.ceil(bottom)))
        columns = slice(max(0, math.floor(left)), min(shape[1], math.ceil(right)))
        return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def strips(rows: int, size: int) -> Iterator[slice]:
    """Cut rows into strips of at most `size`."""
    for first in range(0, rows, size):
        yield slice(first, min(first + size, rows))
