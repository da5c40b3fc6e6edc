"""Compare soil-moisture maps with stations or with another field, and score them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from odc.geo.geobox import GeoBox

from zoo.errors import DataError, UsageError
from zoo.granules import Selection
from zoo.grids import geobox_of
from zoo.inputs import open_coarse_file, sensor_of
from zoo.maps import RASTER, date_of, read_map
from zoo.matching.pairs import NEAREST, Match, Pairs, match_field, match_stations, values_at
from zoo.matching.references import open_reference, reference_of
from zoo.scores.gains import downscaling_gains
from zoo.scores.metrics import METRICS, p_value, pearson_r, score_table
from zoo.stack.area_mean import area_of
from zoo.types import Score

__all__ = ["Validation", "read_reference", "validate_map"]

INDEPENDENT = "independent"
STATIONS_SEEN = "stations seen in training"
CELLS_SEEN = "cells seen in training"
CONSISTENCY = "coarse consistency: the map averaged back over the cells"


@dataclass(frozen=True, slots=True)
class Validation:
    """What a comparison gave.

    Attributes
    ----------
    scores : one estimator against one reference
    pairs : the values behind them, see `zoo.matching.pairs`
    dropped : stations or cells left out, by reason
    p : p of r under no correlation; None where rows are blocks of a field and not independent
    model : `name@vN` that the map says it was made with, None if it does not
    region, period : where and when, for the registry
    simulated : whether the map or the reference says so
    notes : remarks for a person
    left_out : names of the stations behind `dropped`, by reason
    matching : how map and reference were brought together, for the registry: match, depth, time, window, selection
        of stations, rows that their reader dropped, and `dropped`
    consistency : the map averaged back against the coarse field, if one was given
    """

    scores: list[Score]
    pairs: pd.DataFrame
    dropped: dict[str, int]
    p: float | None
    model: str | None
    region: str
    period: str | None
    simulated: bool
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    matching: dict[str, Any] = field(default_factory=dict)
    consistency: list[Score] = field(default_factory=list)


def validate_map(
    map_source: Path | xr.DataArray,
    reference: Path | xr.DataArray | pd.DataFrame,
    *,
    when: Selection | None = None,
    depth: tuple[float, float] = (0.0, 0.05),
    estimator: str | None = None,
    reference_name: str | None = None,
    seen: bool = False,
    seed: int = 0,
    match: Match = NEAREST,
    coarse: Path | xr.DataArray | None = None,
    metrics: Sequence[str] = METRICS,
    selection: Mapping[str, Any] | None = None,
) -> Validation:
    """Score a map against a reference.

    Parameters
    ----------
    map_source : .tif or .nc file, or an array, m3 m-3
    reference : table of stations, raster, sensor granule, or one of the two in memory; see `zoo.matching.pairs` for
        how each is brought together with the map
    when : the day, time and window in which stations count; by default the map's own day, UTC
    depth : layer of the stations, metres
    estimator : label of the scores; by default the map's model name, else the file's name
    reference_name : label of the reference; by default its file name
    seen : whether the model was trained on the reference; the scores then say so
    seed : of the bootstrap
    match : how the map is read at a station
    coarse : the coarse field that the map was made from: adds the gains over it at the stations
        (see `zoo.scores.gains`) and the coarse consistency
    metrics : which
    selection : what to take of a file of stations, keywords of `zoo.types.StationSelection`

    Raises
    ------
    DataError
        If a file cannot be read, is not m3 m-3, or shares no place and time with the other.
    UsageError
        If stations need a date and neither the map nor `when` has one.
    """
    moisture = read_map(map_source) if isinstance(map_source, Path) else map_source
    chosen = selection or {}
    known = read_reference(reference, geobox_of(moisture), **chosen) if isinstance(reference, Path) else reference
    field_ = open_coarse_file(coarse, geobox_of(moisture)) if isinstance(coarse, Path) else coarse
    name = reference_name or (
        reference.name if isinstance(reference, Path) else str(known.attrs.get("product", "reference"))
    )
    when = when or _own_day(moisture)
    pairs = _matched(moisture, known, when, depth, name, match)
    label = estimator or _estimator(moisture, map_source)
    split = INDEPENDENT if not seen else STATIONS_SEEN if isinstance(known, pd.DataFrame) else CELLS_SEEN
    labels: dict[str, Any] = {"estimator": label, "reference": name, "split": split, "seed": seed}
    columns = pairs.table["observed"], pairs.table["predicted"]
    scores = score_table(*columns, groups=pairs.groups, metrics=metrics, **labels)
    table = pairs.table
    if field_ is not None and isinstance(known, pd.DataFrame):
        table = with_coarse(table, field_)
        scores += downscaling_gains(*columns, table["coarse"], **labels)
    return Validation(
        scores=scores,
        pairs=table,
        dropped=pairs.dropped,
        p=p_value(pearson_r(*columns), len(pairs.table)) if pairs.groups is None else None,
        model=moisture.attrs.get("model"),
        region=str(area_of(geobox_of(moisture))),
        period=str(when) if when else None,
        simulated=any(is_simulated(source) for source in (moisture, known) if source is not None),
        notes=_notes(known, when),
        left_out=pairs.left_out,
        matching=matching_of(known, when, depth, match, pairs.dropped, chosen),
        consistency=[] if field_ is None else coarse_consistency(moisture, field_, label, seed, metrics),
    )


def coarse_consistency(
    moisture: xr.DataArray, coarse: xr.DataArray, estimator: str, seed: int, metrics: Sequence[str]
) -> list[Score]:
    """Score a map averaged back over the cells of a coarse field against that field."""
    pairs = match_field(moisture, coarse)
    if pairs.table.empty:
        msg = "No cell of the coarse field is half covered by valid pixels of the map; give a field of the same place"
        raise DataError(msg)
    return score_table(
        pairs.table["observed"],
        pairs.table["predicted"],
        estimator=estimator,
        reference=str(coarse.attrs.get("product", "coarse field")),
        split=CONSISTENCY,
        groups=pairs.groups,
        seed=seed,
        metrics=metrics,
    )


def with_coarse(table: pd.DataFrame, coarse: xr.DataArray) -> pd.DataFrame:
    """Add the column `coarse`: the coarse cell that each row's place lies in."""
    return table.assign(coarse=values_at(coarse, table["lon"], table["lat"]))


