"""A Landsat 8 Collection 2 Level 2 scene: bands 2 to 7, quality, and metadata as text and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyproj
from affine import Affine

from zoo.simulate.domain import Domain, strips
from zoo.simulate.fields import Field, Mask, covering, gaussian_field, single, smoothed
from zoo.simulate.landscape import Cover, Landscape
from zoo.simulate.raster import write_geotiff
from zoo.simulate.surface import BANDS, Surface, reflectance
from zoo.simulate.terrain import SUN_AZIMUTH, SUN_ELEVATION

_MULT, _ADD = 2.75e-05, -0.2
_STEP = 16
"""Between two numbers that are written: 0.00044 in reflectance, a tenth of the noise; it halves the files."""
_NOISE = 0.0045
_CLOUDS = 0.032
_SHADOW_SHIFT = (1500.0, -800.0)
"""Ground distance north and east from a cloud to its shadow, metres; the sun stands in the south-south-east."""
_CLEAR, _WATER, _CLOUD, _DILATED, _SHADOW = 21824, 21952, 22280, 21762, 23888
"""QA_PIXEL as the product writes it."""
_STRIP = 512
_FIELD_TABLE = 256


@dataclass(frozen=True, slots=True)
class _Sky:
    """Clouds, the pixels beside them and their shadows, 0 or 1 on the base grid."""

    cloud: Field
    dilated: Field
    shadow: Field


@dataclass(frozen=True, slots=True)
class _Grid:
    """UTM grid of the scene."""

    crs: str
    zone: int
    affine: Affine
    shape: tuple[int, int]


def write_landsat(
    folder: Path,
    domain: Domain,
    landscape: Landscape,
    surface: Surface,
    rng: np.random.Generator,
    resolution: float,
    cloud: float,
) -> list[Path]:
    """Write one scene that covers the target grid.

    Parameters
    ----------
    resolution : pixel, metres; 30 as published, more to save time and space
    cloud : multiplies the share of cloud
    """
    grid = _utm_grid(domain, resolution)
    name = scene_id(domain)
    place = folder / name
    place.mkdir(parents=True)
    sky = _make_sky(domain, rng, cloud)
    numbers, quality = _render(domain, landscape, surface, sky, grid, rng)
    tags = {"AREA_OR_POINT": "Point"}
    paths = [
        write_geotiff(
            place / f"{name}_SR_B{number}.TIF", values, grid.affine, grid.crs, domain.statement, nodata=0, tags=tags
        )
        for number, values in zip(range(2, 8), numbers, strict=True)
    ]
    saturation = np.zeros_like(quality)
    for suffix, values in (("QA_PIXEL", quality), ("QA_RADSAT", saturation)):
        path = place / f"{name}_{suffix}.TIF"
        paths.append(
            write_geotiff(path, values, grid.affine, grid.crs, domain.statement, nodata=None, predictor=1, tags=tags)
        )
    metadata = _metadata(domain, name, grid, quality)
    (place / f"{name}_MTL.json").write_text(json.dumps({"LANDSAT_METADATA_FILE": metadata}, indent=2) + "\n")
    (place / f"{name}_MTL.txt").write_text(_odl(metadata))
    return [*paths, place / f"{name}_MTL.json", place / f"{name}_MTL.txt"]


def scene_id(domain: Domain) -> str:
    """Name of the scene: path and row of WRS-2 over the middle of the area, acquired on the day itself."""
    area = domain.area
    path, row = wrs2((area.west + area.east) / 2, (area.south + area.north) / 2)
    processed = domain.day + timedelta(days=335)
    return f"LC08_L2SP_{path:03d}{row:03d}_{domain.day:%Y%m%d}_{processed:%Y%m%d}_02_T1"


def wrs2(lon: float, lat: float) -> tuple[int, int]:
    """Path and row of the descending pass nearest to a place.

    Circular orbit, inclination 98.2 degrees, 233 paths and 248 rows, row 60 at the equator, path 1 crossing it at
    64.6 W (Landsat 8 Data Users Handbook, section 2).
    """
    inclination = math.radians(98.2)
    along = math.asin(max(-1.0, min(1.0, math.sin(math.radians(lat)) / math.sin(inclination))))
    ahead = math.degrees(math.atan(-math.cos(inclination) * math.tan(along)))
    turned = math.degrees(along) / 360 * 98.884 * 0.25068
    node = lon - ahead - turned
    path = round((-64.6 - node) / (360 / 233)) % 233 + 1
    return path, round(60 - math.degrees(along) / (360 / 248))


def _utm_grid(domain: Domain, resolution: float) -> _Grid:
    """Pixels whose centres are multiples of the resolution, over the target grid."""
    area = domain.area
    zone = int(((area.west + area.east) / 2 + 180) // 6) + 1
    crs = f"EPSG:{32600 + zone}"
    box = domain.target.boundingbox
    to_utm = pyproj.Transformer.from_crs("EPSG:6933", crs, always_xy=True)
    west, south, east, north = to_utm.transform_bounds(box.left, box.bottom, box.right, box.top, densify_pts=21)
    left, top = math.floor(west / resolution) - 0.5, math.ceil(north / resolution) + 0.5
    shape = math.ceil(top - south / resolution), math.ceil(east / resolution - left)
    return _Grid(crs, zone, Affine(resolution, 0, left * resolution, 0, -resolution, top * resolution), shape)


def _make_sky(domain: Domain, rng: np.random.Generator, cloud: float) -> _Sky:
    cover = covering(gaussian_field(rng, domain.shape, domain.spacing, 4e3, 3.4), cloud * _CLOUDS)
    grey = cover.astype(np.float32)
    beside = (smoothed(grey, domain.spacing, 350.0) > 0.08) & ~cover
    shift = round(-_SHADOW_SHIFT[0] / domain.spacing[0]), round(_SHADOW_SHIFT[1] / domain.spacing[1])
    shadow = _shifted(cover, *shift) & ~cover
    return _Sky(grey, beside.astype(np.float32), shadow.astype(np.float32))


def _shifted(mask: Mask, rows: int, columns: int) -> Mask:
    """Move a mask; what comes in from outside is False."""
    moved = np.roll(mask, (rows, columns), axis=(0, 1))
    moved[rows:] = False
    moved[:, columns:] = False
    return moved


@dataclass(frozen=True, slots=True)
class _Detail:
    """What is finer than the base grid: three textures that repeat without sharing a period, and fields."""

    textures: tuple[Field, Field, Field]
    parcels: Field

    @classmethod
    def draw(cls, rng: np.random.Generator, resolution: float) -> _Detail:
        sizes = (1000, 864, 1125)
        spacing = (resolution, resolution)
        textures = [gaussian_field(rng, (size, size), spacing, 250.0, 3.0, periodic=True) for size in sizes]
        parcels = rng.standard_normal((_FIELD_TABLE, _FIELD_TABLE), dtype=np.float32)
        return cls((textures[0], textures[1], textures[2]), parcels)

    def texture(self, number: int, rows: slice, columns: int) -> Field:
        tile = self.textures[number]
        size = tile.shape[0]
        down, across = np.arange(rows.start, rows.stop) % size, np.arange(columns) % size
        return tile[np.ix_(down, across)]

    def harvest(self, rows: slice, columns: int, resolution: float) -> Field:
        """State of each parcel of farmland, some 420 m by 210 m, laid askew."""
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] * resolution
        x = np.arange(columns, dtype=np.float32)[None, :] * resolution
        along, across = 0.966 * x + 0.259 * y, 0.966 * y - 0.259 * x
        strip = np.floor(across / 210).astype(np.int64)
        block = np.floor(along / 420 + 0.37 * strip).astype(np.int64)
        return self.parcels[strip % _FIELD_TABLE, block % _FIELD_TABLE]


def _render(
    domain: Domain, landscape: Landscape, surface: Surface, sky: _Sky, grid: _Grid, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """Digital numbers, (band, row, column), and QA_PIXEL, made in strips of rows."""
    rows, columns = grid.shape
    numbers = np.zeros((len(BANDS), rows, columns), dtype=np.uint16)
    quality = np.full(grid.shape, 1, dtype=np.uint16)
    detail = _Detail.draw(rng, grid.affine.a)
    base = {
        "green": surface.green,
        "straw": surface.straw,
        "sand": landscape.sand,
        "wet": landscape.wet,
        "root": landscape.root,
        "lit": landscape.terrain.illumination,
        "water": landscape.water,
        "crop": (landscape.cover == Cover.CROP).astype(np.float32),
        "cloud": sky.cloud,
        "dilated": sky.dilated,
        "shadow": sky.shadow,
    }
    stacked = np.stack(list(base.values()))
    for strip in strips(rows, _STRIP):
        affine = grid.affine * Affine.translation(0, strip.start)
        shape = (strip.stop - strip.start, columns)
        layers = domain.interpolate(stacked, affine, shape, grid.crs)
        at = dict(zip(base, layers, strict=True))
        inside = np.isfinite(at["green"])
        _refine(at, detail, strip, grid.affine.a)
        for band, name in enumerate(BANDS):
            value = _seen(name, at, rng)
            steps = np.round((value - _ADD) / (_MULT * _STEP)) * _STEP
            numbers[band, strip] = np.where(inside, np.clip(steps, _STEP, 65520), 0)
        quality[strip] = np.where(inside, _quality(at), 1)
    return numbers, quality


def _refine(at: dict[str, Field], detail: _Detail, strip: slice, resolution: float) -> None:
    """Add what is finer than the base grid."""
    columns = at["green"].shape[1]
    one, two, three = (detail.texture(number, strip, columns) for number in range(3))
    parcels = at["crop"] * detail.harvest(strip, columns, resolution)
    at["green"] = np.clip(at["green"] * (1 + 0.12 * one + 0.22 * parcels), 0, 1)
    at["straw"] = np.clip(np.minimum(at["straw"] * (1 + 0.15 * two), 1 - at["green"]), 0, 1)
    at["sand"] = np.clip(at["sand"] + 0.07 * two, 0, 1)
    at["wet"] = np.clip(at["wet"] * (1 + 0.08 * three), 0.01, 0.5)
    # a bank is sharper than the base grid shows it
    at["water"] = np.clip(0.5 + 2.2 * (at["water"] - 0.5) + 0.12 * one, 0, 1) * (at["water"] > 0.05)


def _seen(band: str, at: Mapping[str, Field], rng: np.random.Generator) -> Field:
    """Reflectance with cloud, shadow and noise."""
    names = ("green", "straw", "sand", "wet", "root", "lit", "water")
    clear = reflectance(band, **{name: at[name] for name in names})
    white = 0.45 if band.startswith("swir") else 0.62
    shaded = clear * (1 - 0.55 * at["shadow"]) * (1 + 0.10 * at["dilated"])
    lit = shaded * (1 - at["cloud"]) + white * at["cloud"]
    return single(lit + _NOISE * rng.standard_normal(lit.shape, dtype=np.float32))


def _quality(at: Mapping[str, Field]) -> npt.NDArray[np.uint16]:
    ground = np.where(at["water"] > 0.5, _WATER, _CLEAR)
    ground = np.where(at["shadow"] > 0.3, _SHADOW, ground)
    ground = np.where(at["dilated"] > 0.4, _DILATED, ground)
    return np.where(at["cloud"] > 0.25, _CLOUD, ground).astype(np.uint16)


def _metadata(domain: Domain, name: str, grid: _Grid, quality: npt.NDArray[np.uint16]) -> dict[str, dict[str, str]]:
    """Return the groups of the MTL file that a reader of level 2 needs; every value is text."""
    path, row = name.split("_")[2][:3], name.split("_")[2][3:]
    seen = quality != 1
    cloudy = np.isin(quality, (_CLOUD, _DILATED)) & seen
    numbers = range(2, 8)
    rows, columns = grid.shape
    left, top = grid.affine * (0.5, 0.5)
    right, bottom = grid.affine * (columns - 0.5, rows - 0.5)
    to_degrees = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    corners = {"UL": (left, top), "UR": (right, top), "LL": (left, bottom), "LR": (right, bottom)}
    projection = {
        "MAP_PROJECTION": "UTM",
        "DATUM": "WGS84",
        "ELLIPSOID": "WGS84",
        "UTM_ZONE": str(grid.zone),
        "GRID_CELL_SIZE_REFLECTIVE": f"{grid.affine.a:.2f}",
        "REFLECTIVE_LINES": str(rows),
        "REFLECTIVE_SAMPLES": str(columns),
        "ORIENTATION": "NORTH_UP",
    }
    for corner, (x, y) in corners.items():
        lon, lat = to_degrees.transform(x, y)
        projection[f"CORNER_{corner}_LAT_PRODUCT"] = f"{lat:.5f}"
        projection[f"CORNER_{corner}_LON_PRODUCT"] = f"{lon:.5f}"
        projection[f"CORNER_{corner}_PROJECTION_X_PRODUCT"] = f"{x:.3f}"
        projection[f"CORNER_{corner}_PROJECTION_Y_PRODUCT"] = f"{y:.3f}"
    return {
        "PRODUCT_CONTENTS": {
            "ORIGIN": domain.statement,
            "LANDSAT_PRODUCT_ID": name,
            "PROCESSING_LEVEL": "L2SP",
            "COLLECTION_NUMBER": "02",
            "COLLECTION_CATEGORY": "T1",
            "OUTPUT_FORMAT": "GEOTIFF",
            **{f"FILE_NAME_BAND_{n}": f"{name}_SR_B{n}.TIF" for n in numbers},
            "FILE_NAME_QUALITY_L1_PIXEL": f"{name}_QA_PIXEL.TIF",
            "FILE_NAME_QUALITY_L1_RADIOMETRIC_SATURATION": f"{name}_QA_RADSAT.TIF",
            "FILE_NAME_METADATA_ODL": f"{name}_MTL.txt",
        },
        "IMAGE_ATTRIBUTES": {
            "SPACECRAFT_ID": "LANDSAT_8",
            "SENSOR_ID": "OLI_TIRS",
            "WRS_TYPE": "2",
            "WRS_PATH": str(int(path)),
            "WRS_ROW": str(int(row)),
            "DATE_ACQUIRED": domain.day.isoformat(),
            "SCENE_CENTER_TIME": "02:59:30.0000000Z",
            "CLOUD_COVER": f"{100 * cloudy.sum() / max(int(seen.sum()), 1):.2f}",
            "SUN_AZIMUTH": f"{SUN_AZIMUTH:.8f}",
            "SUN_ELEVATION": f"{SUN_ELEVATION:.8f}",
            "EARTH_SUN_DISTANCE": "1.0030000",
        },
        "PROJECTION_ATTRIBUTES": projection,
        "LEVEL2_PROCESSING_RECORD": {
            "ORIGIN": domain.statement,
            "LANDSAT_PRODUCT_ID": name,
            "PROCESSING_LEVEL": "L2SP",
            "PROCESSING_SOFTWARE_VERSION": "SIMULATED",
        },
        "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": {
            **{f"REFLECTANCE_MULT_BAND_{n}": "2.75e-05" for n in numbers},
            **{f"REFLECTANCE_ADD_BAND_{n}": "-0.2" for n in numbers},
        },
        "LEVEL1_RADIOMETRIC_RESCALING": {
            **{f"REFLECTANCE_MULT_BAND_{n}": "2.0000E-05" for n in numbers},
            **{f"REFLECTANCE_ADD_BAND_{n}": "-0.100000" for n in numbers},
        },
    }


_PLAIN = ("WRS_", "DATE_", "CLOUD_", "SUN_", "EARTH_", "UTM_ZONE", "GRID_", "REFLECT", "CORNER_", "COLLECTION_NUMBER")
"""Beginnings of keys whose values stand without quotation marks."""


def _odl(metadata: Mapping[str, Mapping[str, str]]) -> str:
    lines = ["GROUP = LANDSAT_METADATA_FILE"]
    for group, entries in metadata.items():
        lines.append(f"  GROUP = {group}")
        lines += [
            f"    {key} = {value}" if key.startswith(_PLAIN) else f'    {key} = "{value}"'
            for key, value in entries.items()
        ]
        lines.append(f"  END_GROUP = {group}")
    return "\n".join([*lines, "END_GROUP = LANDSAT_METADATA_FILE", "END", ""])
