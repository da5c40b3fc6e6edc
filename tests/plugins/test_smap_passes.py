"""SPL3SMP, SPL3SMP_E and SPL2SMP_E: placement, passes, flags and versions, in files of the published layout."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyproj
import pytest

from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.grids import ease2_cells, geobox_of
from zoo.testing import check_sensor_array
from zoo.types import Area
from zoo_smap.reader import SmapReader

SHANDIAN = Area(115.0, 41.0, 117.0, 43.0)
L3 = "SMAP_L3_SM_P_20190925_R18290_001.h5"
L3_E = "SMAP_L3_SM_P_E_20190925_R19240_001.h5"
L2_E = "SMAP_L2_SM_P_E_24840_D_20190925T215959_R19240_001.h5"
NOON = datetime(2000, 1, 1, 12)
CORNER, CELL_M36 = (-17367530.4451615, 7314540.8306386), 36032.220840584
SHAPES = {"M36": (406, 964), "M09": (1624, 3856)}
FILLS: dict[str, float] = {
    "soil_moisture": -9999, "soil_moisture_dca": -9999, "soil_moisture_scav": -9999, "latitude": -9999,
    "longitude": -9999, "tb_time_seconds": -9999, "retrieval_qual_flag": 65534, "retrieval_qual_flag_dca": 65534,
    "retrieval_qual_flag_scav": 65534, "surface_flag": 65534, "EASE_row_index": 65534, "EASE_column_index": 65534,
}  # fmt: skip
TYPES = {"tb_time_seconds": "f8"} | {name: "u2" for name, fill in FILLS.items() if fill == 65534}

Cell = tuple[float, float, float, int, int]
"""Longitude, latitude, soil moisture, quality flag, surface flag."""


def centre(grid: str, row: int, column: int) -> tuple[float, float]:
    """Longitude and latitude of a cell's centre, by PROJ from the published corner and cell."""
    size = CELL_M36 / {"M36": 1, "M09": 4}[grid]
    x, y = CORNER[0] + (column + 0.5) * size, CORNER[1] - (row + 0.5) * size
    return pyproj.Proj("EPSG:6933")(x, y, inverse=True)


def datasets(grid: str, cells: list[Cell], hour: float) -> dict[str, np.ndarray]:
    """Arrays (n,) of each dataset for cells given by place."""
    lon, lat, moisture, quality, surface = (np.array(column) for column in zip(*cells, strict=True))
    row, column = ease2_cells(lon, lat, grid)
    midnight = (datetime(2019, 9, 25) - NOON).total_seconds()
    return {
        "soil_moisture": moisture,
        "soil_moisture_dca": moisture,
        "soil_moisture_scav": np.where(moisture > 0, moisture + 0.1, moisture),
        "latitude": lat,
        "longitude": lon,
        "tb_time_seconds": midnight + 3600 * hour + np.arange(len(cells)),
        "retrieval_qual_flag": quality,
        "retrieval_qual_flag_dca": quality,
        "retrieval_qual_flag_scav": np.zeros(len(cells)),
        "surface_flag": surface,
        "EASE_row_index": row,
        "EASE_column_index": column,
    }


def write_metadata(file: h5py.File, version: str, day: str = "2019-09-25") -> None:
    file.create_group("Metadata/DatasetIdentification").attrs["ECSVersionID"] = np.bytes_(version)
    extent = file.create_group("Metadata/Extent").attrs
    extent["rangeBeginningDateTime"] = np.bytes_(f"{day}T21:59:59.123Z")
    extent["rangeEndingDateTime"] = np.bytes_(f"{day}T22:49:01.456Z")


