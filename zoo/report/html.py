"""The report as a file: one HTML page that needs no network and no file beside it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from zoo import __version__
from zoo.report import style
from zoo.report.scores import Table
from zoo.writers.target import check_writable, failing, replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "Report", "Section", "render"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure with its caption, and `alt`: what it shows, for who cannot see it.

    `data` is the PNG that the page holds, `vector` the SVG that may lie beside it.
    """

    name: str
    data: bytes
    alt: str
    caption: str
    vector: bytes | None = None
    width: int | None = None

    @classmethod
    def of(cls, name: str, figure: Figure, alt: str, caption: str) -> Picture:
        """Draw a matplotlib figure, shown at its own size, 100 pixels an inch, where the page is wide enough."""
        width = round(100 * figure.get_figwidth())
        return cls(name, style.png(figure), alt, caption, style.svg(figure), width)

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

    @property
    def short(self) -> str:
        """What the list of sections calls it: a title without its explanation."""
        return self.title.partition(". ")[0]


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
    pictures_beside : also write every picture as `<stem>-<name>.png` and `.svg` in the same folder

    Raises
    ------
    UsageError
        If `path` is a folder.
    ZooError
        If the folder cannot be written to.
    """
    environment = Environment(
        loader=PackageLoader("zoo.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made = f"Made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by soil-moisture-zoo {__version__}"
    text = environment.get_template("report.html.j2").render(report=report, made=made)
    _replace(path, text.encode("utf-8"))
    if pictures_beside:
        for picture in (picture for section in report.sections for picture in section.pictures):
            _write_beside(path, picture)
    return path


def _write_beside(path: Path, picture: Picture) -> None:
    _replace(path.with_name(f"{path.stem}-{picture.name}.png"), picture.data)
    if picture.vector is not None:
        _replace(path.with_name(f"{path.stem}-{picture.name}.svg"), picture.vector)


def _replace(path: Path, data: bytes) -> None:
    """Write a file by renaming a finished one."""
    check_writable(path)
    with replacing(path) as temporary, failing(path):
        temporary.write_bytes(data)
