"""Score a series of maps against stations: in time, in space and pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from zoo.errors import DataError, UsageError
from zoo.granules import Selection
from zoo.grids import geobox_of
from zoo.inputs import open_coarse_file
from zoo.maps import date_of, read_map
from zoo.matching.pairs import NEAREST, Match, match_stations
from zoo.matching.station_days import StationDays, score_station_days
from zoo.progress import track
from zoo.scores.metrics import ALL_METRICS
from zoo.stack.area_mean import area_of
from zoo.types import Score
from zoo.validation import (
    INDEPENDENT,
    STATIONS_SEEN,
    coarse_consistency,
    is_simulated,
    matching_of,
    read_reference,
    row_notes,
    with_coarse,
)

__all__ = ["SeriesValidation", "validate_series"]


@dataclass(frozen=True, slots=True)
class SeriesValidation:
    """What a series of maps gave; see `zoo.matching.station_days` and `zoo.validation` for the parts.

    Attributes
    ----------
    days : temporal, spatial and pooled scores
    consistency : date -> the map averaged back against its coarse field, where one was given
    dropped, left_out : date -> stations left out, by reason
    model : `name@vN` that all maps say they were made with, else None
    region, period : where and when
    simulated : whether a map or the reference says so
    matching : how maps and stations were brought together
    notes : remarks for a person
    """

    days: StationDays
    consistency: dict[str, list[Score]]
    dropped: dict[str, dict[str, int]]
    left_out: dict[str, dict[str, list[str]]]
    model: str | None
    region: str
    period: str
    simulated: bool
    matching: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def validate_series(
    maps: Sequence[Path | xr.DataArray],
    reference: Path | pd.DataFrame,
    *,
    when: Sequence[Selection | None] = (),
    depth: tuple[float, float] = (0.0, 0.05),
    match: Match = NEAREST,
    coarse: Sequence[Path | xr.DataArray] = (),
    estimator: str = "map",
    reference_name: str | None = None,
    seen: bool = False,
    fewest_times: int = 5,
    fewest_stations: int = 5,
    seed: int = 0,
    metrics: Sequence[str] = ALL_METRICS,
    selection: Mapping[str, Any] | None = None,
) -> SeriesValidation:
    """Score maps of several dates against stations.

    Parameters
    ----------
    maps : .tif or .nc files, or arrays, one a date
    reference : stations, a file or a table
    when : period of each map, in their order; by default each map's own day
    coarse : coarse fields that the maps were made from; each goes with the maps of its day
    depth, match, estimator, reference_name, seen, seed, metrics, selection : see `zoo.validation.validate_map`
    fewest_times, fewest_stations : see `zoo.matching.station_days.score_station_days`

    Raises
    ------
    DataError
        If a file cannot be read, or no station has a value on any date.
    UsageError
        If a map has no date, two have the same, or the reference is no table of stations.
    """
    arrays = [read_map(source) if isinstance(source, Path) else source for source in maps]
    chosen = selection or {}
    known = read_reference(reference, geobox_of(arrays[0]), **chosen) if isinstance(reference, Path) else reference
    if not isinstance(known, pd.DataFrame):
        msg = "A series of maps is scored against stations; give a table of them, or one map at a time"
        raise UsageError(msg)
    periods = _periods(arrays, when)
    name = reference_name or (reference.name if isinstance(reference, Path) else "stations")
    fields = _by_day(coarse, arrays[0])
    table, dropped, left_out = _matched(arrays, periods, known, depth, match, fields)
    split = STATIONS_SEEN if seen else INDEPENDENT
    labels: dict[str, Any] = {"estimator": estimator, "reference": name, "split": split}
    few: dict[str, Any] = {"fewest_times": fewest_times, "fewest_stations": fewest_stations}
    models = {array.attrs.get("model") for array in arrays}
    return SeriesValidation(
        days=score_station_days(table, seed=seed, metrics=metrics, **labels, **few),
        consistency={
            str(period.date): coarse_consistency(array, fields[period.date], estimator, seed, metrics)
            for array, period in zip(arrays, periods, strict=True)
            if period.date in fields
        },
        dropped=dropped,
        left_out=left_out,
        model=models.pop() if len(models) == 1 else None,
        region=str(area_of(geobox_of(arrays[0]))),
        period=f"{min(p.date for p in periods)}/{max(p.date for p in periods)}",
        simulated=any(is_simulated(array) for array in arrays) or is_simulated(known),
        matching=matching_of(known, periods[0], depth, match, _total(dropped), chosen),
        notes=[
            *(f"No coarse field for {p.date}" for p in periods if fields and p.date not in fields),
            *row_notes(known),
        ],
    )


def _periods(arrays: Sequence[xr.DataArray], when: Sequence[Selection | None]) -> list[Selection]:
    """Return the period of each map."""
    chosen = [*when] or [None] * len(arrays)
    if len(chosen) != len(arrays):
        msg = f"{len(arrays)} maps and {len(chosen)} dates; give --date once a map, in their order, or not at all"
        raise UsageError(msg)
    periods = []
    for array, period in zip(arrays, chosen, strict=True):
        day = date_of(array.attrs)
        if period is None and day is None:
            msg = "A map of the series does not say its date; give --date YYYY-MM-DD once a map, in their order"
            raise UsageError(msg)
        periods.append(period or Selection(day))  # type: ignore[arg-type]
    if len({period.date for period in periods}) < len(periods):
        msg = "Two maps of the series are of one date; give one map a date"
        raise UsageError(msg)
    return periods


def _by_day(coarse: Sequence[Path | xr.DataArray], like: xr.DataArray) -> dict[date, xr.DataArray]:
    """Open coarse fields by their day."""
    fields = {}
    for source in coarse:
        array = open_coarse_file(source, geobox_of(like)) if isinstance(source, Path) else source
        day = date_of(array.attrs)
        if day is None:
            msg = f"{source if isinstance(source, Path) else 'A coarse field'} does not say its date; give a granule"
            raise UsageError(msg)
        fields[day] = array
    return fields


def _matched(
    arrays: Sequence[xr.DataArray],
    periods: Sequence[Selection],
    stations: pd.DataFrame,
    depth: tuple[float, float],
    match: Match,
    fields: dict[date, xr.DataArray],
) -> tuple[pd.DataFrame, dict[str, dict[str, int]], dict[str, dict[str, list[str]]]]:
    """Pair every map with the stations of its date; one table of stations and times."""
    parts, dropped, left_out = [], {}, {}
    for array, period in track(list(zip(arrays, periods, strict=True)), "matching maps"):
        day = str(period.date)
        pairs = match_stations(array, stations, period, depth, match)
        dropped[day], left_out[day] = pairs.dropped, pairs.left_out
        rows = pairs.table.assign(time=pd.Timestamp(period.date, tz="UTC"))
        if fields:
            rows = with_coarse(rows, fields[period.date]) if period.date in fields else rows.assign(coarse=float("nan"))
        parts.append(rows)
    table = pd.concat(parts, ignore_index=True)
    if table.empty:
        reasons = ", ".join(f"{reason} {count}" for reason, count in _total(dropped).items() if count)
        msg = f"No station has a value in a valid pixel of any of {len(arrays)} maps ({reasons}); check place and dates"
        raise DataError(msg)
    return table.assign(station=_one_name_a_pixel(table["station"])), dropped, left_out


def _one_name_a_pixel(names: pd.Series) -> pd.Series:
    """Give a pixel one name on all dates: that of the most stations seen in it (`A+B` also where B is silent)."""
    longest: dict[str, str] = {}
    for name in sorted(set(names), key=lambda text: text.count("+")):
        for part in name.split("+"):
            longest[part] = name
    return names.map(lambda name: longest[name.split("+")[0]])


def _total(dropped: dict[str, dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in dropped.values():
        for reason, count in counts.items():
            total[reason] = total.get(reason, 0) + count
    return total
