"""Intervals and dissimilarity come out of the compiled model as the trained one has them, and only when asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest

from zoo.errors import IntegrityError
from zoo.inference.light_graph import without_extras
from zoo.inference.runtime import ALWAYS, Session
from zoo.learning.applicability import Applicability
from zoo.learning.interval import Interval
from zoo.model.artefact import TrainedModel
from zoo.model.recipe import Recipe
from zoo.registry import Registry
from zoo.samples.rows import from_table
from zoo.training import train
from zoo_onnx import packaging, parity
from zoo_onnx.exporter import OnnxExporter
from zoo_rf.estimator import RandomForest

FEATURES = ["lst", "ndvi", "dem"]
EXTRAS = ["dissimilarity_index", "soil_moisture_lower", "soil_moisture_upper"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A forest trained as a user does, on simulated rows whose error grows with ndvi."""
    folder = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.uniform([285, 0.1, 900], [315, 0.8, 1900], (900, 3)), columns=FEATURES)
    noise = rng.normal(0, 1, 900) * 0.05 * frame.ndvi**2
    frame["sm"] = (0.2 + 0.2 * frame.ndvi - 0.004 * (frame.lst - 300) + noise).clip(0.01, 0.9)
    frame["block"] = rng.integers(0, 12, 900)
    frame.to_parquet(folder / "t.parquet")
    samples = from_table(folder / "t.parquet", "sm", FEATURES, "block")
    recipe = Recipe("rf", parameters={"n_estimators": 15, "n_jobs": 1}, folds=5)
    return train(samples, recipe, Registry.open(folder / "r.json")).version.path("model")


@pytest.fixture(scope="module")
def model(source: Path) -> TrainedModel:
    return TrainedModel.load(source)


def compiled(model: TrainedModel) -> bytes:
    packed = packaging.package(RandomForest.to_onnx(model.state), model)
    return packed.SerializeToString(deterministic=True)


def test_a_trained_and_exported_model_gives_intervals_and_dissimilarity(source, model, tmp_path):
    described = OnnxExporter().export(source, tmp_path / "model.onnx")
    assert [output["name"] for output in described["outputs"][2:]] == EXTRAS
    session = Session(tmp_path / "model.onnx", device="cpu", threads=1)
    rows = np.concatenate([model.test_X, model.test_X[:40] * 1.5])
    found = session.answers(rows, EXTRAS)
    area, interval = Applicability.from_arrays(model.applicability), Interval.from_arrays(model.interval)
    np.testing.assert_allclose(found["dissimilarity_index"], area.index(rows), atol=1e-3)
    lower, upper = interval.ends(rows, found["soil_moisture"], area.index(rows), model.clip)
    np.testing.assert_allclose(found["soil_moisture_lower"], lower, atol=1e-4)
    np.testing.assert_allclose(found["soil_moisture_upper"], upper, atol=1e-4)
    assert (lower <= found["soil_moisture"]).all()
    assert np.ptp(upper - lower) > 0.01
    assert session.metadata["interval_level"] == "0.9"
    assert session.metadata["interval_groups"] == "12"
    assert float(session.metadata["aoa_threshold"]) == area.threshold
    assert (area.index(rows[-40:]) > area.threshold).all()


def test_what_is_not_asked_for_is_not_computed_and_changes_nothing(model, tmp_path):
    bare = Session(compiled(replace(model, interval=None, applicability=None)), device="cpu", threads=1)
    assert bare.extras == ()
    whole = Session(compiled(model), device="cpu", threads=1)
    np.testing.assert_array_equal(whole.predict(model.test_X)[0], bare.predict(model.test_X)[0])
    np.testing.assert_array_equal(whole.predict(model.test_X)[0], whole.answers(model.test_X, EXTRAS)["soil_moisture"])
    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "ran")
    session = onnxruntime.InferenceSession(compiled(model), options, providers=["CPUExecutionProvider"])
    off = {"predictors": model.test_X, "uncertainty": np.array(False)}
    assert all(np.isnan(values).all() for values in session.run(EXTRAS, off))
    ran = Path(session.end_profiling()).read_text()
    assert "TreeEnsemble" in ran
    assert "ReduceMin" not in ran


def test_a_stranger_who_knows_nothing_of_the_switch_gets_them(model):
    session = onnxruntime.InferenceSession(compiled(model), providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["predictors"]
    found = Session(compiled(model), device="cpu").answers(model.test_X, EXTRAS)
    for name, values in zip(EXTRAS, session.run(EXTRAS, {"predictors": model.test_X}), strict=True):
        np.testing.assert_array_equal(values[:, 0], found[name])


def test_the_branch_can_be_cut_out_of_the_file(model):
    light = without_extras(compiled(model), ALWAYS)
    bare = onnx.load_from_string(compiled(replace(model, interval=None, applicability=None)))
    cut = onnx.load_from_string(light)
    assert cut.graph == bare.graph
    onnx.checker.check_model(cut, full_check=True)
    whole = Session(compiled(model), device="cpu", threads=1)
    np.testing.assert_array_equal(Session(light, "cpu").predict(model.test_X)[0], whole.predict(model.test_X)[0])


def test_the_area_alone_can_be_exported(model):
    session = Session(compiled(replace(model, interval=None)), device="cpu", threads=1)
    assert session.extras == ("dissimilarity_index",)
    assert "interval_level" not in session.metadata


def test_a_graph_whose_intervals_are_not_the_models_is_refused(model):
    wider = {**model.interval, "factor": model.interval["factor"] * 1.1}
    with pytest.raises(IntegrityError, match="soil_moisture_lower"):
        parity.gate(compiled(replace(model, interval=wider)), model)
    moved = {**model.applicability, "centre": model.applicability["centre"] + 5}
    with pytest.raises(IntegrityError, match="dissimilarity_index"):
        parity.gate(compiled(replace(model, applicability=moved)), model)
    with pytest.raises(IntegrityError, match="dissimilarity_index"):
        parity.gate(compiled(replace(model, interval=None, applicability=None)), model)


def test_an_older_file_without_either_still_loads(model, tmp_path):
    replace(model, interval=None, applicability=None).save(tmp_path / "old.safetensors")
    old = TrainedModel.load(tmp_path / "old.safetensors")
    assert old.interval is None
    assert old.applicability is None
    OnnxExporter().export(tmp_path / "old.safetensors", tmp_path / "old.onnx")
    assert Session(tmp_path / "old.onnx", device="cpu").extras == ()
