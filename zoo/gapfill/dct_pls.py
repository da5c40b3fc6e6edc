"""Penalised least squares in the domain of the discrete cosine transform (DCT-PLS), for gappy fields of any dimension.

The smooth field z of a field y with weights w (0 in gaps) is the one that minimises

    sum w (y - z)^2 + s sum (L z)^2,    that is    (W + s L'L) z = W y

where L is the discrete Laplacian with mirrored edges, which the cosine transform makes diagonal (Garcia 2010, Comput.
Stat. Data Anal. 54, 1167-1178, doi:10.1016/j.csda.2009.09.020; as a filler of gaps in two dimensions of space and one
of time: Wang, Garcia, Liu, de Jeu & Dolman 2012, Environ. Model. Softw. 30, 139-142,
doi:10.1016/j.envsoft.2011.10.015). Both iterate z <- H (W (y - z) + z) to the fixed point; here the same equations are
solved by conjugate gradients with H as preconditioner, from the solution on a grid half as fine (and that from the one
below): wide gaps, where either iteration crawls, are bridged on coarse grids.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.ndimage import distance_transform_edt
from scipy.optimize import minimize_scalar

from zoo.errors import DataError

Field = npt.NDArray[np.float32]

RANGE = (1e-3, 1e4)
"""Smoothing parameters that generalised cross-validation chooses from: from a field as good as it is, to one bent over
some ten pixels, s^(1/4)."""
ACCURACY = 1e-4
"""Of a solution: norm of the residual over that of the right side."""
SETTLED = 5e-4
"""Largest change of a solution over `STRIDE` rounds at its end, in standard deviations of the observations."""
STRIDE = 8
CHOICE_ACCURACY = 3e-3
"""`ACCURACY` of the solutions by which the smoothing is chosen: only observed pixels count, which settle soon."""
ROUNDS = 400
"""Conjugate gradients at most, on the grid itself; half as many on each coarser one."""
_SHARED = 2**18
"""Values from which on a transform is worth several threads."""
_COARSEST = 12
"""Pixels along an axis that is halved no more."""
_ROBUST_ROUNDS = 3
_BISQUARE = 4.685
"""Tuning constant of Tukey's bisquare: 95 % efficient for Gaussian errors (Garcia 2010, eq. 23)."""


@dataclass(frozen=True, slots=True, eq=False)
class Smooth:
    """A smooth field and how it came about.

    Attributes
    ----------
    values : the field, everywhere, also in gaps
    s : smoothing parameter
    weights : of the observations in the end, 0-1; below those given only if `robust`
    iterations : of the last solution
    """

    values: Field
    s: float
    weights: Field
    iterations: int


def dct_pls(
    field: npt.ArrayLike,
    *,
    s: float | None = None,
    weights: npt.ArrayLike | None = None,
    robust: bool = False,
    steps: Sequence[float] | None = None,
) -> Smooth:
    """Smooth a field and carry it over its gaps.

    Parameters
    ----------
    field : of any dimension, NaN in gaps; for space and time (time, row, column), dates at even steps
    s : smoothing parameter; by generalised cross-validation without it
    weights : of the observations, 0-1, like `field`; 1 without them
    robust : give outliers less weight (bisquare, three rounds)
    steps : length of a pixel along each axis in units of the first one with 1; all 1 without them

    Raises
    ------
    DataError
        If nothing is observed.
    """
    given = np.asarray(field, np.float32)
    seen = np.isfinite(given)
    weight = np.where(seen, 1 if weights is None else np.asarray(weights, np.float32), 0).astype(np.float32)
    if not weight.any():
        msg = "The field to be filled holds no value at all; widen the area, or give dates on which there is one"
        raise DataError(msg)
    observed, centre, scale = _standardised(given, weight)
    widths = [1.0] * given.ndim if steps is None else list(steps)
    problem = _Problem(eigenvalues(given.shape, widths))
    chosen = problem.choose(observed, weight) if s is None else s
    smooth, rounds = _solved(observed, weight, chosen, widths)
    used = weight
    for _ in range(_ROBUST_ROUNDS if robust else 0):
        used = weight * _bisquare(observed - smooth, weight > 0, _leverage(chosen, given.ndim))
        chosen = problem.choose(observed, used) if s is None else s
        smooth, rounds = _solved(observed, used, chosen, widths)
    return Smooth(smooth * np.float32(scale) + np.float32(centre), float(chosen), used, rounds)


