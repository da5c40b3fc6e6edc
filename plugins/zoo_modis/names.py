"""What the name of a MODIS file says, in each form in which the products are delivered."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from zoo.errors import DataError
from zoo_modis.products import PRODUCTS, Product

_TILE = r"(?P<id>(?P<product>\w+)\.A(?P<doy>\d{7})\.(?P<tile>h\d\dv\d\d)\.(?P<version>\d{3})\.\d+)"
_PIECE = r"(?P<piece>-\d{10}-\d{10})?"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        # MOD11A2.A2019265.h26v04.061.2019274042127.hdf
        rf"{_TILE}\.(?P<hdf>hdf)",
        # the same granule as NetCDF, from OPeNDAP or Harmony
        rf"{_TILE}(\.hdf)?(\.dap)?\.nc4?",
        # one layer of it as GeoTIFF: ..._1_km_16_days_NDVI.tif, or with GDAL's band, ..._LST_Day_1km_B01.TIF
        rf"{_TILE}[._](?P<layer>.+?)(_B\d+)?\.tif",
        # AppEEARS: MOD13A2.061__1_km_16_days_NDVI_doy2019257000000_aid0001.tif; ..._1km_aid0001.nc
        r"(?P<product>\w+)\.(?P<version>\d{3})_(?P<layer>.+)_doy(?P<doy>\d{7})\d*(?P<place>_aid\d+)?\.tif",
        r"(?P<id>(?P<product>\w+?)\.(?P<version>\d{3})_\w+_aid\d+)\.nc",
        # Earth Engine: [MODIS_061_]MOD13A2[_061]_2019_09_14[.NDVI].tif, large ones in pieces
        r"(MODIS_(?P<version>\d{3})_)?(?P<product>[A-Z0-9]+)(_(?P<later>\d{3}))?_(?P<day>\d{4}_\d\d_\d\d)"
        rf"{_PIECE}([._](?P<layer>.+?))?\.tif",
    )
)


@dataclass(frozen=True, slots=True)
class Name:
    """What a file name says.

    Attributes
    ----------
    id : of the granule; files with the same belong together
    start : first day, UTC; None where only the file tells (NetCDF of AppEEARS)
    tile : `h26v04`; empty for other cuts
    piece : of a raster that was delivered in several
    layer : the one that the file holds; empty if it holds several
    """

    product: Product
    version: str
    id: str
    start: datetime | None
    tile: str = ""
    piece: str = ""
    layer: str = ""

    @property
    def full_product(self) -> str:
        """Short name and collection, `MOD11A2.061`; Earth Engine's names need not say the collection."""
        return f"{self.product.name}.{self.version}" if self.version else self.product.name


def parse(path: Path) -> Name:
    """Read a file name.

    Raises
    ------
    DataError
        If it has none of the forms, or its date is none.
    """
    for form in _FORMS:
        match = form.fullmatch(path.name)
        if match is not None and match["product"].upper() in PRODUCTS:
            return _name(match.groupdict(), path)
    msg = (
        f"{path.name} is not named like a MODIS granule of {', '.join(PRODUCTS)}; expected for example "
        "MOD11A2.A2019265.h26v04.061.2019274042127.hdf; keep the names of the downloaded files"
    )
    raise DataError(msg)


def plain(name: str) -> str:
    """Return a data set's name in small letters, with `_` for anything but letters and digits.

    Examples
    --------
    >>> plain("1 km 16 days NDVI") == plain("_1_km_16_days_NDVI")
    True
    """
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _name(found: dict[str, str | None], path: Path) -> Name:
    product = PRODUCTS[str(found["product"]).upper()]
    version = found.get("version") or found.get("later") or ""
    start = _start(found, path)
    made_up = f"{product.name}.{version or 'export'}_{start:%Y%j}{found.get('place') or ''}" if start else ""
    return Name(
        product,
        version,
        found.get("id") or made_up,
        start,
        (found.get("tile") or "").lower(),
        found.get("piece") or "",
        plain(found.get("layer") or ""),
    )


def _start(found: dict[str, str | None], path: Path) -> datetime | None:
    for key, form, example in (("doy", "%Y%j", "A2019265"), ("day", "%Y_%m_%d", "2019_09_22")):
        text = found.get(key)
        if text:
            try:
                return datetime.strptime(text, form).replace(tzinfo=UTC)
            except ValueError as error:
                msg = f"{path.name} names the date {text}; expected as in {example}"
                raise DataError(msg) from error
    return None
