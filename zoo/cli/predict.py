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
    from zoo.gapfill.prediction import Bridged
    from zoo.inference.runtime import Session
    from zoo.inputs import Request
    from zoo.prediction import Prediction
    from zoo.registry import Resolved
    from zoo.stack import Stack
    from zoo.stack.folder import StackFolder

STACK = "Predictors already made"
GAPS = "Clouds"


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
    sensor_error: Annotated[
        float | None,
        typer.Option(
            "--sensor-error",
            metavar="M3M3",
            help="Keep the coarse means only within this error of the sensor, e.g. 0.04.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda", help="Where onnxruntime runs.")] = "auto",
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            metavar="auto|fp32|fp16|int8",
            help="Of the network; auto: the fastest form whose certificate covers --tolerance.",
        ),
    ] = "auto",
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            metavar="M3M3",
            help="Use a compressed model whose certificate covers this, e.g. 0.001; see zoo export --compress.",
            show_default=False,
        ),
    ] = None,
    uncertainty: Annotated[
        bool,
        typer.Option("--uncertainty", help="Also write the prediction interval and the dissimilarity to the training."),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Refuse a map with pixels out of the model's domain."),
    ] = False,
    strict_share: Annotated[
        float,
        typer.Option("--strict-share", metavar="0-1", help="Largest share of them that --strict lets through."),
    ] = 0.0,
    missing: Annotated[
        str | None,
        typer.Option(
            "--missing",
            metavar="none|patterns|temporal|dct-pls",
            help="Where predictors are missing: fallback models, or predictors filled in time or in space; also "
            "several, as A,B. Default: patterns if the model has fallbacks, else none.",
            rich_help_panel=GAPS,
        ),
    ] = None,
    series: Annotated[
        list[str] | None,
        typer.Option(
            "--series",
            metavar="DIR|DATE",
            help="Predictors on another date, for --missing temporal or dct-pls; may be repeated.",
            rich_help_panel=GAPS,
        ),
    ] = None,
    reach: Annotated[
        float | None,
        typer.Option(
            "--reach",
            metavar="PIXELS",
            help="Fill no further than this from an observation. Default: 3 with patterns, else no limit.",
            show_default=False,
            rich_help_panel=GAPS,
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
    from datetime import date as Date

    from zoo.errors import UsageError
    from zoo.gapfill.prediction import PATTERNS, bridged, open_series, parse_ways, with_fallbacks
    from zoo.prediction import check_table_output, default_output, open_session, predict_map, predict_table
    from zoo.registry import Registry
    from zoo.tiles.windows import UNCERTAINTY
    from zoo.writers import check_writable

    sources = [flag for flag, given in (("--data", data), ("--stack", stack), ("--table", table)) if given]
    if len(sources) > 1:
        msg = f"{' and '.join(sources)} exclude one another; give one source of predictors"
        raise UsageError(msg)
    mode = _correction(correct)
    if sensor_error is not None and not (0 < sensor_error < 1):
        msg = f"--sensor-error {sensor_error:g} is out of range; give m3 m-3, for example 0.04 for SMAP"
        raise UsageError(msg)
    asked: dict[str, Any] = {"extras": UNCERTAINTY if uncertainty else (), "strict": _strict(strict, strict_share)}
    if output is not None:
        check_writable(output)
    sink = Output(as_json=as_json, quiet=quiet)
    opened = Registry.open(registry)
    version, session = open_session(opened, model, device, tolerance, precision)
    if tolerance is not None and not _compressed(session):
        sink.note(
            f"{version.ref} has no compressed model whose certificate covers {tolerance:g}; the dense one is used."
        )
    ways = parse_ways(missing, version)
    if table is not None:
        if set(ways) - {PATTERNS} or series:
            msg = f"--missing {missing} fills maps, not the rows of a table; leave it out, or give --missing patterns"
            raise UsageError(msg)
        session = with_fallbacks(version, session, device) if ways else session
        target = output or Path(f"{version.ref.name}-{version.ref.selector}_{table.stem}.parquet")
        check_table_output(target)
        check_writable(target)
        _report(sink, predict_table(version, session, table, target, **asked), session)
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
    if sensor_error is not None and (field is None or correct == "none"):
        msg = "--sensor-error is for the correction to a coarse mean; give --coarse FILE or --correct exact"
        raise UsageError(msg)
    tags = {"time_coverage_start": f"{day}T00:00:00Z", "time_coverage_end": f"{day}T23:59:59Z"} if day else {}
    tags |= {f"compressed_{key}": str(value) for key, value in _compressed(session).items() if key != "uncovered"}
    others = open_series(series or (), request, session.names)
    moment = Date.fromisoformat(day) if others and day else None
    with bridged(
        version, session, opened_stack, ways, day=moment, series=others, reach=reach, device=device
    ) as found:  # fmt: skip
        tags |= {"missing_predictors": ", ".join(ways)} if ways else {}
        done = predict_map(
            version,
            found.session,
            found.stack,
            target,
            coarse=field,
            correct=mode,
            sensor_error=sensor_error,
            tags=tags,
            further=found.further,
            **asked,
        )
        _report(sink, done, session, found)


def _correction(text: str | None) -> Mode:
    from zoo.errors import UsageError

    if text not in (None, "none", "smooth", "exact"):
        msg = f"--correct {text!r} is not known; expected none, smooth or exact"
        raise UsageError(msg)
    return cast("Mode", text or "exact")


def _strict(strict: bool, share: float) -> float | None:
    """Return the largest share of pixels out of the domain; None where all may be."""
    from zoo.errors import UsageError

    if not 0 <= share < 1:
        msg = f"--strict-share is {share:g}; give a share of the pixels, from 0 to below 1, for example 0.05"
        raise UsageError(msg)
    return share if strict or share > 0 else None


def _area_of(version: Resolved) -> tuple[float, float, float, float] | None:
    area = version.record.bbox
    return (area[0], area[1], area[2], area[3]) if area else None


def _made_by_zoo_stack(arguments: list[str] | None) -> StackFolder | None:
    """Open the folder that `--stack` names if `zoo stack` made it."""
    from zoo.stack.record import NAME

    if not arguments or len(arguments) != 1 or not (Path(arguments[0]) / NAME).is_file():
        return None
    from zoo.stack.folder import StackFolder

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
    from zoo.inference.certified import CertifiedSession

    return session.facts() if isinstance(session, CertifiedSession) else {}


def _domain(done: Prediction) -> str:
    """Say how many pixels are unlike the training; of a sample if not all were compared."""
    if done.out_of_domain_share is None:
        return ""
    whole = done.compared == done.predicted
    return f"{done.out_of_domain_share:.2%}{'' if whole else f' of a sample of {done.compared:,}'}"


def _report(sink: Output, done: Prediction, session: Session, found: Bridged | None = None) -> None:
    payload: dict[str, Any] = {
        "model": done.model,
        "artifacts": {"map" if done.path.suffix in (".tif", ".nc") else "table": str(done.path)},
        "provider": done.provider,
        "pixels": done.pixels,
        "predicted": done.predicted,
        "out_of_range": done.out_of_range,
        "water": done.water,
        "out_of_domain": done.out_of_domain,
        "out_of_domain_share": done.out_of_domain_share,
        "correction": done.correction,
        "compressed": _compressed(session),
        "methods": dict(found.pixels) if found else {},
        "filled": found.filled if found else {},
    }
    rows = [
        ("model", done.model),
        ("written", done.path),
        ("ran on", done.provider),
        ("pixels with a value", f"{done.predicted:,} of {done.pixels:,}"),
        ("masked as open water", f"{done.water:,}"),
        ("clipped to the physical range", f"{done.out_of_range:,}"),
        *([("out of the model's domain", domain)] if (domain := _domain(done)) else []),
        *((name.replace("_", " "), f"{count:,}") for name, count in payload["methods"].items()),
        *((f"compressed: {key}", value) for key, value in _compressed(session).items()),
        *((f"correction: {key}", value) for key, value in done.correction.items()),
    ]
    sink.result(payload, lambda console: console.print(make_table("Prediction", ("", ""), rows)))
    if done.predicted and done.path.suffix == ".tif":
        sink.note(f"Next: zoo validate --map {done.path} --reference STATIONS.parquet")
