"""Maps of a report: side by side on one colour scale, with scale bar and stations, and maps of the difference.

No window and no global state: every function returns a matplotlib `Figure` of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_reproject
from pyproj import Geod, Transformer

from zoo.grids import geobox_of
from zoo.report.style import FONT, INK, MISSING, UNITS, stamped, titled

__all__ = ["MOISTURE", "RESIDUAL", "colour_limits", "map_panel", "residual_panel"]

MOISTURE = "viridis_r"
"""Yellow is dry, dark blue wet; perceptually uniform, and read by the colour-blind."""
RESIDUAL = "BrBG"
"""Brown is too dry, blue-green too wet; diverging around white."""
LARGEST_SIDE = 900
"""Pixels of a map's longer side that are drawn; more are thinned out."""


def colour_limits(maps: Sequence[xr.DataArray], low: float = 0.02, high: float = 0.98) -> tuple[float, float]:
    """Return the lowest `low` and the highest `high` quantile of the maps: one scale that outliers do not set."""
    values = [array.to_numpy()[np.isfinite(array.to_numpy())] for array in maps]
    ends = [np.quantile(part, [low, high]) for part in values if part.size]
    if not ends:
        return 0.0, 1.0
    bottom, top = min(float(end[0]) for end in ends), max(float(end[1]) for end in ends)
    return (bottom, top) if top > bottom else (bottom - 0.01, top + 0.01)


def map_panel(
    maps: Mapping[str, xr.DataArray],
    *,
    stations: pd.DataFrame | None = None,
    limits: tuple[float, float] | None = None,
    simulated: bool = False,
    columns: int | None = None,
) -> Figure:
    """Draw maps of one place side by side on one colour scale.

    Parameters
    ----------
    maps : title -> dims (y, x), m3 m-3; drawn in the CRS and to the extent of the finest one
    stations : columns lon, lat and, to fill the markers by the same scale, sm (m3 m-3)
    limits : ends of the colour scale; `colour_limits` of the maps by default
    simulated : stamp the figure
    columns : panels in a row; 3, or 4 where that leaves fewer gaps
    """
    columns = columns or (4 if len(maps) in (4, 7, 8) else 3)
    ends = limits or colour_limits(list(maps.values()))
    frame = _frame(list(maps.values()))
    figure, panels, bar = _canvas(len(maps), columns, frame)
    for number, (axes, (title, array)) in enumerate(zip(panels, maps.items(), strict=True)):
        _draw_map(axes, array, frame, MOISTURE, ends)
        titled(axes, title)
        _draw_ticks(axes, frame, labels=number % min(columns, len(maps)) == 0)
        if stations is not None:
            _draw_stations(axes, stations, frame, ends)
        if number == 0:
            _draw_scale_bar(axes, frame)
    _draw_colour_bar(figure, bar, MOISTURE, ends, f"soil moisture, {UNITS} (grey: no value)")
    return stamped(figure, simulated)


def residual_panel(
    pairs: Mapping[str, tuple[xr.DataArray, xr.DataArray]], *, simulated: bool = False, columns: int = 3
) -> Figure:
    """Draw predicted minus reference side by side on one scale, zero in the middle of the colours; m3 m-3.

    Parameters
    ----------
    pairs : title -> (predicted, reference); the difference is on the predicted grid
    simulated : stamp the figure
    columns : panels in a row
    """
    differences = {title: _difference(*pair) for title, pair in pairs.items()}
    sizes = np.concatenate([np.abs(array.to_numpy()).ravel() for array in differences.values()])
    sizes = sizes[np.isfinite(sizes)]
    reach = float(np.quantile(sizes, 0.98)) if sizes.size and sizes.max() > 0 else 0.01
    frame = _frame(list(differences.values()))
    figure, panels, bar = _canvas(len(differences), columns, frame)
    for number, (axes, (title, array)) in enumerate(zip(panels, differences.items(), strict=True)):
        _draw_map(axes, array, frame, RESIDUAL, (-reach, reach))
        titled(axes, title)
        _draw_ticks(axes, frame, labels=number % min(columns, len(panels)) == 0)
        if number == 0:
            _draw_scale_bar(axes, frame)
    _draw_colour_bar(figure, bar, RESIDUAL, (-reach, reach), f"predicted - reference, {UNITS} (grey: no value)")
    return stamped(figure, simulated)


