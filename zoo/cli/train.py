"""`zoo train`: learn a downscaler from granules, from a table, or from the sample scene."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from zoo.cli import options
from zoo.cli.output import JsonOption, Output, QuietOption
from zoo.cli.request import check_min_valid, predictors_in, request_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from zoo.inputs import Request
    from zoo.model.recipe import Recipe
    from zoo.samples.rows import Samples
    from zoo.stack import Stack

TABLE = "Table"
ROWS = "Rows to learn from"
FOLDS = 5
"""Of blocks of coarse cells."""
MIN_VALID = 0.5
"""Least valid share of a coarse cell."""


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("train")(train)


def train(
    downscaler: Annotated[
        str, typer.Argument(help="auto (the best of all), dbn, rf, hgb or another plugin's, see: zoo plugins.")
    ],
    sensor: options.SensorOption = None,
    data: options.DataOption = None,
    area: options.AreaOption = None,
    date: options.DateOption = None,
    time: options.TimeOption = None,
    window: options.WindowOption = None,
    orbit: options.OrbitOption = None,
    quality: options.QualityOption = "recommended",
    variable: options.VariableOption = None,
    like: options.LikeOption = None,
    crs: options.CrsOption = None,
    resolution: options.ResolutionOption = None,
    site: options.SiteOption = None,
    stack: Annotated[
        Path | None,
        typer.Option("--stack", help="Folder made by zoo stack, with its coarse twin.", rich_help_panel=options.DATA),
    ] = None,
    table: Annotated[Path | None, typer.Option("--table", help="Parquet or CSV table.", rich_help_panel=TABLE)] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="Column of soil moisture, m3 m-3.", rich_help_panel=TABLE)
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="a,b,c",
            help="Predictors; season for the day of the year. Default: the preset's, those of a table by zoo table, "
            "or 14 of Cai et al. 2022.",
        ),
    ] = None,
    groups: Annotated[
        str | None, typer.Option("--groups", help="Column whose values are the folds.", rich_help_panel=TABLE)
    ] = None,
    places: Annotated[
        str | None,
        typer.Option("--places", help="Column of places, where a group holds several.", rich_help_panel=TABLE),
    ] = None,
    times: Annotated[
        str | None,
        typer.Option("--times", help="Column of dates, for --for time or both, and season.", rich_help_panel=TABLE),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", help="Rows to keep, e.g. \"date < '2016-02-01'\".", rich_help_panel=TABLE),
    ] = None,
    preset: Annotated[
        str, typer.Option("--preset", help="Parameter set of the downscaler, e.g. default, paper.")
    ] = "default",
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="One parameter over the preset; may be repeated."),
    ] = None,
    use: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="space|time|both",
            help="What it is for: new places, later times in known places, or both. Held-out folds mirror it.",
        ),
    ] = "space",
    patterns: Annotated[
        list[str] | None,
        typer.Option(
            "--patterns",
            metavar="auto|GROUP|a,b,c",
            help="Also train a fallback without these predictors, for where clouds hide them: landsat, optical, "
            "thermal, clouded (optical and thermal), or names; auto: one a pattern in the stack. May be repeated.",
            show_default=False,
        ),
    ] = None,
    folds: Annotated[int | None, typer.Option("--folds", min=2, help="Folds; 5, or one a value of --groups.")] = None,
    min_valid: Annotated[
        float | None,
        typer.Option(
            "--min-valid",
            help="Least valid share of a coarse cell, 0-1. Default: 0.5; of a table, what it was made with.",
            rich_help_panel=ROWS,
            show_default=False,
        ),
    ] = None,
    weights: Annotated[str, options.weights(ROWS)] = "none",
    outliers: Annotated[float | None, options.outliers(ROWS)] = None,
    ablate: Annotated[
        bool,
        typer.Option(
            "--ablation/--no-ablation",
            help="Say in the card what pre-training and the correction are worth on held-out rows.",
        ),
    ] = True,
    seed: options.SeedOption = 0,
    name: Annotated[str | None, typer.Option("--name", help="Model name. Default: smd-DOWNSCALER.")] = None,
    registry: options.RegistryOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a downscaler, score it on held-out places, times or both, and add it to the registry.

    With --table, from its rows; with --stack, from a stack that zoo stack made; with --data, from native granules;
    with none of them, from the simulated sample scene.
    """
    from dataclasses import replace

    from zoo.learning.informative import check_outliers, check_weighable
    from zoo.learning.splits import check_use
    from zoo.model.fallbacks import sets_of, train_fallbacks
    from zoo.model.recipe import Recipe, parse_parameter
    from zoo.registry import Registry
    from zoo.samples.weights import check_weights
    from zoo.training import train as run
    from zoo.types import ModelRef

    output = Output(as_json=as_json, quiet=quiet)
    settings = dict(parse_parameter(text) for text in parameters or ())
    recipe = Recipe(downscaler, preset, settings, folds, seed, check_use(use), check_outliers(outliers))
    estimator = recipe.estimator()  # an unknown name or a missing package is said before data is read
    weighing = check_weights(weights)
    if name:
        ModelRef.parse(name)
    if weighing:
        check_weighable(downscaler, estimator)
    if min_valid is not None:
        check_min_valid(min_valid)
    opened = Registry.open(registry)
    names = _names(features) or recipe.features
    columns = {"target": target, "groups": groups, "places": places, "times": times, "where": where}
    _check_source(
        table,
        stack,
        columns,
        granules=any((data, sensor)),
        place=any((data, area, date, site)),
    )
    if table is not None:
        source = _table(table, names, columns, recipe, min_valid=min_valid, weights=weighing)
    elif stack is not None:
        source = _stack(stack, names, sensor, min_valid=min_valid, weights=weighing)
    else:
        request = request_of(
            sensor=sensor, data=data, area=area, date=date, time=time, window=window, orbit=orbit,
            quality=quality, variable=variable, like=like, crs=crs, resolution=resolution, site=site,
        )  # fmt: skip
        source = _granules(request, names, min_valid=min_valid, weights=weighing)
    without = sets_of(patterns or (), tuple(source.names), source.pixels)
    samples = source.rows(source.names)
    recipe = replace(recipe, folds=folds or source.folds)
    trained = run(samples, recipe, opened, name, ablate=ablate)
    if without:
        version, scores = train_fallbacks(trained.version, without, source.rows, recipe, opened)
        trained = replace(trained, version=version, scores=[*trained.scores, *scores])
    _report(output, trained, recipe, samples)


