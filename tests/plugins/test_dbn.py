"""The deep belief network: its machines against exact enumeration, its training, its ONNX graph."""

from __future__ import annotations

import copy
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

from zoo.errors import ZooError
from zoo.learning.feature_selection import Selection
from zoo.predictors import PAPER, PAPER_EQ1
from zoo.types import Downscaler
from zoo_dbn.estimator import DeepBeliefNetwork
from zoo_dbn.members import kinds_of
from zoo_dbn.network import BackPropagation, FineTuning, Network, Sample, initial_network
from zoo_dbn.parameters import ParameterError
from zoo_dbn.presets import PRESETS
from zoo_dbn.rbm import RBM, ContrastiveDivergence, GibbsChain, initial_rbm, train_rbm
from zoo_dbn.rows import hold_out, merge_equal_rows
from zoo_dbn.scaling import LEVEL_HEIGHT, fit_coding, fit_codings

FAST: dict[str, Any] = {
    "hidden_layers_structure": (16,),
    "BP_epochs": 40,
    "BP_learning_rate": 0.03,
    "batch_size": 32,
    "n_members": 2,
    "dropout": 0.05,
    "device": "cpu",
    "random_state": 0,
}


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _field(n: int, seed: int) -> tuple[Any, Any]:
    """Simulated predictors in real units (elevation, temperature, index, two more), and a smooth truth."""
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [
            rng.uniform(1200, 2000, n),
            rng.normal(300, 4, n),
            rng.beta(2, 3, n),
            rng.normal(size=n),
            rng.exponential(size=n),
        ]
    )
    dryness = np.tanh((X[:, 1] - 300) / 4)
    y = 0.25 - 0.08 * dryness + 0.1 * np.sin(3 * X[:, 2]) + 0.04 * dryness * (X[:, 0] - 1600) / 400
    return X, y


@parametrize_with_checks([DeepBeliefNetwork(**FAST), DeepBeliefNetwork(**FAST, pretrain=True, RBM_epochs=2)])
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def test_satisfies_the_downscaler_protocol() -> None:
    assert isinstance(DeepBeliefNetwork(), Downscaler)


# restricted Boltzmann machines


def _small_rbm(gaussian: bool, seed: int = 1, d: int = 5, h: int = 3) -> RBM:
    g = _seeded(seed)
    return RBM(
        torch.randn(1, d, h, generator=g),
        torch.randn(1, 1, d, generator=g),
        torch.randn(1, 1, h, generator=g),
        gaussian,
    )


def _states(size: int) -> np.ndarray[Any, Any]:
    return np.array(list(product((0.0, 1.0), repeat=size)))


def _energy(rbm: RBM, v: Any, h: Any) -> Any:
    W, b, c = (p.squeeze(0).double().numpy() for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias))
    own = 0.5 * ((v - b) ** 2).sum() if rbm.gaussian else -(v @ b.ravel())
    return own - h @ c.ravel() - v @ W @ h


def _log_likelihood(rbm: RBM, data: Any) -> float:
    """Mean log P(v) of a binary machine: every state of v and h is visited."""
    d, h = rbm.weight.shape[1:]

    def log_sum(v: Any) -> float:
        return float(np.logaddexp.reduce([-_energy(rbm, v, state) for state in _states(h)]))

    log_z = np.logaddexp.reduce([log_sum(v) for v in _states(d)])
    return float(np.mean([log_sum(v) for v in data]) - log_z)


@pytest.mark.parametrize("gaussian", [False, True])
def test_free_energy_equals_the_sum_over_all_hidden_states(gaussian: bool) -> None:
    rbm = _small_rbm(gaussian)
    v = torch.randn(7, 5, generator=_seeded(2)) if gaussian else torch.as_tensor(_states(5)).float()
    expected = [-np.logaddexp.reduce([-_energy(rbm, x, h) for h in _states(3)]) for x in v.double().numpy()]
    np.testing.assert_allclose(rbm.free_energy(v.unsqueeze(0))[0].numpy(), expected, rtol=1e-5, atol=1e-5)


