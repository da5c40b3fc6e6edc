"""A look at a stack: every layer in a small panel of its own scale, the coarse field first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rasterio.enums import Resampling

from zoo.report import figures
from zoo.stack.sources import Layer, reading
from zoo.writers.target import failing, replacing

if TYPE_CHECKING:
    from zoo.stack.folder import StackFolder

LARGEST_SIDE = 400
"""Pixels of a layer's longer side that are drawn."""
COLUMNS = 5
_PANEL = 2.4
_MISSING = "#d9d9d9"
_MOISTURE = "viridis_r"
_COLOURS = {
    "dem": "terrain", "slope": "YlOrBr", "lst": "inferno", "lst_night": "inferno", "ndvi": "YlGn", "evi": "YlGn",
    "lai": "YlGn", "fpar": "YlGn", "wetness": "YlGnBu", "water": "Blues", "et": "YlGnBu",
    "aspect_sin": "twilight_shifted", "aspect_cos": "twilight_shifted",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    below: str
    values: npt.NDArray[np.float32]
    colours: str
    stretch: float = 1.0


def write_quicklook(made: StackFolder, path: Path) -> Path:
    """Draw the layers of a stack, and its coarse fields, as one PNG.

    Every panel has its own colour scale (2-98 % quantiles); grey is missing.
    """
    panels = [*_coarse_panels(made), *(_layer_panel(made, layer) for layer in made.stack.layers.values())]
    figure = _draw(panels, _title(made))
    with replacing(path) as temporary, failing(path):
        temporary.write_bytes(figures.png(figure))
    return path


def _coarse_panels(made: StackFolder) -> list[_Panel]:
    found = []
    for sensor, record in made.record.coarse.items():
        field, _ = made.twin(sensor)
        values = field.to_numpy()
        below = f"m$^3$ m$^{{-3}}$, {np.isfinite(values).mean():.0%} valid"
        stretch = abs(record.grid.transform[4] / record.grid.transform[0])
        found.append(_Panel(f"{record.products[0]}", below, values, _MOISTURE, stretch))
    return found


def _layer_panel(made: StackFolder, layer: Layer) -> _Panel:
    rows, columns = layer.geobox.shape.yx
    step = max(1.0, max(rows, columns) / LARGEST_SIDE)
    shape = max(1, round(rows / step)), max(1, round(columns / step))
    with reading(layer.address, layer.path) as source:
        stored = source.read(layer.band, out_shape=shape, masked=True, resampling=Resampling.nearest)
    values = stored.astype(np.float32).filled(np.nan)
    record = made.record.layers[layer.name]
    units = "" if layer.units in ("", "1") else f"{layer.units}, "
    below = f"{units}{np.isfinite(values).mean():.0%} valid; {', '.join(record.products)}"
    return _Panel(layer.name, below, values, _COLOURS.get(layer.name, "cividis"))


def _title(made: StackFolder) -> str:
    rows, columns = made.record.grid.shape
    west, south, east, north = made.record.area
    place = f"{west:g} to {east:g} E, {south:g} to {north:g} N"
    simulated = "  -  simulated data" if made.record.simulated else ""
    return f"Stack of {made.record.date}, {place}, {rows} x {columns} pixels{simulated}"


def _draw(panels: list[_Panel], title: str) -> Figure:
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    width, height = columns * _PANEL + 0.3, rows * (_PANEL + 0.35) + 0.5
    figure = Figure(figsize=(width, height), dpi=110)
    # Fixed places: laying out sixteen panels with their colour bars by constraint takes seconds.
    figure.subplots_adjust(
        left=0.1 / width, right=1 - 0.65 / width, bottom=0.25 / height, top=1 - 0.75 / height, wspace=0.42, hspace=0.24
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw_panel(figure, axes, panel)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    figure.suptitle(title, fontsize=10, fontweight="bold", y=1 - 0.15 / height, va="top")
    return figure


def _draw_panel(figure: Figure, axes: Axes, panel: _Panel) -> None:
    finite = panel.values[np.isfinite(panel.values)]
    low, high = np.quantile(finite, [0.02, 0.98]) if finite.size else (0.0, 1.0)
    if low == high:
        high = low + 1e-6
    axes.set_facecolor(_MISSING)
    drawn = axes.imshow(panel.values, cmap=panel.colours, aspect=panel.stretch, interpolation="nearest")
    drawn.set_clim(float(low), float(high))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(panel.title, fontsize=9, fontweight="bold", pad=3)
    axes.set_xlabel(panel.below, fontsize=6.5, labelpad=2)
    bar = figure.colorbar(drawn, cax=axes.inset_axes((1.03, 0.0, 0.05, 1.0)))
    bar.ax.tick_params(labelsize=6, length=2)
