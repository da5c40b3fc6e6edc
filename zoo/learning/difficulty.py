"""How far a model's answers may be off, below and above: a small model of its errors on rows that it did not see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from zoo.learning.interval import Interval

__all__ = ["Difficulty", "HeldOut", "learn"]

Floats = npt.NDArray[np.float64]

_MOST_ROWS = 20_000
"""Rows that a difficulty model is learnt from; further ones are left out at random."""
_SPREADS = 3.0
"""Standard deviations beyond which a predictor changes a width no further."""
_FLOOR = 1e-3
"""Smallest residual told from none, m3 m-3: widths are learnt on a logarithmic scale."""
_ROUNDED = 0.2
"""Part of the mean residual over which the corner of the quantile's loss is rounded, so that it has a slope there."""
_POWERS = (-20.0, 5.0)
"""Logarithms of widths, m3 m-3, that the search for coefficients may try."""
_DRY = 0.03
"""Added to soil moisture before its logarithm is taken, m3 m-3: about the noise of a reference."""
_PENALTIES = (1.0, 0.3, 10.0)
_LEAN_PENALTIES = (0.3, 0.1)
"""On squared coefficients, standardised: dissimilarity, soil moisture, and each predictor; of the lean its constant
and soil moisture.

Residuals hang together within groups, so that few of thousands of rows say anything new, and what predictors say of
the error seldom holds in the next place. Chosen on groups left out of calibration, of the tables that
`benchmarks/uncertainty.py` scores; 0.3 lies between 0.1 and 1, each of which did better on some tables.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Difficulty:
    """How far answers may be off below and above, from standardised terms; see `zoo.learning.interval.Interval`.

    Attributes
    ----------
    slopes : (1 + terms,), of the power, the constant first
    lean : (2,), constant, and coefficient of soil moisture, the second of the terms
    limits, lean_limits : range of both on the rows learnt from
    """

    slopes: Floats
    lean: Floats
    limits: tuple[float, float]
    lean_limits: tuple[float, float]

    def parts(self, terms: Floats) -> tuple[Floats, Floats]:
        """How far answers with terms (n, terms) may be off below and above, (n,) each, m3 m-3, before calibration."""
        power = np.clip(_sum(self.slopes, terms), *self.limits)
        lean = np.clip(_sum(self.lean, terms[:, 1:2]), *self.lean_limits)
        return np.exp(power - lean), np.exp(power + lean)


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Held-out rows, as a difficulty model takes them.

    Attributes
    ----------
    terms : (n, 2 + k), what widths depend on: dissimilarity, soil moisture and predictors, standardised
    penalty : (2 + k,), on the coefficient of each
    middle, spread : (2 + k,), that they were standardised by
    error : (n,), observed minus predicted, m3 m-3
    groups : number of groups
    weight : (n,), of a row; groups weigh alike
    centre, reach : (k,), of the predictors; see `Interval`
    cap : dissimilarity index beyond which a width grows no further
    adaptive : whether widths differ from row to row
    """

    terms: Floats
    penalty: Floats
    middle: Floats
    spread: Floats
    error: Floats
    groups: int
    weight: Floats
    centre: Floats
    reach: Floats
    cap: float
    adaptive: bool

    @classmethod
    def of(
        cls, X: Any, y: Any, predicted: Any, index: Any, groups: Any, *, cap: float, clip: Any, adaptive: bool
    ) -> HeldOut:
        """Take rows: predictors X (n, k), soil moisture, what was predicted and the index (n,), and groups (n,)."""
        given, observed, answers = (np.asarray(values, np.float64) for values in (X, y, predicted))
        answers, near = np.clip(answers, *clip), np.asarray(index, np.float64)
        cap = float(min(cap, near.max()))
        centre, reach = given.mean(axis=0), _SPREADS * given.std(axis=0)
        cut = np.clip(given - centre, -reach, reach)
        terms = np.column_stack([np.minimum(near, cap), np.log(answers + _DRY), cut])
        middle, spread = terms.mean(axis=0), terms.std(axis=0)
        spread = np.where(spread > 1e-12 * (1 + np.abs(middle)), spread, np.inf)
        penalty = np.array([*_PENALTIES[:2], *[_PENALTIES[2]] * given.shape[1]])
        scaled = (terms - middle) / spread
        labels, member, size = np.unique(groups, return_inverse=True, return_counts=True)
        weight, error = 1 / size[member.ravel()], observed - answers
        return cls(scaled, penalty, middle, spread, error, len(labels), weight, centre, reach, cap, adaptive)

    def interval(self, difficulty: Difficulty, level: float, factor: float) -> Interval:
        """Put coefficients of standardised terms into units."""
        raw = difficulty.slopes[1:] / self.spread
        leaning = float(difficulty.lean[1] / self.spread[1])
        return Interval(
            level=level,
            groups=self.groups,
            factor=factor,
            bias=float(difficulty.slopes[0] - raw @ self.middle),
            dissimilarity=(float(raw[0]), self.cap),
            answer=(float(raw[1]), _DRY),
            predictors=raw[2:],
            centre=self.centre,
            reach=self.reach,
            limits=difficulty.limits,
            lean=(float(difficulty.lean[0] - leaning * self.middle[1]), leaning),
            lean_limits=difficulty.lean_limits,
        )


