"""Overlap of one grid's pixels with another's, exact on the plane of the source.

A target pixel is the quadrilateral of its four corners in the source's CRS. The integral of a raster f over it
is, by Green's theorem, the integral of F du around its edge, F(u, v) the integral of f down its column to v. An
edge that is cut wherever it enters another source pixel has F linear on each piece, so that the midpoint rule is
exact; neighbouring pixels share their edges, so that nothing is lost or counted twice between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox
from pyproj import Transformer

Floats = npt.NDArray[np.float64]

_SNAP = 1e-6
"""Source pixels: corners nearer than this to a pixel's edge lie on it (nested grids stay nested)."""
_LONGEST = 2**14
"""Source pixels: an edge longer than this crosses a break of the projection, and its pixels are not covered."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Weights that turn running sums down the source's columns into integrals over target pixels.

    Attributes
    ----------
    down, across : the edges between neighbours left and right (H, W + 1), and above and below (H + 1, W)
    area : of each target pixel, in source pixels, shape (H, W); NaN where it has no place in the source
    """

    down: _Edges
    across: _Edges
    area: Floats

    def integral(self, running: npt.NDArray[Any]) -> Floats:
        """Integrate over the target pixels.

        Parameters
        ----------
        running : sums down the columns of the source, from 0 at the top, shape (h + 1, w)

        Returns
        -------
        Integrals, shape (H, W), in values times source pixels; what lies outside the source counts as 0.
        """
        rows, columns = self.area.shape
        flat = running.ravel()
        down = self.down.integral(flat).reshape(rows, columns + 1)
        across = self.across.integral(flat).reshape(rows + 1, columns)
        return across[1:] + down[:, :-1] - across[:-1] - down[:, 1:]


@dataclass(frozen=True, slots=True)
class _Edges:
    """Edges cut into pieces: the place of each piece in the running sums, and the weights above and below it."""

    place: npt.NDArray[np.int64]
    width: int
    above: Floats
    below: Floats

    def integral(self, running: npt.NDArray[Any]) -> Floats:
        """F du along each edge."""
        before = np.einsum("ep,ep->e", self.above, running[self.place])
        after = np.einsum("ep,ep->e", self.below, running[self.place + self.width])
        summed: Floats = before + after
        return summed


def overlap(source: GeoBox, target: GeoBox) -> Overlap:
    """Intersect every pixel of `target` with the pixels of `source`; any CRS."""
    u, v = _corners(source, target)
    shape = source.shape.yx
    broken = ~(np.isfinite(u) & np.isfinite(v))
    area = _areas(np.where(broken, 0, u), np.where(broken, 0, v))
    lost = broken[:-1, :-1] | broken[:-1, 1:] | broken[1:, :-1] | broken[1:, 1:]
    down, torn_down = _cut(u[:-1], v[:-1], u[1:], v[1:], shape)
    across, torn_across = _cut(u[:, :-1], v[:, :-1], u[:, 1:], v[:, 1:], shape)
    lost |= torn_down[:, :-1] | torn_down[:, 1:] | torn_across[:-1] | torn_across[1:]
    area[lost | (area <= 0)] = np.nan
    return Overlap(down, across, area)


@lru_cache(maxsize=64)
def transformer(source: str, target: str) -> Transformer:
    """Return the transformation between two systems, x before y; making one takes milliseconds."""
    return Transformer.from_crs(source, target, always_xy=True)


def _corners(source: GeoBox, target: GeoBox) -> tuple[Floats, Floats]:
    """Column and row in the source of the corners of the target's pixels, each (H + 1, W + 1)."""
    rows, columns = target.shape.yx
    column, row = np.meshgrid(np.arange(columns + 1.0), np.arange(rows + 1.0))
    x, y = target.affine * (column, row)
    if target.crs != source.crs:
        x, y = transformer(str(target.crs), str(source.crs)).transform(x, y)
    u, v = ~source.affine * (np.where(np.isfinite(x), x, np.nan), np.where(np.isfinite(y), y, np.nan))
    return _snapped(u), _snapped(v)


def _snapped(place: Floats) -> Floats:
    whole = np.rint(place)
    return np.where(np.abs(place - whole) < _SNAP, whole, place)


def _areas(u: Floats, v: Floats) -> Floats:
    """Areas of the quadrilaterals between neighbouring corners, by their diagonals."""
    fall_u, fall_v = u[1:, 1:] - u[:-1, :-1], v[1:, 1:] - v[:-1, :-1]
    rise_u, rise_v = u[:-1, 1:] - u[1:, :-1], v[:-1, 1:] - v[1:, :-1]
    area: Floats = 0.5 * (rise_u * fall_v - rise_v * fall_u)
    return area


def _cut(
    u0: Floats, v0: Floats, u1: Floats, v1: Floats, shape: tuple[int, int]
) -> tuple[_Edges, npt.NDArray[np.bool_]]:
    """Cut edges at the source's pixels; and say which are no edges because the projection is torn there."""
    length = np.abs(u1 - u0) + np.abs(v1 - v0)
    torn = ~(length < _LONGEST)
    ends = [np.where(torn, 0, end).ravel() for end in (u0, v0, u1, v1)]
    u0, v0, u1, v1 = ends
    at = np.concatenate([np.zeros((u0.size, 1)), _crossings(u0, u1), _crossings(v0, v1), np.ones((u0.size, 1))], axis=1)
    at.sort(axis=1)
    step, middle = np.diff(at, axis=1), (at[:, 1:] + at[:, :-1]) / 2
    u = u0[:, None] + middle * (u1 - u0)[:, None]
    v = v0[:, None] + middle * (v1 - v0)[:, None]
    height, width = shape
    inside = (u >= 0) & (u < width) & (v > 0)
    weight = np.where(inside, step * (u1 - u0)[:, None], 0)
    column = np.where(inside, u, 0).astype(np.int64)
    v = np.clip(v, 0, height)
    row = np.minimum(v.astype(np.int64), height - 1)
    below = weight * (v - row)
    return _Edges(row * width + column, width, weight - below, below), torn


def _crossings(start: Floats, end: Floats) -> Floats:
    """Where, 0-1, each edge crosses whole numbers, shape (edges, most crossings); 1 where there is none left."""
    low, high = np.minimum(start, end), np.maximum(start, end)
    first = np.floor(low) + 1
    count = np.maximum(np.ceil(high) - first, 0)
    number = np.arange(int(count.max(initial=0)))[None]
    along = np.divide(
        first[:, None] + number - low[:, None],
        (high - low)[:, None],
        out=np.ones((start.size, number.size)),
        where=number < count[:, None],
    )
    backward = ((end < start) & (count > 0))[:, None] & (number < count[:, None])
    crossed: Floats = np.where(backward, 1 - along, along)
    return crossed
