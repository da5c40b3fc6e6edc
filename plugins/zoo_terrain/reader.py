"""Read elevation tiles and derive slope and aspect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterWindow

from zoo.errors import DataError, UnknownNameError
from zoo.granules import claimed
from zoo.grids import as_array, geobox_of
from zoo.predictors import LAYERS
from zoo.stack.area_mean import join, window_near
from zoo.types import Area, Granule
from zoo_terrain import horn
from zoo_terrain.products import PRODUCTS, VOID

_LAYERS = ("dem", "slope", "aspect_sin", "aspect_cos")
_MARGIN = 4
"""Pixels around the area, so that slope and aspect reach its edge."""


class TerrainReader:
    """Reader of elevation models; satisfies `zoo.types.PredictorReader`.

    The elevation of the area read last is kept, since slope and aspect follow from it.
    """

    def __init__(self) -> None:
        self._last: tuple[object, list[xr.DataArray]] = (None, [])

    def granule(self, path: Path) -> Granule:
        """Say which model a tile belongs to, from its name; elevation has no date."""
        return Granule(_model(path), path.name.split(".")[0], None, None, (path,))

    def open(self, paths: Sequence[Path], layer: str, *, area: Area | None = None) -> Sequence[xr.DataArray]:
        """Read elevation (m), slope (degree) or the sine or cosine of aspect.

        Tiles are joined before differences are taken, so that no seam shows.

        Returns
        -------
        One DataArray a grid; none if no tile meets `area`.

        Raises
        ------
        DataError
            If a file cannot be read.
        """
        if layer not in _LAYERS:
            kind = "layer of terrain"
            raise UnknownNameError(kind, layer, _LAYERS)
        return [_derived(dem, layer) for dem in self._elevation(paths, area)]

    def _elevation(self, paths: Sequence[Path], area: Area | None) -> list[xr.DataArray]:
        key = (tuple(paths), area)
        if self._last[0] != key:
            pieces = (self._tile(path, area) for path in paths)
            self._last = key, join([piece for piece in pieces if piece is not None])
        return self._last[1]

    def _tile(self, path: Path, area: Area | None) -> xr.DataArray | None:
        granule = self.granule(path)
        try:
            with rasterio.open(path) as source:
                box = GeoBox.from_rio(source)
                window = window_near(box, area, _MARGIN)
                if window is None:
                    return None
                stored = source.read(1, window=RasterWindow.from_slices(*window))
                nodata, tags = source.nodata, str(source.tags()).lower()
        except RasterioError as error:
            msg = f"{path} cannot be read as an elevation tile; it may be incomplete: download it again"
            raise DataError(msg) from error
        values = stored.astype(np.float32)
        values[(stored == nodata) | (values <= VOID)] = np.nan
        attrs = {"product": granule.product, "granules": [granule.id]}
        if "simulated" in tags:
            attrs["simulated"] = "true"
        return as_array(values, box[window], "dem", attrs)


def _derived(dem: xr.DataArray, layer: str) -> xr.DataArray:
    box, values = geobox_of(dem), dem.to_numpy()
    if layer == "slope":
        values = horn.slope(values, box)
    elif layer != "dem":
        values = horn.aspect(values, box)[layer == "aspect_cos"]
    attrs = {"units": LAYERS[layer].units, "long_name": LAYERS[layer].title, **dem.attrs}
    return as_array(values, box, layer, attrs)


def _model(path: Path) -> str:
    for product in PRODUCTS:
        if claimed([path], product.patterns):
            return product.name
    patterns = ", ".join(pattern for product in PRODUCTS for pattern in product.patterns)
    msg = f"{path.name} is not named like an elevation tile that is read here; expected {patterns}"
    raise DataError(msg)
