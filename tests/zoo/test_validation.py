"""Maps against stations and fields whose values are known."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio import warp
from rasterio.transform import from_origin

from zoo.errors import DataError, UsageError
from zoo.granules import Selection
from zoo.grids import as_array, ease2_geobox
from zoo.maps import date_of, read_map
from zoo.matching.pairs import match_field, match_stations
from zoo.types import Score
from zoo.validation import validate_map

DAY = Selection(date(2019, 9, 25))
FINE = GeoBox((90, 90), Affine(1000, 0, 500_000, 0, -1000, 4_700_000), "EPSG:32650")
COARSE = GeoBox((10, 10), Affine(9000, 0, 500_000, 0, -9000, 4_700_000), "EPSG:32650")


def moisture(box: GeoBox = FINE, seed: int = 0, **attrs: str) -> xr.DataArray:
    values = np.random.default_rng(seed).uniform(0.05, 0.4, box.shape.yx)
    return as_array(values, box, "soil_moisture", {"units": "m3 m-3", **attrs})


def stations(rows: list[tuple[str, float, float, float, str, float]]) -> pd.DataFrame:
    """Rows of (station, column, row, depth, time, sm), places in pixels of `FINE`."""
    x, y = FINE.affine * (np.array([r[1] for r in rows]), np.array([r[2] for r in rows]))
    lon, lat = warp.transform("EPSG:32650", "EPSG:4326", x, y)
    return pd.DataFrame(
        {
            "station": [r[0] for r in rows],
            "lon": lon,
            "lat": lat,
            "depth": [r[3] for r in rows],
            "time": pd.to_datetime([r[4] for r in rows], utc=True, format="ISO8601"),
            "sm": [r[5] for r in rows],
        }
    )


def by_metric(scores: list[Score]) -> dict[str, Score]:
    return {score.metric: score for score in scores}


def test_a_station_meets_the_pixel_in_which_it_stands() -> None:
    field = moisture()
    table = stations([("A", 0.01, 0.99, 0.03, "2019-09-25T12:00", 0.2), ("B", 44.5, 7.5, 0.03, "2019-09-25", 0.3)])
    pairs = match_stations(field, table, DAY)
    assert pairs.table["predicted"].tolist() == pytest.approx([field.values[0, 0], field.values[7, 44]])
    assert pairs.table["station"].tolist() == ["A", "B"]
    assert pairs.groups is None


def test_every_station_left_out_is_counted_under_its_reason() -> None:
    field = moisture()
    field[30, 30] = np.nan
    table = stations(
        [
            ("kept", 5.5, 5.5, 0.03, "2019-09-25T12:00", 0.2),
            ("twin", 5.6, 5.4, 0.05, "2019-09-25T12:00", 0.4),
            ("deep", 6.5, 6.5, 0.20, "2019-09-25T12:00", 0.2),
            ("late", 7.5, 7.5, 0.03, "2019-09-26T00:00", 0.2),
            ("away", 95.0, 5.0, 0.03, "2019-09-25T12:00", 0.2),
            ("north", 5.0, -0.1, 0.03, "2019-09-25T12:00", 0.2),
            ("lake", 30.5, 30.5, 0.03, "2019-09-25T12:00", 0.2),
            ("unknown depth", 40.5, 40.5, np.nan, "2019-09-25T12:00", 0.1),
        ]
    )
    pairs = match_stations(field, table, DAY)
    assert pairs.table["station"].tolist() == ["kept+twin", "unknown depth"]
    assert pairs.table["observed"].tolist() == pytest.approx([0.3, 0.1])
    assert pairs.dropped == {
        "other_depth": 1,
        "no_observation": 1,
        "outside_map": 2,
        "masked_pixel": 1,
        "shared_pixel": 1,
    }


def test_times_are_averaged_over_the_period_or_the_nearest_is_taken() -> None:
    rows = [("A", 5.5, 5.5, 0.03, f"2019-09-25T{hour:02d}:00", hour / 100) for hour in range(24)]
    rows += [("A", 5.5, 5.5, 0.03, "2019-09-24T23:30", 0.9), ("A", 5.5, 5.5, 0.03, "2019-09-26T00:00", 0.9)]
    table, field = stations(rows), moisture()

    def observed(**when: object) -> float:
        selection = Selection(date(2019, 9, 25), **when)  # type: ignore[arg-type]
        return float(match_stations(field, table, selection).table["observed"].iloc[0])

    assert observed() == pytest.approx(np.mean(np.arange(24)) / 100)
    assert observed(time=time(10, 20)) == pytest.approx(0.10)
    assert observed(time=time(10), window=timedelta(hours=4)) == pytest.approx(0.10)
    assert observed(time=time(10), window=timedelta(hours=5)) == pytest.approx(np.mean([8, 9, 10, 11, 12]) / 100)
    assert observed(time=time(23), window=timedelta(hours=2)) == pytest.approx((0.22 + 0.23 + 0.9) / 3)


def test_a_coarser_reference_meets_the_mean_of_its_pixels() -> None:
    field = moisture()
    blocks = field.values.reshape(10, 9, 10, 9).mean(axis=(1, 3))
    reference = as_array(blocks + 0.02, COARSE, "soil_moisture", {})
    pairs = match_field(field, reference)
    assert len(pairs.table) == 100
    assert pairs.table["predicted"].to_numpy() == pytest.approx(blocks.ravel(), abs=1e-6)
    assert pairs.table["observed"].to_numpy() == pytest.approx(blocks.ravel() + 0.02, abs=1e-6)
    assert sum(pairs.dropped.values()) == 0


def test_a_coarse_cell_needs_valid_pixels_over_half_of_it() -> None:
    field = moisture()
    field[0:9, 0:5] = np.nan
    field[0:9, 9:13] = np.nan
    reference = moisture(COARSE, seed=1)
    reference[9, 9] = np.nan
    pairs = match_field(field, reference)
    assert pairs.dropped == {"reference_missing": 1, "masked_pixel": 1}
    assert len(pairs.table) == 98
    kept = field.values[0:9, 13:18].mean()
    assert pairs.table["predicted"].iloc[0] == pytest.approx(kept, abs=1e-6)


def test_cells_that_the_map_covers_by_less_than_half_do_not_count_as_masked() -> None:
    reference = moisture(GeoBox((14, 14), COARSE.affine * Affine.translation(-2.0, -2.0), "EPSG:32650"))
    shifted = GeoBox((90, 90), FINE.affine * Affine.translation(3, 3), "EPSG:32650")
    pairs = match_field(moisture(shifted), reference)
    assert pairs.dropped["masked_pixel"] == 0
    assert len(pairs.table) == 99, "all but the corner, of which 6/9 x 6/9 is covered"


def test_a_truth_on_the_same_grid_is_compared_pixel_by_pixel() -> None:
    field = moisture()
    reference = field.copy(data=field.values + 0.01)
    reference[3, :] = np.nan
    pairs = match_field(field, reference)
    assert len(pairs.table) == 89 * 90
    assert (pairs.table["predicted"] - pairs.table["observed"]).to_numpy() == pytest.approx(-0.01, abs=1e-6)
    assert pairs.dropped == {"reference_missing": 90, "masked_pixel": 0}
    assert pairs.table["block"].nunique() == 36
    sizes = pairs.table["block"].value_counts()
    assert sizes.max() - sizes.min() <= 15


def test_a_truth_shifted_by_a_fraction_of_a_pixel_is_moved_to_the_nearest() -> None:
    field = moisture()
    box = GeoBox((90, 90), FINE.affine * Affine.translation(0.3, -0.3), "EPSG:32650")
    pairs = match_field(field, as_array(field.values, box, "soil_moisture", {}))
    assert (pairs.table["predicted"] - pairs.table["observed"]).abs().max() == 0
    assert len(pairs.table) >= 89 * 89


def test_a_finer_truth_is_averaged_over_the_pixels_of_the_map() -> None:
    fine = moisture()
    reference = moisture(COARSE, seed=2)
    pairs = match_field(reference, fine)
    blocks = fine.values.reshape(10, 9, 10, 9).mean(axis=(1, 3))
    assert pairs.table["observed"].to_numpy() == pytest.approx(blocks.ravel(), abs=1e-6)


def test_a_global_coarse_field_in_another_projection_is_cut_to_the_map() -> None:
    """A plane in longitude: the mean of the map over a 9 km cell is the plane at the cell's centre."""
    globe = ease2_geobox("M09")
    lon = (np.arange(globe.shape.x) + 0.5) / globe.shape.x * 360 - 180
    plane = np.broadcast_to((lon - 115) / 10, globe.shape.yx)
    reference = as_array(plane, globe, "soil_moisture", {})
    box = GeoBox((100, 100), Affine(0.01, 0, 116.0, 0, -0.01, 42.5), "EPSG:4326")
    along = 116.0 + 0.01 * (np.arange(100) + 0.5)
    field = as_array(np.broadcast_to((along - 115) / 10, (100, 100)), box, "soil_moisture", {})
    pairs = match_field(field, reference)
    inner = pairs.table[pairs.table["lon"].between(116.1, 116.9)]
    assert len(inner) > 50
    assert (inner["predicted"] - inner["observed"]).abs().max() < 1e-4


