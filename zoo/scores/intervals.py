"""95 % intervals: analytic ones of independent rows, and two that resample.

Sources: Fisher 1921, Metron 1, 3 (z); Bonett & Wright 2000, Psychometrika 65, 23 (Spearman); Efron 1987, JASA 82,
171 (BCa); Kott 2001, J. Off. Stat. 17, 521 (leaving groups out); Gruber et al. 2020, Remote Sens. Environ. 244,
111806 (which interval for which validation metric).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["bca", "chi_square", "fisher", "jackknife_t", "median", "slope", "spearman", "squared", "student"]

TAILS = np.array([0.025, 0.975])
"""Probabilities of the two ends."""

Array = npt.NDArray[np.float64]
Interval = tuple[float, float] | None


def fisher(r: float, n: int) -> Interval:
    """Interval of Pearson's r: tanh(atanh(r) -+ 1.96 / sqrt(n - 3)); None if n < 4."""
    if n < 4:
        return None
    if abs(r) >= 1:
        return r, r
    low, high = np.tanh(math.atanh(r) + special.ndtri(TAILS) / math.sqrt(n - 3))
    return float(low), float(high)


def squared(interval: Interval) -> Interval:
    """Image of an interval under squaring."""
    if interval is None:
        return None
    low, high = sorted(end**2 for end in interval)
    return (0.0 if interval[0] < 0 < interval[1] else low), high


def chi_square(spread: float, n: int) -> Interval:
    """Interval of the population standard deviation `spread` of n normal errors; None if n < 3."""
    if n < 3:
        return None
    high, low = spread * np.sqrt(n / special.chdtri(n - 1, 1 - TAILS))
    return float(low), float(high)


def student(mean: float, spread: float, n: int) -> Interval:
    """Interval of the mean of n errors with population standard deviation `spread`; None if n < 3."""
    if n < 3:
        return None
    low, high = mean + special.stdtrit(n - 1, TAILS) * spread / math.sqrt(n - 1)
    return float(low), float(high)


def spearman(r: float, n: int) -> Interval:
    """Interval of Spearman's correlation: Fisher's z with variance (1 + r^2 / 2) / (n - 3); None if n < 4."""
    if n < 4:
        return None
    if abs(r) >= 1:
        return r, r
    low, high = np.tanh(math.atanh(r) + special.ndtri(TAILS) * math.sqrt((1 + r * r / 2) / (n - 3)))
    return float(low), float(high)


def slope(value: float, r: float, n: int) -> Interval:
    """Interval of a least-squares slope whose correlation is r: Student t with n - 2 degrees; None if n < 3."""
    if n < 3 or r == 0:
        return None
    error = abs(value) * math.sqrt(max(0.0, 1 / r**2 - 1) / (n - 2))
    low, high = value + special.stdtrit(n - 2, TAILS) * error
    return float(low), float(high)


def median(values: Array) -> Interval:
    """Interval of the median of a population: two order statistics that hold it with 95 % or more (sign test).

    None with fewer than 6 values, where no two do.
    """
    n = values.size
    below = int(np.sum(special.bdtr(np.arange(n), n, 0.5) <= TAILS[0]))
    if below == 0:
        return None
    ordered = np.sort(values)
    return float(ordered[below - 1]), float(ordered[n - below])


def bca(value: float, resampled: Array, left_out: Array) -> Interval:
    """Bias-corrected and accelerated bootstrap interval.

    Parameters
    ----------
    value : the figure on the whole sample
    resampled : (b,), the figure on each resample; NaN where it is undefined there
    left_out : (u,), the figure without one unit

    Returns
    -------
    None if more than half of the resamples, or all but one `left_out`, are undefined.
    """
    draws, without = resampled[np.isfinite(resampled)], left_out[np.isfinite(left_out)]
    if draws.size < resampled.size / 2 or without.size < 2:
        return None
    below = (np.sum(draws < value) + np.sum(draws <= value)) / (2 * draws.size)
    z0 = special.ndtri(np.clip(below, 0.5 / draws.size, 1 - 0.5 / draws.size))
    deviation = without.mean() - without
    squares = np.sum(deviation**2)
    acceleration = np.sum(deviation**3) / (6 * squares**1.5) if squares > 0 else 0.0
    z = z0 + special.ndtri(TAILS)
    low, high = np.quantile(draws, special.ndtr(z0 + z / np.maximum(1 - acceleration * z, 0.01)))
    return float(low), float(high)


def jackknife_t(value: float, left_out: Array, lowest: float, highest: float) -> Interval:
    """Delete-one-group jackknife with Student t, G - 1 degrees, cut to [lowest, highest].

    None if the figure is undefined without one of the groups.
    """
    groups = left_out.size
    if groups < 2 or not np.isfinite(left_out).all():
        return None
    error = math.sqrt((groups - 1) / groups * float(np.sum((left_out - left_out.mean()) ** 2)))
    low, high = value + special.stdtrit(groups - 1, TAILS) * error
    return max(float(low), lowest), min(float(high), highest)
