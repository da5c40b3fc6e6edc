"""What a reader sees in files: product, period, extent, grid, valid cells, quantiles and quality flags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import xarray as xr

from zoo.errors import DataError
from zoo.granules import claimed, files_under, granules_of, open_sensor, recognise
from zoo.grids import geobox_of, geographic_bounds
from zoo.plugins import host, make
from zoo.progress import track
from zoo.types import Area, Granule, PredictorSpec, Quality, ReferenceSpec, SensorSpec

QUANTILES = {"min": 0.0, "p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}


@dataclass(frozen=True, slots=True)
class Inspection:
    """One granule, or one table of references, as its reader sees it.

    Attributes
    ----------
    facts : JSON-ready description; `fields` in it has one entry for each of `fields`
    fields : soil moisture, or the predictor layers, as DataArrays (y, x); empty for a table
    """

    facts: dict[str, Any]
    fields: tuple[xr.DataArray, ...] = ()


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that could not be read, and why."""

    path: Path
    error: DataError


def inspect_files(
    places: Sequence[Path],
    *,
    area: Area | None = None,
    quality: Quality = "recommended",
    variable: str | None = None,
) -> tuple[list[Inspection], list[Unread]]:
    """Look into files; in a folder only those that a reader claims.

    Parameters
    ----------
    area : the part to look at; everything by default
    quality, variable : see `zoo.types.SensorReader.open`; for predictors `variable` is the one layer to read

    Raises
    ------
    DataError
        If a place does not exist.
    """
    by_spec: dict[str, tuple[SensorSpec | PredictorSpec | ReferenceSpec, list[Path]]] = {}
    unread: list[Unread] = []
    for path in _files(places):
        try:
            spec = recognise(path)
        except DataError as error:
            unread.append(Unread(path, error))
        else:
            by_spec.setdefault(f"{type(spec).__name__} {spec.name}", (spec, []))[1].append(path)
    seen: list[Inspection] = []
    for spec, paths in by_spec.values():
        for item in _items(spec, paths, unread):
            try:
                seen.append(_inspect(spec, item, area, quality, variable))
            except DataError as error:
                unread.append(Unread(item if isinstance(item, Path) else item.paths[0], error))
    return seen, unread


def _files(places: Sequence[Path]) -> Iterable[Path]:
    patterns = [pattern for sensor in host().specs(SensorSpec).values() for pattern in sensor.patterns]
    patterns += [pattern for product in host().specs(PredictorSpec).values() for pattern in product.patterns]
    for place in places:
        found = files_under([place])
        yield from claimed(found, patterns) if place.is_dir() else found


def _items(
    spec: SensorSpec | PredictorSpec | ReferenceSpec, paths: Sequence[Path], unread: list[Unread]
) -> Iterable[Granule | Path]:
    """Granules of a spec, their files joined; a file that is not what its name says goes to `unread`."""
    if isinstance(spec, ReferenceSpec):
        return paths
    reader, sound = make(spec), []
    for path in paths:
        try:
            reader.granule(path)
            sound.append(path)
        except DataError as error:
            unread.append(Unread(path, error))
    return granules_of(spec, sound)


def _inspect(
    spec: SensorSpec | PredictorSpec | ReferenceSpec,
    item: Granule | Path,
    area: Area | None,
    quality: Quality,
    variable: str | None,
) -> Inspection:
    if isinstance(item, Path) or isinstance(spec, ReferenceSpec):
        path = item if isinstance(item, Path) else item.paths[0]
        return Inspection(_table_facts(spec.name, path, make(spec).open(path, area=area)))
    if isinstance(spec, SensorSpec):
        fields = [
            open_sensor(spec, [item], area=area, quality=quality, variable=variable, orbit=orbit)
            for orbit in item.passes or (None,)
        ]
        return Inspection(_granule_facts("sensor", spec.name, item, fields, []), tuple(fields))
    return _inspect_layers(spec, item, area, [layer.name for layer in spec.layers] if variable is None else [variable])


