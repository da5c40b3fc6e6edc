"""Scatter plots of a report: predicted against reference with the 1:1 line, as pairs or as their density."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from zoo.report.style import FONT, INK, UNITS, stamped, titled
from zoo.scores.metrics import pearson_r, rmse

__all__ = ["Scatter", "finite_pairs", "scatter_panel"]

COUNT = "cividis_r"
DENSE = 500
"""Pairs from which on a scatter plot shows density."""


@dataclass(frozen=True, slots=True)
class Scatter:
    """Pairs to plot: `title` names the estimator, `reference` what it is compared with; m3 m-3."""

    title: str
    reference: str
    observed: npt.ArrayLike
    predicted: npt.ArrayLike


def scatter_panel(scatters: Sequence[Scatter], *, simulated: bool = False, columns: int = 3) -> Figure:
    """Draw predicted against reference, one panel each, all on the same axes with the 1:1 line, R, RMSE and n.

    From 500 pairs on a panel shows how many pairs fall together instead of the pairs.
    """
    across = min(columns, max(1, len(scatters)))
    down = math.ceil(max(1, len(scatters)) / across)
    figure = Figure(figsize=(3.3 * across + 0.6, 3.4 * down + 0.5), layout="constrained")
    pairs = [finite_pairs(scatter) for scatter in scatters]
    ends = _common_ends(pairs)
    for number, (scatter, (observed, predicted)) in enumerate(zip(scatters, pairs, strict=True)):
        axes = figure.add_subplot(down, across, number + 1)
        _draw_pairs(figure, axes, observed, predicted, ends)
        titled(axes, scatter.title)
        axes.set_xlabel(f"{scatter.reference}, {UNITS}", **FONT)
        if number % across == 0:
            axes.set_ylabel(f"predicted, {UNITS}", **FONT)
        axes.tick_params(labelsize=8, colors=INK)
    return stamped(figure, simulated)


def finite_pairs(scatter: Scatter) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the pairs in which both values are known, each (n,) float64."""
    observed = np.asarray(scatter.observed, dtype=np.float64).ravel()
    predicted = np.asarray(scatter.predicted, dtype=np.float64).ravel()
    kept = np.isfinite(observed) & np.isfinite(predicted)
    return observed[kept], predicted[kept]


def _common_ends(pairs: Sequence[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]) -> tuple[float, float]:
    """Return the ends of both axes of all panels, a little beyond the values."""
    values = np.concatenate([part for pair in pairs for part in pair] or [np.zeros(0)])
    if values.size == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) or 0.01
    return low - room, high + room


def _draw_pairs(
    figure: Figure,
    axes: Axes,
    observed: npt.NDArray[np.float64],
    predicted: npt.NDArray[np.float64],
    ends: tuple[float, float],
) -> None:
    axes.plot(ends, ends, color=INK, linewidth=1, linestyle="--", zorder=1)
    if observed.size > DENSE:
        hexagons = axes.hexbin(
            observed, predicted, gridsize=40, extent=(*ends, *ends), mincnt=1, cmap=COUNT, norm=LogNorm(), zorder=2
        )
        bar = figure.colorbar(hexagons, ax=axes, shrink=0.7, pad=0.02)
        bar.set_label("pairs", fontsize=8, color=INK)
        bar.ax.tick_params(labelsize=7, colors=INK)
    else:
        axes.scatter(observed, predicted, s=18, facecolors="#2c7fb8", edgecolors="black", linewidths=0.4, zorder=2)
    r, error = pearson_r(observed, predicted), rmse(observed, predicted)
    lines = [f"R = {_figure(r, 3)}", f"RMSE = {_figure(error, 4)}", f"n = {observed.size:,}"]
    axes.text(
        0.04, 0.96, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=8.5, color=INK, zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2},
    )  # fmt: skip
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_aspect("equal")


def _figure(value: float | None, digits: int) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}"
