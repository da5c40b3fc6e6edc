"""`zoo reference`: lists, counts, days, and what is said where next to nothing is left."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.transform import from_origin

from zoo.cli import main

ROWS = "2019/07/15 00:00 0.2 G M\n2019/07/15 01:00 0.4 D03 M\n2019/07/15 02:00 0.3 C02 M\n2019/07/16 02:00 0.1 G M\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for station in "AB":
        path = tmp_path / "any" / "DWD" / station / f"DWD_DWD_{station}_sm_0.05_0.05_EC5_20190101_20191231.stm"
        path.parent.mkdir(parents=True)
        path.write_text(f"DWD DWD {station} 52.08130 6.94089 46.0 0.0500 0.0500 Sentek Drill and drop\n{ROWS}")
    return tmp_path / "any"


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    times = pd.date_range("2019-11-25", periods=4, freq="6h")
    rows = {"station": "A", "lon": 116.0, "lat": 42.0, "time": times, "sm_3cm": 0.1, "ts_3cm": -1.0}
    pd.DataFrame(rows).to_parquet(tmp_path / "frozen.parquet")
    return tmp_path / "frozen.parquet"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in ("reference", *arguments)])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_a_list_shows_every_sensor(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "list", folder)
    assert "2 files (header+values)" in shown
    assert "DWD/A" in shown
    assert "Sentek Drill and drop" in shown
    sensors = json.loads(run(capsys, "list", folder, "--json"))["sensors"]
    assert sensors[0]["first"] == "2019-07-15T00:00:00+00:00"
    assert sensors[1]["lines"] == 4


def test_a_check_says_what_was_dropped_and_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "check", folder, "--stations", "A,B", "--date", "2019-07-15", "--date", "2019-07-16")
    assert "4 rows of 2 stations usable" in shown
    assert "rows dropped: flagged 2, frozen 2" in shown
    assert "rows by flag: G 4, D03 2, C02 2" in shown
    told = json.loads(run(capsys, "check", folder, "--station", "A", "--date", "2019-07-15", "--json"))
    (day,) = told["days"]
    assert day["masked"] == {"stations": 1, "mean": 0.2, "spread": None}
    assert day["unmasked"]["mean"] == pytest.approx(0.3)
    assert day["stations"][0]["state"] == "partly frozen"
    assert (told["dropped"]["flagged"], told["sensors"]["other_station"]) == (1, 1)


def test_the_first_and_the_last_day_are_included(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def rows(*options: str) -> int:
        return int(json.loads(run(capsys, "check", folder, "--json", *options))["rows"])

    assert rows("--from", "2019-07-16") == 2
    assert rows("--to", "2019-07-15") == 2
    assert rows("--from", "2019-07-15", "--to", "2019-07-16") == 4


def test_where_nothing_thawed_is_left_it_says_so(frozen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "check", frozen, "--date", "2019-11-25", "--date", "2019-11-27")
    assert "2019-11-25: none of 1 stations is left once frozen (1) and undetermined (0) soil is masked" in shown
    assert "2019-11-27: there is no measurement on this day" in shown


def test_errors_are_one_line_with_their_exit_code(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code, message in (
        (["check", str(folder), "--flags", "U"], 4, "has no value with the flags U; there are G 4"),
        (["check", str(folder), "--frozen", "melt"], 2, "--frozen 'melt' is unknown"),
        (["check", str(folder), "--date", "yesterday"], 2, "is no date"),
        (["check", str(folder), "--depth", "0.1", "0"], 2, "is no layer"),
        (["check", str(folder), "--from", "2019-13-01"], 2, "--from '2019-13-01' is no date"),
        (
            ["check", str(folder), "--from", "2020-01-01", "--to", "2019-01-01"],
            2,
            "give --from a day not after",
        ),
        (["check", str(folder), "--utc-offset", "99"], 2, "--utc-offset 99 is none on Earth"),
        (["list", str(folder / "absent")], 4, "does not exist"),
        (["list", str(folder), "--reader", "ismm"], 2, "Did you mean 'ismn'"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["reference", *arguments])
        told = capsys.readouterr().err
        assert ended.value.code == code
        assert message in told
        assert told.count("\n") == 1


def test_validate_chooses_among_the_stations_of_an_archive(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = {"width": 2, "height": 2, "count": 1, "dtype": "float32", "crs": "EPSG:4326"}
    with rasterio.open(tmp_path / "map.tif", "w", transform=from_origin(6, 53, 1, 1), **grid) as file:
        file.write(np.full((1, 2, 2), 0.25, np.float32))
    arguments = ["validate", "--map", str(tmp_path / "map.tif"), "--date", "2019-07-15", "--json", "-q"]

    def bias(*options: str) -> float:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--reference", str(folder), *options])
        assert ended.value.code == 0
        scores = json.loads(capsys.readouterr().out)["scores"]
        return float(next(score["value"] for score in scores if score["metric"] == "bias"))

    assert bias() == pytest.approx(0.05)
    assert bias("--select", "flags=all", "--select", "frozen=keep") == pytest.approx(-0.05)
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--reference", str(folder), "--select", "colour=red"])
    assert ended.value.code == 2
