"""Options by which train and predict point at granules, a place and a day."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from zoo.inputs import Request

DATA = "Granules, place and day"

SensorOption = Annotated[
    str | None, typer.Option("--sensor", help="Coarse sensor, see: zoo plugins.", rich_help_panel=DATA)
]
DataOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        help="File or folder of granules; may be repeated. Default: the sample scene.",
        rich_help_panel=DATA,
    ),
]
AreaOption = Annotated[
    tuple[float, float, float, float] | None,
    typer.Option("--area", metavar="W S E N", help="Bounds in degrees.", rich_help_panel=DATA),
]
DateOption = Annotated[str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Day, UTC.", rich_help_panel=DATA)]
TimeOption = Annotated[
    str | None,
    typer.Option("--time", metavar="HH:MM", help="Time of day, UTC: the granule nearest to it.", rich_help_panel=DATA),
]
WindowOption = Annotated[
    str | None,
    typer.Option(
        "--window",
        metavar="3h",
        help="With --time: all granules in this width around it.",
        rich_help_panel=DATA,
    ),
]
OrbitOption = Annotated[
    str | None, typer.Option("--orbit", metavar="A|D", help="Ascending or descending.", rich_help_panel=DATA)
]
QualityOption = Annotated[
    str,
    typer.Option("--quality", metavar="recommended|all", help="Which retrievals to keep.", rich_help_panel=DATA),
]
VariableOption = Annotated[
    str | None,
    typer.Option("--variable", help="Another field of the sensor's product, e.g. sm_rootzone.", rich_help_panel=DATA),
]
LikeOption = Annotated[
    Path | None,
    typer.Option("--like", help="Raster whose grid to use instead of EASE-Grid 2.0 at 1 km.", rich_help_panel=DATA),
]
CrsOption = Annotated[str | None, typer.Option("--crs", help="Target CRS, with --resolution.", rich_help_panel=DATA)]
ResolutionOption = Annotated[
    float | None,
    typer.Option("--resolution", help="Target pixel size in units of --crs.", rich_help_panel=DATA),
]
SiteOption = Annotated[
    str | None,
    typer.Option(
        "--site",
        metavar="NAME|FILE",
        help="Site that gives area, sensor, day and grid where no option does: shandian, or a TOML file.",
        rich_help_panel=DATA,
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed; the same seed gives the same result.")]


def request(
    *,
    sensor: str | None,
    data: list[Path] | None,
    area: tuple[float, float, float, float] | None,
    date: str | None,
    time: str | None = None,
    window: str | None = None,
    orbit: str | None = None,
    quality: str = "recommended",
    variable: str | None = None,
    like: Path | None = None,
    crs: str | None = None,
    resolution: float | None = None,
    site: str | None = None,
) -> Request:
    """Make the request that the options describe; without `--data`, that of the sample scene.

    A site fills in what no option says.
    """
    from dataclasses import replace

    from zoo.errors import UsageError
    from zoo.granules import Selection, parse_date, parse_time, parse_window
    from zoo.inputs import Request, sample_request
    from zoo.types import Area

    if quality not in ("recommended", "all"):
        msg = f"--quality {quality!r} is not known; expected recommended or all"
        raise UsageError(msg)
    if orbit not in (None, "A", "D"):
        msg = f"--orbit {orbit!r} is not known; expected A (ascending) or D (descending)"
        raise UsageError(msg)
    if window and not time:
        msg = f"--window {window} needs --time HH:MM, around which it lies"
        raise UsageError(msg)
    if (crs is None) != (resolution is None):
        msg = "--crs and --resolution go together; give both, or neither for EASE-Grid 2.0 at 1 km"
        raise UsageError(msg)
    products: dict[str, str] = {}
    if site:
        from zoo.sites import find_site

        known = find_site(site)
        area, sensor, products = area or known.area, sensor or known.sensor, known.prefer
        date = date or (known.day.isoformat() if known.day else None)
        if like is None and crs is None:
            crs, resolution = known.crs, known.resolution
    if data and (area is None or date is None):
        missing = " and ".join(name for name, given in (("--area W S E N", area), ("--date", date)) if given is None)
        msg = f"--data needs {missing}, for example --area 115.5 41.5 116.5 42.5 --date 2019-09-25"
        raise UsageError(msg)
    box = Area(*area) if area else None
    base = sample_request(sensor or "smap") if not data else None
    selection = Selection(
        parse_date(date) if date else base.selection.date,  # type: ignore[union-attr]
        parse_time(time) if time else None,
        parse_window(window) if window else None,
        orbit,  # type: ignore[arg-type]
    )
    options = {
        "quality": quality, "variable": variable, "like": like, "crs": crs, "resolution": resolution,
        "products": products,
    }  # fmt: skip
    if base is not None:
        return replace(base, area=box or base.area, selection=selection, _files=[], **options)  # type: ignore[arg-type]
    return Request(tuple(data or ()), box, selection, sensor or "smap", **options)  # type: ignore[arg-type]


def layers(text: str | None, site: str | None) -> tuple[str, ...]:
    """Return the predictors that `--layers` names, else the site's, else the default set."""
    from zoo.errors import UsageError
    from zoo.predictors import PAPER
    from zoo.sites import find_site

    if text is not None:
        named = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        if not named:
            msg = f"--layers {text!r} names no layer; give for example --layers lst,ndvi,dem; see: zoo plugins"
            raise UsageError(msg)
        return named
    return (find_site(site).layers if site else None) or PAPER
