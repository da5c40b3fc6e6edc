"""The stack of sigmoid layers under a linear head, several members side by side, and its back-propagation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from zoo_dbn.rbm import shuffled_batches

HIDDEN_GAIN = 2.0
"""First weights of a sigmoid layer: normal, sd `HIDDEN_GAIN` * sqrt(2 / (in + out)); Glorot and Bengio's for linear
units times a gain that makes up for the sigmoid's slope of at most 1/4."""
HEAD_GAIN = 0.5
"""First weights of the head: normal, sd `HEAD_GAIN` / sqrt(in)."""
FINAL_RATE = 0.01
"""Where the cosine ends, as a share of the learning rate."""
BLOCK_ROWS = 4096


@dataclass(slots=True)
class Network:
    """m members of the same shape; the last layer is the linear head.

    Attributes
    ----------
    weights : (m, in, out) a layer
    biases : (m, 1, out) a layer
    """

    weights: list[Tensor]
    biases: list[Tensor]

    def outputs(self, codes: Tensor) -> Tensor:
        """Return each member's answer to codes (n, c), dropout off, in the precision of `codes`; (m, n)."""
        parts = [self._answer(part) for part in torch.split(codes, BLOCK_ROWS)]
        return torch.cat(parts, dim=1)

    def parameters_of_a_member(self) -> int:
        """Count weights and biases of one member."""
        return sum(p[0].numel() for p in (*self.weights, *self.biases))

    def clone(self) -> Network:
        """Copy weights and biases."""
        return Network([w.clone() for w in self.weights], [b.clone() for b in self.biases])

    def to(self, dtype: torch.dtype) -> Network:
        """Return the network in another precision."""
        return Network([w.to(dtype) for w in self.weights], [b.to(dtype) for b in self.biases])

    def _answer(self, codes: Tensor) -> Tensor:
        active = codes
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            active = torch.sigmoid(active @ weight + bias)
        return (active @ self.weights[-1] + self.biases[-1]).squeeze(-1)


def initial_network(n_codes: int, hidden: Iterable[int], members: int, generator: torch.Generator) -> Network:
    """Return a network with random weights and biases 0."""
    sizes = [n_codes, *hidden, 1]
    device = generator.device
    weights = []
    for layer, (below, above) in enumerate(zip(sizes[:-1], sizes[1:], strict=True), start=1):
        is_head = layer == len(sizes) - 1
        sd = HEAD_GAIN / math.sqrt(below) if is_head else HIDDEN_GAIN * math.sqrt(2 / (below + above))
        weights.append(torch.empty(members, below, above, device=device).normal_(0, sd, generator=generator))
    return Network(weights, [torch.zeros(members, 1, size, device=device) for size in sizes[1:]])


@dataclass(frozen=True, slots=True)
class FineTuning:
    """How the network is trained: the parameters of `DeepBeliefNetwork` under their own names."""

    learning_rate: float
    batch_size: int
    optimizer: Literal["sgd", "adamw"]
    schedule: Literal["constant", "cosine"]
    momentum: float
    weight_decay: float
    smooth_l1_beta: float
    dropout: float
    input_noise: float
    patience: int


@dataclass(slots=True)
class Course:
    """What happened, epoch by epoch; `best_epoch` counts from 1."""

    training_loss: list[float]
    validation_loss: list[float]
    best_epoch: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Coded rows (n, c), scaled target (n,) and row weights (n,), float32."""

    codes: Tensor
    target: Tensor
    weight: Tensor

    def loss(self, network: Network, beta: float) -> float:
        """Smooth L1 loss of the members' mean."""
        answer = network.outputs(self.codes).mean(dim=0)
        losses = smooth_l1_loss(answer, self.target, beta=beta, reduction="none")
        return float((losses * self.weight).mean())


def fine_tune(
    network: Network,
    sample: Sample,
    held_out: Sample | None,
    how: FineTuning,
    epochs: Iterable[int],
    n_epochs: int,
    generator: torch.Generator,
) -> Course:
    """Train in place by back-propagation; with `held_out`, stop early and go back to the best epoch."""
    n = len(sample.codes)
    work = BackPropagation(network, min(how.batch_size, n), how, generator)
    course = Course([], [], 0)
    best, best_loss, step = network.clone() if held_out else None, math.inf, 0
    for epoch in epochs:
        batches = shuffled_batches(n, len(network.weights[0]), work.batch, generator)
        work.loss.zero_()
        for rows in batches:
            work.learn(sample, rows, rate_at(how, step / (n_epochs * len(batches))))
            step += 1
        course.training_loss.append(float(work.loss) / len(batches))
        if held_out is None:
            course.best_epoch = epoch + 1
            continue
        course.validation_loss.append(held_out.loss(network, how.smooth_l1_beta))
        if course.validation_loss[-1] < best_loss:
            best, best_loss, course.best_epoch = network.clone(), course.validation_loss[-1], epoch + 1
        elif epoch + 1 - course.best_epoch >= how.patience:
            break
    if best is not None:
        network.weights, network.biases = best.weights, best.biases
    return course


