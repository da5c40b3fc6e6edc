"""A cheaper input coding for one box of predictors: the same curves with as few knots as the answer allows.

Which knots of a curve to keep is solved exactly, by dynamic programming over all chords (Bellman 1961, Comm. ACM 4,
284); how many each predictor gets, by one price for a knot. What counts is the change of the network's answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from zoo_onnx.trained import Floats, Ramps, TrainedNetwork, as_codes

ALLOWED = 0.5
"""Share of what a certificate allows (the tolerance at most, half of it in 99.9 % of the rows) that the coding alone
may take; the training that follows gains some back, as it moves the knots, too."""
NORM = 4.0
"""Power in which changes are added up: with squares the rare ends of a predictor would count for nothing."""
STEADY = 0.01
"""Weight of the curve as it was, in rows, where knots are moved to fit it between them."""
CHEAPEST = 1e-18
"""Lowest price of a knot, in units of the highest."""
HALVINGS = 12
"""Of the span of prices on a logarithmic scale, in search of the highest that keeps to what is allowed."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """All codes of one predictor over its range, and what they do to the answer.

    Attributes
    ----------
    x : knots, (h,)
    values : codes there, (h, c)
    at : the predictor in n rows, (n,)
    effect : change of the answer with each code, m3 m-3, (n, c)
    """

    x: Floats
    values: Floats
    at: Floats
    effect: Floats

    def choices(self) -> tuple[Floats, list[list[int]]]:
        """Return the least norm of the answer's change with 1, 2, ... chords, (h - 1,), and the knots of each."""
        last = len(self.x) - 1
        cost = self._chords()
        reach, came = cost[0].copy(), [np.zeros(last + 1, int)]
        least, kept = [reach[last]], [[0, last]]
        for _ in range(1, last):
            through = reach[:, None] + cost
            came.append(through.argmin(axis=0))
            reach = through.min(axis=0)
            least.append(reach[last])
            kept.append(self._back(came))
        return np.array(least), kept

    def _back(self, came: list[np.ndarray[tuple[int], np.dtype[np.int64]]]) -> list[int]:
        """Follow the best chords from the end to the start."""
        knots = [len(self.x) - 1]
        for step in came[:0:-1]:
            knots.append(int(step[knots[-1]]))
        return sorted({0, *knots})

    def _chords(self) -> Floats:
        """Return what a chord from knot a to knot b adds to the norm, (h, h); infinite backwards."""
        order = np.argsort(self.at, kind="stable")
        at, effect = self.at[order], self.effect[order]
        truth = _interpolated(at, self.x, self.values)
        begin = np.searchsorted(at, self.x)
        cost = np.full((len(self.x), len(self.x)), np.inf)
        for a in range(len(self.x)):
            for b in range(a + 1, len(self.x)):
                part = slice(begin[a], begin[b])
                share = ((at[part] - self.x[a]) / (self.x[b] - self.x[a]))[:, None]
                off = self.values[a] + share * (self.values[b] - self.values[a]) - truth[part]
                cost[a, b] = (np.abs((off * effect[part]).sum(axis=1)) ** NORM).sum()
        return cost

    def fitted(self, kept: list[int]) -> Floats:
        """Return values at the kept knots, (len(kept), c), that are best between the knots, too: least squares."""
        x, start = self.x[kept], self.values[kept]
        left = np.clip(np.searchsorted(x, self.at, side="right") - 1, 0, len(x) - 2)
        share = (self.at - x[left]) / (x[left + 1] - x[left])
        hats = np.zeros((len(self.at), len(x)))
        rows = np.arange(len(self.at))
        hats[rows, left], hats[rows, left + 1] = 1 - share, share
        off = _interpolated(self.at, self.x, self.values) - hats @ start
        moved = start.copy()
        for code in range(start.shape[1]):
            weight = self.effect[:, code] ** 2
            if not weight.any():
                continue
            weighted = hats * (weight / weight.mean())[:, None]
            square = weighted.T @ hats + STEADY * np.eye(len(x))
            moved[:, code] += np.linalg.solve(square, weighted.T @ off[:, code])
        return moved


def thin_out(network: TrainedNetwork, X: Floats, low: Floats, high: Floats, tolerance: float) -> Ramps:
    """Find a coding with fewer ramps that changes the network's answers little.

    Parameters
    ----------
    network : the trained network
    X : (n, k), rows within the box
    low, high : the box, (k,); the coding is right within it only
    tolerance : m3 m-3
    """
    codes = as_codes(network.ramps.encode(X))
    with torch.no_grad():
        answers = network.answers(codes)
    effect = network.effects(codes)
    curves = [curve_of(network.ramps, j, float(low[j]), float(high[j]), X[:, j], effect) for j in range(X.shape[1])]
    choices = [curve.choices() for curve in curves]
    highest = max(float(least[0]) for least, _ in choices) or 1.0
    allowed, refused = np.log(highest * CHEAPEST), np.log(highest)
    kept = [list(range(len(curve.x))) for curve in curves]
    for _ in range(HALVINGS):
        price = (allowed + refused) / 2
        tried = [knots[int((least + np.exp(price) * np.arange(len(least))).argmin())] for least, knots in choices]
        with torch.no_grad():
            said = network.answers(as_codes(_joined(network.ramps, curves, tried).encode(X)))
        change = (said - answers).abs().double().numpy()
        if max(change.max(), 2 * np.quantile(change, 0.999)) <= ALLOWED * tolerance:
            allowed, kept = price, tried
        else:
            refused = price
    return _joined(network.ramps, curves, kept)


def curve_of(ramps: Ramps, column: int, low: float, high: float, at: Floats, effect: Floats) -> Curve:
    """Return one predictor's curve between `low` and `high` with all its knots."""
    own = np.flatnonzero(ramps.column == column)
    with np.errstate(divide="ignore"):
        ends = np.concatenate([ramps.low[own], ramps.low[own] + 1 / ramps.slope[own]])
    x = np.unique(np.clip(np.concatenate([[low, high], ends[np.isfinite(ends)]]), low, high))
    mixing = ramps.mixing[own]
    bent = np.flatnonzero(mixing.any(axis=0))
    values = np.clip((x[:, None] - ramps.low[own]) * ramps.slope[own], 0, 1) @ mixing[:, bent]
    return Curve(x, values, np.clip(at.astype(float), low, high), effect[:, bent])


def _joined(ramps: Ramps, curves: list[Curve], kept: list[list[int]]) -> Ramps:
    """Write curves with the kept knots as one coding, codes in the order of `ramps`."""
    column, low, slope, mixing = [], [], [], []
    offset = ramps.offset.astype(float).copy()
    for j, (curve, knots) in enumerate(zip(curves, kept, strict=True)):
        x, values = curve.x[knots], curve.fitted(knots)
        bent = np.flatnonzero(ramps.mixing[ramps.column == j].any(axis=0))
        offset[bent] += values[0]
        rise = np.zeros((len(x) - 1, len(offset)))
        rise[:, bent] = np.diff(values, axis=0)
        column.append(np.full(len(x) - 1, j))
        low.append(x[:-1])
        slope.append(1 / np.diff(x))
        mixing.append(rise)
    joined = [np.concatenate(part).astype(np.float64) for part in (low, slope, mixing)]
    return Ramps(np.concatenate(column), joined[0], joined[1], joined[2], offset)


def _interpolated(at: Floats, x: Floats, values: Floats) -> Floats:
    return np.column_stack([np.interp(at, x, value) for value in values.T]) if values.size else np.zeros((len(at), 0))
