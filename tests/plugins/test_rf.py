"""The forest is scikit-learn's, its arrays say all of it, and ONNX takes every branch as scikit-learn does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

import zoo_rf
from zoo_rf.estimator import RandomForest
from zoo_rf.graph import round_down

OZNET = ["dem", "awc", "silt", "lst_100m", "et_100m", "tavg", "vpd", "srad", "rain"]


def field(rows: int = 600, seed: int = 0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Simulated predictors in their own units (K, 1, m, m2 m-2) and soil moisture."""
    rng = np.random.default_rng(seed)
    low, high = np.array([280, 0.05, 900, 0]), np.array([320, 0.9, 2200, 5])
    X = rng.uniform(low, high, (rows, 4)).astype(np.float32)
    y = (
        0.15
        + 0.2 * np.tanh(X[:, 1] * (300 - X[:, 0]) / 5) * 0.4
        + 0.02 * np.sin(X[:, 2] / 200)
        + rng.normal(0, 0.01, rows)
    )
    return X, y


def answer(model: onnx.ModelProto, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answers: npt.NDArray[np.float32] = session.run(["y"], {"X": X})[0]
    assert answers.shape == (len(X), 1)
    return answers[:, 0]


@parametrize_with_checks([RandomForest(n_estimators=5, n_jobs=1)])
def test_obeys_scikit_learns_rules_for_estimators(estimator: Any, check: Any) -> None:
    check(estimator)


def test_paper_preset_is_table_6() -> None:
    (spec,) = zoo_rf.zoo_downscalers()
    forest = RandomForest(**spec.presets["paper"]).get_params()
    assert forest["n_estimators"] == 106
    assert forest["max_depth"] == 14
    assert forest["max_features"] == 0.1
    assert forest["min_samples_leaf"] == 1
    assert forest["min_samples_split"] == 3
    extra = set(spec.presets["paper-eq1"]) - set(spec.presets["paper"])
    assert extra == {"features"}
    assert len(spec.presets["paper-eq1"]["features"]) == 13


@pytest.mark.parametrize("weighted", [False, True])
def test_predicts_what_scikit_learns_forest_with_the_same_parameters_does(weighted: bool) -> None:
    X, y = field()
    order = np.argsort(X[:, 0], kind="stable")
    X, y = X[order], y[order]
    assert (np.diff(X[:, 0]) > 0).all()
    weight = np.random.default_rng(1).uniform(0.1, 2, len(y)) if weighted else None
    parameters = {"n_estimators": 20, "max_features": 0.5, "min_samples_leaf": 2, "max_depth": 9, "max_samples": 0.7}
    theirs = RandomForestRegressor(**parameters, random_state=3).fit(X, y, sample_weight=weight)
    ours = RandomForest(**parameters, random_state=3).fit(X, y, groups=np.arange(len(y)) % 5, sample_weight=weight)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_same_seed_gives_the_same_bits_on_one_thread_and_on_two() -> None:
    X, y = field()
    one, two, other = (RandomForest(15, random_state=s, n_jobs=j).fit(X, y) for s, j in ((7, 1), (7, 2), (8, 1)))
    np.testing.assert_array_equal(one.predict(X), two.predict(X))
    for name, array in one.state().items():
        np.testing.assert_array_equal(array, two.state()[name])
    assert not np.array_equal(one.predict(X), other.predict(X))


def test_a_weight_counts_like_repetitions_and_the_order_of_rows_has_no_effect() -> None:
    X, y = field(120)
    weight = np.random.default_rng(0).integers(0, 4, len(y))
    shuffled = np.random.default_rng(1).permutation(np.repeat(np.arange(len(y)), weight))
    weighted = RandomForest(10, random_state=0).fit(X, y, sample_weight=weight)
    repeated = RandomForest(10, random_state=0).fit(X[shuffled], y[shuffled])
    np.testing.assert_array_equal(weighted.predict(X), repeated.predict(X))


def test_missing_predictor_is_refused_in_training() -> None:
    X, y = field(50)
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        RandomForest(3).fit(X, y)


def test_walking_the_arrays_by_hand_gives_the_forests_answer() -> None:
    X, y = field(200)
    forest = RandomForest(7, random_state=0).fit(X, y)
    state = forest.state()
    assert all(array.dtype.kind in "if" for array in state.values())

    def walk(row: npt.NDArray[np.float32], first: int) -> float:
        node = 0
        while state["left"][first + node] >= 0:
            below = row[state["feature"][first + node]] <= state["threshold"][first + node]
            node = (state["left"] if below else state["right"])[first + node]
        return float(state["value"][first + node])

    by_hand = [np.mean([walk(row, first) for first in state["offsets"][:-1]]) for row in X[:40]]
    np.testing.assert_allclose(by_hand, forest.predict(X[:40]), rtol=0, atol=1e-12)


@given(st.floats(-1e30, 1e30, allow_subnormal=False))
def test_rounding_down_finds_the_largest_float32_not_above(value: float) -> None:
    (found,) = round_down(np.array([value]))
    assert float(found) <= value < float(np.nextafter(found, np.float32(np.inf)))


def test_onnx_takes_the_same_branch_on_every_threshold_and_beside_it() -> None:
    X, y = field(400)
    forest = RandomForest(30, random_state=0, min_samples_leaf=1).fit(X, y)
    trees = [member.tree_ for member in forest.forest_.estimators_]
    rows = []
    for tree in trees:
        inner = tree.children_left >= 0
        for feature, threshold in zip(tree.feature[inner][:20], tree.threshold[inner][:20], strict=True):
            at = np.float32(threshold)
            for value in (np.nextafter(at, np.float32(-np.inf)), at, np.nextafter(at, np.float32(np.inf))):
                row = X[len(rows) % len(X)].copy()
                row[feature] = value
                rows.append(row)
    on_edges = np.array(rows)
    # a single wrong branch moves a tree's leaf by far more than this
    np.testing.assert_allclose(
        answer(RandomForest.to_onnx(forest.state()), on_edges), forest.predict(on_edges), rtol=0, atol=2e-7
    )


def test_a_forest_of_stumps_and_one_without_any_split_become_onnx_too() -> None:
    X, y = field(60)
    for target, depth in ((y, 1), (np.full(60, 0.25), None)):
        forest = RandomForest(4, max_depth=depth, random_state=0).fit(X, target)
        np.testing.assert_allclose(
            answer(RandomForest.to_onnx(forest.state()), X), forest.predict(X), rtol=0, atol=1e-7
        )


@pytest.mark.parametrize(("preset", "trees"), [("paper", 106), ("default", 60)])
def test_onnx_equals_scikit_learn_on_100_000_random_rows_in_the_training_range(preset: str, trees: int) -> None:
    X, y = field(700)
    check_parity(X, y, preset, trees)


@pytest.mark.real
def test_onnx_equals_scikit_learn_on_100_000_random_rows_in_the_range_of_oznet(real_data: Path) -> None:
    table = pd.read_parquet(real_data / "tables" / "oznet.parquet").dropna(subset=[*OZNET, "insitu_sm"])
    assert len(table) > 10_000
    check_parity(table[OZNET].to_numpy(np.float32)[::2], table["insitu_sm"].to_numpy()[::2], "paper", 106)


def check_parity(X: npt.NDArray[np.float32], y: npt.NDArray[np.float64], preset: str, trees: int) -> None:
    (spec,) = zoo_rf.zoo_downscalers()
    forest = RandomForest(**{**spec.presets[preset], "n_estimators": trees}, random_state=0).fit(X, y)
    rows = np.random.default_rng(0).uniform(X.min(axis=0), X.max(axis=0), (100_000, X.shape[1])).astype(np.float32)
    difference = np.abs(answer(RandomForest.to_onnx(forest.state()), rows) - forest.predict(rows))
    assert np.quantile(difference, 0.9999) <= 1e-6
    assert (difference > 1e-6).sum() == 0