class _Source(NamedTuple):
    """Where training rows come from.

    Attributes
    ----------
    names : predictors
    rows : makes the rows with some predictors
    folds : that their groups are dealt into; None makes one a group
    pixels : opens what shows which predictors are missing together
    """

    names: Sequence[str]
    rows: Callable[[Sequence[str]], Samples]
    folds: int | None
    pixels: Callable[[], Stack | npt.NDArray[Any]]


def _check_source(
    table: Path | None, stack: Path | None, columns: dict[str, str | None], *, granules: bool, place: bool
) -> None:
    """Refuse more than one source of rows, and what belongs to another."""
    from zoo.errors import UsageError

    msg = ""
    if table is not None and (granules or stack):
        msg = "--table and --data/--stack/--sensor exclude one another; give one source of training rows"
    elif table is None and any(columns.values()):
        msg = "--target, --groups, --places, --times and --where belong to --table; give --table FILE"
    elif stack is not None and place:
        msg = "--stack knows its place and day; leave out --data, --area, --date and --site"
    if msg:
        raise UsageError(msg)


def _table(
    path: Path, names: Sequence[str] | None, columns: dict[str, str | None], recipe: Recipe, **how: Any
) -> _Source:
    """Take the rows of a table; what zoo table noted beside it need not be given."""
    from zoo.errors import UsageError
    from zoo.samples.rows import from_table, read_table
    from zoo.samples.table import defaults

    if not path.is_file():
        read_table(path)  # says so
    known = defaults(path)
    target, groups = columns["target"] or known.target, columns["groups"] or known.groups
    names, times = names or known.features, columns["times"] or known.times
    given = {"--target": target, "--features": names, "--groups": groups}
    missing = ", ".join(option for option, value in given.items() if not value)
    if missing:
        msg = f"--table needs {missing}, for example --target sm --features lst,ndvi,dem --groups station"
        raise UsageError(msg)
    if recipe.use != "space" and not times:
        msg = f"--for {recipe.use} needs the time of each row; add --times COLUMN, for example --times date"
        raise UsageError(msg)
    chosen = tuple(names or ())

    def rows(some: Sequence[str]) -> Samples:
        return from_table(
            path, str(target), some, str(groups),
            where=columns["where"], places=columns["places"], times=times, **how,
        )  # fmt: skip

    def pixels() -> npt.NDArray[Any]:
        import pandas as pd

        held = read_table(path).reindex(columns=list(chosen), fill_value=0.0)  # the season is never missing
        values: npt.NDArray[Any] = held.apply(pd.to_numeric, errors="coerce").to_numpy(float)
        return values

    blocks = known.groups == groups  # blocks of cells, as many as the place has: folds of several blocks
    return _Source(chosen, rows, FOLDS if blocks else None, pixels)