def _difference(predicted: xr.DataArray, reference: xr.DataArray) -> xr.DataArray:
    moved = xr_reproject(reference, geobox_of(predicted), resampling="nearest", dst_nodata=float("nan"))
    return predicted.copy(data=predicted.to_numpy() - moved.to_numpy())


@dataclass(frozen=True, slots=True)
class _Frame:
    """The rectangle that is drawn: a grid, and metres on the ground per unit of its CRS at the centre."""

    box: GeoBox
    west: float
    south: float
    east: float
    north: float
    metres_x: float
    metres_y: float

    @property
    def ratio(self) -> float:
        """Height over width on the ground."""
        return (self.north - self.south) * self.metres_y / ((self.east - self.west) * self.metres_x)


def _frame(maps: Sequence[xr.DataArray]) -> _Frame:
    """Frame the map with the smallest pixels."""
    box = min((geobox_of(array) for array in maps), key=_pixel_metres)
    bounds = box.boundingbox
    x, y = (bounds.left + bounds.right) / 2, (bounds.bottom + bounds.top) / 2
    metres_x, metres_y = _ground(box, x, y, bounds.span_x / 20, bounds.span_y / 20)
    return _Frame(box, bounds.left, bounds.bottom, bounds.right, bounds.top, metres_x, metres_y)


def _pixel_metres(box: GeoBox) -> float:
    x, y = box.affine * (box.shape.x / 2, box.shape.y / 2)
    step = abs(box.resolution.x)
    return step * _ground(box, x, y, step, step)[0]


