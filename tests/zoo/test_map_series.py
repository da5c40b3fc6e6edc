"""Maps of several dates against stations whose values are known."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio import warp

from zoo.errors import DataError, UsageError
from zoo.granules import Selection
from zoo.grids import as_array
from zoo.matching.map_series import validate_series

BOX = GeoBox((18, 18), Affine(1000, 0, 500_000, 0, -1000, 4_700_000), "EPSG:32650")
COARSE = GeoBox((2, 2), Affine(9000, 0, 500_000, 0, -9000, 4_700_000), "EPSG:32650")
DAYS = [date(2019, 5, 1) + timedelta(days=3 * i) for i in range(7)]
METRICS = ("r", "rmse", "bias")


def maps(**tags: str) -> list[xr.DataArray]:
    """Draw a wetness a pixel, and dry all of it from date to date."""
    pattern = np.random.default_rng(0).uniform(0.1, 0.35, BOX.shape.yx)
    return [
        as_array(pattern * 0.95**i, BOX, "soil_moisture", {"time_coverage_start": f"{day}T00:00:00Z", **tags})
        for i, day in enumerate(DAYS)
    ]


def stations(arrays: list[xr.DataArray], shift: float = 0.02) -> pd.DataFrame:
    """Place a station in each of nine pixels and two in a tenth, all wetter than the map by `shift` and noise."""
    rng = np.random.default_rng(1)
    columns = np.array([0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5, 16.5, 3.2, 3.8])
    rows = np.array([1.5, 3.5, 9.5, 7.5, 15.5, 11.5, 2.5, 5.5, 16.5, 12.5, 12.5])
    lon, lat = warp.transform("EPSG:32650", "EPSG:4326", *(BOX.affine * (columns, rows)))
    parts = []
    for array, day in zip(arrays, DAYS, strict=True):
        here = array.to_numpy()[rows.astype(int), columns.astype(int)]
        observed = here + shift + rng.normal(0, 0.005, rows.size)
        names = [*"ABCDEFGHI", "twin1", "twin2"]
        parts.append(pd.DataFrame({"station": names, "lon": lon, "lat": lat, "depth": 0.03, "sm": observed}))
        parts[-1]["time"] = pd.Timestamp(day, tz="UTC") + pd.Timedelta(hours=6)
    return pd.concat(parts, ignore_index=True)


def test_a_series_gives_scores_in_time_in_space_and_pooled() -> None:
    arrays = maps(model="smd-rf@v1")
    done = validate_series(arrays, stations(arrays), estimator="rf", metrics=METRICS)
    assert len(done.days.temporal) == 10
    assert len(done.days.spatial) == 7
    assert {score.n for score in done.days.pooled} == {70}
    bias = next(score for score in done.days.pooled if score.metric == "bias")
    assert bias.value == pytest.approx(-0.02, abs=0.002)
    assert done.model == "smd-rf@v1"
    assert done.period == "2019-05-01/2019-05-19"
    assert done.matching["match"] == "nearest"
    assert done.matching["depth"] == [0.0, 0.05]


def test_a_pixel_keeps_its_name_on_days_when_one_of_its_stations_is_silent() -> None:
    arrays = maps()
    known = stations(arrays)
    silent = (known["station"] == "twin2") & (known["time"].dt.date == DAYS[2])
    done = validate_series(arrays, known[~silent], metrics=METRICS)
    assert {score.n for score in done.days.temporal["twin1+twin2"]} == {7}
    assert done.dropped[str(DAYS[2])]["no_observation"] == 1
    assert done.left_out[str(DAYS[2])]["no_observation"] == ["twin2"]
    assert done.matching["dropped"]["no_observation"] == 1


def test_coarse_fields_go_with_the_maps_of_their_day() -> None:
    arrays = maps()
    fields = [
        as_array(a.to_numpy().reshape(2, 9, 2, 9).mean(axis=(1, 3)) + 0.01, COARSE, "soil_moisture", dict(a.attrs))
        for a in arrays[:5]
    ]
    done = validate_series(arrays, stations(arrays), coarse=fields[::-1], metrics=METRICS)
    assert list(done.consistency) == [str(day) for day in DAYS[:5]]
    for scores in done.consistency.values():
        bias = next(score for score in scores if score.metric == "bias")
        assert bias.value == pytest.approx(-0.01, abs=1e-6)
        assert bias.split.startswith("coarse consistency")
    pooled = {score.metric: score for score in done.days.pooled}
    assert pooled["g_down"].n == 50
    assert pooled["g_prec"].value > 0.5
    assert done.notes == [f"No coarse field for {day}" for day in DAYS[5:]]


def test_maps_without_a_date_take_those_given() -> None:
    arrays = maps()
    bare = [array.assign_attrs(time_coverage_start="") for array in arrays]
    known = stations(arrays)
    given = validate_series(bare, known, when=[Selection(day) for day in DAYS], metrics=METRICS)
    assert given.days.pooled == validate_series(arrays, known, metrics=METRICS).days.pooled
    with pytest.raises(UsageError, match="does not say its date"):
        validate_series(bare, known)
    with pytest.raises(UsageError, match="7 maps and 2 dates"):
        validate_series(bare, known, when=[Selection(day) for day in DAYS[:2]])
    with pytest.raises(UsageError, match="are of one date"):
        validate_series([arrays[0], arrays[0]], known)


def test_what_is_no_table_of_stations_or_shares_no_date_is_refused() -> None:
    arrays = maps()
    with pytest.raises(UsageError, match="scored against stations"):
        validate_series(arrays, arrays[0])
    late = stations(arrays)
    late["time"] += pd.Timedelta(days=900)
    with pytest.raises(DataError, match=r"any of 7 maps \(no_observation 77\)"):
        validate_series(arrays, late)
