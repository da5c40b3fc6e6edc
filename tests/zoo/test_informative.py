"""Weights of rows and outliers: by hand, by a recording estimator, and in the record of a trained version."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from zoo.errors import DataError, UsageError
from zoo.learning.fitting import Context
from zoo.learning.informative import Emphasis, check_outliers, check_weighable, out_of_fold, outliers
from zoo.learning.splits import leave_group_out
from zoo.model.recipe import Recipe
from zoo.registry import Registry
from zoo.samples.rows import from_table
from zoo.samples.weights import check_weights, homogeneity
from zoo.training import train

N = 120
WRONG = [7, 55, 101]


@pytest.fixture
def rows():
    """Rows of a plane with noise of .01, three of them .3 off."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3))
    y = 0.25 + 0.02 * X[:, 0] - 0.01 * X[:, 1] + 0.01 * rng.normal(size=N)
    y[WRONG] += 0.3
    return X, y, np.repeat(np.arange(12), N // 12)


@pytest.fixture
def table(rows, tmp_path):
    X, y, groups = rows
    frame = pd.DataFrame(X, columns=["lst", "ndvi", "dem"]).assign(sm=y, block=groups)
    frame["spread_lst"], frame["spread_ndvi"], frame["spread_dem"] = 0.5, np.linspace(0, 2, N), 0.1
    frame["valid_share_lst"] = np.linspace(0, 1, N)
    frame["valid_share_ndvi"] = frame["valid_share_dem"] = 1.0
    frame["day"] = pd.Timestamp("2019-01-01") + pd.to_timedelta(np.arange(N), "D")
    path = tmp_path / "rows.parquet"
    frame.to_parquet(path)
    return path


class Recording(RegressorMixin, BaseEstimator):
    """Answers the weighted mean, and remembers what it was given."""

    seen: list = []

    def fit(self, X, y, groups=None, sample_weight=None):
        Recording.seen.append((len(y), sample_weight))
        self.mean_ = np.average(y, weights=sample_weight)
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


class Unweighable(Recording):
    def fit(self, X, y):
        return super().fit(X, y)


# --- weights


def test_weights_are_those_of_the_formula():
    means = np.array([[0.0, 10], [2, 10], [4, 40]])
    spreads = np.array([[0.0, 0], [1, 6], [2, 30]])
    # standard deviations between cells: sqrt(8/3) and sqrt(200)
    raw = [1, 1 / (1 + (1 / (8 / 3) + 36 / 200) / 2), 1 / (1 + (4 / (8 / 3) + 900 / 200) / 2)]
    assert homogeneity(means, spreads) == pytest.approx(np.array(raw) / np.mean(raw))


def test_a_predictor_that_is_the_same_in_all_cells_has_no_say():
    means, spreads = np.array([[1.0, 3], [2, 3]]), np.array([[0.5, 7], [0.5, 9]])
    assert homogeneity(means, spreads) == pytest.approx([1, 1])
    assert homogeneity(means[:, 1:], spreads[:, 1:]) == pytest.approx([1, 1])


def test_weights_of_a_table_follow_its_spreads_and_stand_in_the_record(table):
    samples = from_table(table, "sm", ["lst", "ndvi", "dem"], "block", weights="homogeneity")
    frame = pd.read_parquet(table)
    ratios = [frame[f"spread_{name}"] / frame[name].std(ddof=0) for name in ("lst", "ndvi", "dem")]
    raw = 1 / (1 + np.mean(np.square(ratios), axis=0))
    assert samples.weights == pytest.approx(raw / raw.mean())
    assert samples.take(np.array([3, 5])).weights == pytest.approx(samples.weights[[3, 5]])
    plain = from_table(table, "sm", ["lst", "ndvi", "dem"], "block")
    assert plain.weights is None
    assert samples.dataset.definition["weights"] == "homogeneity"
    assert samples.dataset.fingerprint != plain.dataset.fingerprint


def test_a_table_without_spreads_cannot_be_weighed(table):
    pd.read_parquet(table).drop(columns="spread_ndvi").to_parquet(table)
    with pytest.raises(DataError, match="rows.parquet lacks spread_ndvi; make it anew"):
        from_table(table, "sm", ["lst", "ndvi"], "block", weights="homogeneity")
    assert from_table(table, "sm", ["lst"], "block", weights="homogeneity").weights is not None


def test_every_fold_and_the_final_fit_get_the_weights_of_their_rows(rows):
    X, y, groups = rows
    weights, folds = np.linspace(0.5, 1.5, N), leave_group_out(groups, 3, 0)
    Recording.seen = []
    found, left_out = out_of_fold(Recording(), X, y, Context(groups), folds, Emphasis(weights))
    for (seen, held_out), (count, given) in zip(folds, Recording.seen, strict=True):
        assert count == len(seen)
        np.testing.assert_array_equal(given, weights[seen])
        assert found[held_out] == pytest.approx(np.average(y[seen], weights=weights[seen]))
    assert left_out == [0, 0, 0]


def test_a_downscaler_that_takes_no_weights_is_refused_in_one_line():
    check_weighable("recording", Recording())
    for name in ("rf", "hgb", "dbn", "auto"):
        check_weighable(name, Recipe(name).estimator())
    with pytest.raises(UsageError, match="The downscaler plain takes no weights of rows") as refused:
        check_weighable("plain", Unweighable())
    assert "\n" not in str(refused.value)
    with pytest.raises(UsageError, match="expected none, homogeneity"):
        check_weights("homogenity")
    assert check_weights("none") is None


def test_a_weighted_ridge_is_scikit_learns(rows):
    X, y, groups = rows
    weights = np.linspace(0.1, 2, N)
    from zoo_auto.ridge import Ridge

    ours, _ = Emphasis(weights).fit(Ridge(), X, y, Context(groups))
    scaler = StandardScaler().fit(X, sample_weight=weights)
    theirs = RidgeCV(np.logspace(-3, 3, 13)).fit(scaler.transform(X), y, sample_weight=weights)
    assert ours.predict(X) == pytest.approx(theirs.predict(scaler.transform(X)))


# --- outliers


def test_outliers_are_the_rows_that_were_made_wrong(rows):
    X, y, groups = rows
    assert np.flatnonzero(outliers(X, y, groups, 6, seed=0)).tolist() == WRONG


def test_the_limit_is_in_robust_standard_deviations_of_out_of_fold_residuals(rows):
    X, y, groups = rows
    predicted = np.full(N, np.nan)
    for seen, held_out in leave_group_out(groups, 5, 3):
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))).fit(X[seen], y[seen])
        predicted[held_out] = model.predict(X[held_out])
    off = np.abs(y - predicted - np.median(y - predicted))
    expected = off > 2 * 1.4826 * np.median(off)
    assert 3 < expected.sum() < N / 4
    np.testing.assert_array_equal(outliers(X, y, groups, 2, seed=3), expected)


