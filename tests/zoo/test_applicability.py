"""The dissimilarity index against distances computed by scipy; the threshold against its definition."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from zoo.errors import IntegrityError
from zoo.learning.applicability import Applicability, area_of_applicability, farthest_points, sensitivity
from zoo.learning.splits import leave_group_out

WEIGHTS = np.array([1.0, 0.25, 2.0, 0.0])
SCALES = np.array([1.0, 30.0, 1e-3, 5.0])
OFFSETS = np.array([0.0, 300.0, 0.0, 1e4])


def simulated(rows: int = 400, seed: int = 0):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(rows, 4)) * SCALES + OFFSETS).astype(np.float32)
    groups = rng.integers(0, 10, rows)
    return X, leave_group_out(groups, 5, seed), rng


def by_scipy(X, folds, new):
    """Index of new rows and of training rows by other folds, in double precision, from k-d trees."""
    given = X.astype(np.float64)
    coded, asked = (values.astype(np.float64) / given.std(axis=0) * WEIGHTS for values in (given, new))
    mean = pdist(coded).mean()
    own = np.empty(len(X))
    for seen, held in folds:
        own[held] = cKDTree(coded[seen]).query(coded[held])[0]
    return cKDTree(coded).query(asked)[0] / mean, own / mean


def test_the_index_is_the_distance_to_the_nearest_training_row_over_the_mean_distance():
    X, folds, rng = simulated()
    new = (rng.normal(size=(2500, 4)) * 2 * SCALES + OFFSETS).astype(np.float32)
    area, own = area_of_applicability(X, WEIGHTS, folds)
    expected, expected_own = by_scipy(X, folds, new)
    np.testing.assert_allclose(area.index(new), expected, atol=2e-4)
    np.testing.assert_allclose(own, expected_own, atol=2e-4)
    low, high = np.percentile(expected_own, [25, 75])
    assert area.threshold == pytest.approx(min(high + 1.5 * (high - low), expected_own.max()), abs=2e-4)
    assert area.index(X).max() < 2e-3
    assert (area.outside(new) == (area.index(new) > np.float32(area.threshold))).all()


def test_one_predictor_by_hand():
    X = np.array([[0.0], [1.0], [2.0]], np.float32)
    folds = [(np.array([1, 2]), np.array([0])), (np.array([0, 1]), np.array([2]))]
    area, own = area_of_applicability(X, [3.0], folds)
    # distances between rows are 1, 1 and 2: their mean is 4 / 3
    np.testing.assert_allclose(area.index([[4.0], [-1.0], [1.5]]), [1.5, 0.75, 0.375], atol=1e-3)
    np.testing.assert_allclose(own, [0.75, np.nan, 0.75])


def test_a_predictor_that_the_model_does_not_heed_or_that_never_changes_has_no_say():
    X, folds, _ = simulated()
    X[:, 1] = 7
    area, _ = area_of_applicability(X, WEIGHTS, folds)
    moved = X.copy()
    moved[:, [1, 3]] += 1e3
    np.testing.assert_array_equal(area.index(moved), area.index(X))


def test_without_any_weight_all_predictors_weigh_alike():
    X, folds, _ = simulated()
    none, _ = area_of_applicability(X, np.zeros(4), folds)
    alike, _ = area_of_applicability(X, np.ones(4), folds)
    np.testing.assert_array_equal(none.rows, alike.rows)


def test_few_rows_stand_for_many_within_the_distance_to_those_left_out():
    X, folds, rng = simulated(3000)
    new = (rng.normal(size=(500, 4)) * SCALES + OFFSETS).astype(np.float32)
    exact, _ = area_of_applicability(X, WEIGHTS, folds, most=3000)
    some, own = area_of_applicability(X, WEIGHTS, folds, most=200)
    assert some.rows.shape == (200, 4)
    radius = some.index(X).max()
    excess = some.index(new) - exact.index(new)
    assert excess.min() > -2e-3
    assert excess.max() < radius + 2e-3
    drawn = rng.choice(3000, 200, replace=False)
    assert radius < 0.8 * Applicability(exact.centre, exact.factor, exact.rows[drawn], 0.0).index(X).max()
    assert np.isfinite(own).all()


def test_the_farthest_points_cover_within_twice_the_best():
    points = np.random.default_rng(3).normal(size=(12, 2)).astype(np.float32)
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    best = min(distances[:, list(chosen)].min(axis=1).max() for chosen in product(range(12), repeat=3))
    chosen = farthest_points(points, 3)
    assert len(set(chosen)) == 3
    assert distances[:, chosen].min(axis=1).max() <= 2 * best


def test_equal_rows_do_not_disturb():
    X = np.repeat(np.array([[1.0, 2.0], [3.0, 5.0]], np.float32), 700, axis=0)
    folds = [(np.arange(0, 1400, 2), np.arange(1, 1400, 2)), (np.arange(1, 1400, 2), np.arange(0, 1400, 2))]
    area, own = area_of_applicability(X, [1.0, 1.0], folds, most=50)
    assert np.isfinite(area.rows).all()
    assert own.max() < 1e-3


def test_sensitivity_is_the_total_effect_of_a_linear_model():
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(4000, 3)) * [1, 10, 2]).astype(np.float32)
    found = sensitivity(lambda rows: 0.3 * rows[:, 0] - 0.02 * rows[:, 1], X, rows=4000)
    # shuffled and not shuffled values differ by sqrt(2) standard deviations
    np.testing.assert_allclose(found, np.sqrt(2) * np.array([0.3, 0.2, 0.0]), rtol=0.05)


def test_arrays_come_back_and_damaged_ones_are_refused():
    X, folds, _ = simulated()
    area, _ = area_of_applicability(X, WEIGHTS, folds)
    again = Applicability.from_arrays(area.arrays())
    np.testing.assert_array_equal(again.index(X), area.index(X))
    arrays = area.arrays()
    for damaged in (
        {name: array for name, array in arrays.items() if name != "rows"},
        {**arrays, "rows": arrays["rows"][:, :2]},
        {**arrays, "factor": arrays["factor"] * np.nan},
    ):
        with pytest.raises(IntegrityError, match="train anew"):
            Applicability.from_arrays(damaged)
