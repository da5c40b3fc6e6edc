"""Screening: correlation and partial correlation against closed forms and scipy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from zoo.errors import DataError
from zoo.explain.screening import partial_correlation, screen, screening_figure
from zoo.samples.rows import from_table


def draw(seed, n=60, k=4):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, k)) @ rng.normal(size=(k, k)) * rng.uniform(0.01, 1000, k) + rng.uniform(-50, 50, k)
    return X, X @ rng.normal(size=k) / X.std() + rng.normal(size=n)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(8, 80), st.integers(2, 5))
def test_partial_correlation_is_that_of_the_inverse_correlation_matrix(seed, n, k):
    X, y = draw(seed, n, k)
    precision = np.linalg.inv(np.corrcoef(np.column_stack([X, y]).T))
    for index in range(k):
        expected = -precision[index, k] / np.sqrt(precision[index, index] * precision[k, k])
        partial, _, vif = partial_correlation(X, y, index)
        assert partial == pytest.approx(expected, abs=1e-7)
        inflation = np.linalg.inv(np.corrcoef(X.T))[index, index]
        assert vif == pytest.approx(inflation, rel=1e-6)


def test_with_one_other_it_is_the_first_order_formula():
    X, y = draw(3, k=2)
    r = np.corrcoef(np.column_stack([X, y]).T)
    expected = (r[0, 2] - r[0, 1] * r[1, 2]) / np.sqrt((1 - r[0, 1] ** 2) * (1 - r[1, 2] ** 2))
    assert partial_correlation(X, y, 0)[0] == pytest.approx(expected, abs=1e-10)


def test_its_p_is_that_of_the_coefficient_in_the_regression_on_all_predictors():
    X, y = draw(7, n=25)
    Z = np.column_stack([np.ones(len(y)), X])
    inverse = np.linalg.inv(Z.T @ Z)
    beta = inverse @ Z.T @ y
    freedom = len(y) - Z.shape[1]
    variance = ((y - Z @ beta) ** 2).sum() / freedom
    for index in range(X.shape[1]):
        t = beta[index + 1] / np.sqrt(variance * inverse[index + 1, index + 1])
        partial, p, _ = partial_correlation(X, y, index)
        assert partial == pytest.approx(t / np.sqrt(t * t + freedom), abs=1e-7)
        assert p == pytest.approx(2 * stats.t.sf(abs(t), freedom), rel=1e-5)


def test_a_band_and_its_tasselled_cap_have_no_partial_correlation_and_the_others_keep_theirs():
    X, y = draw(5, n=80, k=3)
    bands = X[:, :2].astype(np.float32)
    cap = (bands @ np.array([0.3, -0.6], np.float32)).astype(np.float32)
    full = np.column_stack([bands, cap, X[:, 2]]).astype(float)
    for index in range(3):
        assert partial_correlation(full, y, index) == (None, None, None)
    reduced = np.column_stack([bands, X[:, 2]]).astype(float)
    assert partial_correlation(full, y, 3) == pytest.approx(partial_correlation(reduced, y, 2), rel=1e-4)
    constant = np.column_stack([X, np.full(80, 2.0)])
    assert partial_correlation(constant, y, 3) == (None, None, None)
    assert partial_correlation(constant, y, 0) == pytest.approx(partial_correlation(X, y, 0), rel=1e-9)


def test_where_no_degree_of_freedom_is_left_there_is_no_partial_correlation():
    X, y = draw(1, n=5, k=4)
    assert partial_correlation(X, y, 0)[:2] == (None, None)


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"lst": rng.normal(300, 4, 90), "ndvi": rng.uniform(0, 1, 90)})
    frame["evi"] = 0.6 * frame.ndvi + rng.normal(0, 0.02, 90)
    frame["sm"] = 0.1 + 0.1 * frame.ndvi - 0.003 * (frame.lst - 300) + rng.normal(0, 0.01, 90)
    frame["block"] = np.repeat(np.arange(15), 6)
    frame.loc[4, "lst"] = np.nan
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    return path


def test_every_predictor_has_r_n_and_p_as_scipy_and_an_interval_around_r(table):
    samples = from_table(table, "sm", ["lst", "ndvi", "evi"], "block")
    found = {item.predictor: item for item in screen(samples)}
    frame = pd.read_csv(table).dropna()
    for name, item in found.items():
        expected = stats.pearsonr(frame[name], frame.sm)
        assert (item.n, item.r) == (89, pytest.approx(expected.statistic, abs=1e-9))
        assert item.p == pytest.approx(expected.pvalue, rel=1e-6)
        assert item.r_low < item.r < item.r_high
    assert abs(found["evi"].r) > 0.7
    assert abs(found["evi"].partial) < 0.25
    assert found["evi"].vif > 50
    assert found["lst"].partial < found["lst"].r < -0.2


def test_the_figure_names_every_predictor_n_and_that_data_is_simulated(table):
    found = screen(from_table(table, "sm", ["lst", "ndvi", "evi"], "block"))
    figure = screening_figure(found, title="SMAP", simulated=True)
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert sorted(labels) == ["evi", "lst", "ndvi"]
    assert labels[-1] == max(found, key=lambda item: abs(item.r)).predictor
    assert "n = 89" in axes.get_xlabel()
    assert "simulated data" in axes.get_title(loc="left")


def test_the_command_prints_json_and_draws(run_json, run, table, tmp_path):
    given = ["screen", table, "--target", "sm", "--features", "lst,ndvi,evi", "--groups", "block"]
    told = run_json(*given, "--plot", tmp_path / "screen.png")
    assert told["n"] == 89
    assert told["dropped"]["with missing values"] == 1
    assert [item["predictor"] for item in told["predictors"]] == ["lst", "ndvi", "evi"]
    assert (tmp_path / "screen.png").read_bytes().startswith(b"\x89PNG")
    code, out, err = run(*given)
    assert code == 0
    assert all(word in out for word in ("partial R", "VIF", " n ", " p "))
    assert "p holds for independent rows" in err
    code, _, err = run("screen", table)
    assert (code, err.count("\n")) == (2, 1)
    assert "does not say its columns: give --target, --features, --groups" in err


def test_too_few_rows_are_refused(table, tmp_path):
    pd.read_csv(table).head(3).to_csv(tmp_path / "few.csv", index=False)
    with pytest.raises(DataError, match="3 rows, .* correlation needs 4 rows that differ"):
        screen(from_table(tmp_path / "few.csv", "sm", ["lst"], "block"))
