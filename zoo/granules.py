"""Find granules, recognise what they are, and choose among them in time and orbit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import DataError, UsageError
from zoo.plugins import host, make
from zoo.types import Area, Granule, Orbit, PredictorSpec, Quality, ReferenceSpec, SensorSpec

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, slots=True)
class Selection:
    """Which granules to take.

    Attributes
    ----------
    date : day, UTC
    time : instant of that day, UTC; None takes all of the day
    window : full width around `time`; None takes the one granule nearest to it
    orbit : `A` or `D`; None takes both
    """

    date: date
    time: time | None = None
    window: timedelta | None = None
    orbit: Orbit | None = None

    def __str__(self) -> str:
        parts = [self.date.isoformat()]
        parts += [f"{self.time:%H:%M} UTC"] if self.time else []
        parts += [f"window {self.window}"] if self.window else []
        parts += [f"orbit {self.orbit}"] if self.orbit else []
        return ", ".join(parts)

    @property
    def start(self) -> datetime:
        """First instant of the period asked for."""
        if self.time is None:
            return datetime.combine(self.date, time(0), UTC)
        return self._instant - (self.window or timedelta(0)) / 2

    @property
    def end(self) -> datetime:
        """First instant after the period asked for."""
        if self.time is None:
            return self.start + timedelta(days=1)
        return self._instant + (self.window or timedelta(0)) / 2

    @property
    def _instant(self) -> datetime:
        return datetime.combine(self.date, self.time or time(12), UTC)


def parse_date(text: str, option: str = "--date") -> date:
    """Read `YYYY-MM-DD`, the value of an option."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        msg = f"{option} {text!r} is no date; expected YYYY-MM-DD, for example 2019-09-25"
        raise UsageError(msg) from error


def parse_time(text: str) -> time:
    """Read `HH:MM` or `HH:MM:SS`, UTC."""
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        msg = f"--time {text!r} is no time of day; expected HH:MM in UTC, for example 10:30"
        raise UsageError(msg) from error


def parse_window(text: str) -> timedelta:
    """Read a duration as `90m`, `3h` or `2d`."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    try:
        width = timedelta(**{units[text[-1]]: float(text[:-1])})
    except (KeyError, ValueError, IndexError) as error:
        msg = f"--window {text!r} is no duration; expected a number with m, h or d, for example 3h"
        raise UsageError(msg) from error
    if width <= timedelta(0):
        msg = f"--window {text!r} is not longer than nothing; give for example 3h"
        raise UsageError(msg)
    return width


def files_under(places: Iterable[Path]) -> list[Path]:
    """List every file under the given files and folders, sorted; a missing place is an error."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            found += [path for path in place.rglob("*") if path.is_file()]
        elif place.exists():
            found.append(place)
        else:
            msg = f"{place} does not exist; give a file or a folder of downloaded granules"
            raise DataError(msg)
    return sorted(found)


def claimed(files: Iterable[Path], patterns: Sequence[str]) -> list[Path]:
    """Return the files whose name matches one of the patterns, ignoring case."""
    lowered = [pattern.lower() for pattern in patterns]
    return [path for path in files if any(fnmatch(path.name.lower(), pattern) for pattern in lowered)]


def recognise(path: Path) -> SensorSpec | PredictorSpec | ReferenceSpec:
    """Return the spec whose patterns claim this file's name.

    Raises
    ------
    DataError
        If no reader claims it; the message lists what is read.
    """
    plugins = host()
    specs: list[SensorSpec | PredictorSpec | ReferenceSpec] = [
        *plugins.specs(SensorSpec).values(),
        *plugins.specs(PredictorSpec).values(),
        *plugins.specs(ReferenceSpec).values(),
    ]
    for spec in specs:
        if claimed([path], spec.patterns):
            return spec
    readers = ", ".join(sorted(spec.name for spec in specs))
    msg = f"{path.name} is not a product that is read here; readers: {readers} (zoo plugins)"
    raise DataError(msg)


def granules_of(spec: SensorSpec | PredictorSpec, files: Iterable[Path]) -> list[Granule]:
    """Return the granules of one spec among files; files of one granule are joined."""
    reader = make(spec)
    joined: dict[tuple[str, str], Granule] = {}
    for path in claimed(files, spec.patterns):
        granule: Granule = reader.granule(path)
        key = granule.product, granule.id
        paths = (*joined[key].paths, *granule.paths) if key in joined else granule.paths
        joined[key] = replace(granule, paths=tuple(dict.fromkeys(paths)))
    return sorted(joined.values(), key=lambda granule: (granule.start or datetime.min.replace(tzinfo=UTC), granule.id))