def _patterns(n: int) -> torch.Tensor:
    """Rows of two kinds, 11100 and 00011, each unit turned over with a chance of 5 %."""
    rng = np.random.default_rng(3)
    kinds = np.array([[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]])[rng.integers(0, 2, n)]
    return torch.as_tensor(np.abs(kinds - (rng.random((n, 5)) < 0.05)), dtype=torch.float32)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_contrastive_divergence_raises_the_exact_likelihood(momentum: float) -> None:
    data = _patterns(200)
    rbm = initial_rbm(data.unsqueeze(0), 1, 3, False, _seeded())
    how = ContrastiveDivergence(cd_k=1, learning_rate=0.1, momentum=momentum, weight_decay=0.0, batch_size=20)
    before = _log_likelihood(rbm, data.double().numpy())
    course = train_rbm(rbm, data.unsqueeze(0), torch.ones(200), None, how, range(60), _seeded())
    after = _log_likelihood(rbm, data.double().numpy())
    assert after > before + 0.8, "independent units reach no more than the entropy of the means"
    assert course.reconstruction_error[-1] < 0.5 * course.reconstruction_error[0]


@pytest.mark.parametrize(("cd_k", "likeness"), [(1, 0.85), (20, 0.98)])
def test_contrastive_divergence_points_along_the_exact_gradient(cd_k: int, likeness: float) -> None:
    data = _patterns(200)
    rbm = _small_rbm(False)
    rbm.weight.mul_(0.5)
    reference = RBM(*(p.double().requires_grad_() for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias)))
    every = torch.as_tensor(_states(5)).unsqueeze(0)
    log_z = torch.logsumexp(-reference.free_energy(every), dim=1)
    (-reference.free_energy(data.double().unsqueeze(0)).mean() - log_z.squeeze()).backward()  # type: ignore[no-untyped-call]
    copies = 200  # a step over many copies of the data averages the chains' noise away
    start = copy.deepcopy(rbm)
    how = ContrastiveDivergence(cd_k, 1.0, 0.0, 0.0, 200 * copies)
    train_rbm(rbm, data.repeat(copies, 1).unsqueeze(0), torch.ones(200 * copies), None, how, range(1), _seeded())
    for name in ("weight", "visible_bias", "hidden_bias"):
        step = (getattr(rbm, name) - getattr(start, name)).double().flatten()
        exact = getattr(reference, name).grad.flatten()
        assert torch.cosine_similarity(step, exact, dim=0) > likeness, name
    if cd_k > 1:
        assert torch.linalg.norm(rbm.weight - start.weight) == pytest.approx(
            float(torch.linalg.norm(reference.weight.grad)), rel=0.1
        )


def test_gaussian_machine_learns_two_clusters() -> None:
    rng = np.random.default_rng(5)
    sign = rng.choice([-1.0, 1.0], 400)
    data = torch.as_tensor(sign[:, None] * [2, 2, -2, -2] + rng.normal(size=(400, 4)), dtype=torch.float32)
    rbm = initial_rbm(data.unsqueeze(0), 1, 4, True, _seeded())
    how = ContrastiveDivergence(1, 0.05, 0.5, 0.0, 40)
    held_out = data[:50].unsqueeze(0)
    course = train_rbm(rbm, data.unsqueeze(0), torch.ones(400), held_out, how, range(60), _seeded())
    variance = float(data.var(dim=0).mean())
    assert course.reconstruction_error[0] > 0.7 * variance, "before learning only the mean is recalled"
    assert course.reconstruction_error[-1] < 0.4 * variance, "the noise of variance 1 in about 5 remains"
    assert len(course.free_energy_gap) == 60


def test_free_energy_gap_grows_when_a_large_machine_learns_few_rows_by_heart() -> None:
    g = _seeded(7)
    rows, unseen = ((torch.rand(1, 20, 30, generator=g) < 0.5).float() for _ in range(2))
    rbm = initial_rbm(rows, 1, 60, False, g)
    how = ContrastiveDivergence(1, 0.1, 0.5, 0.0, 10)
    gap = train_rbm(rbm, rows, torch.ones(20), unseen, how, range(200), g).free_energy_gap
    assert gap[-1] > gap[0] + 5


