"""Training rows in an order of their own, equal ones once, so that neither order nor repetition has an effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.learning.fitting import Context


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Predictors (n, k), target (n,), labels and weights (n,)."""

    X: npt.NDArray[np.float32]
    y: npt.NDArray[np.float64]
    context: Context
    weight: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls, X: npt.NDArray[np.float32], y: npt.NDArray[np.float64], context: Context, weight: npt.NDArray[Any]
    ) -> Rows:
        """Sort rows that have a weight, and add the weights of equal ones; without groups each row is one."""
        kept = np.flatnonzero(weight > 0)
        labels = [np.unique(part[kept], return_inverse=True)[1].ravel() for part in context.given().values()]
        table = np.column_stack([X[kept].astype(np.float64), y[kept], *labels])
        _, first, place = np.unique(table, axis=0, return_index=True, return_inverse=True)
        chosen = kept[first]
        found = context.take(chosen)
        if found.groups is None:
            found = Context(np.arange(len(chosen)), found.places, found.times)
        return cls(X[chosen], y[chosen], found, np.bincount(place.ravel(), weight[kept], len(chosen)).astype(float))

    def take(self, rows: npt.NDArray[Any]) -> Rows:
        """Return some rows, numbers or a mask."""
        return Rows(self.X[rows], self.y[rows], self.context.take(rows), self.weight[rows])

    def sample(self, most: int, seed: int) -> Rows:
        """Return all rows, or `most` of them at random."""
        if len(self.y) <= most:
            return self
        return self.take(np.sort(np.random.default_rng(seed).choice(len(self.y), most, replace=False)))

    @property
    def given_weight(self) -> npt.NDArray[np.float64] | None:
        """Return the weights; None if all are equal."""
        return None if (self.weight == self.weight[0]).all() else self.weight
