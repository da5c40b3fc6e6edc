"""Which predictors are missing together, and a session that answers every pixel by the model of what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo.errors import IntegrityError
from zoo.inference.runtime import Session, as_predictors

if TYPE_CHECKING:
    from zoo.stack import Stack

__all__ = [
    "FALLBACK",
    "FILLED",
    "METHODS",
    "NO_VALUE",
    "OBSERVED",
    "Pattern",
    "PatternSession",
    "fewest",
    "patterns_of",
]

NO_VALUE, OBSERVED, FILLED, FALLBACK = 0, 1, 2, 3
METHODS = {
    NO_VALUE: "no_value",
    OBSERVED: "all_predictors_observed",
    FILLED: "predictors_gap_filled",
    FALLBACK: "fallback_model",
}
"""How a value was made, by code; where a fallback model used gap-filled predictors, the fallback is named."""

DISSIMILARITY, THRESHOLD = "dissimilarity_index", "aoa_threshold"
"""Output of a model and key of its metadata, where it has them."""

MIN_SHARE = 0.01
"""Share of land pixels from which on a pattern gets a model of its own."""
MOST = 8
"""Patterns with a model of their own; a further model takes all that is rarer."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A set of predictors that are missing together, and where.

    Attributes
    ----------
    missing : names in the order of the predictors; empty where all are there
    pixels : pixels (or rows) with exactly this set missing
    share : of all pixels that are land (or of all rows)
    """

    missing: tuple[str, ...]
    pixels: int
    share: float


def patterns_of(source: Stack | npt.NDArray[Any], names: Sequence[str]) -> list[Pattern]:
    """Count the patterns in which predictors are missing, the most frequent first.

    Parameters
    ----------
    source : a stack, read window by window without open water; or rows (n, k)
    names : of the predictors; k of them
    """
    counts: Counter[bytes] = Counter()
    for rows in [source] if isinstance(source, np.ndarray) else _land_pixels(source, names):
        sets, numbers = np.unique(packed(rows), return_counts=True)
        for code, number in zip(sets, numbers, strict=True):
            counts[code.tobytes()] += int(number)
    total = counts.total()
    return [
        Pattern(_unpacked(code, names), number, number / total)
        for code, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def packed(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return which predictors are missing in rows (n, k) as one number a row, (n,): bit i stands for column i.

    Up to 64 predictors are an integer; more are bytes.
    """
    bits = np.packbits(~np.isfinite(rows), axis=1, bitorder="little")
    width = next((size for size in (1, 2, 4, 8) if bits.shape[1] <= size), bits.shape[1])
    padded = np.zeros((len(bits), width), np.uint8)
    padded[:, : bits.shape[1]] = bits
    codes: npt.NDArray[Any] = padded.view(f"<u{width}" if width <= 8 else f"V{width}")[:, 0]
    return codes


def _unpacked(code: bytes, names: Sequence[str]) -> tuple[str, ...]:
    bits = np.unpackbits(np.frombuffer(code, np.uint8), bitorder="little", count=len(names))
    return tuple(name for name, bit in zip(names, bits, strict=True) if bit)


def _land_pixels(stack: Stack, names: Sequence[str]) -> Iterable[npt.NDArray[np.float32]]:
    from zoo.prediction import windows
    from zoo.stack.opened import MAX_WATER

    for window in windows(stack.geobox.shape.yx):
        rows = stack.read(window, names).reshape(len(names), -1).T
        water = stack.read_water(window)
        yield rows if water is None else rows[~(water.ravel() > MAX_WATER)]


def fewest(patterns: Sequence[Pattern], names: Sequence[str], share: float = MIN_SHARE) -> list[tuple[str, ...]]:
    """Choose the sets of predictors to do without: so few that every pixel with any predictor has a model.

    Every pattern of at least `share` gets its own, the `MOST` most frequent; one more leaves out all that is missing
    in any rarer pattern that none of these covers, as long as a predictor is left.
    """
    gaps = [pattern for pattern in patterns if 0 < len(pattern.missing) < len(names)]
    chosen = [pattern.missing for pattern in gaps if pattern.share >= share][:MOST]
    rest = [set(pattern.missing) for pattern in gaps if not any(set(pattern.missing) <= set(have) for have in chosen)]
    union = set().union(*rest)
    if union and len(union) < len(names):
        chosen.append(tuple(name for name in names if name in union))
    return chosen


