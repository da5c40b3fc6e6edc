"""Coarse cells: a sensor's field, the means of predictors over its cells, and what both were made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from zoo.errors import DataError, IntegrityError, UnknownNameError
from zoo.grids import centres, ease2_cells, ease2_geobox, geobox_of, nests
from zoo.inputs import Request, open_coarse, open_stack, sensor_granules
from zoo.predictors import LAYERS
from zoo.registry.files import sha256
from zoo.registry.schema import Dataset
from zoo.samples.fingerprint import Hashed, dataset_record
from zoo.samples.weights import SPREAD
from zoo.types import Area, LayerSpec

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

BLOCK_CELLS = 3
"""Side of a spatial block in coarse cells."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The coarse cells of a place and a day.

    Attributes
    ----------
    sensor : name of the sensor
    coarse : its field (y, x), m3 m-3
    means : of the predictors over its cells, with `valid_share` and (unless the stack was made before it was kept)
        `spread`; see `zoo.stack.coarse_means` (`min_valid` 0)
    units : of the predictors
    files, products, granules : what field and means were made from
    simulated : whether any of it is simulated
    area : the place
    target_grid : the fine grid, in words
    reading : how the sensor was read: quality, variable and, where one was chosen, orbit
    """

    sensor: str
    coarse: xr.DataArray
    means: xr.Dataset
    units: dict[str, str]
    files: tuple[Hashed, ...]
    products: tuple[str, ...]
    granules: tuple[str, ...]
    simulated: bool
    area: Area
    target_grid: str
    reading: dict[str, Any]

    def rows(self, features: Sequence[str], min_valid: float) -> pd.DataFrame:
        """Make one row a cell, in the order of the grid, row by row from the north.

        Returns
        -------
        Columns `row`, `column` (of the global EASE-Grid where the field lies on one, else in the field), `lon`,
        `lat` (centre, degrees), `block` (label of the spatial block), `time` (UTC), `soil_moisture` (m3 m-3) and
        the features, NaN where less than `min_valid` of the cell is valid; then `valid_share_<feature>`, 0-1, and
        `spread_<feature>`, the standard deviation within the cell, where it is known.
        """
        target = self.coarse.to_numpy().ravel().astype(float)
        row, column = np.divmod(np.arange(target.size), self.coarse.shape[1])
        box = geobox_of(self.coarse)
        lon, lat = (np.broadcast_to(axis, self.coarse.shape).ravel() for axis in centres(box))
        cell_row, cell_column = global_cells(box, lon, lat) or (row, column)
        place = {"row": cell_row, "column": cell_column, "lon": lon, "lat": lat}
        shares = {name: self._share(name) for name in features}
        means = {name: self.means[name].to_numpy().ravel().astype(float) for name in features}
        return pd.DataFrame(
            {
                **place,
                "block": (row // BLOCK_CELLS) * 10_000 + column // BLOCK_CELLS,
                "time": pd.Timestamp(self.coarse["time"].item(), tz="UTC"),
                "soil_moisture": target,
                **{name: np.where(shares[name] < np.float32(min_valid), np.nan, means[name]) for name in features},
                **{f"valid_share_{name}": shares[name].astype(float) for name in features},
                **{f"{SPREAD}{name}": values for name, values in self._spreads(features).items()},
            }
        )

    def _spreads(self, features: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
        if "spread" not in self.means:
            return {}
        spread = self.means["spread"]
        return {name: spread.sel(layer=name).to_numpy().ravel().astype(float) for name in features}

    def _share(self, name: str) -> npt.NDArray[np.float32]:
        share: npt.NDArray[np.float32] = self.means["valid_share"].sel(layer=name).to_numpy().ravel()
        return share

    def features(self, names: Sequence[str]) -> tuple[LayerSpec, ...]:
        """Name and units of predictors."""
        return tuple(LAYERS.get(name, LayerSpec(name, self.units[name], name)) for name in names)

    def dataset(
        self, features: Sequence[str], min_valid: float, *, rows: int, dropped: dict[str, int], **how: Any
    ) -> Dataset:
        """Describe the rows made from these cells: what was read, and how rows were made of it."""
        from zoo.samples.fingerprint import hashes_by_name

        definition = {
            "coarse_grid": grid_text(geobox_of(self.coarse)),
            "target_grid": self.target_grid,
            **self.reading,
            "min_valid": min_valid,
            **how,
        }
        return dataset_record(
            hashes_by_name(self.files),
            features,
            definition,
            rows=rows,
            dropped=dropped,
            products=self.products,
            granules=self.granules,
        )


def read_cells(request: Request, features: Sequence[str]) -> Cells:
    """Make the cells from native granules."""
    from zoo.stack import coarse_means

    coarse = open_coarse(request)
    stack = open_stack(request, features)
    means = coarse_means(stack, features, coarse, min_valid=0)
    granules = sensor_granules(request)
    paths = {*(path for granule in granules for path in granule.paths), *stack.sources}
    return Cells(
        sensor=request.sensor,
        coarse=coarse,
        means=means,
        units=dict(stack.units),
        files=tuple((path.name, sha256(path)) for path in paths),
        products=(*{granule.product for granule in granules}, *stack.products),
        granules=(*(granule.id for granule in granules), *stack.granules),
        simulated=bool(coarse.attrs.get("simulated")) or stack.simulated,
        area=request.area,
        target_grid=grid_text(request.target),
        reading=request.reading,
    )


def stacked_cells(folder: Path, features: Sequence[str], sensor: str | None = None) -> Cells:
    """Take the cells from a stack with its coarse twin, as `zoo stack` makes it; the same as from its granules.

    Parameters
    ----------
    folder : the stack
    features : predictors
    sensor : name of the sensor; needed if the stack has several coarse fields

    Raises
    ------
    DataError
        If the folder is no such stack, or lacks a predictor or the coarse field.
    IntegrityError
        If a file of it was changed since.
    """
    from zoo.stack.folder import StackFolder
    from zoo.stack.layers import WATER

    stack = StackFolder.open(folder)
    field = stack.coarse_record(sensor)
    missing = [name for name in features if name not in field.layers]
    if missing:
        kind = f"predictor in the stack {folder}"
        hint = f"Add it with: zoo stack --layers {','.join((*field.layers, *missing))} -o {folder}"
        raise UnknownNameError(kind, missing[0], field.layers, hint)
    stale = [name for name in features if field.layers[name] != stack.record.layers[name].sha256]
    if stale:
        msg = (
            f"The coarse field of {field.sensor} in {folder} was made of an earlier {', '.join(stale)}; "
            f"make it again with: zoo stack --sensor {field.sensor} -o {folder}"
        )
        raise IntegrityError(msg)
    coarse, means = stack.twin(field.sensor)
    used = [stack.record.layers[name] for name in (*features, WATER) if name in stack.record.layers]
    return Cells(
        sensor=field.sensor,
        coarse=coarse,
        means=means,
        units={name: layer.units for name, layer in stack.record.layers.items()},
        files=(*field.files, *(file for layer in used for file in layer.files)),
        products=(*field.products, *(product for layer in used for product in layer.products)),
        granules=(*field.granules, *(granule for layer in used for granule in layer.granules)),
        simulated=bool(coarse.attrs.get("simulated")) or any(layer.simulated for layer in used),
        area=Area(*stack.record.area),
        target_grid=grid_text(stack.record.grid.geobox),
        reading={
            "quality": field.quality,
            "variable": field.variable,
            **({"orbit": field.orbit} if field.orbit else {}),
        },
    )


def global_cells(
    box: GeoBox, lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Return row and column in the global EASE-Grid 2.0 that a grid is a part of; None if it is of none."""
    for name in ("M36", "M09", "M03", "M01"):
        whole = ease2_geobox(name)
        same_size = np.isclose(box.affine.a, whole.affine.a, rtol=1e-9)
        if box.crs == whole.crs and same_size and nests(box, whole):
            return ease2_cells(lon, lat, name)
    return None


def grid_text(box: GeoBox) -> str:
    """Say which grid it is, in one line."""
    origin = f"{box.affine.c:.6f} {box.affine.f:.6f}"
    return f"{box.crs} {abs(box.affine.a):.6f} {box.shape[0]} x {box.shape[1]} from {origin}"


def nothing_left(table: pd.DataFrame, observed: npt.NDArray[np.bool_], min_valid: float) -> DataError:
    """Say why no row is left of a table of predictors (n, k), of which `observed` (n,) have soil moisture."""
    if not observed.any():
        return DataError(
            "The sensor has no valid cell in the area on that day; try --quality all, another --date, --time or --orbit"
        )
    empty = [str(name) for name in table.columns if not table[name][observed].notna().any()]
    which = f"predictor {', '.join(empty)} has no value" if empty else "the predictors are never all valid"
    cells = f"{int(observed.sum())} coarse cells"
    return DataError(
        f"No training row is left: {which} in any of {cells} (a valid share of {min_valid:g} is asked for)"
    )
