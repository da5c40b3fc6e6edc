"""A trained network of sigmoid layers, read from its stored state, as the compiler looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zoo.errors import ZooError

Floats = npt.NDArray[np.floating[Any]]

BLOCK_ROWS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Ramps:
    """Input coding: `clip((x[column] - low) * slope, 0, 1) @ mixing + offset`, as `zoo_dbn.scaling.Coding` is stored.

    Attributes
    ----------
    column : predictor of each of the r ramps, (r,)
    low, slope : foot in the predictor's units, 1 / width, (r,)
    mixing : (r, c), from ramps to codes
    offset : (c,)
    """

    column: npt.NDArray[np.int64]
    low: npt.NDArray[np.float64]
    slope: npt.NDArray[np.float64]
    mixing: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]

    def encode(self, X: Floats) -> npt.NDArray[np.float64]:
        """Code predictors (n, k) to (n, c)."""
        codes = np.empty((len(X), len(self.offset)))
        for start in range(0, len(X), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            ramps = (X[part][:, self.column].astype(float) - self.low) * self.slope
            codes[part] = np.clip(ramps, 0, 1, out=ramps) @ self.mixing + self.offset
        return codes

    def heights(self, X: Floats) -> npt.NDArray[np.float32]:
        """Say how far along each ramp predictors (n, k) are: 0 at its foot, 1 at its top, not clipped, (n, r)."""
        found = np.empty((len(X), len(self.low)), np.float32)
        for start in range(0, len(X), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            found[part] = (X[part][:, self.column].astype(float) - self.low) * self.slope
        return found

    @property
    def straight(self) -> bool:
        """Whether no predictor has two ramps, so that nothing bends between their ends."""
        return len(np.unique(self.column)) == len(self.column)


@dataclass(frozen=True, slots=True, eq=False)
class TrainedNetwork:
    """Members of the same shape side by side, whose mean is the answer.

    Attributes
    ----------
    ramps : the input coding
    weights : (m, in, out) a layer; the last is the linear head
    biases : (m, 1, out) a layer
    scale, bias : of the target: answer = head * scale + bias, m3 m-3
    """

    ramps: Ramps
    weights: list[Tensor]
    biases: list[Tensor]
    scale: float
    bias: float

    @classmethod
    def read(cls, state: Mapping[str, npt.NDArray[Any]], downscaler: str) -> TrainedNetwork:
        """Read a state as `zoo_dbn` keeps it; ZooError if it is that of another kind of model."""
        layers = sum(name.startswith("weight/") for name in state)
        needed = {"target", *(f"coding/{name}" for name in Ramps.__slots__), "weight/1", "bias/1"}
        if not needed <= set(state):
            msg = f"The downscaler {downscaler!r} is no network of sigmoid layers; --compress takes dbn models only"
            raise ZooError(msg)
        ramps = Ramps(*(_double(state[f"coding/{name}"]) for name in Ramps.__slots__))
        bias, scale = (float(value) for value in state["target"])
        return cls(
            ramps,
            [torch.as_tensor(np.asarray(state[f"weight/{layer}"], np.float32)) for layer in range(layers)],
            [torch.as_tensor(np.asarray(state[f"bias/{layer}"], np.float32)) for layer in range(layers)],
            scale,
            bias,
        )

    def layers(self, codes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return totals and activations of the hidden layers for codes (n, c), members side by side, (n, m * width)."""
        seen, below = [], codes
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            total = below @ weight + bias
            below = torch.sigmoid(total)
            seen.append((_side_by_side(total), _side_by_side(below)))
        return seen

    def answers(self, codes: Tensor) -> Tensor:
        """Return the answer to codes (n, c), m3 m-3, not clipped, (n,)."""
        return torch.cat([self._answer(part) for part in torch.split(codes, BLOCK_ROWS)])

    def answers_to(self, X: npt.NDArray[np.float32]) -> Tensor:
        """Return the answer to predictors (n, k), not clipped, (n,); few are coded at a time."""
        with torch.no_grad():
            parts = [as_codes(self.ramps.encode(X[at : at + BLOCK_ROWS])) for at in range(0, len(X), BLOCK_ROWS)]
            return torch.cat([self._answer(part) for part in parts])

    def _answer(self, codes: Tensor) -> Tensor:
        below = codes
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            below = torch.sigmoid(below @ weight + bias)
        head = below @ self.weights[-1] + self.biases[-1]
        return head.squeeze(-1).mean(dim=0) * self.scale + self.bias

    def effects(self, codes: Tensor) -> npt.NDArray[np.float64]:
        """Return how much the answer to codes (n, c) changes with each code, m3 m-3, (n, c)."""
        given = codes.clone().requires_grad_()
        self.answers(given).sum().backward()  # type: ignore[no-untyped-call]
        assert given.grad is not None
        found: npt.NDArray[np.float64] = given.grad.double().numpy()
        return found


def as_codes(codes: npt.NDArray[np.float64]) -> Tensor:
    """Return codes in the precision in which networks are trained."""
    return torch.as_tensor(codes.astype(np.float32))


def _double(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.astype(np.int64 if array.dtype.kind == "i" else np.float64)


def _side_by_side(members: Tensor) -> Tensor:
    """(m, n, width) -> (n, m * width)."""
    return members.transpose(0, 1).flatten(1)