def matching_of(
    known: xr.DataArray | pd.DataFrame,
    when: Selection | None,
    depth: tuple[float, float],
    match: Match,
    dropped: dict[str, int],
    selection: Mapping[str, Any],
) -> dict[str, Any]:
    """Say how map and reference were brought together, in values that JSON knows."""
    if not isinstance(known, pd.DataFrame):
        return {"match": "area means", "dropped": dropped}
    return {
        "match": str(match),
        "depth": list(depth),
        "time": when.time.isoformat("minutes") if when and when.time else None,
        "window": str(when.window) if when and when.window else None,
        "selection": {key: list(value) if isinstance(value, tuple) else value for key, value in selection.items()},
        "rows_dropped": dict(known.attrs.get("dropped", {})),
        "dropped": dropped,
    }


def is_simulated(source: xr.DataArray | pd.DataFrame) -> bool:
    """Whether a map or a reference says that it is simulated."""
    return str(source.attrs.get("simulated", "")).lower() == "true"


def read_reference(path: Path, box: GeoBox, **selection: Any) -> xr.DataArray | pd.DataFrame:
    """Read stations (chosen as `zoo.types.StationSelection` says), a raster, or a granule of a coarse sensor."""
    if not path.exists():
        msg = f"{path} does not exist; give --reference STATIONS.parquet, a raster or a sensor's granule"
        raise DataError(msg)
    if (spec := reference_of(path)) is not None:
        return open_reference(path, reader=spec.name, **selection)
    if selection:
        msg = f"{path.name} holds no stations, so there is nothing to choose among; leave out --select"
        raise UsageError(msg)
    if path.suffix.lower() in RASTER or sensor_of(path):
        return open_coarse_file(path, box)
    msg = (
        f"{path.name} is no reference that is read here; expected a table (.parquet, .csv), a raster (.tif, .nc) "
        "or a sensor's granule"
    )
    raise DataError(msg)


def _matched(
    moisture: xr.DataArray,
    known: xr.DataArray | pd.DataFrame,
    when: Selection | None,
    depth: tuple[float, float],
    name: str,
    match: Match,
) -> Pairs:
    if isinstance(known, pd.DataFrame):
        if when is None:
            msg = "The map does not say its date, and stations need one; give --date YYYY-MM-DD"
            raise UsageError(msg)
        pairs = match_stations(moisture, known, when, depth, match)
    else:
        pairs = match_field(moisture, known)
    if pairs.table.empty:
        reasons = ", ".join(f"{reason} {count}" for reason, count in pairs.dropped.items() if count)
        period = f" for {when}" if when else ""
        msg = (
            f"{name} has no value in a valid pixel of the map{period} ({reasons}); "
            "check place, --date, --window, --depth"
        )
        raise DataError(msg)
    return pairs


def _own_day(array: xr.DataArray) -> Selection | None:
    """Return the day that a map says it is of."""
    day = date_of(array.attrs)
    return Selection(day) if day else None


def _estimator(moisture: xr.DataArray, source: Path | xr.DataArray) -> str:
    if model := moisture.attrs.get("model"):
        return str(model).partition("@")[0]
    return source.stem if isinstance(source, Path) else str(source.name)


def _notes(known: xr.DataArray | pd.DataFrame, when: Selection | None) -> list[str]:
    """Remark on dates that differ and on rows that the reference's reader left out."""
    notes = []
    theirs = date_of({key: value for key, value in known.attrs.items() if key == "time_coverage_start"})
    if when and theirs and theirs != when.date:
        notes.append(f"The map is of {when.date}, the reference of {theirs}")
    return notes + row_notes(known)


def row_notes(known: xr.DataArray | pd.DataFrame) -> list[str]:
    """Remark on rows that a reference's reader left out."""
    left_out = {reason: count for reason, count in known.attrs.get("dropped", {}).items() if count}
    if not isinstance(known, pd.DataFrame) or not left_out:
        return []
    return [f"Rows of the table left out: {', '.join(f'{k} {n:,}' for k, n in left_out.items())}"]
