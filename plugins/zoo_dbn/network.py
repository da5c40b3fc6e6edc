"""The stack of sigmoid layers under a linear head, several members side by side, and its back-propagation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from zoo_dbn.blocks import Chances, activations, squeezed, steps_in_a_block
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
        for block in torch.split(batches, work.steps):
            work.learn(sample, block, [rate_at(how, (step + i) / (n_epochs * len(batches))) for i in range(len(block))])
            step += len(block)
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

    A few batches are prepared at a time, a block: rows, noise and dropout are drawn for all of them at once. Gradients
    are written out by hand: for stochastic gradient descent without momentum they add straight to the weights in one
    matrix product a layer.
    """

    def __init__(self, network: Network, batch: int, how: FineTuning, generator: torch.Generator) -> None:
        members, n_codes = network.weights[0].shape[:2]
        device = network.weights[0].device
        sizes = [weight.shape[2] for weight in network.weights]
        self.network, self.how, self.generator, self.batch = network, how, generator, batch
        self.steps = steps_in_a_block(members, batch, max(n_codes, *sizes))
        self.input, self.noise = (torch.empty(self.steps, members, batch, n_codes, device=device) for _ in range(2))
        self.target, self.share, self.answer = (
            torch.empty(self.steps, members, batch, 1, device=device) for _ in range(3)
        )
        self.inputs, self.targets, self.shares = (
            [squeezed(part) for part in block] for block in (self.input, self.target, self.share)
        )
        self.active, self.delta = (
            [activations(members, batch, size, device=device) for size in sizes] for _ in range(2)
        )
        hidden = [(members, batch, size) for size in sizes[:-1]]
        self.kept = [activations(*s, device=device) for s in hidden] if how.dropout else self.active[:-1]
        self.dropout = [Chances(self.steps, *s, device=device) for s in hidden] if how.dropout else []
        self.gradient = [torch.zeros_like(p) for p in (*network.weights, *network.biases)]
        self.loss = torch.zeros((), device=device)
        self.adamw = self._make_adamw() if how.optimizer == "adamw" else None
        self.layers = [self._layer(number) for number in range(len(sizes))]
        self.ones = squeezed(torch.ones(members, 1, batch, device=device))

    def learn(self, sample: Sample, rows: Tensor, rates: Sequence[float]) -> None:
        """Take a step a batch; rows (steps, m, batch), at most `self.steps` of them, and a learning rate for each."""
        self.load(sample, rows)
        for step, rate in enumerate(rates):
            self.forward(step)
            self.backward(step, rate)
            if self.adamw is not None:
                for group in self.adamw.param_groups:
                    group["lr"] = rate
                self.adamw.step()
        self._add_loss(len(rows))

    def load(self, sample: Sample, rows: Tensor) -> None:
        """Prepare a block: the rows, their noise, and which units are left out; rows (steps, m, batch)."""
        count, chosen = len(rows), rows.flatten()
        torch.index_select(sample.codes, 0, chosen, out=self.input[:count].flatten(0, 2))
        torch.index_select(sample.target, 0, chosen, out=self.target[:count].flatten())
        torch.index_select(sample.weight, 0, chosen, out=self.share[:count].flatten())
        if self.how.input_noise:
            noise = self.noise[:count].normal_(generator=self.generator)
            self.input[:count].add_(noise, alpha=self.how.input_noise)
        for chance in self.dropout:
            chance.draw(count, self.generator).ge_(self.how.dropout).div_(1 - self.how.dropout)

    def forward(self, step: int) -> None:
        """Run a batch of the block through the layers."""
        below = self.inputs[step]
        for number, layer in enumerate(self.layers[:-1]):
            layer.up(layer.bias, below, layer.weight, out=layer.active).sigmoid_()
            if self.dropout:
                torch.mul(layer.active, self.dropout[number].steps[step], out=layer.kept)
            below = layer.kept
        head = self.layers[-1]
        head.up(head.bias, below, head.weight, out=head.active)
        self.answer[step].copy_(self.active[-1])

    def backward(self, step: int, rate: float) -> None:
        """Pass the error down and use it in each layer."""
        beta, head = self.how.smooth_l1_beta, self.layers[-1]
        error = torch.sub(head.active, self.targets[step], out=head.delta).clamp_(-beta, beta)
        error.mul_(self.shares[step]).div_(beta * self.batch)
        for number in reversed(range(1, len(self.layers))):
            self._pass_down(number, step)
            self._use(self.layers[number], self.layers[number - 1].kept, rate)
        self._use(self.layers[0], self.inputs[step], rate)

    def _layer(self, number: int) -> _Layer:
        network, head = self.network, number == len(self.active) - 1
        gradients = (self.gradient[number], self.gradient[len(self.active) + number])
        tensors = (network.weights[number], network.biases[number], *gradients, self.active[number])
        kept = self.active[number] if head else self.kept[number]
        return _Layer(*(squeezed(tensor) for tensor in (*tensors, kept, self.delta[number])))

    def _add_loss(self, count: int) -> None:
        losses = smooth_l1_loss(
            self.answer[:count], self.target[:count], beta=self.how.smooth_l1_beta, reduction="none"
        )
        self.loss.add_((losses * self.share[:count]).mean(), alpha=count)

    def _pass_down(self, number: int, step: int) -> None:
        """Turn the error of a layer into that of the layer below."""
        layer, below = self.layers[number], self.layers[number - 1]
        layer.down(layer.delta, layer.weight.mT, out=below.delta)
        if self.dropout:
            below.delta.mul_(self.dropout[number - 1].steps[step])
        torch.ops.aten.sigmoid_backward.grad_input(below.delta, below.active, grad_input=below.delta)

    def _use(self, layer: _Layer, below: Tensor, rate: float) -> None:
        """Update a layer, or leave its gradient to AdamW."""
        how, delta = self.how, layer.delta
        if self.adamw is not None:
            layer.down(below.mT, delta, out=layer.slope)
            torch.sum(delta, dim=-2, keepdim=True, out=layer.bias_slope)
            return
        if how.momentum == 0:
            layer.up(layer.bias, self.ones, delta, alpha=-rate, out=layer.bias)
            shrunk = 1 - rate * how.weight_decay
            layer.up(layer.weight, below.mT, delta, beta=shrunk, alpha=-rate, out=layer.weight)
            return
        layer.up(layer.bias_slope, self.ones, delta, beta=how.momentum, out=layer.bias_slope)
        layer.bias.add_(layer.bias_slope, alpha=-rate)
        layer.up(layer.slope, below.mT, delta, beta=how.momentum, out=layer.slope)
        layer.slope.add_(layer.weight, alpha=how.weight_decay)
        layer.weight.add_(layer.slope, alpha=-rate)

    def _make_adamw(self) -> torch.optim.AdamW:
        weights, biases = self.network.weights, self.network.biases
        for parameter, gradient in zip((*weights, *biases), self.gradient, strict=True):
            parameter.grad = gradient
        groups = [
            {"params": weights, "weight_decay": self.how.weight_decay},
            {"params": biases, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.how.learning_rate, fused=True)


@dataclass(slots=True)
class _Layer:
    """What a step looks at in a layer, without the members' axis if there is one member."""

    weight: Tensor
    bias: Tensor
    slope: Tensor
    bias_slope: Tensor
    active: Tensor
    kept: Tensor
    delta: Tensor

    @property
    def up(self) -> Callable[..., Tensor]:
        return torch.addmm if self.weight.ndim == 2 else torch.baddbmm

    @property
    def down(self) -> Callable[..., Tensor]:
        return torch.mm if self.weight.ndim == 2 else torch.bmm
