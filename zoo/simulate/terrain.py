"""The ground: elevation with ridges and valleys, the water that gathers on it, and the light that falls on it."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from zoo.simulate.domain import Domain
from zoo.simulate.fields import Field, gaussian_field, sigmoid, single, smoothed, standardised

SUN_ELEVATION = 46.0
"""Degrees; late September at 42 N, 10:30 local solar time."""
SUN_AZIMUTH = 152.0
_OCTAVES = (22e3, 11e3, 5.5e3, 2.7e3, 1.3e3)
"""Metres."""


@dataclass(frozen=True, slots=True)
class Terrain:
    """The ground on the base grid.

    Attributes
    ----------
    elevation : m
    illumination : cosine of the sun's angle to the ground over that on flat land, minus 1
    wetness : topographic wetness index ln(a / tan b) (Beven and Kirkby 1979), mean 0, standard deviation 1
    upslope : contributing area, m2
    relief : height above the mean of the surrounding 2 km, m
    southness : distance towards the south-east along the regional slope, about -1 to 1
    """

    elevation: Field
    illumination: Field
    wetness: Field
    upslope: Field
    relief: Field
    southness: Field


def make_terrain(domain: Domain, rng: np.random.Generator) -> Terrain:
    """Raise a plateau in the north-west into mountains in the south-east."""
    shape, spacing = domain.shape, domain.spacing
    southness = _southness(shape, spacing)
    basin = gaussian_field(rng, shape, spacing, 25e3, 4.0)
    roughness = sigmoid(single(2.2 * southness + 0.9 * basin - 0.5))
    elevation = 1390 + 190 * southness + 75 * basin + (45 + 360 * roughness) * _ridges(rng, domain)
    elevation = _softly_limited(elevation + 6 * gaussian_field(rng, shape, spacing, 2e3, 3.0), 1190.0, 2140.0)
    upslope = _upslope_area(elevation, spacing)
    down, across = np.gradient(elevation, *spacing)
    steepness = np.hypot(down, across)
    wetness = np.log(upslope / (steepness + 0.01))
    return Terrain(
        elevation=elevation,
        illumination=_illumination(single(down), single(across)),
        wetness=standardised(smoothed(wetness.astype(np.float32), spacing, 250.0)),
        upslope=upslope,
        relief=(elevation - smoothed(elevation, spacing, 2000.0)).astype(np.float32),
        southness=southness,
    )


def _southness(shape: tuple[int, int], spacing: tuple[float, float]) -> Field:
    """Ramp along the direction of steepest regional rise, saturating 60 km from the middle."""
    south = (np.arange(shape[0]) - shape[0] / 2)[:, None] * spacing[0]
    east = (np.arange(shape[1]) - shape[1] / 2)[None, :] * spacing[1]
    return np.tanh((0.9 * south + 0.45 * east) / 60e3).astype(np.float32)


def _ridges(rng: np.random.Generator, domain: Domain) -> Field:
    """Sum octaves of 1 - |field|, each sharper where the one before is high (Musgrave's ridged multifractal)."""
    total = np.zeros(domain.shape, dtype=np.float32)
    weight: Field | float = 1.0
    for order, length in enumerate(_OCTAVES):
        noise = gaussian_field(rng, domain.shape, domain.spacing, length, 4.2)
        crest = (1 - np.minimum(np.abs(noise), 1.8) / 0.9).astype(np.float32)
        total += 0.62**order * weight * crest
        weight = np.clip(0.5 + 0.5 * crest, 0.15, 1)
    return standardised(total) * np.float32(0.55)


def _softly_limited(values: Field, low: float, high: float) -> Field:
    """Bend values that leave the range back into it."""
    middle, half = (low + high) / 2, (high - low) / 2
    scaled = (values - middle) / half
    return single(middle + half * scaled / (1 + np.abs(scaled) ** 6) ** (1 / 6))


def _illumination(down: Field, across: Field) -> Field:
    """Cosine of the incidence on tilted ground over the cosine on flat ground, minus 1."""
    elevation, azimuth = np.radians(SUN_ELEVATION), np.radians(SUN_AZIMUTH)
    east, north, up = (
        np.cos(elevation) * np.sin(azimuth),
        np.cos(elevation) * np.cos(azimuth),
        np.sin(elevation),
    )
    # rows run south, so the gradient towards the north is -down
    cosine = (-across * east + down * north + up) / np.sqrt(1 + down**2 + across**2)
    return single(np.maximum(cosine, 0) / up - 1)


def _upslope_area(elevation: Field, spacing: tuple[float, float]) -> Field:
    """Contributing area of each pixel, m2, computed on pixels of twice the size and spread over them."""
    rows, columns = elevation.shape
    coarse = elevation.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))
    pixels = _accumulated(coarse)
    area = pixels * np.float32(4 * spacing[0] * spacing[1])
    return np.repeat(np.repeat(area, 2, axis=0), 2, axis=1).astype(np.float32)


def _accumulated(elevation: Field) -> Field:
    """Pixels that drain through each pixel, itself included.

    Priority flood (Barnes et al. 2014, doi:10.1016/j.cageo.2013.04.024): pixels are taken from the edge inwards,
    the lowest first, so that each is reached from the neighbour it drains to and pits are filled; adding up in the
    opposite order gives the area.
    """
    rows, columns = elevation.shape
    width = columns + 2
    heights = np.pad(elevation, 1, constant_values=np.inf).ravel().tolist()
    taken = np.pad(np.zeros(elevation.shape, bool), 1, constant_values=True).ravel().tolist()
    edge = np.zeros(elevation.shape, bool)
    edge[[0, -1]] = True
    edge[:, [0, -1]] = True
    heap = [(heights[at], at, -1) for at in np.flatnonzero(np.pad(edge, 1)).tolist()]
    for _, at, _ in heap:
        taken[at] = True
    heapq.heapify(heap)
    steps = (-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1)
    order: list[tuple[int, int]] = []
    while heap:
        level, at, receiver = heapq.heappop(heap)
        order.append((at, receiver))
        for step in steps:
            near = at + step
            if not taken[near]:
                taken[near] = True
                heapq.heappush(heap, (max(level, heights[near]), near, at))
    area = [1.0] * len(heights)
    for at, receiver in reversed(order):
        if receiver >= 0:
            area[receiver] += area[at]
    return np.asarray(area, dtype=np.float32).reshape(rows + 2, width)[1:-1, 1:-1]
