"""Figures of what a model listens to: importance of its predictors, and how it responds to each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.explain.importance import Importance
from zoo.explain.response import Response
from zoo.report.style import COLOURS, FONT, INK, LINES, PALE, UNITS, plain, stamped, titled

__all__ = ["importance_panel", "response_panel"]


def importance_panel(importances: Mapping[str, Sequence[Importance]], *, simulated: bool = False) -> Figure:
    """Draw a panel a model: by how much RMSE grows when a predictor is shuffled, with 95 % intervals.

    Predictors stand in the order of the first model's importances.
    """
    first = next(iter(importances.values()), ())
    order = [item.predictor for item in sorted(first, key=lambda item: item.increase)]
    order += [item.predictor for items in importances.values() for item in items if item.predictor not in order]
    order = list(dict.fromkeys(order))
    count = max(1, len(importances))
    figure = Figure(figsize=(1.6 + 3.1 * count, 0.9 + 0.26 * max(4, len(order))), layout="constrained")
    panels = figure.subplots(1, count, sharex=True, sharey=True, squeeze=False)[0]
    for number, (axes, (title, items)) in enumerate(zip(panels, importances.items(), strict=False)):
        _draw_importances(axes, items, order, COLOURS[number % len(COLOURS)])
        titled(axes, title)
        axes.set_xlabel(f"increase of RMSE, {UNITS}", **FONT)
    return stamped(figure, simulated)


def response_panel(responses: Mapping[str, Sequence[Response]], *, simulated: bool = False, columns: int = 4) -> Figure:
    """Draw a panel a predictor: the mean answer of each model as that predictor alone is changed.

    The band holds 80 % of the pixels' own curves, each less its mean; ticks below are the map's deciles; grey is
    beyond what training saw.
    """
    names = list(dict.fromkeys(item.predictor for items in responses.values() for item in items))
    across = min(columns, max(1, len(names)))
    down = math.ceil(max(1, len(names)) / across)
    figure = Figure(figsize=(2.35 * across + 0.5, 2.0 * down + 0.7), layout="constrained")
    panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        for number, (label, items) in enumerate(responses.items()):
            for item in items:
                if item.predictor == name:
                    _draw_response(axes, item, label, number)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    for row in range(down):
        panels[row * across].set_ylabel(UNITS, **FONT)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(4, len(labels) or 1), fontsize=8.5, frameon=False
    )
    return stamped(figure, simulated)


def _draw_importances(axes: Axes, items: Sequence[Importance], order: Sequence[str], colour: str) -> None:
    by_name = {item.predictor: item for item in items}
    rows = [(place, by_name[name]) for place, name in enumerate(order) if name in by_name]
    places = [place for place, _ in rows]
    values = np.array([item.increase for _, item in rows])
    axes.barh(places, values, color=colour, height=0.65)
    ends = np.array([[item.ci_low, item.ci_high] for _, item in rows if item.ci_low is not None], dtype=float)
    if len(ends) == len(rows) and rows:
        axes.hlines(places, ends[:, 0], ends[:, 1], color=INK, linewidth=1.1)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(order)), list(order))
    plain(axes)


def _draw_response(axes: Axes, item: Response, label: str, number: int) -> None:
    colour = COLOURS[number % len(COLOURS)]
    axes.fill_between(item.values, item.low, item.high, color=colour, alpha=0.16, linewidth=0)
    axes.plot(item.values, item.mean, color=colour, linestyle=LINES[number % len(LINES)], linewidth=1.6, label=label)
    if number == 0:
        axes.plot(
            item.deciles, np.zeros(len(item.deciles)), "|", color=INK, markersize=7,
            transform=axes.get_xaxis_transform(), clip_on=False,
        )  # fmt: skip
        axes.set_xlabel(f"{item.predictor}" + (f", {item.units}" if item.units not in ("", "1") else ""), **FONT)
        axes.set_xlim(float(item.values[0]), float(item.values[-1]))
        plain(axes)
        for low, high in ((-np.inf, item.seen[0]), (item.seen[1], np.inf)):
            left, right = max(low, float(item.values[0])), min(high, float(item.values[-1]))
            if right > left:
                axes.axvspan(left, right, color=PALE, alpha=0.25, linewidth=0)
