"""Screening on simulated tables whose truth is known: what is a name and what is a cause."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from zoo.errors import DataError, UsageError
from zoo.learning.feature_selection import (
    _leave_out_static,
    few_valued,
    gain,
    select_features,
    static_features,
    within_share,
)

PLACES, DAYS = 24, 60
SOIL, DAY, WETNESS = range(3)


def _table(seed: int, *, soil: float = 0.0, place: float = 0.0, day: float = 0.0) -> tuple[Any, ...]:
    """Simulated places on the same days: X (soil, day, wetness), y, place, time.

    y follows wetness, `soil` times the soil, and levels of places and days that no predictor explains: soil and
    day only name them.
    """
    rng = np.random.default_rng(seed)
    place_of, day_of = np.divmod(np.arange(PLACES * DAYS), DAYS)
    X = np.column_stack([rng.random(PLACES)[place_of], rng.permutation(DAYS)[day_of], rng.normal(size=PLACES * DAYS)])
    y = 0.25 + 0.04 * X[:, WETNESS] + soil * X[:, SOIL] + 0.02 * rng.normal(size=len(X))
    y += place * rng.normal(size=PLACES)[place_of] + day * rng.normal(size=DAYS)[day_of]
    return X.repeat(3, axis=0), y.repeat(3), place_of.repeat(3), day_of.repeat(3)


def test_share_within_places_is_that_of_the_components_of_variance() -> None:
    rng = np.random.default_rng(0)
    place = np.repeat(np.arange(2000), 5)
    X = rng.normal(size=2000)[place][:, None] * [3.0, 1.0, 0.0] + rng.normal(size=(10_000, 3)) * [1.0, 1.0, 1.0]
    np.testing.assert_allclose(within_share(X, place), [0.1, 0.5, 1.0], atol=0.02)


def test_places_of_one_row_say_nothing_about_what_is_static() -> None:
    X = np.random.default_rng(0).normal(size=(50, 2))
    assert not static_features(X, np.arange(50)).any()


def test_few_values_are_those_that_come_often() -> None:
    n = 1000
    X = np.column_stack([np.arange(n), np.arange(n) % 20, np.arange(n) % 21, np.arange(n) % 2, np.ones(n)])
    assert few_valued(X).tolist() == [False, True, False, False, False]


@pytest.mark.parametrize("seed", range(3))
def test_a_static_predictor_that_only_names_places_is_left_out_of_new_places(seed: int) -> None:
    X, y, place, time = _table(seed, place=0.05)
    found = select_features(X, y, place, times=time, use="space")
    assert found.kept.tolist() == [False, True, True]
    assert "static" in found.reasons[SOIL]


@pytest.mark.parametrize("seed", range(3))
def test_at_known_places_it_is_kept_and_each_place_gets_a_code(seed: int) -> None:
    X, y, place, time = _table(seed, place=0.05)
    found = select_features(X, y, place, times=time, use="time")
    assert found.kept.all()
    assert found.levels.tolist() == [True, False, False]


@pytest.mark.parametrize("use", ["space", "both"])
def test_a_static_predictor_that_tells_is_kept(use: Any) -> None:
    X, y, place, time = _table(0, soil=0.2)
    assert select_features(X, y, place, times=time, use=use).kept.all()


@pytest.mark.parametrize(("use", "named"), [("space", True), ("time", False), ("both", False)])
def test_days_get_codes_only_where_they_are_known(use: Any, named: bool) -> None:
    X, y, place, time = _table(1, day=0.05)
    assert select_features(X, y, place, times=time, use=use).levels[DAY] == named


@pytest.mark.parametrize(("use", "named"), [("space", True), ("time", False), ("both", False)])
def test_what_is_alike_everywhere_on_a_day_is_resolved_finely_where_days_are_known(use: Any, named: bool) -> None:
    X, y, place, time = _table(1, day=0.05)
    rng = np.random.default_rng(7)
    X[:, DAY] = rng.normal(size=DAYS)[time] + 0.001 * rng.normal(size=len(y))
    assert not few_valued(X)[DAY]
    assert select_features(X, y, place, times=time, use=use).levels[DAY] == named
    if use == "space":
        assert not select_features(X, y, place).levels[DAY], "without times nothing tells what names a day"


def test_neither_rows_in_another_order_nor_other_labels_change_anything() -> None:
    X, y, place, time = _table(2, place=0.05, day=0.05)
    straight = select_features(X, y, place, times=time, seed=3)
    order = np.random.default_rng(0).permutation(len(y))
    names = np.array([f"station {p:02d}" for p in place])
    turned = select_features(X[order], y[order], names[order], times=time[order], seed=3)
    assert straight.reasons == turned.reasons
    assert straight.reasons


def test_few_groups_leave_everything() -> None:
    X, y, place, _ = _table(0, place=0.05)
    assert select_features(X, y, place % 7, places=place).kept.all()
    assert not select_features(X, y, place % 8, places=place).kept.all()


def test_a_gain_is_the_sum_of_paired_differences_with_its_standard_error() -> None:
    more, less = np.array([0.1, 0.2, 0.3, 0.1]), np.array([0.2, 0.2, 0.5, 0.2])
    found = gain(more, less)
    assert found.value == pytest.approx(0.4)
    assert found.error == pytest.approx(4 * np.std(less - more, ddof=1) / np.sqrt(4))
    assert found.proven(found.value / found.error - 0.01)
    assert not found.proven(found.value / found.error + 0.01)
    assert not gain(less, more).proven(0)
    assert not gain(more, more).proven(0)


def test_unknown_use_and_missing_times_are_refused() -> None:
    X, y, place, _ = _table(0)
    with pytest.raises(UsageError, match="space, time, both"):
        select_features(X, y, place, use="moon")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="needs the time"):
        select_features(X, y, place, use="both")


class Errors:
    """Squared errors by unit as they are laid down for each set of predictors."""

    def __init__(self, by_kept: dict[tuple[bool, ...], Any]) -> None:
        self.by_kept = by_kept

    def errors(self, kept: Any, levels: Any) -> Any:
        assert not levels.any()
        return self.by_kept[tuple(kept.tolist())]


@pytest.mark.parametrize(("noise", "kept"), [(0.5, [True, False, True]), (1.0, [False, False, True])])
def test_a_useless_predictor_does_not_hide_what_another_is_worth(noise: float, kept: list[bool]) -> None:
    """Soil gains 2 +- 1 by unit, surely so with 25 of them; a mere name adds `noise` times what hides it."""
    rng = np.random.default_rng(0)
    without, soil = np.full(25, 10.0), 2 + rng.normal(size=25)
    hiding = 10 * noise * rng.normal(size=25) + 1.0
    hiding += 3.5 * (noise == 1.0) - (hiding - 1.0).mean()
    laid_down = {
        (False, False, True): without,
        (True, False, True): without - soil,
        (False, True, True): without + hiding,
        (True, True, True): without - soil + hiding,
    }
    found = _leave_out_static(cast("Any", Errors(laid_down)), np.array([True, True, False]))
    whole = gain(laid_down[True, True, True], without)
    assert not whole.proven(1)
    assert (whole.value > 0) == kept[0]  # a block that loses is not looked into
    assert found.kept.tolist() == kept
    assert set(found.reasons) == {0, 1}
