"""The conformance checks find what a plugin author gets wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from zoo.coarse import Observed, coarse_field
from zoo.errors import DataError, UsageError
from zoo.grids import cells_in, ease2_geobox
from zoo.testing import check_predictor_array, check_sensor_array, check_sensor_spec
from zoo.types import Area, Granule, SensorSpec

MOMENT = datetime(2019, 9, 25, 10, 30, tzinfo=UTC)


def good() -> xr.DataArray:
    box = cells_in(ease2_geobox("M09"), Area(115.5, 41.5, 116.5, 42.5))
    values = np.full(box.shape.yx, 0.2, np.float32)
    granule = Granule("P.001", "P_20190925", MOMENT, MOMENT, (Path("P_20190925.h5"),))
    return coarse_field(
        [Observed(values, MOMENT, MOMENT, {"frozen": 3})], box, [granule], long_name="soil moisture", depth=(0, 0.05)
    )


def test_what_coarse_field_makes_passes() -> None:
    check_sensor_array(good())
    check_predictor_array(good())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a.drop_attrs(deep=False), "lacks the attributes"),
        (lambda a: a.copy(data=a.values * 100), "reaches from 20 to 20"),
        (lambda a: a.copy(data=np.where(a.values > 0, -9999, 0).astype("f4")), "check scale, fill"),
        (lambda a: a.astype("f8", keep_attrs=True), "float64"),
        (lambda a: a.transpose("x", "y"), "dims"),
        (lambda a: a.rename("sm"), "wrong name"),
        (lambda a: a.drop_vars("time"), "no scalar coordinate"),
        (lambda a: a.isel(y=slice(None, None, -1)), "not north up"),
        (lambda a: a.assign_attrs(units="percent"), "'percent'"),
        (lambda a: a.assign_attrs(time_coverage_end="2019-09-25T10:30:00"), "without Z"),
        (lambda a: a.assign_attrs(time_coverage_start="2019-09-26T10:30:00Z"), "before it starts"),
        (lambda a: a.assign_attrs(time_coverage_start="Wednesday"), "ISO 8601"),
        (lambda a: a.assign_attrs(granules=[]), "granules"),
        (lambda a: a.assign_attrs(flag_counts=3), "flag_counts"),
    ],
)
def test_each_breach_is_named(spoil: Callable[[xr.DataArray], Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_sensor_array(spoil(good()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": "percent"}, "units are 'percent'"),
        ({"depth": (0.05, 0.0)}, "depth"),
        ({"patterns": ("*",)}, "claim the product's file names"),
        ({"patterns": ()}, "claim the product's file names"),
        ({"name": "My Sensor"}, "lower case"),
        ({"reader": "pathlib:PurePath"}, "lacks a method of SensorReader"),
    ],
)
def test_a_wrong_spec_is_named(change: dict[str, Any], message: str) -> None:
    import zoo_smap

    spec: SensorSpec = zoo_smap.zoo_sensors()[0]
    with pytest.raises(UsageError, match=message):
        check_sensor_spec(replace(spec, **change))
