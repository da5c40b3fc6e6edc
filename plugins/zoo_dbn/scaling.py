"""Input codings: predictors in their own units to the numbers that a network likes.

Every coding is a sum of clipped ramps, `clip((x - low) * slope, 0, 1) @ mixing + offset`, so that one formula serves
training, prediction and ONNX. Beyond the training range a code stays at its edge. `low` is taken off before anything
is multiplied: an elevation of 1,400 m or a temperature of 300 K loses no digits in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from zoo.learning.feature_selection import LEVEL_ROWS, STEPS, Selection, steps_between
from zoo_dbn.rows import Floats

QUANTILE_LIMIT = 2.0
"""Normal scores are clipped here: the outer 2.3 % on either side count as equal."""
QUANTILE_KNOTS = 33
"""Knots of the quantile coding, evenly spaced in normal score."""
ZSCORE_LIMIT = 4.0
"""Standard scores are clipped here."""
BIN_EDGES = (0.005, 0.995)
"""Quantiles between which the bins lie."""
LEVEL_HEIGHT = 3.0
"""Code of a row that has the value; 0 from the neighbouring values on."""
BLOCK_ROWS = 4096


class Coding(NamedTuple):
    """Ramps and how they add up.

    Attributes
    ----------
    column : predictor that each of the r ramps looks at, (r,) int64
    low, slope : foot of the ramp in the predictor's units and 1 / width, (r,) float32
    mixing : (r, c) float32, from ramps to codes
    offset : (c,) float32
    """

    column: npt.NDArray[np.int64]
    low: npt.NDArray[np.float32]
    slope: npt.NDArray[np.float32]
    mixing: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]

    def encode(self, X: Floats) -> npt.NDArray[np.float64]:
        """Code predictors (n, k), given as float32, in double precision; (n, c)."""
        codes = np.empty((len(X), len(self.offset)))
        for start in range(0, len(X), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            ramps = (X[part][:, self.column].astype(float) - self.low) * self.slope
            codes[part] = np.clip(ramps, 0, 1, out=ramps) @ self.mixing.astype(float) + self.offset
        return codes


class Curve(NamedTuple):
    """A piecewise linear function of one predictor: values at knots, flat beyond them."""

    knots: Floats
    values: Floats


def fit_coding(X: Floats, weight: Floats, scaling: str) -> Coding:
    """Learn the coding named by `scaling`, one or more of `SCALINGS` joined with `+`.

    X (n, k), weight (n,) with mean 1.
    """
    return fit_codings(X, weight, [scaling])[0]


def fit_codings(
    X: Floats, weight: Floats, scalings: Iterable[str], selection: Selection | None = None
) -> tuple[Coding, list[npt.NDArray[np.intp]]]:
    """Learn one coding that holds several, each code once.

    Parameters
    ----------
    X, weight : (n, k), and (n,) with mean 1
    scalings : each as in `fit_coding`
    selection : which predictors are coded, and which of them by `levels`; all without it

    Returns
    -------
    The coding, and for each of `scalings` the numbers of its codes.
    """
    parts = [scaling.split("+") for scaling in scalings]
    kept = np.ones(X.shape[1], bool) if selection is None else selection.kept
    levels = kept if selection is None else selection.levels
    columns: list[tuple[int, Curve]] = []
    source: list[str] = []
    for name in dict.fromkeys(name for part in parts for name in part):
        looked_at = map(int, np.flatnonzero(levels if name == "levels" else kept))
        curves = [(j, curve) for j in looked_at for curve in SCALINGS[name](X[:, j].astype(float), weight)]
        columns += curves
        source += [name] * len(curves)
    return _assemble(columns, X.shape[1]), [np.flatnonzero(np.isin(source, part)) for part in parts]


def constant_columns(X: Floats) -> list[int]:
    """Return the predictors that never change."""
    return [int(j) for j in np.flatnonzero(X.min(axis=0) == X.max(axis=0))]


def _minmax(x: Floats, weight: Floats) -> Iterator[Curve]:
    yield Curve(np.array([x.min(), x.max()]), np.array([0.0, 1.0]))


def _zscore(x: Floats, weight: Floats) -> Iterator[Curve]:
    mean = np.average(x, weights=weight)
    reach = ZSCORE_LIMIT * np.sqrt(np.average((x - mean) ** 2, weights=weight))
    yield Curve(np.array([mean - reach, mean + reach]), np.array([-ZSCORE_LIMIT, ZSCORE_LIMIT]))


def _quantile(x: Floats, weight: Floats) -> Iterator[Curve]:
    values, share = _distribution(x, weight)
    wanted = ndtr(np.linspace(-QUANTILE_LIMIT, QUANTILE_LIMIT, QUANTILE_KNOTS))
    levels = np.unique(np.clip(wanted, share[0], share[-1]))
    yield Curve(np.interp(levels, share, values), ndtri(levels))


def _bins(x: Floats, weight: Floats) -> Iterator[Curve]:
    values, share = _distribution(x, weight)
    count = int(np.clip(np.sqrt(len(x)) / 10, 8, 16))
    edges = np.unique(np.interp(np.linspace(*BIN_EDGES, count + 1), share, values).astype(np.float32))
    yield from _thermometer(edges)


def _thermometer(edges: Floats) -> Iterator[Curve]:
    """Climb from 0 to 1 between each two edges."""
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        yield Curve(np.array([low, high], float), np.array([0.0, 1.0]))


def _levels(x: Floats, weight: Floats) -> Iterator[Curve]:
    values = np.unique(x)
    if len(values) > 2 * STEPS[0] and len(values) * LEVEL_ROWS > len(x):
        yield from _thermometer(steps_between(x.astype(float)))
        return
    for number, value in enumerate(values):
        around = values[max(number - 1, 0) : number + 2]
        yield Curve(around, np.where(around == value, LEVEL_HEIGHT, 0.0))


SCALINGS: dict[str, Callable[[Floats, Floats], Iterator[Curve]]] = {
    "minmax": _minmax,
    "zscore": _zscore,
    "quantile": _quantile,
    "bins": _bins,
    "levels": _levels,
}
"""Range to [0, 1]; standard score; rank to normal score; thermometer of ramps between quantiles; single values."""


def _distribution(x: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return the distinct values and the share of the weight below the middle of each."""
    values, which = np.unique(x, return_inverse=True)
    mass = np.bincount(which, weights=weight)
    return values, (np.cumsum(mass) - mass / 2) / mass.sum()


