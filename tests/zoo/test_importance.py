"""Importance by shuffling and partial dependence, against models whose truth is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from zoo.errors import DataError
from zoo.explain.importance import held_out_importance, importance
from zoo.explain.response import partial_dependence, sample_stack
from zoo.model.recipe import Recipe
from zoo.registry.schema import Target
from zoo.samples.rows import Samples, dataset_record
from zoo.types import LayerSpec

RNG = np.random.default_rng(5)
X = RNG.normal(size=(400, 3)).astype(np.float32)
GROUPS = np.repeat(np.arange(40), 10)
NAMES = ["strong", "weak", "idle"]


def linear(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return 0.25 + 0.05 * values[:, 0] + 0.01 * values[:, 1]


def test_growth_of_a_linear_model_is_what_theory_says() -> None:
    """Shuffling x adds noise of variance 2 (b sd x)^2 to the error: RMSE grows from s to sqrt(s^2 + 2 b^2)."""
    y = linear(X).astype(float) + RNG.normal(0, 0.02, len(X))
    strong, weak, idle = importance(linear, X, y, NAMES, groups=GROUPS, repeats=50)
    s = np.sqrt(np.mean((linear(X) - y) ** 2))
    assert strong.increase == pytest.approx(np.sqrt(s**2 + 2 * (0.05 * X[:, 0].std()) ** 2) - s, rel=0.03)
    assert weak.increase == pytest.approx(np.sqrt(s**2 + 2 * (0.01 * X[:, 1].std()) ** 2) - s, rel=0.15)
    assert idle.increase == 0
    assert strong.ci_low is not None
    assert strong.ci_high is not None
    assert 0 < strong.ci_low < strong.increase < strong.ci_high


def test_same_seed_same_figures_and_few_groups_no_interval() -> None:
    y = linear(X).astype(float)
    first = importance(linear, X, y, NAMES, groups=GROUPS, repeats=3, seed=4)
    assert first == importance(linear, X, y, NAMES, groups=GROUPS, repeats=3, seed=4)
    assert first != importance(linear, X, y, NAMES, groups=GROUPS, repeats=3, seed=5)
    two = importance(linear, X, y, NAMES, groups=np.arange(400) % 2, repeats=3)
    assert all(item.ci_low is None for item in two)


def samples(target: np.ndarray[Any, Any]) -> Samples:
    record = dataset_record({}, NAMES, {}, rows=len(X), dropped={})
    features = tuple(LayerSpec(name, "1", name) for name in NAMES)
    return Samples(pd.DataFrame(X, columns=NAMES), target, GROUPS, features, Target(name="sm"), record, "groups")


def test_a_model_of_noise_is_seen_through_on_held_out_rows() -> None:
    """A forest learns noise by heart: on rows that it has seen its predictors would look needed."""
    noise = RNG.uniform(0.1, 0.4, len(X))
    drawn = samples(noise)
    recipe = Recipe("rf", parameters={"n_estimators": 10, "n_jobs": 1})
    held_out = held_out_importance(drawn, recipe, repeats=3)
    model = recipe.estimator().fit(X, noise)
    seen = importance(model.predict, X, noise, NAMES, repeats=3)
    assert max(item.increase for item in held_out) < 0.005
    assert min(item.increase for item in seen) > 0.01


def test_held_out_importance_finds_what_the_target_is_made_of() -> None:
    drawn = samples(linear(X).astype(float) + RNG.normal(0, 0.01, len(X)))
    found = held_out_importance(drawn, Recipe("rf", parameters={"n_estimators": 15, "n_jobs": 1}), repeats=3)
    assert [item.predictor for item in found] == NAMES
    strong, weak, idle = (item.increase for item in found)
    assert strong > 5 * abs(weak)
    assert abs(idle) < 0.002


class Quadratic:
    """Stands for a session: answers 0.2 + 0.1 a^2 + b."""

    features = (
        SimpleNamespace(name="a", units="K", min=-1.0, max=1.0),
        SimpleNamespace(name="b", units="1", min=0.0, max=0.1),
    )

    def predict(self, values: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], None]:
        return 0.2 + 0.1 * values[:, 0] ** 2 + values[:, 1], None


def test_partial_dependence_of_an_additive_model_is_its_own_curve() -> None:
    pixels = np.column_stack([RNG.uniform(-1, 1, 200), RNG.uniform(0, 0.1, 200)]).astype(np.float32)
    a, b = partial_dependence(Quadratic(), pixels)  # type: ignore[arg-type]
    expected = 0.2 + 0.1 * a.values**2 + pixels[:, 1].mean()
    np.testing.assert_allclose(a.mean, expected, atol=1e-6)
    np.testing.assert_allclose(a.high - a.low, 0, atol=1e-6, err_msg="additive: all pixels have the same curve")
    assert np.polyfit(b.values, b.mean, 1)[0] == pytest.approx(1, abs=1e-4)
    assert (a.units, a.seen) == ("K", (-1.0, 1.0))
    assert a.deciles[4] == pytest.approx(np.median(pixels[:, 0]), abs=1e-6)


class Fields:
    """Stands for a stack of two layers and water."""

    def __init__(self, values: np.ndarray[Any, Any], water: np.ndarray[Any, Any] | None = None) -> None:
        self.values, self.water = values, water

    def read(self, window: None, names: list[str]) -> np.ndarray[Any, Any]:
        return self.values

    def read_water(self) -> np.ndarray[Any, Any] | None:
        return self.water


def test_pixels_of_water_or_without_a_predictor_are_not_drawn() -> None:
    values = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
    values[1, 0, 0] = np.nan
    water = np.zeros((3, 3), np.float32)
    water[2] = 1
    drawn = sample_stack(Fields(values, water), ["a", "b"])  # type: ignore[arg-type]
    assert drawn.tolist() == [[1, 10], [2, 11], [3, 12], [4, 13], [5, 14]]
    with pytest.raises(DataError, match="no pixel with all of a, b"):
        sample_stack(Fields(np.full((2, 2, 2), np.nan, np.float32)), ["a", "b"])  # type: ignore[arg-type]
