"""What `zoo validate` scores: one map, a series of maps, or a table; and all that is said of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli import products, results
from zoo.cli.scores import score_payload
from zoo.types import Score

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from zoo.matching.map_series import SeriesValidation
    from zoo.matching.station_days import StationDays
    from zoo.registry import Registry, Resolved
    from zoo.validation import Validation


@dataclass(frozen=True, slots=True)
class Outcome:
    """Scores of one call, and all that is said of them.

    Attributes
    ----------
    version : of the model, to which they are appended; None where there is none
    remark : why there is none
    scores : what is appended
    context : where, when and how, kept beside them
    payload : the result for programs
    rows, pairs : the scores and the matched pairs as tables
    show : prints the result for people
    notes : remarks for a person
    """

    version: Resolved | None
    remark: str
    scores: Sequence[Score]
    context: dict[str, Any]
    payload: dict[str, Any]
    rows: pd.DataFrame
    pairs: pd.DataFrame
    show: Callable[[Console], None]
    notes: Sequence[str] = ()


def score_map(
    registry: Registry,
    model: str | None,
    path: Path,
    reference: Path,
    *,
    dates: Sequence[str],
    time: str | None,
    window: str | None,
    coarse: Sequence[Path],
    estimator: str | None,
    **how: Any,
) -> Outcome:
    """Score one map; `how` are further keywords of `zoo.validation.validate_map`.

    Raises
    ------
    UsageError
        If there are several dates or coarse fields, or the map was made by another model.
    """
    from zoo.errors import UsageError
    from zoo.maps import read_map
    from zoo.scores.metrics import ALL_METRICS
    from zoo.validation import validate_map

    if len(dates) > 1 or len(coarse) > 1:
        msg = "One map has one --date and one --coarse; give --map once a date for a series"
        raise UsageError(msg)
    moisture = read_map(path)
    version, remark = products.version_of(registry, moisture.attrs, model)
    done = validate_map(
        moisture,
        reference,
        when=products.selection(moisture.attrs, dates[0] if dates else None, time, window),
        estimator=estimator or products.label_of(version, moisture.attrs, path),
        coarse=coarse[0] if coarse else None,
        metrics=ALL_METRICS,
        **how,
    )
    scores = [*done.scores, *done.consistency]
    return Outcome(
        version,
        remark,
        scores,
        {"region": done.region, "period": done.period, "details": done.matching},
        _map_payload(done, version, path, reference),
        results.score_rows(scores),
        done.pairs,
        lambda console: results.show_validation(console, done),
        done.notes,
    )


def score_series(
    registry: Registry,
    model: str | None,
    maps: Sequence[Path],
    reference: Path,
    *,
    dates: Sequence[str],
    time: str | None,
    window: str | None,
    estimator: str | None,
    **how: Any,
) -> Outcome:
    """Score a series of maps; `how` are further keywords of `zoo.matching.map_series.validate_series`.

    Raises
    ------
    UsageError
        If there are dates, but not one a map, or the maps were made by another model.
    """
    from zoo.errors import UsageError
    from zoo.maps import read_map
    from zoo.matching.map_series import validate_series

    if dates and len(dates) != len(maps):
        msg = f"{len(maps)} maps and {len(dates)} dates; give --date once a map, in their order, or not at all"
        raise UsageError(msg)
    arrays = [read_map(path) for path in maps]
    made_by = {array.attrs.get("model") for array in arrays}
    tags = arrays[0].attrs if len(made_by) == 1 else {}
    version, remark = products.version_of(registry, tags, model)
    days: Sequence[str | None] = dates or [None] * len(maps)
    done = validate_series(
        arrays,
        reference,
        when=[products.selection(a.attrs, day, time, window) for a, day in zip(arrays, days, strict=True)],
        estimator=estimator or products.label_of(version, tags, maps[0]),
        **how,
    )
    title = _title(done.days, done.simulated)
    return Outcome(
        version,
        remark,
        [*done.days.scores, *(score for scores in done.consistency.values() for score in scores)],
        {"region": done.region, "period": done.period, "details": done.matching},
        _series_payload(done, version, maps, reference),
        done.days.table(),
        done.days.pairs,
        lambda console: results.show_series(console, done.days, title, done),
        done.notes,
    )


def score_table(
    registry: Registry,
    model: str | None,
    path: Path,
    columns: dict[str, str],
    *,
    split: str | None,
    estimator: str | None,
    seen: bool,
    seed: int,
) -> Outcome:
    """Score a table of predictions at stations and times; `columns` maps what they mean to their names."""
    from zoo.matching.station_days import score_station_days
    from zoo.validation import INDEPENDENT, STATIONS_SEEN

    rows, simulated = products.read_columns(path, columns)
    version = registry.resolve(model) if model else None
    days = score_station_days(
        rows,
        estimator=estimator or (version.record.architecture if version else columns["predicted"]),
        reference=f"{columns['observed']} of {path.name}",
        split=split or (STATIONS_SEEN if seen else INDEPENDENT),
        seed=seed,
    )
    first, last = days.pairs["time"].min(), days.pairs["time"].max()
    title = _title(days, simulated)
    return Outcome(
        version,
        "Not recorded: give --model NAME@vN",
        days.scores,
        {"period": f"{first:%Y-%m-%d}/{last:%Y-%m-%d}", "details": {"match": "table", **columns}},
        _table_payload(days, version, path, simulated=simulated),
        days.table(),
        days.pairs,
        lambda console: results.show_series(console, days, title),
    )


def _map_payload(done: Validation, version: Resolved | None, path: Path, reference: Path) -> dict[str, Any]:
    return {
        "model": _name(version),
        "artifacts": {"map": str(path), "reference": str(reference)},
        "scores": score_payload(done.scores),
        "consistency": score_payload(done.consistency),
        "p": done.p,
        "dropped": done.dropped,
        "left_out": done.left_out,
        "matching": done.matching,
        "simulated": done.simulated,
        "notes": done.notes,
    }


def _series_payload(
    done: SeriesValidation, version: Resolved | None, maps: Sequence[Path], reference: Path
) -> dict[str, Any]:
    return {
        "model": _name(version),
        "artifacts": {"maps": [*map(str, maps)], "reference": str(reference)},
        **_days_payload(done.days),
        "consistency": {day: score_payload(scores) for day, scores in done.consistency.items()},
        "dropped": {"series": done.days.dropped, **done.dropped},
        "left_out": {"series": done.days.left_out, **done.left_out},
        "matching": done.matching,
        "simulated": done.simulated,
        "notes": done.notes,
    }


def _table_payload(days: StationDays, version: Resolved | None, path: Path, *, simulated: bool) -> dict[str, Any]:
    return {
        "model": _name(version),
        "artifacts": {"table": str(path)},
        **_days_payload(days),
        "dropped": days.dropped,
        "left_out": days.left_out,
        "simulated": simulated,
        "notes": [],
    }


def _days_payload(days: StationDays) -> dict[str, Any]:
    return {
        "scores": score_payload(days.scores),
        "pooled": score_payload(days.pooled),
        "temporal": {unit: score_payload(scores) for unit, scores in days.temporal.items()},
        "spatial": {unit: score_payload(scores) for unit, scores in days.spatial.items()},
        "temporal_summary": [asdict(summary) for summary in days.temporal_summary],
        "spatial_summary": [asdict(summary) for summary in days.spatial_summary],
    }


def _title(days: StationDays, simulated: bool) -> str:
    first = days.pooled[0]
    return f"{first.estimator} against {first.reference}" + (" (simulated data)" if simulated else "")


def _name(version: Resolved | None) -> str | None:
    return str(version.ref) if version else None
