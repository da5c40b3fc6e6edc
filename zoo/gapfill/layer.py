"""A layer of any size filled by DCT-PLS: as a whole, or in tiles that share their edges."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from zoo.gapfill.dct_pls import Field, Smooth, dct_pls

WHOLE = 2048 * 2048
"""Pixels of a layer that is solved as a whole: about ten float32 arrays of its size, 160 MB."""
TILE = 1024
"""Side of the tiles that a larger layer is cut into, pixels."""
OVERLAP = 128
"""By how much a tile reaches into its neighbours, pixels; across it one fades into the other."""
SAMPLE = 256
"""Side of the window by which the smoothing of a layer is chosen, pixels."""

Mask = npt.NDArray[np.bool_]


def fill_layer(
    layer: Field,
    land: Mask | None = None,
    *,
    s: float | None = None,
    robust: bool = False,
    whole: int = WHOLE,
    tile: int = TILE,
    overlap: int = OVERLAP,
) -> Field:
    """Fill the gaps of a layer; what was observed stays as it is.

    A layer of more than `whole` pixels is first smoothed on a grid so coarse that it fits, and the tiles, each with an
    overlap, are solved for what is left: so tiles agree inside gaps wider than they are.

    Parameters
    ----------
    layer : (h, w) float32, NaN in gaps
    land : (h, w), where gaps are filled and observations count; everywhere without it
    s : smoothing parameter; by generalised cross-validation without it, on a part of `SAMPLE` pixels' side
    robust : give outliers less weight
    whole, tile, overlap : limits, pixels

    Returns
    -------
    (h, w) float32; unchanged if nothing was observed.
    """
    where = np.ones(layer.shape, np.bool_) if land is None else land
    seen = np.isfinite(layer) & where
    gaps = where & ~np.isfinite(layer)
    if not gaps.any() or not seen.any():
        return layer.copy()
    observed = np.where(seen, layer, np.float32(np.nan))
    chosen = s if s is not None or layer.size <= SAMPLE**2 else _sampled(observed, robust=robust).s
    if layer.size <= whole:
        smooth = dct_pls(observed, s=chosen, robust=robust).values
    else:
        smooth = _tiled(observed, chosen, robust=robust, whole=whole, tile=tile, overlap=overlap)
    return np.where(gaps, smooth, layer)


def _sampled(observed: Field, *, robust: bool) -> Smooth:
    """Smooth the window of `SAMPLE` pixels' side that has most observations."""
    rows, columns = (max(1, size // SAMPLE) for size in observed.shape)
    parts = [
        observed[top * SAMPLE : (top + 1) * SAMPLE, left * SAMPLE : (left + 1) * SAMPLE]
        for top, left in product(range(rows), range(columns))
    ]
    return dct_pls(max(parts, key=lambda part: int(np.isfinite(part).sum())), robust=robust)


def _tiled(observed: Field, s: float | None, *, robust: bool, whole: int, tile: int, overlap: int) -> Field:
    """Smooth tile by tile around a coarse background; overlaps are blended linearly."""
    background = _background(observed, whole)
    total, weight = np.zeros_like(observed), np.zeros_like(observed)
    for window in tiles(observed.shape, tile, overlap):
        rest = observed[window] - background[window]
        part = dct_pls(rest, s=s, robust=robust).values if np.isfinite(rest).any() else np.zeros_like(rest)
        share = np.multiply.outer(*(ramp(side.stop - side.start, overlap) for side in window))
        total[window] += part * share
        weight[window] += share
    return background + total / weight


def _background(observed: Field, whole: int) -> Field:
    """Smooth the means of blocks, as small as `whole` allows, and interpolate between their centres."""
    size = int(np.ceil(np.sqrt(observed.size / whole))) * 8
    rows, columns = (-(-side // size) for side in observed.shape)
    row, column = (np.arange(side) // size for side in observed.shape)
    label = np.add.outer(row * columns, column).ravel()
    seen = np.isfinite(observed).ravel()
    count = np.bincount(label[seen], minlength=rows * columns)
    sums = np.bincount(label[seen], weights=observed.ravel()[seen], minlength=rows * columns)
    means = np.divide(sums, count, out=np.full(sums.shape, np.nan), where=count > 0).reshape(rows, columns)
    coarse = dct_pls(means).values
    places = np.meshgrid(*((np.arange(side) + 0.5) / size - 0.5 for side in observed.shape), indexing="ij", copy=False)
    return np.asarray(map_coordinates(coarse, places, order=1, mode="nearest", output=np.float32))


def tiles(shape: tuple[int, ...], tile: int, overlap: int) -> Iterator[tuple[slice, slice]]:
    """Cut a grid of `shape` (rows, columns) into windows of side `tile` that overlap."""
    step = tile - overlap
    for top, left in product(*(range(0, max(1, side - overlap), step) for side in shape)):
        yield slice(top, min(top + tile, shape[0])), slice(left, min(left + tile, shape[1]))


def ramp(size: int, overlap: int) -> Field:
    """Weight across a tile: rising over the overlap, 1, falling."""
    place = np.arange(size, dtype=np.float32) + 1
    return np.minimum(1, np.minimum(place, place[::-1]) / np.float32(overlap + 1))
