"""A small network to begin with: neurons of the trained one, and least squares for what was left out.

Neurons are chosen by an interpolative decomposition of the activations: the pivots of QR with column pivoting
(Cheng et al. 2005, SIAM J. Sci. Comput. 26, 1389-1404).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import qr
from torch import Tensor

from zoo_onnx.trained import Ramps, TrainedNetwork

ROWS = 8000
"""Rows whose activations decide; more change the pivots little."""
RIDGE = 1e-9
"""Of the least squares, in units of the mean square of the activations, which are nearly collinear."""


class Shape(NamedTuple):
    """Widths of the hidden layers, and the rank of what lies between the first and the second; 0 is full."""

    hidden: tuple[int, ...]
    rank: int = 0

    def __str__(self) -> str:
        widths = [str(width) for width in self.hidden]
        return "-".join([widths[0], f"({self.rank})", *widths[1:]] if self.rank else widths)

    def multiplications(self, inputs: int) -> int:
        """Count them for one row."""
        sizes = [inputs, self.hidden[0], *([self.rank] if self.rank else []), *self.hidden[1:], 1]
        return sum(below * above for below, above in zip(sizes[:-1], sizes[1:], strict=True))


@dataclass(slots=True)
class SmallNetwork:
    """Ramps, and layers `below @ weight + bias`, a sigmoid after those in `bent`; the lowest makes codes of ramps.

    Attributes
    ----------
    ramps : where training starts
    stretch, shift : what it makes of them: `clip((x - low) * slope * (1 + stretch) - shift, 0, 1)`, (r,)
    weights : (in, out) a layer
    biases : (out,) a layer
    bent : whether a sigmoid follows, a layer
    """

    ramps: Ramps
    stretch: Tensor
    shift: Tensor
    weights: list[Tensor] = field(default_factory=list)
    biases: list[Tensor] = field(default_factory=list)
    bent: list[bool] = field(default_factory=list)

    @classmethod
    def on(cls, ramps: Ramps) -> SmallNetwork:
        """Return a network of which there is but the coding."""
        network = cls(ramps, torch.zeros(len(ramps.low)), torch.zeros(len(ramps.low)))
        network.add(ramps.mixing, ramps.offset, bent=False)
        return network

    def add(self, weight: npt.NDArray[Any] | Tensor, bias: npt.NDArray[Any] | Tensor, *, bent: bool) -> None:
        """Put a layer on top."""
        self.weights.append(torch.as_tensor(weight).float().contiguous())
        self.biases.append(torch.as_tensor(bias).float())
        self.bent.append(bent)

    def answers(self, heights: Tensor) -> Tensor:
        """Return what the topmost layer says to `Ramps.heights`, of a whole network (n, 1)."""
        return self._through(heights, len(self.weights))

    def first(self, heights: Tensor) -> Tensor:
        """Return the activations of the first hidden layer, (n, width); the coding is below it."""
        return self._through(heights, 2)

    def _through(self, heights: Tensor, layers: int) -> Tensor:
        below = (heights * (1 + self.stretch) - self.shift).clamp(0, 1)
        for weight, bias, bent in list(zip(self.weights, self.biases, self.bent, strict=True))[:layers]:
            below = torch.addmm(bias, below, weight)
            below = torch.sigmoid(below) if bent else below
        return below

    @property
    def coding_parameters(self) -> list[Tensor]:
        """Knots, and the layer that makes codes of ramps; a straight coding says nothing that weights do not."""
        return [] if self.ramps.straight else [self.stretch, self.shift, self.weights[0], self.biases[0]]

    @property
    def parameters(self) -> list[Tensor]:
        """Weights and biases above the coding."""
        return [*self.weights[1:], *self.biases[1:]]

    def coding(self) -> Ramps:
        """Return the ramps as training left them; `mixing` and `offset` are the lowest layer."""
        slope = self.ramps.slope * (1 + self.stretch.detach().double().numpy())
        low = self.ramps.low + self.shift.detach().double().numpy() / np.where(slope == 0, 1, slope)
        return replace(self.ramps, low=low, slope=slope)


def select(network: TrainedNetwork, codes: Tensor, ramps: Ramps, seen: Tensor, shape: Shape) -> SmallNetwork:
    """Build a small network from the trained one's own neurons.

    Parameters
    ----------
    network : the trained network
    codes : (n, c), its input coding of rows within the box
    ramps : the coding of the small network, which becomes its first layer
    seen : (n, r), `ramps.heights` of the rows
    shape : of the small network
    """
    layers = network.layers(codes)
    chosen = [pivots(active, width) for (_, active), width in zip(layers, shape.hidden, strict=True)]
    small = SmallNetwork.on(ramps)
    first = torch.cat(list(network.weights[0]), dim=1)
    small.add(first[:, chosen[0]], network.biases[0].flatten()[chosen[0]], bent=True)
    for layer in range(1, len(shape.hidden)):
        below = small.answers(seen)
        weight, bias = least_squares(below, layers[layer][0][:, chosen[layer]])
        if layer == 1 and shape.rank:
            lower, weight, bias = low_rank(below, weight, bias, shape.rank)
            small.add(lower, np.zeros(shape.rank), bent=False)
        small.add(weight, bias, bent=True)
    small.add(*least_squares(small.answers(seen), network.answers(codes)[:, None]), bent=False)
    return small


def pivots(active: Tensor, count: int) -> npt.NDArray[np.int64]:
    """Choose the columns that span the others best; of R, which has the same pivots and few rows."""
    triangle = np.linalg.qr(active.double().numpy(), mode="r")
    order = qr(triangle, mode="r", pivoting=True)[1]
    return np.asarray(order[:count], np.int64)


def least_squares(below: Tensor, wanted: Tensor) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return weight and bias that lead from activations (n, i) to totals (n, o)."""
    given = np.column_stack([below.double().numpy(), np.ones(len(below))])
    square = given.T @ given
    square[np.diag_indices_from(square)] += RIDGE * np.trace(square) / len(square)
    solved = np.linalg.solve(square, given.T @ wanted.double().numpy())
    return solved[:-1], solved[-1]


def low_rank(
    below: Tensor, weight: npt.NDArray[np.float64], bias: npt.NDArray[np.float64], rank: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Split a weight (i, o) in two of `rank`, best for the totals (not for the weight itself); mend the bias."""
    active = below.double().numpy()
    middle = active.mean(axis=0)
    square = (active - middle).T @ (active - middle) / len(active)
    square[np.diag_indices_from(square)] += RIDGE * np.trace(square) / len(square)
    spread = np.linalg.cholesky(square)
    left, strength, right = np.linalg.svd(spread.T @ weight, full_matrices=False)
    root = np.sqrt(strength[:rank])
    first = np.linalg.solve(spread.T, left[:, :rank] * root)
    second = root[:, None] * right[:rank]
    return first, second, bias + middle @ (weight - first @ second)
