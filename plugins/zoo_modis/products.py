"""What is known of each MODIS product: one table.

Collections 6 and 6.1 have the same data sets. Sources: the files' own attributes; MOD11 (Wan), MOD13 (Didan),
MCD43 (Schaaf), MOD15 (Myneni) and MOD16 (Running) user guides, sections on data sets and quality. Names in Google
Earth Engine: the catalogue's band tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from zoo.predictors import LAYERS
from zoo.types import PredictorSpec


@dataclass(frozen=True, slots=True)
class Quality:
    """A rule on a quality data set: `accepted` values of the `bits` bits from `first` (0 = least significant).

    Attributes
    ----------
    also : the data set's name in Google Earth Engine, where it has another
    """

    dataset: str
    accepted: tuple[int, ...]
    first: int = 0
    bits: int = 8
    also: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A layer in a product.

    Attributes
    ----------
    dataset : name of the scientific data set (SDS)
    scale : physical value = stored value * scale
    valid : least and greatest stored value that is a measurement; fills and classes lie outside
    quality : rules that all have to hold
    fill : a fill value inside `valid`, if the product has one
    also : as in `Quality`
    """

    dataset: str
    scale: float
    valid: tuple[int, int]
    quality: tuple[Quality, ...]
    fill: int | None = None
    also: str = ""


@dataclass(frozen=True, slots=True)
class Product:
    """A product: its layers, and the days that the date in a file name begins.

    Attributes
    ----------
    days : days of the composite from the named day on; 0 for the calendar month
    resolution : of a pixel, metres, about
    ends_with_year : whether the last composite of a year is cut at 31 December
    """

    name: str
    title: str
    days: int
    resolution: float
    fields: Mapping[str, Field]
    ends_with_year: bool = False

    @property
    def spec(self) -> PredictorSpec:
        """The description for the host."""
        return PredictorSpec(
            name=self.name,
            title=self.title,
            reader="zoo_modis.reader:ModisReader",
            patterns=tuple(pattern.format(self.name) for pattern in PATTERNS),
            layers=tuple(LAYERS[name] for name in self.fields),
            requires=("pyhdf", "rasterio"),
            resolution=self.resolution,
        )

    def end(self, start: datetime) -> datetime:
        """Return the first instant after the composite that begins at `start`."""
        if self.days == 0:
            return (start.replace(day=1) + timedelta(days=32)).replace(day=1)
        end = start + timedelta(days=self.days)
        return min(end, datetime(start.year + 1, 1, 1, tzinfo=UTC)) if self.ends_with_year else end


PATTERNS = (
    "{}.A*.hdf",
    "{}.A*.tif",
    "{}.A*.nc",
    "{}.A*.nc4",
    "{}.[0-9][0-9][0-9]_*_doy*.tif",
    "{}.[0-9][0-9][0-9]_*_aid*.nc",
    "{}_*[12][0-9][0-9][0-9]_[01][0-9]_[0-3][0-9]*.tif",
    "MODIS_*_{}_[12][0-9][0-9][0-9]_[01][0-9]_[0-3][0-9]*.tif",
)
"""File names by product: native, cut out of it, from AppEEARS, exported from Earth Engine; see `zoo_modis.names`."""


def _temperature(time: str) -> Field:
    """LST: produced (bits 0-1: good, or other quality), and its error at most 3 K (bits 6-7)."""
    flags = f"QC_{time}"
    rules = Quality(flags, (0, 1), 0, 2), Quality(flags, (0, 1, 2), 6, 2)
    return Field(f"LST_{time}_1km", 0.02, (7500, 65535), rules)


def _index(grid: str, name: str) -> Field:
    """Vegetation index: pixel reliability good or marginal. The file's scale_factor 10000 means divide."""
    rules = (Quality(f"{grid} pixel reliability", (0, 1), also="SummaryQA"),)
    return Field(f"{grid} {name}", 1e-4, (-2000, 10000), rules, also=name)


def _albedo(sky: str, band: str) -> Field:
    """Albedo: full or magnitude inversion. The fill 32767 lies inside the file's valid_range."""
    rules = (Quality(f"BRDF_Albedo_Band_Mandatory_Quality_{band}", (0, 1)),)
    return Field(f"Albedo_{sky}_{band}", 0.001, (0, 32766), rules, fill=32767)


def _leaf(name: str, scale: float) -> Field:
    """LAI, FPAR: no dead detector, no cloud, main algorithm (bits 5-7); 249-255 are classes and fill."""
    flags = "FparLai_QC"
    rules = Quality(flags, (0,), 2, 1), Quality(flags, (0, 2, 3), 3, 2), Quality(flags, (0, 1), 5, 3)
    return Field(f"{name}_500m", scale, (0, 100), rules, also=name)


def _evapotranspiration() -> Field:
    """ET over the composite, no dead detector; 32761-32767 are classes and fill."""
    return Field("ET_500m", 0.1, (-32767, 32700), (Quality("ET_QC_500m", (0,), 2, 1, also="ET_QC"),), also="ET")


def _indices(grid: str) -> Mapping[str, Field]:
    return {"ndvi": _index(grid, "NDVI"), "evi": _index(grid, "EVI")}


_LST = {"lst": _temperature("Day"), "lst_night": _temperature("Night")}
_LAI = {"lai": _leaf("Lai", 0.1), "fpar": _leaf("Fpar", 0.01)}
_ET = {"et": _evapotranspiration()}
_BANDS = {"": "shortwave", "_vis": "vis", "_nir": "nir"}
_ALB = {
    f"alb{sky}{layer}": _albedo(dataset, band)
    for sky, dataset in {"": "WSA", "_black": "BSA"}.items()
    for layer, band in _BANDS.items()
}


def _both(code: str, what: str, days: int, resolution: float, fields: Mapping[str, Field]) -> Iterator[Product]:
    """Yield the products of Terra (MOD) and Aqua (MYD); eight-day composites end with the year."""
    for letters, satellite in (("MOD", "Terra"), ("MYD", "Aqua")):
        yield Product(f"{letters}{code}", f"MODIS {satellite} {what}", days, resolution, fields, days == 8)


PRODUCTS: dict[str, Product] = {
    product.name: product
    for product in (
        *_both("11A1", "land surface temperature, daily, 1 km", 1, 1000, _LST),
        *_both("11A2", "land surface temperature, 8 days, 1 km", 8, 1000, _LST),
        *_both("13Q1", "vegetation indices, 16 days, 250 m", 16, 250, _indices("250m 16 days")),
        *_both("13A1", "vegetation indices, 16 days, 500 m", 16, 500, _indices("500m 16 days")),
        *_both("13A2", "vegetation indices, 16 days, 1 km", 16, 1000, _indices("1 km 16 days")),
        *_both("13A3", "vegetation indices, monthly, 1 km", 0, 1000, _indices("1 km monthly")),
        *_both("15A2H", "leaf area index, 8 days, 500 m", 8, 500, _LAI),
        *_both("16A2", "evapotranspiration, 8 days, 500 m", 8, 500, _ET),
        *_both("16A2GF", "evapotranspiration, gap-filled, 8 days, 500 m", 8, 500, _ET),
        Product("MCD15A2H", "MODIS leaf area index, 8 days, 500 m", 8, 500, _LAI, True),
        Product("MCD15A3H", "MODIS leaf area index, 4 days, 500 m", 4, 500, _LAI, True),
        # The named day is the ninth of the sixteen that are used and the one that the result stands for.
        Product("MCD43A3", "MODIS albedo, daily from 16 days, 500 m", 1, 500, _ALB),
    )
}
"""Products by short name."""
