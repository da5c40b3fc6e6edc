"""Pixels to calibrate a compressed model by: a sample of a table's rows or of a stack's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt

PIXELS = 60_000
"""Pixels that are taken at most."""
PER_WINDOW = 5000
"""Pixels that one window of a stack gives at most, so that they come from all over it."""


def calibration_pixels(source: Path, names: Sequence[str], seed: int = 0) -> npt.NDArray[np.float32]:
    """Draw pixels at random, (n, k), predictors in the order of `names`; those with a missing one are left out.

    Parameters
    ----------
    source : a parquet or CSV table with these columns, or a folder of rasters as `zoo stack` writes it
    names : predictors
    seed : of the draw

    Raises
    ------
    DataError
        If a predictor is missing, or there is no pixel with all of them.
    """
    rng = np.random.default_rng(seed)
    pixels = _from_stack(source, list(names), rng) if source.is_dir() else _from_table(source, list(names), rng)
    if not len(pixels):
        msg = f"{source} has no pixel with all predictors ({', '.join(names)}); give another to --calibrate"
        raise DataError(msg)
    return pixels


def _from_table(path: Path, names: list[str], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    import pandas as pd

    from zoo.samples.rows import read_table

    table = read_table(path)
    missing = [name for name in names if name not in table.columns]
    if missing:
        msg = f"{path} has no column {', '.join(missing)}; the model takes {', '.join(names)}"
        raise DataError(msg)
    return _whole(table[names].apply(pd.to_numeric, errors="coerce").to_numpy(np.float32), rng, PIXELS)


def _from_stack(folder: Path, names: list[str], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    from zoo.prediction import windows
    from zoo.stack import Stack

    stack = Stack.from_folder(folder)
    stack.check(names)
    places = list(windows(stack.geobox.shape.yx))
    kept: list[npt.NDArray[np.float32]] = []
    each = max(PER_WINDOW, PIXELS // len(places) + 1)
    for place in rng.permutation(len(places)):
        kept.append(_whole(stack.read(places[place], names).reshape(len(names), -1).T, rng, each))
        if sum(map(len, kept)) >= PIXELS:
            break
    return _whole(np.concatenate(kept), rng, PIXELS)


def _whole(rows: npt.NDArray[np.float32], rng: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
    """Return at most `count` of the rows without a gap."""
    whole = rows[np.isfinite(rows).all(axis=1)]
    if len(whole) <= count:
        return whole
    return whole[np.sort(rng.choice(len(whole), count, replace=False))]
