"""What is known of each MODIS product: one table.

Collections 6 and 6.1 have the same data sets. Sources: the files' own attributes; MOD11 (Wan), MOD13 (Didan),
MCD43 (Schaaf), MOD15 (Myneni) and MOD16 (Running) user guides, sections on data sets and quality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zoo.predictors import LAYERS
from zoo.types import PredictorSpec


@dataclass(frozen=True, slots=True)
class Quality:
    """A rule on a quality data set: `accepted` values of the `bits` bits from `first` (0 = least significant)."""

    dataset: str
    accepted: tuple[int, ...]
    first: int = 0
    bits: int = 8


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
    """

    dataset: str
    scale: float
    valid: tuple[int, int]
    quality: tuple[Quality, ...]
    fill: int | None = None


@dataclass(frozen=True, slots=True)
class Product:
    """A product: its layers, and the days that the date in a file name begins.

    Attributes
    ----------
    days : days of the composite from the named day on
    ends_with_year : whether the last composite of a year is cut at 31 December
    """

    name: str
    title: str
    days: int
    fields: Mapping[str, Field]
    ends_with_year: bool = False

    @property
    def spec(self) -> PredictorSpec:
        """The description for the host."""
        layers = tuple(LAYERS[name] for name in self.fields)
        return PredictorSpec(
            name=self.name,
            title=self.title,
            reader="zoo_modis.reader:ModisReader",
            patterns=(f"{self.name}.A*.hdf",),
            layers=layers,
            requires=("pyhdf",),
        )


def _temperature(time: str) -> Field:
    """LST: produced (bits 0-1: good, or other quality), and its error at most 3 K (bits 6-7)."""
    flags = f"QC_{time}"
    rules = Quality(flags, (0, 1), 0, 2), Quality(flags, (0, 1, 2), 6, 2)
    return Field(f"LST_{time}_1km", 0.02, (7500, 65535), rules)


def _index(name: str) -> Field:
    """Vegetation index: pixel reliability good or marginal. The file's scale_factor 10000 means divide."""
    rules = (Quality("1 km 16 days pixel reliability", (0, 1)),)
    return Field(f"1 km 16 days {name}", 1e-4, (-2000, 10000), rules)


def _albedo(band: str) -> Field:
    """White-sky albedo: full or magnitude inversion. The fill 32767 lies inside the file's valid_range."""
    rules = (Quality(f"BRDF_Albedo_Band_Mandatory_Quality_{band}", (0, 1)),)
    return Field(f"Albedo_WSA_{band}", 0.001, (0, 32766), rules, fill=32767)


def _leaf(dataset: str, scale: float) -> Field:
    """LAI, FPAR: no dead detector, no cloud, main algorithm (bits 5-7); 249-255 are classes and fill."""
    flags = "FparLai_QC"
    rules = Quality(flags, (0,), 2, 1), Quality(flags, (0, 2, 3), 3, 2), Quality(flags, (0, 1), 5, 3)
    return Field(dataset, scale, (0, 100), rules)


_LST = {"lst": _temperature("Day"), "lst_night": _temperature("Night")}
_VI = {"ndvi": _index("NDVI"), "evi": _index("EVI")}
_ALB = {"alb": _albedo("shortwave"), "alb_vis": _albedo("vis"), "alb_nir": _albedo("nir")}
_LAI = {"lai": _leaf("Lai_500m", 0.1), "fpar": _leaf("Fpar_500m", 0.01)}
_ET = {"et": Field("ET_500m", 0.1, (-32767, 32700), (Quality("ET_QC_500m", (0,), 2, 1),))}

PRODUCTS: dict[str, Product] = {
    product.name: product
    for product in (
        Product("MOD11A1", "MODIS Terra land surface temperature, daily, 1 km", 1, _LST),
        Product("MYD11A1", "MODIS Aqua land surface temperature, daily, 1 km", 1, _LST),
        Product("MOD11A2", "MODIS Terra land surface temperature, 8 days, 1 km", 8, _LST, True),
        Product("MYD11A2", "MODIS Aqua land surface temperature, 8 days, 1 km", 8, _LST, True),
        Product("MOD13A2", "MODIS Terra vegetation indices, 16 days, 1 km", 16, _VI),
        Product("MYD13A2", "MODIS Aqua vegetation indices, 16 days, 1 km", 16, _VI),
        # The named day is the ninth of the sixteen that are used and the one that the result stands for.
        Product("MCD43A3", "MODIS albedo, daily from 16 days, 500 m", 1, _ALB),
        Product("MCD15A2H", "MODIS leaf area index, 8 days, 500 m", 8, _LAI, True),
        Product("MOD15A2H", "MODIS Terra leaf area index, 8 days, 500 m", 8, _LAI, True),
        Product("MYD15A2H", "MODIS Aqua leaf area index, 8 days, 500 m", 8, _LAI, True),
        Product("MCD15A3H", "MODIS leaf area index, 4 days, 500 m", 4, _LAI, True),
        Product("MOD16A2", "MODIS Terra evapotranspiration, 8 days, 500 m", 8, _ET, True),
        Product("MOD16A2GF", "MODIS Terra evapotranspiration, gap-filled, 8 days, 500 m", 8, _ET, True),
        Product("MYD16A2", "MODIS Aqua evapotranspiration, 8 days, 500 m", 8, _ET, True),
        Product("MYD16A2GF", "MODIS Aqua evapotranspiration, gap-filled, 8 days, 500 m", 8, _ET, True),
    )
}
"""Products by short name."""
