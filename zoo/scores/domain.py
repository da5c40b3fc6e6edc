"""Whether rows that are unlike the training are really worse off: errors inside and outside of a model's domain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo.scores.intervals import Array
from zoo.scores.moments import unit_sums
from zoo.scores.resampling import FEWEST_UNITS, RESAMPLES, draw, interval_of, units_of

__all__ = ["DomainErrors", "domain_errors"]

_OUTSIDE, _INSIDE = slice(0, 2), slice(2, 4)
"""Columns of the sums: squared errors and rows."""


@dataclass(frozen=True, slots=True)
class DomainErrors:
    """Errors of held-out rows inside and outside of a model's domain.

    Attributes
    ----------
    n, outside : rows, and those of them out of domain
    groups : groups with such rows
    rmse_inside, rmse_outside : m3 m-3; None without such rows
    difference : outside minus inside, m3 m-3; positive where the domain tells of errors
    ci_low, ci_high : its 95 % interval over groups; None where fewer than 5 groups have rows on either side
    """

    n: int
    outside: int
    groups: int
    rmse_inside: float | None
    rmse_outside: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None


def domain_errors(
    error: npt.ArrayLike,
    outside: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> DomainErrors:
    """Compare errors inside and outside of a model's domain.

    Parameters
    ----------
    error : (n,), of predictions for rows that the model did not see, m3 m-3; rows with NaN are left out
    outside : (n,), whether a row is out of domain
    groups : (n,), rows that hang together, which the interval resamples
    seed, resamples : of the interval
    """
    squares, beyond = np.asarray(error, np.float64) ** 2, np.asarray(outside, np.bool_)
    kept = np.isfinite(squares)
    squares, beyond = squares[kept], beyond[kept]
    labels = None if groups is None else np.unique(np.asarray(groups)[kept], return_inverse=True)[1].ravel()
    units = units_of(len(squares), labels, np.random.default_rng(seed))
    sums = unit_sums(np.column_stack([squares * beyond, beyond, squares * ~beyond, ~beyond]), units)
    rmse_outside, rmse_inside = (_root_mean(sums.sum(axis=0, keepdims=True)[:, part]) for part in (_OUTSIDE, _INSIDE))
    counts = len(squares), int(beyond.sum()), int((sums[:, 1] > 0).sum())
    inside, out = (float(value[0]) if np.isfinite(value[0]) else None for value in (rmse_inside, rmse_outside))
    if inside is None or out is None:
        return DomainErrors(*counts, inside, out, None, None, None)
    few = min(counts[2], int((sums[:, 3] > 0).sum())) < FEWEST_UNITS
    found = None if few else interval_of(sums, draw(len(sums), resamples, seed), _difference)
    low, high = found or (None, None)
    return DomainErrors(*counts, inside, out, out - inside, low, high)


def _difference(sums: Array) -> Array:
    return _root_mean(sums[:, _OUTSIDE]) - _root_mean(sums[:, _INSIDE])


def _root_mean(sums: Array) -> Array:
    """Root of sum over count, (m, 2) -> (m,)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(sums[:, 0] / sums[:, 1]))
