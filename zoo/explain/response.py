"""How a model's answer changes with one predictor: partial dependence and the pixels' own curves.

Sources: Friedman 2001, Ann. Stat. 29, 1189 (partial dependence); Goldstein et al. 2015, J. Comput. Graph. Stat. 24,
44 (individual curves, here about their own mean).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.inference.runtime import Session
    from zoo.stack import Stack

__all__ = ["Response", "partial_dependence", "sample_stack"]

Array = npt.NDArray[np.float64]
PIXELS = 300
STEPS = 25
SPAN = (0.02, 0.98)
"""Quantiles of the map between which a predictor is changed."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to one predictor.

    Attributes
    ----------
    predictor, units : which
    values : (s,) what it was set to
    mean : (s,) mean answer over the pixels, m3 m-3
    low, high : (s,) 10 % and 90 % of the pixels' curves, each moved to the mean of all
    deciles : (9,) of the predictor on the map
    seen : lowest and highest value in training
    """

    predictor: str
    units: str
    values: Array
    mean: Array
    low: Array
    high: Array
    deciles: Array
    seen: tuple[float, float]


def sample_stack(stack: Stack, names: list[str], pixels: int = PIXELS, seed: int = 0) -> npt.NDArray[np.float32]:
    """Draw pixels of a stack at random, (n, k), those without open water and with all predictors.

    Raises
    ------
    DataError
        If there is none.
    """
    values = stack.read(None, names).reshape(len(names), -1).T
    whole = np.isfinite(values).all(axis=1)
    water = stack.read_water()
    if water is not None:
        whole &= ~(water.ravel() > 0.5)
    rows = np.flatnonzero(whole)
    if not rows.size:
        msg = f"The stack has no pixel with all of {', '.join(names)}; check its layers"
        raise DataError(msg)
    chosen = np.random.default_rng(seed).permutation(rows)[:pixels]
    drawn: npt.NDArray[np.float32] = values[np.sort(chosen)]
    return drawn


def partial_dependence(session: Session, X: npt.NDArray[np.float32], steps: int = STEPS) -> list[Response]:
    """Change one predictor after the other over the range of the map and ask the compiled model.

    Parameters
    ----------
    session : the model
    X : (n, k) pixels, in the order of the model's features
    steps : values that each predictor is set to
    """
    return [_response(session, X, column, steps) for column in range(X.shape[1])]


def _response(session: Session, X: npt.NDArray[np.float32], column: int, steps: int) -> Response:
    feature: Any = session.features[column]
    own = X[:, column].astype(np.float64)
    low, high = np.quantile(own, SPAN)
    values = np.linspace(float(low), float(high), steps)
    changed = np.repeat(X[None], steps, axis=0)
    changed[:, :, column] = values[:, None]
    answers = session.predict(changed.reshape(-1, X.shape[1]))[0].reshape(steps, len(X)).astype(np.float64)
    mean = answers.mean(axis=1)
    centred = answers - answers.mean(axis=0) + mean.mean()
    lower, upper = np.quantile(centred, [0.1, 0.9], axis=1)
    deciles = np.quantile(own, np.arange(1, 10) / 10)
    return Response(feature.name, feature.units, values, mean, lower, upper, deciles, (feature.min, feature.max))