def test_fields_of_different_places_are_an_error() -> None:
    far = GeoBox((90, 90), Affine(1000, 0, 500_000, 0, -1000, 2_000_000), "EPSG:32650")
    for box in (far, GeoBox((5, 5), Affine(9000, 0, 500_000, 0, -9000, 2_000_000), "EPSG:32650")):
        with pytest.raises(DataError, match="no value where the map lies"):
            match_field(moisture(), moisture(box))


def write_map(path: Path, field: xr.DataArray, **tags: str) -> Path:
    values = np.where(np.isfinite(field.values), field.values, -9999).astype("float32")
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=90,
        height=90,
        count=1,
        dtype="float32",
        crs="EPSG:32650",
        transform=from_origin(500_000, 4_700_000, 1000, 1000),
        nodata=-9999,
    ) as target:
        target.write(values, 1)
        target.update_tags(**tags)
    return path


@pytest.fixture
def field() -> xr.DataArray:
    array = moisture()
    array[0, 0] = np.nan
    return array


def station_file(path: Path, field: xr.DataArray, offset: float) -> Path:
    cells = [(3 * i + 1, 2 * i + 4) for i in range(20)]
    rows = [
        (f"S{i}", c + 0.5, r + 0.5, 0.03, "2019-09-25T06:00", float(field.values[r, c]) - offset)
        for i, (c, r) in enumerate(cells)
    ]
    stations(rows).to_parquet(path)
    return path


