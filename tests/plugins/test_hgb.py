"""Boosted trees are scikit-learn's, their arrays say all of it, and ONNX takes every branch as scikit-learn does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

import zoo_hgb
from zoo.model.artefact import Feature, TrainedModel, probe_rows
from zoo_hgb.estimator import HistogramGradientBoosting
from zoo_onnx.exporter import OnnxExporter

SMALL = {"max_iter": 25, "random_state": 0}


def field(rows: int = 600, seed: int = 0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Simulated predictors in their own units (K, 1, m, reflectance x 10000) and soil moisture."""
    rng = np.random.default_rng(seed)
    low, high = np.array([280, 0.05, 900, 0]), np.array([320, 0.9, 2200, 9000])
    X = rng.uniform(low, high, (rows, 4)).astype(np.float32)
    wet = 0.02 * np.tanh(X[:, 1] * (300 - X[:, 0]) / 5) + 0.02 * np.sin(X[:, 2] / 200) * (X[:, 3] > 4000)
    return X, 0.2 + wet + rng.normal(0, 0.005, rows)


def answer(model: onnx.ModelProto, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answers: npt.NDArray[np.float32] = session.run(["y"], {"X": X})[0]
    assert answers.shape == (len(X), 1)
    return answers[:, 0]


@parametrize_with_checks([HistogramGradientBoosting(max_iter=10, learning_rate=0.3)])
def test_obeys_scikit_learns_rules_for_estimators(estimator: Any, check: Any) -> None:
    check(estimator)


def test_predicts_what_scikit_learns_trees_with_the_same_parameters_do() -> None:
    X, y = field()
    parameters = {"max_iter": 30, "learning_rate": 0.1, "l2_regularization": 1.0, "max_leaf_nodes": 7}
    theirs = HistGradientBoostingRegressor(**parameters, early_stopping=False, random_state=0).fit(X, y)
    ours = HistogramGradientBoosting(**parameters, random_state=0).fit(X, y, groups=np.arange(len(y)) % 5)
    # rows are sorted before training: sums of gradients may round differently
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=1e-9)


def test_a_weight_counts_like_repetitions_and_the_order_of_rows_has_no_effect() -> None:
    X, y = field(300)
    weight = np.random.default_rng(0).integers(0, 4, len(y))
    shuffled = np.random.default_rng(1).permutation(np.repeat(np.arange(len(y)), weight))
    weighted = HistogramGradientBoosting(**SMALL).fit(X, y, sample_weight=weight)
    repeated = HistogramGradientBoosting(**SMALL).fit(X[shuffled], y[shuffled])
    np.testing.assert_array_equal(weighted.predict(X), repeated.predict(X))


def test_walking_the_arrays_by_hand_gives_the_trees_answer() -> None:
    X, y = field(200)
    trees = HistogramGradientBoosting(**SMALL).fit(X, y)
    state = trees.state()
    assert all(array.dtype.kind in "if" for array in state.values())

    def walk(row: npt.NDArray[np.float32], first: int) -> float:
        node = 0
        while state["left"][first + node] >= 0:
            below = row[state["feature"][first + node]] <= state["threshold"][first + node]
            node = (state["left"] if below else state["right"])[first + node]
        return float(state["value"][first + node])

    by_hand = [state["first_guess"][0] + sum(walk(row, first) for first in state["offsets"][:-1]) for row in X[:40]]
    np.testing.assert_allclose(by_hand, trees.predict(X[:40]), rtol=0, atol=1e-12)


def test_onnx_takes_the_same_branch_on_every_threshold_and_beside_it() -> None:
    X, y = field(500)
    trees = HistogramGradientBoosting(max_iter=30, learning_rate=0.3).fit(X, y)
    rows = []
    for tree in [stage[0].nodes for stage in trees.trees_._predictors]:
        for node in tree[tree["is_leaf"] == 0][:20]:
            at = np.float32(node["num_threshold"])
            for value in (np.nextafter(at, np.float32(-np.inf)), at, np.nextafter(at, np.float32(np.inf))):
                row = X[len(rows) % len(X)].copy()
                row[node["feature_idx"]] = value
                rows.append(row)
    on_edges = np.array(rows)
    assert len(on_edges) > 500
    said = answer(HistogramGradientBoosting.to_onnx(trees.state()), on_edges)
    np.testing.assert_allclose(said, trees.predict(on_edges), rtol=0, atol=2e-7)


def test_trees_without_any_split_become_onnx_too() -> None:
    X, _ = field(60)
    trees = HistogramGradientBoosting(max_iter=3).fit(X, np.full(60, 0.25))
    np.testing.assert_allclose(answer(HistogramGradientBoosting.to_onnx(trees.state()), X), 0.25, atol=1e-7)


def test_the_exported_model_passes_its_gate_of_one_in_a_million(tmp_path: Path) -> None:
    X, y = field(800)
    trees = HistogramGradientBoosting(max_iter=100, random_state=0).fit(X, y)
    test = probe_rows(X)
    features = tuple(Feature(f"x{i}", "1", float(c.min()), float(c.max())) for i, c in enumerate(X.T))
    model = TrainedModel(
        "hgb", trees.get_params(), features, {"name": "soil_moisture"}, trees.state(), test, trees.predict(test)
    )
    model.save(tmp_path / "model.safetensors")
    facts = OnnxExporter().export(tmp_path / "model.safetensors", tmp_path / "model.onnx")
    assert facts["parity"]["tolerance"] == 1e-6
    assert facts["parity"]["max"] < 1e-6


def test_presets_are_parameters_of_the_estimator() -> None:
    (spec,) = zoo_hgb.zoo_downscalers()
    known = HistogramGradientBoosting().get_params()
    assert {"default", "fast", "paper-eq1"} == set(spec.presets)
    for preset in spec.presets.values():
        assert set(preset) - {"features"} <= set(known)


def test_missing_predictor_is_refused_in_training() -> None:
    X, y = field(50)
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        HistogramGradientBoosting().fit(X, y)
