"""Triple collocation: the errors of three data sets of one quantity, none of which is the truth.

Each is alpha + beta * truth + error, the errors independent of the truth and of one another. Source: Gruber et al.
2016, Int. J. Appl. Earth Obs. Geoinf. 45, 200 (covariance notation, signal-to-noise ratio in dB); McColl et al.
2014, Geophys. Res. Lett. 41, 6229 (correlation with the truth).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo.errors import DataError
from zoo.scores.resampling import RESAMPLES, draw, interval_of, units_of

__all__ = ["Collocated", "triple_collocation"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Collocated:
    """What triple collocation says of one data set; None where the covariances contradict the model.

    Attributes
    ----------
    name : label of the data set
    snr_db : signal-to-noise ratio, 10 log10(var(signal) / var(error)), dB
    snr_low, snr_high : its 95 % interval; an end is None where it is unbounded
    error : standard deviation of the random error, in the data set's own scale
    error_scaled : the same in the scale of the first data set
    beta : factor that brings the data set to the scale of the first
    r : correlation with the truth
    n : sample size
    """

    name: str
    snr_db: float | None
    snr_low: float | None
    snr_high: float | None
    error: float | None
    error_scaled: float | None
    beta: float | None
    r: float | None
    n: int


def triple_collocation(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    z: npt.ArrayLike,
    *,
    names: Sequence[str] = ("x", "y", "z"),
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Collocated]:
    """Estimate the error of each of three collocated data sets.

    Parameters
    ----------
    x, y, z : (n,), one quantity, errors independent; rows that lack one of them are left out
    names : labels
    groups : (n,), rows with one label are resampled together
    seed, resamples : of the bootstrap behind the intervals

    Raises
    ------
    DataError
        If the arrays differ in length or fewer than 3 complete rows are left.
    """
    values = [np.asarray(part, dtype=np.float64).ravel() for part in (x, y, z)]
    if len({part.size for part in values}) > 1:
        msg = f"Triple collocation needs arrays of one length; got {', '.join(str(part.size) for part in values)}"
        raise DataError(msg)
    kept = np.isfinite(values).all(axis=0)
    table = np.stack(values, axis=1)[kept]
    if len(table) < 3:
        msg = (
            f"Triple collocation needs 3 or more complete rows; got {len(table)}; give data sets of one time and place"
        )
        raise DataError(msg)
    labels = None if groups is None else np.unique(np.asarray(groups).ravel()[kept], return_inverse=True)[1].ravel()
    units = units_of(len(table), labels, np.random.default_rng(seed))
    sums = _sums(table, units)
    weights = draw(len(sums), resamples, seed)
    return [_collocated(index, name, sums, weights, len(table)) for index, name in enumerate(names)]


def _sums(table: Array, units: npt.NDArray[np.intp]) -> Array:
    """Count, sums and sums of products by unit, (units, 10), about the means."""
    about = table - table.mean(axis=0)
    products = [about[:, i] * about[:, j] for i in range(3) for j in range(i, 3)]
    columns = [np.ones(len(table)), *about.T, *products]
    return np.stack([np.bincount(units, weights=column) for column in columns], axis=1)


def _covariances(sums: Array) -> Array:
    """Sample covariances, (m, 3, 3)."""
    n, means = sums[:, 0], sums[:, 1:4] / sums[:, :1]
    covariances = np.empty((len(sums), 3, 3))
    column = 4
    for i in range(3):
        for j in range(i, 3):
            value = (sums[:, column] / n - means[:, i] * means[:, j]) * n / (n - 1)
            covariances[:, i, j] = covariances[:, j, i] = value
            column += 1
    return covariances


def _signal(sums: Array, index: int) -> tuple[Array, Array]:
    """Variance of the signal in a data set, s_ij s_ik / s_jk, and of all of it."""
    c = _covariances(sums)
    j, k = (other for other in range(3) if other != index)
    return c[:, index, j] * c[:, index, k] / c[:, j, k], c[:, index, index]


def _noise(sums: Array, index: int) -> Array:
    """Noise-to-signal ratio, var(error) / var(signal), whose spread is nearly the same whatever its value."""
    signal, total = _signal(sums, index)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total / signal - 1)


def _decibel(noise: float) -> float | None:
    """Signal-to-noise ratio in dB; None where the noise is not positive."""
    return -10 * math.log10(noise) if noise > 0 else None


def _collocated(index: int, name: str, sums: Array, weights: Array | None, n: int) -> Collocated:
    whole = sums.sum(axis=0, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        signal, total = (part[0] for part in _signal(whole, index))
        covariances = _covariances(whole)[0]
        other = next(k for k in (1, 2) if k != index)
        beta = 1.0 if index == 0 else float(covariances[0, other] / covariances[index, other])
        error = float(np.sqrt(total - signal))
        r = float(np.sqrt(signal / total))
        noise = float(_noise(whole, index)[0])
    ends = interval_of(sums, weights, lambda some: _noise(some, index)) if noise > 0 else None
    return Collocated(
        name=name,
        snr_db=_decibel(noise),
        snr_low=_decibel(ends[1]) if ends else None,
        snr_high=_decibel(ends[0]) if ends else None,
        error=_known(error),
        error_scaled=_known(error * abs(beta)),
        beta=_known(beta),
        r=_known(r if r <= 1 else float("nan")),
        n=n,
    )


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