def write_l3(path: Path, grid: str, am: list[Cell], pm: list[Cell] | None, *, version: str = "008") -> None:
    """Write a whole level 3 file; `pm` None writes the single group of the first releases."""
    groups = {"_AM": ("", am, 22.0), "_PM": ("_pm", pm, 10.0)} if pm is not None else {"": ("", am, 22.0)}
    with h5py.File(path, "w") as file:
        for side, (suffix, cells, hour) in groups.items():
            group = file.create_group(f"Soil_Moisture_Retrieval_Data{side}")
            found = datasets(grid, cells or [], hour) if cells else {}
            for name, fill in FILLS.items():
                data = group.create_dataset(
                    name + suffix, SHAPES[grid], TYPES.get(name, "f4"), chunks=(203, 241), fillvalue=fill
                )
                data.attrs["coordinates"] = np.bytes_(  # in both groups, as published
                    "/Soil_Moisture_Retrieval_Data_AM/latitude /Soil_Moisture_Retrieval_Data_AM/longitude"
                )
                for row, column, value in (
                    zip(*(found[key] for key in ("EASE_row_index", "EASE_column_index", name)), strict=True)
                    if found
                    else ()
                ):
                    data[int(row), int(column)] = value
        if grid == "M09":
            polar = file.create_group("Soil_Moisture_Retrieval_Data_Polar_AM")
            polar["soil_moisture"] = np.full((4, 4), 0.33, "f4")
        write_metadata(file, version)


def cell(lon: float, lat: float, moisture: float, quality: int = 0, surface: int = 0, grid: str = "M36") -> Cell:
    """Move a place to the centre of its cell."""
    row, column = ease2_cells(np.array([lon]), np.array([lat]), grid)
    return (*centre(grid, int(row[0]), int(column[0])), moisture, quality, surface)


AM = [cell(115.5, 41.5, 0.10), cell(116.0, 42.0, 0.20), cell(116.5, 42.5, 0.30, 1, 1 << 10), cell(-100, 40, 0.35)]
PM = [cell(116.0, 42.0, 0.24), cell(115.5, 42.5, 0.28, 8, 1), cell(116.5, 41.5, 0.72, 4)]


@pytest.fixture
def daily(tmp_path: Path) -> Path:
    path = tmp_path / L3
    write_l3(path, "M36", AM, PM)
    return path


def values_at(array: Any, cells: list[Cell]) -> list[float]:
    """Values at places, found by PROJ and the array's own coordinates; the place must be a cell's centre."""
    x, y = pyproj.Proj("EPSG:6933")([each[0] for each in cells], [each[1] for each in cells])
    return [float(array.sel(x=at_x, y=at_y, method="nearest", tolerance=5.0)) for at_x, at_y in zip(x, y, strict=True)]


def test_a_file_with_both_passes_is_one_granule(daily: Path) -> None:
    granule = SmapReader().granule(daily)
    assert (granule.product, granule.id, granule.orbit) == ("SPL3SMP.008", daily.stem, None)
    assert set(granule.passes) == {"A", "D"}
    assert (granule.start, granule.end) == (datetime(2019, 9, 25, tzinfo=UTC), datetime(2019, 9, 26, tzinfo=UTC))


def test_morning_and_evening_are_taken_apart_by_orbit(daily: Path) -> None:
    morning = SmapReader().open([daily], area=SHANDIAN, orbit="D")
    evening = SmapReader().open([daily], area=SHANDIAN, orbit="A")
    check_sensor_array(morning)
    check_sensor_array(evening)
    assert values_at(morning, AM[:2]) == pytest.approx([0.10, 0.20])
    assert int(morning.notnull().sum()) == 2
    assert values_at(evening, PM[:2]) == pytest.approx([0.24, 0.28])
    assert int(evening.notnull().sum()) == 2
    assert (morning.attrs["orbit"], evening.attrs["orbit"]) == ("D", "A")
    assert morning.attrs["time_coverage_start"] == "2019-09-25T22:00:00Z"
    assert evening.attrs["time_coverage_start"] == "2019-09-25T10:00:00Z"


def test_without_an_orbit_the_passes_are_averaged_and_it_says_so(daily: Path) -> None:
    array = SmapReader().open([daily], area=SHANDIAN)
    assert values_at(array, [AM[0], AM[1], PM[1]]) == pytest.approx([0.10, 0.22, 0.28])
    assert array.attrs["orbit"] == "A, D"
    assert array.attrs["granules"] == [daily.stem]