def eigenvalues(shape: Sequence[int], steps: Sequence[float] | None = None) -> Field:
    """Eigenvalues of the squared Laplacian with mirrored edges, in the order of the cosine transform (type 2).

    Those of the second difference along an axis of n points are 2 cos(pi k / n) - 2 (Garcia 2010, eq. 12).
    """
    widths = [1.0] * len(shape) if steps is None else list(steps)
    lines = [(2 * np.cos(np.pi * np.arange(n) / n) - 2) / width**2 for n, width in zip(shape, widths, strict=True)]
    laplacian = reduce(np.add.outer, lines)
    return np.asarray(laplacian**2, np.float32)


class _Problem:
    """The normal equations of one shape."""

    def __init__(self, squared: Field) -> None:
        self.squared = squared
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        self.workers = cores if squared.size > _SHARED else 1

    def transform(self, field: Field) -> Field:
        """Return the cosine transform."""
        spectrum: Field = fft.dctn(field, type=2, norm="ortho", workers=self.workers)
        return spectrum

    def back(self, spectrum: Field) -> Field:
        """Return the field of a cosine transform."""
        field: Field = fft.idctn(spectrum, type=2, norm="ortho", workers=self.workers)
        return field

    def solve(
        self,
        observed: Field,
        weight: Field,
        s: float,
        start: Field,
        accuracy: float = ACCURACY,
        rounds: int = ROUNDS,
    ) -> tuple[Field, int]:
        """Solve (W + s L'L) z = W y from `start`; returns z and the number of rounds.

        Directions are carried in both forms, field and spectrum, which saves one of four transforms a round.
        """
        roughness = np.float32(s) * self.squared
        preconditioner = 1 / (weight.mean(dtype=np.float64).astype(np.float32) + roughness)
        right = weight * observed
        z, before = start.copy(), start
        residual = right - weight * z - self.back(roughness * self.transform(z))
        goal = accuracy**2 * max(_dot(right, right), float(np.finfo(np.float32).tiny))
        direction, spectrum, last = np.zeros_like(z), np.zeros_like(z), 1.0
        for count in range(rounds):
            if count % STRIDE == 0:
                settled = accuracy > ACCURACY or (count > 0 and float(np.abs(z - before).max()) < SETTLED)
                if settled and _dot(residual, residual) <= goal:
                    return z, count
                before = z.copy()
            ahead = preconditioner * self.transform(residual)
            gradient = self.back(ahead)
            steepness = _dot(residual, gradient)
            if steepness <= 0:  # nothing is left of the residual
                return z, count
            conjugacy = np.float32(steepness / last if count else 0)
            direction = gradient + conjugacy * direction
            spectrum = ahead + conjugacy * spectrum
            image = weight * direction + self.back(roughness * spectrum)
            step = np.float32(steepness / _dot(direction, image))
            z += step * direction
            residual -= step * image
            last = steepness
        return z, rounds

    def choose(self, observed: Field, weight: Field) -> float:
        """Choose s by generalised cross-validation over the observations.

        The trace of the influence matrix is estimated from one random vector of +-1 (Hutchinson 1990, Commun. Stat.
        Simul. Comput. 19, 433-450), which holds with gaps; the sum of H's diagonal (Garcia 2010) does not.
        """
        n = float((weight > 0).sum())
        probe = np.random.default_rng(0).integers(0, 2, observed.shape).astype(np.float32) * 2 - 1
        probe *= np.sqrt(weight)
        states = {"field": _nearest(observed, weight), "probe": np.zeros_like(observed)}

        def score(exponent: float) -> float:
            s = 10.0**exponent
            states["field"], _ = self.solve(observed, weight, s, states["field"], CHOICE_ACCURACY)
            scaled = np.divide(probe, weight, out=np.zeros_like(probe), where=weight > 0)
            states["probe"], _ = self.solve(scaled, weight, s, states["probe"], CHOICE_ACCURACY)
            error = observed - states["field"]
            trace = _dot(probe, states["probe"])
            return _dot(weight * error, error) / n / max(1 - trace / n, 1e-6) ** 2

        bounds = (np.log10(RANGE[0]), np.log10(RANGE[1]))
        found = minimize_scalar(score, bounds=bounds, method="bounded", options={"xatol": 0.2})
        return float(10.0**found.x)


