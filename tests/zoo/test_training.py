import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from zoo.errors import DataError, UnknownNameError
from zoo.learning.splits import folds_for
from zoo.model.recipe import Recipe, parse_parameter
from zoo.registry import Registry
from zoo.samples.rows import from_table
from zoo.training import train

FEATURES = ["lst", "ndvi", "dem"]
SMALL = {"n_estimators": 20}


def write_table(path: Path, rows: int = 240, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"lst": rng.uniform(285, 315, rows), "ndvi": rng.uniform(0.1, 0.8, rows), "dem": rng.uniform(900, 1900, rows)}
    )
    frame["sm"] = 0.15 + 0.2 * frame.ndvi - 0.004 * (frame.lst - 300) + rng.normal(0, 0.01, rows)
    frame["block"] = rng.integers(0, 8, rows)
    frame.to_parquet(path)
    return path


@pytest.fixture
def samples(tmp_path):
    return from_table(write_table(tmp_path / "t.parquet"), "sm", FEATURES, "block")


def by_key(scores):
    return {(s.estimator, s.metric): s for s in scores}


def test_scores_are_pooled_out_of_fold_and_ridge_equals_scikit_learn_by_hand(samples, tmp_path):
    trained = train(samples, Recipe("rf", parameters=SMALL), Registry.open(tmp_path / "r.json"))
    X, y = samples.predictors.to_numpy(np.float32), samples.target
    pooled = np.empty_like(y)
    for block in np.unique(samples.groups):
        test = samples.groups == block
        ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))).fit(X[~test], y[~test])
        pooled[test] = ridge.predict(X[test])
    scores = by_key(trained.scores)
    assert scores["ridge", "r2"].value == pytest.approx(r2_score(y, pooled), abs=1e-9)
    assert scores["ridge", "rmse"].value == pytest.approx(np.sqrt(np.mean((pooled - y) ** 2)), abs=1e-9)
    assert scores["mean", "r2"].value <= 0
    assert scores["rf", "r2"].value > 0.6
    assert scores["rf", "r2"].n == 240
    assert scores["rf", "r2"].split == "groups of block, 8 folds, out of fold, for space"


def test_a_version_keeps_what_it_was_made_from(samples, tmp_path):
    version = train(samples, Recipe("rf", parameters=SMALL, seed=7), Registry.open(tmp_path / "r.json"), "mine").version
    record = Registry.open(tmp_path / "r.json").resolve("mine").record
    assert str(version.ref) == "mine@v1"
    assert [feature.name for feature in record.features] == FEATURES
    lst = samples.predictors["lst"].to_numpy(np.float32)
    assert (record.features[0].min, record.features[0].max) == (float(lst.min()), float(lst.max()))
    assert record.seed == 7
    assert record.hyperparameters["n_estimators"] == 20
    assert record.dataset.fingerprint == samples.dataset.fingerprint
    assert record.plugin == "soil-moisture-zoo"
    assert "scikit-learn" in record.environment


def test_scores_for_both_are_of_new_places_at_later_times_and_the_version_says_so(tmp_path):
    path = write_table(tmp_path / "t.parquet")
    frame = pd.read_parquet(path)
    frame.assign(day=pd.Timestamp("2019-05-01") + pd.to_timedelta(np.arange(240) % 30, "D")).to_parquet(path)
    samples = from_table(path, "sm", FEATURES, "block", times="day")
    trained = train(samples, Recipe("rf", parameters=SMALL, use="both", folds=4), Registry.open(tmp_path / "r.json"))
    assert trained.version.record.use == "both"
    X, y = samples.predictors.to_numpy(np.float32), samples.target
    pooled = np.full(len(y), np.nan)
    for seen, held_out in folds_for("both", samples.groups, samples.times, 4, 0):
        ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))).fit(X[seen], y[seen])
        pooled[held_out] = ridge.predict(X[held_out])
    score, tested = by_key(trained.scores)["ridge", "r2"], np.isfinite(pooled)
    assert score.value == pytest.approx(r2_score(y[tested], pooled[tested]), abs=1e-9)
    assert score.n == tested.sum() < 240
    assert score.split == "groups of block at later times, 12 folds, out of fold, for both"