def test_flags_mask_and_are_counted_pass_by_pass(daily: Path) -> None:
    evening = SmapReader().open([daily], area=SHANDIAN, orbit="A", quality="all")
    assert values_at(evening, PM) == pytest.approx([0.24, 0.28, 0.72])
    counts = evening.attrs["flag_counts"]
    assert counts["retrieval_unsuccessful"] == 1
    assert counts["freeze_thaw_unsuccessful"] == 1
    assert counts["static_water_body"] == 1
    assert counts["kept_above_valid_max"] == 1
    morning = SmapReader().open([daily], area=SHANDIAN, orbit="D")
    assert morning.attrs["flag_counts"]["retrieval_not_recommended"] == 1
    assert morning.attrs["flag_counts"]["dense_vegetation"] == 1


def test_an_algorithm_is_chosen_by_one_name_for_both_passes(daily: Path) -> None:
    for orbit, cells in (("D", AM), ("A", PM)):
        array = SmapReader().open([daily], area=SHANDIAN, orbit=orbit, variable="soil_moisture_scav")  # type: ignore[arg-type]
        inside = [each for each in cells if each[0] > 0]
        assert values_at(array, inside) == pytest.approx([each[2] + 0.1 for each in inside])  # its own flag is clear
    with pytest.raises(UnknownNameError, match="soil_moisture_scav"):
        SmapReader().open([daily], area=SHANDIAN, variable="soil_moisture_scah")


def test_days_are_mosaicked_one_pass_at_a_time(daily: Path, tmp_path: Path) -> None:
    second = tmp_path / L3.replace("0925", "0926")
    write_l3(second, "M36", [cell(116.0, 42.0, 0.30), cell(115.5, 42.0, 0.15)], PM)
    array = SmapReader().open([daily, second], area=SHANDIAN, orbit="D")
    assert values_at(array, [AM[0], AM[1], cell(115.5, 42.0, 0)]) == pytest.approx([0.10, 0.25, 0.15])
    assert array.attrs["orbit"] == "D"


def test_the_first_releases_hold_the_morning_alone(tmp_path: Path) -> None:
    path = tmp_path / L3.replace("R18290", "R13080")
    write_l3(path, "M36", AM, None, version="003")
    granule = SmapReader().granule(path)
    assert (granule.product, granule.orbit, granule.passes) == ("SPL3SMP.003", "D", ())
    assert int(SmapReader().open([path], area=SHANDIAN).notnull().sum()) == 2
    with pytest.raises(DataError, match=r"holds pass A: SMAP_L3\S+; choose the other one"):
        SmapReader().open([path], orbit="A")


def test_the_9_km_product_lies_on_m09_and_its_polar_groups_are_left(tmp_path: Path) -> None:
    path = tmp_path / L3_E
    near = [cell(lon, lat, value, grid="M09") for lon, lat, value in ((116.0, 42.0, 0.2), (116.1, 42.0, 0.3))]
    write_l3(path, "M09", near, [cell(116.0, 42.05, 0.4, grid="M09")], version="006")
    assert SmapReader().granule(path).product == "SPL3SMP_E.006"
    array = SmapReader().open([path], area=SHANDIAN, orbit="D")
    check_sensor_array(array)
    assert abs(geobox_of(array).resolution.x) == pytest.approx(9008.055210146)
    assert values_at(array, near) == pytest.approx([0.2, 0.3])
    assert int(array.notnull().sum()) == 2


def cut(path: Path, target: Path, rows: slice, columns: slice) -> None:
    """Cut every array of a level 3 file."""
    with h5py.File(path) as whole, h5py.File(target, "w") as part:
        for name, group in whole.items():
            if name == "Metadata":
                whole.copy(group, part)
            elif "Polar" not in name:
                for key, data in group.items():
                    part[f"{name}/{key}"] = data[rows, columns]


