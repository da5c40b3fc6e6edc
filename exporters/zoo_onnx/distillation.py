"""Train a small network to say what the trained one says, with the largest errors weighing most."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zoo_onnx.selection import SmallNetwork
from zoo_onnx.soap import Soap
from zoo_onnx.trained import BLOCK_ROWS, Ramps

BATCH = 1024
RATE = 1.5e-3
"""Learning rate at its highest; it falls to nothing along a cosine."""
CODING_PACE = 0.03
"""Share of the learning rate at which the coding is trained: at the full one it unsettles all that is above it."""
WARM_UP = 100
"""Steps over which the learning rate heights."""
SQUARES = 0.3
"""Share of the steps that see the mean square; the others see the norm below, which pulls in the largest errors."""
NORM = 4.0
HALFWAY = 0.4
"""Share of the steps after which a network that is hopelessly far off is given up."""
HOPELESS = 5.0
"""Times the tolerance that 99.9 % of the errors may be at by then; a whole training gains about a factor of 4 more."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Rows (n, k), what is to be said to them, (n,), m3 m-3, and the ramps by which they are seen."""

    rows: npt.NDArray[np.float32]
    answers: Tensor
    ramps: Ramps

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, which: slice | npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return heights on the ramps (m, r) and answers (m,) of some rows; all heights at once would fill memory."""
        return torch.as_tensor(self.ramps.heights(self.rows[which])), self.answers[which]

    def parts(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Return all rows, some at a time."""
        for start in range(0, len(self), BLOCK_ROWS):
            yield self.part(slice(start, start + BLOCK_ROWS))

    def errors(self, network: SmallNetwork) -> npt.NDArray[np.float64]:
        """Return how far a network is off, row by row, m3 m-3."""
        with torch.no_grad():
            off = [(network.answers(heights)[:, 0] - wanted).abs().double() for heights, wanted in self.parts()]
        return torch.cat(off).numpy()


def distil(network: SmallNetwork, learnt: Lesson, checked: Lesson, tolerance: float, steps: int, seed: int) -> bool:
    """Train in place; False if it was given up on the way.

    Parameters
    ----------
    network : where training starts
    learnt : rows to learn from
    checked : rows by which a hopeless case is known
    tolerance : m3 m-3; the unit in which errors are measured
    steps : of `BATCH` rows
    seed : of the order of the rows
    """
    above, coding = network.parameters, network.coding_parameters
    parameters = [parameter.requires_grad_() for parameter in (*above, *coding)]
    pace = [1.0] * len(above) + [CODING_PACE] * len(coding)
    optimiser, rng = Soap(parameters, pace), np.random.default_rng(seed)
    batch = min(BATCH, len(learnt))
    rows = np.empty(0, np.int64)
    for step in range(steps):
        if len(rows) < batch:
            rows = rng.permutation(len(learnt))
        part, rows = rows[:batch], rows[batch:]
        heights, answers = learnt.part(part)
        error = (network.answers(heights)[:, 0] - answers) / tolerance
        loss = error.pow(2).mean() if step < SQUARES * steps else _norm(error)
        for parameter in parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step(RATE * min(1, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / steps)))
        if step == round(HALFWAY * steps) and np.quantile(checked.errors(network), 0.999) > HOPELESS * tolerance:
            return False
    for parameter in parameters:
        parameter.requires_grad_(False)
    return True


def _norm(error: Tensor) -> Tensor:
    """Return the square of the mean's root of order `NORM`: of the same size as the mean square."""
    largest = error.detach().abs().max().clamp(min=1e-12)
    return (error / largest).abs().pow(NORM).mean().pow(2 / NORM) * largest**2
