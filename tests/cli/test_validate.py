"""`zoo validate` as a user runs it: table, JSON, registry, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import typer
from click.testing import Result
from rasterio import warp
from rasterio.transform import from_origin
from typer.testing import CliRunner

from zoo.cli import products
from zoo.cli import validate as command
from zoo.errors import UnknownNameError, UsageError
from zoo.registry import Registry
from zoo.scores.metrics import ALL_METRICS

RECORD = {
    "architecture": "rf",
    "plugin": "soil-moisture-zoo",
    "plugin_version": "0.1.0",
    "features": [{"name": "ndvi", "units": "1"}],
    "target": {},
    "dataset": {"fingerprint": "0" * 64, "rows": 100},
}


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    path = tmp_path / "registry.json"
    artefact = tmp_path / "made" / "model.onnx"
    artefact.parent.mkdir()
    artefact.write_bytes(b"model")
    Registry.open(path).add("field-rf", RECORD, {"onnx": artefact})
    return path


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 0.4, (40, 40)).astype("float32")


def write_map(path: Path, values: np.ndarray, **tags: str) -> Path:
    about: dict[str, Any] = {"driver": "GTiff", "count": 1, "dtype": "float32", "nodata": -9999, "crs": "EPSG:32650"}
    height, width = values.shape
    transform = from_origin(500_000, 4_700_000, 1000, 1000)
    with rasterio.open(path, "w", width=width, height=height, transform=transform, **about) as target:
        target.write(values, 1)
        target.update_tags(**tags)
    return path


@pytest.fixture
def stations(tmp_path: Path, values: np.ndarray) -> Path:
    """Return 12 stations, each 0.02 m3 m-3 drier than its pixel, and one beyond the map."""
    numbers = np.arange(12)
    columns, rows = 3 * numbers + 1, 2 * numbers + 5
    x, y = 500_500 + 1000 * columns, 4_699_500 - 1000 * rows
    lon, lat = warp.transform("EPSG:32650", "EPSG:4326", x, y)
    table = pd.DataFrame({"station": numbers.astype(str), "lon": lon, "lat": lat, "sm": values[rows, columns] - 0.02})
    away = pd.DataFrame({"station": ["away"], "lon": [100.0], "lat": [0.0], "sm": [0.2]})
    table = pd.concat([table, away]).assign(time="2019-09-25T06:00", depth=0.03)
    table.to_parquet(tmp_path / "stations.parquet")
    return tmp_path / "stations.parquet"


def run(*arguments: object) -> Result:
    app = typer.Typer()
    command.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_json_has_the_stable_keys_and_the_known_scores(
    tmp_path: Path, values: np.ndarray, stations: Path, registry: Path
) -> None:
    path = write_map(tmp_path / "map.tif", values, model="field-rf@v1", time_coverage_start="2019-09-25T00:00:00Z")
    result = run("--map", path, "--reference", stations, "--registry", registry, "--json")
    assert result.exit_code == 0, result.exception
    payload = json.loads(result.stdout)
    assert payload["model"] == "field-rf@v1"
    assert payload["artifacts"] == {"map": str(path), "reference": str(stations), "pairs": None}
    assert payload["dropped"]["outside_map"] == 1
    keys = {"estimator", "metric", "value", "n", "ci_low", "ci_high", "reference", "split"}
    assert all(set(score) == keys for score in payload["scores"])
    scores = {score["metric"]: score for score in payload["scores"]}
    assert list(scores) == list(ALL_METRICS)
    assert scores["bias"]["value"] == pytest.approx(0.02, abs=1e-6)
    assert (scores["r"]["estimator"], scores["r"]["n"], scores["r"]["split"]) == ("rf", 12, "independent")


def test_scores_are_appended_with_place_and_period(
    tmp_path: Path, values: np.ndarray, stations: Path, registry: Path
) -> None:
    path = write_map(tmp_path / "map.tif", values)
    for extra in ([], ["--seen"]):
        result = run(
            "--map", path, "-r", stations, "--model", "field-rf", "--date", "2019-09-25", "--registry", registry, *extra
        )
        assert result.exit_code == 0, result.exception
    kept = Registry.open(registry).resolve("field-rf@v1").record.scores
    assert [record.split for record in kept] == ["independent"] * len(ALL_METRICS) + [
        "stations seen in training"
    ] * len(ALL_METRICS)
    assert kept[0].period == "2019-09-25"
    west, south, east, north = (float(edge) for edge in str(kept[0].region).split())
    assert west < 117.1 < east
    assert south < 42.3 < north


def test_people_see_every_metric_with_its_interval_and_what_was_left_out(
    tmp_path: Path, values: np.ndarray, stations: Path, registry: Path
) -> None:
    tags = {"model": "field-rf@v1", "simulated": "true", "time_coverage_start": "2019-09-25T00:00:00Z"}
    path = write_map(tmp_path / "map.tif", values, **tags)
    result = run("--map", path, "-r", stations, "--registry", registry)
    assert "rf against stations.parquet (simulated data)" in result.stdout
    for text in ("R (Pearson)", "p of R", "ubRMSE, m3 m-3", "1 outside map", "independent; 2019-09-25"):
        assert text in result.stdout, text
    (line,) = [line for line in result.stdout.splitlines() if line.startswith(" bias") or line.startswith("bias")]
    assert line.split()[-4:] == ["0.0200", "0.0200", "0.0200", "12"]
    assert "Appended to field-rf@v1" in result.stderr
    assert run("--map", path, "-r", stations, "--registry", registry, "--quiet").output == ""


def test_pairs_are_written_where_asked(tmp_path: Path, values: np.ndarray, stations: Path, registry: Path) -> None:
    path = write_map(tmp_path / "map.tif", values, TIFFTAG_DATETIME="2019:09:25 00:00:00")
    out = tmp_path / "pairs.csv"
    run("--map", path, "-r", stations, "--registry", registry, "--pairs", out, "--json")
    pairs = pd.read_csv(out)
    assert (pairs["predicted"] - pairs["observed"]).to_numpy() == pytest.approx(0.02, abs=1e-6)
    assert len(pairs) == 12


def test_a_truth_raster_is_a_reference_and_its_pixels_have_no_p(
    tmp_path: Path, values: np.ndarray, registry: Path
) -> None:
    path = write_map(tmp_path / "map.tif", values, model="field-rf@v1")
    truth = write_map(tmp_path / "truth.tif", values + 0.01, simulated="true")
    payload = json.loads(run("--map", path, "-r", truth, "--registry", registry, "--json").stdout)
    assert payload["p"] is None
    assert payload["simulated"] is True
    assert {score["n"] for score in payload["scores"]} == {1600}


def test_a_map_of_an_unknown_or_another_model_is_scored_and_not_recorded(
    tmp_path: Path, values: np.ndarray, stations: Path, registry: Path
) -> None:
    day = {"time_coverage_start": "2019-09-25T00:00:00Z"}
    for tags, remark in (
        ({}, "names no model"),
        ({"model": "other@v9"}, "is in no registry here"),
        ({"model": "field-rf@v1", "model_sha256": "f" * 64}, "another field-rf@v1"),
    ):
        path = write_map(tmp_path / "map.tif", values, **day, **tags)
        result = run("--map", path, "-r", stations, "--registry", registry, "--json")
        assert result.exit_code == 0, result.exception
        assert json.loads(result.stdout)["model"] is None
        assert remark in result.stderr
    assert not Registry.open(registry).resolve("field-rf@v1").record.scores


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--model", "absent"], UnknownNameError, "absent"),
        (["--model", "second-rf"], UsageError, "was made by field-rf@v1, not by second-rf@v1"),
        (["--window", "3h"], UsageError, "needs --time"),
        (["--date", "25.9.2019"], UsageError, "is no date"),
        (["--time", "10:30"], UsageError, "needs the day"),
    ],
)
def test_wrong_use_is_refused_in_one_line(
    tmp_path: Path,
    values: np.ndarray,
    stations: Path,
    registry: Path,
    arguments: list[str],
    error: type[Exception],
    message: str,
) -> None:
    Registry.open(registry).add("second-rf", RECORD, {})
    path = write_map(tmp_path / "map.tif", values, model="field-rf@v1")
    result = run("--map", path, "-r", stations, "--registry", registry, *arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_neither_map_nor_model_is_refused(stations: Path) -> None:
    result = run("-r", stations)
    assert isinstance(result.exception, UsageError)
    assert "give --map FILE, --model NAME" in str(result.exception)


def days_of(tmp_path: Path, values: np.ndarray, stations: Path) -> tuple[list[Path], Path]:
    """Write maps of five days, each drier than the one before, and stations that follow them."""
    known = pd.read_parquet(stations)
    paths, parts = [], []
    for i in range(5):
        day = f"2019-09-{10 + i}"
        tags = {"model": "field-rf@v1", "time_coverage_start": f"{day}T00:00:00Z"}
        paths.append(write_map(tmp_path / f"{day}.tif", values * 0.9**i, **tags))
        parts.append(known.assign(time=f"{day}T06:00", sm=(known["sm"] + 0.02) * 0.9**i - 0.02))
    pd.concat(parts).to_parquet(tmp_path / "many.parquet")
    return paths, tmp_path / "many.parquet"


def test_a_series_of_maps_is_scored_in_time_in_space_and_pooled(
    tmp_path: Path, values: np.ndarray, stations: Path, registry: Path
) -> None:
    paths, known = days_of(tmp_path, values, stations)
    maps = [part for path in paths for part in ("--map", path)]
    out = tmp_path / "scores.csv"
    result = run(*maps, "-r", known, "--registry", registry, "--match", "bilinear", "-o", out, "--json")
    assert result.exit_code == 0, result.exception
    payload = json.loads(result.stdout)
    assert len(payload["temporal"]) == 12
    assert list(payload["spatial"]) == [f"2019-09-{10 + i}" for i in range(5)]
    assert {score["n"] for score in payload["pooled"]} == {60}
    assert payload["dropped"]["2019-09-12"]["outside_map"] == 1
    assert payload["left_out"]["2019-09-12"]["outside_map"] == ["away"]
    assert payload["matching"]["match"] == "bilinear"
    assert set(pd.read_csv(out)["scope"]) == {"pooled", "temporal", "spatial"}
    kept = Registry.open(registry).resolve("field-rf@v1").record.scores
    assert {record.split.partition(",")[0].partition(" ")[0] for record in kept} == {"pooled", "temporal", "spatial"}
    assert kept[0].details["match"] == "bilinear"
    assert kept[0].details["dropped"]["outside_map"] == 5
    shown = run(*maps, "-r", known, "--registry", registry)
    for text in ("temporal: over stations", "spatial: over times", "rf against many.parquet, pooled"):
        assert text in shown.stdout, text


def test_a_model_is_applied_on_every_date_given(
    tmp_path: Path, values: np.ndarray, stations: Path, registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, known = days_of(tmp_path, values, stations)
    by_day = {path.stem: path for path in paths}
    monkeypatch.setattr(products, "predicted", lambda opened, model, day, **where: by_day[day])
    dates = [part for day in by_day for part in ("--date", day)]
    result = run("--model", "field-rf", *dates, "-r", known, "--registry", registry, "--json")
    assert result.exit_code == 0, result.exception
    assert len(json.loads(result.stdout)["spatial"]) == 5


def test_a_table_of_predictions_is_scored_by_its_columns(tmp_path: Path, registry: Path) -> None:
    rng = np.random.default_rng(4)
    observed = rng.uniform(0.05, 0.4, 120)
    table = pd.DataFrame({"site": np.repeat(np.arange(8), 15).astype(str), "sm": observed})
    table["day"] = np.tile(pd.date_range("2016-01-01", periods=15).astype(str), 8)
    table["rf"], table["smap"] = observed + rng.normal(0, 0.02, 120), 0.2 + rng.normal(0, 0.02, 120)
    table.to_csv(tmp_path / "p.csv", index=False)
    columns = ("--observed", "sm", "--predicted", "rf", "--station", "site", "--time", "day", "--coarse", "smap")
    options = ("--table", tmp_path / "p.csv", *columns, "--registry", registry, "--split", "out of fold")
    result = run(*options, "--model", "field-rf", "--json")
    assert result.exit_code == 0, result.exception
    payload = json.loads(result.stdout)
    assert len(payload["temporal"]) == 8
    assert len(payload["spatial"]) == 15
    gains = {score["metric"]: score for score in payload["pooled"]}
    assert gains["g_prec"]["value"] > 0.5
    assert payload["pooled"][0]["split"] == "pooled over stations and times; out of fold"
    kept = Registry.open(registry).resolve("field-rf@v1").record.scores
    assert kept[0].period == "2016-01-01/2016-01-15"
    wrong = run("--table", tmp_path / "p.csv")
    assert isinstance(wrong.exception, UnknownNameError)
    assert "Name it with --station COLUMN" in str(wrong.exception)


def test_a_coarse_field_adds_gains_and_the_coarse_consistency(
    tmp_path: Path, values: np.ndarray, stations: Path, registry: Path
) -> None:
    day = {"time_coverage_start": "2019-09-25T00:00:00Z"}
    path = write_map(tmp_path / "map.tif", values, **day)
    coarse = tmp_path / "coarse.tif"
    means = values.reshape(5, 8, 5, 8).mean(axis=(1, 3)) + 0.03
    about: dict[str, Any] = {"driver": "GTiff", "count": 1, "dtype": "float32", "crs": "EPSG:32650"}
    transform = from_origin(500_000, 4_700_000, 8000, 8000)
    with rasterio.open(coarse, "w", width=5, height=5, transform=transform, **about) as target:
        target.write(means.astype("float32"), 1)
    result = run("--map", path, "-r", stations, "--coarse", coarse, "--registry", registry, "--json")
    assert result.exit_code == 0, result.exception
    payload = json.loads(result.stdout)
    scores = {score["metric"]: score["value"] for score in payload["scores"]}
    assert scores["g_prec"] == pytest.approx(1)
    assert 0 < scores["g_down"] <= 1
    consistency = {score["metric"]: score for score in payload["consistency"]}
    assert consistency["bias"]["value"] == pytest.approx(-0.03, abs=1e-6)
    assert consistency["bias"]["n"] == 25
    shown = run("--map", path, "-r", stations, "--coarse", coarse, "--registry", registry).stdout
    assert "G_DOWN over the coarse field" in shown
    assert "outside map: away" in shown


def test_options_that_exclude_one_another_are_refused(tmp_path: Path, values: np.ndarray, stations: Path) -> None:
    path = write_map(tmp_path / "map.tif", values)
    for arguments, text in (
        (("--table", tmp_path / "t.csv", "--map", path), "leave out --map and --reference"),
        (("--map", path), "No reference"),
        (("--map", path, "--map", path, "--date", "2019-09-25", "-r", stations), "2 maps and 1 dates"),
        (("--map", path, "--date", "2019-09-25", "--date", "2019-09-26", "-r", stations), "One map has one --date"),
        (("--map", path, "-r", stations, "-o", tmp_path / "p.parquet"), ".json"),
    ):
        result = run(*arguments)
        assert isinstance(result.exception, UsageError), (arguments, result.exception)
        assert text in str(result.exception)
