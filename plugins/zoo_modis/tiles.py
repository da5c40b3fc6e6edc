"""The tiles of the MODIS sinusoidal grid."""

from __future__ import annotations

import math

from affine import Affine
from odc.geo.geobox import GeoBox

RADIUS = 6371007.181
"""Metres: the MODIS sphere."""
SINUSOIDAL = f"+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R={RADIUS} +units=m +no_defs"
SIDE = math.pi * RADIUS / 18
"""Side of a tile, metres; h18v09 has its upper-left corner where the equator meets the prime meridian."""


def tile_box(tile: str, pixels: int) -> GeoBox:
    """Return the grid of a tile `hHHvVV` of `pixels` x `pixels`.

    Examples
    --------
    >>> tile_box("h18v09", 1200).boundingbox[0::3]
    (0.0, 0.0)
    """
    across, down = int(tile[1:3]) - 18, 9 - int(tile[4:6])
    pixel = SIDE / pixels
    return GeoBox((pixels, pixels), Affine(pixel, 0, across * SIDE, 0, -pixel, down * SIDE), SINUSOIDAL)