def test_row_weights_count_like_repetitions_in_an_rbm_step() -> None:
    data = _patterns(8)
    weight = torch.tensor([3.0, 1, 1, 1, 1, 1, 1, 1])
    chain = GibbsChain(_small_rbm(False), 8, ContrastiveDivergence(1, 0.1, 0.0, 0.0, 8), _seeded())
    start = chain.rbm.weight.clone()
    chain.load(data.unsqueeze(0), weight, torch.arange(8).view(1, 1, 8))
    chain.run(0)
    positive, negative = chain.hidden.clone(), chain.hidden_recalled.clone()
    expected = start + 0.1 / 8 * sum(
        weight[i] * (torch.outer(data[i], positive[i]) - torch.outer(chain.recalled[i], negative[i])) for i in range(8)
    )
    chain.learn(0)
    torch.testing.assert_close(chain.rbm.weight, expected)


# back-propagation


def _tuning(**changes: Any) -> FineTuning:
    settings: dict[str, Any] = {
        "learning_rate": 0.1,
        "batch_size": 6,
        "optimizer": "sgd",
        "schedule": "constant",
        "momentum": 0.0,
        "weight_decay": 0.0,
        "smooth_l1_beta": 0.5,
        "dropout": 0.0,
        "input_noise": 0.0,
        "patience": 5,
    }
    return FineTuning(**{**settings, **changes})


def _batch(n: int = 6) -> tuple[Sample, torch.Tensor]:
    g = _seeded(4)
    sample = Sample(torch.randn(n, 4, generator=g), torch.randn(n, generator=g), torch.rand(n, generator=g) + 0.5)
    return sample, torch.stack([torch.arange(n), torch.arange(n).flip(0)])


def _by_autograd(network: Network, sample: Sample, optimizer: Any, steps: int, beta: float) -> None:
    chosen = optimizer([*network.weights, *network.biases])
    for _ in range(steps):
        chosen.zero_grad()
        losses = torch.nn.functional.smooth_l1_loss(
            network.outputs(sample.codes), sample.target.expand(2, -1), beta=beta, reduction="none"
        )
        (losses * sample.weight).mean(dim=1).sum().backward()
        chosen.step()


@pytest.mark.parametrize(
    ("settings", "optimizer"),
    [
        ({"weight_decay": 0.0}, lambda p: torch.optim.SGD(p, 0.1)),
        ({"momentum": 0.9}, lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
        ({"optimizer": "adamw"}, lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.0)),
    ],
    ids=["sgd", "momentum", "adamw"],
)
def test_hand_written_gradients_equal_autograd(settings: dict[str, Any], optimizer: Any) -> None:
    ours = initial_network(4, (5, 3), 2, _seeded())
    theirs = ours.clone()
    sample, rows = _batch()
    for parameter in (*theirs.weights, *theirs.biases):
        parameter.requires_grad_()
    work = BackPropagation(ours, 6, _tuning(**settings), _seeded())
    for _ in range(4):
        work.learn(sample, rows.unsqueeze(0), [0.1])
    _by_autograd(theirs, sample, optimizer, 4, 0.5)
    for mine, other in zip((*ours.weights, *ours.biases), (*theirs.weights, *theirs.biases), strict=True):
        torch.testing.assert_close(mine, other.detach(), rtol=1e-4, atol=1e-5)


def test_dropout_and_noise_are_active_in_training_only() -> None:
    network = initial_network(4, (64,), 2, _seeded())
    sample, rows = _batch()
    work = BackPropagation(network, 6, _tuning(dropout=0.5), _seeded())
    work.load(sample, rows.unsqueeze(0))
    work.forward(0)
    share = float((work.kept[0] == 0).float().mean())
    assert 0.4 < share < 0.6
    first = work.active[-1].clone()
    work.load(sample, rows.unsqueeze(0))
    work.forward(0)
    assert not torch.equal(first, work.active[-1])
    assert torch.equal(network.outputs(sample.codes), network.outputs(sample.codes))
    expected = torch.sigmoid(sample.codes @ network.weights[0] + network.biases[0]) @ network.weights[1]
    torch.testing.assert_close(network.outputs(sample.codes), expected.squeeze(-1))
    dropped = []
    for _ in range(2000):
        work.load(sample, rows.unsqueeze(0))
        work.forward(0)
        dropped.append(work.active[-1][0, :, 0].clone())
    torch.testing.assert_close(torch.stack(dropped).mean(0), expected[0, :, 0], rtol=0.1, atol=0.03)