def _stack(folder: Path, names: Sequence[str] | None, sensor: str | None, **how: Any) -> _Source:
    """Take the coarse cells of a stack and its twin."""
    from zoo.predictors import PAPER
    from zoo.samples.rows import from_stack
    from zoo.stack.folder import StackFolder

    chosen, how = tuple(names or PAPER), _least_valid(how)
    return _Source(
        chosen,
        lambda some: from_stack(folder, some, sensor=sensor, **how),
        FOLDS,
        lambda: StackFolder.open(folder).only(chosen),
    )


def _granules(request: Request, names: Sequence[str] | None, **how: Any) -> _Source:
    """Take the coarse cells of native granules."""
    from zoo.inputs import open_stack
    from zoo.predictors import PAPER
    from zoo.samples.rows import from_granules

    chosen, how = tuple(names or PAPER), _least_valid(how)
    return _Source(chosen, lambda some: from_granules(request, some, **how), FOLDS, lambda: open_stack(request, chosen))


def _least_valid(how: dict[str, Any]) -> dict[str, Any]:
    """Give coarse cells their least valid share if none is given; a table has what it was made with."""
    return {**how, "min_valid": MIN_VALID if how["min_valid"] is None else how["min_valid"]}


def _report(output: Output, trained: object, recipe: Recipe, samples: Samples) -> None:
    from zoo.cli.scores import score_payload, show_scores
    from zoo.training import Trained

    assert isinstance(trained, Trained)
    payload = {
        "model": str(trained.version.ref),
        "downscaler": recipe.downscaler,
        "preset": recipe.preset,
        "use": recipe.use,
        "rows": len(samples),
        "dropped": trained.version.record.dataset.dropped,
        "weights": samples.dataset.definition.get("weights"),
        "simulated": samples.simulated,
        "artifacts": {"model": str(trained.version.path("model"))},
        "scores": score_payload(trained.scores),
        "notes": trained.notes,
    }
    title = f"{trained.version.ref}: {recipe.downscaler} ({recipe.preset}) for {recipe.use}, {len(samples)} rows"
    output.result(payload, lambda console: show_scores(console, trained.scores, title))
    for note in (*(["Trained and scored on simulated data."] if samples.simulated else []), *trained.notes):
        output.note(note)
    output.note(f"Next: zoo export onnx --model {trained.version.ref}; zoo models show {trained.version.ref}")


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else predictors_in(text, "--features")
