"""A layer on several dates, filled by DCT-PLS in space and time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

import numpy as np

from zoo.errors import UsageError
from zoo.gapfill.dct_pls import Field, dct_pls
from zoo.gapfill.layer import OVERLAP, Mask, ramp, tiles

VALUES = 16 * 2**20
"""Values of a series that are solved at once: about ten float32 arrays, 700 MB; more are cut into tiles."""
SLOTS = 64
"""Steps in time at most."""


def fill_series(
    series: Sequence[tuple[date, Field]],
    day: date,
    land: Mask | None = None,
    *,
    s: float | None = None,
    robust: bool = False,
    values: int = VALUES,
) -> Field:
    """Fill the gaps of a layer on one day by what the layer was around it and on other dates.

    The dates are laid on an axis with even steps, their greatest common divisor; a step in time counts like a pixel
    (as in Wang et al. 2012).

    Parameters
    ----------
    series : dates, in any order, with the layer (h, w) on them, NaN in gaps; the day among them
    day : the day wanted
    land : (h, w), where gaps are filled and observations count; everywhere without it
    s, robust : as in `dct_pls`
    values : limit of what is solved at once, dates times pixels

    Returns
    -------
    (h, w) float32, as observed where it was.

    Raises
    ------
    UsageError
        If the dates need more than `SLOTS` even steps.
    """
    where = np.ones(series[0][1].shape, np.bool_) if land is None else land
    first, step, slots = _axis([moment for moment, _ in series])
    cube = np.full((slots, *where.shape), np.nan, np.float32)
    for moment, layer in series:
        cube[(moment - first).days // step] = np.where(where, layer, np.float32(np.nan))
    wanted = (day - first).days // step
    observed: Field = cube[wanted].copy()
    if not np.isfinite(cube).any():
        return observed
    smooth = _smoothed(cube, wanted, s, robust=robust, values=values)
    return np.asarray(np.where(where & ~np.isfinite(observed), smooth, observed), np.float32)


def _axis(days: Sequence[date]) -> tuple[date, int, int]:
    """Return the first date, the step in days, and the number of steps that hold all dates."""
    first = min(days)
    offsets = [(moment - first).days for moment in days]
    step = math.gcd(*offsets) or 1
    slots = max(offsets) // step + 1
    if slots > SLOTS:
        msg = (
            f"The dates of --series need {slots} even steps of {step} days, at most {SLOTS} are possible; "
            "give dates at even intervals, or fewer"
        )
        raise UsageError(msg)
    return first, step, slots


def _smoothed(cube: Field, wanted: int, s: float | None, *, robust: bool, values: int) -> Field:
    """Smooth a cube and take one date of it; tiles blend over their overlap."""
    side = max(2 * OVERLAP, int(math.sqrt(values / len(cube))))
    total, weight = (np.zeros(cube.shape[1:], np.float32) for _ in range(2))
    windows = [(slice(0, cube.shape[1]), slice(0, cube.shape[2]))] if cube.size <= values else None
    for window in windows or tiles(cube.shape[1:], side, OVERLAP):
        part = cube[(slice(None), *window)]
        if np.isfinite(part).any():
            share = np.multiply.outer(*(ramp(edge.stop - edge.start, OVERLAP) for edge in window))
            total[window] += dct_pls(part, s=s, robust=robust).values[wanted] * share
            weight[window] += share
    empty = np.full(total.shape, np.nan, np.float32)
    return np.asarray(np.divide(total, weight, out=empty, where=weight > 0), np.float32)
