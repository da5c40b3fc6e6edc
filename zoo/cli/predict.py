"""`zoo predict`: a fine map, or a table of predictions, from a compiled model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli import options, products
from zoo.cli.given import refuse
from zoo.cli.output import JsonOption, Output, QuietOption
from zoo.cli.request import check_correct, request_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.inference.runtime import Session
    from zoo.registry import Resolved

OF_GRANULES = ("area", "time", "window", "orbit", "quality", "variable", "like", "crs", "resolution", "site")
"""Parameters that choose among granules, and bring them onto a grid."""
OF_MAPS = ("sensor", "date", "coarse", "correct", "sensor_error", "texture", "reach")
"""Further parameters that a table has no use for."""
STACK = "Predictors already made"
GAPS = "Clouds"

ModelOption = Annotated[str, typer.Option("--model", "-m", help="NAME, NAME@vN or NAME@ALIAS, see: zoo models list.")]
StackOption = Annotated[
    list[str] | None,
    typer.Option(
        "--stack",
        metavar="NAME=FILE[:BAND]|DIR",
        help="Predictor rasters on one grid; may be repeated.",
        rich_help_panel=STACK,
    ),
]
TableOption = Annotated[
    Path | None,
    typer.Option("--table", help="Parquet or CSV table of predictors.", rich_help_panel=STACK),
]
CoarseOption = Annotated[
    Path | None,
    typer.Option(
        "--coarse",
        help="Coarse soil moisture (a sensor's granule or a raster) whose cell means the map keeps.",
    ),
]
CorrectOption = Annotated[
    str | None,
    typer.Option("--correct", metavar="none|smooth|exact", help="How. Default: exact with --coarse, else none."),
]
SensorErrorOption = Annotated[
    float | None,
    typer.Option(
        "--sensor-error",
        metavar="M3M3",
        help="Keep the coarse means only within this error of the sensor, e.g. 0.04.",
        show_default=False,
    ),
]
TextureOption = Annotated[
    float | None,
    typer.Option(
        "--texture",
        metavar="0-1",
        help="How much of the model's differences inside coarse cells a corrected map keeps. Default: what "
        "training found on held-out cells.",
        show_default=False,
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda", help="Where onnxruntime runs.")]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="auto|fp32|fp16|int8",
        help="Of the network; auto: the fastest form whose certificate covers --tolerance.",
    ),
]
ToleranceOption = Annotated[
    float | None,
    typer.Option(
        "--tolerance",
        metavar="M3M3",
        help="Use a compressed model whose certificate covers this, e.g. 0.001; see zoo export --compress.",
        show_default=False,
    ),
]
UncertaintyOption = Annotated[
    bool,
    typer.Option("--uncertainty", help="Also write the prediction interval and the dissimilarity to the training."),
]
StrictOption = Annotated[
    bool,
    typer.Option("--strict", help="Refuse a map with pixels out of the model's domain."),
]
StrictShareOption = Annotated[
    float,
    typer.Option("--strict-share", metavar="0-1", help="Largest share of them that --strict lets through."),
]
MissingOption = Annotated[
    str | None,
    typer.Option(
        "--missing",
        metavar="none|patterns|temporal|dct-pls",
        help="Where predictors are missing: fallback models, or predictors filled in time or in space; also "
        "several, as A,B. Default: patterns if the model has fallbacks, else none.",
        rich_help_panel=GAPS,
    ),
]
SeriesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--series",
        metavar="DIR|DATE",
        help="Predictors on another date, for --missing temporal or dct-pls; may be repeated.",
        rich_help_panel=GAPS,
    ),
]
ReachOption = Annotated[
    float | None,
    typer.Option(
        "--reach",
        metavar="PIXELS",
        help="Fill no further than this from an observation. Default: 3 with patterns, else no limit.",
        show_default=False,
        rich_help_panel=GAPS,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("-o", "--output", help=".tif (COG), .nc, or .parquet with --table. Default: MODEL_DATE.tif."),
]


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("predict")(predict)


def predict(
    context: typer.Context,
    model: ModelOption,
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
    stack: StackOption = None,
    table: TableOption = None,
    coarse: CoarseOption = None,
    correct: CorrectOption = None,
    sensor_error: SensorErrorOption = None,
    texture: TextureOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    tolerance: ToleranceOption = None,
    uncertainty: UncertaintyOption = False,
    strict: StrictOption = False,
    strict_share: StrictShareOption = 0.0,
    missing: MissingOption = None,
    series: SeriesOption = None,
    reach: ReachOption = None,
    output: OutputOption = None,
    registry: options.RegistryOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Predict soil moisture where the predictors are: from granules, from rasters, or for the rows of a table.

    Without any of them, for the simulated sample scene.
    """
    from zoo.cli.predicted import compressed, report
    from zoo.cli.source import Source
    from zoo.gapfill.prediction import bridged, open_series, parse_ways
    from zoo.prediction import default_output, open_session, predict_map
    from zoo.registry import Registry
    from zoo.tiles.windows import UNCERTAINTY
    from zoo.writers import check_writable

    _check_sources({"--data": data, "--stack": stack, "--table": table})
    if table is not None:
        refuse(context, {*OF_GRANULES, *OF_MAPS}, "--table predicts its rows as they are, and makes no map")
    if stack:
        refuse(context, OF_GRANULES, "--stack has its own place and grid")
    mode = check_correct(correct or "exact")
    _check_ranges(sensor_error, texture, tolerance, reach)
    asked: dict[str, Any] = {"extras": UNCERTAINTY if uncertainty else (), "strict": _strict(strict, strict_share)}
    if output is not None:
        check_writable(output)
    sink, opened = Output(as_json=as_json, quiet=quiet), Registry.open(registry)
    version, session = open_session(opened, model, device, tolerance, precision)
    if tolerance is not None and not compressed(session):
        sink.note(
            f"{version.ref} has no compressed model whose certificate covers {tolerance:g}; the dense one is used."
        )
    ways = parse_ways(missing, version)
    if table is not None:
        _check_table(missing, ways, series)
        _predict_table(sink, version, session, table, output, fallbacks=bool(ways), device=device, asked=asked)
        return
    request = None
    if not stack:
        request = request_of(
            sensor=sensor or (None if site else version.record.sensor), data=data,
            area=area or (None if site else _area_of(version)), date=date, time=time, window=window, orbit=orbit,
            quality=quality, variable=variable, like=like, crs=crs, resolution=resolution, site=site,
        )  # fmt: skip
    source = Source.open(stack, request, session.names, date)
    target = output or default_output(version, source.day or "map")
    check_writable(target)
    field = source.coarse(coarse, correct, sensor, version)
    if field is None or mode == "none":
        _check_uncorrected({"--sensor-error": sensor_error, "--texture": texture})
    others = open_series(series or (), request, session.names)
    moment = source.date if others else None
    with bridged(
        version, session, source.stack, ways, day=moment, series=others, reach=reach, device=device
    ) as found:  # fmt: skip
        done = predict_map(
            version, found.session, found.stack, target, coarse=field, correct=mode, sensor_error=sensor_error,
            texture=texture, tags=_tags(source.day, session, ways), further=found.further, **asked,
        )  # fmt: skip
        report(sink, done, session, version, found)


