"""`zoo reference`: what is in a reference, and what was dropped, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.output import JsonOption, Output, QuietOption, table

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from zoo.matching.reference_check import Day, ReferenceCheck

Reference = Annotated[
    Path,
    typer.Argument(
        metavar="ARCHIVE",
        help="ISMN zip, folder or .stm file; SMN-SDR csv or folder; table of stations.",
        show_default=False,
    ),
]
ReaderOption = Annotated[
    str | None, typer.Option("--reader", help="ismn, smn-sdr, table or a plugin's. Default: found from the data.")
]
NetworkOption = Annotated[
    list[str] | None, typer.Option("--network", help="Name or pattern such as 'SMOS*'; may be repeated.")
]
StationsOption = Annotated[
    list[str] | None, typer.Option("--station", "--stations", help="Names or patterns, also as A,B,C; may be repeated.")
]
SensorsOption = Annotated[list[str] | None, typer.Option("--sensor", help="Sensor's name or pattern; may be repeated.")]
DepthOption = Annotated[
    tuple[float, float] | None,
    typer.Option("--depth", metavar="TOP BOTTOM", help="Layer, metres, that must enclose a sensor. Default: all."),
]
AreaOption = Annotated[
    tuple[float, float, float, float] | None,
    typer.Option("--area", metavar="W S E N", help="Bounds in degrees. Default: all."),
]
FirstOption = Annotated[str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="First day, UTC.")]
LastOption = Annotated[str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day, UTC.")]
FlagsOption = Annotated[
    str, typer.Option("--flags", help="ISMN quality flags to keep: G, G,U (files before about 2014) or all.")
]
FrozenOption = Annotated[
    str,
    typer.Option(
        "--frozen", help="mask: leave out frozen and undetermined soil; known: only what is known to be frozen; keep."
    ),
]
SeveralOption = Annotated[
    str, typer.Option("--several", help="Sensors of a station at one depth: mean, longest or apart.")
]
OffsetOption = Annotated[
    float | None,
    typer.Option("--utc-offset", metavar="HOURS", help="Of times without offset, 8 for UTC+8. Default: the reader's."),
]

reference = typer.Typer(help="See what is in a reference, and what was dropped, and why.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Attach the commands."""
    app.add_typer(reference, name="reference")


