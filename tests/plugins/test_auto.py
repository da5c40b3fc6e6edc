"""`auto` weighs candidates on folds that mirror the use, says what it tried, and becomes one graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pandas as pd
import pytest
from scipy.optimize import minimize
from sklearn.utils.estimator_checks import parametrize_with_checks

from zoo.cli import main
from zoo.errors import DataError, UsageError, ZooError
from zoo.registry import Registry
from zoo.registry.card import card
from zoo_auto import candidates
from zoo_auto.blending import choose, convex_weights
from zoo_auto.estimator import AutoDownscaler

FAST = {
    "rf": {"n_estimators": 8, "n_jobs": 1},
    "hgb": {"max_iter": 20},
    "dbn": {"hidden_layers_structure": [8], "n_members": 1, "BP_epochs": 2},
}
CHEAP = {"candidates": ["ridge", "rf"], "settings": FAST, "random_state": 0}


def stations(count: int = 24, each: int = 20, seed: int = 0) -> tuple[npt.NDArray[Any], ...]:
    """Simulated stations: reflectance and temperature that tell soil moisture, and a soil value that names the station.

    A station's own offset is nothing that the other stations tell.
    """
    rng = np.random.default_rng(seed)
    group, day = np.repeat(np.arange(count), each), np.tile(np.arange(each), count)
    soil, offset = rng.uniform(0, 1, count), rng.normal(0, 0.06, count)
    lst, band = rng.uniform(285, 315, count * each), rng.uniform(0, 5000, count * each)
    y = 0.25 - 0.004 * (lst - 300) + 0.03 * np.sin(band / 500) + offset[group] + rng.normal(0, 0.01, len(group))
    X = np.column_stack([lst, band, soil[group]]).astype(np.float32)
    return X, np.clip(y, 0, 1), group, np.datetime64("2019-05-01") + day


def run(model: Any, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answers: npt.NDArray[np.float32] = session.run(["y"], {"X": X})[0]
    return answers[:, 0]


@parametrize_with_checks([AutoDownscaler(candidates=["ridge", "rf"], settings=FAST, folds=2)])
def test_obeys_scikit_learns_rules_for_estimators(estimator: Any, check: Any) -> None:
    check(estimator)


def test_weights_are_the_least_squares_on_the_simplex_as_a_general_optimiser_finds_them() -> None:
    rng = np.random.default_rng(0)
    y, weight = rng.normal(0.2, 0.1, 300), rng.uniform(0.5, 2, 300)
    predicted = np.array(
        [y + rng.normal(0, s, 300) + b for s, b in ((0.05, 0.01), (0.06, -0.01), (0.2, 0), (0.05, 0.2))]
    )

    def error(w: npt.NDArray[np.float64]) -> float:
        return float((weight * (w @ predicted - y) ** 2).sum())

    ones = {"type": "eq", "fun": lambda w: w.sum() - 1}
    theirs = minimize(error, np.full(4, 0.25), bounds=[(0, 1)] * 4, constraints=ones, tol=1e-12).x
    ours = convex_weights(predicted, y, weight)
    assert ours.sum() == pytest.approx(1, abs=1e-12)
    assert (ours >= 0).all()
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    assert error(ours) <= error(theirs) * (1 + 1e-6)


def test_a_blend_that_only_fits_the_folds_it_was_weighed_on_is_not_kept() -> None:
    """One member is right by turns: its weight from three folds is wrong in the fourth."""
    rng = np.random.default_rng(1)
    y, fold = rng.normal(0.2, 0.1, 400), np.repeat(np.arange(4), 100)
    folds = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(4)]
    steady = y + rng.normal(0, 0.05, 400)
    misled = np.where(fold == 0, y + 1.0, y + rng.normal(0, 0.045, 400))
    weights, blended = choose(np.array([steady, misled]), y, np.ones(400), folds)
    np.testing.assert_array_equal(weights, [1, 0])
    assert blended is not None
    assert blended > np.mean((steady - y) ** 2)
    helpful = y + rng.normal(0, 0.05, 400)
    weights, _ = choose(np.array([steady, helpful]), y, np.ones(400), folds)
    assert weights.min() > 0.3
    single, none = choose(np.array([steady, helpful]), y, np.ones(400), folds, blend=False)
    assert sorted(single) == [0, 1]
    assert none is None


def test_answers_are_the_weighted_sum_of_members_trained_on_all_rows_and_onnx_gives_the_same() -> None:
    X, y, group, _ = stations()
    auto = AutoDownscaler(candidates=["ridge", "rf", "hgb", "dbn"], settings=FAST, random_state=0)
    auto.fit(X, y, groups=group)
    assert sum(weight for _, weight, _ in auto.members_) == pytest.approx(1)
    by_hand = sum(weight * member.predict(X[:, auto.columns_]) for _, weight, member in auto.members_)
    np.testing.assert_allclose(auto.predict(X), by_hand, rtol=0, atol=1e-12)
    asked = np.random.default_rng(2).uniform(X.min(0), X.max(0), (3000, 3)).astype(np.float32)
    np.testing.assert_allclose(run(AutoDownscaler.to_onnx(auto.state()), asked), auto.predict(asked), rtol=0, atol=1e-6)


def test_every_kind_of_member_can_be_joined_into_one_graph() -> None:
    X, y, group, _ = stations(10, 12)
    auto = AutoDownscaler(candidates=["ridge", "rf", "rf:paper", "hgb", "dbn"], settings=FAST, random_state=0)
    auto.fit(X, y, groups=group)
    auto.columns_ = np.array([2, 0])
    shares = (0.1, 0.2, 0.15, 0.25, 0.3)
    auto.members_ = [
        (name, share, candidates.make(name, FAST.get(name, {}), 0, "space").fit(X[:, [2, 0]], y))
        for name, share in zip(("ridge", "rf", "rf:paper", "hgb", "dbn"), shares, strict=True)
    ]
    state = auto.state()
    assert all(array.dtype.kind in "uif" for array in state.values())
    np.testing.assert_allclose(run(AutoDownscaler.to_onnx(state), X), auto.predict(X), rtol=0, atol=1e-6)


def test_the_use_decides_whether_a_stations_name_counts() -> None:
    """By time the soil value names the station and its offset; in new places it only misleads."""
    X, y, group, day = stations(30, 30)
    late = day >= np.datetime64("2019-05-25")
    known = {"candidates": ["ridge", "rf"], "settings": {"rf": {"n_estimators": 40, "n_jobs": 1}}, "random_state": 0}
    by_time = AutoDownscaler("time", **known).fit(X[~late], y[~late], groups=group[~late], times=day[~late])
    by_space = AutoDownscaler("space", **known).fit(X[~late], y[~late], groups=group[~late], times=day[~late])
    assert 2 in by_time.columns_
    assert 2 not in by_space.columns_
    assert {name: weight for name, weight, _ in by_time.members_}["rf"] > 0.6
    error = {m: float(np.mean((a.predict(X[late]) - y[late]) ** 2)) for m, a in (("t", by_time), ("s", by_space))}
    assert error["t"] < 0.5 * error["s"]


def test_a_candidate_that_fails_is_reported_and_the_others_go_on() -> None:
    X, y, group, _ = stations(10, 10)
    settings = {**FAST, "dbn": {"BP_learning_rate": -1.0}}
    auto = AutoDownscaler(candidates=["ridge", "dbn", "nothing"], settings=settings, random_state=0)
    auto.fit(X, y, groups=group)
    problems = {trial.name: trial.problem for trial in auto.trials_}
    assert problems["ridge"] == ""
    assert "BP_learning_rate" in problems["dbn"]
    assert "No downscaler named 'nothing'" in problems["nothing"]
    assert "| nothing | failed: UnknownNameError" in auto.notes_[-1]
    with pytest.raises(ZooError, match="Every candidate of auto failed"):
        AutoDownscaler(candidates=["nothing"]).fit(X, y, groups=group)


def test_times_are_asked_for_where_the_use_needs_them() -> None:
    X, y, group, _ = stations(6, 10)
    for use in ("time", "both"):
        with pytest.raises((DataError, UsageError), match="time"):
            AutoDownscaler(use, **CHEAP).fit(X, y, groups=group)
    with pytest.raises(UsageError, match="'place' is unknown; expected space, time, both"):
        AutoDownscaler("place", **CHEAP).fit(X, y, groups=group)


def test_all_installed_downscalers_are_candidates() -> None:
    assert {"ridge", "dbn", "rf", "rf:paper", "hgb"} <= set(candidates.installed())
    assert "auto" not in candidates.installed()


def test_zoo_train_auto_for_time_registers_exports_and_shows_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    X, y, group, day = stations(12, 15)
    frame = pd.DataFrame(X, columns=["lst", "band", "soil"]).assign(sm=y, station=group, day=day)
    frame.to_parquet(tmp_path / "t.parquet")

    def zoo(*arguments: object) -> dict[str, Any]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--registry", str(tmp_path / "r.json"), "--json"])
        printed = capsys.readouterr()
        assert ended.value.code in (0, None), printed.err
        found: dict[str, Any] = json.loads(printed.out)
        return found

    trained = zoo(
        "train", "auto", "--table", tmp_path / "t.parquet", "--target", "sm", "--features", "lst,band,soil",
        "--groups", "station", "--times", "day", "--for", "time", "--folds", 3,
        "--set", 'candidates=["ridge","rf","hgb"]', "--set", f"settings={json.dumps(FAST)}",
    )  # fmt: skip
    assert {score["split"] for score in trained["scores"]} == {"later times, 3 folds, out of fold, for time"}
    assert trained["use"] == "time"
    assert any("| hgb |" in note for note in trained["notes"])
    text = card(Registry.open(tmp_path / "r.json").resolve("smd-auto"))
    assert "- declared use: time: later times in known places" in text
    assert "\n> | hgb |" in text
    zoo("export", "onnx", "--model", "smd-auto")
    parity = Registry.open(tmp_path / "r.json").resolve("smd-auto").record.artefacts["onnx"].parity
    assert parity is not None
    assert parity.max is not None
    assert parity.max < 1e-5
