"""Working memory of a training: activations in the order that matrix products like, random numbers by the block."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK_NUMBERS = 2**17
"""Numbers in the widest array of a block of batches; as many as stay in a core's cache."""
MOST_STEPS = 64
"""Batches in a block, at most."""
LEVELS = 2**16
"""Different values of a random number in `Chances`."""


def steps_in_a_block(members: int, batch: int, width: int) -> int:
    """Return how many batches are prepared at a time, where the widest layer has `width` units."""
    return max(1, min(MOST_STEPS, BLOCK_NUMBERS // (members * batch * width)))


def activations(*shape: int, device: torch.device) -> Tensor:
    """Return memory for activations, (m, batch, size) or (steps, m, batch, size).

    A single member's lie unit by unit, all rows of a unit together: a product of 16 rows with a 1000 x 1000 matrix
    is then shared out better between threads, 147 instead of 121 GFLOP/s on two cores.
    """
    *outer, members, batch, size = shape
    if members == 1:
        return torch.empty(*outer, 1, size, batch, device=device).mT
    return torch.empty(shape, device=device)


def in_memory_order(tensor: Tensor) -> Tensor:
    """Return what `activations` made as one row of numbers, without a copy."""
    contiguous = tensor if tensor.is_contiguous() else tensor.mT
    return contiguous.view(-1)


def squeezed(tensor: Tensor) -> Tensor:
    """Drop the members' axis, the first of three, if there is one member: plain products are faster than batched."""
    return tensor[0] if len(tensor) == 1 else tensor


class Chances:
    """Uniform random numbers for many steps at once, shape as for `activations`.

    Made from 16 random bits each, the middle of one of `LEVELS` equal parts of [0, 1]: three times as fast as with 24
    bits, and a probability compared with them is rounded by less than 1e-5.
    """

    def __init__(self, steps: int, *shape: int, device: torch.device) -> None:
        numbers = activations(steps, *shape, device=device)
        self._memory = in_memory_order(numbers)
        self._bits = torch.empty(-(-numbers.numel() // 4), dtype=torch.int64, device=device)
        self._of_a_step = numbers.numel() // steps
        self.steps = [squeezed(part) for part in numbers]

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the numbers of the first `count` steps; returns them without a shape, to be changed in place."""
        n = count * self._of_a_step
        bits = self._bits[: -(-n // 4)].random_(torch.iinfo(torch.int64).min, None, generator=generator)
        return self._memory[:n].copy_(bits.view(torch.int16)[:n]).add_(LEVELS / 2 + 0.5).mul_(1 / LEVELS)
