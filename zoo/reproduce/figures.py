"""Figures 5 to 11 of the paper; where the data for one are missing, the reason stands in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from zoo.report import figures
from zoo.report.html import Picture
from zoo.report.scatter import Scatter
from zoo.report.series import station_series
from zoo.report.stations import at_stations
from zoo.reproduce import printed

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from zoo.reproduce.tables import Findings

__all__ = ["Drawn", "reproduced_figures"]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One figure, or why there is none."""

    number: int
    picture: Picture | None
    remarks: tuple[str, ...]
    problem: str = ""

    @property
    def title(self) -> str:
        """As in the paper."""
        return f"Figure {self.number}. {printed.FIGURES[self.number]}"


def reproduced_figures(found: Findings) -> list[Drawn]:
    """Draw all figures on one colour scale."""
    drawers: dict[int, Callable[[Findings, Any], Figure | None]] = {
        5: lambda found, style: _maps(found, "SMD-DBN", style, coarse=True),
        6: lambda found, style: _scatter(found, "SMD-DBN", style),
        7: _dates,
        8: _series,
        9: lambda found, style: _maps(found, "SMD-RF", style, coarse=False),
        10: lambda found, style: _scatter(found, "SMD-RF", style),
        11: _amsr2,
    }
    fields = [array for occasion in found.scenes.occasions if (array := occasion.coarse) is not None]
    fields += [array for key in found.maps if (array := found.map(*key)) is not None]
    style = {"limits": figures.colour_limits(fields), "simulated": found.scenes.simulated}
    return [_drawn(found, number, drawer(found, style)) for number, drawer in drawers.items()]


def _drawn(found: Findings, number: int, figure: Figure | None) -> Drawn:
    remarks = printed.REMARKS.get(f"figure {number}", ())
    if figure is None:
        needed = {8: "in situ", 6: "in situ", 10: "in situ", 11: "AMSR-2"}.get(number, "the dates")
        reasons = found.problems.get(needed) or "; ".join(found.scenes.problems) or "nothing to draw"
        return Drawn(number, None, remarks, f"Not drawn: {reasons}")
    title = printed.FIGURES[number]
    caption = f"Figure {number} of the paper, made anew: {title}."
    return Drawn(number, Picture.of(f"figure-{number}", figure, f"Figure {number}: {title}.", caption), remarks)


def _maps(found: Findings, model: str, style: dict[str, Any], *, coarse: bool) -> Figure | None:
    fine = found.map(model, printed.TRAINED_ON)
    if fine is None:
        return None
    original = found.scenes.training.coarse
    maps = {"(a) SMAP L4, 9 km": original, f"(b) {model}, 1 km": fine} if coarse else {f"{model}, 1 km": fine}
    measured = at_stations(found.scenes.stations, printed.TRAINED_ON, {}).rename(columns={"in_situ": "sm"})
    marked = measured.dropna(subset=["sm"])
    return figures.map_panel(maps, stations=marked if len(marked) else None, **style)  # type: ignore[arg-type]


def _scatter(found: Findings, model: str, style: dict[str, Any]) -> Figure | None:
    fine = found.map(model, printed.TRAINED_ON)
    if fine is None or found.scenes.stations is None:
        return None
    values = at_stations(
        found.scenes.stations, printed.TRAINED_ON, {"smap": found.scenes.training.coarse, "fine": fine}
    )
    pairs = [
        Scatter(f"(a) {model}", "SMAP L4 at the stations", values["smap"], values["fine"]),
        Scatter(f"(b) {model}", "SMN-SDR in situ", values["in_situ"], values["fine"]),
    ]
    return figures.scatter_panel(pairs, simulated=style["simulated"])


def _dates(found: Findings, style: dict[str, Any]) -> Figure | None:
    """Four originals above their four maps, with the letters of the paper."""
    originals: dict[str, xr.DataArray] = {}
    results: dict[str, xr.DataArray] = {}
    others = [occasion for occasion in found.scenes.occasions if occasion.day != printed.TRAINED_ON]
    letters = (("a", "b"), ("c", "d"), ("e", "f"), ("g", "h"))
    for occasion, (upper, lower) in zip(others, letters, strict=False):
        fine = found.map("SMD-DBN", occasion.day)
        day = f"{occasion.day:%d %b}"
        if occasion.coarse is not None:
            originals[f"({upper}) SMAP, {day}"] = occasion.coarse
        if fine is not None:
            results[f"({lower}) SMD-DBN, {day}"] = fine
    if not results:
        return None
    return figures.map_panel({**originals, **results}, columns=max(len(originals), len(results)), **style)


def _series(found: Findings, style: dict[str, Any]) -> Figure | None:
    if found.scenes.stations is None:
        return None
    coarse = [occasion.coarse for occasion in found.scenes.occasions if occasion.coarse is not None]
    fine = [array for one in found.scenes.occasions if (array := found.map("SMD-DBN", one.day)) is not None]
    stations = found.scenes.stations
    first, last = (pd.Timestamp(day, tz="UTC") for day in (printed.DATES[0], printed.DATES[-1]))
    near = stations[stations["time"].between(first, last + pd.Timedelta(days=1))]
    series = station_series(near, {"SMAP L4, 9 km": coarse, "SMD-DBN, 1 km": fine}, printed.STATIONS)
    return figures.series_panel(series, simulated=style["simulated"]) if series else None


def _amsr2(found: Findings, style: dict[str, Any]) -> Figure | None:
    fine = found.map("SMD-DBN (AMSR-2)", printed.TRAINED_ON)
    if fine is None or found.amsr2 is None:
        return None
    return figures.map_panel({"(a) AMSR-2": found.amsr2, "(b) SMD-DBN, 1 km": fine}, **style)
