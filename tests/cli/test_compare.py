"""`zoo compare` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import typer
from click.testing import Result
from rasterio import warp
from rasterio.transform import from_origin
from typer.testing import CliRunner

from zoo.cli import compare as command
from zoo.cli import products
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
METRICS = [name for name in ALL_METRICS if name != "p"]


def run(*arguments: object) -> Result:
    app = typer.Typer()
    command.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_map(path: Path, values: np.ndarray, **tags: str) -> Path:
    height, width = values.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        dtype="float32",
        width=width,
        height=height,
        crs="EPSG:32650",
        transform=from_origin(500_000, 4_700_000, 1000, 1000),
    ) as target:
        target.write(values.astype("float32"), 1)
        target.update_tags(time_coverage_start="2019-09-25T00:00:00Z", **tags)
    return path


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 0.4, (40, 40))


@pytest.fixture
def stations(tmp_path: Path, values: np.ndarray) -> Path:
    numbers = np.arange(12)
    columns, rows = 3 * numbers + 1, 2 * numbers + 5
    x, y = 500_500 + 1000 * columns, 4_699_500 - 1000 * rows
    lon, lat = warp.transform("EPSG:32650", "EPSG:4326", x, y)
    table = pd.DataFrame({"station": numbers.astype(str), "lon": lon, "lat": lat, "sm": values[rows, columns]})
    table.assign(time="2019-09-25T06:00", depth=0.03).to_parquet(tmp_path / "stations.parquet")
    return tmp_path / "stations.parquet"


@pytest.fixture
def maps(tmp_path: Path, values: np.ndarray) -> tuple[Path, Path]:
    rng = np.random.default_rng(1)
    near = write_map(tmp_path / "near.tif", values + rng.normal(0, 0.01, values.shape), model="near-rf@v1")
    far = write_map(tmp_path / "far.tif", values + rng.normal(0, 0.06, values.shape), simulated="true")
    return near, far


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    path = tmp_path / "registry.json"
    Registry.open(path).add("near-rf", RECORD, {})
    return path


def test_json_csv_and_registry_hold_the_same_differences(
    tmp_path: Path, maps: tuple[Path, Path], stations: Path, registry: Path
) -> None:
    out, csv, sample = tmp_path / "c.json", tmp_path / "c.csv", tmp_path / "sample.csv"
    result = run(*maps, "-r", stations, "--registry", registry, "--json", "-o", out, "-o", csv, "--pairs", sample)
    assert result.exit_code == 0, result.exception
    payload = json.loads(result.stdout)
    assert json.loads(out.read_text()) == payload
    assert (payload["a"], payload["b"], payload["simulated"]) == ("near-rf@v1", "far", True)
    assert [difference["metric"] for difference in payload["differences"]] == METRICS
    rmse = next(difference for difference in payload["differences"] if difference["metric"] == "rmse")
    assert rmse["ci_high"] < 0
    assert rmse["p"] < 0.05
    rows = pd.read_csv(csv).set_index("metric")
    assert rows.loc["rmse", "difference"] == pytest.approx(rmse["difference"])
    assert len(pd.read_csv(sample)) == 12
    kept = Registry.open(registry).resolve("near-rf@v1").record.scores
    assert payload["recorded"] == ["near-rf@v1"]
    assert [score.metric for score in kept] == [*ALL_METRICS, *(f"{name}_difference" for name in METRICS)]
    assert kept[0].details["tests"]["rmse"] == {"p": rmse["p"], "test": "permutation"}
    assert kept[0].details["match"] == "nearest"


def test_people_see_each_difference_with_interval_p_and_test(
    maps: tuple[Path, Path], stations: Path, registry: Path
) -> None:
    result = run(*maps, "-r", stations, "--registry", registry, "--match", "window=3", "--collocate")
    assert result.exit_code == 0, result.exception
    for text in (
        "near-rf@v1 minus far, against stations.parquet (simulated data)",
        "Williams",
        "Pitman-Morgan",
        "12 pairs, 12 independent; match window=3, depth 0-0.05 m",
        "triple collocation",
    ):
        assert text in result.stdout, text
    assert "Appended to near-rf@v1" in result.stderr
    assert run(*maps, "-r", stations, "--registry", registry, "--quiet").output == ""


def test_two_maps_of_one_model_are_told_apart(tmp_path: Path, values: np.ndarray, stations: Path) -> None:
    rng = np.random.default_rng(2)
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    same = [write_map(folder / "map.tif", values + rng.normal(0, 0.03, values.shape)) for folder in folders]
    payload = json.loads(run(*same, "-r", stations, "--json").stdout)
    assert (payload["a"], payload["b"]) == ("map (A)", "map (B)")


def test_a_model_s_map_is_predicted_first(
    maps: tuple[Path, Path], stations: Path, registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def predicted(opened: object, model: str, date: str | None, **where: object) -> Path:
        asked.append((model, date))
        return maps[0]

    monkeypatch.setattr(products, "predicted", predicted)
    result = run("near-rf", maps[1], "-r", stations, "--date", "2019-09-25", "--registry", registry, "--json")
    assert result.exit_code == 0, result.exception
    assert asked == [("near-rf", "2019-09-25")]
    assert json.loads(result.stdout)["a"] == "near-rf@v1"


def test_columns_of_a_table_are_compared_by_station(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    observed = rng.uniform(0.05, 0.4, 80)
    table = pd.DataFrame({"site": np.repeat(np.arange(8), 10).astype(str), "sm": observed})
    table["rf"], table["ridge"] = observed + rng.normal(0, 0.02, 80), observed + rng.normal(0, 0.05, 80)
    table.to_parquet(tmp_path / "t.parquet")
    options = ("--table", tmp_path / "t.parquet", "--observed", "sm", "--station", "site")
    payload = json.loads(run("rf", "ridge", *options, "--split", "out of fold", "--json").stdout)
    assert payload["differences"][0]["units"] == 8
    assert payload["split"].startswith("pooled; out of fold; rows of one station together")
    assert payload["recorded"] == []
    wrong = run("rf", "gbm", *options)
    assert isinstance(wrong.exception, UnknownNameError)
    assert "No column in t.parquet named 'gbm'" in str(wrong.exception)


def test_wrong_use_is_refused_in_one_line(tmp_path: Path, maps: tuple[Path, Path], stations: Path) -> None:
    cases = (
        ((*maps,), UsageError, "either --reference"),
        ((*maps, "-r", stations, "--match", "cubic"), UsageError, "expected nearest, bilinear or window=N"),
        ((*maps, "-r", stations, "-o", tmp_path / "c.txt"), UsageError, ".json"),
        (("absent", maps[1], "-r", stations), UnknownNameError, "absent"),
    )
    for arguments, error, text in cases:
        result = run(*arguments)
        assert isinstance(result.exception, error), (arguments, result.exception)
        assert text in str(result.exception)
        assert "\n" not in str(result.exception)