# codings


def test_quantile_coding_gives_normal_scores() -> None:
    from scipy.stats import norm

    x = np.random.default_rng(0).exponential(size=(4001, 1)).astype(np.float32)
    codes = fit_coding(x, np.ones(4001), "quantile").encode(x).ravel()
    ranks = (x.ravel().argsort().argsort() + 0.5) / 4001
    np.testing.assert_allclose(codes, np.clip(norm.ppf(ranks), -2, 2), atol=0.03)


def test_codings_of_a_column_with_a_large_offset_keep_their_digits() -> None:
    x = (290 + np.arange(21)[:, None]).astype(np.float32)
    ones = np.ones(21)
    np.testing.assert_allclose(fit_coding(x, ones, "minmax").encode(x).ravel(), np.arange(21) / 20, atol=1e-7)
    expected = (x - x.mean()) / x.std()
    np.testing.assert_allclose(fit_coding(x, ones, "zscore").encode(x), expected, atol=1e-6)
    bins = fit_coding(x, ones, "bins").encode(x)
    assert bins.shape == (21, 8)
    assert (np.diff(bins, axis=0) >= 0).all()
    assert (np.diff(bins.sum(axis=1)) > 0).sum() >= 19
    assert (bins[0] == 0).all()
    np.testing.assert_allclose(bins[-1], 1, atol=1e-6)


@pytest.mark.parametrize("name", ["minmax", "zscore", "quantile", "bins", "levels"])
def test_weights_count_like_repetitions_in_a_coding(name: str) -> None:
    rng = np.random.default_rng(2)
    x = rng.integers(0, 6, (30, 2)).astype(np.float32)
    weight = rng.integers(1, 4, 30)
    once, often = (
        fit_coding(x, weight.astype(float), name),
        fit_coding(x.repeat(weight, axis=0), np.ones(weight.sum()), name),
    )
    np.testing.assert_allclose(once.encode(x), often.encode(x), atol=1e-6)


@pytest.mark.parametrize("name", ["minmax", "zscore", "quantile", "bins", "quantile+zscore", "zscore+levels"])
def test_a_constant_predictor_codes_to_a_constant(name: str) -> None:
    x = np.column_stack([np.full(20, 7.3), np.arange(20)]).astype(np.float32)
    coding = fit_coding(x, np.ones(20), name)
    other = x.copy()
    other[:, 0] = -40
    assert np.isfinite(coding.slope).all()
    np.testing.assert_array_equal(coding.encode(x), coding.encode(other))


def test_a_feature_with_many_ties_is_coded_without_a_jump() -> None:
    x = np.concatenate([np.zeros(60), np.linspace(1e-6, 1, 40)]).astype(np.float32)[:, None]
    codes = fit_coding(x, np.ones(100), "quantile").encode(x).ravel()
    from scipy.stats import norm

    assert codes[0] == pytest.approx(norm.ppf(0.3), abs=1e-6), "the middle of the tied ranks"
    assert (np.diff(codes) >= 0).all()


def test_a_level_is_one_at_its_value_alone_and_linear_to_the_next() -> None:
    x = np.array([[2.0], [5], [5], [11], [8]], np.float32)
    codes = fit_coding(x, np.ones(5), "levels").encode(x) / LEVEL_HEIGHT
    np.testing.assert_allclose(codes, np.eye(4)[[0, 1, 1, 3, 2]], atol=1e-7)
    between = fit_coding(x, np.ones(5), "levels").encode(np.array([[-9.0], [6], [99]], np.float32)) / LEVEL_HEIGHT
    np.testing.assert_allclose(between, [[1, 0, 0, 0], [0, 2 / 3, 1 / 3, 0], [0, 0, 0, 1]], atol=1e-6)


