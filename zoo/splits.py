"""Folds that never part the rows of one group: a score from them is a score in places not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import DataError

Fold = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
"""Row numbers to train on, and to test on."""


def deal(groups: npt.NDArray[Any], folds: int, seed: int) -> npt.NDArray[np.intp]:
    """Deal groups into folds of about equal size: largest first, ties shuffled by the seed.

    Returns
    -------
    (n,) fold number of each row
    """
    labels, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros(folds, dtype=np.intp)
    fold_of = np.empty(len(labels), dtype=np.intp)
    for label in order:
        fold_of[label] = np.argmin(filled)
        filled[fold_of[label]] += sizes[label]
    return fold_of[inverse]


def leave_group_out(groups: npt.NDArray[Any], folds: int | None, seed: int) -> list[Fold]:
    """Make the folds for `groups` (n,): one a distinct value, or `folds` of them with whole groups in each.

    Raises
    ------
    DataError
        If there are fewer rows or groups than folds, or fewer than two folds.
    """
    labels, number = np.unique(groups, return_inverse=True)
    wanted = len(labels) if folds is None else folds
    if len(groups) < wanted or len(labels) < wanted or wanted < 2:
        msg = (
            f"{len(groups)} rows in {len(labels)} groups cannot make {wanted} folds; "
            "expected at least 2 folds and a group for each: give more data, a larger --area, or fewer --folds"
        )
        raise DataError(msg)
    fold = number if folds is None else deal(groups, folds, seed)
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(wanted)]
