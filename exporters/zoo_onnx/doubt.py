"""Where a small network should not answer: pixels that its first hidden layer has not seen the like of.

Errors of a small network are largest at combinations of predictors that are rare in the calibration pixels, though
each predictor is within its range. How rare is said by the Mahalanobis distance of the activations from the mean of
the pixels learnt from, of which a random projection keeps what is needed (Johnson & Lindenstrauss 1984, Contemp. Math.
26, 189-206).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zoo_onnx.distillation import Lesson
from zoo_onnx.selection import SmallNetwork

DIRECTIONS = 48
"""Of the projection; on two networks trained on `regions.parquet` 32 found the worst pixels as all 192 did."""
LEAST = 1e-7
"""Smallest variance of a direction that counts, in units of the largest: below it is what float32 rounds off."""
UNSURE = 0.0075
"""Share of the pixels learnt from that is left to the dense network."""


@dataclass(frozen=True, slots=True, eq=False)
class Doubt:
    """A projection of the first hidden layer, whose squares are added up; unsure is what is above 0.

    Attributes
    ----------
    weights : (h, u) and, ones, (u, 1)
    biases : (u,) and (1,), the limit with its sign turned
    """

    weights: tuple[Tensor, Tensor]
    biases: tuple[Tensor, Tensor]

    def of(self, active: Tensor) -> Tensor:
        """Return the doubt for activations (n, h), (n,)."""
        apart = torch.addmm(self.biases[0], active, self.weights[0])
        return torch.addmm(self.biases[1], apart * apart, self.weights[1])[:, 0]

    def unsure(self, network: SmallNetwork, lesson: Lesson) -> npt.NDArray[np.bool_]:
        """Say for the rows of a lesson whether the network should not answer them, (n,)."""
        return np.asarray((self.of(first_layer(network, lesson)) > 0).numpy())


def learn(network: SmallNetwork, pixels: Lesson, seed: int) -> Doubt:
    """Measure how the first hidden layer varies over pixels; a share `UNSURE` of them is above the limit."""
    active = first_layer(network, pixels)
    given = active.double().numpy()
    variance, axes = np.linalg.eigh(np.cov(given.T))
    weight = axes / np.sqrt(variance.clip(0) + LEAST * variance[-1])
    if len(variance) > DIRECTIONS:
        weight = weight @ np.random.default_rng(seed).normal(size=(len(variance), DIRECTIONS)) / DIRECTIONS**0.5
    weights = (torch.as_tensor(weight).float(), torch.ones(weight.shape[1], 1))
    offset = torch.as_tensor(-given.mean(axis=0) @ weight).float()
    distance = Doubt(weights, (offset, torch.zeros(1))).of(active).double().numpy()
    limit = float(np.quantile(distance, 1 - UNSURE))
    return Doubt(weights, (offset, torch.full((1,), -limit)))


def first_layer(network: SmallNetwork, lesson: Lesson) -> Tensor:
    """Return the activations of the first hidden layer for the rows of a lesson, (n, h)."""
    with torch.no_grad():
        return torch.cat([network.first(heights) for heights, _ in lesson.parts()])
