"""`zoo validate`: score a map, a series of maps, a model's own maps, or a table of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli import options, products, results
from zoo.cli.given import refuse
from zoo.cli.output import JsonOption, Output, QuietOption

if TYPE_CHECKING:
    from zoo.cli.scoring import Outcome
    from zoo.registry import Registry

PREDICT = "With --model and no --map: what to predict from (default: the sample scene)"
TABLE = "With --table: names of columns"

ReferenceOption = Annotated[
    Path | None,
    typer.Option(
        "--reference", "-r", help="Stations (.parquet, .csv), a raster (.tif, .nc) or a coarse sensor's granule."
    ),
]
MapsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--map",
        help="Soil-moisture map, .tif or .nc; several, one a date, are a series. Without it, --model predicts.",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", help="NAME, NAME@vN or NAME@ALIAS. Default: what the map says it was made with."),
]
DatesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--date",
        metavar="YYYY-MM-DD",
        help="Day, UTC; once a map or, with --model alone, once a day to predict. Default: what the map says.",
    ),
]
TimeOption = Annotated[
    str | None,
    typer.Option(
        "--time", metavar="HH:MM", help="UTC: each station's value nearest to it. With --table: column of times."
    ),
]
MatchOption = Annotated[
    str, typer.Option("--match", metavar="nearest|bilinear|window=N", help="How the map is read at a station.")
]
CoarseOption = Annotated[
    list[str] | None,
    typer.Option(
        "--coarse",
        metavar="FILE",
        help="Coarse field that the map was made from: adds the gains over it and the coarse consistency. "
        "With --table: a column.",
    ),
]
EstimatorOption = Annotated[
    str | None, typer.Option("--estimator", help="Label of the scores. Default: the model's downscaler.")
]
SeenOption = Annotated[bool, typer.Option("--seen", help="The model was trained on this reference: say so.")]
OutputOption = Annotated[
    list[Path] | None, typer.Option("-o", "--output", help="Write the scores, .json or .csv; may be repeated.")
]
PairsOption = Annotated[Path | None, typer.Option("--pairs", help="Write the matched pairs, .csv or .parquet.")]
TableOption = Annotated[
    Path | None,
    typer.Option("--table", help="Predictions at stations and times (.parquet, .csv).", rich_help_panel=TABLE),
]
PredictedOption = Annotated[str, typer.Option("--predicted", help="Column.", rich_help_panel=TABLE)]
StationOption = Annotated[str, typer.Option("--station", help="Column.", rich_help_panel=TABLE)]
SplitOption = Annotated[
    str | None,
    typer.Option("--split", help="How the rows were held out, said in the scores.", rich_help_panel=TABLE),
]


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("validate")(validate)


def validate(
    context: typer.Context,
    reference: ReferenceOption = None,
    maps: MapsOption = None,
    model: ModelOption = None,
    date: DatesOption = None,
    time: TimeOption = None,
    window: options.StationWindowOption = None,
    depth: options.DepthOption = (0.0, 0.05),
    select: options.SelectOption = None,
    match: MatchOption = "nearest",
    coarse: CoarseOption = None,
    estimator: EstimatorOption = None,
    seen: SeenOption = False,
    output: OutputOption = None,
    pairs: PairsOption = None,
    table: TableOption = None,
    observed: Annotated[str, options.observed(TABLE)] = "observed",
    predicted: PredictedOption = "predicted",
    station: StationOption = "station",
    split: SplitOption = None,
    sensor: Annotated[str | None, options.sensor(PREDICT)] = None,
    data: Annotated[list[Path] | None, options.granules(PREDICT)] = None,
    area: Annotated[tuple[float, float, float, float] | None, options.area(PREDICT)] = None,
    seed: options.SeedOption = 0,
    registry: options.RegistryOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score a map against stations, a coarse field or a gridded truth; a series of maps or a table against stations.

    Of a series and a table, scores in time, in space and pooled are told apart. The scores are appended to the
    model's version in the registry.
    """
    from zoo.cli.scoring import score_map, score_series, score_table
    from zoo.matching.pairs import Match
    from zoo.matching.references import parse_selection
    from zoo.registry import Registry
    from zoo.types import check_depth
    from zoo.writers import check_writable

    _check_sources(table, maps, model, reference)
    if table is not None:
        unused = {"date", "window", "depth", "select", "match", "sensor", "data", "area"}
        refuse(context, unused, "--table pairs predictions with observations already")
    else:
        refuse(context, {"observed", "predicted", "station", "split"}, "Names of columns belong to --table")
    if maps:
        refuse(context, {"sensor", "data", "area"}, "--map is predicted already")
    check_depth(depth)
    results.check_results(output)
    if pairs is not None:
        check_writable(pairs)
    sink, opened = Output(as_json=as_json, quiet=quiet), Registry.open(registry)
    how: dict[str, Any] = {"estimator": estimator, "seen": seen, "seed": seed}
    if table is not None:
        columns = {"station": station, "time": time or "time", "observed": observed, "predicted": predicted}
        columns |= {"coarse": coarse[0]} if coarse else {}
        _conclude(sink, opened, score_table(opened, model, table, columns, split=split, **how), output, pairs)
        return
    assert reference is not None
    products.check_period(date or [], time, window)
    how |= {"dates": date or [], "time": time, "window": window, "coarse": [Path(name) for name in coarse or ()]}
    how |= {"depth": depth, "match": Match.parse(match), "selection": parse_selection(select or ())}
    if not maps:
        days: Sequence[str | None] = date or [None]
        maps = [products.predicted(opened, str(model), day, sensor=sensor, data=data, area=area) for day in days]
        sink.note(f"Predicted: {', '.join(map(str, maps))}")
    if len(maps) > 1:
        found = score_series(opened, model, maps, reference, **how)
    else:
        found = score_map(opened, model, maps[0], reference, **how)
    _conclude(sink, opened, found, output, pairs)


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


def _conclude(sink: Output, registry: Registry, found: Outcome, output: list[Path] | None, pairs: Path | None) -> None:
    """Append the scores to the model's version, write the files asked for, print the result, then the remarks."""
    from zoo.writers import write_table

    if found.version is not None:
        registry.append_scores(found.version.ref, found.scores, found.context)
    if pairs is not None:
        write_table(pairs, found.pairs)
    found.payload["artifacts"]["pairs"] = str(pairs) if pairs else None
    results.write_results(output, found.payload, found.rows)
    sink.result(found.payload, found.show)
    for note in (*found.notes, f"Appended to {found.version.ref}" if found.version else found.remark):
        sink.note(note)
