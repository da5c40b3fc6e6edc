"""From a place and a date to the granules and files that the readers will choose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from zoo.errors import DataError
from zoo.fetch.catalogue import SENSORS, Product, chosen
from zoo.fetch.endpoints import Endpoints, Patience
from zoo.fetch.remote import RemoteFile, RemoteGranule
from zoo.fetch.sizes import measured
from zoo.granules import Selection, select_composites, select_observations
from zoo.predictors import PAPER
from zoo.types import Area

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

CLOUD = 60.0
"""Most cloud over a Landsat day, per cent."""
_REACH = timedelta(days=16)
"""Landsat scenes further away stand for another season; `zoo.granules.select_composites` has the same."""
_MARGIN = 0.05
"""Degrees around the target grid, so that averaging and slopes have neighbours at its edge."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Granules to fetch.

    Attributes
    ----------
    area : the place
    dates : the days
    granules : what the catalogues have for them, as the readers choose
    """

    area: Area
    dates: tuple[date, ...]
    granules: tuple[RemoteGranule, ...]

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """Every file once."""
        return tuple({file.place: file for granule in self.granules for file in granule.files}.values())

    @property
    def bytes(self) -> int:
        """Size of all files together, as far as it is known."""
        return sum(file.size or 0 for file in self.files)


def plan(
    products: Sequence[str] | None,
    area: Area,
    date: date,
    *,
    days: int = 1,
    time: time | None = None,
    window: timedelta | None = None,
    sensor: str = "smap",
    layers: Sequence[str] = PAPER,
    cloud: float = CLOUD,
    endpoints: Endpoints | None = None,
    patience: Patience | None = None,
) -> Plan:
    """Ask the catalogues which granules a place and a date need.

    Parameters
    ----------
    products : groups (`smap`, `modis`, ...) and products (`MOD11A1`); None is all that training with `sensor` and
        `layers` needs
    area : the place; predictors are taken as far as the whole coarse cells reach
    date : first day, UTC
    days : number of days
    time, window : of the day, as in `zoo.granules.Selection`; for sensors
    sensor : which sensor None stands for
    layers : predictors that the groups shall deliver; those of Cai et al. 2022 by default
    cloud : most cloud over a Landsat day, per cent
    endpoints : addresses of the catalogues; from the environment by default
    patience : how often to try

    Raises
    ------
    UnknownNameError
        If a product is unknown here.
    DataError
        If a catalogue has no granule of a product for the place and a date.
    ZooError
        If a catalogue cannot be reached.
    """
    days_wanted = tuple(date + timedelta(days=n) for n in range(max(days, 1)))
    asked = _Question(
        area, days_wanted, time, window, tuple(layers), cloud, endpoints or Endpoints.from_environment(),
        patience or Patience(),
    )  # fmt: skip
    granules: dict[tuple[str, str], RemoteGranule] = {}
    for product in chosen(products, layers, sensor):
        for granule in _granules(product, asked):
            granules[granule.product, granule.id] = granule
    return Plan(area, days_wanted, tuple(measured(list(granules.values()), asked.endpoints, asked.patience)))


@dataclass(frozen=True, slots=True)
class _Question:
    """What `plan` was asked."""

    area: Area
    days: tuple[date, ...]
    time: time | None
    window: timedelta | None
    layers: tuple[str, ...]
    cloud: float
    endpoints: Endpoints
    patience: Patience

    @property
    def period(self) -> tuple[datetime, datetime]:
        """From the first instant of the first day to the last of the last."""
        first = datetime.combine(self.days[0], time(0), UTC)
        return first, datetime.combine(self.days[-1], time(23, 59, 59), UTC)


def _granules(product: Product, asked: _Question) -> Iterable[RemoteGranule]:
    if product.group in SENSORS:
        return _observations(product, asked)
    asked = replace(asked, area=_reached(asked.area))
    if product.group == "landsat":
        return _scenes(product, asked)
    if product.group == "dem":
        return _tiles(product, asked)
    return _composites(product, asked)


def _observations(product: Product, asked: _Question) -> list[RemoteGranule]:
    from zoo.fetch.cmr import search_cmr

    first, last = asked.period
    reach = (asked.window or timedelta(0)) / 2
    found = search_cmr(product, asked.area, (first - reach, last + reach), asked.endpoints, asked.patience)
    _check_found(found, product, asked)
    selections = [Selection(day, asked.time, asked.window) for day in asked.days]
    kept = [
        granule
        for selection in selections
        for granule in select_observations([g.local() for g in found], selection, product.name)
    ]
    return [granule for granule in found if granule.local() in kept]


def _composites(product: Product, asked: _Question) -> list[RemoteGranule]:
    from zoo.fetch.cmr import search_cmr

    found = search_cmr(product, asked.area, asked.period, asked.endpoints, asked.patience)
    _check_found(found, product, asked)
    local = [granule.local() for granule in found]
    kept = [granule for day in asked.days for granule in select_composites(local, day, product.name)]
    return [granule for granule in found if granule.local() in kept]


def _tiles(product: Product, asked: _Question) -> list[RemoteGranule]:
    from zoo.fetch.stac import granule_of, search_stac

    items = search_stac(product, asked.area, None, asked.endpoints, asked.patience)
    _check_found(items, product, asked)
    return [granule_of(item, product, ("dem",)) for item in items]


def _scenes(product: Product, asked: _Question) -> list[RemoteGranule]:
    """Return the scenes of the best day near each date; see `_best_day`."""
    from zoo.fetch.stac import granule_of, search_stac

    first, last = asked.period
    items = search_stac(product, asked.area, (first - _REACH, last + _REACH), asked.endpoints, asked.patience)
    items = [item for item in items if str(item["id"])[:4] in ("LC08", "LC09")]
    _check_found(items, product, asked)
    by_day: defaultdict[date, list[Mapping[str, Any]]] = defaultdict(list)
    for item in items:
        by_day[datetime.fromisoformat(item["properties"]["datetime"]).date()].append(item)
    days = {_best_day(by_day, day, asked) for day in asked.days}
    return [granule_of(item, product, asked.layers) for day in sorted(days) for item in by_day[day]]


def _best_day(by_day: Mapping[date, Sequence[Mapping[str, Any]]], wanted: date, asked: _Question) -> date:
    """Choose among the days with at most the cloud allowed the one that covers most of the area, then the nearest.

    Coverage counts in steps of 5 per cent, so that a sliver more does not buy a scene from two weeks away.
    """
    near = {day: items for day, items in by_day.items() if abs(day - wanted) <= _REACH}
    clear = {day: items for day, items in near.items() if _cloud(items) <= asked.cloud}
    if not clear:
        seen = ", ".join(f"{day} {_cloud(items):.0f} %" for day, items in sorted(near.items())) or "none"
        msg = (
            f"No Landsat day within {_REACH.days} days of {wanted} has at most {asked.cloud:g} % cloud; "
            f"there is: {seen}; raise --cloud, or choose another --date"
        )
        raise DataError(msg)
    return min(clear, key=lambda day: (-round(20 * _covered(clear[day], asked.area)), abs(day - wanted), day))


def _cloud(items: Sequence[Mapping[str, Any]]) -> float:
    """Mean cloud of the scenes of a day, per cent; unknown is none."""
    shares = [float(item["properties"].get("eo:cloud_cover") or 0) for item in items]
    return sum(shares) / len(shares)


def _covered(items: Sequence[Mapping[str, Any]], area: Area) -> float:
    """Share of the area that the footprints of some items cover."""
    from shapely import union_all
    from shapely.geometry import box, shape

    place = box(*area.bounds)
    footprints: BaseGeometry = union_all([shape(item["geometry"]) for item in items])
    return float(place.intersection(footprints).area / place.area)


def _reached(area: Area) -> Area:
    """Widen an area to the whole coarse cells that the target grid has, and a margin."""
    from zoo.grids import geographic_bounds, target_geobox

    west, south, east, north = geographic_bounds(target_geobox(area))
    return Area(
        max(min(west, area.west) - _MARGIN, -180),
        max(min(south, area.south) - _MARGIN, -90),
        min(max(east, area.east) + _MARGIN, 180),
        min(max(north, area.north) + _MARGIN, 90),
    )


def _check_found(found: Sequence[object], product: Product, asked: _Question) -> None:
    if found:
        return
    when = f"{asked.days[0]}" + (f" to {asked.days[-1]}" if len(asked.days) > 1 else "")
    versions = f" (versions {', '.join(product.versions)})" if product.versions else ""
    msg = (
        f"The catalogue has no {product.name}{versions} for the area {asked.area} and {when}; "
        "choose another --date, --area or --product"
    )
    raise DataError(msg)
