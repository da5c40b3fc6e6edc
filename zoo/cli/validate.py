"""`zoo validate`: score a map, or a model's own map, against stations or another field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli import data as options
from zoo.cli.options import RegistryOption
from zoo.cli.output import JsonOption, Output, QuietOption, table
from zoo.cli.scores import score_payload

if TYPE_CHECKING:
    from rich.console import Console

    from zoo.granules import Selection
    from zoo.registry import Registry, Resolved
    from zoo.validation import Validation

PREDICT = "With --model and no --map: what to predict from (default: the sample scene)"
TITLES = {
    "r": "R (Pearson)",
    "r2": "R2 = 1 - SSE/SST",
    "r2_pearson": "R2 = square of R",
    "rmse": "RMSE, m3 m-3",
    "ubrmse": "ubRMSE, m3 m-3",
    "bias": "bias (map - reference), m3 m-3",
    "mae": "MAE, m3 m-3",
    "mre": "MRE, share of the reference",
}


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("validate")(validate)


def validate(
    reference: Annotated[
        Path,
        typer.Option(
            "--reference", "-r", help="Stations (.parquet, .csv), a raster (.tif, .nc) or a coarse sensor's granule."
        ),
    ],
    map_path: Annotated[
        Path | None, typer.Option("--map", help="Soil-moisture map, .tif or .nc; without it, --model predicts one.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="NAME, NAME@vN or NAME@ALIAS. Default: what the map says it was made with."),
    ] = None,
    date: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Day, UTC. Default: what the map says.")
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time", metavar="HH:MM", help="UTC: each station's value nearest to it.")
    ] = None,
    window: Annotated[
        str | None,
        typer.Option("--window", metavar="3h", help="With --time: the mean over this width. Default: over the day."),
    ] = None,
    depth: Annotated[
        tuple[float, float], typer.Option("--depth", metavar="TOP BOTTOM", help="Layer of the stations, metres.")
    ] = (0.0, 0.05),
    estimator: Annotated[
        str | None, typer.Option("--estimator", help="Label of the scores. Default: the model's downscaler.")
    ] = None,
    seen: Annotated[bool, typer.Option("--seen", help="The model was trained on this reference: say so.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the matched pairs, .csv or .parquet.")
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
    """Score a map against stations, a coarse field or a gridded truth.

    The scores are appended to the model's version in the registry.
    """
    from zoo.errors import UsageError
    from zoo.maps import read_map
    from zoo.registry import Registry
    from zoo.validation import validate_map
    from zoo.writers import check_writable, write_table

    if map_path is None and model is None:
        msg = "Nothing to validate; give --map FILE, or --model NAME to predict a map first"
        raise UsageError(msg)
    if output is not None:
        check_writable(output)
    sink = Output(as_json=as_json, quiet=quiet)
    _check_period(date, time, window)
    opened = Registry.open(registry)
    if map_path is None:
        assert model is not None
        map_path = _predicted(opened, model, sensor=sensor, data=data, area=area, date=date)
    moisture = read_map(map_path)
    version, remark = _version(opened, moisture.attrs, model)
    done = validate_map(
        moisture,
        reference,
        when=_selection(moisture.attrs, date, time, window),
        depth=depth,
        estimator=estimator or (version.record.architecture if version else _label(moisture.attrs, map_path)),
        seen=seen,
        seed=seed,
    )
    if output is not None:
        write_table(output, done.pairs)
    if version is not None:
        opened.append_scores(version.ref, done.scores, {"region": done.region, "period": done.period})
        remark = f"Appended to {version.ref}"
    payload = {
        "model": str(version.ref) if version else None,
        "artifacts": {"map": str(map_path), "reference": str(reference), "pairs": str(output) if output else None},
        "scores": score_payload(done.scores),
        "p": done.p,
        "dropped": done.dropped,
        "simulated": done.simulated,
        "notes": done.notes,
    }
    sink.result(payload, lambda console: _show(console, done))
    for note in (*done.notes, remark):
        sink.note(note)


def _check_period(date: str | None, time: str | None, window: str | None) -> None:
    """Refuse what cannot be a period, before anything is read."""
    from zoo.errors import UsageError
    from zoo.granules import parse_date, parse_time, parse_window

    for text, parse in ((date, parse_date), (time, parse_time), (window, parse_window)):
        if text:
            parse(text)
    if window and not time:
        msg = f"--window {window} needs --time HH:MM, around which it lies"
        raise UsageError(msg)


def _selection(tags: Mapping[str, Any], date: str | None, time: str | None, window: str | None) -> Selection | None:
    """Read the period; a time alone is a time of the map's own day."""
    from zoo.errors import UsageError
    from zoo.granules import Selection, parse_date, parse_time, parse_window
    from zoo.maps import date_of

    if not (date or time):
        return None
    day = parse_date(date) if date else date_of(tags)
    if day is None:
        msg = f"--time {time} needs the day, which the map does not say; give --date YYYY-MM-DD"
        raise UsageError(msg)
    return Selection(day, parse_time(time) if time else None, parse_window(window) if window else None)


