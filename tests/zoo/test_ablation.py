from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from zoo.learning.ablation import ablation, residual_around
from zoo.model.recipe import Recipe
from zoo.registry import Registry
from zoo.registry.card import card
from zoo.samples.rows import from_table
from zoo.training import train

NETWORK = {"hidden_layers_structure": [8], "n_members": 1, "BP_epochs": 3, "RBM_epochs": 1, "pretrain": False}


@pytest.fixture
def samples(tmp_path):
    """Cells of a plane field over place, of which the predictors say half: the rest is smooth in space."""
    rng = np.random.default_rng(0)
    row, column = np.divmod(np.arange(144), 12)
    frame = pd.DataFrame({"ndvi": rng.uniform(0, 1, 144), "dem": rng.uniform(0, 1, 144)})
    frame["sm"] = 0.1 + 0.1 * frame.ndvi + 0.02 * (row + column) / 2
    frame["block"] = (row // 3) * 10 + column // 3
    frame.to_parquet(tmp_path / "t.parquet")
    found = from_table(tmp_path / "t.parquet", "sm", ["ndvi", "dem"], "block")
    return replace(found, cells=np.stack([row, column], axis=1))


def test_between_cells_the_residual_is_linear_and_outside_it_is_that_of_the_nearest():
    cells = np.array([[0, 0], [0, 4], [4, 0], [4, 4], [1, 3], [9, 9]])
    plane = cells @ np.array([0.01, -0.02]) + 0.3
    seen, asked = np.arange(4), np.array([4, 5])
    found = residual_around(cells, np.zeros(6), plane, seen, asked)
    np.testing.assert_allclose(found, [plane[4], plane[3]], atol=1e-12)


def test_cells_of_another_time_or_on_one_line_are_no_neighbours_to_interpolate_between():
    cells = np.array([[0, 0], [0, 1], [0, 2], [5, 5]])
    residual = np.array([0.1, 0.2, 0.3, 0.0])
    same = residual_around(cells, np.zeros(4), residual, np.arange(3), np.array([3]))
    np.testing.assert_allclose(same, [0.3])
    other = residual_around(cells, np.array([0, 0, 0, 1]), residual, np.arange(3), np.array([3]))
    np.testing.assert_array_equal(other, [0.0])


def test_a_residual_that_is_smooth_in_space_is_worth_adding_and_the_card_says_so(samples, tmp_path):
    recipe = Recipe("rf", parameters={"n_estimators": 20}, folds=5)
    found = {(one.part, one.metric): one for one in ablation(samples, recipe)}
    assert set(found) == {("correction", "r2"), ("correction", "rmse")}
    gain = found["correction", "r2"]
    assert gain.with_it > gain.without + 0.2
    assert gain.ci_low > 0
    assert gain.n == 144
    trained = train(samples, recipe, Registry.open(tmp_path / "r.json"), ablate=True)
    (out_of_fold,) = [s.value for s in trained.scores if (s.estimator, s.metric) == ("rf", "r2")]
    assert gain.without == pytest.approx(out_of_fold, abs=1e-9)
    text = card(trained.version)
    assert "## Ablation" in text
    assert "residual of the cells around" in text


def test_pre_training_is_compared_where_there_is_any(samples):
    found = ablation(samples, Recipe("dbn", parameters=NETWORK, folds=3))
    assert [(one.part, one.metric) for one in found][:2] == [("pre-training", "r2"), ("pre-training", "rmse")]
    assert found[0].with_it != found[0].without


def test_of_a_large_table_a_part_is_drawn_and_that_is_said(samples, monkeypatch):
    monkeypatch.setattr("zoo.learning.ablation.MOST_ROWS", 60)
    found = ablation(samples, Recipe("rf", parameters={"n_estimators": 5}, folds=3))
    assert found[0].n == 60
    assert "60 of 144 rows" in found[0].how
