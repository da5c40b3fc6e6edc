"""How far off a small network may be at a pixel, guessed from its own topmost hidden layer.

Errors of a small network are largest at combinations of predictors that are rare in the calibration pixels, though
each predictor is within its range. The guess is learnt from points that the network was not taught on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zoo_onnx.distillation import Lesson
from zoo_onnx.selection import SmallNetwork

Rows = npt.NDArray[np.float32]

UNITS = 32
STEPS, BATCH, RATE = 2000, 1024, 1e-2
FLOOR = 0.02
"""In units of the tolerance: differences between smaller errors are of no interest."""
UNSURE = 0.005
"""Share of the pixels learnt from that the dense network answers, as the guess is highest there."""


@dataclass(frozen=True, slots=True, eq=False)
class Doubt:
    """A layer of sigmoids and one above it, on top of a network's last hidden layer; unsure is what is above 0.

    Attributes
    ----------
    weights : (h, u) and (u, 1)
    biases : (u,) and (1,)
    """

    weights: tuple[Tensor, Tensor]
    biases: tuple[Tensor, Tensor]

    def of(self, hidden: Tensor) -> Tensor:
        """Return the doubt for activations (n, h), (n,)."""
        inner = torch.sigmoid(torch.addmm(self.biases[0], hidden, self.weights[0]))
        return torch.addmm(self.biases[1], inner, self.weights[1])[:, 0]

    def unsure(self, network: SmallNetwork, lesson: Lesson) -> npt.NDArray[np.bool_]:
        """Say for the rows of a lesson whether the network should not answer them, (n,)."""
        with torch.no_grad():
            found = torch.cat([self.of(network.hidden(heights)) for heights, _ in lesson.parts()]) > 0
        return np.asarray(found.numpy())


def learn(network: SmallNetwork, fresh: Lesson, usual: Lesson, tolerance: float, seed: int) -> Doubt:
    """Fit the logarithm of the error, and put the limit so that a share `UNSURE` of the usual rows is above it.

    Parameters
    ----------
    network : trained
    fresh : points that it was not taught on
    usual : pixels
    tolerance : m3 m-3
    seed : of the start and of the order
    """
    with torch.no_grad():
        hidden = torch.cat([network.hidden(heights) for heights, _ in fresh.parts()])
    error = torch.as_tensor(fresh.errors(network) / tolerance + FLOOR).log().float()
    middle, spread = hidden.mean(dim=0), hidden.std(dim=0) + 1e-6
    weights, biases = _fit((hidden - middle) / spread, (error - error.mean()) / error.std(), seed)
    first = weights[0] / spread[:, None]
    doubt = Doubt((first, weights[1]), (biases[0] - middle @ first, biases[1]))
    with torch.no_grad():
        found = torch.cat([doubt.of(network.hidden(heights)) for heights, _ in usual.parts()])
    return Doubt(doubt.weights, (doubt.biases[0], doubt.biases[1] - torch.quantile(found, 1 - UNSURE)))


def _fit(given: Tensor, wanted: Tensor, seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Least squares by Adam; weights and biases of the two layers."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (given.shape[1], UNITS, 1)
    weights = [torch.randn(n, m, generator=generator) / n**0.5 for n, m in zip(sizes[:-1], sizes[1:], strict=True)]
    parameters = [part.requires_grad_() for part in (*weights, torch.zeros(UNITS), torch.zeros(1))]
    optimiser = torch.optim.Adam(parameters, RATE)
    pace = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, STEPS)
    for _ in range(STEPS):
        rows = torch.randint(len(given), (BATCH,), generator=generator)
        doubt = Doubt((parameters[0], parameters[1]), (parameters[2], parameters[3]))
        optimiser.zero_grad()
        (doubt.of(given[rows]) - wanted[rows]).pow(2).mean().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        pace.step()
    first, second, low, high = (part.detach() for part in parameters)
    return (first, second), (low, high)
