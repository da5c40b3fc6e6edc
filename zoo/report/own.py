"""The report of a user's own maps: read, compare with every reference, draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.explain.importance import importance
from zoo.explain.response import partial_dependence, sample_stack
from zoo.grids import as_array, geobox_of
from zoo.inputs import open_coarse_file
from zoo.maps import date_of, read_map
from zoo.matching.pairs import values_at
from zoo.matching.station_days import score_station_days
from zoo.report.page import Listening, write_report
from zoo.report.scatter import Scatter
from zoo.report.series import StationSeries, station_series
from zoo.report.stations import at_stations
from zoo.samples.rows import file_hashes, read_table
from zoo.scores.metrics import METRICS
from zoo.types import Score
from zoo.validation import is_simulated, read_reference, validate_map

if TYPE_CHECKING:
    from zoo.inference.runtime import Session
    from zoo.stack import Stack

__all__ = ["Named", "OwnReport", "report_maps"]

MOST_STATIONS = 6
"""Stations whose course is drawn where none is named."""
STATION_DAYS = "station-days"
"""What pairs are called in the report; those of several models stand in one table."""
MOST_ROWS = 2000
"""Rows of a reference on which predictors are shuffled."""


@dataclass(frozen=True, slots=True)
class Named:
    """A file, and what it is called in the report; maps of one name are one product on several dates."""

    name: str
    path: Path

    @classmethod
    def parse(cls, text: str) -> Named:
        """Read `NAME=FILE` or `FILE`, which is named like the file."""
        name, equals, path = text.partition("=")
        if equals and not path:
            msg = f"{text!r} names no file; give NAME=FILE, for example DBN=map.tif"
            raise UsageError(msg)
        return cls(name, Path(path)) if equals else cls(Path(text).stem, Path(text))


@dataclass(slots=True)
class OwnReport:
    """What a report of maps found.

    Attributes
    ----------
    report : the HTML file
    scores : all scores, by the labels of the report
    simulated : whether a map or a reference says so
    notes : comparisons that could not be made, and other remarks
    """

    report: Path
    scores: list[Score] = field(default_factory=list)
    simulated: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Material:
    """What was read: label -> map, name -> product's maps, name -> reference, and the comparisons."""

    maps: dict[str, xr.DataArray]
    products: dict[str, list[xr.DataArray]]
    coarse: dict[str, xr.DataArray]
    references: dict[str, xr.DataArray | pd.DataFrame]
    scatters: list[Scatter] = field(default_factory=list)
    residuals: dict[str, tuple[xr.DataArray, xr.DataArray]] = field(default_factory=dict)
    pairs: list[pd.DataFrame] = field(default_factory=list)


def report_maps(
    path: Path,
    maps: Sequence[Named],
    references: Sequence[Named] = (),
    *,
    coarse: Sequence[Named] = (),
    model: tuple[Session, Stack] | None = None,
    pairs: Sequence[Named] = (),
    seen: bool = False,
    stations: Sequence[str] = (),
    title: str = "Soil moisture, downscaled",
    seed: int = 0,
) -> OwnReport:
    """Write the report of maps, each compared with every reference.

    Parameters
    ----------
    path : .html file; figures are written beside it as PNG and SVG
    maps : .tif or .nc; several of one name are one product on several dates
    references : stations, rasters or granules, see `zoo.validation`
    coarse : coarse fields, drawn beside the maps and in the time series
    model : session and predictors, to show what the model listens to: on the rows of the first reference
    pairs : tables with station, time, observed and predicted, as `zoo validate --pairs` writes them: scored in time,
        in space and pooled
    seen : whether the maps' models were trained on the references
    stations : whose course is drawn; by default the six with most measurements
    title : of the page
    seed : of bootstrap and shuffles

    Raises
    ------
    DataError
        If a file cannot be read, or no map could be compared with any reference.
    UnknownNameError
        If a station is none of the reference's.
    UsageError
        If stations are named and no reference holds any.
    """
    found = _read(maps, references, coarse)
    _check_stations(found, stations)
    done = OwnReport(path)
    _compare(found, done, seed, seen)
    _score_pairs(pairs, found, done, seed)
    everything = [*found.maps.values(), *found.coarse.values(), *found.references.values()]
    done.simulated = any(is_simulated(source) for source in everything)
    series = _series(found, stations)
    drawn = {one.station for one in series}
    done.notes += [
        f"Station {name} is not drawn: on the maps' days there is no value of it, nor of any map in its place"
        for name in stations
        if name not in drawn
    ]
    rasters = {name: field_ for name, field_ in found.references.items() if isinstance(field_, xr.DataArray)}
    write_report(
        path,
        title=title,
        simulated=done.simulated,
        maps={**found.coarse, **rasters, **found.maps},
        stations=_markers(found),
        residuals=found.residuals,
        scatters=found.scatters,
        series=series,
        scores=done.scores,
        notes=done.notes,
        listening=_listening(found, model, seed) if model else None,
        provenance=_provenance([*maps, *references, *coarse, *pairs], found),
        pictures_beside=True,
    )
    return done


def _read(maps: Sequence[Named], references: Sequence[Named], coarse: Sequence[Named]) -> _Material:
    arrays = [(item.name, read_map(item.path)) for item in maps]
    names = [name for name, _ in arrays]
    labelled: dict[str, xr.DataArray] = {}
    products: dict[str, list[xr.DataArray]] = {}
    for name, array in arrays:
        label = f"{name}, {date_of(array.attrs)}" if names.count(name) > 1 else name
        if label in labelled:
            msg = f"Two maps are called {label!r}; give them names, --map NAME=FILE"
            raise UsageError(msg)
        labelled[label] = array
        products.setdefault(name, []).append(array)
    box = geobox_of(arrays[0][1])
    fields = {_label(item, coarse): open_coarse_file(item.path, box) for item in coarse}
    known = {item.name: read_reference(item.path, box) for item in references}
    return _Material(labelled, products, fields, known)


