"""Figures of `skill.py`: pooled scores by seed, and differences of R2 with intervals that resample whole units."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.scores.resampling import RESAMPLES, draw, interval_of

Array = npt.NDArray[np.float64]

PEERS = ("ridge", "rf paper", "rf tuned", "histgb")
DETERMINISTIC = ("mean", "ridge", "histgb")
"""Models that no seed changes."""


def summary(y: Array, models: dict[str, Array], units: npt.NDArray[np.intp]) -> dict[str, Any]:
    """Score the models on one sample, and compare them.

    Parameters
    ----------
    y : (n,) observed, m3 m-3
    models : by name their answers (seeds, n)
    units : (n,) what is resampled as a whole
    """
    scores = {name: _scores(y, answers) for name, answers in models.items()}
    number = np.unique(units, return_inverse=True)[1]
    found: dict[str, Any] = {"n": len(y), "units": int(number.max()) + 1, "models": scores}
    squares = {name: ((answers - y) ** 2).mean(axis=0) for name, answers in models.items()}
    for name, rivals in (("dbn", PEERS), ("auto", (*PEERS, "dbn"))):
        present = [rival for rival in rivals if rival in scores]
        if name in scores and present:
            best = max(present, key=lambda rival: scores[rival]["r2"])
            found[f"{name}_against"] = {
                rival: difference(y, squares[name], squares[rival], number) for rival in present
            } | {"best": best}
    return found


def difference(y: Array, a: Array, b: Array, number: npt.NDArray[np.intp]) -> dict[str, float | None]:
    """Return R2 of A minus R2 of B from their squared errors (n,), the mean of the seeds, with a 95 % interval."""
    columns = np.stack([np.ones_like(y), y, y**2, a, b], axis=1)
    sums = np.stack([np.bincount(number, column) for column in columns.T], axis=1)
    low, high = interval_of(sums, draw(len(sums), RESAMPLES, 0), _gain) or (None, None)
    return {"r2_difference": float(_gain(sums.sum(axis=0)[None])[0]), "ci_low": low, "ci_high": high}


def _gain(sums: Array) -> Array:
    """Compute the difference of R2 from sums (m, 5) of rows, y, y squared, and both squared errors."""
    n, total, square, a, b = sums.T
    return np.asarray((b - a) / (square - total**2 / n))


def _scores(y: Array, answers: Array) -> dict[str, Any]:
    """R, R2 = 1-SSE/SST and RMSE of each seed's pooled answers (seeds, n), their means, and the spread of R2."""
    with np.errstate(invalid="ignore"):
        r = [float(np.corrcoef(y, one)[0, 1]) if np.ptp(one) > 0 else float("nan") for one in answers]
    r2 = [float(1 - ((one - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()) for one in answers]
    rmse = [float(np.sqrt(((one - y) ** 2).mean())) for one in answers]
    return {
        "r": None if np.isnan(r).any() else float(np.mean(r)),
        "r2": float(np.mean(r2)),
        "rmse": float(np.mean(rmse)),
        "r2_by_seed": r2,
    }
