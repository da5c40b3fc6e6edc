"""Values at the stations on one day: what was measured, and what every field says there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from zoo.granules import Selection
from zoo.matching.pairs import values_at

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["DEPTH", "at_stations"]

DEPTH = (0.0, 0.05)
"""Metres; the network's probes of 3 cm."""


def at_stations(stations: pd.DataFrame | None, day: date, fields: Mapping[str, xr.DataArray | None]) -> pd.DataFrame:
    """Return one row a station: station, lon, lat, in_situ (mean of the day, UTC) and a column a field, m3 m-3.

    A station counts for itself even where it shares a pixel with another, as in the paper; NaN where there is
    nothing. Without stations the table is empty.
    """
    if stations is None:
        return pd.DataFrame(columns=["station", "lon", "lat", "in_situ", *fields], dtype=float)
    upper = stations[stations["depth"].isna() | stations["depth"].between(*DEPTH)]
    places = upper.groupby("station", as_index=False)[["lon", "lat"]].mean()
    period = Selection(day)
    today = upper[(upper["time"] >= period.start) & (upper["time"] < period.end)]
    means = today.groupby("station")["sm"].mean()
    table = places.assign(in_situ=places["station"].map(means).astype(float))
    for name, array in fields.items():
        table[name] = np.nan if array is None else values_at(array, table["lon"], table["lat"])
    return table