def test_files_are_read_matched_and_scored(tmp_path: Path, field: xr.DataArray) -> None:
    tags = {"time_coverage_start": "2019-09-25T00:00:00Z", "model": "smd-rf@v3", "simulated": "true"}
    done = validate_map(
        write_map(tmp_path / "map.tif", field, **tags), station_file(tmp_path / "stations.parquet", field, 0.04)
    )
    scores = by_metric(done.scores)
    assert scores["bias"].value == pytest.approx(0.04, abs=1e-6)
    assert scores["r"].value == pytest.approx(1)
    assert scores["r"].n == 20
    assert scores["r"].estimator == "smd-rf"
    assert scores["r"].reference == "stations.parquet"
    assert scores["r"].split == "independent"
    assert (done.model, done.simulated, done.period) == ("smd-rf@v3", True, "2019-09-25")
    assert done.p is not None


def test_seen_references_say_so(tmp_path: Path, field: xr.DataArray) -> None:
    path = write_map(tmp_path / "map.tif", field, TIFFTAG_DATETIME="2019:09:25 10:30:00")
    with_stations = validate_map(path, station_file(tmp_path / "s.parquet", field, 0), seen=True, estimator="dbn")
    assert {score.split for score in with_stations.scores} == {"stations seen in training"}
    assert {score.estimator for score in with_stations.scores} == {"dbn"}
    with_cells = validate_map(path, moisture(COARSE), seen=True)
    assert {score.split for score in with_cells.scores} == {"cells seen in training"}


