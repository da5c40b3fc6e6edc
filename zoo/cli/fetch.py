"""`zoo fetch`: bring the granules that a place and a date need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli import options
from zoo.cli.output import JsonOption, Output, QuietOption, table
from zoo.cli.request import check_window, predictors_in

if TYPE_CHECKING:
    from rich.console import Console

    from zoo.fetch import FetchReport

CATALOGUE = "Choice"


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("fetch")(fetch)


def fetch(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WHAT",
            help="smap, amsr2, modis, landsat, dem. Default: all that training needs, with the sensor of --sensor.",
            show_default=False,
        ),
    ] = None,
    area: options.AreaOption = None,
    date: options.DateOption = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Folder to fetch into; the --data of other commands."),
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, help="Number of days from --date on.")] = 1,
    time: options.TimeOption = None,
    window: options.WindowOption = None,
    sensor: options.SensorOption = None,
    product: Annotated[
        list[str] | None,
        typer.Option(
            "--product",
            metavar="NAME[.VERSION]",
            help="A product in place of its group's default, e.g. MOD11A1 or SPL3SMP_E.006; may be repeated.",
            rich_help_panel=CATALOGUE,
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="a,b,c",
            help="Predictors that are needed. Default: the 14 of Cai et al. 2022.",
            rich_help_panel=CATALOGUE,
        ),
    ] = None,
    cloud: Annotated[
        float,
        typer.Option("--cloud", min=0, max=100, help="Most cloud over a Landsat day, %.", rich_help_panel=CATALOGUE),
    ] = 60.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List granules and bytes, fetch nothing.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fetch granules for a place and a date: SMAP, AMSR2 (LPRM) and MODIS from NASA, Landsat and DEM from a STAC.

    NASA's files need Earthdata Login, from ~/.netrc or EARTHDATA_USERNAME and EARTHDATA_PASSWORD, or EARTHDATA_TOKEN.
    What is there and verified is not fetched again; what broke off is resumed.
    """
    from zoo.errors import UsageError
    from zoo.fetch import fetch as run
    from zoo.granules import parse_date, parse_time, parse_window
    from zoo.types import Area
    from zoo.writers.target import check_folder

    missing = [flag for flag, value in (("--area W S E N", area), ("--date", date), ("--to DIR", to)) if not value]
    if area is None or date is None or to is None:
        msg = (
            f"zoo fetch needs {', '.join(missing)}, for example: "
            "zoo fetch modis --area 115.5 41.5 116.5 42.5 --date 2019-09-25 --to DOWNLOADS"
        )
        raise UsageError(msg)
    check_window(time, window)
    check_folder(to)
    output = Output(as_json=as_json, quiet=quiet)
    report = run(
        _products(what, product),
        Area(*area),
        parse_date(date),
        to,
        days=days,
        time=parse_time(time) if time else None,
        window=parse_window(window) if window else None,
        sensor=sensor or "smap",
        layers=_layers(features),
        cloud=cloud,
        dry_run=dry_run,
    )
    output.result(_payload(report), lambda console: _show(console, report))
    if not dry_run:
        place = f"--data {to} --area {report.plan.area} --date {report.plan.dates[0]}"
        output.note(f"Next: zoo train dbn {place}")


def _layers(features: str | None) -> tuple[str, ...]:
    """Return the predictors that `--features` names, those of the paper without it."""
    from zoo.errors import UnknownNameError
    from zoo.predictors import LAYERS, PAPER

    if features is None:
        return PAPER
    named = predictors_in(features, "--features")
    for name in named:
        if name not in LAYERS:
            kind = "predictor"
            raise UnknownNameError(kind, name, LAYERS)
    return named


def _products(what: list[str] | None, product: list[str] | None) -> list[str] | None:
    """Join groups and products; a product stands in place of its own group's default."""
    from zoo.fetch.catalogue import chosen

    if not product:
        return what or None
    groups = {row.group for row in chosen(product, (), "smap")}
    return [name for name in what or () if name.lower() not in groups] + product


def _payload(report: FetchReport) -> dict[str, Any]:
    local = dict(zip((file.place for file in report.plan.files), report.files, strict=True))
    return {
        "dry_run": report.dry_run,
        "area": list(report.plan.area.bounds),
        "dates": [day.isoformat() for day in report.plan.dates],
        "bytes": report.bytes,
        "total_bytes": report.plan.bytes,
        "skipped": report.skipped,
        "verified": report.verified,
        "granules": [
            {
                "product": granule.product,
                "id": granule.id,
                "start": granule.start and granule.start.isoformat(),
                "end": granule.end and granule.end.isoformat(),
                "files": [
                    {
                        "path": str(local[file.place]),
                        "url": file.url,
                        "bytes": file.size,
                        "exact": file.bytes is not None,
                    }
                    for file in granule.files
                ],
            }
            for granule in report.plan.granules
        ],
    }


def _show(console: Console, report: FetchReport) -> None:
    rows = [
        (
            granule.product,
            granule.id,
            f"{granule.start:%Y-%m-%d %H:%M}" if granule.start else "",
            len(granule.files),
            _amount(sum(file.size or 0 for file in granule.files)),
        )
        for granule in report.plan.granules
    ]
    title = f"{len(rows)} granules, {len(report.files)} files, {_amount(report.plan.bytes)}"
    console.print(table(title, ("product", "granule", "start", "files", "size"), rows, right=("files", "size")))
    if report.dry_run:
        console.print(f"{_amount(report.bytes)} to fetch; {report.skipped} files are there")
        return
    by_size = len(report.files) - report.verified
    console.print(
        f"{_amount(report.bytes)} fetched; {report.skipped} files were there; "
        f"{report.verified} verified by checksum, {by_size} by size"
    )


def _amount(count: int) -> str:
    """Write bytes for people, in powers of 1000."""
    if count < 1000:
        return f"{count} B"
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.95:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}"
