"""Maps and models that a command scores: predicted where need be, and found in the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.request import check_window, request_of

if TYPE_CHECKING:
    from zoo.granules import Selection
    from zoo.registry import Registry, Resolved


def predicted(registry: Registry, model: str, date: str | None, **where: Any) -> Path:
    """Predict the map of a model for a day, uncorrected, and return its path.

    Parameters
    ----------
    where : sensor, data and area, as in `zoo.cli.request.request_of`
    """
    from zoo.inputs import open_stack
    from zoo.prediction import default_output, open_session, predict_map
    from zoo.writers import check_writable

    version, session = open_session(registry, model)
    bbox = version.record.bbox
    where["area"] = where["area"] or (tuple(bbox) if bbox else None)
    request = request_of(**{**where, "date": date, "sensor": where["sensor"] or version.record.sensor})
    day = request.selection.date.isoformat()
    path = default_output(version, day)
    check_writable(path)
    return predict_map(version, session, open_stack(request, session.names), path, tags=day_tags(day)).path


def day_tags(day: str | None) -> dict[str, str]:
    """Return the tags of a map of a day, YYYY-MM-DD; none without one."""
    return {"time_coverage_start": f"{day}T00:00:00Z", "time_coverage_end": f"{day}T23:59:59Z"} if day else {}


def version_of(registry: Registry, tags: Mapping[str, Any], wanted: str | None) -> tuple[Resolved | None, str]:
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


def label_of(version: Resolved | None, tags: Mapping[str, Any], path: Path) -> str:
    """Return the estimator's name: the model's downscaler, else the model the map names, else the file's name."""
    if version is not None:
        return version.record.architecture
    return str(tags.get("model") or path.stem).partition("@")[0]


def check_period(dates: Sequence[str], time: str | None, window: str | None) -> None:
    """Refuse what cannot be a period, before anything is read."""
    from zoo.granules import parse_date, parse_time, parse_window

    for day in dates:
        parse_date(day)
    if time:
        parse_time(time)
    if window:
        parse_window(window)
    check_window(time, window)


def selection(tags: Mapping[str, Any], date: str | None, time: str | None, window: str | None) -> Selection | None:
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


def read_columns(path: Path, columns: Mapping[str, str]) -> tuple[Any, bool]:
    """Read named columns of a table under the names that are wanted here, and whether it says that it is simulated.

    Parameters
    ----------
    columns : name wanted -> name in the file
    """
    from zoo.errors import UnknownNameError
    from zoo.samples.rows import read_table

    table = read_table(path)
    for wanted, name in columns.items():
        if name not in table:
            kind, hint = f"column in {path.name}", f"Name it with --{wanted} COLUMN."
            raise UnknownNameError(kind, name, map(str, table.columns), hint)
    simulated = False
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        tags = pq.read_schema(path).metadata or {}
        simulated = tags.get(b"simulated", b"").lower() == b"true"
    chosen = table[list(columns.values())]
    return chosen.set_axis(list(columns), axis=1), simulated
