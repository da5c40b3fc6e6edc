"""How much each training row counts: cells whose predictors are alike inside tell more of what their mean means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from zoo.errors import DataError, UsageError

Weights = Literal["homogeneity"]
"""Ways to weigh rows."""

SPREAD = "spread_"
"""Prefix of the columns with the standard deviation of a predictor within the cell."""


def check_weights(text: str | None) -> Weights | None:
    """Return a way to weigh rows, or refuse an unknown one; None or `none` weighs all alike."""
    if text in (None, "none"):
        return None
    for known in get_args(Weights):
        if text == known:
            return text  # type: ignore[return-value]
    msg = f"--weights {text!r} is unknown; expected none, {', '.join(get_args(Weights))}"
    raise UsageError(msg)


def homogeneity(means: npt.ArrayLike, spreads: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Weigh cells by how little their predictors differ inside, against how much they differ between cells.

    A model that is not linear learns from the mean of a cell what holds for a point with these predictors; that is
    the further off the more the cell holds. Weight = 1 / (1 + mean over predictors of (s / S)^2), s the standard
    deviation within the cell and S that of the means between the cells.

    Parameters
    ----------
    means, spreads : (n, k), mean and standard deviation of each predictor within each cell

    Returns
    -------
    (n,), with mean 1; predictors that are the same in all cells have no say
    """
    between = np.asarray(means, np.float64).std(axis=0)
    told = between > 0
    ratio = np.asarray(spreads, np.float64)[:, told] / between[told]
    weight = 1 / (1 + (ratio**2).mean(axis=1)) if told.any() else np.ones(len(ratio))
    return np.asarray(weight / weight.mean())


def weights_of(
    rows: pd.DataFrame, features: Sequence[str], how: Weights | None, what: str
) -> npt.NDArray[np.float64] | None:
    """Weigh rows with the features as columns, and beside them `spread_<feature>`; None if all count alike.

    Parameters
    ----------
    rows : the rows that are learnt from
    features : predictors
    how : way to weigh
    what : where the rows come from, for messages

    Raises
    ------
    DataError
        If a spread is not there.
    """
    if how is None:
        return None
    columns = [f"{SPREAD}{name}" for name in features]
    missing = [name for name in columns if name not in rows.columns]
    if missing:
        msg = (
            f"--weights {how} needs how much predictors differ inside each cell, and {what} lacks {missing[0]}; make "
            "it anew with zoo stack or zoo table, or leave --weights out"
        )
        raise DataError(msg)
    return homogeneity(rows[list(features)].to_numpy(float), rows[columns].to_numpy(float))
