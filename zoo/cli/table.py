"""`zoo table`: coarse cells of one or many days as the rows of a training table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli import options
from zoo.cli.output import JsonOption, Output, QuietOption
from zoo.cli.output import table as make_view
from zoo.cli.request import check_min_valid, layers_of, request_of

if TYPE_CHECKING:
    from zoo.inputs import Request
    from zoo.samples.cells import Cells
    from zoo.samples.table import Made

OutputOption = Annotated[Path, typer.Option("-o", "--output", help="Table to write, .parquet (or .csv).")]
DateOption = Annotated[
    list[str] | None,
    typer.Option("--date", metavar="YYYY-MM-DD", help="Day, UTC; may be repeated.", rich_help_panel=options.DATA),
]
DatesOption = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--dates",
        metavar="FROM TO",
        help="Every day from one to the other; days without data are passed over and named.",
        rich_help_panel=options.DATA,
    ),
]
StackOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--stack",
        help="Folder made by zoo stack, instead of granules; may be repeated.",
        rich_help_panel=options.DATA,
    ),
]

Days = list[tuple[str, "Callable[[], Cells]"]]


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("table")(table)


def table(
    output: OutputOption,
    site: options.SiteOption = None,
    sensor: options.SensorOption = None,
    data: options.DataOption = None,
    area: options.AreaOption = None,
    date: DateOption = None,
    dates: DatesOption = None,
    time: options.TimeOption = None,
    window: options.WindowOption = None,
    orbit: options.OrbitOption = None,
    quality: options.QualityOption = "recommended",
    variable: options.VariableOption = None,
    like: options.LikeOption = None,
    crs: options.CrsOption = None,
    resolution: options.ResolutionOption = None,
    stack: StackOption = None,
    layers: options.LayersOption = None,
    min_valid: Annotated[float, options.min_valid()] = 0.5,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the training table: one row a coarse cell and day, with predictors, soil moisture, place and valid shares.

    zoo train DOWNSCALER --table FILE takes it as it is; zoo screen FILE shows which predictors tell of soil moisture.
    """
    from zoo.errors import UsageError
    from zoo.samples.table import make_table
    from zoo.writers import check_writable
    from zoo.writers.target import check_suffix

    check_min_valid(min_valid)
    check_suffix(output, (".parquet", ".csv"))
    check_writable(output)
    sink = Output(as_json=as_json, quiet=quiet)
    features = layers_of(layers, site)
    if stack:
        if data or area or date or dates or site:
            msg = "--stack knows its place and day; leave out --data, --area, --date, --dates and --site"
            raise UsageError(msg)
        wanted = _of_stacks(stack, features, sensor)
    else:
        first = (date or [None])[0] if dates is None else dates[0]  # type: ignore[list-item]
        request = request_of(
            sensor=sensor, data=data, area=area, date=first, time=time, window=window, orbit=orbit,
            quality=quality, variable=variable, like=like, crs=crs, resolution=resolution, site=site,
        )  # fmt: skip
        wanted = _of_granules(request, _days(request, date, dates), features)
    _report(sink, make_table(wanted, features, output, min_valid=min_valid, skip=dates is not None))


def _days(request: Request, date: list[str] | None, dates: tuple[str, str] | None) -> list[str]:
    """List the days: those named, those between two, or the request's own."""
    from datetime import timedelta

    from zoo.errors import UsageError
    from zoo.granules import parse_date

    if date and dates:
        msg = "--date and --dates exclude one another; name days, or give the first and the last"
        raise UsageError(msg)
    if dates is None:
        named = [parse_date(text).isoformat() for text in date or ()]
        return list(dict.fromkeys(named)) or [request.selection.date.isoformat()]
    first, last = parse_date(dates[0]), parse_date(dates[1])
    if last < first:
        msg = f"--dates {dates[0]} {dates[1]} ends before it begins; give the earlier day first"
        raise UsageError(msg)
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]


def _of_granules(request: Request, days: list[str], features: tuple[str, ...]) -> Days:
    from zoo.granules import parse_date
    from zoo.samples.cells import read_cells

    def reading(day: str) -> Callable[[], Cells]:
        selection = replace(request.selection, date=parse_date(day))
        return lambda: read_cells(replace(request, selection=selection), features)

    return [(day, reading(day)) for day in days]


def _of_stacks(folders: list[Path], features: tuple[str, ...], sensor: str | None) -> Days:
    from zoo.errors import UsageError
    from zoo.samples.cells import stacked_cells
    from zoo.stack.record import StackRecord

    days = [StackRecord.read(folder).date.isoformat() for folder in folders]
    twice = sorted({day for day in days if days.count(day) > 1})
    if twice:
        msg = f"Several stacks are of {', '.join(twice)}; give one a day"
        raise UsageError(msg)

    def reading(folder: Path) -> Callable[[], Cells]:
        return lambda: stacked_cells(folder, features, sensor)

    return [(day, reading(folder)) for day, folder in zip(days, folders, strict=True)]


def _report(sink: Output, made: Made) -> None:
    record = made.record
    payload = {
        "artifacts": {"table": str(made.path)},
        "rows": sum(made.rows.values()),
        "complete": sum(made.complete.values()),
        "days": {
            day: {
                "rows": rows,
                "complete": made.complete[day],
                "dropped": record.datasets[day].dropped,
                "fingerprint": record.datasets[day].fingerprint,
            }
            for day, rows in made.rows.items()
        },
        "skipped": made.skipped,
        "features": [feature.name for feature in record.features],
        "sensor": record.sensor,
        "products": record.products,
        "fingerprint": record.fingerprint,
        "simulated": record.simulated,
    }
    rows = [(day, count, made.complete[day]) for day, count in made.rows.items()]
    title = f"{made.path}: {sum(made.rows.values())} rows" + (" (simulated)" if record.simulated else "")
    columns = ("day", "cells with soil moisture", "with every predictor")
    sink.result(payload, lambda console: console.print(make_view(title, columns, rows, right=columns[1:])))
    for day, reason in made.skipped.items():
        sink.note(f"Passed over {day}: {reason}")
    sink.note(f"Fingerprint {record.fingerprint}")
    sink.note(f"Next: zoo screen {made.path}; zoo train dbn --table {made.path}")
