"""Greedy pre-training: each layer of the network learns, as an RBM, what the layer below makes of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from zoo_dbn.network import Network
from zoo_dbn.rbm import ContrastiveDivergence, initial_rbm, train_rbm


@dataclass(frozen=True, slots=True)
class Pretraining:
    """How the stack is trained.

    Attributes
    ----------
    divergence : parameters of every layer
    gaussian : Gaussian visible units in the first layer; above it they are always binary
    epochs : layer number, from 1 -> the epochs to go through
    """

    divergence: ContrastiveDivergence
    gaussian: bool
    epochs: Callable[[int], Iterable[int]]


def pretrain(
    network: Network,
    codes: Tensor,
    row_weight: Tensor,
    held_out: Tensor | None,
    how: Pretraining,
    generator: torch.Generator,
) -> list[dict[str, list[float]]]:
    """Put RBM weights into all layers but the head, in place; codes (n, c), row_weight (n,), held_out (q, c).

    Returns
    -------
    For each layer `reconstruction_error` and `free_energy_gap` by epoch.
    """
    courses = []
    data, apart = codes.unsqueeze(0), None if held_out is None else held_out.unsqueeze(0)
    for layer, weight in enumerate(network.weights[:-1]):
        members, _, hidden = weight.shape
        rbm = initial_rbm(data, members, hidden, how.gaussian and layer == 0, generator)
        epochs = how.epochs(layer + 1)
        courses.append(asdict(train_rbm(rbm, data, row_weight, apart, how.divergence, epochs, generator)))
        network.weights[layer], network.biases[layer] = rbm.weight, rbm.hidden_bias
        data, apart = rbm.hidden(data), None if apart is None else rbm.hidden(apart)
    return courses
