"""What is known of Landsat 8-9 Collection 2 Level 2 (USGS product guide LSDS-1619, sections 2 and 5)."""

from __future__ import annotations

from zoo.predictors import LAYERS
from zoo.types import PredictorSpec

BANDS = {"blue": 2, "green": 3, "red": 4, "nir": 5, "swir1": 6, "swir2": 7}
"""OLI band of each reflectance layer."""

SCALE, OFFSET = 2.75e-05, -0.2
"""Reflectance = SCALE * DN + OFFSET, where the metadata file (MTL) does not say it."""

FILL_DN = 0
CLEAR_OF = 0b111111
"""QA_PIXEL bits that mask: fill 0, dilated cloud 1, cirrus 2, cloud 3, cloud shadow 4, snow 5."""
WATER_BIT = 7
"""QA_PIXEL bit of open water."""

WETNESS = {
    "blue": 0.0382, "green": 0.2137, "red": 0.3536, "nir": 0.2270, "swir1": -0.6108, "swir2": -0.6351,
}  # fmt: skip
"""Tasselled-cap wetness for OLI surface reflectance, Zhai et al. 2022 (Remote Sens. Environ. 274, 112992)."""

ASSETS = {
    "SR_B2": "blue", "SR_B3": "green", "SR_B4": "red", "SR_B5": "nir08", "SR_B6": "swir16", "SR_B7": "swir22",
    "QA_PIXEL": "qa_pixel", "QA_RADSAT": "qa_radsat",
}  # fmt: skip
"""Asset of a STAC item by file of a scene, the same in the collections of USGS, Planetary Computer and Earth Search."""

SPEC = PredictorSpec(
    name="LANDSAT_C2L2",
    title="Landsat 8-9 Collection 2 Level 2 surface reflectance, 30 m",
    reader="zoo_landsat.reader:LandsatReader",
    patterns=(
        "LC0[89]_L2S[PR]_*_SR_B[2-7].TIF",
        "LC0[89]_L2S[PR]_*_QA_PIXEL.TIF",
        "LC0[89]_L2S[PR]_*_QA_RADSAT.TIF",
        "LC0[89]_L2S[PR]_*_MTL.txt",
        "LC0[89]_L2S[PR]_*_MTL.json",
        "LC0[89]_L2S[PR]_*_MTL.xml",
        # STAC items: as USGS, Planetary Computer and Earth Search name them
        "LC0[89]_L2S[PR]_*_stac.json",
        "LC0[89]_L2S[PR]_*_T[12].json",
        "LC0[89]_L2S[PR]_*_T[12]_SR.json",
    ),
    layers=tuple(LAYERS[name] for name in (*BANDS, "wetness", "water")),
    requires=("rasterio",),
    resolution=30,
)
