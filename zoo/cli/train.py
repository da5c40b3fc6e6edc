"""`zoo train`: learn a downscaler from granules, from a table, or from the sample scene."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli import data as options
from zoo.cli.options import RegistryOption
from zoo.cli.output import JsonOption, Output, QuietOption

if TYPE_CHECKING:
    from zoo.recipe import Recipe
    from zoo.samples import Samples

TABLE = "Table"


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("train")(train)


def train(
    downscaler: Annotated[str, typer.Argument(help="dbn, rf or another plugin's downscaler, see: zoo plugins.")],
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
            help="Predictors. Default: the preset's, those of a table by zoo table, or 14 of Cai et al. 2022.",
        ),
    ] = None,
    groups: Annotated[
        str | None, typer.Option("--groups", help="Column whose values are the folds.", rich_help_panel=TABLE)
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
    folds: Annotated[int | None, typer.Option("--folds", help="Folds. Default: 5, or one a value of --groups.")] = None,
    min_valid: Annotated[
        float,
        typer.Option("--min-valid", help="Least valid share of a coarse cell.", rich_help_panel=options.DATA),
    ] = 0.5,
    seed: options.SeedOption = 0,
    name: Annotated[str | None, typer.Option("--name", help="Model name. Default: smd-DOWNSCALER.")] = None,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a downscaler, score it on held-out spatial blocks, and add it to the registry.

    With --table, from its rows; with --stack, from a stack that zoo stack made; with --data, from native granules;
    with none of them, from the simulated sample scene.
    """
    from zoo.errors import UsageError
    from zoo.recipe import Recipe, parse_parameter
    from zoo.registry import Registry
    from zoo.samples import from_granules, from_stack, from_table
    from zoo.table import defaults
    from zoo.training import train as run

    output = Output(as_json=as_json, quiet=quiet)
    recipe = Recipe(downscaler, preset, dict(parse_parameter(text) for text in parameters or ()), folds, seed)
    recipe.estimator()  # an unknown name or a missing package is said before data is read
    opened = Registry.open(registry)
    chosen = _names(features) or recipe.features
    samples: Samples
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
        samples = from_table(table, str(target), chosen or (), str(groups), where=where)
        if known.groups == groups:  # blocks of cells, as many as the place has: folds of several blocks
            recipe = Recipe(downscaler, preset, recipe.parameters, folds or 5, seed)
    else:
        if target or groups or where:
            msg = "--target, --groups and --where belong to --table; give --table FILE, or leave them out"
            raise UsageError(msg)
        named = {"features": chosen} if chosen else {}
        if stack is not None:
            if data or area or date or site:
                msg = "--stack knows its place and day; leave out --data, --area, --date and --site"
                raise UsageError(msg)
            samples = from_stack(stack, sensor=sensor, min_valid=min_valid, **named)
        else:
            request = options.request(
                sensor=sensor, data=data, area=area, date=date, time=time, window=window, orbit=orbit,
                quality=quality, variable=variable, like=like, crs=crs, resolution=resolution, site=site,
            )  # fmt: skip
            samples = from_granules(request, min_valid=min_valid, **named)
        recipe = Recipe(downscaler, preset, recipe.parameters, folds or 5, seed)
    _report(output, run(samples, recipe, opened, name), recipe, samples)


def _report(output: Output, trained: object, recipe: Recipe, samples: Samples) -> None:
    from zoo.cli.scores import score_payload, show_scores
    from zoo.training import Trained

    assert isinstance(trained, Trained)
    payload = {
        "model": str(trained.version.ref),
        "downscaler": recipe.downscaler,
        "preset": recipe.preset,
        "rows": len(samples),
        "dropped": samples.dataset.dropped,
        "simulated": samples.simulated,
        "artifacts": {"model": str(trained.version.path("model"))},
        "scores": score_payload(trained.scores),
        "notes": trained.notes,
    }
    title = f"{trained.version.ref}: {recipe.downscaler} ({recipe.preset}), {len(samples)} rows"
    output.result(payload, lambda console: show_scores(console, trained.scores, title))
    for note in (*(["Trained and scored on simulated data."] if samples.simulated else []), *trained.notes):
        output.note(note)
    output.note(f"Next: zoo export onnx --model {trained.version.ref}; zoo models show {trained.version.ref}")


def _names(text: str | None) -> tuple[str, ...] | None:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else None
