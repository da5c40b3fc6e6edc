"""Restricted Boltzmann machines, several side by side, trained by contrastive divergence.

Binary visible units: E(v, h) = -b.v - c.h - v W h. Gaussian visible units of unit variance: E(v, h) = |v - b|^2 / 2
- c.h - v W h. Hidden units are binary. Source: Hinton 2010, A practical guide to training restricted Boltzmann
machines, UTML TR 2010-003.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

FIRST_WEIGHT_SD = 0.01
"""Hinton 2010, section 8."""
GAUSSIAN_RATE = 0.1
"""Gaussian visible units need a smaller learning rate (Hinton 2010, section 13.2): this part of the given one."""
MONITORED_ROWS = 512
"""Rows from each side that the free-energy gap looks at."""


@dataclass(slots=True)
class RBM:
    """m machines of the same size.

    Attributes
    ----------
    weight : W, (m, d, h)
    visible_bias, hidden_bias : b (m, 1, d) and c (m, 1, h)
    gaussian : Gaussian visible units instead of binary ones
    """

    weight: Tensor
    visible_bias: Tensor
    hidden_bias: Tensor
    gaussian: bool = False

    def hidden(self, v: Tensor) -> Tensor:
        """P(h = 1 | v); v (m, n, d) or (1, n, d), result (m, n, h)."""
        return torch.sigmoid(v @ self.weight + self.hidden_bias)

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = -log sum_h exp(-E(v, h)); (m, n)."""
        softplus = torch.nn.functional.softplus(v @ self.weight + self.hidden_bias).sum(-1)
        if self.gaussian:
            return 0.5 * (v - self.visible_bias).square().sum(-1) - softplus
        return -(v * self.visible_bias).sum(-1) - softplus

    def free_energy_gap(self, v: Tensor, held_out: Tensor) -> float:
        """Mean free energy of held-out rows minus that of training rows; it grows with overfitting."""
        return float(self.free_energy(held_out).mean() - self.free_energy(v).mean())


@dataclass(frozen=True, slots=True)
class ContrastiveDivergence:
    """How a machine is trained: the parameters of `DeepBeliefNetwork` under their own names."""

    cd_k: int
    learning_rate: float
    momentum: float
    weight_decay: float
    batch_size: int


@dataclass(slots=True)
class Course:
    """What happened, epoch by epoch."""

    reconstruction_error: list[float]
    free_energy_gap: list[float]


def initial_rbm(v: Tensor, members: int, hidden: int, gaussian: bool, generator: torch.Generator) -> RBM:
    """Return machines for the data v (1 or m, n, d): small weights, visible biases from the means."""
    means = v.mean(dim=1, keepdim=True).expand(members, -1, -1)
    bias = means.clone() if gaussian else torch.logit(means, eps=0.01)
    weight = torch.empty(members, v.shape[2], hidden, device=v.device)
    weight.normal_(0, FIRST_WEIGHT_SD, generator=generator)
    return RBM(weight, bias, torch.zeros(members, 1, hidden, device=v.device), gaussian)