def learn(rows: HeldOut, seen: npt.NDArray[np.bool_], level: float) -> Difficulty:
    """Learn how far an answer may be off on either side, so that each is gone beyond in (1 - level) / 2 of rows seen.

    Quantile regression (Koenker & Bassett 1978, Econometrica 46, 33) of both ends together, on a logarithmic scale,
    its loss rounded at the corner, with a penalty on the slopes. No interval is narrower for being farther from
    training.
    """
    from scipy.optimize import minimize

    place, terms = np.flatnonzero(seen), rows.terms.shape[1]
    if not rows.adaptive:
        return Difficulty(np.zeros(1 + terms), np.zeros(2), (0.0, 0.0), (0.0, 0.0))
    if len(place) > _MOST_ROWS:
        place = place[np.linspace(0, len(place) - 1, _MOST_ROWS).astype(np.intp)]
    loss = _Loss.of(rows, place, level)
    start = np.zeros(3 + terms)
    start[0] = np.log(np.quantile(np.abs(loss.error), level) + _FLOOR)
    bounds = [(None, None), (0, None), *[(None, None)] * (1 + terms)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    slopes, lean = found[: 1 + terms], found[1 + terms :]
    powers, leans = _sum(slopes, loss.terms), _sum(lean, loss.terms[:, 1:2])
    return Difficulty(slopes, lean, _usual(powers), _usual(leans))


@dataclass(frozen=True, slots=True, eq=False)
class _Loss:
    """What both ends cost on average, over the mean residual, and the slopes of that."""

    terms: Floats
    error: Floats
    weight: Floats
    penalty: Floats
    beyond: float
    rounded: float

    @classmethod
    def of(cls, rows: HeldOut, place: npt.NDArray[np.intp], level: float) -> _Loss:
        error, weight = rows.error[place], rows.weight[place] / rows.weight[place].sum()
        scale = weight @ np.abs(error) + _FLOOR
        penalty = np.array([0, *rows.penalty, *_LEAN_PENALTIES])
        return cls(rows.terms[place], error, weight / scale, penalty, (1 - level) / 2, _ROUNDED * scale)

    def __call__(self, coefficients: Floats) -> tuple[float, Floats]:
        """Return the loss of coefficients (3 + terms,), slopes and lean, and its gradient."""
        split, wetness = 1 + self.terms.shape[1], self.terms[:, 1:2]
        power, lean = _sum(coefficients[:split], self.terms), _sum(coefficients[split:], wetness)
        pull = self.penalty * coefficients
        value, gradient = pull @ coefficients / 2, pull
        for side in (-1, 1):
            part = np.exp(np.clip(power + side * lean, *_POWERS))
            over = (part - side * self.error) / self.rounded
            value += self.rounded * self.weight @ (self.beyond * over + np.logaddexp(0, -over))
            steep = self.weight * part * (self.beyond - expit(-over))
            of_power, of_lean = (np.array([steep.sum(), *(columns.T @ steep)]) for columns in (self.terms, wetness))
            gradient = gradient + np.concatenate([of_power, side * of_lean])
        return float(value), gradient


def _sum(coefficients: Floats, terms: Floats) -> Floats:
    """Return a constant and a linear combination, (n,)."""
    return np.asarray(coefficients[0] + terms @ coefficients[1:])


def _usual(values: Floats) -> tuple[float, float]:
    """Return the range of all but the outermost values."""
    low, high = np.quantile(values, [0.005, 0.995])
    return float(low), float(high)