def test_rows_without_groups_and_residuals_without_spread_leave_what_can_be_left(rows):
    X, y, _ = rows
    assert np.flatnonzero(outliers(X, y, None, 6, seed=0)).tolist() == WRONG
    assert not outliers(X, np.full(N, 0.2), None, 2, seed=0).any()


def test_folds_leave_out_training_rows_only_and_score_every_held_out_row(rows):
    X, y, groups = rows
    folds = leave_group_out(groups, 4, 0)
    Recording.seen = []
    found, left_out = out_of_fold(Recording(), X, y, Context(groups), folds, Emphasis(outliers=6))
    assert np.isfinite(found).all()
    wrong_seen = [np.isin(WRONG, seen).sum() for seen, _ in folds]
    assert left_out == wrong_seen
    assert [count for count, _ in Recording.seen] == [
        len(seen) - wrong for (seen, _), wrong in zip(folds, wrong_seen, strict=True)
    ]
    for seen, held_out in folds:
        kept = np.setdiff1d(seen, WRONG)
        assert found[held_out] == pytest.approx(y[kept].mean())


def test_the_card_of_a_version_counts_outliers_and_names_the_limit(table, tmp_path):
    registry = Registry.open(tmp_path / "registry.json")
    samples = from_table(table, "sm", ["lst", "ndvi", "dem"], "block", weights="homogeneity")
    recipe = Recipe("rf", parameters={"n_estimators": 10}, folds=3, outliers=6)
    done = train(samples, recipe, registry, "clean")
    record = done.version.record
    assert (record.dataset.rows, record.dataset.dropped["outliers"]) == (N - len(WRONG), len(WRONG))
    assert record.dataset.definition["outliers"] == 6
    assert {score.n for score in done.scores} == {N}
    assert any("more than 6 robust standard deviations. 3 were left out of training" in note for note in record.notes)
    assert any("scores heed no weights" in note for note in record.notes)
    plain = train(samples, Recipe("rf", parameters={"n_estimators": 10}, folds=3), registry, "plain").version.record
    assert "outliers" not in plain.dataset.dropped
    assert plain.dataset.fingerprint == samples.dataset.fingerprint != record.dataset.fingerprint
    assert plain.artefacts["model"].sha256 != record.artefacts["model"].sha256


def test_a_limit_that_would_leave_out_half_of_the_rows_is_refused():
    assert check_outliers(None) is None
    with pytest.raises(UsageError, match="--outliers 0.5 is out of range"):
        check_outliers(0.5)


# --- valid shares and the season of a table


def test_the_least_valid_share_drops_rows_of_a_table_and_counts_them(table):
    samples = from_table(table, "sm", ["lst", "ndvi"], "block", min_valid=0.75)
    share = np.linspace(0, 1, N)
    assert len(samples) == (share >= 0.75).sum()
    assert samples.dataset.dropped["below --min-valid"] == (share < 0.75).sum()
    assert "below --min-valid" not in from_table(table, "sm", ["lst"], "block").dataset.dropped
    pd.read_parquet(table).drop(columns="valid_share_lst").to_parquet(table)
    with pytest.raises(UsageError, match="--min-valid needs the column valid_share_lst"):
        from_table(table, "sm", ["lst"], "block", min_valid=0.5)


def test_the_season_of_a_table_comes_from_its_days(table):
    features = ["lst", "doy_sin", "doy_cos"]
    samples = from_table(table, "sm", features, "block", times="day", min_valid=0.0, weights="homogeneity")
    angle = 2 * np.pi * np.arange(1, N + 1) / 365.25
    np.testing.assert_allclose(samples.predictors["doy_sin"], np.sin(angle))
    np.testing.assert_allclose(samples.predictors["doy_cos"], np.cos(angle))
    with pytest.raises(UsageError, match="has no doy_sin.*add --times"):
        from_table(table, "sm", features, "block")


def test_the_season_of_one_day_is_to_be_left_out(table, tmp_path):
    pd.read_parquet(table).assign(day="2019-09-25").to_parquet(table)
    samples = from_table(table, "sm", ["lst", "doy_sin"], "block", times="day")
    with pytest.raises(DataError, match="doy_sin is constant .* leave it out of --features, or give rows of many days"):
        train(samples, Recipe("rf", folds=3), Registry.open(tmp_path / "registry.json"))
