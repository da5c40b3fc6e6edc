"""A prediction where predictors have gaps: filled, or answered by fallback models, and a code for every pixel."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo.errors import DataError, UsageError
from zoo.gapfill.ways import WAYS, Dated
from zoo.inference.patterns import FILLED, METHODS, NO_VALUE, OBSERVED, PatternSession, codes_of
from zoo.model.fallbacks import exported_kinds, open_fallbacks
from zoo.tiles.windows import FurtherBand
from zoo.writers import Band

if TYPE_CHECKING:
    from zoo.inference.runtime import Session
    from zoo.inputs import Request
    from zoo.registry import Resolved
    from zoo.stack import Stack

PATTERNS = "patterns"
METHOD = Band("method", "", "how the value was made", codes=METHODS)
REACH = 3.0
"""Pixels from an observation up to which predictors are filled where fallback models take what lies further in."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Bridged:
    """What a map is to be predicted with.

    Attributes
    ----------
    session, stack : with fallbacks and filled, as far as it was asked for
    further : the band `method`; empty if nothing was asked for
    pixels : pixels by how their value was made, counted while the map is predicted
    filled : filled pixels by layer
    """

    session: Session
    stack: Stack
    further: tuple[FurtherBand, ...] = ()
    pixels: Counter[str] = field(default_factory=Counter)
    filled: dict[str, int] = field(default_factory=dict)


def parse_ways(text: str | None, version: Resolved) -> tuple[str, ...]:
    """Read how gaps are bridged: `none`, or some of `temporal`, `dct-pls` and `patterns`, joined by commas.

    Without a text it is `patterns` for a model that has fallbacks, else none.

    Raises
    ------
    UsageError
        If a way is unknown.
    DataError
        If the model has no fallbacks for `patterns`.
    """
    known = (*WAYS, PATTERNS)
    has_fallbacks = bool(exported_kinds(version, "onnx"))
    if text is None:
        return (PATTERNS,) if has_fallbacks else ()
    asked = {part.strip() for part in text.split(",")} - {"none"}
    if unknown := sorted(asked.difference(known)):
        msg = f"--missing {unknown[0]!r} is not known; expected none, or some of {', '.join(known)} joined by commas"
        raise UsageError(msg)
    if PATTERNS in asked and not has_fallbacks:
        msg = (
            f"{version.ref} has no fallback models for --missing patterns; train it with: zoo train --patterns optical"
        )
        raise DataError(msg)
    return tuple(way for way in known if way in asked)


@contextmanager
def bridged(
    version: Resolved,
    session: Session,
    stack: Stack,
    ways: Sequence[str],
    *,
    day: date | None = None,
    series: Sequence[Dated] = (),
    reach: float | None = None,
    device: str = "auto",
) -> Iterator[Bridged]:
    """Bridge gaps in the predictors of a map for as long as the context lasts.

    Gaps are filled first, in time and then in space; what is left goes to fallback models. With both `dct-pls` and
    `patterns`, predictors are filled up to `REACH` pixels from an observation.

    Parameters
    ----------
    version, session, stack : what the map is predicted with
    ways : as `parse_ways` returns them
    day, series : of the map, and the layers on other dates, for `temporal` and for `dct-pls` in space and time
    reach : pixels, instead of `REACH` or no limit
    device : where fallback models run
    """
    fills = [way for way in WAYS if way in ways]
    with tempfile.TemporaryDirectory(prefix="zoo-gaps-") as folder:
        touched, filled = None, {}
        if fills:
            from zoo.gapfill.stack import fill_stack

            limit = reach if reach is not None else REACH if PATTERNS in ways else None
            done = fill_stack(stack, session.names, fills, Path(folder), day=day, series=series, reach=limit)
            stack, touched, filled = done.stack, done.touched, done.pixels
        if PATTERNS in ways:
            session = with_fallbacks(version, session, device)
        found = Bridged(session, stack, filled=filled)
        yield replace(found, further=(_method(found, touched),)) if ways else found


def with_fallbacks(version: Resolved, session: Session, device: str = "auto") -> PatternSession:
    """Return a session that answers rows with gaps by the fallbacks of a version."""
    return PatternSession(session, open_fallbacks(version, device))


def _method(bridged: Bridged, touched: npt.NDArray[np.bool_] | None) -> FurtherBand:
    """Make the band that says how each value was made."""

    def values(window: tuple[slice, slice], predictors: Floats, soil_moisture: Floats) -> npt.NDArray[Any]:
        rows = predictors.reshape(len(predictors), -1).T
        session = bridged.session
        codes = session.codes(rows) if isinstance(session, PatternSession) else codes_of(rows)
        codes = codes.reshape(soil_moisture.shape)
        if touched is not None:
            codes[touched[window] & (codes == OBSERVED)] = FILLED
        codes[np.isnan(soil_moisture)] = NO_VALUE
        for code, number in zip(*np.unique(codes, return_counts=True), strict=True):
            bridged.pixels[METHODS[int(code)]] += int(number)
        return codes

    return FurtherBand(METHOD, values)


def open_series(arguments: Sequence[str], request: Request | None, names: Sequence[str]) -> list[Dated]:
    """Open the layers on other dates: folders that `zoo stack` made, or with granules dates, YYYY-MM-DD.

    Raises
    ------
    UsageError
        If an argument is neither, or a date is given without granules.
    """
    from zoo.inputs import open_stack
    from zoo.stack.folder import StackFolder

    series = []
    for argument in arguments:
        if Path(argument).is_dir():
            made = StackFolder.open(Path(argument))
            series.append(Dated(made.record.date, made.only(names)))
            continue
        try:
            day = date.fromisoformat(argument)
        except ValueError as error:
            msg = f"--series {argument!r} is neither a folder made by zoo stack nor a date YYYY-MM-DD"
            raise UsageError(msg) from error
        if request is None:
            msg = f"--series {argument} needs granules; with --stack give folders made by zoo stack"
            raise UsageError(msg)
        there = replace(request, selection=replace(request.selection, date=day))
        series.append(Dated(day, open_stack(there, names)))
    return series