def test_joined_codings_hold_each_code_once_and_only_of_chosen_predictors() -> None:
    x = np.random.default_rng(0).integers(0, 4, (50, 3)).astype(np.float32)
    chosen = Selection(np.array([True, True, False]), np.array([False, True, False]), {})
    coding, (first, second) = fit_codings(x, np.ones(50), ["quantile+levels", "zscore+quantile"], chosen)
    codes = coding.encode(x)
    assert codes.shape == (50, 2 + 4 + 2)
    np.testing.assert_array_equal(first, [0, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(second, [0, 1, 6, 7])
    np.testing.assert_allclose(codes[:, first[:2]], fit_coding(x[:, :2], np.ones(50), "quantile").encode(x[:, :2]))
    np.testing.assert_allclose(codes[:, 2:6], LEVEL_HEIGHT * (x[:, [1]] == np.arange(4)), atol=1e-6)
    assert coding.column.max() == 2, "the last predictor is named though nothing looks at it"


# rows and groups


def test_equal_rows_are_merged_and_their_weights_added() -> None:
    X = np.array([[2.0, 1], [1, 5], [2, 1], [9, 9]])
    y = np.array([0.2, 0.1, 0.2, 0.9])
    rows = merge_equal_rows(X, y, None, np.array([1.0, 2, 3, 0]))
    assert rows.X.tolist() == [[1, 5], [2, 1]]
    np.testing.assert_allclose(rows.weight, [2 / 3, 4 / 3])
    assert rows.group.tolist() == [0, 1]
    apart = merge_equal_rows(X, y, np.array(["a", "a", "b", "b"]), np.ones(4))
    assert len(apart.y) == 4, "equal rows of different groups stay apart"


@pytest.mark.parametrize("seed", range(5))
def test_whole_groups_are_held_out(seed: int) -> None:
    group = np.repeat(np.arange(10), np.arange(1, 11))
    apart = hold_out(group, 0.2, np.random.default_rng(seed))
    assert 0.2 <= apart.mean() < 0.2 + 10 / 55
    assert not set(group[apart]) & set(group[~apart])
    assert not hold_out(np.zeros(5, int), 0.2, np.random.default_rng(seed)).any()


def test_early_stopping_watches_groups_that_training_never_sees() -> None:
    """Columns tell the group, each group has its own level: that helps on its own rows, not on other groups."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(8), 30)
    level = np.array([1.0, -1, 1, 1, -1, -1, 1, -1])
    X = np.column_stack([np.eye(8)[group], rng.normal(size=(240, 2))])
    y = level[group] + 0.1 * X[:, -1]
    settings = {**FAST, "BP_epochs": 60, "early_stopping": True, "validation_share": 0.25, "patience": 60}
    blocked = DeepBeliefNetwork(**settings).fit(X, y, groups=[f"station {g}" for g in group]).history_
    at_random = DeepBeliefNetwork(**settings).fit(X, y).history_
    assert at_random["validation_loss"][-1] < 0.05
    assert blocked["validation_loss"][-1] > 10 * at_random["validation_loss"][-1]


def test_early_stopping_goes_back_to_the_best_epoch() -> None:
    X, y = _field(80, 1)
    y = y + 0.1 * np.random.default_rng(1).normal(size=80)
    settings = {**FAST, "input_scaling": "zscore", "early_stopping": True, "validation_share": 0.3, "patience": 20}
    stopped = DeepBeliefNetwork(**{**settings, "BP_epochs": 300, "schedule": "constant"}).fit(X, y)
    best = stopped.history_["best_epoch"]
    assert best < len(stopped.history_["validation_loss"])
    again = DeepBeliefNetwork(**{**settings, "BP_epochs": best, "schedule": "constant"}).fit(X, y)
    np.testing.assert_array_equal(stopped.predict(X), again.predict(X))


# the estimator


def test_presets_hold_the_values_of_table_4() -> None:
    table_4 = {
        "hidden_layers_structure": [1000, 1000],
        "cd_k": 1,
        "RBM_epochs": 400,
        "RBM_learning_rate": 0.1,
        "BP_epochs": 800,
        "BP_learning_rate": 0.1,
        "batch_size": 16,
        "dropout": 0.05,
    }
    for name, features in (("paper", PAPER), ("paper-eq1", PAPER_EQ1)):
        preset = dict(PRESETS[name])
        assert preset.pop("features") == features
        assert {key: preset[key] for key in table_4} == table_4
        assert (preset["pretrain"], preset["visible"], preset["optimizer"]) == (True, "binary", "sgd")
        assert (preset["input_scaling"], preset["smooth_l1_beta"]) == ("minmax", 1.0)
        assert (preset["screening"], preset["input_noise"], preset["n_members"]) == (False, 0.0, 1)
        assert preset.keys() <= DeepBeliefNetwork().get_params().keys()
    assert len(PAPER) == 14
    assert len(PAPER_EQ1) == 13


def test_paper_network_has_a_million_weights_and_says_so() -> None:
    X = np.random.default_rng(0).random((113, 14))
    preset = {k: v for k, v in PRESETS["paper"].items() if k != "features"}
    model = DeepBeliefNetwork(**{**preset, "RBM_epochs": 1, "BP_epochs": 1, "random_state": 0}).fit(X, X[:, 0])
    assert model.n_parameters_ == 1_017_001
    assert "1,017,001 weights learnt from 113 rows" in model.notes_[0]
    assert [len(layer["reconstruction_error"]) for layer in model.history_["RBM"]] == [1, 1]
    assert [len(layer["free_energy_gap"]) for layer in model.history_["RBM"]] == [1, 1]


def test_recovers_a_smooth_function() -> None:
    X, y = _field(600, 1)
    settings = {"hidden_layers_structure": [64, 64], "n_members": 1, "batch_size": 64}
    model = DeepBeliefNetwork(**settings, random_state=0, device="cpu").fit(X, y)
    assert model.score(*_field(2000, 2)) > 0.9


def test_same_seed_same_bits_and_another_seed_another_network() -> None:
    X, y = _field(100, 1)
    settings = {**FAST, "pretrain": True, "RBM_epochs": 3, "BP_epochs": 5}
    torch.manual_seed(123)
    before = torch.get_rng_state()
    first = DeepBeliefNetwork(**settings).fit(X, y).predict(X)
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(first, DeepBeliefNetwork(**settings).fit(X, y).predict(X))
    assert (first != DeepBeliefNetwork(**{**settings, "random_state": 1}).fit(X, y).predict(X)).any()


def test_order_of_rows_has_no_effect() -> None:
    X, y = _field(60, 1)
    turned = DeepBeliefNetwork(**FAST).fit(X[::-1], y[::-1])
    straight = DeepBeliefNetwork(**FAST).fit(X, y)
    np.testing.assert_array_equal(straight.predict(X), turned.predict(X))
    np.testing.assert_array_equal(straight.predict(X)[40:43], straight.predict(X[40:43]))


def test_pretraining_changes_the_network_and_leaves_a_record() -> None:
    X, y = _field(100, 1)
    without = DeepBeliefNetwork(**{**FAST, "BP_epochs": 3}).fit(X, y)
    settings = {**FAST, "BP_epochs": 3, "RBM_epochs": 4, "hidden_layers_structure": (16, 8), "pretrain": True}
    with_it = DeepBeliefNetwork(**settings).fit(X, y)
    assert without.history_["RBM"] == []
    assert [len(layer["reconstruction_error"]) for layer in with_it.history_["RBM"]] == [4, 4]
    assert [len(layer["free_energy_gap"]) for layer in with_it.history_["RBM"]] == [4, 4]
    assert not np.allclose(without.predict(X), with_it.predict(X), atol=1e-4)


def test_members_differ_and_are_averaged() -> None:
    X, y = _field(100, 1)
    model = DeepBeliefNetwork(**FAST).fit(X, y)
    members = model.predict_members(X)
    assert members.shape == (2, 100)
    assert np.abs(members[0] - members[1]).max() > 1e-3
    np.testing.assert_allclose(members.mean(axis=0), model.predict(X), rtol=1e-12)


def test_members_take_their_codings_in_turn_and_see_no_other_code() -> None:
    X, y = _field(100, 1)
    mixed = DeepBeliefNetwork(**{**FAST, "n_members": 3, "input_scaling": ["zscore", "bins"]}).fit(X, y)
    weight = mixed.state()["weight/0"]
    assert weight.shape == (3, 5 + 5 * 8, 16)
    assert not weight[[0, 2], 5:].any()
    assert not weight[1, :5].any()
    assert weight[0, :5].all()
    assert weight[1, 5:].all()
    alone = DeepBeliefNetwork(**{**FAST, "n_members": 2, "input_scaling": "zscore"}).fit(X, y)
    assert np.corrcoef(alone.predict(X), mixed.predict_members(X)[[0, 2]].mean(axis=0))[0, 1] > 0.95
    assert len(mixed.history_["training_loss"]) == FAST["BP_epochs"]


@pytest.mark.parametrize(("scaling", "sd"), [("zscore+levels", 0.1), ("zscore+bins", 0.3)])
def test_auto_noise_is_larger_on_bins(scaling: str, sd: float) -> None:
    assert [kind.noise for kind in kinds_of(scaling, "auto", 2)] == [sd]
    assert [kind.noise for kind in kinds_of(scaling, 0.7, 2)] == [0.7]
    assert [kind.members for kind in kinds_of([scaling, "zscore"], "auto", 3)] == [[0, 2], [1]]


def _stations(seed: int) -> tuple[Any, Any, Any, Any]:
    """Simulated: 60 stations on 80 days, each with a level of its own, and a last predictor that only names it."""
    rng = np.random.default_rng(seed)
    station, day = np.divmod(np.arange(60 * 80), 80)
    X = np.column_stack([rng.normal(size=(4800, 2)), rng.random(60)[station]]).astype(np.float32)
    y = 0.25 + 0.05 * np.tanh(X[:, 0]) + 0.05 * rng.normal(size=60)[station]
    return X, y, station, day


def test_what_only_names_stations_is_left_out_of_new_places_and_used_at_known_ones() -> None:
    import onnxruntime

    X, y, station, day = _stations(0)
    new = station >= 20
    settings = {**FAST, "input_scaling": ["zscore+levels", "zscore+bins+levels"], "BP_epochs": 8}
    screened = DeepBeliefNetwork(**settings).fit(X[~new], y[~new], groups=station[~new], times=day[~new])
    assert screened.kept_.tolist() == [True, True, False]
    assert "column 2" in " ".join(screened.notes_)
    other = X.copy()
    other[:, 2] = 7
    np.testing.assert_array_equal(screened.predict(X), screened.predict(other))
    session = onnxruntime.InferenceSession(DeepBeliefNetwork.to_onnx(screened.state()).SerializeToString())
    np.testing.assert_allclose(session.run(None, {"X": X})[0].ravel(), screened.predict(X), atol=1e-5)
    blind = DeepBeliefNetwork(**settings, screening=False).fit(X[~new], y[~new], groups=station[~new])
    assert blind.kept_.all()
    assert screened.score(X[new], y[new]) > blind.score(X[new], y[new])

    later = day >= 60
    known = DeepBeliefNetwork(**settings, use="time")
    known.fit(X[~later], y[~later], groups=station[~later], times=day[~later])
    assert known.levels_.tolist() == [False, False, True]
    assert known.score(X[later], y[later]) > 0.9


def test_without_groups_nothing_is_left_out() -> None:
    X, y, _, _ = _stations(0)
    model = DeepBeliefNetwork(**{**FAST, "BP_epochs": 1}).fit(X, y)
    assert model.kept_.all()
    assert not model.levels_.any()


@pytest.mark.parametrize(("n", "epochs"), [(50, 100), (113, 113), (300, 150), (700, 100), (13_000, 12)])
def test_auto_epochs_go_through_a_small_table_more_often(n: int, epochs: int) -> None:
    X, y = _field(n, 1)
    history = DeepBeliefNetwork(hidden_layers_structure=[2], n_members=1, random_state=0).fit(X, y).history_
    assert len(history["training_loss"]) == epochs


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("dropout", 1.0, "dropout = 1.0 is out of its limits; expected a number of at least 0 and below 1"),
        ("hidden_layers_structure", [], "sizes of one or more layers"),
        ("visible", "ternary", "expected one of: binary, gaussian"),
        ("input_scaling", "zscore+log", "expected one or more of minmax, zscore, quantile, bins"),
        ("input_scaling", ["zscore", "log"], "or a list of such"),
        ("input_scaling", "levels", "levels never alone"),
        ("input_noise", "much", "a number of at least 0 or auto"),
        ("use", "moon", "expected one of: space, time, both"),
        ("BP_epochs", 0, "a whole number of at least 1 or auto"),
    ],
)
def test_parameter_out_of_its_limits_is_one_clear_line(parameter: str, value: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message.replace("[", r"\[")) as caught:
        DeepBeliefNetwork(**{parameter: value}).fit(*_field(20, 1))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ZooError)


def test_early_stopping_without_rows_to_look_at_is_refused() -> None:
    with pytest.raises(ParameterError, match="give validation_share"):
        DeepBeliefNetwork(early_stopping=True, validation_share=0).fit(*_field(20, 1))


def test_diverged_training_is_an_error() -> None:
    X, y = _field(40, 1)
    with pytest.raises(ZooError, match="diverged at BP_learning_rate 1e\\+30"):
        DeepBeliefNetwork(**{**FAST, "optimizer": "sgd", "BP_learning_rate": 1e30}).fit(X, y)


def test_missing_cuda_is_refused_by_name() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(ParameterError, match="no CUDA device"):
        DeepBeliefNetwork(**{**FAST, "device": "cuda"}).fit(*_field(20, 1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_learns_the_same_function() -> None:
    X, y = _field(600, 1)
    model = DeepBeliefNetwork(pretrain=True, n_members=2, random_state=0, device="cuda").fit(X, y)
    assert model.score(*_field(1000, 2)) > 0.9


# state and ONNX


def _trained(n: int = 400, **changes: Any) -> tuple[DeepBeliefNetwork, Any]:
    X, y = _field(n, 1)
    X = np.column_stack([X, np.full(n, 3.0), np.random.default_rng(3).integers(0, 5, n)])
    return DeepBeliefNetwork(**{**FAST, **changes}).fit(X, y), X


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_layers_structure": (200, 200), "BP_epochs": 20, "BP_learning_rate": 0.003},
        {"input_scaling": "minmax", "target_scaling": "minmax", "pretrain": True, "RBM_epochs": 2, "visible": "binary"},
        {"input_scaling": "quantile+zscore+bins", "n_members": 1},
    ],
    ids=["default", "minmax", "bins"],
)
def test_onnx_equals_the_network_on_random_rows_of_the_training_range(changes: dict[str, Any]) -> None:
    import onnxruntime

    model, X = _trained(**changes)
    graph = DeepBeliefNetwork.to_onnx(model.state())
    rng = np.random.default_rng(9)
    rows = rng.uniform(X.min(axis=0), X.max(axis=0), (100_000, X.shape[1])).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"X": rows})
    assert answer.shape == (100_000, 1)
    assert answer.dtype == np.float32
    expected = model.predict(rows)
    assert np.ptp(expected) > 0.05
    assert np.abs(answer.ravel() - expected).max() <= 1e-5
    (one,) = session.run(None, {"X": rows[:1]})
    np.testing.assert_allclose(one, answer[:1], atol=1e-6)


def test_onnx_graph_has_the_promised_interface() -> None:
    model, X = _trained(BP_epochs=1)
    graph = DeepBeliefNetwork.to_onnx(model.state())
    (given,), (answer,) = graph.graph.input, graph.graph.output
    assert (given.name, answer.name) == ("X", "y")
    shape = [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim]
    assert shape == ["n", X.shape[1]]
    assert [(o.domain, o.version) for o in graph.opset_import] == [("", 17)]


def test_state_survives_safetensors(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    model, _ = _trained(BP_epochs=1)
    state = model.state()
    save_file(state, tmp_path / "state.safetensors")
    back = load_file(tmp_path / "state.safetensors")
    assert back.keys() == state.keys()
    for name, array in state.items():
        assert array.dtype == back[name].dtype
        np.testing.assert_array_equal(back[name], array)
    assert DeepBeliefNetwork.to_onnx(back) == DeepBeliefNetwork.to_onnx(state)


def test_a_small_network_trains_on_one_thread_and_puts_the_number_back(monkeypatch):
    before, set_to = torch.get_num_threads(), []
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    X = np.random.default_rng(0).random((40, 3))
    DeepBeliefNetwork(hidden_layers_structure=[4], BP_epochs=2).fit(X, 0.2 + 0.1 * X[:, 0])
    assert set_to == [1, before]
