"""What a coarse sensor would have said of the true soil moisture."""

from __future__ import annotations

import numpy as np
from affine import Affine

from zoo.simulate.domain import CELL, PARTS, Domain
from zoo.simulate.fields import Field, block_mean, gaussian_field
from zoo.simulate.landscape import Landscape, truth_1km

_SMAP_ERROR = 0.010
"""Standard deviation, m3 m-3; half of its variance is shared by the granules of a day and by neighbours."""
_AMSR2_ERROR = 0.020


def smap_cells(domain: Domain, landscape: Landscape, granules: int, rng: np.random.Generator) -> list[Field]:
    """Soil moisture of the M09 cells of the whole base grid, one array a granule, drying by 0.002 from one to the next.

    Mean of the 1 km truth and an error of the model.
    """
    cells = smap_truth(domain, landscape)
    spacing = (domain.spacing[0] * PARTS * CELL, domain.spacing[1] * PARTS * CELL)
    shape = cells.shape[0], cells.shape[1]
    half = _SMAP_ERROR / np.sqrt(2)
    shared = half * gaussian_field(rng, shape, spacing, 25e3, 4.0)
    fields = []
    for number in range(granules):
        own = half * rng.standard_normal(shape, dtype=np.float32)
        drying = 0.002 * ((granules - 1) / 2 - number)
        fields.append(np.clip(cells + shared + own + drying, 0.01, 0.6).astype(np.float32))
    return fields


def smap_truth(domain: Domain, landscape: Landscape) -> Field:
    """Mean of the 1 km truth in each M09 cell of the base grid, NaN where all is water."""
    return block_mean(truth_1km(domain, landscape.moisture, landscape.water < 0.5, margin=True), CELL)


def amsr2_cells(
    domain: Domain, landscape: Landscape, affine: Affine, shape: tuple[int, int], rng: np.random.Generator
) -> dict[str, Field]:
    """Soil moisture, m3 m-3, in three channels on a geographic grid: biased, squeezed and noisy against the truth.

    Returns
    -------
    Arrays by channel `c1`, `c2` (6.9 and 7.3 GHz) and `x` (10.7 GHz); NaN beyond the base grid and on water.
    """
    truth = amsr2_truth(domain, landscape, affine, shape)
    spacing = (11.1e3, 8.3e3)
    shared = gaussian_field(rng, shape, spacing, 25e3, 4.0)
    channels = {}
    for name, scale, bias in (("c1", 0.92, 0.045), ("c2", 0.92, 0.050), ("x", 0.80, 0.060)):
        own = rng.standard_normal(shape, dtype=np.float32)
        noise = _AMSR2_ERROR * (0.6 * shared + 0.8 * own)
        channels[name] = np.clip(scale * truth + bias + noise, 0.0, 0.99).astype(np.float32)
    return channels


def amsr2_truth(domain: Domain, landscape: Landscape, affine: Affine, shape: tuple[int, int]) -> Field:
    """Mean of the true soil moisture over land in geographic cells, NaN where they leave the base grid."""
    mean = domain.average(landscape.on_land(landscape.moisture), affine, shape, "EPSG:4326")
    inside = domain.average(np.ones(domain.shape, dtype=np.float32), affine, shape, "EPSG:4326")
    return np.where(np.isfinite(inside), mean, np.nan).astype(np.float32)
