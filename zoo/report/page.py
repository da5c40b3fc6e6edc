"""The report of one place: which figures and tables it has, in which order, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.report import figures
from zoo.report.html import Picture, Report, Section, render
from zoo.report.scatter import Scatter
from zoo.report.scores import Cell, Table, score_tables
from zoo.report.series import StationSeries
from zoo.types import Score

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from zoo.explain.importance import Importance
    from zoo.explain.response import Response

__all__ = ["Listening", "write_report"]


@dataclass(frozen=True, slots=True)
class Listening:
    """What models listen to, by the label of the model.

    Attributes
    ----------
    importances : growth of the error when a predictor is shuffled
    sample : the rows on which that was measured, in words
    responses : answer to each predictor
    """

    importances: Mapping[str, Sequence[Importance]] = field(default_factory=dict)
    sample: str = ""
    responses: Mapping[str, Sequence[Response]] = field(default_factory=dict)


def write_report(
    path: Path,
    *,
    maps: Mapping[str, xr.DataArray],
    more_maps: Mapping[str, Mapping[str, xr.DataArray]] | None = None,
    scatters: Sequence[Scatter] = (),
    series: Sequence[StationSeries] = (),
    scores: Sequence[Score] = (),
    labels: Mapping[str, str] | None = None,
    listening: Listening | None = None,
    provenance: Mapping[str, Any] | None = None,
    residuals: Mapping[str, tuple[xr.DataArray, xr.DataArray]] | None = None,
    stations: pd.DataFrame | None = None,
    simulated: bool = False,
    title: str = "Soil moisture, downscaled",
    summary: Sequence[str] = (),
    notes: Sequence[str] = (),
    pictures_beside: bool = False,
) -> Path:
    """Write the report of one scene.

    Parameters
    ----------
    path : .html file
    maps : title -> soil moisture of one place (dims y, x; m3 m-3)
    more_maps : name of a further figure -> its maps; all figures share one colour scale
    scatters : pairs behind the scores; the Taylor and target diagrams are made of them, too
    series : time series at stations
    scores : one table for each reference and split
    labels : estimator of the scores -> how it is called in the figures
    listening : importance of and response to predictors
    provenance : what it was made from, name -> value
    residuals : title -> (predicted, reference), drawn as a difference on one scale
    stations : columns lon, lat and perhaps sm, marked on the maps
    simulated : say so on top and on every figure
    summary : paragraphs below the title
    notes : remarks for the reader, below the scores
    pictures_beside : also write the figures as PNG and SVG
    """
    groups = {**({"Maps": maps} if maps else {}), **(more_maps or {})}
    named = [replace(score, estimator=(labels or {}).get(score.estimator, score.estimator)) for score in scores]
    sections = [
        Section("Summary", summary) if summary else None,
        _map_section(groups, stations, simulated) if groups else None,
        _score_section(named, notes) if named else None,
        _scatter_section(scatters, simulated) if scatters else None,
        _series_section(series, simulated) if series else None,
        _residual_section(residuals, simulated) if residuals else None,
        _listening_section(listening, simulated) if listening else None,
        _provenance_section(provenance) if provenance else None,
    ]
    report = Report(title, [section for section in sections if section is not None], simulated)
    return render(report, path, pictures_beside=pictures_beside)


def _map_section(
    groups: Mapping[str, Mapping[str, xr.DataArray]], stations: pd.DataFrame | None, simulated: bool
) -> Section:
    every = [array for maps in groups.values() for array in maps.values()]
    limits = figures.colour_limits(every)
    pictures = []
    for number, (name, maps) in enumerate(groups.items()):
        shown = figures.map_panel(maps, stations=stations, limits=limits, simulated=simulated)
        means = ", ".join(f"{title} {float(array.mean()):.3f}" for title, array in maps.items())
        alt = f"{name} of soil moisture: {', '.join(maps)}. Means in m3 m-3: {means}."
        marked = " Circles are stations, filled with what they measured." if stations is not None else ""
        caption = (
            f"{name}: soil moisture on one scale for all panels, {limits[0]:.3f} to {limits[1]:.3f} m³ m⁻³ (2-98 % "
            f"quantiles): yellow is dry, dark blue wet. North is up.{marked}"
        )
        pictures.append(Picture.of("maps" if number == 0 else f"maps-{number + 1}", shown, alt, caption))
    return Section("Maps", pictures=pictures)


def _score_section(scores: Sequence[Score], notes: Sequence[str]) -> Section:
    text = (
        "Errors are predicted minus reference. The word best marks the best figure of a column; where intervals "
        "overlap widely, the difference may be chance."
    )
    return Section("Scores", [text, *notes], tables=score_tables(scores))


def _scatter_section(scatters: Sequence[Scatter], simulated: bool) -> Section:
    names = "; ".join(f"{scatter.title} against {scatter.reference}" for scatter in scatters)
    pairs = Picture.of(
        "scatter",
        figures.scatter_panel(scatters, simulated=simulated),
        f"Scatter plots: {names}.",
        "Predicted against reference; the dashed line is 1:1. Large samples are drawn as counts.",
    )
    skill = Picture.of(
        "skill",
        figures.skill_diagrams(scatters, simulated=simulated),
        f"Taylor and target diagrams: {names}. The figures are those of the score tables.",
        "Left: the nearer to the star, the better; dotted circles are the centred error. Right: the nearer to the "
        "centre, the better; distance is the RMSE, up is too wet, right is too variable; within the dashed circle "
        "the error is smaller than the reference's own spread. All in units of the reference's standard deviation.",
    )
    return Section("Estimates against references", pictures=[pairs, skill])


def _series_section(series: Sequence[StationSeries], simulated: bool) -> Section:
    stations = ", ".join(one.station for one in series)
    lines = ", ".join(dict.fromkeys(label for one in series for label in one.lines))
    drawn = figures.series_panel(series, simulated=simulated)
    caption = (
        "Grey: every measurement (daily means where it is longer than ten days). Marks: the maps' pixel and the coarse "
        "cell in which the station stands, and the station's own mean of that day (in situ). Times are UTC."
    )
    picture = Picture.of("series", drawn, f"Time series at {stations}: {lines}.", caption)
    return Section("Time series at stations", pictures=[picture])


def _residual_section(residuals: Mapping[str, tuple[xr.DataArray, xr.DataArray]], simulated: bool) -> Section:
    drawn = figures.residual_panel(residuals, simulated=simulated)
    alt = f"Maps of the difference on one scale: {'; '.join(residuals)}."
    caption = "Predicted minus reference. Brown is too dry, blue-green too wet; one scale for all panels."
    return Section("Differences", pictures=[Picture.of("residuals", drawn, alt, caption)])


def _listening_section(listening: Listening, simulated: bool) -> Section:
    pictures = []
    if listening.importances:
        tops = "; ".join(
            f"{label}: {', '.join(item.predictor for item in sorted(items, key=lambda item: -item.increase)[:3])}"
            for label, items in listening.importances.items()
        )
        caption = (
            f"Growth of RMSE when a predictor is shuffled among {listening.sample}, with 95 % intervals that resample "
            "groups of rows. Predictors that say the same stand in for one another and each looks small."
        )
        drawn = figures.importance_panel(listening.importances, simulated=simulated)
        pictures.append(
            Picture.of("importance", drawn, f"Importance of predictors. The three largest: {tops}.", caption)
        )
    if listening.responses:
        names = ", ".join(dict.fromkeys(item.predictor for items in listening.responses.values() for item in items))
        caption = (
            "Mean answer of the compiled model when one predictor is changed in pixels of the map and the others stay "
            "as they are (partial dependence). The band holds 80 % of the pixels' own curves about their mean; ticks "
            "are the map's deciles; grey is beyond what training saw. It says what the model does, not what soil does."
        )
        drawn = figures.response_panel(listening.responses, simulated=simulated)
        pictures.append(Picture.of("response", drawn, f"Response of the model to {names}.", caption))
    return Section("What the models listen to", pictures=pictures)


def _provenance_section(provenance: Mapping[str, Any]) -> Section:
    rows = [[Cell(str(name)), Cell(_plain(value))] for name, value in provenance.items()]
    return Section(
        "Provenance", tables=[Table("What this report was made from", ["item", "value"], rows, numeric=False)]
    )


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple, set)) else str(value)
