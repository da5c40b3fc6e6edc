"""How a map is read at a station."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio import warp
from scipy.ndimage import map_coordinates, uniform_filter

from zoo.errors import UsageError
from zoo.granules import Selection
from zoo.grids import as_array
from zoo.matching.pairs import Match, match_stations, on_grid_of, values_at

BOX = GeoBox((20, 30), Affine(1000, 0, 500_000, 0, -1000, 4_700_000), "EPSG:32650")
DAY = Selection(date(2019, 9, 25))


def field(values: np.ndarray | None = None) -> xr.DataArray:
    values = np.random.default_rng(0).uniform(0.05, 0.4, BOX.shape.yx) if values is None else values
    return as_array(values, BOX, "soil_moisture", {"units": "m3 m-3"})


def places(columns: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = BOX.affine * (columns, rows)
    lon, lat = warp.transform("EPSG:32650", "EPSG:4326", x, y)
    return np.array(lon), np.array(lat)


def inner(n: int = 50) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.uniform(2, 28, n), rng.uniform(2, 18, n)


@pytest.mark.parametrize(("text", "size"), [("nearest", 1), ("bilinear", 1), ("window=3", 3), ("window=11", 11)])
def test_a_match_is_read_and_told_as_it_is_written(text: str, size: int) -> None:
    match = Match.parse(text)
    assert (str(match), match.size) == (text, size)


@pytest.mark.parametrize("text", ["cubic", "window", "window=2", "window=1", "window=x", "nearest=3", ""])
def test_another_match_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected nearest, bilinear or window=N"):
        Match.parse(text)


def test_bilinear_equals_scipy_s_interpolation() -> None:
    moisture = field()
    columns, rows = inner()
    found = values_at(moisture, *places(columns, rows), Match("bilinear"))
    known = map_coordinates(moisture.to_numpy().astype(float), [rows - 0.5, columns - 0.5], order=1)
    assert found == pytest.approx(known, abs=1e-6)


def test_a_window_equals_scipy_s_running_mean() -> None:
    moisture = field()
    columns, rows = inner()
    found = values_at(moisture, *places(columns, rows), Match("window", 3))
    running = uniform_filter(moisture.to_numpy().astype(float), 3)
    assert found == pytest.approx(running[np.floor(rows).astype(int), np.floor(columns).astype(int)], abs=1e-6)


def test_missing_pixels_are_left_out_but_the_station_s_own_has_to_be_valid() -> None:
    values = field().to_numpy().copy()
    values[5, 6] = np.nan
    moisture = field(values)
    columns, rows = np.array([5.9, 6.5]), np.array([5.5, 5.5])
    beside = values[4:7, 4:7].astype(float)
    for match, known in (
        (Match("bilinear"), values[5, 5]),
        (Match("window", 3), np.nanmean(beside)),
        (Match(), values[5, 5]),
    ):
        found = values_at(moisture, *places(columns, rows), match)
        assert found[0] == pytest.approx(known, abs=1e-6)
        assert np.isnan(found[1])


def test_at_the_edge_only_pixels_of_the_map_count_and_beyond_it_none() -> None:
    moisture = field()
    values = moisture.to_numpy()
    columns, rows = np.array([0.1, -0.1, 30.1]), np.array([0.2, 5, 5])
    assert values_at(moisture, *places(columns, rows), Match("window", 3))[0] == pytest.approx(values[:2, :2].mean())
    assert values_at(moisture, *places(columns, rows), Match("bilinear"))[0] == pytest.approx(values[0, 0])
    assert np.isnan(values_at(moisture, *places(columns, rows))[1:]).all()


def test_stations_left_out_are_named_under_their_reason() -> None:
    values = field().to_numpy().copy()
    values[3, 3] = np.nan
    columns, rows = np.array([5.2, 5.7, 3.5, 40.0, 8.5, 9.5]), np.array([5.5, 5.5, 3.5, 5.0, 8.5, 9.5])
    lon, lat = places(columns, rows)
    stations = pd.DataFrame(
        {
            "station": ["one", "two", "lake", "away", "deep", "late"],
            "lon": lon,
            "lat": lat,
            "depth": [0.03, 0.03, 0.03, 0.03, 0.5, 0.03],
            "time": pd.to_datetime(["2019-09-25T06:00"] * 5 + ["2019-09-27"], utc=True, format="ISO8601"),
            "sm": [0.1, 0.3, 0.2, 0.2, 0.2, 0.2],
        }
    )
    for match in (Match(), Match("bilinear"), Match("window", 3)):
        pairs = match_stations(field(values), stations, DAY, match=match)
        assert pairs.left_out == {
            "other_depth": ["deep"],
            "no_observation": ["late"],
            "outside_map": ["away"],
            "masked_pixel": ["lake"],
            "shared_pixel": ["one+two"],
        }
        assert pairs.table["station"].tolist() == ["one+two"]
        assert pairs.table["observed"].tolist() == pytest.approx([0.2])
    pairs = match_stations(field(values), stations, DAY, match=Match("bilinear"))
    both = values_at(field(values), lon[:2], lat[:2], Match("bilinear"))
    assert pairs.table["predicted"].tolist() == pytest.approx([both.mean()])


def test_a_finer_field_is_averaged_and_a_coarser_one_repeated_on_the_grid_of_another() -> None:
    coarse = GeoBox((2, 3), Affine(10_000, 0, 500_000, 0, -10_000, 4_700_000), "EPSG:32650")
    fine = field()
    large = as_array(np.arange(6.0).reshape(2, 3) / 10, coarse, "soil_moisture", {})
    means = on_grid_of(fine, large).to_numpy()
    assert means == pytest.approx(fine.to_numpy().reshape(2, 10, 3, 10).mean(axis=(1, 3)), abs=1e-6)
    assert on_grid_of(large, fine).to_numpy() == pytest.approx(np.kron(large.to_numpy(), np.ones((10, 10))))


def test_a_layer_that_is_upside_down_is_refused_and_not_one_without_stations() -> None:
    lon, lat = places(np.array([5.2]), np.array([5.5]))
    time = pd.Timestamp("2019-09-25T06:00", tz="UTC")
    stations = pd.DataFrame({"station": "one", "lon": lon, "lat": lat, "depth": 0.03, "time": time, "sm": 0.1})
    with pytest.raises(UsageError, match="--depth 1 0 is no layer"):
        match_stations(field(), stations, DAY, (1.0, 0.0))
