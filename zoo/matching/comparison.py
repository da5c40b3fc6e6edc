"""Compare two maps, models or products on one sample: how far their scores differ, and whether by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from zoo.errors import DataError, UsageError
from zoo.granules import Selection
from zoo.grids import geobox_of
from zoo.inputs import open_coarse_file
from zoo.maps import date_of
from zoo.matching.pairs import NEAREST, Match, match_field, on_grid_of, place_stations
from zoo.scores.metrics import ALL_METRICS, score_table
from zoo.scores.paired import Difference, paired_differences
from zoo.scores.triple_collocation import Collocated, triple_collocation
from zoo.stack.area_mean import area_of
from zoo.types import Score
from zoo.validation import CELLS_SEEN, INDEPENDENT, STATIONS_SEEN, is_simulated, matching_of, read_reference, row_notes

__all__ = ["Comparison", "compare_columns", "compare_maps", "open_product"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison of A and B gave.

    Attributes
    ----------
    names : labels of A and B
    reference : label of what both were compared with
    differences : metric by metric, A minus B, see `zoo.scores.paired`
    scores : of A and of B on the common sample
    pairs : the sample: observed, a, b, and station, block or time where there is one
    dropped : rows, stations or cells left out, by reason
    split : how the sample was held out, and what hangs together in it
    collocated : triple collocation of A, B and the reference, if asked for
    left_out, matching, region, period, simulated, notes : see `zoo.validation.Validation`
    """

    names: tuple[str, str]
    reference: str
    differences: list[Difference]
    scores: list[Score]
    pairs: pd.DataFrame
    dropped: dict[str, int]
    split: str
    collocated: list[Collocated] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    matching: dict[str, Any] = field(default_factory=dict)
    region: str | None = None
    period: str | None = None
    simulated: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def difference_scores(self) -> list[Score]:
        """Return the differences as scores `<metric>_difference` of `A minus B`, as a registry keeps them."""
        label = " minus ".join(self.names)
        return [
            Score(label, f"{d.metric}_difference", d.difference, d.n, d.ci_low, d.ci_high, self.reference, self.split)
            for d in self.differences
        ]


def compare_maps(
    a: xr.DataArray,
    b: xr.DataArray,
    reference: Path | xr.DataArray | pd.DataFrame,
    *,
    names: tuple[str, str] = ("A", "B"),
    when: Selection | None = None,
    depth: tuple[float, float] = (0.0, 0.05),
    match: Match = NEAREST,
    reference_name: str | None = None,
    collocate: bool = False,
    seen: bool = False,
    seed: int = 0,
    metrics: Sequence[str] = ALL_METRICS,
    selection: Mapping[str, Any] | None = None,
) -> Comparison:
    """Compare two fields of soil moisture with a reference, where all three have a value.

    Parameters
    ----------
    a, b : dims (y, x), m3 m-3. Against a field, B is first brought to the grid of A (area mean if it is finer,
        else the pixel that the centre lies in)
    reference : stations, a raster or a sensor's granule, or one of them in memory
    names : labels of A and B
    when, depth, match : see `zoo.validation.validate_map`; the day is by default that of A, else that of B
    collocate : whether to add triple collocation, which takes the three errors to be independent
    seen : whether A or B was trained on the reference; the scores then say so
    seed : of bootstrap and permutations
    metrics : which
    selection : what to take of a file of stations, keywords of `zoo.types.StationSelection`

    Returns
    -------
    Stations that share a pixel in both maps are averaged. Pixels of a field hang together in blocks.

    Raises
    ------
    DataError
        If nothing is common to the three.
    UsageError
        If stations need a date and neither map has one.
    """
    chosen = selection or {}
    known = read_reference(reference, geobox_of(a), **chosen) if isinstance(reference, Path) else reference
    name = reference_name or (
        reference.name if isinstance(reference, Path) else str(known.attrs.get("product", "reference"))
    )
    day = date_of(a.attrs) or date_of(b.attrs)
    when = when or (Selection(day) if day else None)
    left_out: dict[str, list[str]] = {}
    groups: npt.NDArray[np.int64] | None = None
    if isinstance(known, pd.DataFrame):
        if when is None:
            msg = "Neither A nor B says its date, and stations need one; give --date YYYY-MM-DD"
            raise UsageError(msg)
        table, dropped, left_out = _at_stations(a, b, known, when, depth, match)
    else:
        table, dropped = _in_cells(a, b, known)
        groups = table["block"].to_numpy()
    if table.empty:
        reasons = ", ".join(f"{reason} {count}" for reason, count in dropped.items() if count)
        msg = f"A, B and {name} have no place in common ({reasons}); check place, --date, --depth"
        raise DataError(msg)
    split = INDEPENDENT if not seen else STATIONS_SEEN if isinstance(known, pd.DataFrame) else CELLS_SEEN
    done = _compared(table, groups, names, name, split, collocate, seed, metrics)
    return Comparison(
        **done,
        dropped=dropped,
        left_out=left_out,
        matching=matching_of(known, when, depth, match, dropped, chosen),
        region=str(area_of(geobox_of(a))),
        period=str(when) if when else None,
        simulated=is_simulated(a) or is_simulated(b) or is_simulated(known),
        notes=[*_notes(a, b), *row_notes(known)],
    )


