"""Which predictors tell of what a model is asked for, and which only name what training knows already.

A predictor that hardly changes within a place (soil, elevation, land cover) tells a flexible model which station it
is at. That is knowledge where the same places are asked for at other times, and a trap in places not seen: with 28
stations, thirteen such values fit anything. The same holds for what hardly differs between places at one time (a day
of the year, air temperature): finely resolved it names the day, which helps in new places on known days and misleads
on other days. What is true of a table is not guessed but tried, by an inner cross-validation that mirrors the
declared use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, ndtri

from zoo.learning.splits import Fold, Use, check_use, folds_for, units_for

STATIC_SHARE = 0.05
"""A predictor is static if less than this share of its variance lies within places."""
LEVEL_ROWS = 50
"""A predictor has few values if each comes with this many rows, on average."""
STEPS = 16, 96
"""Steps in which a predictor of many values is resolved, one for `LEVEL_ROWS` rows: at least, or it is not tried, and
at most."""
STEP_EDGES = 0.005, 0.995
"""Quantiles between which they lie."""
ROWS = 6000
FOLDS, DEALS = 4, 6
STATIC_PROOF, LEVEL_PROOF = 1.28, 1.0
"""Standard errors that a gain must come to. Static predictors do most harm and must be sure of theirs at 90 %,
one-sided: at one error, chance (the seed of rows, folds and units) decided on one real table of five."""
LEAST_UNITS = 2 * FOLDS
"""Fewer groups are too few to tell a gain from chance: nothing is left out, and no value gets a code."""
SIGMOIDS = 200
PENALTIES = 10.0 ** np.arange(5)
SCORE_LIMITS = 2.0, 4.0
"""Normal scores and standard scores are clipped here."""

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which predictors are worth learning from, and how.

    Attributes
    ----------
    kept : (k,), at least one is True
    levels : (k,) predictors worth a code for each of their few values, or for each of many fine steps
    reasons : what was found, by column
    """

    kept: Flags
    levels: Flags
    reasons: dict[int, str]


def select_features(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    places: npt.ArrayLike | None = None,
    times: npt.ArrayLike | None = None,
    use: Use = "space",
    seed: int = 0,
) -> Selection:
    """Leave out static predictors that do not help where the model will be used; find single values that do.

    Judged by the error of a cheap stand-in for the network (`SIGMOIDS` random sigmoid units beside the inputs, under
    a ridge) over `DEALS` times `FOLDS` inner folds. All static predictors are tried as one block first, then, if it
    stays, each alone; what is not static is never left out. Then codes for single values are tried, of predictors of
    few values and of those that name what is known: the time in new places, the place at other times. A gain counts
    from `STATIC_PROOF` and `LEVEL_PROOF` standard errors of the paired differences by group.

    Parameters
    ----------
    X, y : rows (n, k) and target (n,)
    groups : (n,) what inner folds never part
    places : (n,) within which a predictor may be static, for example stations; the groups without it
    times : (n,) needed for use `both`; without it nothing is tried for use `time`
    use : inner folds mirror it (`zoo.learning.splits.folds_for`); for `time` places are known, and nothing is left out
    seed : of rows, folds and random units

    Raises
    ------
    UsageError, DataError
        If `use` is unknown, or `both` comes without times or with too few.
    """
    check_use(use)
    inputs, target = np.asarray(X, float), np.asarray(y, float)
    group, place = _codes(groups), _codes(groups if places is None else places)
    time = None if times is None else _codes(times)
    levelled = few_valued(inputs) | _naming(inputs, place, time, use)
    static = np.zeros_like(levelled) if use == "time" else static_features(inputs, place)
    static &= not static.all()
    plain = Selection(np.ones_like(levelled), np.zeros_like(levelled), {})
    if (use == "time" and time is None) or not (static | levelled).any() or np.ptp(target) == 0:
        return plain
    rows = _sample(inputs, target, group, time, seed)
    group, time = group[rows], None if time is None else time[rows]
    unit = _codes(units_for(use, group, time))
    if unit.max() + 1 < LEAST_UNITS:
        return plain
    deals = [folds_for(use, group, time, FOLDS + (use == "time") * number, seed + number) for number in range(DEALS)]
    trial = Trial(inputs[rows], target[rows], unit, deals, seed)
    return _take_levels(trial, _leave_out_static(trial, static), levelled)


