"""Simulate a scene: a place, what is true there, and what every product would say of it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import DataError, UsageError
from zoo.progress import track
from zoo.types import Area

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SCENE_VERSION = 1
"""Of the simulator: another number, another world. It is not changed to suit a model."""
SHANDIAN = Area(115.5, 41.5, 116.5, 42.5)
"""Shandian River Basin."""
DEFAULT_DATE = date(2019, 9, 25)
DEFAULT_SEED = 2019
_DESCRIPTION = "scene.json"
_KIND = "soil-moisture-zoo simulated scene"


@dataclass(frozen=True, slots=True)
class Scene:
    """A simulated scene on disk.

    Attributes
    ----------
    folder : where it is; granules below `smap`, `amsr2`, `modis`, `landsat`, `terrain`, `insitu`, the truth in `truth`
    description : contents of `scene.json`: version, seed, area, date, statement, files, truth, variance_shares
    """

    folder: Path
    description: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Scene:
        """Read the description of a scene.

        Raises
        ------
        DataError
            If the folder holds no scene.
        """
        try:
            description = json.loads((folder / _DESCRIPTION).read_text())
        except (OSError, ValueError) as error:
            msg = (
                f"{folder} is no simulated scene: {_DESCRIPTION} is missing or unreadable; make one with: zoo simulate"
            )
            raise DataError(msg) from error
        if not isinstance(description, dict) or description.get("kind") != _KIND:
            msg = f"{folder / _DESCRIPTION} describes no simulated scene; make one with: zoo simulate"
            raise DataError(msg)
        return cls(folder, description)

    @property
    def truth(self) -> Path:
        """The true soil moisture on the 1 km grid, GeoTIFF, m3 m-3."""
        return self.folder / "truth" / "sm_1km_truth.tif"

    @property
    def stations(self) -> Path:
        """The stations' measurements."""
        return self.folder / "insitu" / "stations.parquet"

    @property
    def area(self) -> Area:
        """The place."""
        return Area(*self.description["area"])

    @property
    def date(self) -> date:
        """The day, UTC."""
        return date.fromisoformat(self.description["date"])


