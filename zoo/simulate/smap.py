"""SPL4SMGP granules: global HDF5 on EASE-Grid 2.0 M09, filled only where the scene is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from zoo.grids import centres, ease2_geobox
from zoo.simulate.domain import CELL, PARTS, Domain
from zoo.simulate.fields import Field, block_mean
from zoo.simulate.landscape import Landscape
from zoo.simulate.sensors import smap_cells
from zoo.simulate.surface import Surface

TIMES = (time(10, 30), time(22, 30))
"""Middle of the three-hour means that are written, UTC."""
_FILL = np.float32(-9999)
_CHUNKS = (203, 482)
_EPOCH = datetime(2000, 1, 1, 12, tzinfo=UTC)
"""Seconds are counted from noon, whatever the units text says."""
_LAYERS: dict[str, tuple[str, str, float, float]] = {
    "sm_surface": ("Top layer soil moisture (0-5 cm)", "m3 m-3", 0.0, 0.9),
    "sm_rootzone": ("Root zone soil moisture (0-100 cm)", "m3 m-3", 0.0, 0.9),
    "sm_profile": ("Total profile soil moisture (0 cm to model bedrock depth)", "m3 m-3", 0.0, 0.9),
    "surface_temp": ("Mean land surface temperature (incl. snow-covered land area)", "K", 180.0, 350.0),
    "soil_temp_layer1": ("Soil temperature in layer 1", "K", 210.0, 350.0),
    "snow_mass": ("Average snow mass over the land fraction", "kg m-2", 0.0, 10000.0),
    "snow_depth": ("Snow depth within snow-covered area fraction", "m", 0.0, 50.0),
    "vegetation_greenness_fraction": ("Greenness fraction", "dimensionless", 0.0, 1.0),
    "leaf_area_index": ("Leaf area index", "m2 m-2", 0.0, 10.0),
}


def write_smap(
    folder: Path, domain: Domain, landscape: Landscape, surface: Surface, rng: np.random.Generator
) -> list[Path]:
    """Write the granules of the day."""
    folder.mkdir(parents=True)
    moistures = smap_cells(domain, landscape, len(TIMES), rng)
    paths = []
    for moment, moisture in zip(TIMES, moistures, strict=True):
        stamp = datetime.combine(domain.day, moment, UTC)
        path = folder / f"SMAP_L4_SM_gph_{stamp:%Y%m%dT%H%M%S}_Vv7032_001.h5"
        with h5py.File(path, "w", libver=("earliest", "v110")) as file:
            _write_root(file, path.name, stamp, domain.statement)
            _write_layers(file, domain, _layers(moisture, landscape, surface, moment))
        paths.append(path)
    return paths


def _layers(moisture: Field, landscape: Landscape, surface: Surface, moment: time) -> dict[str, Field]:
    """Model fields of the M09 cells that the base grid holds."""

    def cells(values: Field) -> Field:
        return block_mean(landscape.on_land(values), PARTS * CELL)

    skin = cells(surface.lst_day if moment.hour < 12 else surface.lst_night) - 2.0
    none = np.where(np.isfinite(moisture), 0, np.nan).astype(np.float32)
    root = cells(landscape.root)
    return {
        "sm_surface": moisture,
        "sm_rootzone": (0.5 * moisture + 0.5 * root).astype(np.float32),
        "sm_profile": (0.4 * moisture + 0.6 * root).astype(np.float32),
        "surface_temp": skin,
        "soil_temp_layer1": (0.5 * skin + 0.5 * 285.0).astype(np.float32),
        "snow_mass": none,
        "snow_depth": none,
        "vegetation_greenness_fraction": cells(surface.green),
        "leaf_area_index": cells(surface.lai),
    }


def _write_layers(file: h5py.File, domain: Domain, layers: Mapping[str, Field]) -> None:
    row, column = domain.m09_origin()
    group = file.create_group("Geophysical_Data")
    for name, values in layers.items():
        dataset = group.create_dataset(
            name, ease2_geobox("M09").shape.yx, "f4", chunks=_CHUNKS, compression="gzip", fillvalue=_FILL
        )
        rows, columns = values.shape
        dataset[row : row + rows, column : column + columns] = np.where(np.isfinite(values), values, _FILL)
        long_name, units, low, high = _LAYERS[name]
        _describe(dataset, long_name=long_name, units=units, valid_min=np.float32(low), valid_max=np.float32(high))
        fills = dict.fromkeys(("_FillValue", "missing_value", "fmissing_value"), _FILL)
        _describe(dataset, grid_mapping="EASE2_global_projection", coordinates="/cell_lat /cell_lon", **fills)
        dataset.attrs["DIMENSION_LABELS"] = np.array([b"y", b"x"])


def _write_root(file: h5py.File, name: str, stamp: datetime, statement: str) -> None:
    _describe(
        file,
        Source="SIMULATED",
        Institution="soil-moisture-zoo",
        History="written by zoo simulate",
        Comment=statement,
        Filename=name,
        Title="SMAP L4_SM Geophysical (GPH) Data Granule, SIMULATED",
        Conventions="CF",
        References="docs/simulation.md of soil-moisture-zoo",
        Contact="none",
    )
    _write_coordinates(file)
    projection = file.create_dataset("EASE2_global_projection", data=np.array([b""], dtype="S1"))
    _describe(
        projection,
        grid_mapping_name="lambert_cylindrical_equal_area",
        standard_parallel=30.0,
        longitude_of_central_meridian=0.0,
        false_easting=0.0,
        false_northing=0.0,
    )
    seconds = (stamp - _EPOCH).total_seconds()
    moment = file.create_dataset("time", data=np.array([seconds]))
    _describe(moment, long_name="time", units="seconds since 2000-01-01 11:58:55.816", delta_t="0000-00-00 03:00:00")
    moment.attrs["actual_range"] = np.array([seconds, seconds])
    metadata = file.create_group("Metadata/DatasetIdentification")
    _describe(metadata, shortName="SPL4SMGP", VersionID="Vv7032", fileName=name, abstract=statement)
    start, end = (datetime.fromtimestamp(stamp.timestamp() + shift, UTC) for shift in (-5400, 5400))
    extent = file.create_group("Metadata/Extent")
    _describe(
        extent,
        rangeBeginningDateTime=f"{start:%Y-%m-%dT%H:%M:%S.000Z}",
        rangeEndingDateTime=f"{end:%Y-%m-%dT%H:%M:%S.000Z}",
    )


def _write_coordinates(file: h5py.File) -> None:
    box = ease2_geobox("M09")
    rows, columns = box.shape.yx
    lon, lat = centres(box)
    shape = (rows, columns)
    packed: dict[str, Any] = {"chunks": _CHUNKS, "compression": "gzip", "compression_opts": 1, "shuffle": True}
    index = np.indices(shape, dtype=np.uint32)
    for name, values in (("cell_row", index[0]), ("cell_column", index[1])):
        file.create_dataset(name, data=values, **packed)
    for name, values, high in (("cell_lat", lat, 90.0), ("cell_lon", lon, 179.999)):
        dataset = file.create_dataset(
            name, data=np.broadcast_to(values, shape).astype(np.float32), fillvalue=_FILL, **packed
        )
        low = np.float32(-round(high))
        _describe(dataset, units="degrees", valid_min=low, valid_max=np.float32(high), _FillValue=_FILL)
    for name, values in (
        ("x", box.affine.c + box.affine.a * (np.arange(columns) + 0.5)),
        ("y", box.affine.f + box.affine.e * (np.arange(rows) + 0.5)),
    ):
        dataset = file.create_dataset(name, data=values)
        _describe(
            dataset,
            long_name=f"{name.upper()} coordinate of cell center in EASE 2.0 global projection",
            standard_name=f"projection_{name}_coordinate",
            axis=name.upper(),
            units="m",
        )


def _describe(place: h5py.HLObject, **attributes: Any) -> None:
    """Set attributes; texts as fixed-length bytes, as the producers write them."""
    for name, value in attributes.items():
        place.attrs[name] = np.bytes_(value.encode("ascii")) if isinstance(value, str) else value
