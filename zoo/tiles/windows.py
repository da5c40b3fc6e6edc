"""A map window by window: read the predictors, predict, mask, count; and a second pass for the correction."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo.progress import task
from zoo.stack.opened import OpenedStack
from zoo.tiles.pipeline import Overlap, ahead
from zoo.tiles.spool import spool

if TYPE_CHECKING:
    import xarray as xr

    from zoo.correction import Mode
    from zoo.inference.runtime import Session
    from zoo.prediction import Prediction
    from zoo.stack import Stack
    from zoo.writers import Band

INTERVAL = ("soil_moisture_lower", "soil_moisture_upper")
DOMAIN = "dissimilarity_index"
UNCERTAINTY = (*INTERVAL, DOMAIN)
"""Further outputs of a model, where it has them: the ends of the interval, and how far a pixel is from the training."""

SAMPLED = 101
"""One pixel in so many is compared with the training where nobody asks for more: the comparison can cost more than
a compressed model's answer."""

Window = tuple[slice, slice]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Answered = tuple[Window, Floats | None, Mask | None, dict[str, npt.NDArray[Any]]]
"""A window, its predictors (k, h, w), where open water is (h, w), and the model's answers, row by row."""


@dataclass(frozen=True, slots=True)
class FurtherBand:
    """A band made window by window of the predictors and the finished values.

    Attributes
    ----------
    band : name, units, codes
    values : called with the window, the predictors (k, h, w) in the model's order, and the finished soil moisture
        (h, w, NaN where masked), gives (h, w); NaN (of codes 0) where there is no value
    """

    band: Band
    values: Callable[[Window, Floats, Floats], npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a model's domain ends, and whether every pixel is compared with the training or a sample.

    Attributes
    ----------
    threshold : dissimilarity from which on a pixel is out of the domain
    whole : whether the dissimilarity of every pixel is asked for
    """

    threshold: float
    whole: bool

    @classmethod
    def of(cls, session: Session, extras: Sequence[str], strict: float | None) -> Domain | None:
        """Return what the model says; None if it has no dissimilarity and nobody asks for it, else DataError."""
        whole = strict is not None or DOMAIN in extras
        session.check_extras([*extras, *([DOMAIN] if whole and DOMAIN not in extras else [])])
        if DOMAIN not in session.extras or "aoa_threshold" not in session.metadata:
            return None
        return cls(float(session.metadata["aoa_threshold"]), whole)

    def compare(
        self, session: Session, rows: npt.NDArray[Any], found: Mapping[str, npt.NDArray[Any]], done: Prediction
    ) -> None:
        """Count those of the rows that have a value into `done`."""
        if self.whole:
            done.compare(found[DOMAIN], self.threshold)
            return
        answered = np.flatnonzero(np.isfinite(found["soil_moisture"]))[::SAMPLED]
        if answered.size:
            done.compare(session.answers(rows[answered], [DOMAIN])[DOMAIN], self.threshold)


def asked_of(extras: Sequence[str], domain: Domain | None) -> list[str]:
    """Return the further outputs to ask a model for: the extras, and what the comparison of all pixels needs."""
    return [*extras, *([DOMAIN] if domain is not None and domain.whole and DOMAIN not in extras else [])]


@dataclass(slots=True)
class MapMaker:
    """Reads windows of a stack, predicts them, and counts what came out into `done`.

    Attributes
    ----------
    names : predictors in the model's order
    extras, further : bands after soil moisture
    domain : of the model, None if it has none
    """

    session: Session
    stack: Stack
    names: list[str]
    extras: tuple[str, ...]
    further: tuple[FurtherBand, ...]
    domain: Domain | None
    done: Prediction

    def windows(self, overlap: Overlap) -> Generator[tuple[Window, Floats | None], None, None]:
        """Yield windows with their bands (b, h, w), soil moisture first; None for a window without any value.

        Memory does not grow with the map.
        """
        height, width = self.stack.geobox.shape.yx
        with (
            OpenedStack(self.stack, self.names, gaps=self.session.fills_gaps) as opened,
            task("predicting", height * width, unit="pixels") as advance,
            closing(self._answered(opened, overlap)) as answered,
        ):
            for window, predictors, wet, found in answered:
                size = (window[0].stop - window[0].start) * (window[1].stop - window[1].start)
                self.done.pixels += size
                self.done.water += 0 if wet is None else int(wet.sum())
                yield window, None if predictors is None else self._bands(window, predictors, wet, found)
                advance(size)

    def _answered(self, opened: OpenedStack, overlap: Overlap) -> Generator[Answered, None, None]:
        """Read and predict, in the order of the windows."""
        waiting = overlap.waiting_for(opened.window_bytes)
        if self.session.side_by_side and overlap.side_by_side(len(opened.windows), opened.window_bytes):
            yield from ahead(
                lambda window: self._answer(*opened.read(window)),
                opened.windows,
                threads=overlap.workers,
                waiting=waiting,
            )
        else:
            for read in ahead(opened.read, opened.windows, threads=overlap.readers, waiting=waiting):
                yield self._answer(*read)

    def _answer(self, window: Window, predictors: Floats | None, wet: Mask | None) -> Answered:
        if predictors is None:
            return window, None, wet, {}
        rows = predictors.reshape(len(self.names), -1).T
        if wet is not None and not self.session.fills_gaps:
            rows[wet.ravel()] = np.nan  # need not be answered
        return window, predictors, wet, self.session.answers(rows, asked_of(self.extras, self.domain))

    def _bands(
        self, window: Window, predictors: Floats, wet: Mask | None, found: dict[str, npt.NDArray[Any]]
    ) -> Floats:
        """Mask, count, and put the bands of a window together."""
        if wet is not None:
            for name, values in found.items():
                values[wet.ravel()] = False if name == "out_of_range" else np.nan
        self.done.count(found)
        if self.domain is not None:
            rows = predictors.reshape(len(self.names), -1).T
            self.domain.compare(self.session, rows, found, self.done)
        shape = predictors.shape[1:]
        bands = [found[name].reshape(shape) for name in ("soil_moisture", *self.extras)]
        bands += [one.values(window, predictors, bands[0]) for one in self.further]
        return np.stack(bands).astype(np.float32, copy=False)


def corrected(
    made: Generator[tuple[Window, Floats | None], None, None],
    maker: MapMaker,
    coarse: xr.DataArray,
    mode: Mode,
    path: Path,
    **options: Any,
) -> Generator[tuple[Window, Floats | None], None, None]:
    """Take all windows, bring their means over coarse cells to the sensor's, and yield those with values again.

    The map is held as a whole; what lies over it waits in a file beside `path`. `options` are those of
    `zoo.correction.correct`.
    """
    from zoo.correction import correct

    stack, clip = maker.stack, maker.session.clip
    whole = np.full(stack.geobox.shape.yx, np.nan, np.float32)
    kept: list[Window] = []
    with spool(path.parent) as others:
        for window, values in made:
            if values is not None:
                whole[window] = values[0]
                others.put(values[1:])
                kept.append(window)
        fine, report = correct(whole, stack.geobox, coarse, mode, clip, **options)
        maker.done.correction = asdict(report)
        maker.done.predicted = int(np.isfinite(fine).sum())
        for window in kept:
            bands = np.concatenate([fine[window][None], others.take()])
            _move_interval(bands, maker.extras, whole[window], clip)
            yield window, bands


def _move_interval(bands: Floats, extras: Sequence[str], before: Floats, clip: tuple[float, float]) -> None:
    """Let the interval follow the map to where the correction brought it."""
    if not set(INTERVAL) <= set(extras):
        return
    from zoo.learning.conformal import shifted

    low, high = (1 + list(extras).index(name) for name in INTERVAL)
    bands[low], bands[high] = shifted(bands[low], bands[high], before, bands[0], clip)
