"""A stack whose gaps are filled: a new stack of temporary layers, and which pixels were filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from scipy.ndimage import distance_transform_edt

from zoo.errors import UsageError
from zoo.gapfill.dct_pls import Field
from zoo.gapfill.layer import Mask, fill_layer
from zoo.gapfill.series import fill_series
from zoo.gapfill.temporal import between
from zoo.gapfill.ways import WAYS, Dated, Way
from zoo.progress import task
from zoo.stack import Layer, Stack
from zoo.stack.opened import MAX_WATER


@dataclass(frozen=True, slots=True)
class FilledStack:
    """A stack without gaps, or with fewer.

    Attributes
    ----------
    stack : layers that had gaps are replaced by filled ones in temporary files, the others are as they were
    touched : (h, w), where any layer was filled
    pixels : filled pixels by layer
    """

    stack: Stack
    touched: Mask
    pixels: dict[str, int] = field(default_factory=dict)


def fill_stack(
    stack: Stack,
    names: Sequence[str],
    ways: Sequence[Way],
    folder: Path,
    *,
    day: date | None = None,
    series: Sequence[Dated] = (),
    reach: float | None = None,
    robust: bool = False,
) -> FilledStack:
    """Fill the gaps of predictors over land, one layer after the other; observed pixels stay as they are.

    Memory: some 50 bytes a pixel up to 4 million pixels (as many values of a series: 16 million), then 20.

    Parameters
    ----------
    stack : predictors, and water if there is any
    names : layers to fill
    ways : `temporal` takes values between those of other dates, linear in time; `dct-pls` penalised least squares in
        space, or in space and time if `series` is given and `temporal` is not. In this order, each for what is left
    folder : where filled layers are written; it has to outlive the stack returned
    day : of the stack, needed with `series`
    series : the same layers on other dates
    reach : pixels; `dct-pls` leaves gaps further from an observation as they are. No limit without it
    robust : let `dct-pls` give outliers less weight

    Raises
    ------
    UsageError
        If a way is unknown, `temporal` has no series, or the grids of a series differ.
    DataError
        If a layer is missing.
    """
    _check(stack, ways, day, series)
    land = _land(stack)
    touched = np.zeros(stack.geobox.shape.yx, np.bool_)
    layers, pixels = dict(stack.layers), {}
    with task("filling gaps", len(names)) as advance:
        for name in names:
            observed = stack.read(names=[name])[0]
            gaps = land & ~np.isfinite(observed)
            if gaps.any():
                values = _filled(name, observed, land, ways, day, series, reach, robust)
                new = gaps & np.isfinite(values)
                if new.any():
                    touched |= new
                    pixels[name] = int(new.sum())
                    layers[name] = _written(stack, stack.layers[name], values, folder)
            advance(1)
    return FilledStack(replace(stack, layers=layers), touched, pixels)


def _filled(
    name: str,
    observed: Field,
    land: Mask,
    ways: Sequence[Way],
    day: date | None,
    series: Sequence[Dated],
    reach: float | None,
    robust: bool,
) -> Field:
    """Fill one layer, way after way."""
    values = np.where(land, observed, np.float32(np.nan))
    others = [(other.day, other.stack.read(names=[name])[0]) for other in series if name in other.stack.layers]
    if "temporal" in ways and day is not None:
        values = np.where(np.isfinite(values), values, between([(day, values), *others], day))
        values[~land] = np.nan
    if "dct-pls" in ways:
        known = np.isfinite(values)
        if others and day is not None and "temporal" not in ways:
            values = fill_series([(day, values), *others], day, land, robust=robust)
        else:
            values = fill_layer(values, land, robust=robust)
        if reach is not None and known.any():
            values[distance_transform_edt(~known) > reach] = np.nan
    return np.where(np.isfinite(observed), observed, values)


def _land(stack: Stack) -> Mask:
    water = stack.read_water()
    return np.ones(stack.geobox.shape.yx, np.bool_) if water is None else ~(water > MAX_WATER)


def _written(stack: Stack, layer: Layer, values: npt.NDArray[np.float32], folder: Path) -> Layer:
    """Write a filled layer as a tiled GeoTIFF that says the same of its origin."""
    path = folder / f"{layer.name}.tif"
    box = stack.geobox
    with rasterio.open(
        path, "w", driver="GTiff", dtype="float32", count=1, height=box.shape.y, width=box.shape.x, nodata=np.nan,
        crs=str(box.crs), transform=box.affine, tiled=True, blockxsize=512, blockysize=512, bigtiff="if_safer",
    ) as file:  # fmt: skip
        file.write(values, 1)
    sources = layer.sources or (layer.path,)
    return replace(layer, path=path, address=str(path), band=1, geobox=box, sources=sources)


def _check(stack: Stack, ways: Sequence[Way], day: date | None, series: Sequence[Dated]) -> None:
    unknown = [way for way in ways if way not in WAYS]
    if unknown:
        msg = f"--missing {unknown[0]!r} is not known; expected {', '.join(WAYS)}"
        raise UsageError(msg)
    if "temporal" in ways and not series:
        msg = "--missing temporal needs the same layers on other dates; give --series DIR (or a date) once for each"
        raise UsageError(msg)
    if series and day is None:
        msg = "--series needs the day of the map; give --date"
        raise UsageError(msg)
    for other in series:
        if other.stack.geobox.shape != stack.geobox.shape or other.stack.geobox.crs != stack.geobox.crs:
            msg = f"The stack of {other.day} in --series lies on another grid; make it with the same --area and --like"
            raise UsageError(msg)