class PatternSession(Session):
    """A model with its fallbacks: a row that lacks predictors is answered by the fallback that leaves out least.

    Parameters
    ----------
    whole : session of the model that takes all predictors
    fallbacks : sessions of models of the same target that take some of them

    Attributes
    ----------
    answered : rows so far that each fallback answered, by the predictors that it leaves out

    Raises
    ------
    IntegrityError
        If a fallback takes a predictor that the model does not.
    """

    fills_gaps = True
    side_by_side = False  # `answered` is counted by one thread

    def __init__(self, whole: Session, fallbacks: Sequence[Session]) -> None:
        strange = {name for session in fallbacks for name in session.names}.difference(whole.names)
        if strange:
            msg = f"A fallback takes {', '.join(sorted(strange))}, which the model does not; train both anew"
            raise IntegrityError(msg)
        self.whole = whole
        self.fallbacks = sorted(fallbacks, key=lambda session: -len(session.names))
        self.answered: Counter[str] = Counter()
        self.provider, self.header, self.metadata = whole.provider, whole.header, whole.metadata
        self.features, self.clip, self.target, self.extras = whole.features, whole.clip, whole.target, whole.extras

    def answers(
        self,
        X: npt.ArrayLike,
        extras: Sequence[str] = (),
        *,
        where: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.bool_]] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Predict row by row, as `zoo.inference.runtime.Session.answers`; NaN only where no model has its predictors.

        Extras that a fallback has not are NaN there. Its dissimilarity is scaled so that the threshold of the whole
        model is its own.
        """
        rows = as_predictors(X, self.names)
        found = self.whole.answers(rows, extras, where=where)
        for fallback, part in self._assigned(rows):
            own = [name for name in extras if name in fallback.extras]
            answers = fallback.answers(rows[part][:, self._columns(fallback)], own)
            if DISSIMILARITY in answers:
                answers[DISSIMILARITY] *= self._threshold_ratio(fallback)
            for name, values in answers.items():
                found[name][part] = values
            self.answered[self.left_out(fallback)] += len(part)
        return found

    def codes(self, X: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Say how rows (n, k) are answered: `OBSERVED`, `FALLBACK` or `NO_VALUE`, (n,)."""
        rows = as_predictors(X, self.names)
        codes = codes_of(rows)
        for _, part in self._assigned(rows):
            codes[part] = FALLBACK
        return codes

    def left_out(self, fallback: Session) -> str:
        """Name the predictors that a fallback does without."""
        return ", ".join(name for name in self.names if name not in fallback.names)

    def _columns(self, fallback: Session) -> list[int]:
        return [self.names.index(name) for name in fallback.names]

    def _threshold_ratio(self, fallback: Session) -> np.float32:
        return np.float32(float(self.metadata[THRESHOLD]) / float(fallback.metadata[THRESHOLD]))

    def _assigned(self, rows: npt.NDArray[Any]) -> Iterator[tuple[Session, npt.NDArray[np.intp]]]:
        """Yield the rows of each fallback: those that have its predictors, and not those of one with more."""
        missing = ~np.isfinite(rows)
        left = np.flatnonzero(missing.any(axis=1))
        for fallback in self.fallbacks:
            served = ~missing[left][:, self._columns(fallback)].any(axis=1)
            if served.any():
                yield fallback, left[served]
                left = left[~served]


def codes_of(rows: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Say of rows (n, k) which have all predictors, `OBSERVED`, and which have not, `NO_VALUE`, (n,)."""
    return np.where(np.isfinite(rows).all(axis=1), OBSERVED, NO_VALUE).astype(np.uint8)
