"""The standard names of predictors, their units, and the sets that models take by default."""

from __future__ import annotations

import math
from datetime import date

from zoo.types import LayerSpec

LAYERS: dict[str, LayerSpec] = {
    layer.name: layer
    for layer in (
        LayerSpec("blue", "1", "surface reflectance, blue (Landsat 8 OLI band 2)"),
        LayerSpec("green", "1", "surface reflectance, green (OLI band 3)"),
        LayerSpec("red", "1", "surface reflectance, red (OLI band 4)"),
        LayerSpec("nir", "1", "surface reflectance, near infrared (OLI band 5)"),
        LayerSpec("swir1", "1", "surface reflectance, short-wave infrared 1 (OLI band 6)"),
        LayerSpec("swir2", "1", "surface reflectance, short-wave infrared 2 (OLI band 7)"),
        LayerSpec("wetness", "1", "tasselled-cap wetness index"),
        LayerSpec("dem", "m", "elevation"),
        LayerSpec("slope", "degree", "slope of the ground (Horn)"),
        LayerSpec("aspect_sin", "1", "sine of the direction that the ground faces: east 1, west -1"),
        LayerSpec("aspect_cos", "1", "cosine of the direction that the ground faces: north 1, south -1"),
        LayerSpec("lst", "K", "land surface temperature, day"),
        LayerSpec("lst_night", "K", "land surface temperature, night"),
        LayerSpec("ndvi", "1", "normalised difference vegetation index"),
        LayerSpec("evi", "1", "enhanced vegetation index"),
        LayerSpec("lai", "m2 m-2", "leaf area index"),
        LayerSpec("fpar", "1", "fraction of absorbed photosynthetically active radiation"),
        LayerSpec("alb", "1", "white-sky albedo, short wave"),
        LayerSpec("alb_vis", "1", "white-sky albedo, visible"),
        LayerSpec("alb_nir", "1", "white-sky albedo, near infrared"),
        LayerSpec("alb_black", "1", "black-sky albedo, short wave"),
        LayerSpec("alb_black_vis", "1", "black-sky albedo, visible"),
        LayerSpec("alb_black_nir", "1", "black-sky albedo, near infrared"),
        LayerSpec("et", "kg m-2", "evapotranspiration over the composite"),
        LayerSpec("doy_sin", "1", "season: sine of the day of the year"),
        LayerSpec("doy_cos", "1", "season: cosine of the day of the year"),
        LayerSpec("water", "1", "share of open water"),
    )
}
"""Layers that the built-in readers deliver. `water` is a mask, not a predictor."""

PAPER = (
    "blue", "green", "red", "nir", "swir1", "swir2", "wetness",
    "dem", "lst", "ndvi", "evi", "lai", "alb_vis", "alb_nir",
)  # fmt: skip
"""The 14 predictors of Cai et al. 2022, section 2.3.1; the default."""

PAPER_EQ1 = (
    "red", "green", "blue", "nir", "swir1", "swir2", "lst", "ndvi", "evi", "lai", "alb", "dem", "wetness",
)  # fmt: skip
"""The 13 predictors of Cai et al. 2022, equation 1."""

SEASON = ("doy_sin", "doy_cos")
"""What `season` stands for in a list of predictors; the plugin `zoo_season` makes them from the day alone."""

_LANDSAT = ("blue", "green", "red", "nir", "swir1", "swir2", "wetness")
_REFLECTED = ("ndvi", "evi", "lai", "fpar", "alb", "alb_vis", "alb_nir", "alb_black", "alb_black_vis", "alb_black_nir")
GROUPS = {
    "landsat": _LANDSAT,
    "optical": (*_LANDSAT, *_REFLECTED),
    "thermal": ("lst", "lst_night"),
    "clouded": (*_LANDSAT, *_REFLECTED, "lst", "lst_night"),
}
"""Predictors that are missing together: `optical` is made of reflected sunlight, `clouded` all that clouds hide."""


def season_terms(day: date) -> dict[str, float]:
    """Return sine and cosine of the day of the year, 1 January being 1, over a year of 365.25 days.

    Examples
    --------
    >>> {name: round(value, 3) for name, value in season_terms(date(2019, 4, 2)).items()}
    {'doy_sin': 1.0, 'doy_cos': -0.013}
    """
    angle = 2 * math.pi * day.timetuple().tm_yday / 365.25
    return {"doy_sin": math.sin(angle), "doy_cos": math.cos(angle)}


def listed(text: str) -> tuple[str, ...]:
    """Read names of predictors joined by commas, each once; `season` stands for `SEASON`.

    Examples
    --------
    >>> listed("lst, ndvi,season")
    ('lst', 'ndvi', 'doy_sin', 'doy_cos')
    """
    names = (name.strip() for name in text.split(","))
    spelt = (part for name in names if name for part in (SEASON if name == "season" else (name,)))
    return tuple(dict.fromkeys(spelt))
