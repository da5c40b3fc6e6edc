"""`export_model` and `zoo export`: compiled once, checked always, and appended beside the model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from zoo.cli import export as command
from zoo.errors import IntegrityError, UnknownNameError, ZooError
from zoo.inference.runtime import Session
from zoo.model.artefact import Feature, TrainedModel, probe_rows
from zoo.model.exporting import export_model
from zoo.registry import Registry, layers
from zoo_rf.estimator import RandomForest

RECORD = {
    "architecture": "rf",
    "plugin": "soil-moisture-zoo",
    "plugin_version": "0.1.0",
    "features": [{"name": "lst", "units": "K"}, {"name": "ndvi", "units": "1"}],
    "target": {"sensor": "smap"},
    "dataset": {"fingerprint": "abc", "rows": 90},
}


def forest(seed: int = 0) -> TrainedModel:
    X = np.random.default_rng(seed).uniform([280, 0.1], [320, 0.8], (90, 2)).astype(np.float32)
    fitted = RandomForest(6, random_state=seed, n_jobs=1).fit(X, 0.1 + 0.3 * X[:, 1])
    rows = probe_rows(X, rows=64)
    features = tuple(
        Feature(name, units, float(column.min()), float(column.max()))
        for name, units, column in zip(("lst", "ndvi"), ("K", "1"), X.T, strict=True)
    )
    target = {"name": "soil_moisture", "units": "m3 m-3"}
    return TrainedModel("rf", fitted.get_params(), features, target, fitted.state(), rows, fitted.predict(rows))


def add(registry: Registry, folder: Path, model: TrainedModel, name: str = "smd-rf", **fields: Any) -> None:
    path = folder / "model.safetensors"
    model.save(path)
    registry.add(name, RECORD | fields, {"model": path})
    path.unlink()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry with smd-rf@v1, and no published one behind it."""
    monkeypatch.setattr(layers, "PUBLISHED", tmp_path / "none" / "registry.json")
    path = tmp_path / "home" / "registry.json"
    add(Registry.open(path), tmp_path, forest())
    return path


def test_a_compiled_model_is_registered_beside_the_trained_one(home: Path) -> None:
    version = export_model(Registry.open(home), "smd-rf")
    found = Registry.open(home).resolve("smd-rf@v1")
    assert found.record.artefacts["onnx"] == version.record.artefacts["onnx"]
    assert found.record.artefacts["onnx"].path == "smd-rf/v1/model.onnx"
    parity = found.record.artefacts["onnx"].parity
    assert parity is not None
    assert 0 < parity.max <= 1e-6
    model = TrainedModel.load(found.path("model"))
    answers, _ = Session(found.path("onnx"), device="cpu").predict(model.test_X)
    np.testing.assert_allclose(answers, model.test_y, rtol=0, atol=1e-6)


def test_a_second_export_changes_nothing(home: Path) -> None:
    export_model(Registry.open(home), "smd-rf")
    text, made = home.read_text(), (home.parent / "smd-rf/v1/model.onnx").stat().st_mtime_ns
    export_model(Registry.open(home), "smd-rf@v1")
    assert home.read_text() == text
    assert (home.parent / "smd-rf/v1/model.onnx").stat().st_mtime_ns == made


def test_an_exported_file_that_was_changed_is_told_and_not_replaced(home: Path) -> None:
    path = export_model(Registry.open(home), "smd-rf").path("onnx")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(IntegrityError, match="it was changed"):
        export_model(Registry.open(home), "smd-rf")


def test_a_model_that_fails_the_gate_leaves_the_registry_as_it_was(home: Path, tmp_path: Path) -> None:
    model = forest()
    add(Registry.open(home), tmp_path, replace(model, test_y=model.test_y + 1e-3), "wrong")
    before = {path: path.read_bytes() for path in home.parent.rglob("*") if path.is_file()}
    with pytest.raises(IntegrityError, match="nothing was written"):
        export_model(Registry.open(home), "wrong")
    assert {path: path.read_bytes() for path in home.parent.rglob("*") if path.is_file()} == before


def test_a_model_of_a_layer_below_is_exported_into_the_writable_one(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "PUBLISHED", home)
    before = home.read_bytes()
    own = tmp_path / "own" / "registry.json"
    version = export_model(Registry.open(own), "smd-rf@v1")
    assert version.path("onnx").is_relative_to(own.parent)
    assert version.path("model").is_relative_to(home.parent)
    assert home.read_bytes() == before
    assert not (home.parent / "smd-rf/v1/model.onnx").exists()


def run(*arguments: str) -> Any:
    """Run the command alone; an error is passed on, as `main` wants it."""
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)
    return CliRunner().invoke(app, ["export", *arguments], catch_exceptions=False)


def test_the_command_prints_stable_keys_and_says_when_there_was_nothing_to_do(home: Path) -> None:
    first = run("onnx", "--registry", str(home), "--json")
    payload = json.loads(first.stdout)
    assert payload["model"] == "smd-rf@v1"
    assert Path(payload["artifacts"]["onnx"]).is_file()
    assert payload["opset"] == 17
    assert payload["parity"]["max"] <= 1e-6
    assert payload["parity"]["n"] == 64
    assert payload["already_exported"] is False
    second = run("onnx", "--registry", str(home), "--json")
    assert json.loads(second.stdout) == payload | {"already_exported": True}
    assert "smd-rf@v1 was exported before; its hash was checked." in second.stderr


def test_the_command_takes_the_newest_model_unless_told(home: Path, tmp_path: Path) -> None:
    add(Registry.open(home), tmp_path, forest(1), "later", created="2999-01-01T00:00:00Z")
    assert json.loads(run("onnx", "--registry", str(home), "--json").stdout)["model"] == "later@v1"
    told = run("onnx", "--model", "smd-rf", "--registry", str(home), "-o", str(tmp_path / "mine.onnx"))
    assert "smd-rf@v1 as onnx" in told.stdout
    assert (tmp_path / "mine.onnx").read_bytes() == (home.parent / "smd-rf/v1/model.onnx").read_bytes()


def test_quiet_prints_nothing(home: Path) -> None:
    done = run("onnx", "--registry", str(home), "--quiet")
    assert (done.stdout, done.stderr) == ("", "")


def test_unknown_formats_and_models_and_an_empty_registry_are_told(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="No exporter named 'onx'.* Did you mean 'onnx'"):
        run("onx", "--registry", str(home))
    with pytest.raises(UnknownNameError, match="smd-dbn"):
        run("onnx", "--model", "smd-dbn", "--registry", str(home))
    with pytest.raises(ZooError, match="make one with: zoo train"):
        run("onnx", "--registry", str(tmp_path / "empty.json"))