def compare_columns(
    table: pd.DataFrame,
    *,
    names: tuple[str, str],
    reference_name: str,
    groups: str | None = "station",
    split: str = INDEPENDENT,
    collocate: bool = False,
    seed: int = 0,
    metrics: Sequence[str] = ALL_METRICS,
) -> Comparison:
    """Compare two columns of predictions in one table.

    Parameters
    ----------
    table : columns observed, a, b (m3 m-3), and the one that `groups` names
    names, reference_name, split : labels
    groups : column whose rows hang together, for example the station; None where rows are independent
    collocate, seed, metrics : see `compare_maps`

    Raises
    ------
    DataError
        If a column is missing or no row has all three values.
    """
    wanted = ["observed", "a", "b", *([groups] if groups else [])]
    if missing := [name for name in wanted if name not in table]:
        msg = f"The table lacks {', '.join(missing)}; it has {', '.join(map(str, table.columns))}; name the columns"
        raise DataError(msg)
    rows = table[[*wanted, *(["time"] if "time" in table else [])]].dropna(subset=wanted).reset_index(drop=True)
    if rows.empty:
        msg = f"No row of the table has an observed value and both predictions ({len(table)} rows); check the columns"
        raise DataError(msg)
    labels = rows[groups].to_numpy() if groups else None
    text = split if groups is None else f"pooled; {split}; rows of one {groups} together"
    done = _compared(rows, labels, names, reference_name, text, collocate, seed, metrics)
    return Comparison(**done, dropped={"missing": len(table) - len(rows)})


def _compared(
    table: pd.DataFrame,
    groups: npt.NDArray[Any] | None,
    names: tuple[str, str],
    reference: str,
    split: str,
    collocate: bool,
    seed: int,
    metrics: Sequence[str],
) -> dict[str, Any]:
    """Score both on the sample and compare them."""
    columns = table["observed"], table["a"], table["b"]
    labels: dict[str, Any] = {"reference": reference, "split": f"{split}; common sample", "groups": groups}
    scores = [
        score
        for name, column in zip(names, columns[1:], strict=True)
        for score in score_table(columns[0], column, estimator=name, seed=seed, metrics=metrics, **labels)
    ]
    three = (*names, reference)
    return {
        "names": names,
        "reference": reference,
        "differences": paired_differences(*columns, groups=groups, seed=seed, metrics=metrics),
        "scores": scores,
        "pairs": table,
        "split": labels["split"],
        "collocated": triple_collocation(*columns[1:], columns[0], names=three, groups=groups, seed=seed)
        if collocate
        else [],
    }


def _at_stations(
    a: xr.DataArray,
    b: xr.DataArray,
    stations: pd.DataFrame,
    when: Selection,
    depth: tuple[float, float],
    match: Match,
) -> tuple[pd.DataFrame, dict[str, int], dict[str, list[str]]]:
    """Read both maps at the stations that both have; those in one pixel of both are averaged."""
    (one, lost), (other, lost_too) = (place_stations(field_, stations, when, depth, match) for field_ in (a, b))
    both = one.merge(other[["station", "row", "column", "predicted"]], on="station", suffixes=("_a", "_b"))
    pixel = ["row_a", "column_a", "row_b", "column_b"]
    table = both.groupby(pixel, as_index=False).agg(
        station=("station", "+".join),
        lon=("lon", "mean"),
        lat=("lat", "mean"),
        observed=("observed", "mean"),
        a=("predicted_a", "mean"),
        b=("predicted_b", "mean"),
    )
    left_out = {reason: sorted({*lost[reason], *lost_too[reason]}) for reason in lost}
    dropped = {reason: len(names) for reason, names in left_out.items()}
    dropped["shared_pixel"] = len(both) - len(table)
    return table.drop(columns=pixel), dropped, left_out


def _in_cells(a: xr.DataArray, b: xr.DataArray, reference: xr.DataArray) -> tuple[pd.DataFrame, dict[str, int]]:
    """Pair the pixels that A and B both have with a field."""
    other = on_grid_of(b, a)
    common = np.isfinite(a.to_numpy()) & np.isfinite(other.to_numpy())
    one, two = (match_field(field_.where(common), reference) for field_ in (a, other))
    table = one.table.rename(columns={"predicted": "a"}).assign(b=two.table["predicted"].to_numpy())
    return table, one.dropped


def open_product(path: Path, like: xr.DataArray | None) -> xr.DataArray:
    """Open A or B from a file: a map, or a coarse sensor's granule around the other one."""
    from zoo.inputs import sensor_of
    from zoo.maps import read_map

    if sensor_of(path) is None:
        return read_map(path)
    if like is None:
        msg = f"{path.name} is a granule of a coarse sensor; give a map or a model as the other one"
        raise UsageError(msg)
    return open_coarse_file(path, geobox_of(like))


def _notes(a: xr.DataArray, b: xr.DataArray) -> list[str]:
    """Remark on dates that differ."""
    days = date_of(a.attrs), date_of(b.attrs)
    if None not in days and days[0] != days[1]:
        return [f"A is of {days[0]}, B of {days[1]}"]
    return []
