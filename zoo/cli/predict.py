"""`zoo predict`: a fine map, or a table of predictions, from a compiled model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from zoo.cli import data as options
from zoo.cli.options import RegistryOption
from zoo.cli.output import JsonOption, Output, QuietOption
from zoo.cli.output import table as make_table

if TYPE_CHECKING:
    import xarray as xr

    from zoo.correction import Mode
    from zoo.inputs import Request
    from zoo.prediction import Prediction
    from zoo.registry import Resolved
    from zoo.runtime import Session
    from zoo.stack import Stack
    from zoo.stacking import StackFolder

STACK = "Predictors already made"


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("predict")(predict)


def predict(
    model: Annotated[str, typer.Option("--model", "-m", help="NAME, NAME@vN or NAME@ALIAS, see: zoo models list.")],
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
        list[str] | None,
        typer.Option(
            "--stack",
            metavar="NAME=FILE[:BAND]|DIR",
            help="Predictor rasters on one grid; may be repeated.",
            rich_help_panel=STACK,
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--table", help="Parquet or CSV table of predictors.", rich_help_panel=STACK),
    ] = None,
    coarse: Annotated[
        Path | None,
        typer.Option(
            "--coarse",
            help="Coarse soil moisture (a sensor's granule or a raster) whose cell means the map keeps.",
        ),
    ] = None,
    correct: Annotated[
        str | None,
        typer.Option("--correct", metavar="none|smooth|exact", help="How. Default: exact with --coarse, else none."),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda", help="Where onnxruntime runs.")] = "auto",
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            metavar="M3M3",
            help="Use a compressed model whose certificate covers this, e.g. 0.001; see zoo export --compress.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help=".tif (COG), .nc, or .parquet with --table. Default: MODEL_DATE.tif."),
    ] = None,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Predict soil moisture where the predictors are: from granules, from rasters, or for the rows of a table.

    Without any of them, for the simulated sample scene.
    """
    from zoo.errors import UsageError
    from zoo.prediction import check_table_output, default_output, open_session, predict_map, predict_table
    from zoo.registry import Registry
    from zoo.writers import check_writable

    sources = [flag for flag, given in (("--data", data), ("--stack", stack), ("--table", table)) if given]
    if len(sources) > 1:
        msg = f"{' and '.join(sources)} exclude one another; give one source of predictors"
        raise UsageError(msg)
    mode = _correction(correct)
    if output is not None:
        check_writable(output)
    sink = Output(as_json=as_json, quiet=quiet)
    opened = Registry.open(registry)
    version, session = open_session(opened, model, device, tolerance)
    if tolerance is not None and not _compressed(session):
        sink.note(
            f"{version.ref} has no compressed model whose certificate covers {tolerance:g}; the dense one is used."
        )
    if table is not None:
        target = output or Path(f"{version.ref.name}-{version.ref.selector}_{table.stem}.parquet")
        check_table_output(target)
        check_writable(target)
        _report(sink, predict_table(version, session, table, target), session)
        return
    request = None
    if not stack:
        request = options.request(
            sensor=sensor or (None if site else version.record.sensor), data=data,
            area=area or (None if site else _area_of(version)), date=date, time=time, window=window, orbit=orbit,
            quality=quality, variable=variable, like=like, crs=crs, resolution=resolution, site=site,
        )  # fmt: skip
    made = _made_by_zoo_stack(stack)
    opened_stack = made.only(session.names) if made else _stack(stack, request, session.names)
    day = request.selection.date.isoformat() if request else date or (made.record.date.isoformat() if made else None)
    target = output or default_output(version, day or "map")
    check_writable(target)
    if made and correct not in (None, "none") and coarse is None:
        field: xr.DataArray | None = made.twin(
            sensor or (held if (held := version.record.sensor) in made.record.coarse else None)
        )[0]
    else:
        field = _coarse(coarse, correct, request, opened_stack)
    tags = {"time_coverage_start": f"{day}T00:00:00Z", "time_coverage_end": f"{day}T23:59:59Z"} if day else {}
    tags |= {f"compressed_{key}": str(value) for key, value in _compressed(session).items() if key != "uncovered"}
    _report(
        sink,
        predict_map(version, session, opened_stack, target, coarse=field, correct=mode, tags=tags),
        session,
    )


def _correction(text: str | None) -> Mode:
    from zoo.errors import UsageError

    if text not in (None, "none", "smooth", "exact"):
        msg = f"--correct {text!r} is not known; expected none, smooth or exact"
        raise UsageError(msg)
    return cast("Mode", text or "exact")


def _area_of(version: Resolved) -> tuple[float, float, float, float] | None:
    area = version.record.bbox
    return (area[0], area[1], area[2], area[3]) if area else None


def _made_by_zoo_stack(arguments: list[str] | None) -> StackFolder | None:
    """Open the folder that `--stack` names if `zoo stack` made it."""
    from zoo.stack_record import NAME

    if not arguments or len(arguments) != 1 or not (Path(arguments[0]) / NAME).is_file():
        return None
    from zoo.stacking import StackFolder

    return StackFolder.open(Path(arguments[0]))


def _stack(arguments: list[str] | None, request: Request | None, names: list[str]) -> Stack:
    from zoo.inputs import open_stack
    from zoo.stack import Stack

    if request is not None:
        return open_stack(request, names)
    given = arguments or []
    if len(given) == 1 and "=" not in given[0]:
        return Stack.from_folder(Path(given[0]))
    return Stack.from_arguments(given)


def _coarse(path: Path | None, correct: str | None, request: Request | None, stack: Stack) -> xr.DataArray | None:
    """Open the coarse field: a file that was named, or with `--correct` alone the request's own sensor granules."""
    from zoo.errors import UsageError
    from zoo.inputs import open_coarse, open_coarse_file

    if correct == "none":
        return None
    if path is not None:
        return open_coarse_file(path, stack.geobox)
    if correct is None:
        return None
    if request is None:
        msg = f"--correct {correct} needs the coarse soil moisture; give --coarse FILE"
        raise UsageError(msg)
    return open_coarse(request)


def _compressed(session: Session) -> dict[str, Any]:
    """Say what was compressed and how far it can be off; empty for a dense model."""
    from zoo.certified import CertifiedSession

    return session.facts() if isinstance(session, CertifiedSession) else {}


def _report(sink: Output, done: Prediction, session: Session) -> None:
    payload: dict[str, Any] = {
        "model": done.model,
        "artifacts": {"map" if done.path.suffix in (".tif", ".nc") else "table": str(done.path)},
        "provider": done.provider,
        "pixels": done.pixels,
        "predicted": done.predicted,
        "out_of_range": done.out_of_range,
        "water": done.water,
        "correction": done.correction,
        "compressed": _compressed(session),
    }
    rows = [
        ("model", done.model),
        ("written", done.path),
        ("ran on", done.provider),
        ("pixels with a value", f"{done.predicted:,} of {done.pixels:,}"),
        ("masked as open water", f"{done.water:,}"),
        ("clipped to the physical range", f"{done.out_of_range:,}"),
        *((f"compressed: {key}", value) for key, value in _compressed(session).items()),
        *((f"correction: {key}", value) for key, value in done.correction.items()),
    ]
    sink.result(payload, lambda console: console.print(make_table("Prediction", ("", ""), rows)))
    if done.predicted and done.path.suffix == ".tif":
        sink.note(f"Next: zoo validate --map {done.path} --reference STATIONS.parquet")