def _ground(box: GeoBox, x: float, y: float, dx: float, dy: float) -> tuple[float, float]:
    """Metres on the ground (WGS84) per unit of the CRS, to the right and up, around a point."""
    to_degrees = Transformer.from_crs(str(box.crs), "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform([x - dx, x + dx, x, x], [y, y, y - dy, y + dy])
    geodesic = Geod(ellps="WGS84")
    along = geodesic.inv(lon[0], lat[0], lon[1], lat[1])[2]
    up = geodesic.inv(lon[2], lat[2], lon[3], lat[3])[2]
    return along / (2 * dx), up / (2 * dy)


def _canvas(count: int, columns: int, frame: _Frame) -> tuple[Figure, list[Axes], Axes]:
    """Make panels of the map's shape and a narrow axes on the right for the colour bar, sizes in inches."""
    across = min(columns, count)
    down = math.ceil(count / across)
    width = {1: 4.4, 2: 3.9, 3: 3.1}.get(across, 2.5)
    height = (width - 0.5) * min(max(frame.ratio, 0.4), 2.0)
    figure = Figure(figsize=(width * across + 1.7, (height + 0.55) * down + 0.5))
    figure.set_layout_engine("constrained", w_pad=0.12)
    grid = figure.add_gridspec(down, across + 1, width_ratios=[1.0] * across + [0.05])
    panels = [figure.add_subplot(grid[number // across, number % across]) for number in range(count)]
    return figure, panels, figure.add_subplot(grid[:, across])


def _draw_map(axes: Axes, array: xr.DataArray, frame: _Frame, colours: str, ends: tuple[float, float]) -> None:
    box = geobox_of(array)
    if box.crs != frame.box.crs:
        array = xr_reproject(array, frame.box, resampling="nearest", dst_nodata=float("nan"))
        box = frame.box
    step = max(1, math.ceil(max(box.shape.yx) / LARGEST_SIDE))
    bounds = box.boundingbox
    axes.set_facecolor(MISSING)
    axes.imshow(
        np.ma.masked_invalid(array.to_numpy()[::step, ::step]),
        extent=(bounds.left, bounds.right, bounds.bottom, bounds.top),
        cmap=colours,
        vmin=ends[0],
        vmax=ends[1],
        interpolation="nearest",
        origin="upper",
    )
    axes.set_xlim(frame.west, frame.east)
    axes.set_ylim(frame.south, frame.north)
    axes.set_aspect(frame.metres_y / frame.metres_x)


def _draw_ticks(axes: Axes, frame: _Frame, *, labels: bool) -> None:
    """Longitude and latitude along the lower and left edge."""
    to_degrees = Transformer.from_crs(str(frame.box.crs), "EPSG:4326", always_xy=True)
    lon, _ = to_degrees.transform([frame.west, frame.east], [frame.south, frame.south])
    _, lat = to_degrees.transform([frame.west, frame.west], [frame.south, frame.north])
    lons, lats = (_round_values(*ends) for ends in (lon, lat))
    x = to_degrees.transform(lons, [lat[0]] * len(lons), direction="INVERSE")[0]
    y = to_degrees.transform([lon[0]] * len(lats), lats, direction="INVERSE")[1]
    axes.set_xticks(x, [_degrees(value, "EW") for value in lons])
    axes.set_yticks(y, [_degrees(value, "NS") for value in lats] if labels else [""] * len(lats))
    axes.tick_params(labelsize=8, colors=INK)


def _round_values(low: float, high: float) -> list[float]:
    ticks = MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(value) for value in ticks if low <= value <= high]


def _degrees(value: float, letters: str) -> str:
    letter = letters[0] if value > 0 else letters[1] if value < 0 else ""
    return f"{abs(round(value, 4)):g}°{letter}"


def _draw_scale_bar(axes: Axes, frame: _Frame) -> None:
    """Draw a bar of a round number of kilometres and an arrow to the north."""
    width = (frame.east - frame.west) * frame.metres_x / 1000
    power = 10 ** math.floor(math.log10(width / 4))
    length = max(step * power for step in (1, 2, 5) if step * power <= width / 4 or step == 1)
    share = length / width
    halo = [withStroke(linewidth=3, foreground="white")]
    style: dict[str, Any] = {"color": INK, "transform": axes.transAxes, "zorder": 9, "path_effects": halo}
    axes.plot([0.05, 0.05 + share], [0.05, 0.05], linewidth=2.5, solid_capstyle="butt", **style)
    axes.text(0.05 + share / 2, 0.065, f"{length:g} km", ha="center", va="bottom", fontsize=8, **style)
    axes.annotate(
        "N", xy=(0.11 + share, 0.13), xytext=(0.11 + share, 0.03), xycoords="axes fraction",
        textcoords="axes fraction", ha="center", va="bottom", fontsize=8, color=INK, zorder=9, path_effects=halo,
        arrowprops={"arrowstyle": "-|>", "color": INK, "shrinkA": 0, "shrinkB": 0, "path_effects": halo},
    )  # fmt: skip


def _draw_stations(axes: Axes, stations: pd.DataFrame, frame: _Frame, ends: tuple[float, float]) -> None:
    to_map = Transformer.from_crs("EPSG:4326", str(frame.box.crs), always_xy=True)
    x, y = to_map.transform(stations["lon"].to_numpy(float), stations["lat"].to_numpy(float))
    if "sm" in stations:
        axes.scatter(x, y, s=44, c="white", linewidths=0, zorder=7)
        axes.scatter(
            x, y, s=20, c=stations["sm"], cmap=MOISTURE, vmin=ends[0], vmax=ends[1], edgecolors="black",
            linewidths=0.8, zorder=8,
        )  # fmt: skip
    else:
        axes.scatter(x, y, s=16, facecolors="none", edgecolors="white", linewidths=2.0, zorder=7)
        axes.scatter(x, y, s=16, facecolors="none", edgecolors="black", linewidths=0.9, zorder=8)


def _draw_colour_bar(figure: Figure, axes: Axes, colours: str, ends: tuple[float, float], label: str) -> None:
    bar = figure.colorbar(ScalarMappable(Normalize(*ends), colours), cax=axes, extend="both", extendfrac=0.02)
    bar.set_label(label, **FONT)
    bar.ax.tick_params(labelsize=8, colors=INK)
