"""GeoTIFFs that say that they are simulated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import rasterio
from affine import Affine


def write_geotiff(
    path: Path,
    values: npt.NDArray[Any],
    affine: Affine,
    crs: str,
    statement: str,
    *,
    nodata: float | None,
    predictor: int = 2,
    tags: Mapping[str, str] | None = None,
    description: str = "",
    units: str = "",
) -> Path:
    """Write one band, tiled and deflated; tags hold the statement beside what is given."""
    with (
        rasterio.Env(GDAL_NUM_THREADS="1"),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=values.shape[1],
            height=values.shape[0],
            count=1,
            dtype=values.dtype.name,
            crs=crs,
            transform=affine,
            nodata=nodata,
            compress="deflate",
            zlevel=3,
            predictor=predictor,
            tiled=True,
            blockxsize=256,
            blockysize=256,
        ) as file,
    ):
        file.write(values, 1)
        file.update_tags(TIFFTAG_IMAGEDESCRIPTION=statement, TIFFTAG_SOFTWARE="zoo simulate", **(tags or {}))
        if description:
            file.set_band_description(1, description)
        if units:
            file.set_band_unit(1, units)
    return path