def within_share(X: Floats, places: Labels) -> Floats:
    """Variance within places over all variance, (k,); places with one row say nothing; 1 where it is not known.

    The analysis-of-variance estimate, with n - g and n - 1 degrees of freedom.
    """
    _, place, sizes = np.unique(places, return_inverse=True, return_counts=True)
    repeated = sizes[place] > 1
    X = X[repeated]
    _, place, sizes = np.unique(place[repeated], return_inverse=True, return_counts=True)
    n, g = len(place), len(sizes)
    if g < 2 or n < 2 * g:
        return np.ones(X.shape[1])
    X = X - X.mean(axis=0)
    means = np.stack([np.bincount(place, column) for column in X.T], axis=1) / sizes[:, None]
    total = (X**2).sum(axis=0) / (n - 1)
    within = ((X - means[place]) ** 2).sum(axis=0) / (n - g)
    return np.asarray(np.divide(within, total, out=np.ones_like(total), where=total > 0))


def static_features(X: Floats, places: Labels) -> Flags:
    """Which predictors are (nearly) constant within places, (k,)."""
    return np.asarray(within_share(X, places) < STATIC_SHARE)


def few_valued(X: Floats) -> Flags:
    """Which predictors have at least three values, and on average `LEVEL_ROWS` rows for each, (k,)."""
    counts = np.array([len(np.unique(column)) for column in X.T])
    return (counts > 2) & (counts * LEVEL_ROWS <= len(X))


class Trial:
    """Inner cross-validation of sets of predictors by a cheap stand-in for the network.

    Parameters
    ----------
    X, y : rows
    unit : (n,) what the paired differences are taken by
    deals : inner folds, several times
    """

    def __init__(self, X: Floats, y: Floats, unit: Labels, deals: Sequence[Sequence[Fold]], seed: int) -> None:
        self.X, self.y, self.unit, self.deals, self.seed = X, y - y.mean(), unit, deals, seed
        self.scores = [_scores(column) for column in X.T]
        self._known: dict[bytes, Floats] = {}

    def errors(self, kept: Flags, levels: Flags) -> Floats:
        """Squared error of each unit over the variance of all, mean of the deals; (g,)."""
        key = kept.tobytes() + levels.tobytes()
        if key not in self._known:
            scores = np.concatenate([self.scores[j] for j in np.flatnonzero(kept)], axis=1)
            values = [_indicators(self.X[:, j]) for j in np.flatnonzero(levels)]
            squares = [self._squares(scores, values, folds, number) for number, folds in enumerate(self.deals)]
            by_unit = np.bincount(self.unit, np.mean(squares, axis=0))
            self._known[key] = np.asarray(by_unit / (self.y @ self.y))
        return self._known[key]

    def _squares(self, scores: Floats, values: list[Floats], folds: Sequence[Fold], number: int) -> Floats:
        rng = np.random.default_rng([self.seed, number])
        mixing = rng.normal(0, 2 / np.sqrt(scores.shape[1]), (scores.shape[1], SIGMOIDS))
        design = np.concatenate([scores, expit(scores @ mixing + rng.normal(size=SIGMOIDS)), *values], axis=1)
        spread = design.std(axis=0)
        design = (design - design.mean(axis=0)) / np.where(spread > 0, spread, 1)
        squares = np.full((len(PENALTIES), len(self.y)), self.y**2)
        for seen, held_out in folds:
            answers = _ridge(design[seen], self.y[seen], design[held_out])
            squares[:, held_out] = (self.y[held_out] - answers) ** 2
        return np.asarray(squares[squares.sum(axis=1).argmin()])


@dataclass(frozen=True, slots=True)
class Gain:
    """How much more lowers the error against less, as a part of the variance, and its standard error."""

    value: float
    error: float

    def proven(self, errors: float) -> bool:
        """Tell whether it comes to so many standard errors."""
        return self.value > 0 and self.value >= errors * self.error

    def __str__(self) -> str:
        return f"gain {self.value:+.3f} of the variance, standard error {self.error:.3f}"


def gain(more: Floats, less: Floats) -> Gain:
    """Compare errors by unit, (g,)."""
    difference = less - more
    return Gain(float(difference.sum()), float(np.sqrt(len(difference)) * difference.std(ddof=1)))


def _leave_out_static(trial: Trial, static: Flags) -> Selection:
    """Take the block of static predictors if it proves itself, then drop single ones that do not.

    A useless predictor hides what the others are worth: a block that gains, but not surely, is tried without its
    weakest, too.
    """
    kept, none = np.ones_like(static), np.zeros_like(static)
    if not static.any():
        return Selection(kept, none, {})
    reasons: dict[int, str] = {}
    without = trial.errors(~static, none)
    whole = block = gain(trial.errors(kept, none), without)
    while not block.proven(STATIC_PROOF):
        if block.value <= 0 or (kept & static).sum() == 1:
            return Selection(~static, none, dict.fromkeys(_columns(static), f"static, as a block {whole}"))
        kept = _without(kept, _weakest(trial, kept, static, reasons)[0])
        block = gain(trial.errors(kept, none), without)
    while (kept & static).any():
        weakest, proven = _weakest(trial, kept, static, reasons)
        if proven:
            reasons.pop(weakest)
            break
        kept = _without(kept, weakest)
    return Selection(kept, none, {**reasons, **dict.fromkeys(_columns(kept & static), f"static, as a block {block}")})


