"""Maps as Cloud Optimized GeoTIFF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy.typing as npt
import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterWindow

from zoo import __version__
from zoo.errors import ZooError
from zoo.tiles.pipeline import usable_cores
from zoo.writers.bands import Band, stored_as, title_of
from zoo.writers.target import BLOCK, Window, failing, replacing, scratch

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

CACHE = 24 * 2**20
"""Bytes of GDAL's block cache while writing; without a bound it takes 5 % of the machine's memory."""

COLOURS = (
    (0, 0, 0, 0), (68, 119, 170, 255), (204, 187, 68, 255), (238, 102, 119, 255), (34, 136, 51, 255),
    (102, 204, 238, 255), (170, 51, 119, 255), (187, 187, 187, 255),
)  # fmt: skip
"""Of codes, 0 transparent: the bright qualitative scheme of P. Tol (2021, SRON/EPS/TN/09-002), told apart by all."""

_GDAL_ERRORS = (RasterioError, CPLE_BaseError)


@dataclass(slots=True)
class _Part:
    """One of the files: its bands, by their place among all of the map, which share a type."""

    path: Path
    bands: list[tuple[int, Band]]
    target: Path = Path()
    tiled: Path = Path()
    file: Any = None

    @property
    def codes(self) -> bool:
        return bool(self.bands[0][1].codes)


class CogWriter:
    """Writes float32 bands, nodata -9999, DEFLATE with floating-point predictor, 512 blocks, averaged overviews.

    The windows go into a tiled GeoTIFF beside the target, not compressed, from which GDAL's COG driver makes the
    file on all cores: a COG cannot be written in place, since its overviews come first. Neither step holds the map in
    memory.

    Bands of a GeoTIFF share one type, so that a band of codes gets a file of its own beside the map:
    `map_method.tif`, uint8, with a colour table, and overviews by the most frequent code. Both files appear, or none.

    Parameters
    ----------
    path : file to make
    geobox : its grid
    bands : the bands
    tags : metadata of the file
    depth : layer below the surface, metres, written as tag `depth`
    """

    def __init__(
        self,
        path: Path,
        geobox: GeoBox,
        *,
        bands: Sequence[Band],
        tags: Mapping[str, str] | None = None,
        depth: tuple[float, float] | None = None,
    ) -> None:
        self.path, self.geobox, self.bands = path, geobox, tuple(bands)
        self._tags = {**(tags or {}), **({"depth": f"{depth[0]:g} {depth[1]:g} m"} if depth else {})}
        numbers = [(index, band) for index, band in enumerate(self.bands) if not band.codes]
        self._parts = [_Part(path, numbers)] if numbers else []
        self._parts += [
            _Part(path.with_name(f"{path.stem}_{band.name}{path.suffix}"), [(index, band)])
            for index, band in enumerate(self.bands)
            if band.codes
        ]

    def __enter__(self) -> Self:
        """Begin the tiled files."""
        with ExitStack() as stack:
            for part in self._parts:
                part.target = stack.enter_context(replacing(part.path))
                part.tiled = stack.enter_context(scratch(part.path, ".tiles.tif"))
            stack.enter_context(rasterio.Env(GDAL_CACHEMAX=CACHE))
            for part in self._parts:
                with failing(part.path, *_GDAL_ERRORS):
                    part.file = self._create(part)
                stack.callback(part.file.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the tiled files, make the COGs from them, and move those into place when all are made."""
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            for part in self._parts:
                with failing(part.path, *_GDAL_ERRORS):
                    self._describe(part)
                    part.file.close()
                    rasterio.shutil.copy(part.tiled, part.target, driver="COG", **(_CODES if part.codes else _NUMBERS))

    def write(self, window: Window, values: npt.NDArray[Any]) -> None:
        """Write values (h, w), or (bands, h, w); what is not finite becomes nodata, of codes 0."""
        place = RasterWindow.from_slices(*window)
        stored = list(stored_as(self.bands, values))
        for part in self._parts:
            with failing(part.path, *_GDAL_ERRORS):
                for number, (index, _) in enumerate(part.bands, start=1):
                    part.file.write(stored[index], number, window=place)

    def update_tags(self, tags: Mapping[str, str]) -> None:
        """Add metadata that was not known at the beginning."""
        self._tags |= tags

    def _create(self, part: _Part) -> Any:
        height, width = self.geobox.shape.yx
        band = part.bands[0][1]
        return rasterio.open(
            part.tiled,
            "w",
            driver="GTiff",
            dtype=band.dtype,
            count=len(part.bands),
            height=height,
            width=width,
            crs=_crs(self.geobox),
            transform=self.geobox.affine,
            nodata=band.nodata,
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            interleave="band",
            sparse_ok=True,
            bigtiff="if_safer",
        )

    def _describe(self, part: _Part) -> None:
        for number, (_, band) in enumerate(part.bands, start=1):
            part.file.set_band_description(number, band.name)
            part.file.set_band_unit(number, band.units)
            part.file.update_tags(number, **_about(band))
            if band.codes:
                part.file.write_colormap(number, {code: COLOURS[code % len(COLOURS)] for code in band.codes})
        made = {
            "AREA_OR_POINT": "Area",
            "TIFFTAG_DATETIME": f"{datetime.now(UTC):%Y:%m:%d %H:%M:%S}",
            "TIFFTAG_IMAGEDESCRIPTION": self._tags.get("title", title_of([band for _, band in part.bands])),
            "TIFFTAG_SOFTWARE": f"soil-moisture-zoo {__version__}",
        }
        part.file.update_tags(**{**made, **self._tags})


_SHARED = {
    "COMPRESS": "DEFLATE",
    "BLOCKSIZE": BLOCK,
    "OVERVIEWS": "AUTO",
    "BIGTIFF": "IF_SAFER",
    "NUM_THREADS": usable_cores(),
}
_NUMBERS = {**_SHARED, "PREDICTOR": "FLOATING_POINT", "OVERVIEW_RESAMPLING": "AVERAGE"}
_CODES = {**_SHARED, "OVERVIEW_RESAMPLING": "MODE"}


def _about(band: Band) -> dict[str, str]:
    """Say in tags what a band holds, in the words of CF."""
    found = {"long_name": band.words}
    if band.standard_name:
        found["standard_name"] = band.standard_name
    if band.codes:
        found["flag_values"] = ", ".join(map(str, band.codes))
        found["flag_meanings"] = " ".join(band.codes.values())
    return found


def _crs(geobox: GeoBox) -> CRS:
    if geobox.crs is None:
        msg = "the grid of the map has no CRS"
        raise ZooError(msg)
    return CRS.from_user_input(geobox.crs.to_epsg() or geobox.crs.to_wkt())