def train_rbm(
    rbm: RBM,
    v: Tensor,
    row_weight: Tensor,
    held_out: Tensor | None,
    how: ContrastiveDivergence,
    epochs: Iterable[int],
    generator: torch.Generator,
) -> Course:
    """Train in place on v (1 or m, n, d) with row weights (n,), float32.

    Returns
    -------
    Course : mean squared reconstruction error of each epoch, and its free-energy gap to `held_out` if given.
    """
    chain = GibbsChain(rbm, min(how.batch_size, v.shape[1]), how, generator)
    course = Course([], [])
    for _ in epochs:
        batches = shuffled_batches(v.shape[1], len(rbm.weight), chain.batch, generator)
        chain.squared_error.zero_()
        for rows in batches:
            chain.load(v, row_weight, rows)
            chain.run()
            chain.learn()
        course.reconstruction_error.append(float(chain.squared_error) / (len(batches) * chain.recalled.numel()))
        if held_out is not None:
            gap = rbm.free_energy_gap(v[:, :: max(1, v.shape[1] // MONITORED_ROWS)], held_out[:, :MONITORED_ROWS])
            course.free_energy_gap.append(gap)
    return course


def shuffled_batches(n: int, members: int, batch: int, generator: torch.Generator) -> Tensor:
    """Deal row numbers into batches, for each member in its own order; (batches, m, batch). The rest waits."""
    order = torch.rand(members, n, generator=generator, device=generator.device).argsort(dim=1)
    return order[:, : n - n % batch].reshape(members, -1, batch).transpose(0, 1).contiguous()


class GibbsChain:
    """The working memory of contrastive divergence, allocated once.

    Data and reconstruction lie one below the other, `[v; v']` and `[p; -p']`, so that the gradient
    v^T p - v'^T p' is one matrix product that adds straight to the weights.
    """

    def __init__(self, rbm: RBM, batch: int, how: ContrastiveDivergence, generator: torch.Generator) -> None:
        members, d, h = rbm.weight.shape
        device = rbm.weight.device
        self.rbm, self.how, self.generator, self.batch = rbm, how, generator, batch
        self.rate = how.learning_rate * (GAUSSIAN_RATE if rbm.gaussian else 1.0)
        self.visible = torch.empty(members, 2 * batch, d, device=device)
        self.hidden = torch.empty(members, 2 * batch, h, device=device)
        self.sample = torch.empty(members, batch, h, device=device)
        self.dream = torch.empty(members, batch, d, device=device)
        self.row_weight = torch.empty(members, batch, 1, device=device)
        self.squared_error = torch.zeros((), device=device)
        self.velocity = [torch.zeros_like(p) for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias)]

    @property
    def seen(self) -> Tensor:
        """The batch, (m, batch, d)."""
        return self.visible[:, : self.batch]

    @property
    def recalled(self) -> Tensor:
        """Its reconstruction, (m, batch, d)."""
        return self.visible[:, self.batch :]

    def load(self, v: Tensor, row_weight: Tensor, rows: Tensor) -> None:
        """Take a batch; rows (m, batch)."""
        for member, chosen in enumerate(rows):
            torch.index_select(v[member % len(v)], 0, chosen, out=self.seen[member])
        self.row_weight.copy_(row_weight[rows].unsqueeze(-1))

    def run(self) -> None:
        """Go up, then `cd_k` times down and up; the last reconstruction is a mean, not a sample."""
        data, dreamt = self.hidden[:, : self.batch], self.hidden[:, self.batch :]
        self._up(self.seen, data)
        self._draw(data)
        for _ in range(self.how.cd_k - 1):
            self._down(self.dream)
            self._draw_visible()
            self._up(self.dream, dreamt)
            self._draw(dreamt)
        self._down(self.recalled)
        self._up(self.recalled, dreamt)

    def learn(self) -> None:
        """Move along the gradient: weights, visible biases, hidden biases."""
        rbm, scale = self.rbm, self.rate / self.batch
        self.hidden[:, : self.batch].mul_(self.row_weight)
        self.hidden[:, self.batch :].mul_(self.row_weight).neg_()
        self._learn_weight(scale)
        misfit = torch.sub(self.seen, self.recalled, out=self.dream)
        self.squared_error.add_(misfit.square().sum())
        biases = ((rbm.visible_bias, misfit.mul_(self.row_weight)), (rbm.hidden_bias, self.hidden))
        for (bias, change), velocity in zip(biases, self.velocity[1:], strict=True):
            velocity.mul_(self.how.momentum).add_(change.sum(dim=1, keepdim=True), alpha=scale)
            bias.add_(velocity)

    def _learn_weight(self, scale: float) -> None:
        weight, velocity, how = self.rbm.weight, self.velocity[0], self.how
        decay = self.rate * how.weight_decay
        if how.momentum == 0:
            weight.baddbmm_(self.visible.mT, self.hidden, beta=1 - decay, alpha=scale)
            return
        velocity.baddbmm_(self.visible.mT, self.hidden, beta=how.momentum, alpha=scale)
        if decay:
            velocity.add_(weight, alpha=-decay)
        weight.add_(velocity)

    def _up(self, v: Tensor, out: Tensor) -> None:
        torch.baddbmm(self.rbm.hidden_bias, v, self.rbm.weight, out=out)
        out.sigmoid_()

    def _down(self, out: Tensor) -> None:
        torch.baddbmm(self.rbm.visible_bias, self.sample, self.rbm.weight.mT, out=out)
        if not self.rbm.gaussian:
            out.sigmoid_()

    def _draw(self, probability: Tensor) -> None:
        self.sample.uniform_(generator=self.generator).lt_(probability)

    def _draw_visible(self) -> None:
        if self.rbm.gaussian:
            self.dream.add_(torch.empty_like(self.dream).normal_(generator=self.generator))
        else:
            chance = torch.empty_like(self.dream).uniform_(generator=self.generator)
            self.dream.copy_(chance.lt_(self.dream))
