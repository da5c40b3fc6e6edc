"""Reading and stacking the sample scene: the zoo beside rioxarray's merge_arrays and reproject_match.

Both read the same files, mask by the same rules, average onto the same grid and write the same GeoTIFFs: the 14
predictors of the paper. rasterio's wheels cannot read HDF4, so the rioxarray side gets its MODIS arrays from
pyhdf. `--large` measures the memory of a stack of 4,000 x 4,000 pixels and 14 layers from MODIS and elevation tiles.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import rasterio
import rioxarray
import xarray as xr
from odc.geo.geobox import GeoBox
from pyhdf.SD import SD, SDC
from rasterio.enums import Resampling
from rioxarray.merge import merge_arrays
from stack_memory import measure

from zoo.inputs import Request, sample_request
from zoo.predictors import PAPER
from zoo.stack import build_stack
from zoo_landsat.product import WETNESS
from zoo_modis.hdf import _grid

BANDS = dict(zip(("blue", "green", "red", "nir", "swir1", "swir2"), range(2, 8), strict=True))
MODIS = {
    "lst": ("MOD11A2", "LST_Day_1km", "QC_Day", 0.02, lambda v, q: (v >= 7500) & (q & 3 < 2) & (q >> 6 < 3)),
    "ndvi": ("MOD13A2", "1 km 16 days NDVI", "1 km 16 days pixel reliability", 1e-4, lambda v, q: _index(v, q)),
    "evi": ("MOD13A2", "1 km 16 days EVI", "1 km 16 days pixel reliability", 1e-4, lambda v, q: _index(v, q)),
    "lai": ("MCD15A2H", "Lai_500m", "FparLai_QC", 0.1, lambda v, q: _leaf(v, q)),
    "alb_vis": ("MCD43A3", "Albedo_WSA_vis", "BRDF_Albedo_Band_Mandatory_Quality_vis", 1e-3, lambda v, q: q < 2),
    "alb_nir": ("MCD43A3", "Albedo_WSA_nir", "BRDF_Albedo_Band_Mandatory_Quality_nir", 1e-3, lambda v, q: q < 2),
}
"""Layer: product, data set, quality data set, scale, and what is kept."""


def main() -> None:
    """Measure, and print what was found, with the machine and the versions."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), arguments.side) if arguments.large else _paired(Path(folder), arguments.rounds)
    result["machine"] = {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "gdal": rasterio.__gdal_version__,
        **{name: version(name) for name in ("soil-moisture-zoo", "rasterio", "rioxarray", "numpy", "pyhdf")},
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    for name, value in result.items():
        print(f"{name:24} {value}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs")
    parser.add_argument("--large", action="store_true", help="measure the memory of a large stack instead")
    parser.add_argument("--side", type=int, default=4000, help="pixels along one side of the large stack")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


# --- the sample scene, side by side


def _paired(folder: Path, rounds: int) -> dict[str, object]:
    request = sample_request()
    sides: dict[str, Callable[[Path], None]] = {
        "zoo": lambda out: _ours(request, out),
        "rioxarray": lambda out: _theirs(request, out, merged=True),
        "reproject_match": lambda out: _theirs(request, out, merged=False),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-1, rounds):  # the first pair warms the disk and the imports
        order = list(sides) if number % 2 else list(reversed(sides))
        for name in order:
            out = folder / f"{name}{number}"
            begin = time.perf_counter()
            sides[name](out)
            if number >= 0:
                seconds[name].append(time.perf_counter() - begin)
    ratios = {
        name: [ours / theirs for ours, theirs in zip(seconds["zoo"], seconds[name], strict=True)]
        for name in ("rioxarray", "reproject_match")
    }
    return {
        "pixels": request.target.shape.yx,
        "layers": len(PAPER),
        "rounds": rounds,
        **{f"{name}_seconds": round(statistics.median(taken), 3) for name, taken in seconds.items()},
        # at most 1: the zoo is at least as fast; the second leaves merge_arrays out, which one scene does not need
        "zoo_to_rioxarray_time_ratio": round(statistics.median(ratios["rioxarray"]), 3),
        "zoo_to_rioxarray_without_merge_time_ratio": round(statistics.median(ratios["reproject_match"]), 3),
        "largest_time_ratio": round(max(ratios["rioxarray"]), 3),
        "difference_in_standard_deviations": _agreement(folder / "zoo0", folder / "rioxarray0"),
    }


def _ours(request: Request, out: Path) -> None:
    build_stack(request.places, PAPER, request.target, request.selection.date, out)


def _theirs(request: Request, out: Path, *, merged: bool) -> None:
    target = _empty(request.target)
    out.mkdir()
    scene = request.places[0]
    for name, array in (*_landsat(scene), *_modis(scene), ("dem", _dem(scene))):
        whole = merge_arrays([array]) if merged else array
        matched = whole.rio.reproject_match(target, resampling=Resampling.average)
        matched.rio.to_raster(out / f"{name}.tif", tiled=True, compress="deflate", predictor=3)


def _empty(box: GeoBox) -> xr.DataArray:
    array = xr.DataArray(np.zeros(box.shape.yx, np.float32), dims=("y", "x"))
    return array.rio.write_crs(str(box.crs)).rio.write_transform(box.affine)


def _landsat(scene: Path) -> Iterator[tuple[str, xr.DataArray]]:
    def opened(part: str) -> xr.DataArray:
        (path,) = scene.rglob(f"LC08*_{part}.TIF")
        with rioxarray.open_rasterio(path) as source:
            return source.squeeze("band", drop=True).load()

    clear = (opened("QA_PIXEL") & 0b111111) == 0
    saturated, wetness = opened("QA_RADSAT"), None
    for name, band in BANDS.items():
        numbers = opened(f"SR_B{band}")
        kept = clear & (numbers != 0) & ((saturated >> (band - 1)) & 1 == 0)
        reflectance = _nan(numbers.where(kept).astype(np.float32) * np.float32(2.75e-05) - np.float32(0.2), numbers)
        part = reflectance * np.float32(WETNESS[name])
        wetness = part if wetness is None else wetness + part
        yield name, reflectance
    yield "wetness", _nan(wetness, numbers)


def _modis(scene: Path) -> Iterator[tuple[str, xr.DataArray]]:
    for name, (product, dataset, quality, scale, kept) in MODIS.items():
        (path,) = scene.rglob(f"{product}.*.hdf")
        file = SD(str(path), SDC.READ)
        values, flags = file.select(dataset).get(), file.select(quality).get()
        structure = file.attributes()["StructMetadata.0"]
        file.end()
        box = _grid(structure, dataset, path)
        physical = np.where(kept(values, flags), values * np.float32(scale), np.float32(np.nan))
        array = xr.DataArray(
            physical,
            dims=("y", "x"),
            coords={axis: coordinate.values for axis, coordinate in zip("yx", box.coordinates.values(), strict=True)},
        )
        yield name, array.rio.write_crs(str(box.crs)).rio.write_transform(box.affine).rio.write_nodata(np.nan)


def _dem(scene: Path) -> xr.DataArray:
    (path,) = scene.rglob("*gmted*.tif")
    with rioxarray.open_rasterio(path, masked=True) as source:
        array = source.squeeze("band", drop=True).load().astype(np.float32)
    array.encoding = {}
    return array.rio.write_nodata(np.nan)


def _nan(array: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    return array.rio.write_crs(like.rio.crs).rio.write_nodata(np.nan)


def _index(values: np.ndarray, reliability: np.ndarray) -> np.ndarray:
    return (values >= -2000) & (reliability >= 0) & (reliability < 2)


def _leaf(values: np.ndarray, flags: np.ndarray) -> np.ndarray:
    return (values <= 100) & (flags & 4 == 0) & (flags >> 3 & 3 != 1) & (flags >> 5 < 2)


def _agreement(ours: Path, theirs: Path) -> dict[str, float]:
    """Root mean square difference, as a share of the layer's standard deviation."""
    found = {}
    for name in PAPER:
        with rasterio.open(ours / f"{name}.tif") as one, rasterio.open(theirs / f"{name}.tif") as other:
            mine, other_values = one.read(1), other.read(1)
        both = np.isfinite(mine) & np.isfinite(other_values)
        found[name] = round(float(np.sqrt(np.mean((mine - other_values)[both] ** 2)) / mine[both].std()), 4)
    return found


if __name__ == "__main__":
    sys.exit(main())
