"""Means of predictors over coarse cells, and how much they differ inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr
from odc.geo.geobox import GeoBox

from zoo.errors import DataError
from zoo.grids import as_array, geobox_of
from zoo.progress import track
from zoo.stack.area_mean import Window, area_moments, area_of, blocks, pixel_in_source, window_near
from zoo.stack.layers import WATER, Stack

Floats = npt.NDArray[np.float32]
FINE_SIDE = 512
"""Side of the fine windows that are held at once, pixels, roughly: bounds the memory."""


def coarse_means(
    stack: Stack,
    names: Sequence[str],
    coarse: GeoBox | xr.DataArray,
    *,
    min_valid: float = 0.5,
    water_mask: bool = True,
    max_water: float = 0.5,
) -> xr.Dataset:
    """Average layers over coarse cells, counting only valid fine pixels on land.

    Parameters
    ----------
    stack : fine predictors
    names : layers
    coarse : grid of the coarse field, or the field itself; any CRS
    min_valid : least share of a cell's area with valid land pixels; below it the mean is NaN
    water_mask : whether fine pixels with more than `max_water` open water are left out, if the stack knows them
    max_water : share of open water, 0-1

    Returns
    -------
    Dataset on the coarse grid: one variable (y, x) a layer, float32 in the layer's units; `valid_share`
    (layer, y, x), 0-1; `spread` (layer, y, x), standard deviation of the counted fine pixels within the cell, each
    in its layer's units; and `water` (y, x), the mean share of open water, if the stack has that layer.

    Raises
    ------
    DataError
        If a layer is missing, or has no valid pixel in any of the cells.
    """
    stack.check(names)
    box = geobox_of(coarse) if isinstance(coarse, xr.DataArray) else coarse
    wanted = [*names, WATER] if stack.water is not None and WATER not in names else list(names)
    means = np.full((len(wanted), *box.shape.yx), np.nan, np.float32)
    shares, spreads = np.zeros_like(means), np.full_like(means, np.nan)
    parts = list(blocks(box, _cells_at_once(stack.geobox, box)))
    for rows, columns in track(parts, "averaging onto the coarse cells"):
        found = _moments(stack, wanted, box[rows, columns], max_water if water_mask else None)
        means[:, rows, columns], shares[:, rows, columns], spreads[:, rows, columns] = found
    _check_any_valid(shares, wanted, box)
    for values in (means, spreads):
        values[shares < min_valid] = np.nan
    variables = {
        name: as_array(
            means[index],
            box,
            name,
            {"units": stack.units[name], "long_name": f"mean of {name} over valid pixels"},
        )
        for index, name in enumerate(wanted)
    }
    dataset = xr.Dataset(variables)
    about = {"units": "1", "long_name": "share of the cell's area with valid pixels"}
    dims = ("layer", *dataset[wanted[0]].dims)
    dataset["valid_share"] = (dims, shares[: len(names)], about)
    dataset["spread"] = (dims, spreads[: len(names)], {"long_name": "standard deviation within the cell"})
    return dataset.assign_coords(layer=list(names))


def _moments(
    stack: Stack, names: Sequence[str], cells: GeoBox, max_water: float | None
) -> tuple[Floats, Floats, Floats]:
    window = window_near(stack.geobox, area_of(cells))
    if window is None:
        shape = (len(names), *cells.shape.yx)
        nothing = np.full(shape, np.nan, np.float32)
        return nothing, np.zeros(shape, np.float32), nothing
    values = stack.read(window, names)
    if max_water is not None:
        _mask_water(stack, window, names, values, max_water)
    return area_moments(values, stack.geobox[window], cells)


def _mask_water(stack: Stack, window: Window, names: Sequence[str], values: Floats, max_water: float) -> None:
    water = stack.read_water(window)
    if water is not None:
        predictors = [index for index, name in enumerate(names) if name != WATER]
        values[np.ix_(predictors)] = np.where(water > max_water, np.nan, values[predictors])


def _cells_at_once(fine: GeoBox, coarse: GeoBox) -> int:
    """Side of a block of coarse cells that covers about `FINE_SIDE` fine pixels."""
    step_x, step_y = pixel_in_source(fine, coarse)
    width = max(abs(step_x).sum(), abs(step_y).sum())
    return max(1, int(FINE_SIDE // max(width, 1)))


def _check_any_valid(shares: Floats, names: Sequence[str], box: GeoBox) -> None:
    empty = [name for index, name in enumerate(names) if not shares[index].any() and name != WATER]
    if empty:
        msg = (
            f"The predictor {', '.join(empty)} has no valid pixel in any of the {box.shape.y} x {box.shape.x} coarse "
            "cells; check its area, date and quality masks, or leave it out"
        )
        raise DataError(msg)
