"""Which compressed model may be used for a tolerance, and how `zoo export` and `zoo predict` come by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import typer
from rasterio.transform import from_origin
from typer.testing import CliRunner

from zoo.cli import export, predict
from zoo.errors import DataError, IntegrityError, UsageError
from zoo.inference.certified import CertifiedSession, NotCertifiedError, covering, kind_of, variant
from zoo.model.artefact import Feature, TrainedModel, calibration_rows, probe_rows
from zoo.model.calibration import calibration_pixels
from zoo.prediction import open_session
from zoo.registry import Registry, layers
from zoo.registry.schema import Artefact
from zoo_dbn.estimator import DeepBeliefNetwork

NAMES = ["lst", "ndvi"]


def rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform([280, 0.1], [320, 0.8], (n, 2)).astype(np.float32)


def artefact(maximum: float | None, most: float | None, size: int) -> Artefact:
    parity = {"max": maximum, "p99.9": most, "n": 5000, "provider": "CPU"}
    return Artefact(
        path="a", sha256="0" * 64, bytes=size, created="2020-01-01T00:00:00Z", parity=None if size == 1 else parity
    )


def test_a_variant_whose_certificate_does_not_cover_the_tolerance_is_never_chosen() -> None:
    have = {
        "onnx": artefact(1e-7, 1e-7, 10),
        "onnx-compressed-0.003": artefact(2e-3, 1e-3, 100),
        "onnx-compressed-0.001": artefact(9e-4, 4e-4, 200),
        "onnx-compressed-0.0001": artefact(None, None, 20),
        "onnx-compressed-0.01": artefact(1e-9, 1e-9, 1),
    }
    assert covering(have, 0.01) == "onnx-compressed-0.003"
    assert covering(have, 0.0019) == "onnx-compressed-0.001"  # 2e-3 is above it
    assert covering(have, 0.00095) == "onnx-compressed-0.001"
    assert covering(have, 0.0008) is None
    assert covering({"onnx-compressed-0.001": artefact(9e-4, 6e-4, 200)}, 0.001) is None  # more than half of it


def test_a_precision_is_chosen_by_certificate_and_device() -> None:
    have = {
        "onnx": artefact(1e-7, 1e-7, 10),
        "onnx-compressed-0.003": artefact(2e-3, 1e-3, 100),
        "onnx-int8": artefact(4e-4, 2e-4, 300),
        "onnx-fp16": artefact(2e-5, 1e-5, 200),
    }
    cuda = "CUDAExecutionProvider"
    assert variant(have, None, "auto") is None  # nothing may change an answer without being asked to
    assert variant(have, 0.003, "auto") == "onnx-compressed-0.003"
    assert variant(have, 0.001, "auto") == "onnx-int8"
    assert variant(have, 0.001, "auto", cuda) == "onnx-fp16"
    assert variant(have, 0.001, "fp32") is None
    assert variant(have, 0.0003, "auto") is None
    assert variant(have, 0.0003, "auto", cuda) == "onnx-fp16"
    assert variant(have, None, "int8") == "onnx-int8"
    with pytest.raises(NotCertifiedError, match="int8 form of this model is not certified"):
        variant(have, 0.0003, "int8")
    with pytest.raises(NotCertifiedError, match="has not been made; run: zoo export onnx --precision fp16"):
        variant({"onnx": artefact(1e-7, 1e-7, 10)}, None, "fp16")
    with pytest.raises(UsageError, match="'fp8' is not known"):
        variant(have, None, "fp8")


def test_kinds_bear_their_tolerance() -> None:
    assert kind_of(0.001) == kind_of(1e-3) == "onnx-compressed-0.001"
    assert kind_of(3e-4) == "onnx-compressed-0.0003"
    for wrong in (0.0, -1.0, 1.0, float("nan")):
        with pytest.raises(UsageError, match="give m3 m-3 above 0"):
            kind_of(wrong)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    X = rows(6000)
    y = 0.1 + 0.3 * X[:, 1] + 0.05 * np.sin((X[:, 0] - 280) / 10)
    network = DeepBeliefNetwork((150, 150), BP_epochs=2, n_members=1, input_scaling="zscore", random_state=0)
    network.fit(X, y)
    test = probe_rows(X, rows=200)
    features = tuple(
        Feature(name, units, float(column.min()), float(column.max()))
        for name, units, column in zip(NAMES, ("K", "1"), X.T, strict=True)
    )
    return TrainedModel(
        "dbn", network.get_params(), features, {"name": "soil_moisture", "units": "m3 m-3"}, network.state(),
        test, network.predict(test), calib_X=calibration_rows(X, rows=5500),
    )  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: TrainedModel) -> Path:
    monkeypatch.setattr(layers, "PUBLISHED", tmp_path / "none" / "registry.json")
    path = tmp_path / "home" / "registry.json"
    trained.save(tmp_path / "model.safetensors")
    record: dict[str, Any] = {
        "architecture": "dbn",
        "plugin": "soil-moisture-zoo",
        "plugin_version": "0.1.0",
        "features": [{"name": "lst", "units": "K"}, {"name": "ndvi", "units": "1"}],
        "target": {"sensor": "smap"},
        "dataset": {"fingerprint": "abc", "rows": 6000},
    }
    Registry.open(path).add("smd-dbn", record, {"model": tmp_path / "model.safetensors"})
    return path


def run(module: Any, *arguments: object) -> Any:
    app = typer.Typer()
    app.callback()(lambda: None)
    module.register(app)
    name = module.__name__.rpartition(".")[2]
    return CliRunner().invoke(app, [name, *map(str, arguments)], catch_exceptions=False)


def test_export_compresses_and_predict_uses_it_only_where_it_is_covered(home: Path, tmp_path: Path) -> None:
    told = run(export, "onnx", "--compress", "0.01", "--registry", home, "--json")
    made = json.loads(told.stdout)
    assert list(made["artifacts"]) == ["onnx-compressed-0.01"]
    assert made["parity"]["max"] <= 0.01
    assert made["parity"]["tolerance"] == 0.01
    again = json.loads(run(export, "onnx", "--compress", "0.01", "--registry", home, "--json").stdout)
    assert again == made | {"already_exported": True}

    asked = rows(700, seed=1)
    asked[:3, 0] = 400  # beyond what was calibrated
    table = tmp_path / "rows.parquet"
    pd.DataFrame(asked, columns=NAMES).to_parquet(table)
    said = {}
    for tolerance in ([], ["--tolerance", "0.01"], ["--tolerance", "0.000001"]):
        out = tmp_path / f"{len(said)}.parquet"
        done = run(predict, "-m", "smd-dbn", "--table", table, "--registry", home, "--json", "-o", out, *tolerance)
        said[len(said)] = (json.loads(done.stdout), pd.read_parquet(out)["soil_moisture"].to_numpy(), done.stderr)
    dense, small, refused = said[0], said[1], said[2]
    assert dense[0]["compressed"] == {}
    assert small[0]["compressed"]["kind"] == "onnx-compressed-0.01"
    beyond = small[0]["compressed"]["uncovered"]
    assert 3 <= beyond < 30
    assert 0 < np.abs(small[1] - dense[1]).max() <= 0.01
    np.testing.assert_allclose(small[1][:3], dense[1][:3], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(refused[1], dense[1])
    assert "no compressed model whose certificate covers 1e-06; the dense one is used" in refused[2]

    path = Path(made["artifacts"]["onnx-compressed-0.01"])
    _, session = open_session(Registry.open(home), "smd-dbn", "cpu", 0.02)
    assert isinstance(session, CertifiedSession)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(IntegrityError, match="it was changed"):
        open_session(Registry.open(home), "smd-dbn", "cpu", 0.02)


def test_export_in_fewer_bits_is_certified_and_used_by_name(home: Path) -> None:
    made = json.loads(run(export, "onnx", "--precision", "fp16", "--registry", home, "--json").stdout)
    assert list(made["artifacts"]) == ["onnx-fp16"]
    assert 0 < made["parity"]["max"] <= made["parity"]["tolerance"] <= 0.01
    _, dense = open_session(Registry.open(home), "smd-dbn", "cpu")
    _, half = open_session(Registry.open(home), "smd-dbn", "cpu", precision="fp16")
    assert isinstance(half, CertifiedSession)
    assert not isinstance(dense, CertifiedSession)
    asked = rows(900, seed=4)
    asked[:2, 0] = 500
    said, truth = half.predict(asked)[0], dense.predict(asked)[0]
    assert half.uncovered >= 2
    np.testing.assert_array_equal(said[:2], truth[:2])
    assert 0 < np.abs(said - truth).max() <= 2 * made["parity"]["tolerance"]
    told = run(export, "onnx", "--precision", "fp16", "--calibrate", home, "--registry", home, "--json")
    assert json.loads(told.stdout)["already_exported"]


def test_export_falls_back_to_the_dense_model_and_says_so(home: Path) -> None:
    few = home.parent / "few.csv"
    pd.DataFrame(rows(50), columns=NAMES).to_csv(few, index=False)
    told = run(export, "onnx", "--compress", "0.001", "--calibrate", few, "--registry", home, "--json")
    assert told.exit_code == 0
    assert list(json.loads(told.stdout)["artifacts"]) == ["onnx"]
    assert "too few" in told.stderr
    assert "The dense model stays in use." in told.stderr
    assert list(Registry.open(home).resolve("smd-dbn").record.artefacts) == ["model", "onnx"]


def test_calibration_rows_travel_with_the_model(trained: TrainedModel, tmp_path: Path) -> None:
    trained.save(tmp_path / "model.safetensors")
    back = TrainedModel.load(tmp_path / "model.safetensors")
    assert back.calib_X is not None
    assert back.calib_X.shape == (5500, 2)
    assert set(map(tuple, back.calib_X.tolist())) <= set(map(tuple, rows(6000).tolist()))


def test_calibration_pixels_come_from_all_over_a_stack_without_gaps(tmp_path: Path) -> None:
    place = from_origin(0, 1000, 1, 1)
    for number, name in enumerate(NAMES):
        values = np.arange(700 * 600, dtype=np.float32).reshape(700, 600) + number * 1e6
        values[number, :] = np.nan
        with rasterio.open(
            tmp_path / f"{name}.tif", "w", driver="GTiff", height=700, width=600, count=1, dtype="float32",
            crs="EPSG:6933", transform=place, nodata=np.nan,
        ) as file:  # fmt: skip
            file.write(values, 1)
            file.set_band_description(1, name)
    pixels = calibration_pixels(tmp_path, ["ndvi", "lst"])
    assert 5000 < len(pixels) <= 60_000
    np.testing.assert_allclose(pixels[:, 0] - pixels[:, 1], 1e6, rtol=0, atol=0.1)
    assert pixels[:, 1].min() >= 2 * 600  # rows with a gap in either layer are left out
    assert len(np.unique(pixels[:, 1] // 600 // 512)) == 2
    with pytest.raises(DataError, match="dem"):
        calibration_pixels(tmp_path, ["dem"])


def test_calibration_tables_without_a_predictor_or_a_whole_row_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"lst": [1.0, np.nan], "ndvi": [np.nan, 2.0]}).to_csv(tmp_path / "gaps.csv", index=False)
    with pytest.raises(DataError, match="no pixel with all predictors"):
        calibration_pixels(tmp_path / "gaps.csv", NAMES)
    with pytest.raises(DataError, match="has no column dem"):
        calibration_pixels(tmp_path / "gaps.csv", ["lst", "dem"])
