"""Two maps against a reference, on the sample that all three share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio import warp

from zoo.errors import DataError, UsageError
from zoo.grids import as_array
from zoo.matching.comparison import compare_columns, compare_maps
from zoo.matching.pairs import match_field

BOX = GeoBox((36, 36), Affine(1000, 0, 500_000, 0, -1000, 4_700_000), "EPSG:32650")
COARSE = GeoBox((4, 4), Affine(9000, 0, 500_000, 0, -9000, 4_700_000), "EPSG:32650")
METRICS = ("r", "rmse", "bias")
DAY = {"time_coverage_start": "2019-09-25T00:00:00Z"}


def field(values: np.ndarray, box: GeoBox = BOX, **attrs: str) -> xr.DataArray:
    return as_array(values, box, "soil_moisture", {"units": "m3 m-3", **DAY, **attrs})


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.05, 0.4, BOX.shape.yx)


def noisy(truth: np.ndarray, noise: float, seed: int) -> xr.DataArray:
    return field(truth + np.random.default_rng(seed).normal(0, noise, truth.shape))


def stations(truth: np.ndarray) -> pd.DataFrame:
    columns, rows = np.arange(1, 35, 1.5) + 0.3, np.arange(34, 0, -1.45)[:23] + 0.23
    lon, lat = warp.transform("EPSG:32650", "EPSG:4326", *(BOX.affine * (columns, rows)))
    observed = truth[rows.astype(int), columns.astype(int)]
    table = pd.DataFrame({"station": [f"S{i}" for i in range(23)], "lon": lon, "lat": lat, "depth": 0.03})
    return table.assign(time=pd.Timestamp("2019-09-25T06:00", tz="UTC"), sm=observed)


def test_stations_count_where_both_maps_have_a_value(truth: np.ndarray) -> None:
    a, b = noisy(truth, 0.02, 1), noisy(truth, 0.06, 2)
    known = stations(truth)
    a[:, :8] = np.nan
    done = compare_maps(a, b, known, names=("rf", "dbn"), metrics=METRICS)
    found = {difference.metric: difference for difference in done.differences}
    masked = int((np.arange(1, 35, 1.5) + 0.3 < 8).sum())
    assert done.dropped["masked_pixel"] == masked
    assert found["r"].n == 23 - masked
    errors = [float(np.sqrt(np.mean((done.pairs[name] - done.pairs["observed"]) ** 2))) for name in ("a", "b")]
    assert found["rmse"].difference == pytest.approx(errors[0] - errors[1])
    assert found["rmse"].ci_high < 0
    assert [score.estimator for score in done.scores] == ["rf"] * 3 + ["dbn"] * 3
    kept = done.difference_scores[1]
    assert (kept.estimator, kept.metric, kept.split) == (
        "rf minus dbn",
        "rmse_difference",
        "independent; common sample",
    )


def test_a_coarse_field_and_a_fine_map_meet_at_every_station(truth: np.ndarray) -> None:
    """Stations in one coarse cell keep their own pixels of the fine map, so all of them count."""
    fine = noisy(truth, 0.01, 1)
    coarse = field(truth.reshape(4, 9, 4, 9).mean(axis=(1, 3)), COARSE)
    done = compare_maps(fine, coarse, stations(truth), metrics=METRICS)
    assert len(done.pairs) == 23
    assert done.differences[1].difference < 0


def test_a_field_is_compared_in_blocks_of_the_pixels_that_both_have(truth: np.ndarray) -> None:
    a, b = noisy(truth, 0.02, 1), noisy(truth, 0.03, 2)
    b[:10] = np.nan
    reference = field(truth)
    done = compare_maps(a, b, reference, metrics=METRICS)
    alone = match_field(a.where(np.isfinite(b)), reference)
    assert len(done.pairs) == 26 * 36 == len(alone.table)
    assert done.differences[0].units <= 36
    assert done.differences[0].test == "bootstrap-t"
    seen = compare_maps(a, b, reference, metrics=("r",), seen=True)
    assert seen.split == "cells seen in training; common sample"


def test_columns_of_a_table_are_compared_by_station() -> None:
    rng = np.random.default_rng(3)
    station = np.repeat([f"S{i}" for i in range(12)], 10)
    observed = rng.uniform(0.05, 0.4, 120)
    table = pd.DataFrame({"station": station, "observed": observed})
    table["a"], table["b"] = observed + rng.normal(0, 0.02, 120), observed + rng.normal(0, 0.04, 120)
    table.loc[:9, "b"] = np.nan
    done = compare_columns(table, names=("rf", "ridge"), reference_name="in situ", metrics=METRICS, collocate=True)
    assert done.differences[0].units == 11
    assert done.dropped == {"missing": 10}
    assert done.split == "pooled; independent; rows of one station together; common sample"
    assert [part.name for part in done.collocated] == ["rf", "ridge", "in situ"]
    assert done.collocated[0].snr_db > done.collocated[1].snr_db
    with pytest.raises(DataError, match="lacks b; it has"):
        compare_columns(table.drop(columns="b"), names=("a", "b"), reference_name="in situ")
    with pytest.raises(DataError, match="No row of the table"):
        compare_columns(table.assign(b=np.nan), names=("a", "b"), reference_name="in situ")


def test_dates_that_differ_are_remarked_on_and_none_is_refused(truth: np.ndarray) -> None:
    a, b = noisy(truth, 0.02, 1), noisy(truth, 0.03, 2)
    later = b.assign_attrs(time_coverage_start="2019-11-25T00:00:00Z", simulated="true")
    done = compare_maps(a, later, stations(truth), metrics=METRICS)
    assert done.notes == ["A is of 2019-09-25, B of 2019-11-25"]
    assert done.simulated
    bare = [array.assign_attrs(time_coverage_start="") for array in (a, b)]
    with pytest.raises(UsageError, match="Neither A nor B says its date"):
        compare_maps(*bare, stations(truth))
    away = stations(truth).assign(lon=10.0)
    with pytest.raises(DataError, match=r"no place in common \(outside_map 23\)"):
        compare_maps(a, b, away)