def simulate_scene(
    folder: Path,
    *,
    seed: int = DEFAULT_SEED,
    area: Area = SHANDIAN,
    date: date = DEFAULT_DATE,
    landsat_resolution: float = 30.0,
    cloud: float = 1.0,
    season: bool = False,
) -> Scene:
    """Write a scene into a folder; it appears whole or not at all.

    Parameters
    ----------
    folder : new, empty, or holding an earlier scene, which is replaced
    seed : same seed, same values
    area, date : where and when; the season stays late September unless `season`
    landsat_resolution : pixel of the Landsat scene, metres
    cloud : multiplies the share of cloud in every optical product; 0 for a clear sky
    season : let moisture, vegetation and temperature follow the date, in the same landscape and with weather and
        errors of its own; 25 September is the same with and without it

    Raises
    ------
    UsageError
        If the folder holds something else, or an option is out of range.
    """
    _check(folder, seed, landsat_resolution, cloud)
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.absolute().parent))
    except OSError as error:
        msg = f"{folder} cannot be made ({error.strerror}); choose another folder with --out"
        raise UsageError(msg) from error
    try:
        building.chmod(0o755)
        _build(building, seed, area, date, landsat_resolution, cloud, season)
        _put_in_place(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Scene.open(folder)


def _check(folder: Path, seed: int, resolution: float, cloud: float) -> None:
    if seed < 0:
        msg = f"--seed {seed} is negative; give a whole number from 0, for example 2019"
        raise UsageError(msg)
    if not 30 <= resolution <= 1000:
        msg = f"--landsat-resolution {resolution:g} is out of range; give metres from 30 (as published) to 1000"
        raise UsageError(msg)
    if not 0 <= cloud <= 5:
        msg = f"cloud {cloud:g} is out of range; it multiplies the usual share: 0 for a clear sky, at most 5"
        raise UsageError(msg)
    if folder.exists() and not folder.is_dir():
        msg = f"{folder} is a file; give a folder with --out"
        raise UsageError(msg)
    if folder.is_dir() and any(folder.iterdir()) and not _is_scene(folder):
        msg = f"{folder} is not empty and holds no simulated scene; give a new folder with --out"
        raise UsageError(msg)


def _is_scene(folder: Path) -> bool:
    try:
        Scene.open(folder)
    except DataError:
        return False
    return True


def _build(
    folder: Path, seed: int, area: Area, day: date, landsat_resolution: float, cloud: float, seasonal: bool
) -> None:
    """Simulate the state, write what each product sees of it, and describe the scene."""
    from zoo.simulate.amsr2 import write_amsr2
    from zoo.simulate.domain import Domain
    from zoo.simulate.fields import streams
    from zoo.simulate.ground import write_stations, write_terrain, write_truth
    from zoo.simulate.landsat import write_landsat
    from zoo.simulate.landscape import make_landscape, variance_shares
    from zoo.simulate.modis import write_modis
    from zoo.simulate.season import Season, weathered
    from zoo.simulate.smap import write_smap
    from zoo.simulate.surface import make_surface
    from zoo.simulate.terrain import make_terrain

    statement = f"SIMULATED data, not an observation: scene version {SCENE_VERSION} of soil-moisture-zoo, seed {seed}"
    season = Season.of(day) if seasonal else Season()
    chance = streams(seed) if season == Season() else weathered(streams(seed), seed, day)
    domain = Domain.over(area, day, statement)
    terrain = make_terrain(domain, chance["terrain"])
    land = make_landscape(domain, terrain, chance["landscape"], chance["unobserved"], season)
    surface = make_surface(domain, land, chance["landscape"], season)
    truth_path, truth = write_truth(folder / "truth", domain, land)
    makers: dict[str, Callable[[], list[Path]]] = {
        "smap": lambda: write_smap(folder / "smap", domain, land, surface, chance["smap"]),
        "amsr2": lambda: write_amsr2(folder / "amsr2", domain, land, surface, chance["amsr2"]),
        "modis": lambda: write_modis(folder / "modis", domain, land, surface, chance["modis"], cloud),
        "terrain": lambda: write_terrain(folder / "terrain", domain, terrain.elevation, chance["dem"]),
        "insitu": lambda: write_stations(folder / "insitu", domain, land, chance["stations"]),
        "landsat": lambda: write_landsat(
            folder / "landsat", domain, land, surface, chance["landsat"], landsat_resolution, cloud
        ),
    }
    paths = [truth_path]
    for name in track(list(makers), "Simulating the scene"):
        paths += makers[name]()
    description = {
        "kind": _KIND,
        "version": SCENE_VERSION,
        "statement": statement,
        "simulated": True,
        "seed": seed,
        "area": list(area.bounds),
        "date": day.isoformat(),
        "landsat_resolution": landsat_resolution,
        "cloud": cloud,
        **({"season": season.describe()} if seasonal else {}),
        "files": [
            {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size} for path in sorted(paths)
        ],
        "truth": {"path": truth_path.relative_to(folder).as_posix(), **_statistics(truth)},
        "variance_shares": variance_shares(domain, land),
    }
    (folder / _DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")


def _statistics(truth: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Describe the truth; figures are None where all is water."""
    import numpy as np

    known = truth[np.isfinite(truth)].astype(float)
    names = ("mean", "sd", "min", "p05", "median", "p95", "max")
    values = [known.mean(), known.std(), *np.quantile(known, [0, 0.05, 0.5, 0.95, 1])] if known.size else []
    return {
        "units": "m3 m-3",
        "shape": list(truth.shape),
        "valid": int(known.size),
        "water": round(1 - known.size / truth.size, 4),
        **({name: float(value) for name, value in zip(names, values, strict=True)} if values else dict.fromkeys(names)),
    }


def _put_in_place(building: Path, folder: Path) -> None:
    """Rename the finished scene to its name; an earlier one is moved aside first and then deleted."""
    if not folder.exists():
        os.replace(building, folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.absolute().parent))
    try:
        os.replace(folder, aside / "scene")
        try:
            os.replace(building, folder)
        except OSError:
            os.replace(aside / "scene", folder)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
