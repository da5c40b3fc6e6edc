"""A cheaper input coding for one box of predictors: the same curves with as few knots as the answer allows."""

from __future__ import annotations

import numpy as np
import torch

from zoo_onnx.trained import Floats, Ramps, TrainedNetwork, as_codes

SHARES = (2.0, 1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.06, 0.0)
"""Deviations that a code may have, as shares of what alone would change the answer by the tolerance; tried in turn."""
ALLOWED = 0.5
"""Times the tolerance that the answers of 99.9 % of the rows may change by; the training that follows gains it back,
as it moves the knots, too."""


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
    slack = tolerance / np.maximum(network.sensitivity(codes), 1e-12)
    for share in SHARES:
        ramps = thinned(network.ramps, low, high, share * slack)
        with torch.no_grad():
            change = (network.answers(as_codes(ramps.encode(X))) - answers).abs().double().numpy()
        if np.quantile(change, 0.999) <= ALLOWED * tolerance:
            break
    return ramps


def thinned(ramps: Ramps, low: Floats, high: Floats, slack: Floats) -> Ramps:
    """Join ramps within a box; code c may deviate by `slack[c]`."""
    parts = [_thin_one(ramps, column, float(low[column]), float(high[column]), slack) for column in range(len(low))]
    knots, values = zip(*parts, strict=True)
    return Ramps(
        column=np.concatenate([np.full(len(x) - 1, column) for column, x in enumerate(knots)]),
        low=np.concatenate([x[:-1] for x in knots]),
        slope=np.concatenate([1 / np.diff(x) for x in knots]),
        mixing=np.concatenate([np.diff(value, axis=0) for value in values]),
        offset=ramps.encode(np.asarray(low, float)[None])[0],
    )


def _thin_one(ramps: Ramps, column: int, low: float, high: float, slack: Floats) -> tuple[Floats, Floats]:
    """Return the knots (h,) that are kept for one predictor, and all codes' values there, (h, c)."""
    own = np.flatnonzero(ramps.column == column)
    with np.errstate(divide="ignore"):
        ends = np.concatenate([ramps.low[own], ramps.low[own] + 1 / ramps.slope[own]])
    x = np.unique(np.clip(np.concatenate([[low, high], ends[np.isfinite(ends)]]), low, high))
    values = np.clip((x[:, None] - ramps.low[own]) * ramps.slope[own], 0, 1) @ ramps.mixing[own]
    kept = longest_chords(x, values, slack)
    return x[kept], values[kept]


def longest_chords(x: Floats, values: Floats, slack: Floats) -> list[int]:
    """Choose knots of a piecewise linear curve so that each chord leaves no value (n, c) further than `slack` (c,)."""
    kept = [0]
    while kept[-1] < len(x) - 1:
        start, end = kept[-1], kept[-1] + 1
        for candidate in range(start + 2, len(x)):
            share = ((x[start:candidate] - x[start]) / (x[candidate] - x[start]))[:, None]
            chord = values[start] + share * (values[candidate] - values[start])
            if (np.abs(chord - values[start:candidate]) <= slack).all():
                end = candidate
        kept.append(end)
    return kept