def _inspect_layers(spec: PredictorSpec, item: Granule, area: Area | None, layers: Sequence[str]) -> Inspection:
    """Read each layer; one that the files at hand do not give is listed, unless none is left."""
    reader = make(spec)
    fields: list[xr.DataArray] = []
    errors: dict[str, DataError] = {}
    for layer in track(layers, f"reading {item.id}"):
        try:
            fields += reader.open(list(item.paths), layer, area=area)
        except DataError as error:
            errors[layer] = error
    if errors and not fields:
        raise next(iter(errors.values()))
    if not fields:
        msg = f"{item.id} holds nothing in the area {area}; choose another --area, or leave it out"
        raise DataError(msg)
    return Inspection(_granule_facts("predictor", spec.name, item, fields, list(errors)), tuple(fields))


def _granule_facts(
    kind: str, plugin: str, granule: Granule, fields: Sequence[xr.DataArray], missing: Sequence[str]
) -> dict[str, Any]:
    return {
        "files": [str(path) for path in granule.paths],
        "kind": kind,
        "plugin": plugin,
        "product": granule.product,
        "granule": granule.id,
        "start": _iso(granule.start),
        "end": _iso(granule.end),
        "orbit": granule.orbit,
        "simulated": any(field.attrs.get("simulated") == "true" for field in fields),
        "fields": [field_facts(field) for field in fields],
        "layers_not_readable": list(missing),
    }


def field_facts(field: xr.DataArray) -> dict[str, Any]:
    """Describe one spatial array: grid, extent, valid cells, quantiles (units of the array) and flag counts."""
    box = geobox_of(field)
    values = field.to_numpy()
    valid = values[np.isfinite(values)]
    rows, columns = box.shape.yx
    return {
        "name": str(field.name),
        "long_name": field.attrs.get("long_name"),
        "units": field.attrs["units"],
        "time": None if "time" not in field.coords else f"{np.datetime_as_string(field.time.values, 's')}Z",
        "observed_from": field.attrs.get("time_coverage_start"),
        "observed_to": field.attrs.get("time_coverage_end"),
        "depth": field.attrs.get("depth"),
        "orbit": field.attrs.get("orbit"),
        "notes": list(field.attrs.get("notes", [])),
        "crs": _crs_name(field),
        "rows": rows,
        "columns": columns,
        "cell": [abs(box.resolution.x), abs(box.resolution.y)],
        "bounds": [round(edge, 6) for edge in geographic_bounds(box)],
        "valid": int(valid.size),
        "cells": int(values.size),
        "quantiles": quantiles(valid),
        "flag_counts": dict(field.attrs.get("flag_counts", {})),
    }


def quantiles(valid: np.ndarray[Any, np.dtype[Any]]) -> dict[str, float] | None:
    """Return minimum, 5, 25, 50, 75, 95 % and maximum of the valid values; None if there is none."""
    if not valid.size:
        return None
    found = np.quantile(valid.astype(np.float64), list(QUANTILES.values()))
    return {name: float(value) for name, value in zip(QUANTILES, found, strict=True)}


def _table_facts(plugin: str, path: Path, table: pd.DataFrame) -> dict[str, Any]:
    return {
        "files": [str(path)],
        "kind": "reference",
        "plugin": plugin,
        "stations": int(table["station"].nunique()),
        "measurements": len(table),
        "start": _iso(table["time"].min().to_pydatetime()),
        "end": _iso(table["time"].max().to_pydatetime()),
        "bounds": [float(edge) for edge in (table.lon.min(), table.lat.min(), table.lon.max(), table.lat.max())],
        "depths": sorted(float(depth) for depth in table["depth"].dropna().unique()),
        "units": "m3 m-3",
        "quantiles": quantiles(table["sm"].to_numpy()),
        "fields": [],
    }


def _crs_name(field: xr.DataArray) -> str:
    """Return the authority code, or the name of the projection where there is none."""
    crs = pyproj.CRS.from_user_input(geobox_of(field).crs)
    code = crs.to_epsg()
    if code:
        return f"EPSG:{code}"
    return str(crs.coordinate_operation.method_name if crs.coordinate_operation else crs.name)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
