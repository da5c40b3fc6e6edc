"""Folds that mirror what a model is for: places not seen, times not seen, or both.

For `space` no group is on both sides: a score is one in new places, at known times. For `time` the rows are cut into
stretches of time; those of the later half are held out one by one, and each is predicted from all that came before: a
score is one at later times, in known places. (Learning from both sides of a stretch flatters models that recognise its
neighbours.) For `both` some groups are held out at one such stretch, and the other groups before it are learnt from.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from zoo.errors import DataError, UsageError

Use = Literal["space", "time", "both"]
"""What a model is asked for: new places, later times in known places, or new places at later times."""
USES: tuple[Use, ...] = get_args(Use)

TIME_FOLDS = 3
"""Stretches of time that are held out for `both`, and for `time` where no number of folds is given."""
TIME_UNITS = 24
"""Stretches of time, at most, that are resampled for the interval of a score at new times."""

Fold = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
"""Row numbers to train on, and to test on."""


def check_use(use: str) -> Use:
    """Return a use, or refuse an unknown one."""
    for known in USES:
        if use == known:
            return known
    msg = f"--for {use!r} is unknown; expected {', '.join(USES)}"
    raise UsageError(msg)


def folds_for(
    use: Use, groups: npt.NDArray[Any], times: npt.NDArray[Any] | None, folds: int | None, seed: int
) -> list[Fold]:
    """Make the folds that mirror a use.

    Parameters
    ----------
    use : what the model is for
    groups : (n,), rows of one label are one place
    times : (n,), time of each row; not needed for `space`
    folds : of groups, or held-out stretches for `time`; None makes one a group, or `TIME_FOLDS` stretches
    seed : of the deal of groups; stretches of time follow one another and are not dealt

    Raises
    ------
    DataError
        If there are too few groups or times, or no times where they are needed.
    """
    check_use(use)
    if use == "space":
        return leave_group_out(groups, folds, seed)
    if times is None:
        msg = f"--for {use} needs the time of each row; give --times COLUMN with a table, or rows of several days"
        raise DataError(msg)
    if use == "time":
        return later_times(times, TIME_FOLDS if folds is None else folds)
    later = later_times(times, TIME_FOLDS)
    crossed = [
        (np.setdiff1d(before, held_out), np.intersect1d(stretch, held_out))
        for _, held_out in leave_group_out(groups, folds, seed)
        for before, stretch in later
    ]
    return [(seen, tested) for seen, tested in crossed if len(seen) and len(tested)]


def later_times(times: npt.NDArray[Any], folds: int) -> list[Fold]:
    """Cut rows into twice as many stretches as folds; hold out those of the later half, and learn from all before."""
    number = stretches(times, 2 * folds)
    return [(np.flatnonzero(number < k), np.flatnonzero(number == k)) for k in range(folds, 2 * folds)]


def stretches(times: npt.NDArray[Any], count: int) -> npt.NDArray[np.intp]:
    """Cut rows into stretches of consecutive times with about equally many rows each.

    Returns
    -------
    (n,) number of each row's stretch, 0 for the earliest; rows of one time are in one stretch

    Raises
    ------
    DataError
        If there are fewer times than stretches, or fewer than two stretches.
    """
    labels, inverse, sizes = np.unique(times, return_inverse=True, return_counts=True)
    if len(labels) < count or count < 2:
        msg = (
            f"{len(times)} rows at {len(labels)} times cannot make {count} stretches of time; "
            "expected at least 2 and a time for each: give rows of more days, or fewer --folds"
        )
        raise DataError(msg)
    order = np.arange(count - 1)
    first = np.searchsorted(np.cumsum(sizes), len(times) * (order + 1) / count) + 1
    # a time with very many rows would swallow a stretch: each gets at least one time
    first = np.minimum(np.maximum.accumulate(first - order) + order, len(labels) - (count - 1) + order)
    number = np.searchsorted(first, np.arange(len(labels)), side="right")
    return np.asarray(number[inverse.ravel()], dtype=np.intp)


def units_for(use: Use, groups: npt.NDArray[Any], times: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    """Return what is resampled as a whole for intervals, (n,): stretches of time for `time`, groups else."""
    if use != "time" or times is None:
        return groups
    return stretches(times, min(TIME_UNITS, len(np.unique(times))))


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