def test_pixels_are_not_independent_so_there_is_no_p_and_intervals_are_of_blocks(field: xr.DataArray) -> None:
    """The same noise, once fresh in every pixel and once the same all over a block of 15 x 15."""
    rng = np.random.default_rng(0)
    fresh = field + rng.normal(0, 0.02, field.shape)
    blocky = field + np.kron(rng.normal(0, 0.02, (6, 6)), np.ones((15, 15)))
    widths = []
    for other in (fresh, blocky):
        done = validate_map(field, other.assign_attrs(field.attrs))
        score = by_metric(done.scores)["bias"]
        assert done.p is None
        widths.append(score.ci_high - score.ci_low)
    assert widths[1] > 5 * widths[0]


def test_a_map_is_read_as_an_independent_reader_reads_it(tmp_path: Path, field: xr.DataArray) -> None:
    path = write_map(tmp_path / "map.tif", field, model="smd-rf@v1")
    array = read_map(path)
    with rasterio.open(path) as source:
        assert array.odc.geobox.affine == source.transform
        np.testing.assert_array_equal(np.isnan(array.values), source.read(1) == -9999)
    assert array.attrs["model"] == "smd-rf@v1"


def test_a_netcdf_map_gives_the_same_pairs_as_a_geotiff(tmp_path: Path, field: xr.DataArray) -> None:
    stored = field.to_dataset(name="soil_moisture").assign_attrs(time_coverage_start="2019-09-25T00:00:00Z")
    stored["soil_moisture"].encoding["_FillValue"] = -9999.0
    stored["soil_moisture"].encoding["grid_mapping"] = "spatial_ref"
    stored.to_netcdf(tmp_path / "map.nc", engine="h5netcdf")
    table = station_file(tmp_path / "s.parquet", field, 0.01)
    tif = write_map(tmp_path / "map.tif", field, time_coverage_start="2019-09-25T00:00:00Z")
    left, right = (validate_map(path, table) for path in (tmp_path / "map.nc", tif))
    pd.testing.assert_frame_equal(left.pairs, right.pairs)


def test_the_day_is_that_of_the_data_before_that_of_the_file() -> None:
    assert date_of({"time_coverage_start": "2019-09-25T00:00:00Z", "TIFFTAG_DATETIME": "2024:01:01 00:00:00"}) == date(
        2019, 9, 25
    )
    assert date_of({"TIFFTAG_DATETIME": "2019:09:25 10:30:00"}) == date(2019, 9, 25)
    assert date_of({"TIFFTAG_DATETIME": "unknown"}) is None


def test_a_reference_of_another_day_is_remarked_on(field: xr.DataArray) -> None:
    dated = field.assign_attrs(time_coverage_start="2019-09-25T00:00:00Z")
    other = field.assign_attrs(time_coverage_start="2019-11-25T00:00:00Z")
    assert validate_map(dated, other).notes == ["The map is of 2019-09-25, the reference of 2019-11-25"]
    assert validate_map(dated, dated).notes == []


def test_what_cannot_be_compared_is_one_clear_line(tmp_path: Path, field: xr.DataArray) -> None:
    path = write_map(tmp_path / "map.tif", field)
    table = station_file(tmp_path / "s.parquet", field, 0)
    with pytest.raises(UsageError, match="does not say its date.*--date"):
        validate_map(path, table)
    with pytest.raises(DataError, match=r"no value in a valid pixel of the map for 2019-09-26 \(no_observation 20\)"):
        validate_map(path, table, when=Selection(date(2019, 9, 26)))
    percent = write_map(tmp_path / "percent.tif", field * 100)
    with pytest.raises(DataError, match="expected soil moisture in m3 m-3"):
        read_map(percent)
    empty = write_map(tmp_path / "empty.tif", field * np.nan)
    with pytest.raises(DataError, match="no valid value"):
        read_map(empty)
    with pytest.raises(DataError, match="is no file"):
        read_map(tmp_path)
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\x00nothing")
    with pytest.raises(DataError, match="cannot be read as a map"):
        read_map(broken)
    with pytest.raises(DataError, match="does not exist"):
        validate_map(path, tmp_path / "absent.parquet")
    (tmp_path / "notes.txt").write_text("wet")
    with pytest.raises(DataError, match="no reference that is read here"):
        validate_map(path, tmp_path / "notes.txt")


def test_the_period_of_a_day_is_utc() -> None:
    assert DAY.start == datetime(2019, 9, 25, tzinfo=UTC)