def _predict_table(
    sink: Output,
    version: Resolved,
    session: Session,
    table: Path,
    output: Path | None,
    *,
    fallbacks: bool,
    device: str,
    asked: dict[str, Any],
) -> None:
    """Predict the rows of a table; with fallback models where predictors are missing."""
    from zoo.cli.predicted import report
    from zoo.gapfill.prediction import with_fallbacks
    from zoo.prediction import check_table_output, predict_table
    from zoo.writers import check_writable

    session = with_fallbacks(version, session, device) if fallbacks else session
    target = output or Path(f"{version.ref.name}-{version.ref.selector}_{table.stem}.parquet")
    check_table_output(target)
    check_writable(target)
    report(sink, predict_table(version, session, table, target, **asked), session, version)


def _tags(day: str | None, session: Session, ways: Sequence[str]) -> dict[str, str]:
    """Say in the map of which day it is, how far a compressed model can be off, and how gaps were bridged."""
    from zoo.cli.predicted import compressed

    facts = {f"compressed_{key}": str(value) for key, value in compressed(session).items() if key != "uncovered"}
    return products.day_tags(day) | facts | ({"missing_predictors": ", ".join(ways)} if ways else {})


def _check_sources(sources: dict[str, object]) -> None:
    from zoo.errors import UsageError

    given = [flag for flag, value in sources.items() if value]
    if len(given) > 1:
        msg = f"{' and '.join(given)} exclude one another; give one source of predictors"
        raise UsageError(msg)


def _check_ranges(
    sensor_error: float | None, texture: float | None, tolerance: float | None, reach: float | None
) -> None:
    from zoo.errors import UsageError

    if sensor_error is not None and not (0 < sensor_error < 1):
        msg = f"--sensor-error {sensor_error:g} is out of range; give m3 m-3, for example 0.04 for SMAP"
        raise UsageError(msg)
    if texture is not None and not 0 <= texture <= 1:
        msg = f"--texture {texture:g} is out of range; give a number from 0 (smooth inside cells) to 1 (as predicted)"
        raise UsageError(msg)
    if tolerance is not None and not 0 < tolerance < 1:
        msg = f"--tolerance {tolerance:g} is out of range; give m3 m-3 above 0 and below 1, for example 0.001"
        raise UsageError(msg)
    if reach is not None and not reach > 0:
        msg = f"--reach {reach:g} is out of range; give pixels above 0, for example 3"
        raise UsageError(msg)


def _check_table(missing: str | None, ways: Sequence[str], series: list[str] | None) -> None:
    from zoo.errors import UsageError
    from zoo.gapfill.prediction import PATTERNS

    if set(ways) - {PATTERNS} or series:
        msg = f"--missing {missing} fills maps, not the rows of a table; leave it out, or give --missing patterns"
        raise UsageError(msg)


def _check_uncorrected(given: dict[str, object]) -> None:
    """Refuse options of the correction where there is none."""
    from zoo.errors import UsageError

    for option, value in given.items():
        if value is not None:
            msg = f"{option} is for the correction to a coarse mean; give --coarse FILE or --correct exact"
            raise UsageError(msg)


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
