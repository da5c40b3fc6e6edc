"""The LPRM reader against a file read by hand, and against small files in the same layout."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest

from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.grids import geobox_of
from zoo.testing import check_sensor_array, check_sensor_spec
from zoo.types import Area
from zoo_amsr2.reader import Amsr2Reader

SHANDIAN = Area(115.5, 41.5, 116.5, 42.5)
QUARTER = "LPRM-AMSR2_L3_D_SOILM3_V001_20150401013507.nc4"
TENTH = "LPRM-AMSR2_L3_DS_D_SOILM3_V001_20190925015500.nc4"
START = 844_000_000.0
"""Seconds since 1993 of the first scan in the small files: 2019-09-30 12:26:40."""


def write_lprm(path: Path, step: float, *, upward: bool = False, east_first: bool = True, seed: int = 0) -> np.ndarray:
    """Write a global LPRM file; return raw c1 as (latitude from north, longitude)."""
    columns, rows = round(360 / step), round(180 / step)
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 100, (rows, columns)).astype(np.int16)
    raw[rng.random(raw.shape) < 0.5] = -32767
    mask = rng.choice([0, 0, 0, 16, 512], raw.shape).astype(np.int16)
    scans = START + np.arange(rows)[:, None] + np.zeros(columns)
    scans[raw == -32767] = 0.0
    latitude = 90 - step * (np.arange(rows) + 0.5)
    with h5py.File(path, "w") as file:

        def put(name: str, values: np.ndarray, scale: float | None = None) -> None:
            ordered = values[::-1] if upward else values
            data = file.create_dataset(name, data=ordered.T if east_first else ordered, compression="gzip")
            if scale is not None:
                data.attrs["scale_factor"] = np.array([scale], "f4")
                data.attrs["add_offset"] = np.array([0.0], "f4")

        file["Longitude"] = (-180 + step * (np.arange(columns) + 0.5)).astype("f4")
        file["Latitude"] = (latitude[::-1] if upward else latitude).astype("f4")
        put("soil_moisture_c1", raw, 1.0)
        put("soil_moisture_x", np.where(raw == -32767, raw, raw // 2).astype(np.int16), 1.0)
        put("mask", mask)
        put("scantime", scans)
    return np.stack([raw, mask])


def test_the_spec_keeps_the_contract() -> None:
    import zoo_amsr2

    check_sensor_spec(zoo_amsr2.zoo_sensors()[0])


@pytest.mark.parametrize(("upward", "east_first"), [(False, True), (True, True), (False, False)])
def test_values_land_north_up_in_fractions(tmp_path: Path, upward: bool, east_first: bool) -> None:
    path = tmp_path / QUARTER
    raw, mask = write_lprm(path, 0.25, upward=upward, east_first=east_first)
    array = Amsr2Reader().open([path], area=SHANDIAN)
    check_sensor_array(array)
    rows, columns = slice(190, 194), slice(1182, 1186)  # 42.5-41.5 N, 115.5-116.5 E
    expected = np.where((raw < 0) | (mask != 0), np.nan, raw / 100)[rows, columns]
    np.testing.assert_allclose(array.to_numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(array.y, 89.875 - 0.25 * np.arange(190, 194))
    np.testing.assert_allclose(array.x, -179.875 + 0.25 * np.arange(1182, 1186))
    assert geobox_of(array).crs == "EPSG:4326"


def test_all_keeps_masked_retrievals_and_counts_them(tmp_path: Path) -> None:
    path = tmp_path / QUARTER
    raw, mask = write_lprm(path, 0.25)
    array = Amsr2Reader().open([path], quality="all")
    assert int(array.notnull().sum()) == (raw >= 0).sum()
    counts = array.attrs["flag_counts"]
    assert counts["masked"] == (mask != 0).sum()
    assert counts["mask_bit_16"] == (mask == 16).sum()
    assert counts["mask_bit_512"] == (mask == 512).sum()
    assert counts["no_retrieval"] == (raw < 0).sum()
    assert counts["saturated"] == (raw == 99).sum()


def test_the_10_km_product_lies_on_tenths(tmp_path: Path) -> None:
    path = tmp_path / TENTH
    raw, _ = write_lprm(path, 0.1)
    granule = Amsr2Reader().granule(path)
    assert granule.product == "LPRM_AMSR2_DS_SOILM3.001"
    assert granule.orbit == "D"
    assert granule.start == datetime(2019, 9, 25, tzinfo=UTC)
    array = Amsr2Reader().open([path], area=SHANDIAN, quality="all")
    assert array.shape == (10, 10)
    np.testing.assert_allclose(array.x, 115.55 + 0.1 * np.arange(10))
    np.testing.assert_allclose(array.y, 42.45 - 0.1 * np.arange(10))
    part = raw[475:485, 2955:2965]
    np.testing.assert_allclose(array.to_numpy(), np.where(part < 0, np.nan, part / 100), atol=1e-6)


def test_bands_are_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / QUARTER
    raw, _ = write_lprm(path, 0.25)
    for name in ("x", "soil_moisture_x"):
        array = Amsr2Reader().open([path], quality="all", variable=name)
        assert float(array.mean()) == pytest.approx((raw[raw >= 0] // 2).mean() / 100, rel=1e-4)
    with pytest.raises(UnknownNameError, match="c1, c2, x"):
        Amsr2Reader().open([path], variable="ku")


def test_time_is_that_of_the_scans_in_the_area(tmp_path: Path) -> None:
    path = tmp_path / QUARTER
    raw, _ = write_lprm(path, 0.25)
    array = Amsr2Reader().open([path], area=SHANDIAN)
    seen = np.flatnonzero((raw[190:194, 1182:1186] >= 0).any(axis=1)) + 190
    start = np.datetime64("1993-01-01T00:00:00", "ns")
    middle = start + np.timedelta64(int((START + (seen[0] + seen[-1]) / 2) * 1e9), "ns")
    assert array.time.values == middle


def test_passes_are_averaged_and_grids_are_not(tmp_path: Path) -> None:
    night, day = tmp_path / QUARTER, tmp_path / QUARTER.replace("_D_", "_A_")
    first, second = write_lprm(night, 0.25)[0], write_lprm(day, 0.25, seed=5)[0]
    array = Amsr2Reader().open([night, day], quality="all")
    both = (first >= 0) & (second >= 0)
    np.testing.assert_allclose(array.to_numpy()[both], (first + second)[both] / 200, atol=1e-6)
    assert int(array.notnull().sum()) == ((first >= 0) | (second >= 0)).sum()
    tenth = tmp_path / TENTH
    write_lprm(tenth, 1.0)
    with pytest.raises(UsageError, match="2 products"):
        Amsr2Reader().open([night, tenth])


def test_a_grid_from_greenwich_is_refused(tmp_path: Path) -> None:
    path = tmp_path / QUARTER
    write_lprm(path, 0.25)
    with h5py.File(path, "a") as file:
        file["Longitude"][:] = file["Longitude"][:] + 180
    with pytest.raises(DataError, match="regular grid of 0.25 degrees from 180 W"):
        Amsr2Reader().granule(path)


def test_spoilt_and_foreign_files_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / QUARTER
    write_lprm(path, 0.25)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(DataError, match="truncated"):
        Amsr2Reader().granule(path)
    with h5py.File(path, "w") as file:
        file["sm"] = np.zeros(3)
    with pytest.raises(DataError, match="is no LPRM AMSR2 level 3 file"):
        Amsr2Reader().granule(path)
    with pytest.raises(DataError, match="is no AMSR2 file that is read here"):
        Amsr2Reader().granule(tmp_path / "LPRM-AMSR2_L2_DS_A_SOILM2_V001_20160811035150.nc4")


@pytest.mark.real
@pytest.mark.parametrize("band", ["c1", "c2", "x"])
def test_a_real_file_equals_a_read_by_hand(real_data: Path, band: str) -> None:
    path = real_data / "amsr2" / QUARTER
    array = Amsr2Reader().open([path], variable=band)
    check_sensor_array(array)
    with h5py.File(path) as file:
        raw, mask = file[f"soil_moisture_{band}"][:].T, file["mask"][:].T
        scans = file["scantime"][:]
        latitude, longitude = file["Latitude"][:], file["Longitude"][:]
    kept = (raw != -32767) & (mask == 0)
    assert kept.sum() > 60000
    np.testing.assert_array_equal(np.isfinite(array.to_numpy()), kept)
    np.testing.assert_allclose(array.to_numpy()[kept], raw[kept] / 100, atol=1e-6)
    np.testing.assert_allclose(array.y, 89.875 - 0.25 * np.arange(720), atol=1e-9)
    np.testing.assert_allclose(array.x, -179.875 + 0.25 * np.arange(1440), atol=1e-9)
    np.testing.assert_allclose(array.y, latitude, atol=1e-4)
    np.testing.assert_allclose(array.x, longitude, atol=1e-4)
    first = np.datetime64("1993-01-01") + np.timedelta64(int(scans[scans > 0].min()), "s")
    assert array.attrs["time_coverage_start"] == f"{first}Z"
    assert array.attrs["flag_counts"]["masked"] == (mask != 0).sum()


def test_trap_6_errors_are_no_soil_moisture(tmp_path: Path) -> None:
    """`*_error` says percent and is stored in m3 m-3; it cannot be asked for as if it were a band."""
    path = tmp_path / QUARTER
    write_lprm(path, 0.25)
    with pytest.raises(UnknownNameError, match="c1, c2, x"):
        Amsr2Reader().open([path], variable="soil_moisture_c1_error")


def test_trap_7_a_mask_without_fill_and_scan_times_of_zero(tmp_path: Path) -> None:
    """Cells never scanned have mask 0 and scan time 0.0: neither makes them valid or the day 1993."""
    path = tmp_path / QUARTER
    raw, _ = write_lprm(path, 0.25)
    with h5py.File(path, "a") as file:
        file["mask"][:] = 0
        file["opt_depth_c1"] = np.full(file["mask"].shape, -12, np.int16)
    array = Amsr2Reader().open([path], area=SHANDIAN)
    np.testing.assert_array_equal(array.notnull(), raw[190:194, 1182:1186] >= 0)
    assert array.attrs["flag_counts"]["masked"] == 0
    assert array.attrs["time_coverage_start"].startswith("2019-09-30")
    with h5py.File(path, "a") as file:
        file["scantime"][:] = 0.0
    assert Amsr2Reader().open([path], area=SHANDIAN).attrs["time_coverage_start"] == "2015-04-01T00:00:00Z"


@pytest.mark.real
def test_traps_6_and_7_in_the_real_file(real_data: Path) -> None:
    path = real_data / "amsr2" / QUARTER
    with h5py.File(path) as file:
        assert file["mask"].shape == (1440, 720)
        assert "_FillValue" not in file["mask"].attrs
        never = file["scantime"][:].T == 0
        raw = file["soil_moisture_c1"][:].T
        assert file["soil_moisture_c1_error"].attrs["units"] == b"percent"
    array = Amsr2Reader().open([path], quality="all")
    assert never.sum() == 751120
    assert not np.isfinite(array.to_numpy()[never]).any()
    assert float(array.max()) == pytest.approx(raw.max() / 100)
    assert array.attrs["time_coverage_start"].startswith("2015-04-01T01:35")
    assert array.attrs["orbit"] == "D"
