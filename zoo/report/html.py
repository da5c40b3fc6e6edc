"""The report: one HTML file that needs no network and no file beside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from zoo import __version__
from zoo.report import figures
from zoo.report.figures import Scatter
from zoo.report.scores import Cell, Table, score_tables
from zoo.types import Score
from zoo.writers.target import check_writable, failing, replacing

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["Picture", "Report", "Section", "render", "write_report"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure with its caption, and `alt`: what it shows, for who cannot see it."""

    name: str
    data: bytes
    alt: str
    caption: str

    @classmethod
    def of(cls, name: str, figure: Figure, alt: str, caption: str) -> Picture:
        """Draw a matplotlib figure."""
        return cls(name, figures.png(figure), alt, caption)

    @property
    def base64(self) -> str:
        """The PNG as text."""
        return base64.b64encode(self.data).decode("ascii")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report."""

    title: str
    paragraphs: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A report; `simulated` puts a notice on top."""

    title: str
    sections: Sequence[Section] = field(default_factory=list)
    simulated: bool = False


def render(report: Report, path: Path, *, pictures_beside: bool = False) -> Path:
    """Write a report to `path`, whole or not at all.

    Parameters
    ----------
    pictures_beside : also write every picture as `<stem>-<name>.png` in the same folder

    Raises
    ------
    UsageError
        If `path` is a folder.
    ZooError
        If the folder cannot be written to.
    """
    environment = Environment(
        loader=PackageLoader("zoo.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made = f"Made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by soil-moisture-zoo {__version__}"
    text = environment.get_template("report.html.j2").render(report=report, made=made)
    _replace(path, text.encode("utf-8"))
    if pictures_beside:
        for picture in (picture for section in report.sections for picture in section.pictures):
            _replace(path.with_name(f"{path.stem}-{picture.name}.png"), picture.data)
    return path


def write_report(
    path: Path,
    *,
    maps: Mapping[str, xr.DataArray],
    scatters: Sequence[Scatter] = (),
    scores: Sequence[Score] = (),
    provenance: Mapping[str, Any] | None = None,
    residuals: Mapping[str, tuple[xr.DataArray, xr.DataArray]] | None = None,
    stations: pd.DataFrame | None = None,
    simulated: bool = False,
    title: str = "Soil moisture, downscaled",
    summary: Sequence[str] = (),
    pictures_beside: bool = False,
) -> Path:
    """Write the report of one scene.

    Parameters
    ----------
    path : .html file
    maps : title -> soil moisture of one place (dims y, x; m3 m-3), drawn on one colour scale
    scatters : pairs behind the scores
    scores : one table for each reference and split
    provenance : what it was made from, name -> value
    residuals : title -> (predicted, reference), drawn as a difference
    stations : columns lon, lat and perhaps sm, marked on the maps
    simulated : say so on top and on every figure
    summary : paragraphs below the title
    pictures_beside : also write the figures as PNG
    """
    sections = [
        Section("Summary", summary) if summary else None,
        _map_section(maps, stations, simulated) if maps else None,
        _score_section(scores) if scores else None,
        _scatter_section(scatters, simulated) if scatters else None,
        _residual_section(residuals, simulated) if residuals else None,
        _provenance_section(provenance) if provenance else None,
    ]
    report = Report(title, [section for section in sections if section is not None], simulated)
    return render(report, path, pictures_beside=pictures_beside)


def _map_section(maps: Mapping[str, xr.DataArray], stations: pd.DataFrame | None, simulated: bool) -> Section:
    low, high = figures.colour_limits(list(maps.values()))
    drawn = figures.map_panel(maps, stations=stations, limits=(low, high), simulated=simulated)
    means = ", ".join(f"{title} {float(array.mean()):.3f}" for title, array in maps.items())
    alt = f"Maps of soil moisture: {', '.join(maps)}. Means in m3 m-3: {means}."
    marked = " Circles are stations, filled with what they measured." if stations is not None else ""
    caption = (
        f"Soil moisture on one scale, {low:.3f} to {high:.3f} m³ m⁻³ (2-98 % quantiles): yellow is dry, dark blue wet. "
        f"North is up.{marked}"
    )
    return Section("Maps", pictures=[Picture.of("maps", drawn, alt, caption)])


def _score_section(scores: Sequence[Score]) -> Section:
    text = (
        "Errors are predicted minus reference. The word best marks the best figure of a column; where intervals "
        "overlap widely, the difference may be chance."
    )
    return Section("Scores", [text], tables=score_tables(scores))


def _scatter_section(scatters: Sequence[Scatter], simulated: bool) -> Section:
    drawn = figures.scatter_panel(scatters, simulated=simulated)
    names = "; ".join(f"{scatter.title} against {scatter.reference}" for scatter in scatters)
    caption = "Predicted against reference; the dashed line is 1:1. Large samples are drawn as counts."
    return Section("Scatter plots", pictures=[Picture.of("scatter", drawn, f"Scatter plots: {names}.", caption)])


def _residual_section(residuals: Mapping[str, tuple[xr.DataArray, xr.DataArray]], simulated: bool) -> Section:
    pictures = []
    for number, (title, (predicted, reference)) in enumerate(residuals.items(), start=1):
        drawn = figures.residual_map(predicted, reference, title=title, simulated=simulated)
        alt = f"Map of the difference: {title}."
        caption = f"{title}: predicted minus reference. Brown is too dry, blue-green too wet."
        pictures.append(Picture.of(f"residual-{number}", drawn, alt, caption))
    return Section("Differences", pictures=pictures)


def _provenance_section(provenance: Mapping[str, Any]) -> Section:
    rows = [[Cell(str(name)), Cell(_plain(value))] for name, value in provenance.items()]
    return Section(
        "Provenance", tables=[Table("What this report was made from", ["item", "value"], rows, numeric=False)]
    )


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple, set)) else str(value)


def _replace(path: Path, data: bytes) -> None:
    """Write a file by renaming a finished one."""
    check_writable(path)
    with replacing(path) as temporary, failing(path):
        temporary.write_bytes(data)
