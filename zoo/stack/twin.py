"""The coarse twin of a stack: a sensor's field and the means of the layers over its cells, in one NetCDF file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import xarray as xr

from zoo import __version__
from zoo.errors import DataError
from zoo.grids import as_array
from zoo.stack.record import CoarseRecord
from zoo.writers.target import failing, replacing

SHARE = "valid_share_"
"""Prefix of the variables with the share of a cell's area that has valid pixels."""
SPREAD = "spread_"
"""Prefix of the variables with the standard deviation within a cell."""
FORMAT = 2
"""Raised when more is written into the file, so that one of before is made anew; 2 has the spreads."""


def write_twin(path: Path, coarse: xr.DataArray, means: xr.Dataset) -> None:
    """Write a coarse field and the means over its cells, whole or not at all.

    Parameters
    ----------
    path : .nc file
    coarse : dims (y, x), m3 m-3
    means : as `zoo.stack.coarse_means` returns it, with `min_valid` 0
    """
    fields = {str(name): means[name] for name in means.data_vars if name not in ("valid_share", "spread")}
    for name in means["layer"].to_numpy():
        share = means["valid_share"].sel(layer=name, drop=True)
        fields[f"{SHARE}{name}"] = share.assign_attrs(long_name=f"share of the cell's area with valid {name}")
        spread = means["spread"].sel(layer=name, drop=True)
        about = {"long_name": f"standard deviation of {name} within the cell", "units": means[name].attrs["units"]}
        fields[f"{SPREAD}{name}"] = spread.assign_attrs(about)
    dataset = xr.Dataset({"soil_moisture": _told(coarse), **{name: _told(field) for name, field in fields.items()}})
    dataset.attrs = {
        "Conventions": "CF-1.11",
        "title": "Coarse soil moisture, and means of predictors over its cells",
        "history": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} written by soil-moisture-zoo {__version__}",
        **{name: str(coarse.attrs[name]) for name in _TOLD if name in coarse.attrs},
    }
    with replacing(path) as temporary, failing(path):
        dataset.to_netcdf(temporary, engine="h5netcdf")


def read_twin(path: Path, record: CoarseRecord) -> tuple[xr.DataArray, xr.Dataset]:
    """Read what `write_twin` wrote: the field and the means, equal to the last bit.

    A file of before `FORMAT` 2 gives means without `spread`.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    try:
        with xr.open_dataset(path, engine="h5netcdf", decode_coords="all") as source:
            values = {str(name): source[name].to_numpy() for name in source.data_vars}
            units = {name: str(source[name].attrs.get("units", "")) for name in values}
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read ({' '.join(str(error).split())}); make the stack again with zoo stack"
        raise DataError(msg) from error
    box = record.grid.geobox
    attributes = {**record.attributes, "depth": tuple(record.attributes["depth"])}  # type: ignore[arg-type]
    coarse = as_array(values["soil_moisture"], box, "soil_moisture", attributes, datetime.fromisoformat(record.time))
    means = xr.Dataset(
        {
            name: as_array(values[name], box, name, {"units": units[name]})
            for name in values
            if name != "soil_moisture" and not name.startswith((SHARE, SPREAD))
        }
    )
    return coarse, _with_layers(means, values, list(record.layers))


def _with_layers(means: xr.Dataset, values: dict[str, np.ndarray], layers: Sequence[str]) -> xr.Dataset:
    shares = np.stack([values[f"{SHARE}{name}"] for name in layers])
    dims = ("layer", *means[layers[0]].dims)
    means["valid_share"] = (dims, shares)
    if all(f"{SPREAD}{name}" in values for name in layers):
        means["spread"] = (dims, np.stack([values[f"{SPREAD}{name}"] for name in layers]))
    return means.assign_coords(layer=list(layers))


def _told(field: xr.DataArray) -> xr.DataArray:
    """Return the field with only those attributes that are text: NetCDF has no word for the others."""
    told = field.copy(deep=False)
    told.attrs = {key: value for key, value in field.attrs.items() if isinstance(value, str)}
    told.encoding = {"zlib": True, "complevel": 4, "_FillValue": np.float32(np.nan), "grid_mapping": "spatial_ref"}
    return told


_TOLD = ("product", "time_coverage_start", "time_coverage_end", "simulated", "granules", "depth")
