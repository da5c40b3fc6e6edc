"""What covers the ground, and the soil moisture below it.

Soil moisture is the sum of a part that leaves its trace in what satellites see, and a part that does not: recent
local showers, irrigation and soil properties that no product tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.simulate.domain import CELL, PARTS, Domain
from zoo.simulate.fields import (
    Field,
    Mask,
    block_mean,
    gaussian_field,
    sigmoid,
    single,
    smoothed,
    standardised,
)
from zoo.simulate.season import LATE_SEPTEMBER, Season
from zoo.simulate.terrain import Terrain

UNOBSERVED_SHARE = 0.25
"""Of the variance of the truth inside M09 cells: what no predictor can tell."""
_LAKES = 0.016
"""Of the target grid."""
_RIVERS_FROM = 9e7
"""Contributing area from which a stream is wide enough to be seen, m2."""
_RANGE = (0.02, 0.48)
"""Bounds of soil moisture, m3 m-3."""


class Cover(IntEnum):
    """Land cover."""

    GRASS = 0
    CROP = 1
    FOREST = 2
    SAND = 3


@dataclass(frozen=True, slots=True)
class Landscape:
    """The true state on the base grid.

    Attributes
    ----------
    terrain : the ground
    cover : values of `Cover`, uint8
    sand : soil texture, 0 clayey to 1 sandy
    water : share of open water, 0 to 1
    wet : soil moisture as far as predictors respond to it, m3 m-3
    root : the same, slower and deeper, m3 m-3
    moisture : soil moisture of the upper 5 cm, m3 m-3
    unobserved : the part of `moisture` that no predictor responds to, m3 m-3
    """

    terrain: Terrain
    cover: npt.NDArray[np.uint8]
    sand: Field
    water: Field
    wet: Field
    root: Field
    moisture: Field
    unobserved: Field

    def on_land(self, values: Field) -> Field:
        """Return a base field with NaN where most of the pixel is water."""
        return np.where(self.water < 0.5, values, np.nan).astype(np.float32)


def make_landscape(
    domain: Domain,
    terrain: Terrain,
    rng: np.random.Generator,
    hidden: np.random.Generator,
    season: Season = LATE_SEPTEMBER,
) -> Landscape:
    """Lay land cover, soil and water on the ground and moisten it."""
    water = _open_water(domain, terrain, rng)
    cover = _land_cover(domain, terrain, rng)
    sand = _sand(domain, cover, rng)
    wet = season.moistened(_observable_moisture(domain, terrain, cover, sand, rng))
    root = _root_zone(domain, wet, rng)
    land = water < 0.5
    unobserved = _unobserved(domain, wet, land, hidden)
    moisture = np.clip(wet + unobserved, *_RANGE).astype(np.float32)
    return Landscape(terrain, cover, sand, water, wet, root, moisture, unobserved)


def _open_water(domain: Domain, terrain: Terrain, rng: np.random.Generator) -> Field:
    """Lakes in flat low ground, and streams where enough of it gathers; share of each pixel."""
    shore = gaussian_field(rng, domain.shape, domain.spacing, 3.5e3, 4.0)
    flat = -standardised(np.abs(terrain.relief)) - 0.6 * standardised(terrain.relief)
    low = (shore + 0.9 * flat - 0.5 * terrain.southness).astype(np.float32)
    lakes = low > np.quantile(low[domain.inside(1)], 1 - _LAKES)
    edges = smoothed(lakes.astype(np.float32), domain.spacing, 130.0)
    # a stream is some 20 m wide where it begins to be seen and grows with the root of its catchment
    width = 22.0 * np.sqrt(terrain.upslope / _RIVERS_FROM)
    across = domain.spacing[0] * 1.5
    streams = np.where(terrain.upslope > _RIVERS_FROM, np.minimum(width / across, 0.75), 0)
    return np.clip(np.maximum(edges, streams), 0, 1).astype(np.float32)


def _land_cover(domain: Domain, terrain: Terrain, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Give each pixel the cover that suits it best."""

    def patches(length: float) -> Field:
        return gaussian_field(rng, domain.shape, domain.spacing, length, 3.2)

    height = (terrain.elevation - 1450) / 220
    relief = terrain.relief / 60
    suits = {
        Cover.GRASS: 0.55 + 0.5 * patches(6e3),
        Cover.CROP: -0.05 + 0.8 * patches(7e3) + 0.35 * terrain.wetness - 0.5 * np.abs(relief) - 0.35 * height,
        Cover.FOREST: -0.45 + 0.7 * patches(5e3) + 0.6 * height + 0.3 * relief - 1.6 * terrain.illumination,
        Cover.SAND: -0.95 + 0.9 * patches(9e3) - 0.9 * terrain.southness - 0.3 * terrain.wetness,
    }
    return np.asarray(np.stack([suits[cover] for cover in Cover]).argmax(axis=0), dtype=np.uint8)


def _sand(domain: Domain, cover: npt.NDArray[np.uint8], rng: np.random.Generator) -> Field:
    """Soil texture: regional, with more sand where the cover is sand."""
    regional = gaussian_field(rng, domain.shape, domain.spacing, 14e3, 3.2)
    local = gaussian_field(rng, domain.shape, domain.spacing, 2e3, 3.0)
    dunes = smoothed((cover == Cover.SAND).astype(np.float32), domain.spacing, 600.0)
    return sigmoid((-0.5 + 0.8 * regional + 0.35 * local + 2.2 * dunes).astype(np.float32))


