"""ISMN archives: every layout and oddity, and the package `ismn` beside, row by row."""

from __future__ import annotations

import time
import warnings
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import zoo_insitu
from zoo import Area
from zoo.errors import DataError, UsageError
from zoo.plugins import make
from zoo.types import ReferenceReader
from zoo_insitu.archive import opened, sensor_file, station_files
from zoo_insitu.ismn import IsmnReader
from zoo_insitu.stm import read_rows

DATES = "19500101_20300101"
GOOD = ("G", "U")


def hourly(values: list[str], day: str = "2019/07/15") -> str:
    """Rows of header+values: one an hour."""
    return "".join(f"{day} {hour:02d}:00 {value}\n" for hour, value in enumerate(values))


def header(station: str, sensor: str = "EC5", depth: str = "0.0500 0.0500", network: str = "DWD") -> str:
    return f"{network} {network} {station} 52.08130 6.94089 46.0 {depth} {sensor}\n"


def ceop(network: str, station: str, value: str, time: str = "2019/07/15 13:00") -> str:
    """One row of CEOP-sep."""
    return (
        f"{time} {time} {network}    {network}   {station}   44.46700    -0.72690   52.42    0.05    0.05   {value}\n"
    )


def put(root: Path, station: str, text: str, *, network: str = "DWD", file: str = "sm_0.050000_0.050000_EC5") -> Path:
    path = root / network / station / f"{network}_{network}_{station}_{file}_{DATES}.stm"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.stm")):
            archive.write(file, file.relative_to(folder).as_posix())
    return path


def read(path: Path, **selection: Any) -> pd.DataFrame:
    return IsmnReader().open(path, **selection)