def test_a_part_of_the_globe_is_placed_by_its_indices(daily: Path, tmp_path: Path) -> None:
    target = tmp_path / "cut" / L3
    target.parent.mkdir()
    cut(daily, target, slice(50, 90), slice(770, 810))
    for orbit in ("A", "D"):
        whole = SmapReader().open([daily], area=SHANDIAN, orbit=orbit)  # type: ignore[arg-type]
        part = SmapReader().open([target], area=SHANDIAN, orbit=orbit)  # type: ignore[arg-type]
        np.testing.assert_array_equal(part, whole)
        np.testing.assert_allclose(part.x, whole.x, rtol=0, atol=1e-6)
        np.testing.assert_allclose(part.y, whole.y, rtol=0, atol=1e-6)
    assert SmapReader().open([target]).shape == (40, 40)
    with pytest.raises(DataError, match="hold different parts of the grid"):
        SmapReader().open([daily, target.rename(target.with_name(L3.replace("0925", "0926")))])


def test_a_part_in_which_nothing_was_seen_cannot_be_placed(daily: Path, tmp_path: Path) -> None:
    target = tmp_path / "cut" / L3
    target.parent.mkdir()
    cut(daily, target, slice(0, 10), slice(0, 10))
    with pytest.raises(DataError, match="cannot be placed on the grid of SPL3SMP"):
        SmapReader().granule(target)


def test_positions_and_indices_that_contradict_each_other_are_refused(daily: Path) -> None:
    with h5py.File(daily, "a") as file:
        index = file["Soil_Moisture_Retrieval_Data_PM/EASE_row_index_pm"]
        index[:] = np.where(index[:] == 65534, 65534, index[:] + 1)
    assert int(SmapReader().open([daily], area=SHANDIAN, orbit="D").notnull().sum()) == 2
    with pytest.raises(DataError, match="elsewhere than their EASE_row_index says"):
        SmapReader().open([daily], area=SHANDIAN, orbit="A")


def test_a_file_without_passes_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / L3, "w") as file:
        write_metadata(file, "008")
    with pytest.raises(DataError, match="no group Soil_Moisture_Retrieval_Data_AM or _PM"):
        SmapReader().granule(tmp_path / L3)


def write_l2_e(path: Path, cells: list[Cell]) -> None:
    """Write a 9 km half orbit with its polar group."""
    with h5py.File(path, "w") as file:
        for name, values in datasets("M09", cells, 22.0).items():
            file[f"Soil_Moisture_Retrieval_Data/{name}"] = values.astype(TYPES.get(name, "f4"))
            file[f"Soil_Moisture_Retrieval_Data_Polar/{name}"] = values.astype(TYPES.get(name, "f4"))[:1]
        write_metadata(file, "006")


def test_9_km_half_orbits_lie_on_m09(tmp_path: Path) -> None:
    first, second = tmp_path / L2_E, tmp_path / L2_E.replace("24840_D", "24841_A")
    near = [cell(lon, 42.0, value, grid="M09") for lon, value in ((116.0, 0.2), (116.1, 0.3))]
    write_l2_e(first, near)
    write_l2_e(second, [cell(116.1, 42.0, 0.5, grid="M09"), cell(116.2, 42.0, 0.1, 5, grid="M09")])
    granules = [SmapReader().granule(path) for path in (first, second)]
    assert [(each.product, each.orbit) for each in granules] == [("SPL2SMP_E.006", "D"), ("SPL2SMP_E.006", "A")]
    array = SmapReader().open([first, second], area=SHANDIAN)
    check_sensor_array(array)
    assert values_at(array, near) == pytest.approx([0.2, 0.4])
    assert int(array.notnull().sum()) == 2
    assert abs(geobox_of(array).resolution.x) == pytest.approx(9008.055210146)
    assert values_at(SmapReader().open([first, second], area=SHANDIAN, orbit="D"), near) == pytest.approx([0.2, 0.3])


