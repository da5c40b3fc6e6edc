"""`zoo inspect`: figures for people and programs, a map, and one line for what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from zoo.cli import main

LPRM = "LPRM-AMSR2_L3_D_SOILM3_V001_20190925015500.nc4"


def run(*arguments: object) -> int:
    """Run the program and return its exit code."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture
def granule(tmp_path: Path) -> Path:
    """Write an LPRM file of 3 degree cells with moisture 1 to 60 percent in its first row of land."""
    path = tmp_path / LPRM
    raw = np.full((60, 120), -32767, np.int16)
    raw[15, :60] = np.arange(1, 61)
    raw[16, :10] = 99
    mask = np.zeros(raw.shape, np.int16)
    mask[16] = 64
    with h5py.File(path, "w") as file:
        file["Longitude"] = (-178.5 + 3 * np.arange(120)).astype("f4")
        file["Latitude"] = (88.5 - 3 * np.arange(60)).astype("f4")
        file["soil_moisture_c1"], file["mask"] = raw.T, mask.T
        file["scantime"] = np.where(raw > 0, 843_440_000.0, 0.0).T
        file["soil_moisture_c1"].attrs["scale_factor"] = np.array([1.0], "f4")
        file["soil_moisture_c1"].attrs["add_offset"] = np.array([0.0], "f4")
    return path


def test_json_holds_what_the_file_holds(granule: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", granule, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["files"]
    assert found["product"] == "LPRM_AMSR2_SOILM3.001"
    assert found["orbit"] == "D"
    assert found["start"] == "2019-09-25T00:00:00Z"
    (field,) = found["fields"]
    assert (field["crs"], field["rows"], field["columns"], field["cell"]) == ("EPSG:4326", 60, 120, [3.0, 3.0])
    assert field["bounds"] == [-180, -90, 180, 90]
    assert (field["valid"], field["cells"]) == (60, 7200)
    assert field["flag_counts"]["mask_bit_64"] == 120
    expected = np.quantile(np.arange(1, 61) / 100, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1])
    assert list(field["quantiles"].values()) == pytest.approx(expected, abs=1e-6)
    assert field["units"] == "m3 m-3"


def test_area_quality_and_variable_reach_the_reader(granule: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", granule, "--json", "--quality", "all", "--area", -180, 39, -150, 45) == 0
    field = json.loads(capsys.readouterr().out)["files"][0]["fields"][0]
    assert (field["rows"], field["columns"], field["valid"]) == (2, 10, 20)
    assert run("inspect", granule, "--variable", "c3") == 2
    assert "No LPRM band named 'c3'" in capsys.readouterr().err
    assert run("inspect", granule, "--quality", "best") == 2
    assert run("inspect", granule, "--area", 5, 5, 4, 6) == 2
    assert run("inspect", granule, "--area", 0.1, 0.1, 0.2, 0.2) == 4
    assert "No cell of the grid has its centre in the area" in capsys.readouterr().err


def test_people_see_product_grid_and_flags(granule: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", granule) == 0
    shown = capsys.readouterr().out
    for text in ("LPRM_AMSR2_SOILM3.001", "D, descending", "EPSG:4326, 60 x 120 cells of 3 degree", "60 of 7200"):
        assert text in shown
    assert "mask_bit_64" in shown


def test_quiet_prints_nothing(granule: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", granule, "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_plot_draws_the_valid_cells(granule: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "map.png"
    assert run("inspect", granule, "--plot", picture) == 0
    assert "1 map" in capsys.readouterr().err
    colours = matplotlib.image.imread(picture)[..., :3]
    wet = np.all(np.abs(colours - np.array([8, 29, 88]) / 255) < 0.03, axis=-1)  # the wet end of YlGnBu
    assert wet.sum() > 50
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".png"] == ["map.png"]


def test_a_plot_is_a_png_and_its_folder_is_made(
    granule: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("inspect", granule, "--plot", tmp_path / "map.jpg") == 2
    assert "ends in .png" in capsys.readouterr().err
    assert run("inspect", granule, "--plot", tmp_path / "new" / "map.png") == 0
    assert (tmp_path / "new" / "map.png").read_bytes().startswith(b"\x89PNG")


def test_a_table_of_stations_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "stations.parquet"
    pd.DataFrame(
        {
            "station": ["A", "A", "B"],
            "lon": [116.0, 116.0, 116.2],
            "lat": [42.0, 42.0, 42.1],
            "depth": [0.05, 0.05, 0.03],
            "time": pd.to_datetime(["2019-09-25T00:00Z", "2019-09-25T06:00Z", "2019-09-26T00:00Z"]),
            "sm": [0.1, 0.2, 0.3],
        }
    ).to_parquet(path)
    assert run("inspect", path, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["files"]
    assert (found["stations"], found["measurements"]) == (2, 3)
    assert found["depths"] == [0.03, 0.05]
    assert found["quantiles"]["p50"] == pytest.approx(0.2)
    assert (found["start"], found["end"]) == ("2019-09-25T00:00:00Z", "2019-09-26T00:00:00Z")
    assert run("inspect", path) == 0
    assert "2 with 3 measurements" in capsys.readouterr().out


def test_a_foreign_file_is_named_with_what_is_read(
    granule: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = tmp_path / "notes.docx"
    foreign.write_text("nothing")
    assert run("inspect", foreign) == 4
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "notes.docx is not a product that is read here" in shown.err
    assert "smap" in shown.err
    assert run("inspect", foreign, granule, "--json") == 4
    shown = capsys.readouterr()
    payload = json.loads(shown.out)
    assert len(payload["files"]) == 1
    assert payload["unread"][0]["file"] == str(foreign)
    assert "notes.docx" in shown.err


def test_a_folder_shows_what_is_claimed_and_passes_over_the_rest(
    granule: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (granule.parent / "README.txt").write_text("about")
    assert run("inspect", granule.parent, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["files"]) == 1


def test_truncated_missing_and_empty_are_one_line_each(
    granule: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    granule.write_bytes(granule.read_bytes()[:3000])
    (tmp_path / "empty").mkdir()
    for place, text in (
        (granule, "truncated"),
        (tmp_path / "none.h5", "does not exist"),
        (tmp_path / "empty", "Nothing under"),
    ):
        assert run("inspect", place) == 4
        shown = capsys.readouterr().err
        assert text in shown
        assert shown.count("\n") == 1


@pytest.mark.real
def test_every_real_sensor_file_is_inspected_as_read_by_hand(
    real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted([*(real_data / "smap").iterdir(), *(real_data / "amsr2").iterdir()])
    assert run("inspect", *files, "--json") == 0
    found = {item["files"][0]: item["fields"][0] for item in json.loads(capsys.readouterr().out)["files"]}
    assert sorted(found) == sorted(str(path) for path in files)
    for path in files:
        with h5py.File(path) as file:
            if "SMAP" in path.name:
                group = file["Soil_Moisture_Retrieval_Data"]
                values = group["soil_moisture"][:][group["retrieval_qual_flag"][:] & 5 == 0]
            else:
                raw, mask = file["soil_moisture_c1"][:], file["mask"][:]
                values = raw[(raw != -32767) & (mask == 0)] / 100
        field = found[str(path)]
        assert field["valid"] == values.size
        quantiles = [field["quantiles"][name] for name in ("min", "p05", "p25", "p50", "p75", "p95", "max")]
        assert quantiles == pytest.approx(np.percentile(values, [0, 5, 25, 50, 75, 95, 100]), abs=1e-6)
