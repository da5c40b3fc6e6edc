"""What the satellites' products respond to: vegetation, temperature, albedo and reflectance of the surface.

The relations are plain and plausible, not fitted: a mixture of soil and vegetation (linear unmixing), soil that
darkens as it gets wet, and the triangle of temperature, vegetation and moisture (Carlson 2007,
doi:10.3390/s7081612). Each has causes of its own beside moisture, so that none gives it away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.simulate.domain import Domain
from zoo.simulate.fields import Field, gaussian_field, single
from zoo.simulate.landscape import Landscape
from zoo.simulate.season import LATE_SEPTEMBER, Season

BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
_CLAY = np.array([0.055, 0.080, 0.105, 0.165, 0.235, 0.195])
_SAND = np.array([0.125, 0.185, 0.245, 0.320, 0.410, 0.350])
_GREEN = np.array([0.022, 0.050, 0.030, 0.400, 0.170, 0.075])
_STRAW = np.array([0.065, 0.100, 0.135, 0.260, 0.290, 0.210])
_WATER = np.array([0.045, 0.050, 0.032, 0.018, 0.008, 0.006])
_DARKENING = np.array([1.9, 2.1, 2.3, 2.6, 3.9, 4.6])
"""Exponent of soil reflectance per m3 m-3, stronger towards the water bands (Lobell and Asner 2002)."""


@dataclass(frozen=True, slots=True)
class Surface:
    """The surface on the base grid.

    Attributes
    ----------
    ndvi, evi : vegetation indices, 1
    green : share covered by green vegetation, 0 to 1
    straw : share covered by dry vegetation, 0 to 1
    lai : leaf area index, m2 m-2
    lst_day, lst_night : K
    alb_vis, alb_nir : white-sky albedo, 1
    """

    ndvi: Field
    evi: Field
    green: Field
    straw: Field
    lai: Field
    lst_day: Field
    lst_night: Field
    alb_vis: Field
    alb_nir: Field


def make_surface(domain: Domain, land: Landscape, rng: np.random.Generator, season: Season = LATE_SEPTEMBER) -> Surface:
    """Grow vegetation and warm the ground."""
    ndvi = season.grown(_ndvi(domain, land, rng))
    green = (np.clip((ndvi - 0.10) / 0.72, 0, 1) ** 1.25).astype(np.float32)
    grazed = gaussian_field(rng, domain.shape, domain.spacing, 2.5e3, 2.8)
    dry = np.array([0.42, 0.45, 0.20, 0.12])[land.cover] + 0.08 * grazed
    straw = (np.clip(dry, 0, 1) * (1 - green)).astype(np.float32)
    lai = _lai(land, green, gaussian_field(rng, domain.shape, domain.spacing, 3e3, 3.0))
    day, night = (season.warmed(field) for field in _temperatures(domain, land, green, rng))
    vis, nir = _albedo(land, green, straw, gaussian_field(rng, domain.shape, domain.spacing, 2e3, 2.8))
    mixed = (1 - land.water) * ndvi + land.water * -0.12
    curve = gaussian_field(rng, domain.shape, domain.spacing, 4e3, 3.0)
    evi = mixed * (0.42 + 0.30 * mixed) * (1 + 0.04 * curve) + 0.02
    return Surface(mixed.astype(np.float32), evi.astype(np.float32), green, straw, lai, day, night, vis, nir)


def _ndvi(domain: Domain, land: Landscape, rng: np.random.Generator) -> Field:
    """Greenness: steep in moisture on grass, weak under forest, spoiled by the harvest on fields."""
    harvest = gaussian_field(rng, domain.shape, domain.spacing, 3e3, 3.0)
    management = gaussian_field(rng, domain.shape, domain.spacing, 4e3, 2.8)
    dry_limit = 1 - np.exp(-np.maximum(land.root - 0.04, 0) / 0.13)
    by_cover = np.stack(
        [
            0.16 + 0.46 * dry_limit + 0.035 * management,
            0.36 + 0.22 * dry_limit - 0.10 * harvest,
            0.66 + 0.12 * dry_limit + 0.025 * management,
            0.11 + 0.28 * dry_limit + 0.020 * management,
        ]
    )
    cooler = 0.05 * (land.terrain.elevation - 1450) / 300
    chosen = np.take_along_axis(by_cover, land.cover[None].astype(np.intp), axis=0)[0]
    return single(np.clip(chosen - cooler, 0.05, 0.9))


def _lai(land: Landscape, green: Field, clumping: Field) -> Field:
    """Leaf area from cover by Beer's law; green cover saturates in it, not the other way round."""
    extinction = np.array([0.55, 0.52, 0.48, 0.60])[land.cover] * (1 + 0.06 * clumping)
    return single(np.clip(-np.log(1 - np.minimum(green, 0.965)) / extinction, 0, 6.8))


