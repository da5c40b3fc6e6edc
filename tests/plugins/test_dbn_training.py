"""The DBN's training step: blocks of batches, random numbers, threads."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from zoo_dbn.blocks import Chances
from zoo_dbn.network import BackPropagation, FineTuning, Sample, initial_network
from zoo_dbn.rbm import RBM, ContrastiveDivergence, GibbsChain
from zoo_dbn.threads import threads_for


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(before)


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_a_block_of_batches_learns_as_one_batch_after_the_other(members: int, momentum: float) -> None:
    g = _seeded(4)
    sample = Sample(torch.randn(24, 4, generator=g), torch.randn(24, generator=g), torch.rand(24, generator=g) + 0.5)
    rows = torch.stack([torch.randperm(24, generator=_seeded(s)).view(4, 6) for s in range(members)], dim=1)
    together, apart = (initial_network(4, (5, 3), members, _seeded()) for _ in range(2))
    how = _tuning(momentum=momentum, weight_decay=0.02)
    work = BackPropagation(together, 6, how, _seeded())
    work.learn(sample, rows, [0.1, 0.2, 0.3, 0.4])
    step = BackPropagation(apart, 6, how, _seeded())
    for batch, rate in zip(rows, (0.1, 0.2, 0.3, 0.4), strict=True):
        step.learn(sample, batch.unsqueeze(0), [rate])
    for one, other in zip((*together.weights, *together.biases), (*apart.weights, *apart.biases), strict=True):
        assert torch.equal(one, other)
    assert float(work.loss) == pytest.approx(float(step.loss), rel=1e-5)


@pytest.mark.parametrize("members", [1, 3])
def test_chances_are_uniform_differ_from_step_to_step_and_come_again_with_the_seed(members: int) -> None:
    chances = Chances(8, members, 16, 50, device=torch.device("cpu"))
    numbers = chances.draw(8, _seeded()).clone()
    assert len(numbers) == 8 * members * 16 * 50
    assert 0 < float(numbers.min()) < 0.002
    assert 0.998 < float(numbers.max()) < 1
    for share in (0.05, 0.5, 0.731):
        error = 5 * np.sqrt(share * (1 - share) / len(numbers))
        assert float((numbers < share).float().mean()) == pytest.approx(share, abs=error)
    first, second = (chances.steps[i].flatten() for i in (0, 1))
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 5 / np.sqrt(len(first))
    assert torch.equal(numbers, chances.draw(8, _seeded()))
    assert not torch.equal(numbers, chances.draw(8, _seeded(1)))


@pytest.mark.parametrize("members", [1, 2])
def test_a_step_of_contrastive_divergence_is_that_of_its_definition(members: int) -> None:
    g = _seeded(6)
    parameters = (torch.randn(members, 5, 3, generator=g), torch.randn(members, 1, 5, generator=g))
    rbm = RBM(*parameters, torch.randn(members, 1, 3, generator=g))
    start = copy.deepcopy(rbm)
    data, weight = torch.rand(6, 5, generator=g), torch.tensor([1.0, 2, 1, 0.5, 1, 0.5])
    chain = GibbsChain(rbm, 6, ContrastiveDivergence(1, 0.1, 0.0, 0.02, 6), g)
    chain.load(data.unsqueeze(0), weight, torch.arange(6).expand(1, members, 6))
    chain.run(0)
    h = chain.sample.clone().view(members, 6, 3)
    chain.learn(0)
    assert set(h.unique().tolist()) == {0.0, 1.0}
    w = weight[:, None]
    p = torch.sigmoid(data @ start.weight + start.hidden_bias)
    recalled = torch.sigmoid(h @ start.weight.mT + start.visible_bias)
    q = torch.sigmoid(recalled @ start.weight + start.hidden_bias)
    slope = (data.T @ (w * p) - recalled.mT @ (w * q)) / 6
    torch.testing.assert_close(rbm.weight, start.weight * (1 - 0.1 * 0.02) + 0.1 * slope)
    torch.testing.assert_close(
        rbm.visible_bias, start.visible_bias + 0.1 / 6 * (w * (data - recalled)).sum(1, keepdim=True)
    )
    torch.testing.assert_close(rbm.hidden_bias, start.hidden_bias + 0.1 / 6 * (w * (p - q)).sum(1, keepdim=True))
    assert float(chain.squared_error) == pytest.approx(float((data - recalled).square().sum()), rel=1e-5)


@pytest.mark.parametrize(("work", "threads"), [(1e6, 1), (1.6e7, 2), (1e9, 2)])
def test_threads_follow_the_work_of_a_step(work: float, threads: int) -> None:
    torch.set_num_threads(2)
    with threads_for(work):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 2
