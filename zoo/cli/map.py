"""`zoo map`: from a place and a date to the map, its scores and its report, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli import options
from zoo.cli.given import flags, given
from zoo.cli.output import JsonOption, Output, QuietOption
from zoo.cli.request import check_correct, check_min_valid, layers_of, request_of

if TYPE_CHECKING:
    from zoo.mapping.plan import Plan
    from zoo.mapping.workflow import Mapped

MODEL = "Model"

OutputOption = Annotated[
    Path,
    typer.Option("-o", "--output", help="Folder of the map; alone, the map that was begun there is gone on with."),
]
LayersOption = Annotated[
    str | None,
    typer.Option(
        "--layers", metavar="a,b,c", help="Predictors. Default: the model's, the site's, or 14 of Cai et al. 2022."
    ),
]
DownscalerOption = Annotated[
    str, typer.Option("--downscaler", help="What to train: dbn, rf, see zoo plugins.", rich_help_panel=MODEL)
]
PresetOption = Annotated[str, typer.Option("--preset", help="Parameter set of the downscaler.", rich_help_panel=MODEL)]
ParametersOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="One parameter; may be repeated.", rich_help_panel=MODEL),
]
FoldsOption = Annotated[int, typer.Option("--folds", min=2, help="Folds of spatial blocks.", rich_help_panel=MODEL)]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Predict with this model instead of training one.", rich_help_panel=MODEL),
]
RegistryOption = Annotated[
    Path | None,
    typer.Option(
        "--registry",
        metavar="FILE",
        help="Registry file. Default: registry.json in the folder.",
        rich_help_panel=MODEL,
    ),
]
CorrectOption = Annotated[
    str, typer.Option("--correct", metavar="none|smooth|exact", help="How to keep the coarse mean.")
]
ReferenceOption = Annotated[
    Path | None, typer.Option("--reference", "-r", help="Stations or a raster to score the map against.")
]
RedoOption = Annotated[
    str | None,
    typer.Option("--redo", metavar="STEP", help="Do a step again: fetch, stack, train, export, predict, ..."),
]


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("map")(make)


def make(
    context: typer.Context,
    output: OutputOption,
    area: options.AreaOption = None,
    date: options.DateOption = None,
    site: options.SiteOption = None,
    sensor: options.SensorOption = None,
    data: Annotated[list[Path] | None, options.granules(options.DATA, "they are fetched")] = None,
    time: options.TimeOption = None,
    window: options.WindowOption = None,
    orbit: options.OrbitOption = None,
    quality: options.QualityOption = "recommended",
    variable: options.VariableOption = None,
    like: options.LikeOption = None,
    crs: options.CrsOption = None,
    resolution: options.ResolutionOption = None,
    layers: LayersOption = None,
    downscaler: DownscalerOption = "dbn",
    preset: PresetOption = "default",
    parameters: ParametersOption = None,
    folds: FoldsOption = 5,
    min_valid: Annotated[float, options.min_valid(MODEL)] = 0.5,
    weights: Annotated[str, options.weights(MODEL)] = "none",
    outliers: Annotated[float | None, options.outliers(MODEL)] = None,
    model: ModelOption = None,
    registry: RegistryOption = None,
    correct: CorrectOption = "exact",
    reference: ReferenceOption = None,
    redo: RedoOption = None,
    seed: options.SeedOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Go the whole way: fetch, stack, train, export, predict, validate, report.

    Every step is printed as the single command that does it alone. What was done and is unchanged is kept: after a
    kill, the same command (or zoo map -o DIR) goes on where it stopped.
    """
    from zoo.learning.informative import check_outliers
    from zoo.mapping.workflow import make_map
    from zoo.samples.weights import check_weights

    check_min_valid(min_valid)
    sink = Output(as_json=as_json, quiet=quiet)
    asked: dict[str, Any] = {
        "area": area, "date": date, "site": site, "sensor": sensor, "data": data, "time": time, "window": window,
        "orbit": orbit, "quality": quality, "variable": variable, "like": like, "crs": crs, "resolution": resolution,
    }  # fmt: skip
    how = {
        "downscaler": downscaler, "preset": preset, "folds": folds, "min_valid": min_valid, "model": model,
        "registry": _absolute(registry), "correct": check_correct(correct), "reference": _absolute(reference),
        "seed": seed, "weights": check_weights(weights), "outliers": check_outliers(outliers),
    }  # fmt: skip
    _check_trained(context, model)
    plan = _resumed(context, output) or _plan(asked, how, layers, parameters)
    done = make_map(plan, output, redo=redo, tell=lambda name, state, command: sink.note(_line(name, state, command)))
    _report(sink, done)


