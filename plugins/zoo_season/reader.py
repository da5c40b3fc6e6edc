"""The terms of the season as fields that are the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from zoo.errors import DataError, UnknownNameError
from zoo.grids import as_array
from zoo.predictors import LAYERS, SEASON, season_terms
from zoo.types import Area, Granule

_PIXEL = 0.02
"""Degrees."""
_MARGIN = 0.1
"""Degrees around the area, so that pixels at its edge are covered whole."""
_EARTH = 1.0
"""Degrees: pixel where no area is given."""


class SeasonReader:
    """Reader of the season; satisfies `zoo.types.PredictorReader` and `DatedReader`.

    Parameters
    ----------
    day : UTC; `at` gives it
    """

    def __init__(self, day: date | None = None) -> None:
        self._day = day

    def at(self, day: date) -> SeasonReader:
        """Return the reader of a day's season."""
        return SeasonReader(day)

    def granule(self, path: Path) -> Granule:
        """Refuse: the season has no files."""
        msg = f"{path.name} is no file of the season, which follows from the day alone; name no file for it"
        raise DataError(msg)

    def open(self, paths: Sequence[Path], layer: str, *, area: Area | None = None) -> Sequence[xr.DataArray]:
        """Return one array with the term of the season in all pixels.

        Parameters
        ----------
        paths : not used
        layer : `doy_sin` or `doy_cos`
        area : the place; the whole earth without it

        Raises
        ------
        UnknownNameError
            If the layer is none of the season's.
        DataError
            If the reader was not told the day.
        """
        if layer not in SEASON:
            kind = "layer of season"
            raise UnknownNameError(kind, layer, SEASON)
        if self._day is None:
            msg = "The season follows from the day, and none was given; give --date YYYY-MM-DD"
            raise DataError(msg)
        box = _around(area)
        attrs = {
            "units": LAYERS[layer].units,
            "long_name": LAYERS[layer].title,
            "product": "season",
            "granules": [f"season_{self._day:%Y%m%d}"],
        }
        return [as_array(np.full(box.shape.yx, season_terms(self._day)[layer]), box, layer, attrs)]


def _around(area: Area | None) -> GeoBox:
    """Return a grid that covers an area with a margin."""
    if area is None:
        return GeoBox((round(180 / _EARTH), round(360 / _EARTH)), Affine(_EARTH, 0, -180, 0, -_EARTH, 90), "EPSG:4326")
    west, north = area.west - _MARGIN, area.north + _MARGIN
    rows = math.ceil((north - area.south + _MARGIN) / _PIXEL)
    columns = math.ceil((area.east + _MARGIN - west) / _PIXEL)
    return GeoBox((rows, columns), Affine(_PIXEL, 0, west, 0, -_PIXEL, north), "EPSG:4326")
