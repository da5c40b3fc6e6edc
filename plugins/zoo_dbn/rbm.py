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

from zoo_dbn.blocks import Chances, activations, in_memory_order, squeezed, steps_in_a_block

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
        for block in torch.split(batches, chain.steps):
            chain.load(v, row_weight, block)
            for step in range(len(block)):
                chain.run(step)
                chain.learn(step)
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

    A few batches are prepared at a time, a block: rows and random numbers are drawn for all of them at once. The
    gradient v^T p - v'^T p' adds straight to the weights in two matrix products. Below, `data` is v, `recalled` v'.
    """

    def __init__(self, rbm: RBM, batch: int, how: ContrastiveDivergence, generator: torch.Generator) -> None:
        members, d, h = rbm.weight.shape
        device = rbm.weight.device
        self.rbm, self.how, self.generator, self.batch = rbm, how, generator, batch
        self.rate = how.learning_rate * (GAUSSIAN_RATE if rbm.gaussian else 1.0)
        self.steps = steps_in_a_block(members, batch, max(d, h))
        self._rows = torch.empty(members, self.steps * batch, d, device=device)
        self._data = activations(self.steps, members, batch, d, device=device)
        self._row_weight = torch.empty(self.steps, members, batch, 1, device=device)
        self.data, self.row_weight = ([squeezed(part) for part in block] for block in (self._data, self._row_weight))
        self.recalled, self.misfit, self.dream = self._activations(d), self._activations(d), self._activations(d)
        self.hidden, self.hidden_recalled, self.sample = (self._activations(h) for _ in range(3))
        self.chances = Chances(self.steps * how.cd_k, members, batch, h, device=device)
        self.ones = squeezed(torch.ones(members, 1, batch, device=device))
        self.squared_error = torch.zeros((), device=device)
        parameters = (rbm.weight, rbm.visible_bias, rbm.hidden_bias)
        self.velocity = [squeezed(torch.zeros_like(p)) for p in parameters] if how.momentum else []
        self.weight, self.visible_bias, self.hidden_bias = (squeezed(p) for p in parameters)
        self._add_product = torch.addmm if members == 1 else torch.baddbmm

    def load(self, v: Tensor, row_weight: Tensor, rows: Tensor) -> None:
        """Prepare a block of batches; rows (steps, m, batch), at most `self.steps` of them."""
        count, members, batch = rows.shape
        for member in range(members):
            chosen, out = rows[:, member].reshape(-1), self._rows[member, : count * batch]
            torch.index_select(v[member % len(v)], 0, chosen, out=out)
        self._data[:count].copy_(self._rows[:, : count * batch].view(members, count, batch, -1).transpose(0, 1))
        torch.index_select(row_weight, 0, rows.flatten(), out=self._row_weight[:count].flatten())
        self.chances.draw(count * self.how.cd_k, self.generator)

    def run(self, step: int) -> None:
        """Go up, then `cd_k` times down and up; the last reconstruction is a mean, not a sample."""
        last = self.how.cd_k - 1
        self._up(self.data[step], self.hidden)
        self._draw(self.hidden, step * (last + 1))
        for k in range(last):
            self._down(self.dream)
            self._draw_visible()
            self._up(self.dream, self.hidden_recalled)
            self._draw(self.hidden_recalled, step * (last + 1) + k + 1)
        self._down(self.recalled)
        self._up(self.recalled, self.hidden_recalled)

    def learn(self, step: int) -> None:
        """Move along the gradient: weights, visible biases, hidden biases."""
        data, row_weight, scale = self.data[step], self.row_weight[step], self.rate / self.batch
        torch.sub(data, self.recalled, out=self.misfit)
        flat = in_memory_order(self.misfit)
        self.squared_error.add_(torch.dot(flat, flat))
        for part in (self.misfit, self.hidden, self.hidden_recalled):
            part.mul_(row_weight)
        decay = self.rate * self.how.weight_decay
        pairs = ((data.mT, self.hidden, scale), (self.recalled.mT, self.hidden_recalled, -scale))
        self._move(self.weight, 0, pairs, decay)
        self._move(self.visible_bias, 1, ((self.ones, self.misfit, scale),), 0.0)
        pairs = ((self.ones, self.hidden, scale), (self.ones, self.hidden_recalled, -scale))
        self._move(self.hidden_bias, 2, pairs, 0.0)

    def _move(
        self, parameter: Tensor, number: int, change: Iterable[tuple[Tensor, Tensor, float]], decay: float
    ) -> None:
        """Add products to a parameter, or to its velocity and that to the parameter."""
        moved = self.velocity[number] if self.velocity else parameter
        kept = self.how.momentum if self.velocity else 1 - decay
        for left, right, scale in change:
            self._add_product(moved, left, right, beta=kept, alpha=scale, out=moved)
            kept = 1.0
        if self.velocity:
            if decay:
                moved.add_(parameter, alpha=-decay)
            parameter.add_(moved)

    def _activations(self, size: int) -> Tensor:
        memory = activations(len(self.rbm.weight), self.batch, size, device=self.rbm.weight.device)
        return squeezed(memory)

    def _up(self, v: Tensor, out: Tensor) -> None:
        self._add_product(self.hidden_bias, v, self.weight, out=out).sigmoid_()

    def _down(self, out: Tensor) -> None:
        self._add_product(self.visible_bias, self.sample, self.weight.mT, out=out)
        if not self.rbm.gaussian:
            out.sigmoid_()

    def _draw(self, probability: Tensor, number: int) -> None:
        torch.lt(self.chances.steps[number], probability, out=self.sample)

    def _draw_visible(self) -> None:
        if self.rbm.gaussian:
            self.dream.add_(self.misfit.normal_(generator=self.generator))
        else:
            self.dream.copy_(self.misfit.uniform_(generator=self.generator).lt_(self.dream))
