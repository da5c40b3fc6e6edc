"""`zoo validate`: score a map, a series of maps, a model's own maps, or a table of predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli import data as options
from zoo.cli import products, results
from zoo.cli.options import RegistryOption
from zoo.cli.output import JsonOption, Output, QuietOption
from zoo.cli.reference import SelectOption
from zoo.cli.scores import score_payload
from zoo.types import Score

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from zoo.matching.station_days import StationDays
    from zoo.registry import Registry, Resolved

PREDICT = "With --model and no --map: what to predict from (default: the sample scene)"
TABLE = "With --table: names of columns"


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("validate")(validate)


def validate(
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference", "-r", help="Stations (.parquet, .csv), a raster (.tif, .nc) or a coarse sensor's granule."
        ),
    ] = None,
    maps: Annotated[
        list[Path] | None,
        typer.Option(
            "--map",
            help="Soil-moisture map, .tif or .nc; several, one a date, are a series. Without it, --model predicts.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="NAME, NAME@vN or NAME@ALIAS. Default: what the map says it was made with."),
    ] = None,
    date: Annotated[
        list[str] | None,
        typer.Option(
            "--date",
            metavar="YYYY-MM-DD",
            help="Day, UTC; once a map or, with --model alone, once a day to predict. Default: what the map says.",
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            "--time", metavar="HH:MM", help="UTC: each station's value nearest to it. With --table: column of times."
        ),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option("--window", metavar="3h", help="With --time: the mean over this width. Default: over the day."),
    ] = None,
    depth: Annotated[
        tuple[float, float], typer.Option("--depth", metavar="TOP BOTTOM", help="Layer of the stations, metres.")
    ] = (0.0, 0.05),
    select: SelectOption = None,
    match: Annotated[
        str,
        typer.Option("--match", metavar="nearest|bilinear|window=N", help="How the map is read at a station."),
    ] = "nearest",
    coarse: Annotated[
        list[str] | None,
        typer.Option(
            "--coarse",
            metavar="FILE",
            help="Coarse field that the map was made from: adds the gains over it and the coarse consistency. "
            "With --table: a column.",
        ),
    ] = None,
    estimator: Annotated[
        str | None, typer.Option("--estimator", help="Label of the scores. Default: the model's downscaler.")
    ] = None,
    seen: Annotated[bool, typer.Option("--seen", help="The model was trained on this reference: say so.")] = False,
    output: Annotated[
        list[Path] | None,
        typer.Option("-o", "--output", help="Write the scores, .json or .csv; may be repeated."),
    ] = None,
    pairs: Annotated[Path | None, typer.Option("--pairs", help="Write the matched pairs, .csv or .parquet.")] = None,
    table: Annotated[
        Path | None,
        typer.Option("--table", help="Predictions at stations and times (.parquet, .csv).", rich_help_panel=TABLE),
    ] = None,
    observed: Annotated[str, typer.Option("--observed", help="Column.", rich_help_panel=TABLE)] = "observed",
    predicted: Annotated[str, typer.Option("--predicted", help="Column.", rich_help_panel=TABLE)] = "predicted",
    station: Annotated[str, typer.Option("--station", help="Column.", rich_help_panel=TABLE)] = "station",
    split: Annotated[
        str | None,
        typer.Option("--split", help="How the rows were held out, said in the scores.", rich_help_panel=TABLE),
    ] = None,
    sensor: Annotated[
        str | None, typer.Option("--sensor", help="Coarse sensor, see: zoo plugins.", rich_help_panel=PREDICT)
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", help="File or folder of granules; may be repeated.", rich_help_panel=PREDICT),
    ] = None,
    area: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option("--area", metavar="W S E N", help="Bounds in degrees.", rich_help_panel=PREDICT),
    ] = None,
    seed: options.SeedOption = 0,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score a map against stations, a coarse field or a gridded truth; a series of maps or a table against stations.

    Of a series and a table, scores in time, in space and pooled are told apart. The scores are appended to the
    model's version in the registry.
    """
    from zoo.errors import UsageError
    from zoo.matching.pairs import Match
    from zoo.matching.references import parse_selection
    from zoo.registry import Registry
    from zoo.writers import check_writable

    _check_sources(table, maps, model, reference)
    results.check_results(output)
    if pairs is not None:
        check_writable(pairs)
    labels: dict[str, Any] = {"estimator": estimator, "seen": seen, "seed": seed}
    where = {"sensor": sensor, "data": data, "area": area}
    run = _Run(Output(as_json=as_json, quiet=quiet), Registry.open(registry), model, output, pairs)
    if table is not None:
        columns = {"station": station, "time": time or "time", "observed": observed, "predicted": predicted}
        columns |= {"coarse": coarse[0]} if coarse else {}
        run.table(table, columns, split=split, **labels)
        return
    dates: list[str] = date or []
    products.check_period(dates, time, window)
    assert reference is not None
    if maps is None:
        maps = [run.predicted(day, **where) for day in _or_none(dates)]
    how: dict[str, Any] = {"depth": depth, "match": Match.parse(match), **labels}
    how["selection"] = parse_selection(select or ())
    fields = [Path(name) for name in coarse or ()]
    if len(maps) > 1:
        run.series(maps, reference, dates, time, window, fields, **how)
        return
    if len(dates) > 1 or len(fields) > 1:
        msg = "One map has one --date and one --coarse; give --map once a date for a series"
        raise UsageError(msg)
    run.one(maps[0], reference, dates[0] if dates else None, time, window, fields, **how)