def test_the_same_seed_gives_the_same_model_bit_for_bit(samples, tmp_path):
    registry = Registry.open(tmp_path / "r.json")
    hashes = [
        train(samples, Recipe("rf", parameters=SMALL, seed=s), registry).version.record.artefacts["model"].sha256
        for s in (3, 3, 4)
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_constant_predictor_is_refused_by_name_and_nothing_is_written(tmp_path):
    path = write_table(tmp_path / "t.parquet")
    pd.read_parquet(path).assign(dem=1200.0).to_parquet(path)
    registry = tmp_path / "r.json"
    with pytest.raises(DataError, match="Predictor dem is constant over all 240 training rows"):
        train(from_table(path, "sm", FEATURES, "block"), Recipe("rf", parameters=SMALL), Registry.open(registry))
    assert not registry.exists()


def test_a_target_in_percent_is_refused(tmp_path):
    path = write_table(tmp_path / "t.parquet")
    frame = pd.read_parquet(path)
    frame.assign(sm=frame.sm * 100).to_parquet(path)
    with pytest.raises(
        DataError, match=r"The target 'sm' runs from .* expected soil moisture in m3 m-3 between 0 and 1"
    ):
        train(
            from_table(path, "sm", FEATURES, "block"),
            Recipe("rf", parameters=SMALL),
            Registry.open(tmp_path / "r.json"),
        )


def test_fewer_groups_than_folds_is_refused(samples, tmp_path):
    with pytest.raises(DataError, match="240 rows in 8 groups cannot make 9 folds"):
        train(samples, Recipe("rf", parameters=SMALL, folds=9), Registry.open(tmp_path / "r.json"))


def test_unknown_presets_and_parameters_are_named_with_what_there_is():
    with pytest.raises(
        UnknownNameError, match=r"No preset of rf named 'papier'; there is: default, .*Did you mean 'paper'"
    ):
        Recipe("rf", "papier").estimator()
    with pytest.raises(UnknownNameError, match=r"No parameter of rf named 'n_trees'"):
        Recipe("rf", parameters={"n_trees": 3}).estimator()


def test_parameters_are_read_as_json_or_text():
    assert parse_parameter("hidden_layers_structure=[50, 20]") == ("hidden_layers_structure", [50, 20])
    assert parse_parameter("pretrain=false") == ("pretrain", False)
    assert parse_parameter("optimizer=adamw") == ("optimizer", "adamw")


def _train(table: str, registry: str, seed: int) -> None:
    samples = from_table(Path(table), "sm", FEATURES, "block")
    train(samples, Recipe("rf", parameters=SMALL, seed=seed), Registry.open(Path(registry)))


def test_two_trainings_at_once_into_one_registry_lose_neither(tmp_path):
    table = write_table(tmp_path / "t.parquet")
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_train, args=(str(table), str(tmp_path / "r.json"), seed)) for seed in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    found = [item for item in Registry.open(tmp_path / "r.json").list() if item.layer.path == tmp_path / "r.json"]
    assert sorted(item.record.seed for item in found) == [1, 2]
    assert not Registry.open(tmp_path / "r.json").verify()


def test_a_killed_training_leaves_the_registry_readable_and_unchanged(samples, tmp_path):
    path = tmp_path / "r.json"
    train(samples, Recipe("rf", parameters=SMALL), Registry.open(path))
    before = path.read_bytes()
    table = write_table(tmp_path / "large.parquet", rows=3000)
    options = ["--target", "sm", "--features", ",".join(FEATURES), "--groups", "block", "--registry", str(path)]
    program = [sys.executable, "-c", "from zoo.cli import main; main()"]
    command = [*program, "train", "dbn", "--table", str(table), *options]
    process = subprocess.Popen(command, env=os.environ.copy(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(4)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert path.read_bytes() == before
    assert len([item for item in Registry.open(path).list() if item.layer.path == path]) == 1
