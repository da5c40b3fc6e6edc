"""What is known of each elevation model."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.predictors import LAYERS
from zoo.types import PredictorSpec

VOID = -32767
"""Metres: stored values down from here are voids; files write -32768 or -32767, not all of them as nodata."""


@dataclass(frozen=True, slots=True)
class Model:
    """An elevation model, the patterns of its file names, and its finest pixel in metres, if it has one."""

    name: str
    title: str
    patterns: tuple[str, ...]
    resolution: float | None = None

    @property
    def spec(self) -> PredictorSpec:
        """The description for the host."""
        return PredictorSpec(
            name=self.name,
            title=self.title,
            reader="zoo_terrain.reader:TerrainReader",
            patterns=self.patterns,
            layers=tuple(LAYERS[name] for name in ("dem", "slope", "aspect_sin", "aspect_cos")),
            requires=("rasterio",),
            resolution=self.resolution,
        )


PRODUCTS = (
    Model("COPDEM", "Copernicus DEM, 30 m and 90 m", ("Copernicus_DSM_*_DEM.tif",), 30),
    Model("GMTED2010", "GMTED2010 elevation, 7.5, 15 and 30 arc-seconds", ("*_gmted_*.tif",), 230),
    Model(
        "SRTM",
        "SRTM elevation, 1 and 3 arc-seconds",
        ("[NS][0-9][0-9][EW][0-9][0-9][0-9]*.hgt", "[NS][0-9][0-9][EW][0-9][0-9][0-9]*.hgt.zip"),
        30,
    ),
    # Any other GeoTIFF that calls itself a DEM. Last, since the names above hold the word as well.
    Model(
        "DEM",
        "any elevation GeoTIFF in metres named dem.tif, *dem.tif, dem_*.tif or *_dem_*.tif",
        ("*dem.tif", "*dem.tiff", "dem[_.-]*.tif", "dem[_.-]*.tiff", "*[_.-]dem[_.-]*.tif", "*[_.-]dem[_.-]*.tiff"),
    ),
)
"""The models; the first whose pattern fits a name is taken for it."""
