"""The coarse field as every sensor reader returns it: one product, the mean over granules, the agreed attributes."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from odc.geo.geobox import GeoBox

from zoo.errors import UsageError
from zoo.grids import as_array
from zoo.types import Granule, Orbit

Field = npt.NDArray[np.float32]
BOTH_PASSES = "Mean over ascending and descending passes; --orbit A or D takes one of them."


@dataclass(frozen=True, slots=True)
class Observed:
    """What one granule holds in the window that is read.

    Attributes
    ----------
    values : (rows, columns) float32, m3 m-3, NaN where masked
    start, end : first and last observation in the window, or the period that the granule stands for, UTC
    flag_counts : quality flag or mask -> number of cells with it
    simulated : whether the file says so; the field then says so, too
    orbit : the pass, where a granule holds several; otherwise the granule's own is taken
    """

    values: Field
    start: datetime
    end: datetime
    flag_counts: Mapping[str, int]
    simulated: bool = False
    orbit: Orbit | None = None


def one_product(granules: Sequence[Granule]) -> str:
    """Return the product of all granules.

    Raises
    ------
    UsageError
        If there are several: their means would be of no product.
    """
    products = sorted({granule.product for granule in granules})
    if len(products) != 1:
        msg = f"The files are of {len(products)} products ({', '.join(products) or 'none given'}); give those of one"
        raise UsageError(msg)
    return products[0]


def mean_over_granules(fields: Sequence[Field]) -> Field:
    """Return the mean over the valid values, cell by cell; NaN where there is none."""
    if len(fields) == 1:
        return fields[0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        mean = np.nanmean(np.stack(fields), axis=0, dtype=np.float64)
    return np.asarray(mean, dtype=np.float32)


def sum_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add flag counts, name by name."""
    total: Counter[str] = Counter()
    for part in counts:
        total.update(part)
    return dict(total)


def coarse_field(
    observed: Sequence[Observed],
    geobox: GeoBox,
    granules: Sequence[Granule],
    *,
    long_name: str,
    depth: tuple[float, float],
    notes: Iterable[str] = (),
) -> xr.DataArray:
    """Join what the granules hold into the DataArray that `SensorReader.open` promises.

    Parameters
    ----------
    observed : one for each granule and pass that meets the window
    notes : sentences that a user of the field has to know; the same one is kept once
    """
    start, end = min(part.start for part in observed), max(part.end for part in observed)
    attrs: dict[str, Any] = {
        "units": "m3 m-3",
        "long_name": long_name,
        "product": one_product(granules),
        "granules": [granule.id for granule in granules],
        "depth": depth,
        "time_coverage_start": iso(start),
        "time_coverage_end": iso(end),
        "flag_counts": sum_counts(part.flag_counts for part in observed),
    }
    if any(part.simulated for part in observed):
        attrs["simulated"] = "true"
    orbits = _orbits(observed, granules)
    if orbits:
        attrs["orbit"] = ", ".join(orbits)
    if known := list(dict.fromkeys([*notes, *([BOTH_PASSES] if len(orbits) > 1 else [])])):
        attrs["notes"] = known
    values = mean_over_granules([part.values for part in observed])
    return as_array(values, geobox, "soil_moisture", attrs, start + (end - start) / 2)


def _orbits(observed: Sequence[Observed], granules: Sequence[Granule]) -> list[Orbit]:
    """Name the passes that a field is made of."""
    passes = {part.orbit for part in observed if part.orbit} or {each.orbit for each in granules if each.orbit}
    return sorted(passes)


def iso(moment: datetime) -> str:
    """Return ISO 8601 in UTC to the second, with Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
