"""Options that several commands share, each declared once; a command's own stand above it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

DATA = "Granules, place and day"
"""Panel of the help."""


def sensor(panel: str) -> Any:
    """Declare `--sensor` in a panel of the help."""
    return typer.Option("--sensor", help="Coarse sensor, see: zoo plugins.", rich_help_panel=panel)


def granules(panel: str, default: str = "") -> Any:
    """Declare `--data` in a panel of the help, with what is taken without it."""
    text = "File or folder of granules; may be repeated."
    return typer.Option("--data", help=f"{text} Default: {default}." if default else text, rich_help_panel=panel)


def area(panel: str) -> Any:
    """Declare `--area` in a panel of the help."""
    return typer.Option("--area", metavar="W S E N", help="Bounds in degrees.", rich_help_panel=panel)


def date(panel: str | None = None) -> Any:
    """Declare `--date`, one day, in a panel of the help."""
    return typer.Option("--date", metavar="YYYY-MM-DD", help="Day, UTC.", rich_help_panel=panel)


def min_valid(panel: str | None = None) -> Any:
    """Declare `--min-valid` in a panel of the help."""
    return typer.Option("--min-valid", help="Least valid share of a coarse cell.", rich_help_panel=panel)


def weights(panel: str) -> Any:
    """Declare `--weights` in a panel of the help."""
    return typer.Option(
        "--weights",
        metavar="none|homogeneity",
        help="Rows count alike, or the more the less predictors differ inside their cell.",
        rich_help_panel=panel,
    )


def outliers(panel: str) -> Any:
    """Declare `--outliers` in a panel of the help."""
    return typer.Option(
        "--outliers",
        metavar="K",
        help="Leave out training rows that a ridge regression on others misses by more than K robust standard "
        "deviations, e.g. 4. Held-out rows are all scored.",
        rich_help_panel=panel,
        show_default=False,
    )


def observed(panel: str) -> Any:
    """Declare `--observed` in a panel of the help."""
    return typer.Option("--observed", help="Column.", rich_help_panel=panel)


SiteOption = Annotated[
    str | None,
    typer.Option(
        "--site",
        metavar="NAME|FILE",
        help="Site that gives area, sensor, day and grid where no option does: shandian, or a TOML file.",
        rich_help_panel=DATA,
    ),
]
SensorOption = Annotated[str | None, sensor(DATA)]
DataOption = Annotated[list[Path] | None, granules(DATA, "the sample scene")]
AreaOption = Annotated[tuple[float, float, float, float] | None, area(DATA)]
DateOption = Annotated[str | None, date(DATA)]
TimeOption = Annotated[
    str | None,
    typer.Option("--time", metavar="HH:MM", help="Time of day, UTC: the granule nearest to it.", rich_help_panel=DATA),
]
WindowOption = Annotated[
    str | None,
    typer.Option(
        "--window", metavar="3h", help="With --time: all granules in this width around it.", rich_help_panel=DATA
    ),
]
OrbitOption = Annotated[
    str | None, typer.Option("--orbit", metavar="A|D", help="Ascending or descending.", rich_help_panel=DATA)
]
QualityOption = Annotated[
    str, typer.Option("--quality", metavar="recommended|all", help="Which retrievals to keep.", rich_help_panel=DATA)
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
    float | None, typer.Option("--resolution", help="Target pixel size in units of --crs.", rich_help_panel=DATA)
]
LayersOption = Annotated[
    str | None,
    typer.Option("--layers", metavar="a,b,c", help="Predictors. Default: the site's, or 14 of Cai et al. 2022."),
]

DepthOption = Annotated[
    tuple[float, float], typer.Option("--depth", metavar="TOP BOTTOM", help="Layer of the stations, metres.")
]
StationWindowOption = Annotated[
    str | None,
    typer.Option("--window", metavar="3h", help="With --time: the mean over this width. Default: over the day."),
]
SelectOption = Annotated[
    list[str] | None,
    typer.Option(
        "--select",
        metavar="KEY=VALUE",
        help="Of a reference's stations: flags=G,U, frozen=known, network=, station=, sensor=, several=, utc-offset=; "
        "may be repeated. See: zoo reference check",
    ),
]

SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed; the same seed gives the same result.")]
RegistryOption = Annotated[
    Path | None,
    typer.Option(
        "--registry",
        metavar="FILE",
        help="Registry file to read first and to write; default SMZOO_REGISTRY, then your own.",
        show_default=False,
    ),
]