def rate_at(how: FineTuning, progress: float) -> float:
    """Return the learning rate at a point of the training, 0 to 1."""
    if how.schedule == "constant":
        return how.learning_rate
    return how.learning_rate * max(FINAL_RATE, 0.5 * (1 + math.cos(math.pi * progress)))


class BackPropagation:
    """The working memory of back-propagation, allocated once, and the update of the weights.

    Gradients are written out by hand: for stochastic gradient descent without momentum they add straight to the
    weights in one matrix product a layer.
    """

    def __init__(self, network: Network, batch: int, how: FineTuning, generator: torch.Generator) -> None:
        members, n_codes = network.weights[0].shape[:2]
        device = network.weights[0].device
        sizes = [weight.shape[2] for weight in network.weights]
        self.network, self.how, self.generator, self.batch = network, how, generator, batch
        self.input, self.noise = (torch.empty(members, batch, n_codes, device=device) for _ in range(2))
        self.active, self.mask, self.kept, self.delta = (
            [torch.empty(members, batch, size, device=device) for size in sizes] for _ in range(4)
        )
        self.gradient = [torch.zeros_like(p) for p in (*network.weights, *network.biases)]
        self.loss = torch.zeros((), device=device)
        self.adamw = self._make_adamw() if how.optimizer == "adamw" else None

    def learn(self, sample: Sample, rows: Tensor, rate: float) -> None:
        """Take one step on a batch; rows (m, batch)."""
        self.forward(sample.codes, rows)
        self.backward(sample.target[rows], sample.weight[rows], rate)
        if self.adamw is not None:
            for group in self.adamw.param_groups:
                group["lr"] = rate
            self.adamw.step()

    def forward(self, codes: Tensor, rows: Tensor) -> None:
        """Run a batch through the layers with noise and dropout."""
        torch.index_select(codes, 0, rows.flatten(), out=self.input.flatten(0, 1))
        if self.how.input_noise:
            self.input.add_(self.noise.normal_(generator=self.generator), alpha=self.how.input_noise)
        below, head = self.input, len(self.active) - 1
        for layer, (weight, bias) in enumerate(zip(self.network.weights, self.network.biases, strict=True)):
            torch.baddbmm(bias, below, weight, out=self.active[layer])
            if layer < head:
                self.active[layer].sigmoid_()
                below = self._drop(layer)

    def backward(self, target: Tensor, weight: Tensor, rate: float) -> None:
        """Pass the error down and use it in each layer; target and weight (m, batch)."""
        answer, beta = self.active[-1].squeeze(-1), self.how.smooth_l1_beta
        losses = smooth_l1_loss(answer, target, beta=beta, reduction="none")
        self.loss.add_((losses * weight).mean())
        error = ((answer - target) / beta).clamp_(-1, 1).mul_(weight).div_(self.batch)
        self.delta[-1].copy_(error.unsqueeze(-1))
        for layer in reversed(range(len(self.active))):
            below = self._kept(layer - 1) if layer else self.input
            if layer:
                self._pass_down(layer)
            self._use(layer, below, rate)

    def _drop(self, layer: int) -> Tensor:
        dropout = self.how.dropout
        if dropout:
            mask = self.mask[layer].uniform_(generator=self.generator).ge_(dropout).div_(1 - dropout)
            torch.mul(self.active[layer], mask, out=self.kept[layer])
        return self._kept(layer)

    def _kept(self, layer: int) -> Tensor:
        return self.kept[layer] if self.how.dropout else self.active[layer]

    def _pass_down(self, layer: int) -> None:
        """Turn the error of a layer into that of the layer below."""
        below = self.delta[layer - 1]
        torch.bmm(self.delta[layer], self.network.weights[layer].mT, out=below)
        if self.how.dropout:
            below.mul_(self.mask[layer - 1])
        active = self.active[layer - 1]
        torch.ops.aten.sigmoid_backward.grad_input(below, active, grad_input=below)

    def _use(self, layer: int, below: Tensor, rate: float) -> None:
        """Update a layer, or leave its gradient to AdamW."""
        how, delta, network = self.how, self.delta[layer], self.network
        slope, bias_slope = self.gradient[layer], self.gradient[len(network.weights) + layer]
        weight, bias = network.weights[layer], network.biases[layer]
        if self.adamw is not None:
            torch.bmm(below.mT, delta, out=slope)
            torch.sum(delta, dim=1, keepdim=True, out=bias_slope)
            return
        bias.add_(bias_slope.mul_(how.momentum).add_(delta.sum(dim=1, keepdim=True)), alpha=-rate)
        if how.momentum == 0:
            weight.baddbmm_(below.mT, delta, beta=1 - rate * how.weight_decay, alpha=-rate)
            return
        slope.baddbmm_(below.mT, delta, beta=how.momentum).add_(weight, alpha=how.weight_decay)
        weight.add_(slope, alpha=-rate)

    def _make_adamw(self) -> torch.optim.AdamW:
        weights, biases = self.network.weights, self.network.biases
        for parameter, gradient in zip((*weights, *biases), self.gradient, strict=True):
            parameter.grad = gradient
        groups = [
            {"params": weights, "weight_decay": self.how.weight_decay},
            {"params": biases, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.how.learning_rate, fused=True)