@reference.command("list")
def list_sensors(
    archive: Reference,
    reader: ReaderOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List every sensor or station: place, depth, first and last measurement."""
    from zoo.matching.references import list_reference

    sink = Output(as_json=as_json, quiet=quiet)
    listed = list_reference(archive, reader=reader)
    sink.result(
        {"archive": str(archive), "sensors": _records(listed)},
        lambda console: _show_list(console, archive, listed),
    )


@reference.command("check")
def check(
    archive: Reference,
    dates: Annotated[
        list[str] | None,
        typer.Option("--date", metavar="YYYY-MM-DD", help="Summarise this day, UTC; may be repeated."),
    ] = None,
    stations: StationsOption = None,
    network: NetworkOption = None,
    sensor: SensorsOption = None,
    depth: DepthOption = None,
    area: AreaOption = None,
    first: FirstOption = None,
    last: LastOption = None,
    flags: FlagsOption = "G",
    frozen: FrozenOption = "mask",
    several: SeveralOption = "mean",
    utc_offset: OffsetOption = None,
    reader: ReaderOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Count what would be used and what not, and why; with dates, what the network says on them."""
    from zoo.granules import parse_date
    from zoo.matching.reference_check import check_reference
    from zoo.types import Area

    sink = Output(as_json=as_json, quiet=quiet)
    selection = selection_of(
        network, stations, sensor, depth, first, last, flags=flags, frozen=frozen, several=several, offset=utc_offset
    )
    done = check_reference(
        archive,
        dates=[parse_date(text) for text in dates or ()],
        reader=reader,
        area=Area(*area) if area else None,
        **selection,
    )
    sink.result(_payload(archive, done, frozen), lambda console: _show_check(console, archive, done, bool(stations)))


def selection_of(
    networks: Sequence[str] | None,
    stations: Sequence[str] | None,
    sensors: Sequence[str] | None,
    depth: tuple[float, float] | None,
    first: str | None,
    last: str | None,
    *,
    flags: str,
    frozen: str,
    several: str,
    offset: float | None,
) -> dict[str, Any]:
    """Turn options into keywords of `StationSelection`; days include the last one."""
    from datetime import UTC, date, datetime

    from zoo.granules import Selection, parse_date

    period = None
    if first or last:
        start = Selection(parse_date(first, "--from") if first else date.min).start
        end = (
            Selection(parse_date(last, "--to")).start + timedelta(days=1) if last else datetime.max.replace(tzinfo=UTC)
        )
        period = start, end
    return {
        "networks": _split(networks),
        "stations": _split(stations),
        "sensors": tuple(sensors or ()),
        "depth": depth,
        "period": period,
        "flags": tuple(flag.strip() for flag in flags.split(",") if flag.strip()),
        "frozen": frozen,
        "several": several,
        "utc_offset": offset,
    }


def _split(names: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(part.strip() for name in names or () for part in name.split(",") if part.strip())


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows for JSON: null for missing, times as ISO 8601."""
    return [{str(key): _plain(value) for key, value in row.items()} for row in rows.to_dict("records")]


def _plain(value: Any) -> Any:
    if value != value:  # NaN and NaT
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def _show_list(console: Console, archive: Path, listed: pd.DataFrame) -> None:
    shown = listed.copy()
    for name in ("first", "last"):
        shown[name] = shown[name].dt.strftime("%Y-%m-%d").fillna("")
    if "network" in shown:
        shown["station"] = shown.pop("network") + "/" + shown["station"]
        shown["depth, m"] = [
            "by row" if top != top else f"{top:g}-{bottom:g}"
            for top, bottom in zip(shown.pop("depth_from"), shown.pop("depth_to"), strict=True)
        ]
        shown = shown[["station", "variable", "depth, m", "sensor", "lon", "lat", "first", "last", "lines"]]
    rows = [[_cell(value) for value in row] for row in shown.itertuples(index=False)]
    layouts = f" ({', '.join(sorted(set(listed['layout'])))})" if "layout" in listed else ""
    what = "files" if "variable" in listed else "stations"
    title = f"{archive.name}: {len(listed)} {what}{layouts}, times UTC"
    console.print(table(title, [str(name) for name in shown], rows, right=["lon", "lat", "lines", "rows", "depth"]))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else str(value)


def _payload(archive: Path, done: ReferenceCheck, frozen: str) -> dict[str, Any]:
    return {
        "archive": str(archive),
        "reader": done.reader,
        "stations": done.stations,
        "rows": done.rows,
        "frozen": frozen,
        "frozen_soil_judged": done.judged,
        "dropped": dict(done.dropped),
        "sensors": dict(done.sensors),
        "flags": dict(done.flags),
        "undetermined_stations": done.undetermined,
        "remarks": list(done.remarks),
        "suspects": {name: {"max": top, "rows_above_0.6": n} for name, (top, n) in done.suspects.items()},
        "days": [
            {
                "date": day.date.isoformat(),
                "masked": dict(day.masked),
                "unmasked": dict(day.unmasked),
                "frozen_stations": day.frozen,
                "undetermined_stations": day.undetermined,
                "stations": _records(day.stations),
            }
            for day in done.days
        ],
    }


def _show_check(console: Console, archive: Path, done: ReferenceCheck, by_station: bool) -> None:
    console.print(f"{archive.name} ({done.reader}): {done.rows:,} rows of {done.stations} stations usable")
    for what, counts in (("sensors", done.sensors), ("rows dropped", done.dropped), ("rows by flag", done.flags)):
        if any(counts.values()):
            listed = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in counts.items() if n)
            console.print(f"{what}: {listed}")
    if not done.judged:
        console.print("frozen soil: not judged, there is no soil temperature")
    elif done.undetermined:
        console.print(f"undetermined, no soil temperature at all: {', '.join(done.undetermined)}")
    for remark in done.remarks:
        console.print(remark)
    if done.suspects:
        listed = ", ".join(f"{name} (max {top:.3f}, {n:,} rows)" for name, (top, n) in done.suspects.items())
        console.print(f"suspect, above 0.6 m3 m-3: {listed}")
    if done.days:
        _show_days(console, done.days)
    if done.days and by_station:
        _show_stations(console, done.days)


def _show_days(console: Console, days: Sequence[Day]) -> None:
    from zoo.matching.reference_check import FEW

    rows = [
        (
            day.date,
            day.masked["stations"], _moisture(day.masked["mean"]), _moisture(day.masked["spread"]),
            day.unmasked["stations"], _moisture(day.unmasked["mean"]), _moisture(day.unmasked["spread"]),
            day.frozen, day.undetermined,
        )
        for day in days
    ]  # fmt: skip
    columns = ("date, UTC", "thawed", "mean", "spread", "unmasked", "mean", "spread", "frozen", "undetermined")
    console.print(table("Stations with a value, mean and spread, m3 m-3", columns, rows, right=columns[1:]))
    for day in days:
        left, all_ = int(day.masked["stations"] or 0), int(day.unmasked["stations"] or 0)
        if left < FEW and all_:
            console.print(
                f"{day.date}: {left or 'none'} of {all_} stations is left once frozen ({day.frozen}) and undetermined "
                f"({day.undetermined}) soil is masked: no score is defensible on this day"
            )
        elif not all_:
            console.print(f"{day.date}: there is no measurement on this day")


def _show_stations(console: Console, days: Sequence[Day]) -> None:
    rows = [
        (day.date, row.station, _moisture(row.masked), _moisture(row.unmasked), f"{row.values_masked}/{row.count}",
         row.state)
        for day in days
        for row in day.stations.rename(columns={"values": "count"}).itertuples()
    ]  # fmt: skip
    columns = ("date, UTC", "station", "thawed", "unmasked", "values", "soil")
    console.print(table("Daily means, m3 m-3", columns, rows, right=("thawed", "unmasked", "values")))


def _moisture(value: Any) -> str:
    return "-" if value is None or value != value else f"{value:.4f}"
