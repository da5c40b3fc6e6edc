"""Sites: a place with its days, products and stations under a name, shipped here or in a user's own TOML file."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.types import Area

__all__ = ["Network", "Site", "find_site", "read_site", "site_names"]

Longitude = Annotated[float, Field(ge=-180, le=180)]
Latitude = Annotated[float, Field(ge=-90, le=90)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(_Table):
    """A network of stations: depths of its probes (m), and the offset of its local time from UTC (hours)."""

    name: str
    depths: tuple[float, ...] = ()
    utc_offset_hours: float = 0.0


class Site(_Table):
    """A place and what is known of it.

    Attributes
    ----------
    name : what a user types after `--site`; the file's name
    title, source : for people
    area : west, south, east, north in degrees
    dates : days that matter here
    date : day that is taken if none is given; the first of `dates` without it
    sensor : coarse sensor that is taken if none is given
    products : catalogue short names of what belongs to the site, for people and for fetching
    prefer : layer -> product to take it from, where the data holds several that deliver it
    layers : predictors that are taken if none are given; None for the default set
    crs, resolution : target grid; None for EASE-Grid 2.0 at 1 km
    network, stations : stations by name, (longitude, latitude) in degrees
    """

    name: str = ""
    title: str
    source: str = ""
    area: tuple[Longitude, Latitude, Longitude, Latitude]
    dates: tuple[dt.date, ...] = ()
    date: dt.date | None = None
    sensor: str = "smap"
    products: tuple[str, ...] = ()
    prefer: dict[str, str] = {}
    layers: tuple[str, ...] | None = None
    crs: str | None = None
    resolution: Annotated[float, Field(gt=0)] | None = None
    network: Network | None = None
    stations: dict[str, tuple[Longitude, Latitude]] = {}

    @field_validator("area")
    @classmethod
    def _not_empty(cls, value: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        try:
            Area(*value)
        except UsageError as error:
            msg = "expected west, south, east, north in degrees, west < east and south < north"
            raise ValueError(msg) from error
        return value

    @model_validator(mode="after")
    def _grid_is_whole(self) -> Site:
        if (self.crs is None) != (self.resolution is None):
            msg = "crs and resolution go together"
            raise ValueError(msg)
        return self

    @property
    def day(self) -> dt.date | None:
        """The day that is taken if none is given."""
        return self.date or (self.dates[0] if self.dates else None)


def site_names() -> list[str]:
    """Return the names of the sites that are shipped."""
    return sorted(entry.name.removesuffix(".toml") for entry in files(__name__).iterdir() if _is_site(entry.name))


def find_site(text: str) -> Site:
    """Find a site by the name of a shipped one, or by the path of a TOML file.

    Raises
    ------
    UnknownNameError
        If it is neither.
    DataError
        If the file cannot be read.
    UsageError
        If it does not hold a site.
    """
    if text.endswith(".toml") or Path(text).parent != Path():
        return read_site(Path(text))
    if text not in site_names():
        kind, hint = "site", "Or give a TOML file: --site my-site.toml"
        raise UnknownNameError(kind, text, site_names(), hint)
    with as_file(files(__name__) / f"{text}.toml") as path:
        return read_site(path)


def read_site(path: Path) -> Site:
    """Read a site from a TOML file; see `find_site` for what it raises."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"--site {path} cannot be read ({error.strerror}); give a TOML file, or one of: {', '.join(site_names())}"
        raise DataError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"--site {path} is no TOML ({error}); expected for example: area = [115.5, 41.5, 116.5, 42.5]"
        raise UsageError(msg) from error
    try:
        return Site.model_validate({**content, "name": content.get("name", path.stem)})
    except ValidationError as error:
        msg = f"--site {path} is no site: {'; '.join(_problems(error))}; see the one shipped: shandian"
        raise UsageError(msg) from error


def _problems(error: ValidationError) -> Iterator[str]:
    for entry in error.errors():
        place = ".".join(str(part) for part in entry["loc"])
        yield f"{place}: {entry['msg']}" if place else str(entry["msg"])


def _is_site(name: str) -> bool:
    return name.endswith(".toml")
