"""LPRM AMSR2 L3 granules on the 0.1 degree grid, ascending and descending: netCDF-4, arrays (Longitude, Latitude)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
from affine import Affine

from zoo.simulate.domain import Domain
from zoo.simulate.fields import Field
from zoo.simulate.landscape import Landscape
from zoo.simulate.sensors import amsr2_cells
from zoo.simulate.surface import Surface

_COLUMNS, _ROWS = 3600, 1800
_FILL = -32767
_CHUNKS = (360, 360)
_EPOCH = datetime(1993, 1, 1, tzinfo=UTC)
_UNSEEN = 512
"""Value of `mask` in cells without a retrieval."""
_INTERFERENCE = 32
_GHZ = {"c1": "6.9", "c2": "7.3", "x": "10.7"}


@dataclass(frozen=True, slots=True)
class _Pass:
    orbit: str
    local_hour: float
    temperature: Field


def write_amsr2(
    folder: Path, domain: Domain, landscape: Landscape, surface: Surface, rng: np.random.Generator
) -> list[Path]:
    """Write the night (D) and the day (A) granule."""
    folder.mkdir(parents=True)
    passes = (_Pass("D", 1.5, surface.lst_night), _Pass("A", 13.5, surface.lst_day))
    return [_write_pass(folder, domain, landscape, surface, each, rng) for each in passes]


def _write_pass(
    folder: Path, domain: Domain, landscape: Landscape, surface: Surface, of: _Pass, rng: np.random.Generator
) -> Path:
    world = Affine(0.1, 0, -180, 0, -0.1, 90)
    window = domain.window(world, (_ROWS, _COLUMNS), "EPSG:4326")
    if window is None:
        msg = "the base grid lies on the globe"
        raise AssertionError(msg)
    rows, columns = window
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    affine = world * Affine.translation(columns.start, rows.start)
    channels = amsr2_cells(domain, landscape, affine, shape, rng)
    mean = {
        name: domain.average(values, affine, shape, "EPSG:4326")
        for name, values in (("green", surface.green), ("kelvin", of.temperature), ("water", landscape.water))
    }
    lon = -180 + 0.1 * (np.arange(columns.start, columns.stop) + 0.5)
    clock = datetime.combine(domain.day, datetime.min.time(), UTC)
    hours = np.broadcast_to((of.local_hour - lon / 15) % 24, shape)
    first = clock + timedelta(hours=float(hours.min()))
    path = folder / f"LPRM-AMSR2_L3_DS_{of.orbit}_SOILM3_V001_{first:%Y%m%d%H%M%S}.nc4"
    seen = np.isfinite(channels["c1"]) & (mean["water"] < 0.3)
    mask = np.where(seen, np.where(rng.random(shape) < 0.02, _INTERFERENCE, 0), _UNSEEN)
    seconds = (clock - _EPOCH).total_seconds() + hours * 3600
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        file.attrs["_nc3_strict"] = np.int32(1)
        file.attrs["Conventions"] = np.bytes_("CF-1.0")
        file.attrs["comment"] = np.bytes_(domain.statement)
        _write_axes(file)
        place = (columns, rows)
        for name, ghz in _GHZ.items():
            values = np.where(seen, channels[name], np.nan)
            _field(
                file,
                place,
                f"soil_moisture_{name}",
                values,
                1.0,
                f"Volumetric Soil Moisture from {ghz} GHz",
                "percent",
                per=100,
            )
            depth = np.where(seen, 0.08 + (0.9 if name == "x" else 0.7) * mean["green"], np.nan)
            _field(file, place, f"opt_depth_{name}", depth, 0.01, f"Optical Depth from {ghz} GHz")
            error = np.where(seen, 0.05 + 0.15 * mean["green"], np.nan)
            _field(
                file,
                place,
                f"soil_moisture_{name}_error",
                error,
                0.01,
                f"Uncertainty of Soil Moisture in {ghz} GHz",
                "percent",
            )
        _field(file, place, "ts", mean["kelvin"], 0.1, "Skin Temperature (2mm)", "Kelvin")
        _field(file, place, "frequency_map", np.where(seen, 6.9, np.nan), 0.1, "Frequency map", "GHz", fill=-1)
        _write_mask(file, place, mask)
        _write_scantime(file, place, np.where(np.isfinite(mean["kelvin"]), seconds, 0.0))
    return path


def _write_axes(file: h5py.File) -> None:
    longitude = np.round(-179.95 + 0.1 * np.arange(_COLUMNS), 6).astype(np.float32)
    latitude = np.round(89.95 - 0.1 * np.arange(_ROWS), 6).astype(np.float32)
    for number, (name, values, units) in enumerate(
        (("Longitude", longitude, "degrees_east"), ("Latitude", latitude, "degrees_north"))
    ):
        axis = file.create_dataset(name, data=values, compression="gzip", compression_opts=2)
        axis.make_scale(name)
        axis.attrs["_Netcdf4Dimid"] = np.int32(number)
        axis.attrs["units"] = np.bytes_(units)
        axis.attrs["long_name"] = np.bytes_(name)
        axis.attrs["_CoordinateAxisType"] = np.bytes_(name[:3])


def _create(file: h5py.File, name: str, kind: str, fill: float, long_name: str) -> h5py.Dataset:
    dataset = file.create_dataset(
        name, (_COLUMNS, _ROWS), kind, chunks=_CHUNKS, compression="gzip", compression_opts=2, fillvalue=fill
    )
    for number, axis in enumerate(("Longitude", "Latitude")):
        dataset.dims[number].attach_scale(file[axis])
    dataset.attrs["long_name"] = np.bytes_(long_name)
    dataset.attrs["coordinates"] = np.bytes_("Longitude Latitude")
    return dataset


def _field(
    file: h5py.File,
    place: tuple[slice, slice],
    name: str,
    values: npt.NDArray[np.floating],
    scale: float,
    long_name: str,
    units: str = "",
    *,
    per: float = 1,
    fill: int = _FILL,
) -> None:
    """Pack (row, column) values into a variable; `per` is 100 for percent."""
    dataset = _create(file, name, "i2", fill, long_name)
    raw = np.round(np.where(np.isfinite(values), values, 0) * per / scale)
    dataset[place] = np.where(np.isfinite(values), raw, fill).astype(np.int16).T
    if units:
        dataset.attrs["units"] = np.bytes_(units)
    dataset.attrs["_FillValue"] = np.array([fill], dtype=np.int16)
    dataset.attrs["scale_factor"] = np.array([scale], dtype=np.float32)
    dataset.attrs["add_offset"] = np.array([0], dtype=np.float32)


def _write_mask(file: h5py.File, place: tuple[slice, slice], mask: npt.NDArray[np.integer]) -> None:
    """`mask` has no fill value: what was not seen has a bit for it."""
    dataset = _create(file, "mask", "i2", _UNSEEN, "Bit Mask")
    dataset[place] = mask.astype(np.int16).T


def _write_scantime(file: h5py.File, place: tuple[slice, slice], seconds: npt.NDArray[np.float64]) -> None:
    dataset = _create(file, "scantime", "f8", 0.0, "Scan time")
    dataset[place] = seconds.T
    dataset.attrs["units"] = np.bytes_("seconds since 1993-01-01 00:00:00")
    dataset.attrs["_FillValue"] = np.array([0.0])
