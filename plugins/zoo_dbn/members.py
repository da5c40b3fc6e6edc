"""Members that see their predictors in different codings, and the one network that holds them all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from zoo_dbn.network import Network

NOISE = (0.1, 0.3)
"""Standard deviation of input noise without and with bins, in units of the codes."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Members alike in coding and noise: their numbers, the coding, the noise on it."""

    members: list[int]
    scaling: str
    noise: float


def kinds_of(scaling: str | Sequence[str], noise: float | Literal["auto"], n_members: int) -> list[Kind]:
    """Deal codings over the members in turn; with fewer members only the first are used."""
    scalings = [scaling] if isinstance(scaling, str) else list(scaling)
    dealt = [list(range(first, n_members, len(scalings))) for first in range(len(scalings))]
    pairs = zip(dealt, scalings, strict=True)
    return [Kind(members, coding, noise_on(coding, noise)) for members, coding in pairs if members]


def noise_on(scaling: str, noise: float | Literal["auto"]) -> float:
    """Return the standard deviation of the noise on a coding; `auto` takes `NOISE`, more where bins are."""
    return NOISE["bins" in scaling.split("+")] if noise == "auto" else float(noise)


def side_by_side(
    networks: Sequence[Network], kinds: Sequence[Kind], codes_of: Sequence[npt.NDArray[np.intp]], n_codes: int
) -> Network:
    """Return one network on all codes, members in their order; a code that a member does not see weighs 0."""
    count = sum(len(kind.members) for kind in kinds)
    like = networks[0]
    weights, biases = ([p.new_zeros(count, *p.shape[1:]) for p in part] for part in (like.weights, like.biases))
    whole, first = Network(weights, biases), like.weights[0]
    whole.weights[0] = first.new_zeros(count, n_codes, first.shape[2])
    for network, kind, codes in zip(networks, kinds, codes_of, strict=True):
        members = torch.as_tensor(kind.members, device=first.device)
        seen = torch.as_tensor(codes, device=first.device)
        whole.weights[0][members[:, None], seen] = network.weights[0]
        for mine, theirs in zip(_later(whole), _later(network), strict=True):
            mine[members] = theirs
    return whole


def mean_course(courses: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Average what happened in the trainings of several kinds, epoch by epoch; `best_epoch` is the latest of them."""
    losses = {name: _mean(course[name] for course in courses) for name in ("training_loss", "validation_loss")}
    layers = [
        {name: _mean(layer[name] for layer in same) for name in same[0]}
        for same in zip(*(course["RBM"] for course in courses), strict=True)
    ]
    return {"RBM": layers, **losses, "best_epoch": max(course["best_epoch"] for course in courses)}


def _later(network: Network) -> Iterator[torch.Tensor]:
    """Everything but the first weights."""
    yield from (*network.weights[1:], *network.biases)


def _mean(series: Iterable[Sequence[float]]) -> list[float]:
    """Mean by epoch over those that got so far."""
    epochs = zip_longest(*series)
    return [float(np.mean([value for value in epoch if value is not None])) for epoch in epochs]
