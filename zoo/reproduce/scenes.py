"""The five dates of the paper: coarse field, predictors and stations of each, from files given or simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cache import cache_folder
from zoo.errors import DataError, ZooError
from zoo.granules import Selection
from zoo.inputs import Request, open_coarse, open_stack, sample_request
from zoo.predictors import PAPER
from zoo.progress import track
from zoo.reproduce.printed import DATES, TRAINED_ON
from zoo.types import Area

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from zoo.stack import Stack

__all__ = ["Occasion", "Scenes", "World", "given_scenes", "simulated_scenes"]

SHANDIAN = Area(115.5, 41.5, 116.5, 42.5)
CHANGING = ("lst", "ndvi", "evi", "lai", "alb_vis", "alb_nir")
"""Layers of each date itself; Landsat and terrain are those of September, as in the paper."""
RELIEF = ("slope", "aspect_cos")
"""Of Table 2, in no model."""
_UNREAD_LANDSAT = 1000.0
"""Pixel of the simulated Landsat scenes that nobody reads, metres."""


@dataclass(frozen=True, slots=True)
class World:
    """A simulated landscape; see `zoo.simulate.simulate_scene` for its parts."""

    seed: int = 2019
    area: Area = SHANDIAN
    landsat_resolution: float = 30.0

    @property
    def name(self) -> str:
        """Name of its folder in the cache."""
        from zoo.simulate.scene import SCENE_VERSION

        place = "_".join(f"{degrees:g}" for degrees in self.area.bounds)
        return f"seasons-v{SCENE_VERSION}-{self.seed}-{place}-{self.landsat_resolution:g}m"


SAMPLE = World()
"""The landscape of the sample scene."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """One date.

    Attributes
    ----------
    day : which
    request : where its files are
    coarse : SMAP on the day, None if there is none
    stack : predictors on the day, None if one is missing
    problem : why something is missing
    """

    day: date
    request: Request
    coarse: xr.DataArray | None = None
    stack: Stack | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Scenes:
    """All dates.

    Attributes
    ----------
    occasions : in the order of the dates
    stations : in-situ measurements of all dates, None if there are none
    amsr2 : the request for AMSR-2 on the training date
    simulated : whether any of it is simulated
    problems : what is missing, in words
    """

    occasions: Sequence[Occasion]
    stations: pd.DataFrame | None
    amsr2: Request
    simulated: bool
    problems: list[str] = field(default_factory=list)

    @property
    def training(self) -> Occasion:
        """The date on which the models are trained."""
        return next(occasion for occasion in self.occasions if occasion.day == TRAINED_ON)


def given_scenes(data: Sequence[Path], stations: Path | None, area: Area = SHANDIAN) -> Scenes:
    """Open the dates in files of the user; what is missing but on the training date is told, not raised.

    Parameters
    ----------
    data : files and folders of granules of all dates
    stations : in-situ measurements, any reference that is read here
    area : the place

    Raises
    ------
    DataError
        If SMAP or a predictor of the training date is missing, or the stations cannot be read.
    """
    from zoo.matching.references import open_reference

    requests = [Request(tuple(data), area, Selection(day)) for day in DATES]
    measured = None if stations is None else open_reference(stations, area=area)
    return _opened(requests, measured)


def simulated_scenes(world: World = SAMPLE) -> Scenes:
    """Make a simulated landscape on all dates, once, in the cache; that of the sample scene by default."""
    import pandas as pd

    from zoo.simulate import Scene

    requests = [_simulated(day, world) for day in track(DATES, "Simulating five dates")]
    tables = [pd.read_parquet(Scene.open(request.places[0]).stations) for request in requests]
    measured = pd.concat(tables, ignore_index=True)
    measured.attrs["simulated"] = "true"
    return _opened(requests, measured)


def _simulated(day: date, world: World) -> Request:
    from filelock import FileLock

    from zoo.simulate import Scene, simulate_scene

    if day == TRAINED_ON and world == SAMPLE:
        return sample_request("smap")
    folder = cache_folder() / world.name / day.isoformat()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            simulate_scene(
                folder,
                seed=world.seed,
                area=world.area,
                date=day,
                season=True,
                landsat_resolution=world.landsat_resolution if day == TRAINED_ON else _UNREAD_LANDSAT,
            )
    scene = Scene.open(folder)
    return Request((folder,), scene.area, Selection(day))


def _opened(requests: Sequence[Request], stations: pd.DataFrame | None) -> Scenes:
    """Open the training date first: the others borrow its Landsat and terrain."""
    from dataclasses import replace

    september = next(request for request in requests if request.selection.date == TRAINED_ON)
    lasting = open_stack(september, PAPER)
    relief = open_stack(september, RELIEF)
    own = Occasion(TRAINED_ON, september, open_coarse(september), _merged(lasting, relief))
    occasions = [
        own if request is september else _other(request, own.stack) for request in track(requests, "opening five dates")
    ]
    problems = [f"{one.day}: {one.problem}" for one in occasions if one.problem]
    if stations is None:
        problems.append("in situ: no stations were given; add --stations FILE")
    simulated = any(one.stack is not None and one.stack.simulated for one in occasions)
    amsr2 = replace(september, sensor="amsr2", _files=[])
    return Scenes(occasions, stations, amsr2, simulated, problems)


def _other(request: Request, lasting: Stack | None) -> Occasion:
    day = request.selection.date
    assert lasting is not None
    coarse, stack, told = None, None, []
    try:
        coarse = open_coarse(request)
    except ZooError as error:
        told.append(str(error))
    try:
        stack = _merged(lasting, open_stack(request, CHANGING))
    except ZooError as error:
        told.append(str(error))
    return Occasion(day, request, coarse, stack, "; ".join(told))


def _merged(under: Stack, over: Stack) -> Stack:
    """Lay the layers of one stack over those of another on the same grid; its water stays."""
    from zoo.stack import Stack

    if under.geobox != over.geobox:
        msg = "The dates lie on different grids; give data that one --area covers on every date"
        raise DataError(msg)
    water = {"water": under.water} if under.water is not None else {}
    return Stack({**under.layers, **over.layers, **water}, under.geobox)