def _solved(
    observed: Field, weight: Field, s: float, widths: Sequence[float], rounds: int = ROUNDS
) -> tuple[Field, int]:
    """Solve on ever finer grids, each from the solution on the one before."""
    halves = [2 if n > _COARSEST else 1 for n in observed.shape]
    if max(halves) == 1:
        start = _nearest(observed, weight)
    else:
        coarser = _halved(observed, weight, halves)
        wider = [width * half for width, half in zip(widths, halves, strict=True)]
        below, _ = _solved(*coarser, s, wider, rounds // 2)
        start = _doubled(below, halves, observed.shape)
    return _Problem(eigenvalues(observed.shape, widths)).solve(observed, weight, s, start, rounds=rounds)


def _halved(observed: Field, weight: Field, halves: Sequence[int]) -> tuple[Field, Field]:
    """Average observations by their weights over 2 pixels along the axes that are halved, and the weights."""
    padding = [(0, n % half) for n, half in zip(observed.shape, halves, strict=True)]
    w = np.pad(weight, padding)
    split = [size for n, half in zip(w.shape, halves, strict=True) for size in (n // half, half)]
    inner = tuple(range(1, 2 * w.ndim, 2))
    total = np.pad(weight * observed, padding).reshape(split).sum(axis=inner)
    mass = w.reshape(split).sum(axis=inner)
    mean = np.divide(total, mass, out=np.zeros_like(total), where=mass > 0)
    return mean, mass / np.float32(np.prod(halves))


def _doubled(field: Field, halves: Sequence[int], shape: Sequence[int]) -> Field:
    """Interpolate linearly between pixel centres to the grid that was halved."""
    for axis, (half, n) in enumerate(zip(halves, shape, strict=True)):
        if half == 1:
            continue
        place = np.clip((np.arange(n) + 0.5) / 2 - 0.5, 0, field.shape[axis] - 1)
        low = np.minimum(place.astype(int), field.shape[axis] - 2)
        share = (place - low).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(len(shape))])
        field = field.take(low, axis) * (1 - share) + field.take(low + 1, axis) * share
    return field


def _standardised(given: Field, weight: Field) -> tuple[Field, float, float]:
    """Shift and scale to mean 0 and standard deviation 1 over the observations; 0 in gaps."""
    seen = weight > 0
    centre = float(given[seen].mean(dtype=np.float64))
    scale = float(given[seen].std(dtype=np.float64))
    scale = scale if scale > 1e-6 * abs(centre) else 1.0  # constant but for rounding
    return np.where(seen, (given - centre) / scale, 0).astype(np.float32), centre, scale


def _nearest(observed: Field, weight: Field) -> Field:
    """Give every gap the value of the observation next to it."""
    if (weight > 0).all():
        return observed.copy()
    nearest = distance_transform_edt(weight == 0, return_distances=False, return_indices=True)
    start: Field = observed[tuple(nearest)]
    return start


def _bisquare(residual: Field, seen: npt.NDArray[np.bool_], leverage: float) -> Field:
    """Weights of studentised residuals (Garcia 2010, eqs. 20-23)."""
    known = residual[seen]
    spread = 1.4826 * float(np.median(np.abs(known - np.median(known)))) * np.sqrt(max(1 - leverage, 1e-6))
    scaled = residual / np.float32(_BISQUARE * max(spread, np.finfo(np.float32).eps))
    return np.where(np.abs(scaled) < 1, (1 - scaled**2) ** 2, 0).astype(np.float32)


def _leverage(s: float, dimensions: int) -> float:
    """Mean leverage of an observation without gaps, approximately (Garcia 2010, eq. 21)."""
    root = np.sqrt(1 + 16 * s)
    return float((np.sqrt(1 + root) / np.sqrt(2) / root) ** dimensions)


def _dot(a: Field, b: Field) -> float:
    return float(np.einsum("i,i->", a.ravel(), b.ravel(), dtype=np.float64))
