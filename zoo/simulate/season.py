"""How far the ground, plants and temperature of a day are from those of late September, in which the scene is made.

Plain annual curves for a semi-arid steppe at 42 N, chosen to be plausible, not fitted: temperature a cosine with its
peak in mid July (annual range 34 K), rain and green in one summer peak. Frost, snow and thaw are not simulated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from zoo.simulate.fields import Field, Streams, single

_REFERENCE_DAY = 268
"""25 September."""
_WARMEST, _HALF_RANGE = 200, 17.0
_GREENEST, _GREEN_WIDTH, _ALWAYS_GREEN = 205, 65, 0.35
_WETTEST, _WET_WIDTH, _ALWAYS_WET = 215, 50, 0.7
_BARE = 0.10
"""NDVI of soil."""
_OF_THE_DAY = ("unobserved", "smap", "amsr2", "modis", "landsat")
"""Streams of chance that belong to weather and errors, not to the place."""


@dataclass(frozen=True, slots=True)
class Season:
    """A season against late September; the default is late September itself.

    Attributes
    ----------
    wetness : factor of the observable soil moisture
    greenness : factor of NDVI above that of soil
    warmth : K, added to surface temperature
    """

    wetness: float = 1.0
    greenness: float = 1.0
    warmth: float = 0.0

    @classmethod
    def of(cls, day: date) -> Season:
        """Return the season of a day; exactly the default on 25 September."""
        number = day.timetuple().tm_yday
        if number == _REFERENCE_DAY:
            return cls()
        return cls(
            _peak(number, _WETTEST, _WET_WIDTH, _ALWAYS_WET) / _peak(_REFERENCE_DAY, _WETTEST, _WET_WIDTH, _ALWAYS_WET),
            _peak(number, _GREENEST, _GREEN_WIDTH, _ALWAYS_GREEN)
            / _peak(_REFERENCE_DAY, _GREENEST, _GREEN_WIDTH, _ALWAYS_GREEN),
            _temperature(number) - _temperature(_REFERENCE_DAY),
        )

    def moistened(self, wet: Field) -> Field:
        """Soil moisture of the season, m3 m-3."""
        return wet if self.wetness == 1 else (wet * np.float32(self.wetness)).astype(np.float32)

    def grown(self, ndvi: Field) -> Field:
        """NDVI of the season."""
        if self.greenness == 1:
            return ndvi
        return single(np.clip(_BARE + (ndvi - _BARE) * self.greenness, 0.05, 0.9))

    def warmed(self, temperature: Field) -> Field:
        """Surface temperature of the season, K."""
        return temperature if self.warmth == 0 else (temperature + np.float32(self.warmth)).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """Numbers for the scene's description."""
        return {
            "wetness": round(self.wetness, 4),
            "greenness": round(self.greenness, 4),
            "warmth": round(self.warmth, 2),
        }


LATE_SEPTEMBER = Season()


def weathered(streams: Streams, seed: int, day: date) -> Mapping[str, np.random.Generator]:
    """Give the parts that change from day to day streams of their own; the landscape keeps its."""
    own = {name: np.random.default_rng([seed, day.toordinal(), number]) for number, name in enumerate(_OF_THE_DAY)}
    return {**streams, **own}


def _peak(day: int, middle: float, width: float, floor: float) -> float:
    return floor + (1 - floor) * math.exp(-(((day - middle) / width) ** 2))


def _temperature(day: int) -> float:
    return _HALF_RANGE * math.cos(2 * math.pi * (day - _WARMEST) / 365.25)
