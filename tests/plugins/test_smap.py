"""SMAP readers against files read by hand, and against small files in the same layout."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
import pyproj
import pytest
import xarray as xr

from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.grids import centres, geobox_of
from zoo.plugins import make
from zoo.testing import check_sensor_array, check_sensor_spec
from zoo.types import Area
from zoo_smap.reader import SmapReader

SHANDIAN = Area(115.5, 41.5, 116.5, 42.5)
L2 = "SMAP_L2_SM_P_02801_A_20150811T013002_R18290_001.h5"
L2_NRT = "SMAP_L2_SM_P_NRT_24342_A_20190822T224858_N16023_002.h5"
L4 = "SMAP_L4_SM_gph_20190925T103000_Vv8011_001.h5"
ROWS, COLUMNS = slice(258, 278), slice(3160, 3190)
"""Window of M09 that the small level 4 file fills; it lies around the Shandian basin."""


def write_l4(path: Path, *, seed: int = 1) -> dict[str, np.ndarray]:
    """Write a whole global SPL4SMGP file in which only one window is land; return the window."""
    rng = np.random.default_rng(seed)
    shape = (ROWS.stop - ROWS.start, COLUMNS.stop - COLUMNS.start)
    window = {
        "sm_surface": rng.uniform(0.05, 0.45, shape).astype(np.float32),
        "sm_rootzone": rng.uniform(0.05, 0.45, shape).astype(np.float32),
        "soil_temp_layer1": rng.uniform(268, 290, shape).astype(np.float32),
        "snow_mass": np.where(rng.random(shape) < 0.2, rng.uniform(0.01, 5, shape), 0).astype(np.float32),
    }
    sea = rng.random(shape) < 0.1
    with h5py.File(path, "w") as file:
        for name, values in window.items():
            values[sea] = -9999
            data = file.create_dataset(
                f"Geophysical_Data/{name}", (1624, 3856), "f4", chunks=(203, 482), compression="gzip", fillvalue=-9999
            )
            data[ROWS, COLUMNS] = values
        row, column = np.indices((1624, 3856), dtype=np.uint32)
        for name, values in (("cell_row", row), ("cell_column", column)):
            file.create_dataset(name, data=values, chunks=(203, 482), compression="gzip", compression_opts=1)
    return {name: np.where(sea, np.nan, values) for name, values in window.items()}


def write_l2(path: Path, cells: list[tuple[int, int, float, int, int]], *, version: str = "008") -> None:
    """Write SPL2SMP cells given as (row, column, soil moisture, quality flag, surface flag)."""
    row, column, moisture, quality, surface = (np.array(values) for values in zip(*cells, strict=True))
    with h5py.File(path, "w") as file:
        group = file.create_group("Soil_Moisture_Retrieval_Data")
        group["EASE_row_index"], group["EASE_column_index"] = row.astype("u2"), column.astype("u2")
        group["soil_moisture"] = moisture.astype("f4")
        group["soil_moisture_option1"] = np.where(moisture > 0, moisture / 2, moisture).astype("f4")
        group["retrieval_qual_flag"] = quality.astype("u2")
        group["retrieval_qual_flag_option1"] = np.zeros(len(cells), "u2")
        group["surface_flag"] = surface.astype("u2")
        group["tb_time_seconds"] = 492528679.5 + np.arange(len(cells), dtype=float)
        extent = file.create_group("Metadata/Extent")
        extent.attrs["rangeBeginningDateTime"] = np.bytes_("2015-08-11T01:30:02.239Z")
        extent.attrs["rangeEndingDateTime"] = "2015-08-11T02:23:23.652Z"
        file.create_group("Metadata/DatasetIdentification").attrs["ECSVersionID"] = version


@pytest.fixture(scope="module")
def l4(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    path = tmp_path_factory.mktemp("l4") / L4
    return path, write_l4(path)


def in_area(area: Area) -> tuple[slice, slice]:
    """Rows and columns of M09 with centres in an area, by PROJ."""
    x0, y0, cell = -17367530.4451615, 7314540.8306386, 9008.055210146
    x, y = pyproj.Proj("EPSG:6933")([area.west, area.east], [area.north, area.south])
    left, right = np.ceil((x[0] - x0) / cell - 0.5), np.floor((x[1] - x0) / cell - 0.5)
    top, bottom = np.ceil((y0 - y[0]) / cell - 0.5), np.floor((y0 - y[1]) / cell - 0.5)
    return slice(int(top), int(bottom) + 1), slice(int(left), int(right) + 1)


def test_the_spec_keeps_the_contract() -> None:
    import zoo_smap

    (spec,) = zoo_smap.zoo_sensors()
    check_sensor_spec(spec)
    assert isinstance(make(spec), SmapReader)


def test_level_4_values_are_those_of_the_file(l4: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, window = l4
    array = SmapReader().open([path], area=SHANDIAN, quality="all")
    check_sensor_array(array)
    rows, columns = in_area(SHANDIAN)
    expected = window["sm_surface"][
        rows.start - ROWS.start : rows.stop - ROWS.start, columns.start - COLUMNS.start : columns.stop - COLUMNS.start
    ]
    assert expected.size > 100
    np.testing.assert_array_equal(array.to_numpy(), expected)


def test_level_4_masks_frozen_soil_and_snow_as_recommended(l4: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, window = l4
    array = SmapReader().open([path], area=Area(110, 38, 122, 46))
    frozen, snow = window["soil_temp_layer1"] < 273.15, window["snow_mass"] > 0
    land = np.isfinite(window["sm_surface"])
    kept = land & ~frozen & ~snow
    assert int(array.notnull().sum()) == kept.sum() < land.sum()
    assert array.attrs["flag_counts"]["frozen_soil"] == (frozen & land).sum()
    assert array.attrs["flag_counts"]["snow"] == (snow & land).sum()
    assert float(array.sum()) == pytest.approx(window["sm_surface"][kept].sum(), rel=1e-5)


def test_level_4_time_is_the_middle_of_three_hours(l4: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, _ = l4
    granule = SmapReader().granule(path)
    assert granule.product == "SPL4SMGP.008"
    assert granule.id == path.stem
    assert granule.start == datetime(2019, 9, 25, 9, tzinfo=UTC)
    assert granule.end == datetime(2019, 9, 25, 12, tzinfo=UTC)
    array = SmapReader().open([path], area=SHANDIAN)
    assert array.time.values == np.datetime64("2019-09-25T10:30", "ns")
    assert array.attrs["time_coverage_start"] == "2019-09-25T09:00:00Z"


def test_level_4_root_zone_says_its_depth(l4: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, window = l4
    array = SmapReader().open([path], area=Area(110, 38, 122, 46), quality="all", variable="sm_rootzone")
    assert tuple(array.attrs["depth"]) == (0.0, 1.0)
    assert float(array.mean()) == pytest.approx(np.nanmean(window["sm_rootzone"]), rel=1e-5)
    with pytest.raises(UnknownNameError, match=r"sm_rootzones.*Did you mean 'sm_rootzone'"):
        SmapReader().open([path], area=SHANDIAN, variable="sm_rootzones")


def test_level_4_granules_are_averaged_over_the_valid_ones(
    l4: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    path, first = l4
    other = tmp_path / L4.replace("T1030", "T1330")
    second = write_l4(other, seed=2)
    array = SmapReader().open([path, other], area=Area(110, 38, 122, 46), quality="all")
    both = np.stack([first["sm_surface"], second["sm_surface"]])
    count = np.isfinite(both).sum(axis=0)
    expected = np.nansum(both, axis=0) / np.where(count, count, np.nan)
    got = array.to_numpy()
    assert int(np.isfinite(got).sum()) == (count > 0).sum() > (count == 2).sum() > 0
    assert np.nansum(got) == pytest.approx(np.nansum(expected), rel=1e-5)
    assert array.attrs["granules"] == [path.stem, other.stem]
    assert array.time.values == np.datetime64("2019-09-25T12:00", "ns")


def test_level_4_cut_to_a_part_lies_where_its_cells_say(tmp_path: Path) -> None:
    path = tmp_path / L4
    with h5py.File(path, "w") as file:
        for name, value in (("sm_surface", 0.2), ("soil_temp_layer1", 280), ("snow_mass", 0)):
            file[f"Geophysical_Data/{name}"] = np.full((4, 5), value, "f4")
        row, column = np.indices((4, 5), dtype=np.uint32)
        file["cell_row"], file["cell_column"] = row + 465, column + 2865
    lon, lat = centres(geobox_of(SmapReader().open([path])))
    assert lat[0, 0] == pytest.approx(25.256832122802734, abs=1e-4)  # as SPL4SMGP gives cell (465, 2865)
    assert lon[0, 0] == pytest.approx(87.52593994140625, abs=1e-4)


def test_level_2_keeps_cells_whose_bits_are_clear(tmp_path: Path) -> None:
    path = tmp_path / L2
    cells = [
        (100, 800, 0.20, 0, 0),
        (100, 801, 0.25, 8, 128),  # frozen-ground retrieval failed: independent of soil moisture
        (101, 800, 0.30, 1, 1),  # not recommended
        (101, 801, 0.60, 4, 0),  # a failed retrieval may still hold a value
        (102, 805, -9999, 15, 1),
        (65534, 65534, 0.4, 0, 0),  # placed nowhere
    ]
    write_l2(path, cells)
    array = SmapReader().open([path])
    check_sensor_array(array)
    assert array.shape == (3, 6)
    np.testing.assert_allclose(array.to_numpy()[0, :2], [0.20, 0.25])
    assert int(array.notnull().sum()) == 2
    assert int(SmapReader().open([path], quality="all").notnull().sum()) == 4
    counts = array.attrs["flag_counts"]
    assert counts["retrieval_not_recommended"] == 2
    assert counts["retrieval_unsuccessful"] == 2
    assert counts["freeze_thaw_unsuccessful"] == 2
    assert counts["static_water_body"] == 2
    assert counts["radiometer_frozen_ground"] == 1


def test_level_2_takes_the_flag_of_the_chosen_retrieval(tmp_path: Path) -> None:
    path = tmp_path / L2
    write_l2(path, [(100, 800, 0.2, 1, 0), (100, 801, 0.3, 0, 0)])
    array = SmapReader().open([path], variable="soil_moisture_option1")
    np.testing.assert_allclose(array.to_numpy(), [[0.1, 0.15]])
    with pytest.raises(UnknownNameError, match="soil_moisture_option1"):
        SmapReader().open([path], variable="soil_moisture_option9")


def test_level_2_orbits_are_averaged_cell_by_cell(tmp_path: Path) -> None:
    first, second = tmp_path / L2, tmp_path / L2.replace("02801_A", "02802_D")
    write_l2(first, [(100, 800, 0.2, 0, 0), (100, 801, 0.3, 0, 0)])
    write_l2(second, [(100, 801, 0.5, 0, 0), (101, 801, 0.1, 0, 0)])
    array = SmapReader().open([first, second])
    np.testing.assert_allclose(array.to_numpy(), [[0.2, 0.4], [np.nan, 0.1]])
    assert [SmapReader().granule(path).orbit for path in (first, second)] == ["A", "D"]


def test_level_2_outside_the_area_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / L2
    write_l2(path, [(100, 800, 0.2, 0, 0)])
    with pytest.raises(DataError, match=r"No cell of SMAP_L2\S+ lies in the area 0 0 5 5"):
        SmapReader().open([path], area=Area(0, 0, 5, 5))


def test_two_products_are_not_averaged(l4: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    other = tmp_path / L2
    write_l2(other, [(100, 800, 0.2, 0, 0)])
    with pytest.raises(UsageError, match=r"2 products \(SPL2SMP.008, SPL4SMGP.008\)"):
        SmapReader().open([l4[0], other])


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def not_hdf5(path: Path) -> None:
    path.write_text("<html>log in first</html>")


def other_content(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["something"] = 1


@pytest.mark.parametrize("name", [L2, L4])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [(cut_short, "truncated"), (not_hdf5, "cannot be read as SPL"), (other_content, "is no SPL")],
)
def test_a_spoilt_file_is_one_line(tmp_path: Path, name: str, spoil: Callable[[Path], None], message: str) -> None:
    path = tmp_path / name
    with h5py.File(path, "w") as file:
        file["filler"] = np.zeros(10000)
    spoil(path)
    with pytest.raises(DataError, match=message) as caught:
        SmapReader().granule(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_damaged_inside_is_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / L4
    write_l4(path)
    with h5py.File(path) as file:
        start = file["Geophysical_Data/sm_surface"].id.get_chunk_info(0).byte_offset
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * 64)
    with pytest.raises(DataError, match="cannot be read as SPL4SMGP"):
        SmapReader().open([path], area=Area(110, 38, 122, 46))


@pytest.mark.parametrize(
    "name", ["SMAP_L3_FT_P_20150331_R18290_002.h5", "SMAP_L4_SM_aup_20170803T000000_Vv7031_001.h5"]
)
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="is no SMAP file that is read here"):
        SmapReader().granule(Path(name))


@pytest.mark.real
@pytest.mark.parametrize(("name", "product"), [(L2, "SPL2SMP.008"), (L2_NRT, "SPL2SMP_NRT.105")])
@pytest.mark.parametrize("quality", ["recommended", "all"])
def test_real_swaths_equal_a_read_by_hand(real_data: Path, name: str, product: str, quality: str) -> None:
    path = real_data / "smap" / name
    array = SmapReader().open([path], quality=quality)  # type: ignore[arg-type]
    check_sensor_array(array)
    assert array.attrs["product"] == product
    with h5py.File(path) as file:
        group = file["Soil_Moisture_Retrieval_Data"]
        moisture, flag = group["soil_moisture"][:], group["retrieval_qual_flag"][:]
        lat, lon = group["latitude"][:], group["longitude"][:]
        surface = group["surface_flag"][:]
    kept = moisture != -9999
    if quality == "recommended":
        kept &= (flag % 2 == 0) & (flag // 4 % 2 == 0)
        assert kept.sum() == {L2: 592, L2_NRT: 2015}[name]
    assert int(array.notnull().sum()) == kept.sum()
    centre_lon, centre_lat = centres(geobox_of(array))
    column = np.abs(centre_lon[0][None, :] - lon[kept, None]).argmin(axis=1)
    row = np.abs(centre_lat[:, 0][None, :] - lat[kept, None]).argmin(axis=1)
    np.testing.assert_allclose(centre_lon[0][column], lon[kept], atol=1e-4)
    np.testing.assert_allclose(centre_lat[row, 0], lat[kept], atol=1e-4)
    np.testing.assert_array_equal(array.to_numpy()[row, column], moisture[kept])
    assert array.attrs["flag_counts"]["dense_vegetation"] == (surface // 1024 % 2).sum()
    assert array.attrs["flag_counts"]["retrieval_not_recommended"] == (flag % 2).sum()


@pytest.mark.real
@pytest.mark.parametrize("name", [L2, L2_NRT])
def test_real_times_are_those_of_the_utc_texts(real_data: Path, name: str) -> None:
    array = SmapReader().open([real_data / "smap" / name])
    with h5py.File(real_data / "smap" / name) as file:
        texts = file["Soil_Moisture_Retrieval_Data/tb_time_utc"][:].astype(str)
    seconds = sorted(text[:19] for text in texts)  # a few hold *** in the milliseconds
    assert array.attrs["time_coverage_start"] == f"{seconds[0]}Z"
    assert array.attrs["time_coverage_end"] == f"{seconds[-1]}Z"


def test_trap_1_seconds_count_from_noon_whatever_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / L2
    write_l2(path, [(100, 800, 0.2, 0, 0)])
    with h5py.File(path, "a") as file:
        file.create_group("Metadata/ProcessStep").attrs["epochUTCDateTime"] = np.bytes_("2000-01-01T11:58:55.816Z")
    seen = datetime(2000, 1, 1, 12) + timedelta(seconds=492528679)
    assert SmapReader().open([path]).attrs["time_coverage_start"] == f"{seen:%Y-%m-%dT%H:%M:%S}Z"


def test_trap_1_level_4_takes_its_time_from_the_name(tmp_path: Path) -> None:
    path = tmp_path / L4
    write_l4(path)
    with h5py.File(path, "a") as file:
        file["time"] = np.array([(datetime(2019, 9, 25, 10, 30) - datetime(2000, 1, 1, 12)).total_seconds()])
        file["time"].attrs["units"] = np.bytes_("seconds since 2000-01-01 11:58:55.816")  # 64 s off, as published
    assert SmapReader().open([path], area=SHANDIAN).time.values == np.datetime64("2019-09-25T10:30", "ns")


def test_trap_2_a_clear_bit_is_good_and_flag_masks_are_text(tmp_path: Path) -> None:
    path = tmp_path / L2
    write_l2(path, [(100, 800 + flag, 0.2, flag, 0) for flag in (0, 1, 5, 7, 8, 9, 13, 15)])
    with h5py.File(path, "a") as file:
        flag = file["Soil_Moisture_Retrieval_Data/retrieval_qual_flag"]
        flag.attrs["flag_masks"] = np.bytes_("1s, 2s, 4s, 8s")
    kept = SmapReader().open([path])
    x = [float(value) for value in kept.x[kept.notnull().to_numpy()[0]]]
    lon = pyproj.Proj("EPSG:6933")(x, [0.0] * len(x), inverse=True)[0]
    np.testing.assert_allclose(lon, [-180 + 360 / 964 * (column + 0.5) for column in (800, 808)], atol=1e-6)


def test_trap_3_a_surface_flag_leaves_the_value(tmp_path: Path) -> None:
    path = tmp_path / L2
    write_l2(path, [(100, 800 + bit, 0.2, 0, 1 << bit) for bit in range(12)])
    for quality in ("recommended", "all"):
        array = SmapReader().open([path], quality=quality)  # type: ignore[arg-type]
        assert int(array.notnull().sum()) == 12
    counts = array.attrs["flag_counts"]
    assert [counts[name] for name in ("static_water_body", "urban_area", "dense_vegetation", "nadir_region")] == [1] * 4


@pytest.mark.parametrize(
    ("name", "version", "dataset"),
    [
        (L4, "008", "depth_to_water_table_from_surface"),
        (L4.replace("Vv8011", "Vv7032"), "007", "depth_to_water_table_from_surface_in_peat"),
    ],
)
def test_trap_5_versions_7_and_8_are_read_alike(tmp_path: Path, name: str, version: str, dataset: str) -> None:
    write_l4(tmp_path / name)
    with h5py.File(tmp_path / name, "a") as file:
        file.create_dataset(f"Geophysical_Data/{dataset}", (1624, 3856), "f4", chunks=(203, 482), fillvalue=-9999)
    assert SmapReader().granule(tmp_path / name).product == f"SPL4SMGP.{version}"
    check_sensor_array(SmapReader().open([tmp_path / name], area=SHANDIAN))


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "water", "above", "highest"), [(L2, 346, 181, 0.73076), (L2_NRT, 2309, 1105, 0.9176481)]
)
def test_traps_2_and_3_in_the_real_files(real_data: Path, name: str, water: int, above: int, highest: float) -> None:
    """Values stay where the water bit is set, and above valid_max."""
    path = real_data / "smap" / name
    array = SmapReader().open([path], quality="all")
    with h5py.File(path) as file:
        group = file["Soil_Moisture_Retrieval_Data"]
        assert group["retrieval_qual_flag"].attrs["flag_masks"] == b"1s, 2s, 4s, 8s"
        wet = (group["soil_moisture"][:] != -9999) & (group["surface_flag"][:] % 2 == 1)
        lon, lat = group["longitude"][wet], group["latitude"][wet]
    assert wet.sum() == water
    x, y = pyproj.Proj("EPSG:6933")(lon.astype(float), lat.astype(float))
    at = {"x": xr.DataArray(x), "y": xr.DataArray(y)}
    assert bool(array.sel(at, method="nearest").notnull().all())
    assert array.attrs["flag_counts"]["kept_above_valid_max"] == above
    assert float(array.max()) == pytest.approx(highest)