def _assemble(columns: list[tuple[int, Curve]], width: int) -> Coding:
    """Write curves, one a code, as ramps; a constant predictor becomes a ramp of slope 0.

    So does the last of the `width` predictors if no code looks at it: the ramps tell how many predictors there are.
    """
    ramps: list[tuple[int, np.float32, np.float32, int, float]] = []
    offset = np.zeros(len(columns), np.float32)
    for code, (column, curve) in enumerate(columns):
        knots, first = np.unique(curve.knots.astype(np.float32), return_index=True)
        values = curve.values[first]
        with np.errstate(over="ignore", divide="ignore"):
            slopes = np.float32(1) / np.diff(knots)
        if len(knots) < 2 or not np.isfinite(slopes).all():
            ramps.append((column, knots[0], np.float32(0), code, 0.0))
            continue
        offset[code] = values[0]
        rises = zip(knots[:-1], slopes, np.diff(values), strict=True)
        ramps += [(column, low, slope, code, float(gain)) for low, slope, gain in rises]
    if max(ramp[0] for ramp in ramps) < width - 1:
        ramps.append((width - 1, np.float32(0), np.float32(0), 0, 0.0))
    column_of, low_of, slope_of, code_of, gain_of = (np.array(part) for part in zip(*ramps, strict=True))
    mixing = np.zeros((len(ramps), len(columns)), np.float32)
    mixing[np.arange(len(ramps)), code_of] = gain_of
    return Coding(column_of.astype(np.int64), low_of, slope_of, mixing, offset)


def as_arrays(coding: Coding) -> dict[str, npt.NDArray[Any]]:
    """Return the coding as named arrays, for a network's state."""
    return {f"coding/{name}": array for name, array in coding._asdict().items()}


def from_arrays(state: Any) -> Coding:
    """Read back what `as_arrays` wrote."""
    return Coding(*(state[f"coding/{name}"] for name in Coding._fields))
