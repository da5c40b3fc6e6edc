"""How much of a model's texture inside coarse cells to believe.

A model learns how soil moisture differs from cell to cell, and its map says how it differs inside a cell; the relation
may be weaker there, and noise of the predictors larger. How far it holds at a finer scale than it was learnt at can be
seen one step up, where the truth is known (the reduced scale of Wald, Ranchin and Mangolini 1997, Photogramm. Eng.
Remote Sens. 63, 691): cells are averaged to squares of 2 x 2, the model's predictions of held-out cells are corrected
to these, and what they add to a smooth interpolation is regressed on what is missing there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox

from zoo.correction.footprints import Field, Footprints
from zoo.correction.spline import Stencil, Surface, solved

Map = npt.NDArray[np.floating[Any]]

RATIO = 2
"""Cells along a side of the squares: the nearest scale to the cell's own."""
_BLOCK = 3
"""Cells along a side of the blocks whose sums are taken for independent."""
_CALIBRATED = 1.4
"""Spread of the estimate over independent white fields, of 12 x 12 to 20 x 20 cells, above what blocks say of it."""
_LEAST_PAIRS = 9
MOST_DAYS = 12
"""Days that an estimate rests on: cells of one place on many days say much the same."""


@dataclass(frozen=True, slots=True)
class Texture:
    """A weight of texture and what it rests on.

    Attributes
    ----------
    weight : to be used, 0 to 1: the estimate within these bounds
    estimate, error : slope of the regression and its standard error over blocks of 3 x 3 cells; NaN with too few cells
    cells : cells compared, each counted once
    """

    weight: float
    estimate: float
    error: float
    cells: int


def texture_weight(coarse: npt.ArrayLike, held_out: npt.ArrayLike) -> Texture:
    """Estimate how much of a model's texture to believe, one scale up.

    Parameters
    ----------
    coarse : (rows, columns) of the coarse cells, or (days, rows, columns), m3 m-3, NaN where unknown
    held_out : the same cells predicted by models that had not seen them

    Returns
    -------
    Weight 1 with fewer than 9 cells to compare: there is nothing that speaks against the model.
    """
    truth, said = (np.reshape(values, (-1, *np.shape(values)[-2:])).astype(np.float64) for values in (coarse, held_out))
    known = np.isfinite(truth) & np.isfinite(said)
    products, squares = np.zeros(truth.shape[1:]), np.zeros(truth.shape[1:])
    for day, where in enumerate(known):
        one, other = (np.where(where, values[day], np.nan) for values in (truth, said))
        for shift in np.ndindex(RATIO, RATIO):
            detail, texture = (values - _smooth_of(values, shift) for values in (one, other))
            products += np.nan_to_num(detail * texture)
            squares += np.nan_to_num(texture**2)
    compared = int((squares > 0).sum())
    total = float(squares.sum())
    if compared < _LEAST_PAIRS or total <= 0:
        return Texture(1.0, float("nan"), float("nan"), compared)
    estimate = float(products.sum() / total)
    blocks = _block_sums(products - estimate * squares)
    error = _CALIBRATED * float(np.sqrt((blocks**2).sum()) / total)
    return Texture(float(np.clip(estimate, 0.0, 1.0)), estimate, error, compared)


def texture_of_rows(
    cells: npt.NDArray[np.integer[Any]],
    days: npt.NDArray[Any] | None,
    target: npt.ArrayLike,
    held_out: npt.ArrayLike,
) -> Texture:
    """Estimate it from training rows: cells (n, 2) as row and column, their day, m3 m-3 and its prediction (n,).

    Of many days `MOST_DAYS` are taken, from first to last.
    """
    labels, day = np.unique(np.zeros(len(cells)) if days is None else days, return_inverse=True)
    taken = np.unique(np.linspace(0, len(labels) - 1, MOST_DAYS).round().astype(int))
    rows = np.isin(day, taken)
    place = (np.searchsorted(taken, day[rows]), *(cells[rows] - cells[rows].min(axis=0)).T)
    fields = np.full((2, *(along.max() + 1 for along in place)), np.nan)
    for field, values in zip(fields, (target, held_out), strict=True):
        field[place] = np.asarray(values)[rows]
    return texture_weight(*fields)


def weighted(fine: Map, footprints: Footprints, weight: float) -> Map:
    """Return a map (h, w) with a part of its differences inside cells; the cells' means stay."""
    smooth, level = _smooth_surface(fine, footprints)
    result = np.empty_like(fine)
    for strip in footprints.strips():
        base = smooth.at(strip) + level
        result[strip] = base + weight * (fine[strip] - base)
    return result


def _smooth_surface(fine: Map, footprints: Footprints) -> tuple[Surface, float]:
    """Fit the smooth field with a map's own means over cells, and the level to which it fades where there are none."""
    stencil, total, count = Stencil(footprints), np.zeros(footprints.cells), np.zeros(footprints.cells)
    for strip in footprints.strips():
        valid = np.isfinite(fine[strip])
        stencil.add(strip, valid)
        labels = footprints.labels(strip)[valid]
        total += footprints.total(labels, fine[strip][valid].astype(np.float64))
        count += footprints.total(labels)
    level = float(total.sum() / max(count.sum(), 1))
    means = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0) - level
    return Surface(footprints, solved(stencil.matrix(count), means, footprints.shape)), level


def _smooth_of(values: Field, shift: tuple[int, ...]) -> Field:
    """Smooth field with the means of `values` over squares of cells, the first of them shifted."""
    rows, columns = values.shape
    fine = GeoBox((rows, columns), Affine(1, 0, 0, 0, -1, 0), "EPSG:6933")
    coarse = GeoBox((1, 1), Affine(RATIO, 0, -shift[1], 0, -RATIO, shift[0]), "EPSG:6933")
    return np.asarray(weighted(values, Footprints.of(fine, coarse), 0.0), np.float64)


def _block_sums(values: Field) -> Field:
    rows, columns = (-(-size // _BLOCK) * _BLOCK for size in values.shape)
    padded = np.zeros((rows, columns))
    padded[: values.shape[0], : values.shape[1]] = values
    return np.asarray(padded.reshape(rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK).sum(axis=(1, 3)))