def _label(tags: Mapping[str, Any], path: Path) -> str:
    return str(tags.get("model") or path.stem).partition("@")[0]


def _predicted(registry: Registry, model: str, **where: Any) -> Path:
    """Predict the map of a model, uncorrected, and return its path."""
    from zoo.inputs import open_stack
    from zoo.prediction import default_output, open_session, predict_map
    from zoo.writers import check_writable

    version, session = open_session(registry, model)
    bbox = version.record.bbox
    where["area"] = where["area"] or (tuple(bbox) if bbox else None)
    request = options.request(**{**where, "sensor": where["sensor"] or version.record.sensor})
    day = request.selection.date.isoformat()
    path = default_output(version, day)
    check_writable(path)
    tags = {"time_coverage_start": f"{day}T00:00:00Z", "time_coverage_end": f"{day}T23:59:59Z"}
    return predict_map(version, session, open_stack(request, session.names), path, tags=tags).path


def _version(registry: Registry, tags: Mapping[str, Any], wanted: str | None) -> tuple[Resolved | None, str]:
    """Find the version to append to, and say why there is none.

    A map that names another model than the one asked for is an error; one whose model is not the registry's of
    that name (its hash differs) or not in the registry at all is scored without being recorded.
    """
    from zoo.errors import UnknownNameError, UsageError

    made_by, sha256 = tags.get("model"), tags.get("model_sha256")
    if wanted is None and not made_by:
        return None, "Not recorded: the map names no model; give --model NAME@vN"
    try:
        version = registry.resolve(wanted or str(made_by))
    except UnknownNameError:
        if wanted is not None:
            raise
        return None, f"Not recorded: {made_by}, which made the map, is in no registry here; give --registry FILE"
    if made_by and str(version.ref) != str(made_by):
        msg = (
            f"The map was made by {made_by}, not by {version.ref}; leave out --model, or give the map of {version.ref}"
        )
        raise UsageError(msg)
    onnx = version.record.artefacts.get("onnx")
    if sha256 and onnx and onnx.sha256 != sha256:
        return None, f"Not recorded: the map was made by another {made_by} than this registry's; give --registry FILE"
    return version, ""


def _show(console: Console, done: Validation) -> None:
    """Print a metric a row, and what was left out."""
    first = done.scores[0]
    rows = [
        (TITLES[score.metric], *(_text(score.metric, x) for x in (score.value, score.ci_low, score.ci_high)), score.n)
        for score in done.scores
    ]
    rows.insert(1, ("p of R", _p_text(done), "", "", first.n))
    title = f"{first.estimator} against {first.reference}" + (" (simulated data)" if done.simulated else "")
    columns = ("metric", "value", "95 % from", "to", "n")
    console.print(table(title, columns, rows, right=columns[1:]))
    left_out = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in done.dropped.items() if count)
    console.print(f"{first.split}; {done.period or 'no date'}; left out: {left_out or 'none'}")
    if "block" in done.pairs:
        console.print("Neighbouring pixels are not independent: intervals resample blocks, and there is no p")


def _text(metric: str, value: float | None) -> str:
    digits = 3 if metric in ("r", "r2", "r2_pearson", "mre") else 4
    return "-" if value is None else f"{value:.{digits}f}"


def _p_text(done: Validation) -> str:
    if done.p is None:
        return "-"
    return "< 0.0001" if done.p < 1e-4 else f"{done.p:.4f}"
