"""Maps of what a reader sees, for `zoo inspect --plot`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zoo.errors import UsageError
from zoo.grids import centres, geobox_of
from zoo.writers.target import failing, replacing

COLUMNS = 3
MOST_PANELS = 12
MARGIN = 2
"""Cells around the valid ones that are still drawn."""
MOST_PIXELS = 1000
"""Along a side; of larger fields every second, third ... row and column is drawn."""
MISSING = "0.9"


def draw_maps(fields: Sequence[tuple[str, xr.DataArray]], path: Path) -> int:
    """Write a PNG with one map a field; at most `MOST_PANELS` are drawn.

    Parameters
    ----------
    fields : title (product and day) and array
    path : a .png file; appears whole or not at all

    Returns
    -------
    The number of maps drawn.
    """
    if path.suffix.lower() != ".png" or path.is_dir():
        msg = f"--plot {path} is no PNG file; give a name that ends in .png"
        raise UsageError(msg)
    shown = list(fields)[:MOST_PANELS]
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(7.5 if columns == 1 else 5 * columns, 5 * rows), layout="compressed")
    FigureCanvasAgg(figure)
    for place, (title, field) in enumerate(shown, start=1):
        _draw(figure.add_subplot(rows, columns, place), title, _around_valid(field))
    _save(figure, path)
    return len(shown)


def _draw(axes: Axes, title: str, field: xr.DataArray) -> None:
    colours, low, high, extend = _scale(field)
    x, y, labels, aspect = _axes_of(field)
    drawn = axes.pcolormesh(
        x,
        y,
        np.ma.masked_invalid(field.to_numpy()),
        shading="nearest",
        cmap=colours,
        vmin=low,
        vmax=high,
        rasterized=True,
    )
    axes.set_facecolor(MISSING)
    axes.set(title=title, xlabel=labels[0], ylabel=labels[1], aspect=aspect)
    axes.title.set_fontsize(10)
    bar = axes.figure.colorbar(drawn, ax=axes, extend=extend, shrink=0.8)
    bar.set_label(f"{str(field.name).replace('_', ' ')} ({_typeset(field.attrs['units'])})")


def _scale(field: xr.DataArray) -> tuple[Any, float, float, str]:
    """Colour map and limits: soil moisture from zero, pale dry to blue wet; else the central 96 %."""
    values = field.to_numpy()
    valid = values[np.isfinite(values)]
    if not valid.size:
        return mpl.colormaps["viridis"], 0.0, 1.0, "neither"
    low, high = (float(limit) for limit in np.quantile(valid, [0.02, 0.98]))
    if field.name == "soil_moisture":
        top = max(0.1, float(np.ceil(high * 10 - 1e-6)) / 10)
        return mpl.colormaps["YlGnBu"], 0.0, top, "max" if valid.max() > top else "neither"
    return mpl.colormaps["viridis"], low, high if high > low else low + 1, "both"


def _axes_of(field: xr.DataArray) -> tuple[Any, Any, tuple[str, str], float]:
    """Coordinates to draw on: degrees where rows and columns keep them, else the projection's kilometres."""
    box = geobox_of(field)
    lon, lat = centres(box)
    if lon.shape[0] == 1:
        aspect = 1 / max(0.2, float(np.cos(np.deg2rad((lat.min() + lat.max()) / 2))))
        return lon[0], lat[:, 0], ("longitude (degrees)", "latitude (degrees)"), aspect
    return field.x.to_numpy() / 1000, field.y.to_numpy() / 1000, ("x (km)", "y (km)"), 1.0


def _around_valid(field: xr.DataArray) -> xr.DataArray:
    """Cut to the valid cells and thin to what a picture can show."""
    valid = np.isfinite(field.to_numpy())
    if not valid.any():
        return field
    rows, columns = np.flatnonzero(valid.any(axis=1)), np.flatnonzero(valid.any(axis=0))
    part = field[
        max(0, rows[0] - MARGIN) : rows[-1] + 1 + MARGIN, max(0, columns[0] - MARGIN) : columns[-1] + 1 + MARGIN
    ]
    step = -(-max(part.shape) // MOST_PIXELS)
    return part[::step, ::step]


def _typeset(units: str) -> str:
    return {"m3 m-3": "m³ m⁻³", "m2 m-2": "m² m⁻²", "kg m-2": "kg m⁻²", "degree": "°"}.get(units, units)


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as unfinished, failing(path):
        figure.savefig(unfinished, dpi=150)