def _observable_moisture(
    domain: Domain, terrain: Terrain, cover: npt.NDArray[np.uint8], sand: Field, rng: np.random.Generator
) -> Field:
    """Rain, gathering of water, shade, cover and texture, together and not additively."""
    shape, spacing = domain.shape, domain.spacing
    rain = (
        0.75 * gaussian_field(rng, shape, spacing, 30e3, 4.0)
        + 0.45 * gaussian_field(rng, shape, spacing, 7e3, 3.5)
        + 0.45 * terrain.southness
        + 0.5 * np.tanh((terrain.elevation - 1450) / 250)
    )
    gathers = np.tanh(0.8 * terrain.wetness) * (1.1 - 0.5 * sand)
    by_cover = np.array([0.0, 0.25, 0.4, -0.75], dtype=np.float32)[cover]
    shade = np.where(cover == Cover.FOREST, 0.25, 1.0) * terrain.illumination
    demand = (
        0.7 * rain
        + 0.75 * gathers
        + 0.3 * gathers * np.tanh(rain)
        + smoothed(by_cover, spacing, 300.0)
        - 1.6 * shade
        - 0.9 * (sand - 0.4)
    )
    residual, porosity = 0.045 + 0.03 * (1 - sand), 0.44 - 0.13 * sand
    saturation = sigmoid((1.25 * demand - 0.75).astype(np.float32))
    return (residual + (porosity - residual) * saturation).astype(np.float32)


def _root_zone(domain: Domain, wet: Field, rng: np.random.Generator) -> Field:
    """Return what plants live on: the surface, smoother, with a memory of its own."""
    memory = 0.018 * gaussian_field(rng, domain.shape, domain.spacing, 9e3, 3.2)
    lasting = 0.6 * wet + 0.4 * smoothed(wet, domain.spacing, 1200.0)
    return single(np.clip(lasting + memory, *_RANGE))


def _unobserved(domain: Domain, wet: Field, land: Mask, rng: np.random.Generator) -> Field:
    """Showers and soils that leave no trace, scaled to `UNOBSERVED_SHARE` of the fine variance on the target grid."""
    showers = gaussian_field(rng, domain.shape, domain.spacing, 5e3, 3.0)
    soils = gaussian_field(rng, domain.shape, domain.spacing, 1.5e3, 2.4)
    raw = standardised(0.8 * showers + 0.6 * soils)
    known, hidden = (fine_part(domain, values, land) for values in (wet, raw))
    both = np.isfinite(known) & np.isfinite(hidden)
    covariance = np.cov(known[both], hidden[both])
    a = covariance[1, 1] * (1 - UNOBSERVED_SHARE)
    b = -2 * UNOBSERVED_SHARE * covariance[0, 1]
    c = -UNOBSERVED_SHARE * covariance[0, 0]
    scale = (-b + np.sqrt(b * b - 4 * a * c)) / (2 * a)
    return single(raw * scale)


def truth_1km(domain: Domain, values: Field, land: Mask, *, margin: bool = False) -> Field:
    """Mean over land on the target grid; NaN where less than half is land.

    Parameters
    ----------
    margin : keep the cells around the target grid
    """
    mean = block_mean(np.where(land, values, np.nan), PARTS)
    share = block_mean(land.astype(np.float32), PARTS)
    whole = np.where(share >= 0.5, mean, np.nan).astype(np.float32)
    return whole if margin else whole[domain.inside(PARTS)]


def fine_part(domain: Domain, values: Field, land: Mask) -> Field:
    """Deviation of the 1 km means from the mean of their M09 cell, on the target grid."""
    fine = truth_1km(domain, values, land)
    coarse = block_mean(fine, CELL)
    return (fine - np.repeat(np.repeat(coarse, CELL, axis=0), CELL, axis=1)).astype(np.float32)


def variance_shares(domain: Domain, landscape: Landscape) -> dict[str, float | None]:
    """Measure, on the target grid over land, how the variance of the truth is made up.

    Returns
    -------
    `fine_of_total` (inside M09 cells over all), `unobserved_of_fine` and `unobserved_of_coarse`; None where
    nothing varies, as between cells in a scene of one cell.
    """
    land = landscape.water < 0.5
    truth, hidden = landscape.moisture, landscape.unobserved

    def fine(values: Field) -> float:
        return float(np.nanvar(fine_part(domain, values, land), dtype=np.float64))

    def coarse(values: npt.NDArray[Any]) -> float:
        return float(np.nanvar(block_mean(truth_1km(domain, values, land), CELL), dtype=np.float64))

    def share(part: float, whole: float) -> float | None:
        return round(part / whole, 4) if whole > 0 else None

    total = float(np.nanvar(truth_1km(domain, truth, land), dtype=np.float64))
    return {
        "fine_of_total": share(fine(truth), total),
        "unobserved_of_fine": share(fine(hidden), fine(truth)),
        "unobserved_of_coarse": share(coarse(hidden), coarse(truth)),
    }
