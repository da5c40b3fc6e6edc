"""Conformance checks for plugin authors; the host applies them to what a reader returns.

A plugin's own tests call them on a file of its product::

    from zoo.testing import check_sensor_array, check_sensor_spec

    def test_my_reader_keeps_the_contract():
        check_sensor_spec(my_plugin.zoo_sensors()[0])
        check_sensor_array(MyReader().open([path]))
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from zoo.errors import DataError, UsageError
from zoo.plugins import load
from zoo.types import DatedReader, PredictorReader, PredictorSpec, SensorReader, SensorSpec

if TYPE_CHECKING:
    import xarray as xr

SENSOR_ATTRIBUTES = (
    "units", "long_name", "product", "granules", "depth", "time_coverage_start", "time_coverage_end", "flag_counts",
)  # fmt: skip
PREDICTOR_ATTRIBUTES = ("units", "long_name", "product", "granules")


def check_sensor_spec(spec: SensorSpec) -> None:
    """Check a sensor's description and that its reader can be made and has the right methods.

    Raises
    ------
    UsageError
        Naming the first thing that is wrong.
    """
    _check_spec(spec, SensorReader)
    if spec.units != "m3 m-3":
        _refuse(spec.name, f"units are {spec.units!r}, expected 'm3 m-3'")
    if not 0 <= spec.depth[0] < spec.depth[1]:
        _refuse(spec.name, f"depth is {spec.depth}, expected (top, bottom) in metres below the surface")


def check_predictor_spec(spec: PredictorSpec) -> None:
    """Check a predictor product's description; see `check_sensor_spec`."""
    _check_spec(spec, PredictorReader)
    if not spec.layers or any(not layer.name or not layer.units for layer in spec.layers):
        _refuse(spec.name, "its layers are missing or one has no name or units; expected LayerSpec(name, units, title)")


def check_sensor_array(array: xr.DataArray) -> None:
    """Check that an array is what `SensorReader.open` promises.

    Raises
    ------
    DataError
        Naming the first thing that is wrong.
    """
    what = f"The sensor's array {array.name!r}"
    _check_spatial(array, what, SENSOR_ATTRIBUTES)
    _require(array.name == "soil_moisture", f"{what} has the wrong name; expected 'soil_moisture'")
    _require(array.attrs["units"] == "m3 m-3", f"{what} is in {array.attrs['units']!r}; expected 'm3 m-3'")
    _require("time" in array.coords and array["time"].ndim == 0, f"{what} has no scalar coordinate 'time' (UTC)")
    _require(array["time"].dtype.kind == "M", f"{what} has a time of type {array['time'].dtype}; expected datetime64")
    _check_period(array, what)
    counts = array.attrs["flag_counts"]
    _require(isinstance(counts, dict), f"{what} has flag_counts of type {type(counts).__name__}; expected a dict")
    low, high = _range(array)
    _require(
        low >= 0 and high <= 1,
        f"{what} reaches from {low:.3g} to {high:.3g}; soil moisture is 0-1 m3 m-3: check scale, fill and units",
    )


def check_predictor_array(array: xr.DataArray) -> None:
    """Check that an array is what `PredictorReader.open` promises; see `check_sensor_array`."""
    _check_spatial(array, f"The predictor's array {array.name!r}", PREDICTOR_ATTRIBUTES)


def _check_spec(spec: SensorSpec | PredictorSpec, protocol: type) -> None:
    if not spec.name or " " in spec.name or (isinstance(spec, SensorSpec) and spec.name != spec.name.lower()):
        _refuse(spec.name, "the name must have no spaces, and a sensor's must be lower case, as a user types it")
    if not spec.title or "\n" in spec.title:
        _refuse(spec.name, "the title must be one line")
    reader = load(spec.reader, spec.requires, what=f"The plugin of {spec.name!r}")()
    from_day = isinstance(spec, PredictorSpec) and isinstance(reader, DatedReader)
    if not (spec.patterns or from_day) or any(fnmatch("unrelated.txt", pattern) for pattern in spec.patterns):
        _refuse(spec.name, f"the patterns {spec.patterns} must claim the product's file names and no others")
    if not isinstance(reader, protocol):
        _refuse(spec.name, f"{spec.reader} lacks a method of {protocol.__name__}: granule and open")


def _check_spatial(array: xr.DataArray, what: str, attributes: Sequence[str]) -> None:
    from zoo.grids import geobox_of

    _require(array.dims == ("y", "x"), f"{what} has dims {array.dims}; expected ('y', 'x')")
    _require(str(array.dtype) == "float32", f"{what} is {array.dtype}; expected float32 with NaN for missing")
    missing = [name for name in attributes if name not in array.attrs]
    _require(not missing, f"{what} lacks the attributes {', '.join(missing)}")
    granules = array.attrs["granules"]
    _require(isinstance(granules, list) and bool(granules), f"{what} must list its granules' ids in 'granules'")
    box = geobox_of(array)
    _require(box.affine.e < 0 < box.affine.a, f"{what} is not north up; expected y falling and x rising")


def _check_period(array: xr.DataArray, what: str) -> None:
    edges = []
    for name in ("time_coverage_start", "time_coverage_end"):
        text = str(array.attrs[name])
        try:
            edges.append(datetime.fromisoformat(text))
        except ValueError as error:
            msg = f"{what} has {name} {text!r}; expected ISO 8601 with Z, as 2019-09-25T10:30:00Z"
            raise DataError(msg) from error
        _require(edges[-1].tzinfo is not None, f"{what} has {name} {text!r} without Z; times are UTC")
    _require(edges[0] <= edges[1], f"{what} ends ({edges[1]}) before it starts ({edges[0]})")


def _range(array: xr.DataArray) -> tuple[float, float]:
    import numpy as np

    values = array.to_numpy()
    valid = values[~np.isnan(values)]
    return (float(valid.min()), float(valid.max())) if valid.size else (0.0, 0.0)


def _require(condition: bool, problem: str) -> None:
    if not condition:
        msg = f"{problem}; see zoo.types for what a reader returns"
        raise DataError(msg)


def _refuse(name: str, problem: str) -> None:
    msg = f"The plugin's {name!r} cannot be used: {problem}"
    raise UsageError(msg)