def _label(item: Named, items: Sequence[Named]) -> str:
    return item.name if [other.name for other in items].count(item.name) == 1 else f"{item.name} ({item.path.stem})"


def _score_pairs(pairs: Sequence[Named], found: _Material, done: OwnReport, seed: int) -> None:
    """Score station-days: every station in time, every day in space, and all rows pooled."""
    for item in pairs:
        days = score_station_days(
            read_table(item.path),
            estimator=item.name,
            reference=STATION_DAYS,
            split="held out as the pairs were",
            metrics=METRICS,
            seed=seed,
        )
        done.scores += days.scores
        observed, predicted = days.pairs["observed"], days.pairs["predicted"]
        found.scatters.append(Scatter(item.name, f"{STATION_DAYS}, pooled", observed, predicted))


def _compare(found: _Material, done: OwnReport, seed: int, seen: bool) -> None:
    """Score every map against every reference that shares its place and time."""
    for name, reference in found.references.items():
        for label, moisture in found.maps.items():
            try:
                result = validate_map(moisture, reference, estimator=label, reference_name=name, seen=seen, seed=seed)
            except DataError as error:
                done.notes.append(f"{label} is not compared with {name}: {error}")
                continue
            done.scores += result.scores
            done.notes += [f"{label}: {note}" for note in result.notes]
            found.pairs.append(result.pairs)
            found.scatters.append(Scatter(label, name, result.pairs["observed"], result.pairs["predicted"]))
            if isinstance(reference, xr.DataArray):
                found.residuals[f"{label} minus {name}"] = (moisture, reference)
    if found.references and not found.scatters:
        raise DataError("; ".join(done.notes))


def _stations(found: _Material) -> pd.DataFrame | None:
    """Return the measurements of the first reference that holds stations."""
    return next((item for item in found.references.values() if isinstance(item, pd.DataFrame)), None)


def _check_stations(found: _Material, wanted: Sequence[str]) -> None:
    """Refuse stations that are not in the reference, before anything is compared."""
    table = _stations(found)
    if wanted and table is None:
        msg = f"--station {wanted[0]} needs measurements; give --reference STATIONS.parquet, see: zoo reference list"
        raise UsageError(msg)
    known = set() if table is None else set(table["station"].astype(str))
    for name in wanted:
        if name not in known:
            kind = "station"
            raise UnknownNameError(kind, name, known, "See: zoo reference list", most=MOST_STATIONS)


def _markers(found: _Material) -> pd.DataFrame | None:
    """Return the stations with their mean on the day of the first map."""
    table = _stations(found)
    if table is None:
        return None
    day = date_of(next(iter(found.maps.values())).attrs)
    if day is None:
        return table.groupby("station", as_index=False)[["lon", "lat"]].mean()
    return at_stations(table, day, {}).rename(columns={"in_situ": "sm"})


def _series(found: _Material, wanted: Sequence[str]) -> list[StationSeries]:
    table = _stations(found)
    if table is None:
        return []
    first = next(iter(found.maps.values()))
    inside = table[np.isfinite(values_at(first, table["lon"], table["lat"]))]
    names = list(wanted) or inside["station"].value_counts().index[:MOST_STATIONS].tolist()
    coarse = {"coarse": list(found.coarse.values())} if found.coarse else {}
    series = station_series(table, {**coarse, **found.products}, names)
    return [one for one in series if any(line.notna().any() for line in one.lines.values())]


def _listening(found: _Material, model: tuple[Session, Stack], seed: int) -> Listening:
    """Ask the model in the pixels that the first reference knows."""
    session, stack = model
    names = session.features_in(stack.names, allow_extra=True)
    label = str(session.header.downscaler)
    responses = {label: partial_dependence(session, sample_stack(stack, names, seed=seed))}
    if not found.pairs:
        return Listening(responses=responses)
    rows = found.pairs[0]
    rows = rows.sample(min(len(rows), MOST_ROWS), random_state=seed).sort_index()
    layers = stack.read(None, names)
    columns = [
        values_at(as_array(layer, stack.geobox, name, {}), rows["lon"], rows["lat"])
        for name, layer in zip(names, layers, strict=True)
    ]
    X = np.column_stack(columns).astype(np.float32)
    whole = np.isfinite(X).all(axis=1)
    groups = rows["block"].to_numpy()[whole] if "block" in rows else None
    if whole.sum() < 3:
        return Listening(responses=responses)
    found_ = importance(
        lambda values: session.predict(values)[0],
        X[whole],
        rows["observed"].to_numpy(float)[whole],
        names,
        groups=groups,
        seed=seed,
    )
    sample = f"{int(whole.sum()):,} rows of {found.scatters[0].reference}"
    return Listening({label: found_}, sample, responses)


def _provenance(items: Sequence[Named], found: _Material) -> dict[str, Any]:
    """Return name and hash of every file, and what the maps say of themselves."""
    told: dict[str, Any] = {}
    for label, moisture in found.maps.items():
        tags = ("model", "model_sha256", "correction", "inputs", "software", "created", "simulated")
        told[label] = {tag: moisture.attrs[tag] for tag in tags if tag in moisture.attrs} or "says nothing of itself"
    files = [item.path for item in items if item.path.is_file()]
    hashes = file_hashes(files)
    return told | {name: f"sha256 {value}" for name, value in hashes.items()}
