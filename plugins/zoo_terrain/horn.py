"""Slope and aspect after Horn (1981, Proc. IEEE 69, 14-47) on metric distances."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

Floats = npt.NDArray[np.float32]

SEMI_MAJOR = 6378137.0
ECCENTRICITY_2 = 0.00669437999014
"""WGS84."""


def pixel_metres(box: GeoBox) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return width and height of the pixels of each row, metres, shape (rows, 1).

    On a geographic grid they follow from the ellipsoid's radii of curvature at the row's latitude (prime
    vertical N cos lat, meridian M); on a projected grid they are the pixel's size.
    """
    rows = box.shape.y
    width, height = abs(box.affine.a), abs(box.affine.e)
    if box.crs is None or not box.crs.geographic:
        return np.full((rows, 1), width), np.full((rows, 1), height)
    latitude = np.radians(box.affine.f + box.affine.e * (np.arange(rows) + 0.5))[:, None]
    curvature = 1 - ECCENTRICITY_2 * np.sin(latitude) ** 2
    across = SEMI_MAJOR / np.sqrt(curvature) * np.cos(latitude)
    along = SEMI_MAJOR * (1 - ECCENTRICITY_2) / curvature**1.5
    return np.radians(width) * across, np.radians(height) * along


def gradient(dem: Floats, box: GeoBox) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the rise towards east and towards north, metres a metre, shape (h, w).

    Horn's weights 1, 2, 1 over the eight neighbours. NaN on the border and where a pixel of the 3 x 3 is missing.
    """
    width, height = pixel_metres(box)
    east, north = np.full(dem.shape, np.nan), np.full(dem.shape, np.nan)
    if min(dem.shape) < 3:
        return east, north
    z = dem.astype(np.float64)
    across = z[:-2] + 2 * z[1:-1] + z[2:]
    along = z[:, :-2] + 2 * z[:, 1:-1] + z[:, 2:]
    east[1:-1, 1:-1] = (across[:, 2:] - across[:, :-2]) / (8 * width[1:-1])
    north[1:-1, 1:-1] = (along[:-2] - along[2:]) / (8 * height[1:-1])
    missing = np.isnan(east + north + z)
    east[missing] = np.nan
    north[missing] = np.nan
    return east, north


def slope(dem: Floats, box: GeoBox) -> Floats:
    """Return the slope, degrees from the horizontal."""
    east, north = gradient(dem, box)
    return np.degrees(np.arctan(np.hypot(east, north))).astype(np.float32)


def aspect(dem: Floats, box: GeoBox) -> tuple[Floats, Floats]:
    """Return sine and cosine of the direction that the ground faces, clockwise from north.

    Ground that faces east (falls towards it) has 1, 0. Flat ground faces nowhere and has 0, 0.
    """
    east, north = gradient(dem, box)
    steep = np.hypot(east, north)
    unit = np.where(steep > 0, steep, np.where(np.isnan(steep), np.nan, 1))
    # Adding nothing turns the minus of a flat pixel's -0 away.
    return (-east / unit + 0.0).astype(np.float32), (-north / unit + 0.0).astype(np.float32)
