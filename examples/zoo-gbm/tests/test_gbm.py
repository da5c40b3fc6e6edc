import numpy as np
import onnx
import onnxruntime as ort
import pytest
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks
from zoo_gbm import zoo_downscalers
from zoo_gbm.estimator import GradientBoosting
from zoo_gbm.graph import round_down


def rows(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.uniform((270, 0, 900), (320, 0.9, 2100), (count, 3)).astype(np.float32)
    y = 0.1 + 0.2 * X[:, 1] - 0.002 * (X[:, 0] - 295) + rng.normal(0, 0.01, count)
    return X, y


WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": "scikit-learn's own boosting fails it, too (its issue 16298)",
    "check_sample_weight_equivalence_on_sparse_data": "as above",
}


@parametrize_with_checks(
    [GradientBoosting(n_estimators=10, subsample=1.0)], expected_failed_checks=lambda estimator: WEIGHTS
)
def test_it_is_a_scikit_learn_regressor(estimator, check):
    check(estimator)


def test_it_equals_scikit_learns_own():
    X, y = rows(300)
    ours = GradientBoosting(random_state=1).fit(X, y)
    theirs = GradientBoostingRegressor(
        n_estimators=200, learning_rate=0.05, max_depth=3, min_samples_leaf=3, subsample=0.7, random_state=1
    ).fit(X, y)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_the_graph_answers_as_the_trees_do_also_on_the_thresholds():
    X, y = rows(300)
    model = GradientBoosting(random_state=1).fit(X, y)
    state = model.state()
    graph = GradientBoosting.to_onnx(state)
    onnx.checker.check_model(graph, full_check=True)
    near = rows(20_000, seed=2)[0]
    for feature in range(3):  # rows that stand exactly on a threshold, and one float32 to its right
        edges = state["threshold"][state["feature"] == feature]
        near[: edges.size, feature] = edges
        near[edges.size : 2 * edges.size, feature] = np.nextafter(edges, np.float32(np.inf))
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (answers,) = session.run(["y"], {"X": near})
    assert answers.shape == (len(near), 1)
    assert np.abs(answers[:, 0] - model.predict(near)).max() < 1e-6


def test_state_is_arrays_only():
    X, y = rows(50)
    state = GradientBoosting(random_state=1).fit(X, y).state()
    assert all(isinstance(value, np.ndarray) and value.dtype != object for value in state.values())


@pytest.mark.parametrize("value", [0.1, 1 / 3, 273.15, -0.7, 1e-8])
def test_a_threshold_is_never_rounded_up(value):
    rounded = round_down(np.array([value]))[0]
    assert float(rounded) <= value < float(np.nextafter(rounded, np.float32(np.inf)))


def test_the_plugin_describes_itself():
    (spec,) = zoo_downscalers()
    assert (spec.name, spec.estimator) == ("gbm", "zoo_gbm.estimator:GradientBoosting")
    known = GradientBoosting().get_params()
    assert all(name in known for preset in spec.presets.values() for name in preset)
