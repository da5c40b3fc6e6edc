"""Memory of making a large stack from tiles: tiles are written here, the stack is made in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from zoo.grids import ease2_geobox, geographic
from zoo.simulate.hdfeos import Layer, Period, Tile, write_tile
from zoo.stack.area_mean import area_of
from zoo_modis.products import PRODUCTS, Product
from zoo_modis.tiles import tile_box

LAYERS = (
    "lst", "lst_night", "ndvi", "evi", "lai", "fpar", "alb", "alb_vis", "alb_nir", "et",
    "dem", "slope", "aspect_sin", "aspect_cos",
)  # fmt: skip
DAY = date(2019, 9, 25)
STATEMENT = "SIMULATED data, not an observation: written by a benchmark"
_FIRST = {"MOD11A2": 265, "MOD13A2": 257, "MCD15A2H": 265, "MCD43A3": 268, "MOD16A2": 265}
_TYPES = {"LST": "uint16", "QC_": "uint8", "BRD": "uint8", "Lai": "uint8", "Fpa": "uint8", "ET_Q": "uint8"}
_CHILD = """
import json, re, sys, time
from datetime import date
from pathlib import Path
from affine import Affine
from odc.geo.geobox import GeoBox
from zoo.stack import build_stack
def peak():  # MiB; getrusage would count the parent's memory at the fork as well
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
facts = json.loads(sys.argv[1])
before = peak()
begin = time.perf_counter()
stack = build_stack([Path(facts["data"])], facts["layers"], GeoBox(facts["shape"], Affine(*facts["affine"]),
                    facts["crs"]), date.fromisoformat(facts["date"]), Path(facts["out"]))
seconds = time.perf_counter() - begin
print(json.dumps({"peak": peak(), "imports": before, "seconds": seconds, "files": len(stack.sources)}))
"""


def measure(folder: Path, side: int, layers: tuple[str, ...] = LAYERS) -> dict[str, object]:
    """Write tiles around a square of `side` EASE-Grid 2.0 pixels of 1 km, stack them, and return the peak memory."""
    data = folder / "data"
    data.mkdir()
    target = _target(side)
    tiles = _tiles(target)
    for product, first in _FIRST.items():
        if set(PRODUCTS[product].fields) & set(layers):
            for tile in tiles:
                _write(data, PRODUCTS[product], tile, first)
    _write_elevation(data, target)
    facts = {
        "data": str(data), "layers": layers, "shape": tuple(target.shape.yx), "affine": list(target.affine)[:6],
        "crs": str(target.crs), "date": DAY.isoformat(), "out": str(folder / "stack"),
    }  # fmt: skip
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, json.dumps(facts)], capture_output=True, text=True, check=True
    )
    found: dict[str, object] = json.loads(child.stdout)
    return {
        "pixels": facts["shape"],
        "layers": len(layers),
        "modis_tiles": len(tiles),
        "peak_mib": round(float(str(found["peak"]))),
        "imports_mib": round(float(str(found["imports"]))),
        "seconds": round(float(str(found["seconds"])), 1),
        "files": found["files"],
        "peak_to_2_gib_ratio": round(float(str(found["peak"])) / 2048, 3),
        "peak_to_whole_stack_ratio": round(float(str(found["peak"])) / (side * side * len(layers) * 4 / 2**20), 3),
    }


def _target(side: int) -> GeoBox:
    """Square around 100 E 40 N, cut off where the grid ends."""
    box = ease2_geobox("M01")
    column, row = (int(part) for part in ~box.affine * (9648675.0, 4800000.0))
    top = max(0, row - side // 2)
    return box[top : top + side, column - side // 2 : column - side // 2 + side]


def _tiles(target: GeoBox) -> list[tuple[int, int]]:
    """Tiles of the sinusoidal grid with a point of the target."""
    rows, columns = np.mgrid[0 : target.shape.y : 20, 0 : target.shape.x : 20]
    x, y = target.affine * (columns.ravel(), rows.ravel())
    lon, lat = geographic(x, y, target.crs.proj)
    box = tile_box("h00v00", 1)
    u, v = Transformer.from_crs("EPSG:4326", str(box.crs), always_xy=True).transform(lon, lat)
    across, down = ~box.affine * (u, v)
    return sorted(set(zip(np.floor(across).astype(int).tolist(), np.floor(down).astype(int).tolist(), strict=True)))


def _write(folder: Path, product: Product, tile: tuple[int, int], first: int) -> None:
    size = 1200 if product.resolution == 1000 else 2400
    named = datetime(2019, 1, 1, tzinfo=UTC) + timedelta(days=first - 1)
    layers = {}
    for field in product.fields.values():
        kind = next((kind for start, kind in _TYPES.items() if field.dataset.startswith(start)), "int16")
        layers[field.dataset] = Layer(field.dataset, _values(size, field.valid, kind))
        for rule in field.quality:
            layers[rule.dataset] = Layer(rule.dataset, np.zeros((size, size), np.uint8))
    period = Period(named, named, named + timedelta(days=product.days or 28))
    write_tile(folder, product.name, "grid", Tile(*tile, size), period, list(layers.values()), STATEMENT)


def _values(size: int, valid: tuple[int, int], kind: str) -> np.ndarray:
    """Waves within the valid range: they pack well, and no two rows are the same."""
    low, high = max(valid[0], 0), min(valid[1], 20000)
    rows, columns = np.ogrid[:size, :size]
    return (low + (high - low) * ((rows * 3 + columns) % 97) / 97).astype(kind)


def _write_elevation(folder: Path, target: GeoBox) -> None:
    """GMTED2010 tiles of 30 arc-seconds, 30 x 20 degrees each."""
    west, south, east, north = area_of(target).bounds
    rows, columns = np.ogrid[:2400, :3600]
    heights = (500 + 300 * np.sin(rows / 40) * np.cos(columns / 60)).astype(np.int16)
    for left in range(int(west // 30) * 30, int(east) + 1, 30):
        for bottom in range(int((south + 70) // 20) * 20 - 70, int(north) + 1, 20):
            name = f"{abs(bottom):02}{'s' if bottom < 0 else 'n'}{abs(left):03}{'w' if left < 0 else 'e'}"
            with rasterio.open(
                folder / f"{name}_20101117_gmted_mea300.tif", "w", driver="GTiff", dtype="int16", count=1,
                height=2400, width=3600, crs="EPSG:4326", nodata=-32768, compress="deflate",
                transform=Affine(1 / 120, 0, left, 0, -1 / 120, bottom + 20),
            ) as file:  # fmt: skip
                file.write(heights, 1)
                file.update_tags(TIFFTAG_IMAGEDESCRIPTION=STATEMENT)