def test_36_and_9_km_are_not_averaged(daily: Path, tmp_path: Path) -> None:
    write_l2_e(tmp_path / L2_E, [cell(116.0, 42.0, 0.2, grid="M09")])
    with pytest.raises(UsageError, match=r"2 products \(SPL2SMP_E.006, SPL3SMP.008\)"):
        SmapReader().open([daily, tmp_path / L2_E])


def test_a_swath_that_places_nothing_is_one_line(tmp_path: Path) -> None:
    write_l2_e(tmp_path / L2_E, [cell(116.0, 42.0, 0.2, grid="M09")])
    with h5py.File(tmp_path / L2_E, "a") as file:
        file["Soil_Moisture_Retrieval_Data/EASE_row_index"][:] = 65534
    with pytest.raises(DataError, match="places no cell on the grid"):
        SmapReader().open([tmp_path / L2_E])


def test_trap_4_evening_cells_lie_at_their_own_latitude_and_longitude(daily: Path) -> None:
    """`coordinates` of the evening names the morning's arrays, which hold fill where the morning saw nothing."""
    with h5py.File(daily) as file:
        evening = file["Soil_Moisture_Retrieval_Data_PM"]
        moisture, lat, lon = (evening[f"{name}_pm"][:] for name in ("soil_moisture", "latitude", "longitude"))
        named = evening["soil_moisture_pm"].attrs["coordinates"].decode().split()[0]
        kept = moisture != -9999
        assert (file[named][:][kept] == -9999).any()
    array = SmapReader().open([daily], area=SHANDIAN, orbit="A", quality="all")
    at = [(float(x), float(y), 0.0, 0, 0) for x, y in zip(lon[kept], lat[kept], strict=True)]
    x, y = pyproj.Proj("EPSG:6933")([each[0] for each in at], [each[1] for each in at])
    found = [float(array.sel(x=a, y=b, method="nearest", tolerance=100.0)) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(found, moisture[kept], atol=1e-6)


def test_orbit_goes_from_the_request_to_the_group(daily: Path) -> None:
    from zoo.granules import Selection
    from zoo.inputs import Request, open_coarse

    for orbit, expected in (("D", 0.20), ("A", 0.24), (None, 0.22)):
        selection = Selection(datetime(2019, 9, 25).date(), orbit=orbit)  # type: ignore[arg-type]
        array = open_coarse(Request((daily.parent,), SHANDIAN, selection))
        assert values_at(array, [AM[1]]) == pytest.approx([expected])


def test_a_folder_of_several_products_is_one_clear_error(daily: Path) -> None:
    from zoo.granules import Selection
    from zoo.inputs import Request, open_coarse

    write_l2_e(daily.parent / L2_E, [cell(116.0, 42.0, 0.2, grid="M09")])
    with pytest.raises(
        DataError, match=r"several products of sensor 'smap': SPL2SMP_E.006, SPL3SMP.008; point"
    ) as error:
        open_coarse(Request((daily.parent,), SHANDIAN, Selection(datetime(2019, 9, 25).date())))
    assert "\n" not in str(error.value)


def test_inspect_shows_the_passes_apart(daily: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from zoo.cli import main

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(["inspect", str(daily), "--area", "115", "41", "117", "43", *arguments])
        assert not end.value.code
        return capsys.readouterr().out

    (found,) = json.loads(run("--json"))["files"]
    assert (found["product"], found["orbit"]) == ("SPL3SMP.008", None)
    by_pass = {field["orbit"]: field for field in found["fields"]}
    assert {orbit: field["valid"] for orbit, field in by_pass.items()} == {"D": 2, "A": 2}
    assert by_pass["D"]["observed_from"] == "2019-09-25T22:00:00Z"
    assert by_pass["A"]["flag_counts"]["static_water_body"] == 1
    shown = run()
    for text in ("D, descending; A, ascending", "soil_moisture D", "soil_moisture A", "observed A"):
        assert text in shown
