"""From granules on disk to what training and prediction need: a coarse field and a stack of predictors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cache import cache_folder
from zoo.errors import DataError
from zoo.granules import Selection, claimed, files_under, granules_of, open_sensor, select_observations
from zoo.plugins import host, make
from zoo.types import Area, Granule, PredictorSpec, Quality, SensorSpec

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from zoo.stack import Stack

PREPARATION = 2
"""Raised when the way a stack is made changes, so that stacks kept from before are made anew."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the user points at: files, a place, a day, and how to read.

    Attributes
    ----------
    places : files and folders of granules
    area : the place
    selection : day, time, window and orbit
    sensor : name of the sensor plugin
    quality, variable : passed on to the sensor's reader
    like, crs, resolution : the target grid; EASE-Grid 2.0 M01 without them
    products : product to take by layer, where the data holds several that deliver it
    """

    places: tuple[Path, ...]
    area: Area
    selection: Selection
    sensor: str = "smap"
    quality: Quality = "recommended"
    variable: str | None = None
    like: Path | None = None
    crs: str | None = None
    resolution: float | None = None
    products: Mapping[str, str] = field(default_factory=dict)
    _files: list[Path] = field(default_factory=list, compare=False, repr=False)

    @property
    def files(self) -> list[Path]:
        """All files under `places`, listed once."""
        if not self._files:
            self._files.extend(files_under(self.places))
        return self._files

    @property
    def target(self) -> GeoBox:
        """The fine grid."""
        from zoo.grids import target_geobox

        return target_geobox(self.area, like=self.like, crs=self.crs, resolution=self.resolution)

    @property
    def reading(self) -> dict[str, Any]:
        """How the sensor is read, as it enters the fingerprint of a dataset: quality, variable, orbit if chosen."""
        orbit = {"orbit": self.selection.orbit} if self.selection.orbit else {}
        return {"quality": self.quality, "variable": self.variable, **orbit}


def sample_request(sensor: str = "smap") -> Request:
    """Return the request for the simulated sample scene, which is made on first use."""
    from zoo.simulate import Scene, sample_scene

    scene = Scene.open(sample_scene())
    return Request((scene.folder,), scene.area, Selection(scene.date), sensor)


def sensor_granules(request: Request) -> list[Granule]:
    """Return the sensor's granules that the request selects."""
    spec = host().find(SensorSpec, request.sensor)
    granules = granules_of(spec, request.files)
    if not granules:
        places = ", ".join(str(place) for place in request.places)
        msg = f"No {spec.name} granule under {places}; expected file names like {', '.join(spec.patterns)}"
        raise DataError(msg)
    products = sorted({granule.product for granule in granules})
    if len(products) > 1:
        msg = (
            f"The data holds several products of sensor {spec.name!r}: {', '.join(products)}; "
            "point --data at the folder or files of one of them"
        )
        raise DataError(msg)
    return select_observations(granules, request.selection, f"sensor {spec.name!r}")


def open_coarse(request: Request) -> xr.DataArray:
    """Read the coarse soil moisture that the request selects (dims y, x; m3 m-3; NaN where masked)."""
    from zoo.testing import check_sensor_array

    spec = host().find(SensorSpec, request.sensor)
    array = open_sensor(
        spec,
        sensor_granules(request),
        area=request.area,
        quality=request.quality,
        variable=request.variable,
        orbit=request.selection.orbit,
    )
    check_sensor_array(array)
    return array


def open_stack(request: Request, layers: Sequence[str]) -> Stack:
    """Bring the predictor layers to the target grid; a stack made before from the same files is used again."""
    from filelock import FileLock

    from zoo.stack import Stack, build_stack

    folder = cache_folder() / "stacks" / stack_key(request, layers)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if folder.is_dir():
            return Stack.from_folder(folder)
        day, products = request.selection.date, products_for(request, layers)
        return build_stack(request.places, layers, request.target, day, folder, products=products)


def products_for(request: Request, layers: Sequence[str]) -> dict[str, str]:
    """Return the products that the request prefers for these layers (and for water), where the data holds them."""
    specs = host().specs(PredictorSpec)
    return {
        name: product
        for name, product in request.products.items()
        if name in {*layers, "water"} and product in specs and claimed(request.files, specs[product].patterns)
    }


def stack_key(request: Request, layers: Sequence[str]) -> str:
    """Hash what a stack is made from: files (name, size, time of change), layers, day and grid."""
    files = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in request.files]
    box = request.target
    facts: dict[str, Any] = {
        "preparation": PREPARATION,
        "files": files,
        "layers": sorted(layers),
        "date": request.selection.date.isoformat(),
        "grid": [str(box.crs), list(box.affine)[:6], list(box.shape)],
        "products": products_for(request, layers),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def open_coarse_file(path: Path, geobox: GeoBox) -> xr.DataArray:
    """Read a coarse field around a grid: a sensor's granule, or any raster of soil moisture in m3 m-3."""
    from zoo.grids import geographic_bounds
    from zoo.maps import read_map

    spec = sensor_of(path)
    if spec is None:
        return read_map(path)
    array: xr.DataArray = make(spec).open([path], area=Area(*geographic_bounds(geobox)))
    return array


def sensor_of(path: Path) -> SensorSpec | None:
    """Return the sensor that claims a file's name, if one does."""
    return next((spec for spec in host().specs(SensorSpec).values() if claimed([path], spec.patterns)), None)
