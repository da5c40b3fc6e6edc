"""Time series at stations: what was measured, what the coarse cell says, and what the map's pixel says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from zoo.maps import date_of
from zoo.matching.pairs import values_at
from zoo.report.style import COLOURS, FONT, INK, LINES, MARKERS, PALE, UNITS, plain, stamped, titled

__all__ = ["StationSeries", "series_panel", "station_series"]

IN_SITU = "in situ"
LONG = pd.Timedelta(days=10)
"""Measurements over a longer time are drawn as daily means."""


@dataclass(frozen=True, slots=True)
class StationSeries:
    """What is known of one place over time.

    Attributes
    ----------
    station : its name
    measured : values m3 m-3 by time (UTC), as measured
    lines : label -> values m3 m-3 by time (UTC): maps, the coarse field, and `in situ`, the mean of each day of a map
    """

    station: str
    measured: pd.Series[float]
    lines: Mapping[str, pd.Series[float]] = field(default_factory=dict)


def station_series(
    stations: pd.DataFrame, fields: Mapping[str, Sequence[xr.DataArray]], names: Sequence[str]
) -> list[StationSeries]:
    """Take the value of every field's pixel at stations, and the mean that the station measured that day.

    Parameters
    ----------
    stations : columns station, lon, lat, depth, time (UTC), sm
    fields : label -> fields (dims y, x; m3 m-3) that say their day, in any order
    names : stations, in the order wanted; those without a measurement are left out
    """
    found = []
    for name in names:
        own = stations[stations["station"] == name]
        if own.empty:
            continue
        lines = {label: _at(own, arrays) for label, arrays in fields.items()}
        days = sorted({time for line in lines.values() for time in line.index})
        lines[IN_SITU] = _daily(own, days)
        found.append(StationSeries(str(name), own.set_index("time")["sm"].sort_index(), lines))
    return found


def series_panel(series: Sequence[StationSeries], *, simulated: bool = False, columns: int = 1) -> Figure:
    """Draw a panel a station, all on the same axes: measurements in grey, and a line a label."""
    across = min(columns, max(1, len(series)))
    down = math.ceil(max(1, len(series)) / across)
    figure = Figure(figsize=(8.2 / across * across + 0.6, 2.3 * down + 0.8), layout="constrained")
    labels = list(dict.fromkeys(label for one in series for label in one.lines))
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for number, (axes, one) in enumerate(zip(panels, series, strict=False)):
        _draw_series(axes, one, labels)
        if number % across == 0:
            axes.set_ylabel(UNITS, **FONT)
    for axes in panels[len(series) :]:
        axes.set_visible(False)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(names) or 1, 4), fontsize=8, frameon=False)
    return stamped(figure, simulated)


def _draw_series(axes: Axes, one: StationSeries, labels: Sequence[str]) -> None:
    measured = one.measured.dropna()
    if len(measured) and measured.index[-1] - measured.index[0] > LONG:
        measured = measured.resample("1D").mean()
    axes.plot(_naive(measured.index), measured.to_numpy(), color=PALE, linewidth=1, zorder=1, label="measured")
    for number, label in enumerate(labels):
        line = one.lines.get(label, pd.Series(dtype=float)).dropna()
        style: dict[str, Any] = {"color": INK, "marker": "*"} if label == IN_SITU else _style(number)
        axes.plot(_naive(line.index), line.to_numpy(), markersize=7, linewidth=1.2, label=label, zorder=3, **style)
    titled(axes, one.station)
    locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    plain(axes)


def _style(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": LINES[number % len(LINES)],
    }


def _naive(index: pd.Index) -> pd.DatetimeIndex:
    """Return times in UTC without a zone, as matplotlib draws them."""
    times = pd.DatetimeIndex(pd.to_datetime(index, utc=True))
    return times.tz_localize(None)


def _at(own: pd.DataFrame, fields: Sequence[xr.DataArray]) -> pd.Series[float]:
    """Return the fields' values in the pixel of one station, at noon of their days."""
    values: dict[pd.Timestamp, float] = {}
    place = own.iloc[[0]]
    for array in fields:
        if (day := date_of(array.attrs)) is not None:
            noon = pd.Timestamp(day, tz="UTC") + pd.Timedelta(hours=12)
            values[noon] = float(values_at(array, place["lon"], place["lat"])[0])
    return pd.Series(values, dtype=float).sort_index()


def _daily(own: pd.DataFrame, days: Sequence[pd.Timestamp]) -> pd.Series[float]:
    means = own.groupby(own["time"].dt.floor("D"))["sm"].mean()
    return pd.Series({day: means.get(day.floor("D"), np.nan) for day in days}, dtype=float)
