"""What can be fetched: one row a product, with the catalogue that lists it.

Short names and versions: NASA's Common Metadata Repository (CMR); collections and asset keys: the STAC catalogue of the
Planetary Computer, which Earth Search shares. Adding a product is adding a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from zoo.errors import UnknownNameError, UsageError

GROUPS = ("smap", "amsr2", "modis", "landsat", "dem")
"""What a user types after `zoo fetch`."""
SENSORS = ("smap", "amsr2")
"""Groups that are sensors; the others deliver predictors."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product in a catalogue.

    Attributes
    ----------
    name : CMR short name, or STAC collection
    group : one of `GROUPS`
    pattern : of the data files' names (fnmatch) among all that the catalogue links
    versions : CMR versions, the preferred first; empty for STAC
    layers : predictor layers that it delivers
    assets : STAC asset keys of each layer
    always : STAC asset keys that are needed whatever the layers
    default : taken when only the group is named (sensors)
    named_day : it stands for the day in its name, though the catalogue gives the period of the data that went in
    """

    name: str
    group: str
    pattern: str
    versions: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    assets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    always: tuple[str, ...] = ()
    default: bool = False
    named_day: bool = False

    @property
    def folder(self) -> str:
        """Folder below the target, named as in the sample scene."""
        return "terrain" if self.group == "dem" else self.group


def _smap(name: str, *versions: str, default: bool = False) -> Product:
    return Product(name, "smap", "SMAP_L*.h5", versions, default=default)


def _lprm(name: str, default: bool = False) -> Product:
    return Product(name, "amsr2", "LPRM*.nc*", ("001",), default=default)


def _modis(name: str, *layers: str, named_day: bool = False) -> Product:
    return Product(name, "modis", f"{name}.A*.hdf", ("061",), layers, named_day=named_day)


_BANDS = {
    "blue": "blue",
    "green": "green",
    "red": "red",
    "nir": "nir08",
    "swir1": "swir16",
    "swir2": "swir22",
}
_LANDSAT = {layer: (key,) for layer, key in _BANDS.items()} | {"wetness": tuple(_BANDS.values()), "water": ()}
_TERRAIN = ("dem", "slope", "aspect_sin", "aspect_cos")

PRODUCTS: Mapping[str, Product] = MappingProxyType(
    {
        product.name: product
        for product in (
            _smap("SPL4SMGP", "008", "007", default=True),
            _smap("SPL3SMP", "009", "008"),
            _smap("SPL3SMP_E", "006", "005"),
            _smap("SPL2SMP", "009", "008"),
            _smap("SPL2SMP_E", "006", "005"),
            _lprm("LPRM_AMSR2_DS_A_SOILM3", default=True),
            _lprm("LPRM_AMSR2_DS_D_SOILM3", default=True),
            _lprm("LPRM_AMSR2_A_SOILM3"),
            _lprm("LPRM_AMSR2_D_SOILM3"),
            # of the products that deliver a layer, the first is the default: those of Cai et al. 2022, Table 1
            _modis("MOD11A2", "lst", "lst_night"),
            _modis("MOD13A2", "ndvi", "evi"),
            _modis("MCD15A2H", "lai", "fpar"),
            _modis("MCD43A3", "alb", "alb_vis", "alb_nir", named_day=True),
            _modis("MOD16A2", "et"),
            _modis("MOD11A1", "lst", "lst_night"),
            _modis("MYD11A1", "lst", "lst_night"),
            _modis("MYD11A2", "lst", "lst_night"),
            _modis("MYD13A2", "ndvi", "evi"),
            _modis("MOD13Q1", "ndvi", "evi"),
            _modis("MYD13Q1", "ndvi", "evi"),
            _modis("MOD13A3", "ndvi", "evi"),
            _modis("MYD13A3", "ndvi", "evi"),
            _modis("MOD15A2H", "lai", "fpar"),
            _modis("MYD15A2H", "lai", "fpar"),
            _modis("MCD15A3H", "lai", "fpar"),
            _modis("MOD16A2GF", "et"),
            _modis("MYD16A2", "et"),
            _modis("MYD16A2GF", "et"),
            Product(
                "landsat-c2-l2",
                "landsat",
                "LC0[89]_*",
                layers=tuple(_LANDSAT),
                assets=_LANDSAT,
                always=("qa_pixel", "qa_radsat", "mtl.txt", "mtl.json"),
            ),
            Product(
                "cop-dem-glo-30", "dem", "*.tif", layers=_TERRAIN, assets=dict.fromkeys(_TERRAIN, ("data",))
            ),
        )
    }
)  # fmt: skip
"""Products by name."""

_ELSEWHERE = {
    ("jaxa", "smc", "gportal"): (
        "JAXA's AMSR2 soil moisture (SMC) is in no catalogue that is searched here: download it from G-Portal "
        "(https://gportal.jaxa.jp, by SFTP with your account) and point --data at the folder; zoo fetch amsr2 brings "
        "the LPRM product"
    ),
    ("gmted", "srtm"): (
        "GMTED2010 and SRTM are in no catalogue that is searched here: zoo fetch dem brings Copernicus GLO-30; files "
        "of GMTED2010 or SRTM (https://earthexplorer.usgs.gov) are read where --data points at them"
    ),
}


def chosen(names: Sequence[str] | None, layers: Iterable[str], sensor: str) -> list[Product]:
    """Return the products that are meant.

    Parameters
    ----------
    names : groups and products, a product perhaps with its version (`MOD11A2.061`); None is everything that
        training with `sensor` and `layers` needs
    layers : predictor layers that the groups of predictors shall deliver
    sensor : of `SENSORS`

    Raises
    ------
    UnknownNameError
        If a name is neither a group nor a product.
    """
    wanted = tuple(layers)
    if names is None:
        if sensor not in SENSORS:
            kind = "sensor that can be fetched"
            raise UnknownNameError(kind, sensor, SENSORS, "Download its granules yourself and point --data at them.")
        names = (sensor, *(group for group in GROUPS if group not in SENSORS and delivers(group, wanted)))
    products = [product for name in names for product in _named(name, wanted)]
    return list({product.name: product for product in products}.values())


def delivers(group: str, layers: Iterable[str]) -> bool:
    """Whether a group has a product with one of the layers."""
    return any(product.group == group and layer in product.layers for product in PRODUCTS.values() for layer in layers)


def _named(name: str, layers: tuple[str, ...]) -> list[Product]:
    if name.lower() in SENSORS:
        return [product for product in PRODUCTS.values() if product.group == name.lower() and product.default]
    if name.lower() in GROUPS:
        return _delivering(name.lower(), layers)
    short, _, version = name.partition(".")
    known = {product.name.lower(): product for product in PRODUCTS.values()}
    product = known.get(short.lower())
    if product is None:
        _say_where_else(name)
        kind = "product to fetch"
        raise UnknownNameError(kind, name, (*GROUPS, *PRODUCTS))
    if version and version not in product.versions:
        kind = f"version of {product.name}"
        raise UnknownNameError(kind, version, product.versions)
    return [product]


def _delivering(group: str, layers: tuple[str, ...]) -> list[Product]:
    """Return the first product for each layer, or those for any layer if none is asked of this group."""
    rows = [product for product in PRODUCTS.values() if product.group == group]
    asked = [layer for layer in layers if any(layer in product.layers for product in rows)]
    if not asked:
        names = sorted({layer for product in rows for layer in product.layers})
        msg = f"{group} delivers none of the layers {', '.join(layers)}; it has: {', '.join(names)}"
        raise UsageError(msg)
    first = {layer: next(product for product in rows if layer in product.layers) for layer in asked}
    return list({product.name: product for product in first.values()}.values())


def _say_where_else(name: str) -> None:
    for words, text in _ELSEWHERE.items():
        if any(word in name.lower().replace("-", "") for word in words):
            raise UsageError(text)
