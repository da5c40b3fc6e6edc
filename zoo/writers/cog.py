"""Maps as Cloud Optimized GeoTIFF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterWindow

from zoo import __version__
from zoo.errors import ZooError
from zoo.writers.target import BLOCK, NODATA, STANDARD_NAMES, Window, failing, replacing, scratch

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

CACHE_MB = 64
"""GDAL's block cache while writing; without a bound it takes 5 % of the machine's memory."""

_GDAL_ERRORS = (RasterioError, CPLE_BaseError)


class CogWriter:
    """Writes float32 bands, nodata -9999, DEFLATE with floating-point predictor, 512 blocks, averaged overviews.

    The windows go into a tiled GeoTIFF beside the target, from which GDAL's COG driver makes the file: a COG
    cannot be written in place, since its overviews come first. Neither step holds the map in memory.

    Parameters
    ----------
    path : file to make
    geobox : its grid
    bands : description of each band
    units : of all bands
    tags : metadata of the file
    depth : layer below the surface, metres, written as tag `depth`
    """

    def __init__(
        self,
        path: Path,
        geobox: GeoBox,
        *,
        bands: Sequence[str] = ("soil_moisture",),
        units: str = "m3 m-3",
        tags: Mapping[str, str] | None = None,
        depth: tuple[float, float] | None = None,
    ) -> None:
        self.path, self.geobox, self.bands, self.units = path, geobox, tuple(bands), units
        self._tags = {**(tags or {}), **({"depth": f"{depth[0]:g} {depth[1]:g} m"} if depth else {})}

    def __enter__(self) -> Self:
        """Begin the tiled file."""
        with ExitStack() as stack:
            self._target = stack.enter_context(replacing(self.path))
            self._tiled = stack.enter_context(scratch(self.path, ".tiles.tif"))
            stack.enter_context(rasterio.Env(GDAL_CACHEMAX=CACHE_MB))
            with failing(self.path, *_GDAL_ERRORS):
                self._file = self._create()
            stack.callback(self._file.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the tiled file, make the COG from it, and move that into place."""
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack, failing(self.path, *_GDAL_ERRORS):
            self._describe()
            self._file.close()
            rasterio.shutil.copy(self._tiled, self._target, driver="COG", **_OPTIONS)

    def write(self, window: Window, values: npt.NDArray[Any]) -> None:
        """Write values (h, w), or (bands, h, w); what is not finite becomes nodata."""
        rows, columns = window
        block = np.asarray(values, np.float32)
        block = np.where(np.isfinite(block), block, np.float32(NODATA)).reshape(-1, *block.shape[-2:])
        with failing(self.path, *_GDAL_ERRORS):
            self._file.write(block, window=RasterWindow.from_slices(rows, columns))

    def update_tags(self, tags: Mapping[str, str]) -> None:
        """Add metadata that was not known at the beginning."""
        self._tags |= tags

    def _create(self) -> Any:
        height, width = self.geobox.shape.yx
        return rasterio.open(
            self._tiled,
            "w",
            driver="GTiff",
            dtype="float32",
            count=len(self.bands),
            height=height,
            width=width,
            crs=_crs(self.geobox),
            transform=self.geobox.affine,
            nodata=NODATA,
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            compress="deflate",
            zlevel=1,
            sparse_ok=True,
            bigtiff="if_safer",
        )

    def _describe(self) -> None:
        for index, band in enumerate(self.bands, start=1):
            self._file.set_band_description(index, band)
            self._file.set_band_unit(index, self.units)
            if band in STANDARD_NAMES:
                self._file.update_tags(index, standard_name=STANDARD_NAMES[band])
        title = self._tags.get("title", f"{', '.join(self.bands)} in {self.units}")
        self._file.update_tags(
            AREA_OR_POINT="Area",
            TIFFTAG_DATETIME=f"{datetime.now(UTC):%Y:%m:%d %H:%M:%S}",
            TIFFTAG_IMAGEDESCRIPTION=title,
            TIFFTAG_SOFTWARE=f"soil-moisture-zoo {__version__}",
            **self._tags,
        )


_OPTIONS = {
    "COMPRESS": "DEFLATE",
    "PREDICTOR": "FLOATING_POINT",
    "BLOCKSIZE": BLOCK,
    "OVERVIEWS": "AUTO",
    "OVERVIEW_RESAMPLING": "AVERAGE",
    "BIGTIFF": "IF_SAFER",
}


def _crs(geobox: GeoBox) -> CRS:
    if geobox.crs is None:
        msg = "the grid of the map has no CRS"
        raise ZooError(msg)
    return CRS.from_user_input(geobox.crs.to_epsg() or geobox.crs.to_wkt())
