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


@dataclass(frozen=True, slots=True)
class Texture:
    """A weight of texture and what it rests on.

    Attributes
    ----------
    weight : to be used, 0 to 1: one standard error below the estimate, since too much texture costs more than too
        little where the relation weakens further below the cell
    estimate, error : slope of the regression and its standard error over blocks of 3 x 3 cells; NaN with too few cells
    cells : cells compared
    """

    weight: float
    estimate: float
    error: float
    cells: int


def texture_weight(coarse: npt.ArrayLike, held_out: npt.ArrayLike) -> Texture:
    """Estimate how much of a model's texture to believe, one scale up.

    Parameters
    ----------
    coarse : (rows, columns) of the coarse cells, m3 m-3, NaN where unknown
    held_out : the same cells predicted by models that had not seen them

    Returns
    -------
    Weight 1 with fewer than 9 cells to compare: there is nothing that speaks against the model.
    """
    truth, said = np.asarray(coarse, np.float64), np.asarray(held_out, np.float64)
    known = np.isfinite(truth) & np.isfinite(said)
    truth, said = np.where(known, truth, np.nan), np.where(known, said, np.nan)
    products, squares = np.zeros(truth.shape), np.zeros(truth.shape)
    for shift in np.ndindex(RATIO, RATIO):
        detail, texture = (values - _smooth_of(values, shift) for values in (truth, said))
        products += np.nan_to_num(detail * texture)
        squares += np.nan_to_num(texture**2)
    compared = int((squares > 0).sum())
    total = float(squares.sum())
    if compared < _LEAST_PAIRS or total <= 0:
        return Texture(1.0, float("nan"), float("nan"), compared)
    estimate = float(products.sum() / total)
    blocks = _block_sums(products - estimate * squares)
    error = _CALIBRATED * float(np.sqrt((blocks**2).sum()) / total)
    return Texture(float(np.clip(estimate - error, 0.0, 1.0)), estimate, error, compared)


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