@pytest.fixture
def ismn_package() -> Iterator[Any]:
    """Read one file with the package `ismn`; its own warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ismn.base import IsmnRoot
        from ismn.filehandlers import DataFile

        roots = []

        def read_file(root: Path, name: str) -> tuple[dict[str, Any], pd.DataFrame]:
            roots.append(IsmnRoot(str(root)))
            file = DataFile(roots[-1], name)
            return {meta.name: meta.val for meta in file.metadata.metadata}, file.read_data()

        yield read_file
        for root in roots:
            root.close()


def assert_equals_package(root: Path, read_file: Any, networks: bool = True) -> int:
    """Compare every row and heading of an archive; returns how many rows there were."""
    rows = 0
    with opened(root) as archive:
        for name in station_files(archive):
            known, theirs = read_file(root, name)
            ours = sensor_file(archive, name)
            (values,), unread = read_rows(archive.read(name), ours.heading.layout, name)
            assert unread == 0
            assert np.array_equal(values.time, theirs.index.to_numpy())
            assert np.array_equal(values.value, theirs["soil_moisture"].to_numpy())
            assert values.flag.astype(str).tolist() == theirs["soil_moisture_flag"].tolist()
            assert (ours.station, ours.heading.lat, ours.heading.lon) == (
                known["station"], known["latitude"], known["longitude"],
            )  # fmt: skip
            assert not networks or ours.network == known["network"]
            rows += len(theirs)
    return rows


# --- the package ismn beside ---------------------------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "rows"), [("ISMN_header_values.zip", 211_403), ("ISMN_CEOP_20170810_20180809.zip", 65_969)]
)
def test_real_archives_equal_the_package_row_by_row(real_data: Path, ismn_package: Any, name: str, rows: int) -> None:
    wrapped = name.startswith("ISMN_CEOP")  # in a folder of its own, which the package takes for the network
    assert assert_equals_package(real_data / "insitu" / name, ismn_package, networks=not wrapped) == rows


def test_small_archives_of_both_layouts_equal_the_package(tmp_path: Path, ismn_package: Any) -> None:
    values = ["0.281 G M", "0.279 G Out of WFV average range,OK,OK", "0.277 C03,D10 M", "0.276 G"]
    put(tmp_path, "Ahaus", header("Ahaus", "Sentek Drill and drop") + hourly(values))
    rows = "".join(ceop("FR-Aqui", "fraye", value) for value in ("0.0345 G M", "0.0787 D03,D05 M"))
    put(tmp_path, "fraye", rows, network="FR-Aqui")
    assert assert_equals_package(tmp_path, ismn_package) == 6


def test_missing_values_are_dropped_where_the_package_leaves_them(tmp_path: Path, ismn_package: Any) -> None:
    path = put(tmp_path, "A", header("A") + hourly(["0.281 G M", "-9999 M M", "-999.99 M M", "0.2 G M"]))
    _, theirs = ismn_package(tmp_path, path.relative_to(tmp_path).as_posix())
    assert theirs["soil_moisture"].min() == -9999
    ours = read(tmp_path)
    assert ours["sm"].tolist() == [0.281, 0.2]
    assert ours.attrs["dropped"]["missing"] == 2


def test_the_network_is_found_where_the_package_takes_the_outer_folder(tmp_path: Path, ismn_package: Any) -> None:
    root = tmp_path / "x"
    path = put(root / "Data_separate_files", "A", header("A") + hourly(["0.281 G M", "0.2 G M"]))
    known, _ = ismn_package(root, path.relative_to(root).as_posix())
    assert known["network"] == "Data_separate_files"
    assert read(root)["station"].tolist() == ["DWD/A", "DWD/A"]


def test_a_placeholder_elevation_is_missing_where_the_package_keeps_it(tmp_path: Path, ismn_package: Any) -> None:
    path = put(tmp_path, "A", header("A").replace("46.0", "-99.9") + hourly(["0.281 G M", "0.2 G M"]))
    known, _ = ismn_package(tmp_path, path.relative_to(tmp_path).as_posix())
    assert known["elevation"] == -99.9
    assert IsmnReader().inventory(tmp_path)["elevation"].isna().all()


def old_ceop(root: Path, *rows: tuple[str, str, str]) -> Path:
    """Write a file of the old CEOP: time, depth, `temperature flag moisture flag`."""
    place = "SMOSMANIA  SMOSMANIA       Narbonne          43.15000     2.95670  112.00 -"
    path = root / "SMOSMANIA" / "SMOSMANIA_SMOSMANIA_NBN_20100304_20130801.stm"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"2010/10/21 {t} 2010/10/21 {t} {place}   {d}   {v}\n" for t, d, v in rows))
    return path


def test_the_old_ceop_is_read_where_the_package_fails(tmp_path: Path, ismn_package: Any) -> None:
    rows = [
        ("01:00", "0.05", "12.20 U   0.2252 U"),
        ("01:00", "0.20", "-999.99 M   0.2462 U"),
        ("02:00", "0.05", "-1.50 U   0.2247 U"),
        ("02:00", "0.20", "-999.99 M   -999.99 M"),
    ]
    path = old_ceop(tmp_path, *rows)
    with pytest.raises(IndexError):
        ismn_package(tmp_path, path.relative_to(tmp_path).as_posix())
    ours = read(tmp_path, flags=GOOD, frozen="keep")
    assert ours[["depth", "sm", "frozen"]].to_numpy().tolist() == [
        [0.05, 0.2252, "thawed"], [0.2, 0.2462, "thawed"], [0.05, 0.2247, "frozen"],
    ]  # fmt: skip
    assert set(ours["station"]) == {"SMOSMANIA/Narbonne"}
    surface = read(tmp_path, flags=GOOD, depth=(0, 0.05))
    assert surface["sm"].tolist() == [0.2252]
    assert surface.attrs["dropped"]["frozen"] == 1


# --- the text ------------------------------------------------------------------------------------------------------


def test_the_plugin_brings_a_reader_that_keeps_the_protocol() -> None:
    specs = {spec.name: spec for spec in zoo_insitu.zoo_references()}
    assert isinstance(make(specs["ismn"]), ReferenceReader)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_line_ends_of_every_system_read_the_same(tmp_path: Path, end: str) -> None:
    text = header("A") + hourly(["0.281 G M ", "0.279 U M", "0.2 G"])
    put(tmp_path, "A", text.replace("\n", end))
    table = read(tmp_path, flags=GOOD)
    assert table["sm"].tolist() == [0.281, 0.279, 0.2]
    assert table["time"].iloc[1] == pd.Timestamp("2019-07-15T01:00Z")
    assert table.attrs["dropped"]["unreadable"] == 0
    listed = IsmnReader().inventory(tmp_path).iloc[0]
    assert (listed["lines"], listed["last"]) == (3, pd.Timestamp("2019-07-15T02:00Z"))


@pytest.mark.parametrize(
    ("written", "file", "name"),
    [
        ("Sentek Drill and drop", "Sentek-Drill-and-drop", "Sentek Drill and drop"),
        ("Hydraprobe II Sdi-12_C", "Hydraprobe-II-Sdi-12-C", "Hydraprobe II Sdi-12_C"),
        ("'Meter-5TM'", "Meter-5TM_1_2", "Meter-5TM_1_2"),
        ("", "ThetaProbe-ML2X", "ThetaProbe-ML2X"),
    ],
)
def test_a_sensors_name_may_hold_spaces_quotes_and_be_absent(
    tmp_path: Path, written: str, file: str, name: str
) -> None:
    put(tmp_path, "A", header("A", written) + hourly(["0.2 G M"]), file=f"sm_0.050000_0.050000_{file}")
    (sensor,) = IsmnReader().inventory(tmp_path)["sensor"]
    assert sensor == name


def test_folders_and_files_may_spell_names_differently(tmp_path: Path) -> None:
    path = tmp_path / "FR_Aqui" / "AdamsRanch#1" / f"FR-Aqui_FR-Aqui_AdamsRanch#1_sm_0.05_0.05_EC5_{DATES}.stm"
    path.parent.mkdir(parents=True)
    path.write_text(ceop("FR-Aqui", "Adams_Ranch_#1", "0.0345 G M"))
    assert read(tmp_path)["station"].tolist() == ["FR_Aqui/AdamsRanch#1"]
    assert read(path)["station"].tolist() == ["FR_Aqui/AdamsRanch#1"]


def test_a_zip_a_folder_and_a_file_say_the_same(tmp_path: Path) -> None:
    file = put(tmp_path / "folder", "A", header("A") + hourly(["0.281 G M", "0.2 D03 M"]))
    archive = zipped(tmp_path / "folder", tmp_path / "any.zip")
    tables = [read(path) for path in (tmp_path / "folder", archive, file)]
    assert all(table.equals(tables[0]) and table.attrs == tables[0].attrs for table in tables)
    assert IsmnReader().claims(archive)
    assert not IsmnReader().claims(zipped(tmp_path / "none", tmp_path / "empty.zip"))


def test_a_line_that_is_none_is_counted_and_a_date_that_does_not_exist_named(tmp_path: Path) -> None:
    put(tmp_path, "A", header("A") + "\n" + hourly(["0.281 G M"]) + "2019/07/15 half past 0.2 G M\n\n")
    assert read(tmp_path).attrs["dropped"]["unreadable"] == 1
    put(tmp_path, "A", header("A") + hourly(["0.281 G M"], day="2019/02/30"))
    with pytest.raises(DataError, match=r"DWD_DWD_A_sm.*holds a date that does not exist"):
        read(tmp_path)


# --- quality, frozen soil, several sensors -------------------------------------------------------------------------


def test_a_value_is_kept_if_every_flag_of_its_list_is_asked_for(tmp_path: Path) -> None:
    put(tmp_path, "A", header("A") + hourly(["0.1 G M", "0.2 D04 M", "0.3 D04,D05 M", "0.4 C03,D04 M", "1.2 G M"]))
    kept = {flags: read(tmp_path, flags=flags)["sm"].tolist() for flags in (("G",), ("G", "D04", "D05"), ("all",))}
    assert kept == {("G",): [0.1], ("G", "D04", "D05"): [0.1, 0.2, 0.3], ("all",): [0.1, 0.2, 0.3, 0.4]}
    table = read(tmp_path)
    assert {reason: n for reason, n in table.attrs["dropped"].items() if n} == {"flagged": 3, "out_of_range": 1}
    assert table.attrs["flags"] == {"G": 2, "D04": 1, "D04,D05": 1, "C03,D04": 1}


def test_old_files_that_write_u_for_g_say_how_to_read_them(tmp_path: Path) -> None:
    put(tmp_path, "A", header("A") + hourly(["0.1 U M", "0.2 D03 M"]))
    with pytest.raises(DataError, match="there are U 1, D03 1; files older .* --flags G,U"):
        read(tmp_path)
    assert read(tmp_path, flags=GOOD)["sm"].tolist() == [0.1]


def test_soil_is_frozen_by_the_temperature_beside_it(tmp_path: Path) -> None:
    put(tmp_path, "A", header("A") + hourly(["0.1 G M", "0.2 G M", "0.3 G M", "0.4 G M"]))
    put(tmp_path, "A", header("A") + hourly(["-0.1 G M", "0 G M", "0.1 G M"]), file="ts_0.050000_0.050000_EC5")
    deep = header("A", depth="0.5000 0.5000") + hourly(["-5 G M"] * 4)
    put(tmp_path, "A", deep, file="ts_0.500000_0.500000_EC5")
    table = read(tmp_path)
    assert table["sm"].tolist() == [0.3, 0.4]
    assert (table.attrs["dropped"]["frozen"], table.attrs["sensors"]["soil_temperature_beside"]) == (2, 1)
    assert table.attrs["remarks"] == []
    unmasked = read(tmp_path, frozen="keep")
    assert unmasked["frozen"].tolist() == ["frozen", "frozen", "thawed", "thawed"]


def test_where_no_temperature_stands_beside_ismns_flags_tell_frozen_soil(tmp_path: Path) -> None:
    put(tmp_path, "A", header("A") + hourly(["0.1 G M", "0.2 D03 M", "0.3 D01,D03 M", "0.4 D02 M", "0.5 C03,D03 M"]))
    table = read(tmp_path)
    assert table["sm"].tolist() == [0.1]
    assert (table.attrs["dropped"]["frozen"], table.attrs["dropped"]["flagged"]) == (2, 2)
    assert "1 of 1 sensors have no soil temperature beside" in table.attrs["remarks"][0]
    assert read(tmp_path, frozen="keep")["sm"].tolist() == [0.1, 0.2, 0.3]


def test_a_flag_asked_for_yields_to_the_temperature_measured(tmp_path: Path) -> None:
    put(tmp_path, "A", header("A") + hourly(["0.1 D03 M", "0.2 D03 M", "0.3 G M"]))
    put(tmp_path, "A", header("A") + hourly(["4 G M", "-4 G M", "4 G M"]), file="ts_0.050000_0.050000_EC5")
    assert read(tmp_path)["sm"].tolist() == [0.3]
    assert read(tmp_path, flags=("G", "D03"))["sm"].tolist() == [0.1, 0.3]


def test_several_sensors_are_averaged_chosen_or_kept_apart(tmp_path: Path) -> None:
    put(tmp_path, "A", header("A", "X_A") + hourly(["0.1 G M", "0.3 G M"]), file="sm_0.050000_0.050000_X-A")
    put(tmp_path, "A", header("A", "X_B") + hourly(["0.2 D10 M", "0.5 G M"])
        + hourly(["0.7 G M"], day="2019/07/16"), file="sm_0.050000_0.050000_X-B")  # fmt: skip
    put(tmp_path, "A", header("A", "X_C") + hourly(["0.9 G M"], day="2019/07/17"), file="sm_0.05_0.05_X-C")
    put(tmp_path, "A", header("A", "X_A", "0.2000 0.2000") + hourly(["0.6 G M"]), file="sm_0.200000_0.200000_X-A")
    surface = read(tmp_path, depth=(0, 0.05))
    assert surface["sm"].tolist() == pytest.approx([0.1, 0.4, 0.7, 0.9])
    assert (surface.attrs["dropped"]["merged"], surface.attrs["sensors"]["other_depth"]) == (1, 1)
    assert read(tmp_path)["depth"].tolist().count(0.2) == 1
    longest = read(tmp_path, depth=(0, 0.05), several="longest")
    assert longest["sm"].tolist() == [0.1, 0.3]
    assert longest.attrs["dropped"]["other_sensor"] == 3
    apart = read(tmp_path, depth=(0, 0.05), several="apart")
    assert apart["station"].unique().tolist() == ["DWD/A [X_A]", "DWD/A [X_B]", "DWD/A [X_C]"]
    assert read(tmp_path, sensors=("*_b",))["sm"].tolist() == [0.5, 0.7]


def test_every_row_is_kept_or_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    flags = rng.choice(["G M", "D03 M", "D05 M", "M M", "C01 M"], 96)
    for letter in "AB":
        values = [f"{v:.3f} {f}" for v, f in zip(rng.uniform(-0.1, 1.1, 24), flags, strict=False)]
        put(tmp_path, "A", header("A", letter) + hourly(values), file=f"sm_0.050000_0.050000_{letter}")
    for frozen in ("mask", "keep"):
        table = read(
            tmp_path, frozen=frozen, period=(datetime(2019, 7, 15, 3, tzinfo=UTC), datetime(2019, 7, 16, tzinfo=UTC))
        )
        assert len(table) + sum(table.attrs["dropped"].values()) == 48
        assert table.attrs["dropped"]["outside_period"] == 6


# --- selection -----------------------------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path: Path) -> Path:
    for network, station, lat in (("DWD", "A", "52.08130"), ("DWD", "B", "53.00000"), ("TERENO", "A", "54.00000")):
        text = header(station, network=network).replace("52.08130", lat) + hourly(["0.1 G M", "0.2 G M"])
        put(tmp_path, station, text, network=network)
    put(tmp_path, "A", header("A") + hourly(["1 G M"]), file="p_0.000000_0.000000_Rain")
    return tmp_path


@pytest.mark.parametrize(
    ("selection", "stations", "left_out"),
    [
        ({}, ["DWD/A", "DWD/B", "TERENO/A"], {"other_variable": 1}),
        ({"networks": ("ter*",)}, ["TERENO/A"], {"other_network": 2}),
        ({"stations": ("B",)}, ["DWD/B"], {"other_station": 2}),
        ({"stations": ("DWD/A",)}, ["DWD/A"], {"other_station": 2}),
        ({"area": Area(6, 52.5, 7, 53.5)}, ["DWD/B"], {"outside_area": 2}),
    ],
)
def test_stations_are_chosen_by_network_name_and_place_and_the_rest_counted(
    three: Path, selection: dict[str, Any], stations: list[str], left_out: dict[str, int]
) -> None:
    table = read(three, **selection)
    assert table["station"].unique().tolist() == stations
    counted = table.attrs["sensors"]
    assert counted["chosen"] == len(stations)
    assert {name: counted[name] for name in left_out} == left_out


def test_a_period_ends_before_its_end(three: Path) -> None:
    period = datetime(2019, 7, 15, tzinfo=UTC), datetime(2019, 7, 15, 1, tzinfo=UTC)
    assert read(three, period=period)["sm"].tolist() == [0.1] * 3


def test_two_inches_count_as_five_centimetres(tmp_path: Path) -> None:
    put(tmp_path, "A", header("A", depth="0.0508 0.0508") + hourly(["0.1 G M"]))
    put(tmp_path, "B", header("B", depth="0.0000 0.1000") + hourly(["0.2 G M"]))
    assert read(tmp_path, depth=(0, 0.05))["station"].tolist() == ["DWD/A"]


def test_what_cannot_be_read_or_chosen_is_one_clear_line(three: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK and nothing else")
    wrong = tmp_path / "wrong" / f"X_X_A_sm_0.05_0.05_EC5_{DATES}.stm"
    wrong.parent.mkdir()
    wrong.write_text("no header\n")
    for path, message in (
        (broken, "cannot be read as an ISMN archive"),
        (tmp_path / "absent.zip", "does not exist"),
        (wrong.parent, "is no ISMN file: its first line is 'no header'"),
        (zipped(tmp_path / "none", tmp_path / "empty.zip"), "holds no ISMN file"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            read(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no valid measurement in the area 0 0 1 1"):
        read(three, area=Area(0, 0, 1, 1))
    with pytest.raises(UsageError, match="nothing that --utc-offset could choose by"):
        read(three, utc_offset=8.0)
    with pytest.raises(UsageError, match="--frozen 'melt' is unknown; expected mask, known, keep"):
        read(three, frozen="melt")


def test_a_zip_damaged_inside_is_one_clear_line(three: Path, tmp_path: Path) -> None:
    put(three, "Long", header("Long") + hourly([f"{v:.4f} G M" for v in np.random.default_rng(0).random(24)]))
    whole = zipped(three, tmp_path / "whole.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "whole.zip") as archive:
        entry = next(entry for entry in archive.infolist() if "Long" in entry.filename)
    start = entry.header_offset + 30 + len(entry.filename) + 20
    (tmp_path / "damaged.zip").write_bytes(whole[:start] + b"\xff" * 40 + whole[start + 40 :])
    with pytest.raises(DataError, match="damaged.zip cannot be read as an ISMN archive: .*; download it again"):
        read(tmp_path / "damaged.zip")


def test_a_sensor_without_rows_is_no_fault(three: Path) -> None:
    put(three, "C", header("C"))
    table = read(three)
    assert table["station"].nunique() == 3
    assert table.attrs["dropped"]["unreadable"] == 0
    assert IsmnReader().inventory(three)["lines"].tolist().count(0) == 1


def test_a_broken_file_among_others_is_counted(three: Path) -> None:
    put(three, "C", "no header\n")
    assert read(three).attrs["sensors"]["no_ismn_file"] == 1


# --- speed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["header+values", "CEOP-sep"])
def test_five_million_lines_a_minute_of_one_core(tmp_path: Path, layout: str) -> None:
    lines = 100_000
    times = np.datetime_as_string(np.datetime64("2005-01-01T00") + np.arange(lines).astype("m8[h]"), "m")
    times = [t.replace("-", "/").replace("T", " ") for t in times]
    if layout == "CEOP-sep":
        text = "".join(ceop("DWD", "A", "0.2130 G DLT >= 1.5,OK", t) for t in times)
    else:
        text = header("A") + "".join(f"{t} 0.2130 G DLT >= 1.5,OK\n" for t in times)
    put(tmp_path, "A", text)
    started = time.process_time()
    assert len(read(tmp_path)) == lines
    assert lines / (time.process_time() - started) * 60 >= 5e6
