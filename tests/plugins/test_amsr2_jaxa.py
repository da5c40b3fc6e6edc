"""JAXA's AMSR2 soil moisture, level 3 maps and level 2 half orbits, in files of the published layout."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.grids import geobox_of
from zoo.testing import check_sensor_array
from zoo.types import Area
from zoo_amsr2 import jaxa_l2
from zoo_amsr2.origin import OPEN_OCEAN, find_origin
from zoo_amsr2.reader import Amsr2Reader

SHANDIAN = Area(115.5, 41.5, 116.5, 42.5)
TENTH = "GW1AM2_20190925_01D_EQMA_L3SGSMCHF3300300.h5"
QUARTER = "GW1AM2_20190925_01D_EQMD_L3SGSMCLF3300300.h5"
SWATH = "GW1AM2_201909250433_171A_L2SGSMCLF3300300.h5"
LAND = (  # west, south, east, north: rough blocks inside the continents
    (-12, 8, 35, 32), (12, -30, 35, 5), (45, 35, 125, 65),
    (-120, 30, -80, 60), (-70, -35, -45, 0), (118, -32, 145, -18),
)  # fmt: skip


def land(step: float) -> np.ndarray:
    """Say where blocks of land lie, (rows from 90 N, columns from 180 W)."""
    lat, lon = 90 - step * (np.arange(round(180 / step)) + 0.5), -180 + step * (np.arange(round(360 / step)) + 0.5)
    found = np.zeros((lat.size, lon.size), bool)
    for west, south, east, north in LAND:
        found |= ((lat > south) & (lat < north))[:, None] & ((lon > west) & (lon < east))
    return found


def write_l3(
    path: Path,
    step: float,
    *,
    first_column: int = 0,
    where: np.ndarray | None = None,
    seed: int = 0,
    minutes: int | None = None,
) -> np.ndarray:
    """Write a level 3 map whose columns begin at `first_column` degrees; return raw values from 180 W."""
    rng = np.random.default_rng(seed)
    seen = land(step) if where is None else where
    raw = np.where(seen, rng.integers(0, 600, seen.shape), -32768).astype(np.int16)
    raw[:, ::7] = -32767  # gaps between the swaths
    time = np.where(raw >= 0, 700 if minutes is None else minutes, -32768).astype(np.int16)
    stored, times = (
        np.roll(field, seen.shape[1] // 2, axis=1) if first_column == 0 else field for field in (raw, time)
    )
    with h5py.File(path, "w") as file:
        data = file.create_dataset("Geophysical Data", data=stored[..., None], compression="gzip", compression_opts=1)
        data.attrs["SCALE FACTOR"], data.attrs["UNIT"] = np.array([0.1], "f4"), np.array([b"%"])
        file.create_dataset("Time Information", data=times, compression="gzip", compression_opts=1)
        file.attrs["OrbitDirection"] = np.array([b"Ascending"])
    return raw


def expected(raw: np.ndarray) -> np.ndarray:
    return np.where(raw < 0, np.nan, raw / 1000)


@pytest.mark.parametrize("first_column", [0, -180])
def test_a_map_lands_on_its_place_wherever_its_columns_begin(tmp_path: Path, first_column: int) -> None:
    path = tmp_path / TENTH
    raw = write_l3(path, 0.1, first_column=first_column)
    array = Amsr2Reader().open([path], area=SHANDIAN)
    check_sensor_array(array)
    np.testing.assert_allclose(array, expected(raw[475:485, 2955:2965]), atol=1e-6)
    np.testing.assert_allclose(array.x, 115.55 + 0.1 * np.arange(10))
    np.testing.assert_allclose(array.y, 42.45 - 0.1 * np.arange(10))
    (note,) = array.attrs["notes"]
    begin = {0: "0 E", -180: "180 W"}[first_column]
    assert f"columns begin at {begin}, told from land and ocean: 0 of {(raw >= 0).sum()} retrievals" in note


def test_a_place_across_greenwich_is_whole(tmp_path: Path) -> None:
    path = tmp_path / QUARTER
    raw = write_l3(path, 0.25)
    array = Amsr2Reader().open([path], area=Area(-2, 20, 2, 22))
    np.testing.assert_allclose(array, expected(raw[272:280, 712:728]), atol=1e-6)
    assert geobox_of(array).resolution.x == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda where: where[::-1], "soil moisture on open ocean wherever its columns begin"),
        (lambda where: np.ones_like(where), "soil moisture on open ocean wherever its columns begin"),
        (lambda where: np.zeros_like(where), "holds 0 retrievals, too few to tell"),
    ],
    ids=["south up", "no land", "empty"],
)
def test_a_map_that_fits_neither_origin_is_refused(tmp_path: Path, spoil: Any, message: str) -> None:
    path = tmp_path / QUARTER
    write_l3(path, 0.25, where=spoil(land(0.25)))
    with pytest.raises(DataError, match=message) as caught:
        Amsr2Reader().open([path], area=SHANDIAN)
    assert "\n" not in str(caught.value)


def test_the_boxes_hold_both_hemispheres_and_lie_on_no_block_of_land() -> None:
    for west, south, east, north in OPEN_OCEAN:
        assert -180 <= west < east <= 180
        assert not any(west < e and w < east and south < n and s < north for w, s, e, n in LAND)


def test_sentinels_and_impossible_values_are_missing_and_counted(tmp_path: Path) -> None:
    path = tmp_path / QUARTER
    raw = write_l3(path, 0.25)
    with h5py.File(path, "a") as file:
        file["Geophysical Data"][190, 1185 - 720, 0] = 1001
    array = Amsr2Reader().open([path], area=SHANDIAN)
    part = raw[190:194, 1182:1186]
    counts = array.attrs["flag_counts"]
    assert counts["above_100_percent"] == 1
    assert counts["not_observed"] == (part == -32767).sum() > 0
    assert int(array.notnull().sum()) == (part >= 0).sum() - (part[0, 3] >= 0)


@pytest.mark.parametrize(
    ("minutes", "start"),
    [(330, "2019-09-25T05:30:00Z"), (-15, "2019-09-24T23:45:00Z"), (1450, "2019-09-26T00:10:00Z")],
)
def test_minutes_may_reach_into_the_neighbouring_days(tmp_path: Path, minutes: int, start: str) -> None:
    path = tmp_path / QUARTER
    write_l3(path, 0.25, minutes=minutes)
    array = Amsr2Reader().open([path], area=SHANDIAN)
    assert array.attrs["time_coverage_start"] == array.attrs["time_coverage_end"] == start


def test_names_say_product_version_and_pass(tmp_path: Path) -> None:
    for name, step, product, orbit in (
        (TENTH, 0.1, "AMSR2_L3_SMC_10.F3300300", "A"),
        (QUARTER, 0.25, "AMSR2_L3_SMC_25.F3300300", "D"),
    ):
        write_l3(tmp_path / name, step)
        granule = Amsr2Reader().granule(tmp_path / name)
        assert (granule.product, granule.orbit, granule.id) == (product, orbit, name.removesuffix(".h5"))
        assert (granule.start, granule.end) == (datetime(2019, 9, 25, tzinfo=UTC), datetime(2019, 9, 26, tzinfo=UTC))
    with pytest.raises(UsageError, match="2 products"):
        Amsr2Reader().open([tmp_path / TENTH, tmp_path / QUARTER])


def test_the_passes_of_a_day_are_averaged(tmp_path: Path) -> None:
    day, night = tmp_path / QUARTER.replace("EQMD", "EQMA"), tmp_path / QUARTER
    first, second = write_l3(day, 0.25), write_l3(night, 0.25, seed=1)
    array = Amsr2Reader().open([day, night], area=SHANDIAN)
    both = np.stack([expected(raw[190:194, 1182:1186]) for raw in (first, second)])
    np.testing.assert_allclose(array, np.where(np.isnan(both[0]), np.nan, both.mean(axis=0)), atol=1e-6)
    assert array.attrs["orbit"] == "A, D"
    assert [note.partition(":")[0] for note in array.attrs["notes"][:2]] == [day.stem, night.stem]
    assert array.attrs["notes"][2].startswith("Mean over ascending and descending passes")


def test_another_unit_shape_or_field_is_refused(tmp_path: Path) -> None:
    path = tmp_path / QUARTER
    write_l3(path, 0.25)
    with pytest.raises(UnknownNameError, match="soil_moisture"):
        Amsr2Reader().open([path], variable="c1")
    with h5py.File(path, "a") as file:
        file["Geophysical Data"].attrs["UNIT"] = "m3/m3"
    with pytest.raises(DataError, match="soil moisture in 'm3/m3'; expected '%'"):
        Amsr2Reader().open([path], area=SHANDIAN)
    with h5py.File(path, "w") as file:
        file["Geophysical Data"] = np.zeros((100, 200, 1), np.int16)
    with pytest.raises(DataError, match="holds 100 x 200 x 1 values"):
        Amsr2Reader().granule(path)


# Level 2


def tai93(moment: datetime) -> float:
    """TAI93 of an instant after 2017, when ten leap seconds had been counted."""
    return (moment - datetime(1993, 1, 1, tzinfo=UTC)).total_seconds() + 10


def write_l2(
    path: Path,
    *,
    west: float = 115.52,
    east_positive: bool = False,
    layers_first: bool = False,
    start: datetime = datetime(2019, 9, 25, 4, 33, 20, tzinfo=UTC),
) -> dict[str, np.ndarray]:
    """Write a half orbit of 12 scans of 10 pixels, 0.05 degree apart; return its fields."""
    rng = np.random.default_rng(3)
    shape = (12, 10)
    row, column = np.indices(shape)
    fields = {
        "lat": (42.43 - 0.05 * row + 0.003 * column).astype("f4"),
        "lon": (west + 0.05 * column + 0.002 * row).astype("f4"),
        "raw": rng.integers(50, 400, shape).astype(np.int16),
        "quality": rng.choice([0, 0, 0, 16, 32], shape).astype(np.uint8),
    }
    fields["raw"][0, 0], fields["raw"][0, 1] = -32768, -32767
    fields["lat"][5, 5] = -9999
    with h5py.File(path, "w") as file:
        data = file.create_dataset("Geophysical Data", data=fields["raw"][..., None])
        data.attrs["SCALE FACTOR"], data.attrs["UNIT"] = np.array([0.1], "f4"), np.array([b"%"])
        file["Latitude of Observation Point"] = fields["lat"]
        file["Longitude of Observation Point"] = fields["lon"] % 360 if east_positive else fields["lon"]
        file["Pixel Data Quality"] = fields["quality"][None] if layers_first else fields["quality"][..., None]
        file["Scan Time"] = tai93(start) + 1.5 * np.arange(shape[0])
    return fields


def by_hand(fields: dict[str, np.ndarray], kept: np.ndarray, west: float, north: float, size: int) -> np.ndarray:
    """Mean of the pixels in each cell of 0.1 degree, one cell after the other."""
    cells = np.full((size, size), np.nan)
    for row in range(size):
        for column in range(size):
            inside = kept & (fields["lon"] >= west + 0.1 * column) & (fields["lon"] < west + 0.1 * (column + 1))
            inside &= (fields["lat"] <= north - 0.1 * row) & (fields["lat"] > north - 0.1 * (row + 1))
            if inside.any():
                cells[row, column] = fields["raw"][inside].mean() / 1000
    return cells


@pytest.mark.parametrize("quality", ["recommended", "all"])
@pytest.mark.parametrize("layers_first", [False, True])
def test_pixels_are_averaged_in_cells(tmp_path: Path, quality: str, layers_first: bool) -> None:
    path = tmp_path / SWATH
    fields = write_l2(path, layers_first=layers_first)
    array = Amsr2Reader().open([path], area=SHANDIAN, quality=quality)  # type: ignore[arg-type]
    check_sensor_array(array)
    kept = (fields["raw"] >= 0) & (fields["lat"] > 0)
    if quality == "recommended":
        kept &= fields["quality"] == 0
    np.testing.assert_allclose(array, by_hand(fields, kept, 115.5, 42.5, 10), atol=1e-6)
    assert int(array.notnull().sum()) > 20
    placed = fields["lat"] > 0
    counts = array.attrs["flag_counts"]
    assert counts["pixel_quality_16"] == (fields["quality"][placed] == 16).sum()
    assert (counts["no_retrieval"], counts["not_observed"]) == (1, 1)


def test_the_period_is_that_of_the_scans_without_leap_seconds(tmp_path: Path) -> None:
    path = tmp_path / SWATH
    write_l2(path)
    granule = Amsr2Reader().granule(path)
    assert (granule.product, granule.orbit) == ("AMSR2_L2_SMC.F3300300", "A")
    assert granule.start == datetime(2019, 9, 25, 4, 33, 20, tzinfo=UTC)
    assert Amsr2Reader().open([path]).attrs["time_coverage_end"] == "2019-09-25T04:33:36Z"


@pytest.mark.parametrize(
    ("seconds", "instant"),
    [
        (757382410.0, "2017-01-01T00:00:00"),  # 8766 days and 10 leap seconds
        (757382408.0, "2016-12-31T23:59:59"),
        (615254408.0, "2012-07-01T00:00:00"),  # 7121 days and 8
        (86400.0, "1993-01-02T00:00:00"),
    ],
)
def test_tai93_counts_leap_seconds(seconds: float, instant: str) -> None:
    assert jaxa_l2.utc(seconds) == datetime.fromisoformat(instant).replace(tzinfo=UTC)


def test_a_clock_that_contradicts_the_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / SWATH
    write_l2(path, start=datetime(2019, 9, 24, 4, 33, tzinfo=UTC))
    with pytest.raises(DataError, match="by its 'Scan Time'"):
        Amsr2Reader().granule(path)


def test_longitudes_may_count_from_0_to_360(tmp_path: Path) -> None:
    path, other = tmp_path / SWATH, tmp_path / SWATH.replace("171A", "172A")
    write_l2(path, west=-100.48)
    write_l2(other, west=-100.48, east_positive=True)
    first, second = (Amsr2Reader().open([each]) for each in (path, other))
    assert first.equals(second)
    assert float(first.x[0]) == pytest.approx(-100.45)


def test_half_orbits_are_mosaicked_and_those_elsewhere_passed_over(tmp_path: Path) -> None:
    paths = [tmp_path / SWATH.replace("171A", f"{path}A") for path in (171, 172, 173)]
    for path, west in zip(paths, (115.52, 115.92, -60.0), strict=True):
        write_l2(path, west=west)
    array = Amsr2Reader().open(paths, area=SHANDIAN, quality="all")
    alone = [Amsr2Reader().open([path], area=SHANDIAN, quality="all") for path in paths[:2]]
    both = np.stack([each.to_numpy() for each in alone])
    with np.errstate(invalid="ignore"):
        mean = np.nansum(both, axis=0) / np.where(np.isfinite(both).any(axis=0), np.isfinite(both).sum(axis=0), np.nan)
    np.testing.assert_allclose(array, mean, atol=1e-6)
    with pytest.raises(DataError, match=r"No pixel of GW1AM2\S+173A\S+ lies in the area"):
        Amsr2Reader().open(paths[2:], area=SHANDIAN)


@pytest.mark.parametrize("name", [TENTH, SWATH])
def test_spoilt_and_foreign_files_are_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("<html>log in first</html>")
    with pytest.raises(DataError, match="cannot be read as AMSR2") as caught:
        Amsr2Reader().granule(path)
    assert "\n" not in str(caught.value)
    with h5py.File(path, "w") as file:
        file["sm"] = np.zeros(3)
    with pytest.raises(DataError, match="is no AMSR2 L"):
        Amsr2Reader().granule(path)


@pytest.mark.real
@pytest.mark.parametrize("first_column", [0, -180])
def test_the_land_of_a_real_map_tells_the_origin(real_data: Path, tmp_path: Path, first_column: int) -> None:
    """Write what LPRM retrieved as JAXA would have, and find every cell where LPRM has it."""
    with h5py.File(real_data / "amsr2" / "LPRM-AMSR2_L3_D_SOILM3_V001_20150401013507.nc4") as file:
        raw = file["soil_moisture_c1"][:].T.astype(np.int16)
    stored = np.where(raw < 0, -32768, raw * 10).astype(np.int16)
    path = tmp_path / QUARTER
    with h5py.File(path, "w") as file:
        turned = np.roll(stored, 720, axis=1) if first_column == 0 else stored
        data = file.create_dataset("Geophysical Data", data=turned[..., None], compression="gzip", compression_opts=1)
        data.attrs["SCALE FACTOR"], data.attrs["UNIT"] = np.array([0.1], "f4"), np.array([b"%"])
    array = Amsr2Reader().open([path])
    np.testing.assert_allclose(array, np.where(raw < 0, np.nan, raw / 100), atol=1e-6)
    assert "0 of 98866 retrievals lie on open ocean, 16403 if" in array.attrs["notes"][0]


@pytest.mark.real
def test_a_real_map_upside_down_has_no_origin(real_data: Path) -> None:
    with h5py.File(real_data / "amsr2" / "LPRM-AMSR2_L3_D_SOILM3_V001_20150401013507.nc4") as file:
        retrieved = file["soil_moisture_c1"][:].T >= 0
    with pytest.raises(DataError, match="30536 cells from 0 E, 31383 from 180 W, of 98866"):
        find_origin(retrieved[::-1], Path("map.h5"))
