"""The rows that a network learns from: equal ones merged, whole groups held out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


class Rows(NamedTuple):
    """Distinct training rows: X (n, k), y (n,), group codes (n,), weights (n,) with mean 1."""

    X: Floats
    y: Floats
    group: npt.NDArray[np.intp]
    weight: Floats

    def take(self, which: npt.NDArray[Any]) -> Rows:
        """Return the chosen rows, their weights with mean 1 again."""
        weight = self.weight[which]
        return Rows(self.X[which], self.y[which], self.group[which], weight / weight.mean())


def merge_equal_rows(X: Floats, y: Floats, groups: npt.NDArray[Any] | None, weight: Floats) -> Rows:
    """Sort rows, add up the weights of equal ones and drop those of weight zero.

    A row of weight 3 and the same row three times are then the same data to a stochastic training, and the order
    in which rows come does not matter. Without groups each distinct row is a group of its own.
    """
    used = weight > 0
    X, y, weight = X[used], y[used], weight[used]
    group = np.zeros(len(y), np.intp) if groups is None else np.unique(groups[used], return_inverse=True)[1].ravel()
    order = np.lexsort((y, *X.T[::-1], group))
    X, y, group, weight = X[order], y[order], group[order], weight[order]
    first = np.ones(len(y), bool)
    first[1:] = (X[1:] != X[:-1]).any(axis=1) | (y[1:] != y[:-1]) | (group[1:] != group[:-1])
    total = np.bincount(np.cumsum(first) - 1, weights=weight)
    codes = np.arange(int(first.sum())) if groups is None else group[first]
    return Rows(X[first], y[first], codes, total / total.mean())


def hold_out(group: npt.NDArray[np.intp], share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Choose whole groups at random until they hold `share` of the rows; at least one, never all.

    Returns
    -------
    True for held-out rows, shape (n,); all False if there is only one group.
    """
    names, sizes = np.unique(group, return_counts=True)
    order = rng.permutation(len(names))
    enough = int(np.searchsorted(np.cumsum(sizes[order]), share * len(group))) + 1
    return np.isin(group, names[order[: min(enough, len(names) - 1)]])
