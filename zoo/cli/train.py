"""`zoo train`: learn a downscaler from granules, from a table, or from the sample scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli import options
from zoo.cli.output import JsonOption, Output, QuietOption
from zoo.cli.request import check_min_valid, request_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from zoo.inputs import Request
    from zoo.model.recipe import Recipe
    from zoo.samples.rows import Samples
    from zoo.stack import Stack

TABLE = "Table"
ROWS = "Rows to learn from"


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
    folds: Annotated[int | None, typer.Option("--folds", help="Folds; 5, or one a value of --groups.")] = None,
    min_valid: Annotated[
        float | None,
        typer.Option(
            "--min-valid",
            help="Least valid share of a coarse cell, 0-1. Default: 0.5; of a table, what it was made with.",
            rich_help_panel=ROWS,
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            "--weights",
            metavar="none|homogeneity",
            help="Rows count alike, or the more the less predictors differ inside their cell.",
            rich_help_panel=ROWS,
        ),
    ] = "none",
    outliers: Annotated[
        float | None,
        typer.Option(
            "--outliers",
            metavar="K",
            help="Leave out training rows that a ridge regression on others misses by more than K robust standard "
            "deviations, e.g. 4. Held-out rows are all scored.",
            rich_help_panel=ROWS,
            show_default=False,
        ),
    ] = None,
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

    from zoo.errors import UsageError
    from zoo.learning.informative import check_outliers, check_weighable
    from zoo.learning.splits import check_use
    from zoo.model.fallbacks import sets_of, train_fallbacks
    from zoo.model.recipe import Recipe, parse_parameter
    from zoo.predictors import PAPER
    from zoo.registry import Registry
    from zoo.samples.rows import from_granules, from_stack, from_table
    from zoo.samples.table import defaults
    from zoo.samples.weights import check_weights
    from zoo.training import train as run

    output = Output(as_json=as_json, quiet=quiet)
    settings = dict(parse_parameter(text) for text in parameters or ())
    recipe = Recipe(downscaler, preset, settings, folds, seed, check_use(use), check_outliers(outliers))
    estimator = recipe.estimator()  # an unknown name or a missing package is said before data is read
    weighing = check_weights(weights)
    if weighing:
        check_weighable(downscaler, estimator)
    if min_valid is not None:
        check_min_valid(min_valid)
    share = 0.5 if min_valid is None else min_valid
    opened = Registry.open(registry)
    chosen = _names(features) or recipe.features
    request = None
    if table is not None:
        if data or sensor or stack:
            msg = "--table and --data/--stack/--sensor exclude one another; give one source of training rows"
            raise UsageError(msg)
        known = defaults(table)
        target, chosen, groups = target or known.target, chosen or known.features, groups or known.groups
        missing = [
            flag for flag, value in (("--target", target), ("--features", chosen), ("--groups", groups)) if not value
        ]
        if missing:
            msg = (
                f"--table needs {', '.join(missing)}, for example --target sm --features lst,ndvi,dem --groups station"
            )
            raise UsageError(msg)
        times = times or known.times
        if recipe.use != "space" and not times:
            msg = f"--for {use} needs the time of each row; add --times COLUMN, for example --times date"
            raise UsageError(msg)

        def rows(names: Sequence[str]) -> Samples:
            return from_table(
                table, str(target), names, str(groups), where=where, places=places, times=times,
                min_valid=min_valid, weights=weighing,
            )  # fmt: skip

        samples = rows(chosen or ())
        if known.groups == groups:  # blocks of cells, as many as the place has: folds of several blocks
            recipe = replace(recipe, folds=folds or 5)
    else:
        if target or groups or places or times or where:
            msg = "--target, --groups, --places, --times and --where belong to --table; give --table FILE"
            raise UsageError(msg)
        chosen = chosen or PAPER
        if stack is not None:
            if data or area or date or site:
                msg = "--stack knows its place and day; leave out --data, --area, --date and --site"
                raise UsageError(msg)

            def rows(names: Sequence[str]) -> Samples:
                return from_stack(stack, names, sensor=sensor, min_valid=share, weights=weighing)
        else:
            request = request_of(
                sensor=sensor, data=data, area=area, date=date, time=time, window=window, orbit=orbit,
                quality=quality, variable=variable, like=like, crs=crs, resolution=resolution, site=site,
            )  # fmt: skip

            def rows(names: Sequence[str]) -> Samples:
                return from_granules(request, names, min_valid=share, weights=weighing)

        samples = rows(chosen)
        recipe = replace(recipe, folds=folds or 5)
    without = sets_of(patterns or (), tuple(chosen or ()), lambda: _pixels(table, stack, request, chosen or ()))
    trained = run(samples, recipe, opened, name, ablate=ablate)
    if without:
        version, scores = train_fallbacks(trained.version, without, rows, recipe, opened)
        trained = replace(trained, version=version, scores=[*trained.scores, *scores])
    _report(output, trained, recipe, samples)


def _pixels(
    table: Path | None, stack: Path | None, request: Request | None, names: Sequence[str]
) -> Stack | npt.NDArray[Any]:
    """Open what shows which predictors are missing together: the rows of a table, or a stack."""
    from zoo.inputs import open_stack
    from zoo.samples.rows import read_table
    from zoo.stack.folder import StackFolder

    if table is not None:
        import pandas as pd

        known = read_table(table).reindex(columns=list(names), fill_value=0.0)  # the season is never missing
        rows: npt.NDArray[Any] = known.apply(pd.to_numeric, errors="coerce").to_numpy(float)
        return rows
    if stack is not None:
        return StackFolder.open(stack).only(names)
    assert request is not None
    return open_stack(request, names)


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
    from zoo.predictors import listed

    return listed(text) if text else None