def _weakest(trial: Trial, kept: Flags, static: Flags, reasons: dict[int, str]) -> tuple[int, bool]:
    """Find the static predictor of least proof, note its gain, and tell whether it has proven itself."""
    none = np.zeros_like(static)
    alone = {j: gain(trial.errors(kept, none), trial.errors(_without(kept, j), none)) for j in _columns(kept & static)}
    weakest = min(alone, key=lambda j: alone[j].value - STATIC_PROOF * alone[j].error)
    reasons[weakest] = f"static, alone {alone[weakest]}"
    return weakest, alone[weakest].proven(STATIC_PROOF)


def _naming(X: Floats, place: Labels, time: Labels | None, use: Use) -> Flags:
    """Which predictors of many values name what is known: the time for `space`, the place for `time`, (k,)."""
    known = {"space": time, "time": place, "both": None}[use]
    if known is None or len(X) < STEPS[0] * LEVEL_ROWS:
        return np.zeros(X.shape[1], bool)
    return static_features(X, known)


def _take_levels(trial: Trial, selection: Selection, levelled: Flags) -> Selection:
    """Give the values of a predictor codes of their own where that proves itself."""
    kept, levels, reasons = selection.kept, selection.levels, dict(selection.reasons)
    before = trial.errors(kept, levels)
    alone = {j: gain(trial.errors(kept, _with(levels, j)), before) for j in _columns(levelled & kept)}
    for j in sorted(alone, key=lambda j: alone[j].error - alone[j].value):
        more = gain(trial.errors(kept, _with(levels, j)), trial.errors(kept, levels))
        if more.proven(LEVEL_PROOF):
            levels = _with(levels, j)
            reasons[j] = "; ".join([*([reasons[j]] if j in reasons else []), f"single values, {more}"])
    return Selection(kept, levels, reasons)


def _columns(flags: Flags) -> list[int]:
    return [int(j) for j in np.flatnonzero(flags)]


def _with(flags: Flags, column: int) -> Flags:
    return np.asarray(flags | (np.arange(len(flags)) == column))


def _without(flags: Flags, column: int) -> Flags:
    return np.asarray(flags & (np.arange(len(flags)) != column))


def _codes(labels: npt.ArrayLike) -> Labels:
    return np.unique(np.asarray(labels), return_inverse=True)[1].ravel()


def _sample(X: Floats, y: Floats, group: Labels, time: Labels | None, seed: int) -> Labels:
    """Choose at most `ROWS` rows; the order in which rows come has no effect."""
    keys = (y, *X.T[::-1], group)
    order = np.lexsort(keys if time is None else (time, *keys))
    if len(y) <= ROWS:
        return order
    return order[np.sort(np.random.default_rng(seed).choice(len(y), ROWS, replace=False))]


def _scores(x: Floats) -> Floats:
    """Return the normal score and the standard score of a predictor, both clipped; (n, 2)."""
    _, which, count = np.unique(x, return_inverse=True, return_counts=True)
    share = (np.cumsum(count) - count / 2) / len(x)
    spread = x.std()
    scores = ndtri(share)[which], (x - x.mean()) / (spread if spread > 0 else 1)
    return np.stack([np.clip(score, -limit, limit) for score, limit in zip(scores, SCORE_LIMITS, strict=True)], axis=1)


def steps_between(x: Floats) -> Floats:
    """Return quantiles of a predictor of many values, each to be told from the next, (at most STEPS + 1,)."""
    count = int(np.clip(len(x) / LEVEL_ROWS, *STEPS))
    return np.unique(np.quantile(x, np.linspace(*STEP_EDGES, count + 1)))


def _indicators(x: Floats) -> Floats:
    """Return for each value of a predictor where it is, or for each step how far it is climbed; (n, values)."""
    values = np.unique(x)
    if len(values) * LEVEL_ROWS <= len(x):
        return np.asarray(x[:, None] == values, float)
    edges = steps_between(x)
    return np.asarray(np.clip((x[:, None] - edges[:-1]) / np.diff(edges), 0, 1))


def _ridge(design: Floats, y: Floats, asked: Floats) -> Floats:
    """Answers of ridge regression for each of `PENALTIES`, (p, q); `design` has means near 0."""
    centre = y.mean()
    products, moments = design.T @ design, design.T @ (y - centre)
    diagonal = np.diag(products).copy()
    slopes = np.empty((len(moments), len(PENALTIES)))
    for number, penalty in enumerate(PENALTIES):
        np.fill_diagonal(products, diagonal + penalty)
        slopes[:, number] = cho_solve(cho_factor(products), moments)
    return np.asarray((asked @ slopes).T + centre)