def _temperatures(domain: Domain, land: Landscape, green: Field, rng: np.random.Generator) -> tuple[Field, Field]:
    """Day: warm where bare and dry, between the edges of the triangle. Night: cold air in valleys, wet soil warm."""
    air = gaussian_field(rng, domain.shape, domain.spacing, 40e3, 4.0)
    wind = gaussian_field(rng, domain.shape, domain.spacing, 8e3, 3.5)
    height = (land.terrain.elevation - 1400) / 1000
    evaporation = np.clip((land.wet - 0.04) / 0.30, 0, 1) ** 0.7
    transpiration = np.clip((land.root - 0.05) / 0.22, 0, 1)
    day = (
        293.5
        - 6.5 * height
        + 1.0 * air
        + (1 - green) * (15.0 * (1 - evaporation) + 0.9 * wind)
        + green * 4.0 * (1 - transpiration)
        + 7.0 * land.terrain.illumination
    )
    night = 279.0 - 4.0 * height + 0.8 * air + 0.5 * wind - 1.1 * np.tanh(land.terrain.wetness) + 4.0 * evaporation
    cover = land.water
    return (
        ((1 - cover) * day + cover * 288.5).astype(np.float32),
        ((1 - cover) * night + cover * 286.5).astype(np.float32),
    )


def _albedo(land: Landscape, green: Field, straw: Field, crust: Field) -> tuple[Field, Field]:
    """Mixture over the visible and the near infrared; bare soil bleaches when dry and sandy."""
    soil = (0.085 + 0.125 * land.sand) * (1 + 0.07 * crust) * np.exp(-2.2 * (land.wet - 0.1))
    bare = np.maximum(1 - green - straw, 0)
    visible = bare * soil + straw * 0.105 + green * 0.036
    infrared = bare * soil * 1.85 + straw * 0.27 + green * 0.285
    share = 1 - land.water
    return (
        (share * visible + land.water * 0.045).astype(np.float32),
        (share * infrared + land.water * 0.02).astype(np.float32),
    )


def reflectance(
    band: str, *, green: Field, straw: Field, sand: Field, wet: Field, root: Field, lit: Field, water: Field
) -> Field:
    """Surface reflectance of one Landsat band, noise free.

    Parameters
    ----------
    band : one of `BANDS`
    green, straw, sand, wet, root, water : as in `Surface` and `Landscape`, on any one grid
    lit : illumination, as in `Terrain`; surface reflectance is not corrected for terrain
    """
    at = BANDS.index(band)
    soil = (_CLAY[at] + (_SAND[at] - _CLAY[at]) * sand) * np.exp(-_DARKENING[at] * (wet - 0.08))
    leaf_water = 1.12 - 0.9 * (root - 0.15) if band.startswith("swir") else 1.0
    bare = np.maximum(1 - green - straw, 0)
    ground = bare * soil + straw * _STRAW[at] + green * _GREEN[at] * leaf_water
    mixed = (1 - water) * ground * (1 + 0.55 * lit) + water * _WATER[at]
    return single(np.clip(mixed, 0.001, 1.2))