def select_observations(granules: Sequence[Granule], wanted: Selection, what: str) -> list[Granule]:
    """Choose the granules of a sensor that fall in the selection.

    Without a time: every granule whose middle lies on the day. With a time and a window: those whose middle lies
    in the window. With a time alone: the one nearest to it on that day.

    Raises
    ------
    DataError
        If none is left; the message says which periods there are.
    """
    dated = [g for g in granules if g.start and g.end and _holds(g, wanted.orbit)]
    if wanted.time is not None and wanted.window is None:
        day = Selection(wanted.date, orbit=wanted.orbit)
        chosen = sorted(
            (g for g in dated if day.start <= middle(g) < day.end),
            key=lambda g: abs(middle(g) - wanted.start),
        )[:1]
    else:
        last = wanted.end if wanted.window is None else wanted.end + timedelta(microseconds=1)
        chosen = [g for g in dated if wanted.start <= middle(g) < last]
    if not chosen:
        raise DataError(_nothing_chosen(granules, wanted, what))
    return chosen


def open_sensor(
    spec: SensorSpec,
    granules: Sequence[Granule],
    *,
    area: Area | None = None,
    quality: Quality = "recommended",
    variable: str | None = None,
    orbit: Orbit | None = None,
) -> xr.DataArray:
    """Read soil moisture from chosen granules; see `zoo.types.SensorReader.open`.

    Parameters
    ----------
    orbit : the pass to take out of files that hold several; readers of other files are not told of it
    """
    paths = [path for granule in granules for path in granule.paths]
    choice = {"orbit": orbit} if orbit and any(granule.passes for granule in granules) else {}
    array: xr.DataArray = make(spec).open(paths, area=area, quality=quality, variable=variable, **choice)
    return array


REACH = timedelta(days=16)
"""How far from the day a scene may lie: one repeat cycle of Landsat, so that every place has its turn."""


def select_composites(granules: Sequence[Granule], wanted: date, what: str) -> list[Granule]:
    """Choose the granules of a predictor product for a day: the period that contains it, static data always.

    Where periods overlap, the one whose middle is nearest to the day; all granules (tiles) of that period are
    returned. Scenes (a period of less than a day) are all taken that lie within `REACH`, those of the nearest
    day first: later ones are for the gaps that earlier ones leave (see `by_day`).

    Raises
    ------
    DataError
        If no period contains the day.
    """
    static = [g for g in granules if g.start is None or g.end is None]
    noon = datetime.combine(wanted, time(12), UTC)
    near = [g for g in granules if g.start and g.end and (g.start <= noon < g.end or _in_reach(g, noon))]
    if not near:
        if static:
            return static
        raise DataError(_nothing_chosen(granules, Selection(wanted), what))
    best = min(near, key=lambda g: (abs(middle(g) - noon), g.id))
    if is_scene(best):
        return static + sorted(filter(is_scene, near), key=lambda g: (abs(_day(g) - wanted), _day(g), g.id))
    return static + [g for g in near if _day(g) == _day(best)]


def by_day(granules: Sequence[Granule]) -> list[list[Granule]]:
    """Group chosen granules: scenes by their day, in the order given; static data and composites with the first."""
    groups: dict[date | None, list[Granule]] = {}
    for granule in granules:
        groups.setdefault(_day(granule) if is_scene(granule) else None, []).append(granule)
    others = groups.pop(None, [])
    scenes = list(groups.values())
    return [others + scenes[0], *scenes[1:]] if scenes else [others]


def is_scene(granule: Granule) -> bool:
    """Say whether a granule stands for an instant or part of a day, as against a composite or static data."""
    return granule.start is not None and granule.end is not None and granule.end - granule.start < timedelta(days=1)


def middle(granule: Granule) -> datetime:
    """Return the middle of a granule's period."""
    if granule.start is None or granule.end is None:
        msg = f"{granule.id} has no date"
        raise DataError(msg)
    return granule.start + (granule.end - granule.start) / 2


def _holds(granule: Granule, orbit: Orbit | None) -> bool:
    """Say whether a granule has something of a pass; one without passes serves both."""
    seen = granule.passes or (granule.orbit,)
    return orbit is None or orbit in seen or seen == (None,)


def _in_reach(granule: Granule, noon: datetime) -> bool:
    return is_scene(granule) and abs(middle(granule) - noon) <= REACH


def _day(granule: Granule) -> date:
    return middle(granule).date()


def _nothing_chosen(granules: Sequence[Granule], wanted: Selection, what: str) -> str:
    dated = [g for g in granules if g.start]
    if not dated:
        return f"No granule of {what} in the data given; expected one for {wanted}"
    seen = "".join(sorted({orbit for g in dated for orbit in (g.passes or (g.orbit,)) if orbit}))
    orbits = f", orbits {seen}" if seen else ""
    first, last = middle(dated[0]), middle(dated[-1])
    return (
        f"No granule of {what} for {wanted}; there are {len(dated)} from {first:%Y-%m-%d %H:%M} to "
        f"{last:%Y-%m-%d %H:%M} UTC{orbits}; choose with --date, --time, --window, --orbit"
    )