def _check_sources(table: Path | None, maps: list[Path] | None, model: str | None, reference: Path | None) -> None:
    from zoo.errors import UsageError

    if table is not None:
        if maps or reference:
            msg = "--table holds predictions and observations itself; leave out --map and --reference"
            raise UsageError(msg)
        return
    if not maps and model is None:
        msg = "Nothing to validate; give --map FILE, --model NAME to predict a map first, or --table FILE"
        raise UsageError(msg)
    if reference is None:
        msg = "No reference; give --reference STATIONS.parquet, a raster or a sensor's granule"
        raise UsageError(msg)


class _Run:
    """One call of the command: where results go."""

    def __init__(
        self, sink: Output, registry: Registry, model: str | None, output: list[Path] | None, pairs: Path | None
    ) -> None:
        self.sink, self.registry, self.model = sink, registry, model
        self.output, self.pairs = output, pairs

    def predicted(self, day: str | None, **where: Any) -> Path:
        assert self.model is not None
        return products.predicted(self.registry, self.model, day, **where)

    def one(
        self,
        path: Path,
        reference: Path,
        date: str | None,
        time: str | None,
        window: str | None,
        coarse: Sequence[Path],
        *,
        estimator: str | None,
        **labels: Any,
    ) -> None:
        """Score one map."""
        from zoo.maps import read_map
        from zoo.scores.metrics import ALL_METRICS
        from zoo.validation import validate_map

        moisture = read_map(path)
        version, remark = products.version_of(self.registry, moisture.attrs, self.model)
        done = validate_map(
            moisture,
            reference,
            when=products.selection(moisture.attrs, date, time, window),
            estimator=estimator or products.label_of(version, moisture.attrs, path),
            coarse=coarse[0] if coarse else None,
            metrics=ALL_METRICS,
            **labels,
        )
        context = {"region": done.region, "period": done.period, "details": done.matching}
        remark = self._record(version, [*done.scores, *done.consistency], context) or remark
        payload = {
            "model": str(version.ref) if version else None,
            "artifacts": {"map": str(path), "reference": str(reference), "pairs": _text(self.pairs)},
            "scores": score_payload(done.scores),
            "consistency": score_payload(done.consistency),
            "p": done.p,
            "dropped": done.dropped,
            "left_out": done.left_out,
            "matching": done.matching,
            "simulated": done.simulated,
            "notes": done.notes,
        }
        rows = results.score_rows([*done.scores, *done.consistency])
        self._end(
            payload, rows, done.pairs, lambda console: results.show_validation(console, done), [*done.notes, remark]
        )

    def series(
        self,
        maps: Sequence[Path],
        reference: Path,
        dates: Sequence[str],
        time: str | None,
        window: str | None,
        coarse: Sequence[Path],
        *,
        estimator: str | None,
        **labels: Any,
    ) -> None:
        """Score a series of maps."""
        from zoo.errors import UsageError
        from zoo.maps import read_map
        from zoo.matching.map_series import validate_series

        if dates and len(dates) != len(maps):
            msg = f"{len(maps)} maps and {len(dates)} dates; give --date once a map, in their order, or not at all"
            raise UsageError(msg)
        arrays = [read_map(path) for path in maps]
        made_by = {array.attrs.get("model") for array in arrays}
        tags = arrays[0].attrs if len(made_by) == 1 else {}
        version, remark = products.version_of(self.registry, tags, self.model)
        days = _or_none(dates) if dates else [None] * len(maps)
        done = validate_series(
            arrays,
            reference,
            when=[products.selection(a.attrs, d, time, window) for a, d in zip(arrays, days, strict=True)],
            coarse=coarse,
            estimator=estimator or products.label_of(version, tags, maps[0]),
            **labels,
        )
        consistency = [score for scores in done.consistency.values() for score in scores]
        context = {"region": done.region, "period": done.period, "details": done.matching}
        remark = self._record(version, [*done.days.scores, *consistency], context) or remark
        payload = {
            "model": str(version.ref) if version else None,
            "artifacts": {"maps": [*map(str, maps)], "reference": str(reference), "pairs": _text(self.pairs)},
            **_days_payload(done.days),
            "consistency": {day: score_payload(scores) for day, scores in done.consistency.items()},
            "dropped": {"series": done.days.dropped, **done.dropped},
            "left_out": {"series": done.days.left_out, **done.left_out},
            "matching": done.matching,
            "simulated": done.simulated,
            "notes": done.notes,
        }
        title = _title(done.days, done.simulated)
        self._end(
            payload,
            done.days.table(),
            done.days.pairs,
            lambda console: results.show_series(console, done.days, title, done),
            [*done.notes, remark],
        )

    def table(
        self, path: Path, columns: dict[str, str], *, split: str | None, estimator: str | None, seen: bool, seed: int
    ) -> None:
        """Score a table of predictions at stations and times."""
        from zoo.matching.station_days import score_station_days
        from zoo.validation import INDEPENDENT, STATIONS_SEEN

        rows, simulated = products.read_columns(path, columns)
        version = self.registry.resolve(self.model) if self.model else None
        days = score_station_days(
            rows,
            estimator=estimator or (version.record.architecture if version else columns["predicted"]),
            reference=f"{columns['observed']} of {path.name}",
            split=split or (STATIONS_SEEN if seen else INDEPENDENT),
            seed=seed,
        )
        first, last = days.pairs["time"].min(), days.pairs["time"].max()
        context = {"period": f"{first:%Y-%m-%d}/{last:%Y-%m-%d}", "details": {"match": "table", **columns}}
        remark = self._record(version, days.scores, context) or "Not recorded: give --model NAME@vN"
        payload = {
            "model": str(version.ref) if version else None,
            "artifacts": {"table": str(path), "pairs": _text(self.pairs)},
            **_days_payload(days),
            "dropped": days.dropped,
            "left_out": days.left_out,
            "simulated": simulated,
            "notes": [],
        }
        title = _title(days, simulated)
        self._end(
            payload, days.table(), days.pairs, lambda console: results.show_series(console, days, title), [remark]
        )

    def _record(self, version: Resolved | None, scores: Sequence[Score], context: dict[str, Any]) -> str:
        if version is None:
            return ""
        self.registry.append_scores(version.ref, scores, context)
        return f"Appended to {version.ref}"

    def _end(
        self,
        payload: dict[str, Any],
        rows: pd.DataFrame,
        pairs: pd.DataFrame,
        show: Callable[[Console], None],
        notes: Sequence[str],
    ) -> None:
        """Write the files asked for, print the result, then the remarks."""
        from zoo.writers import write_table

        if self.pairs is not None:
            write_table(self.pairs, pairs)
        results.write_results(self.output, payload, rows)
        self.sink.result(payload, show)
        for note in notes:
            self.sink.note(note)


def _days_payload(days: StationDays) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "scores": score_payload(days.scores),
        "pooled": score_payload(days.pooled),
        "temporal": {unit: score_payload(scores) for unit, scores in days.temporal.items()},
        "spatial": {unit: score_payload(scores) for unit, scores in days.spatial.items()},
        "temporal_summary": [asdict(summary) for summary in days.temporal_summary],
        "spatial_summary": [asdict(summary) for summary in days.spatial_summary],
    }


def _title(days: StationDays, simulated: bool) -> str:
    first = days.pooled[0]
    return f"{first.estimator} against {first.reference}" + (" (simulated data)" if simulated else "")


def _or_none(dates: Sequence[str]) -> Sequence[str | None]:
    return dates or [None]


def _text(path: Path | None) -> str | None:
    return str(path) if path else None
