"""A layer of a day from the same layer on days before and after, linear in time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import numpy as np

from zoo.gapfill.dct_pls import Field


def between(series: Iterable[tuple[date, Field]], day: date) -> Field:
    """Interpolate a layer linearly in time, pixel by pixel, between the nearest values before and after a day.

    Parameters
    ----------
    series : dates, in any order, with the layer on them, NaN where missing; one of them may be the day itself
    day : the day wanted

    Returns
    -------
    The layer on that day: as observed where it was, NaN where there is no value on one of the sides: nothing is carried
    on beyond the last observation.
    """
    given = sorted(series, key=lambda entry: abs((entry[0] - day).days))
    shape = given[0][1].shape
    before, after = (np.full(shape, np.nan, np.float32) for _ in range(2))
    since, until = (np.zeros(shape, np.float32) for _ in range(2))
    for moment, layer in given:
        for side, distance, wanted in ((before, since, moment <= day), (after, until, moment >= day)):
            new = np.isnan(side) & np.isfinite(layer) if wanted else None
            if new is not None:
                side[new] = layer[new]
                distance[new] = abs((moment - day).days)
    span = since + until
    share = np.divide(since, span, out=np.zeros(shape, np.float32), where=span > 0)
    values: Field = before + (after - before) * share
    return values