def _check_trained(context: typer.Context, model: str | None) -> None:
    """Refuse options of the training where a model is given: nothing would heed them."""
    from zoo.errors import UsageError

    training = {"downscaler", "preset", "parameters", "folds", "min_valid", "weights", "outliers"}
    if model is not None and (useless := given(context) & training):
        names = flags(context, useless)
        msg = f"--model and {names} exclude one another; predict with a model, or train one"
        raise UsageError(msg)


def _resumed(context: typer.Context, folder: Path) -> Plan | None:
    """Return the plan that the folder holds, if no place and day is given."""
    from zoo.errors import UsageError
    from zoo.mapping.workflow import planned

    changed = given(context) - {"output", "redo", "as_json", "quiet"}
    if changed & {"area", "date", "site"}:
        return None
    plan = planned(folder)
    if plan is None:
        msg = (
            f"{folder} holds no map that was begun; give --area W S E N and --date (or --site), for example "
            "--area 115.5 41.5 116.5 42.5 --date 2019-09-25"
        )
        raise UsageError(msg)
    if changed:
        names = flags(context, changed)
        msg = f"{names} would change the map in {folder}; give --area and --date as well, or leave {names} out"
        raise UsageError(msg)
    return plan


def _plan(asked: dict[str, Any], how: dict[str, Any], layers: str | None, parameters: list[str] | None) -> Plan:
    """Make the plan that the options describe, with what the site and the model know."""
    from zoo.mapping.plan import Plan
    from zoo.model.recipe import parse_parameter

    data = tuple(str(place.resolve()) for place in asked["data"] or ())
    # The place of the granules does not matter yet; any folder lets the options be read as everywhere else.
    request = request_of(**{**asked, "data": [Path(place) for place in data] or [Path()]})
    return Plan(
        area=request.area.bounds,
        date=request.selection.date,
        sensor=request.sensor,
        data=data,
        layers=layers_of(layers, asked["site"]) if layers or not how["model"] else _predictors_of(how),
        time=request.selection.time,
        window=request.selection.window,
        orbit=request.selection.orbit,
        quality=request.quality,
        variable=request.variable,
        like=_absolute(request.like),
        crs=request.crs,
        resolution=request.resolution,
        prefer=dict(request.products),
        parameters=dict(parse_parameter(text) for text in parameters or ()),
        **how,
    )


def _predictors_of(how: dict[str, Any]) -> tuple[str, ...]:
    """Predictors of the model that was given."""
    from zoo.registry import Registry

    registry = Registry.open(Path(how["registry"]) if how["registry"] else None)
    return tuple(feature.name for feature in registry.resolve(how["model"]).record.features)


def _absolute(path: Path | None) -> str | None:
    return str(path.resolve()) if path is not None else None


def _line(name: str, state: str, command: str) -> str:
    return f"{name:<9}{state:<5} {command}" if state != "done" else f"{name:<9}done"


def _report(sink: Output, done: Mapped) -> None:
    from zoo.cli.scores import score_payload, show_scores

    payload = {
        "model": done.model,
        "artifacts": {"map": str(done.map), "report": str(done.report), "scores": str(done.folder / "scores.json")},
        "steps": {name: {"state": state, "command": command} for name, (command, state) in done.steps.items()},
        "prediction": done.facts,
        "scores": score_payload(done.scores),
    }
    sink.result(payload, lambda console: show_scores(console, done.scores, done.model))
    sink.note(f"Map: {done.map}")
    sink.note(f"Report: {done.report}")
