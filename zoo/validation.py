"""Compare a soil-moisture map with stations or with another field, and score it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import xarray as xr
from odc.geo.geobox import GeoBox

from zoo.errors import DataError, UsageError
from zoo.granules import Selection, claimed
from zoo.grids import geobox_of
from zoo.inputs import open_coarse_file, sensor_of
from zoo.maps import RASTER, date_of, read_map
from zoo.matching import Pairs, match_field, match_stations
from zoo.metrics import p_value, score_table
from zoo.plugins import host, make
from zoo.stack.area_mean import area_of
from zoo.types import ReferenceSpec, Score

__all__ = ["Validation", "validate_map"]

INDEPENDENT = "independent"
STATIONS_SEEN = "stations seen in training"
CELLS_SEEN = "cells seen in training"


@dataclass(frozen=True, slots=True)
class Validation:
    """What a comparison gave.

    Attributes
    ----------
    scores : one estimator against one reference
    pairs : the values behind them, see `zoo.matching`
    dropped : stations or cells left out, by reason
    p : p of r under no correlation; None where rows are blocks of a field and not independent
    model : `name@vN` that the map says it was made with, None if it does not
    region, period : where and when, for the registry
    simulated : whether the map or the reference says so
    notes : remarks for a person
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
) -> Validation:
    """Score a map against a reference.

    Parameters
    ----------
    map_source : .tif or .nc file, or an array, m3 m-3
    reference : table of stations, raster, sensor granule, or one of the two in memory; see `zoo.matching` for
        how each is brought together with the map
    when : the day, time and window in which stations count; by default the map's own day, UTC
    depth : layer of the stations, metres
    estimator : label of the scores; by default the map's model name, else the file's name
    reference_name : label of the reference; by default its file name
    seen : whether the model was trained on the reference; the scores then say so
    seed : of the bootstrap

    Raises
    ------
    DataError
        If a file cannot be read, is not m3 m-3, or shares no place and time with the other.
    UsageError
        If stations need a date and neither the map nor `when` has one.
    """
    moisture = read_map(map_source) if isinstance(map_source, Path) else map_source
    known = _read_reference(reference, geobox_of(moisture)) if isinstance(reference, Path) else reference
    name = reference_name or (
        reference.name if isinstance(reference, Path) else str(known.attrs.get("product", "reference"))
    )
    when = when or _own_day(moisture)
    pairs = _matched(moisture, known, when, depth, name)
    label = estimator or _estimator(moisture, map_source)
    split = INDEPENDENT if not seen else STATIONS_SEEN if isinstance(known, pd.DataFrame) else CELLS_SEEN
    scores = score_table(
        pairs.table["observed"],
        pairs.table["predicted"],
        estimator=label,
        reference=name,
        split=split,
        groups=pairs.groups,
        seed=seed,
    )
    return Validation(
        scores=scores,
        pairs=pairs.table,
        dropped=pairs.dropped,
        p=p_value(scores[0].value, scores[0].n) if pairs.groups is None else None,
        model=moisture.attrs.get("model"),
        region=str(area_of(geobox_of(moisture))),
        period=str(when) if when else None,
        simulated=any(str(source.attrs.get("simulated", "")).lower() == "true" for source in (moisture, known)),
        notes=_notes(moisture, known, when),
    )


def _read_reference(path: Path, box: GeoBox) -> xr.DataArray | pd.DataFrame:
    """Read stations, a raster, or a granule of a coarse sensor around the map."""
    if not path.exists():
        msg = f"{path} does not exist; give --reference STATIONS.parquet, a raster or a sensor's granule"
        raise DataError(msg)
    for spec in host().specs(ReferenceSpec).values():
        if claimed([path], spec.patterns):
            stations: pd.DataFrame = make(spec).open(path)
            return stations
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
) -> Pairs:
    if isinstance(known, pd.DataFrame):
        if when is None:
            msg = "The map does not say its date, and stations need one; give --date YYYY-MM-DD"
            raise UsageError(msg)
        pairs = match_stations(moisture, known, when, depth)
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


def _notes(moisture: xr.DataArray, known: xr.DataArray | pd.DataFrame, when: Selection | None) -> list[str]:
    """Remark on dates that differ and on rows that the reference's reader left out."""
    notes = []
    theirs = date_of({key: value for key, value in known.attrs.items() if key == "time_coverage_start"})
    if when and theirs and theirs != when.date:
        notes.append(f"The map is of {when.date}, the reference of {theirs}")
    left_out = {reason: count for reason, count in known.attrs.get("dropped", {}).items() if count}
    if isinstance(known, pd.DataFrame) and left_out:
        notes.append(f"Rows of the table left out: {', '.join(f'{k} {n:,}' for k, n in left_out.items())}")
    return notes
