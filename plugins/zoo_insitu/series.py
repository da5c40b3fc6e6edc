"""Values of ISMN sensors: which rows count and why others do not, and several sensors of one place."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from zoo.types import StationSelection
from zoo_insitu.archive import SensorFile
from zoo_insitu.masking import FROZEN, THAWED, UNDETERMINED, keeps, soil_state
from zoo_insitu.stm import MISSING_BELOW, Rows

FROZEN_FLAGS = frozenset({"D01", "D03"})
"""In-situ and modelled (GLDAS) soil temperature below 0 degree C. D02, air temperature, says nothing of the soil."""
BESIDE = 0.05
"""Soil temperature counts as beside a moisture sensor up to this difference of depth, metres."""
SAME_TIME = np.timedelta64(30, "m")
"""Soil temperature of a moment is the nearest one within this time."""
COLDEST, WARMEST = -60.0, 70.0
"""Soil temperature outside is a reading error, degree C."""
REASONS = (
    "unreadable", "outside_period", "missing", "flagged", "out_of_range", "frozen", "undetermined", "merged",
    "other_sensor",
)  # fmt: skip
"""Why a row is not in the result; the first that holds counts."""


@dataclass(slots=True)
class Account:
    """What was read and what was left out, in counts."""

    sensors: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one sensor that count: time (UTC), soil moisture and state of the soil."""

    file: SensorFile
    top: float
    bottom: float
    time: npt.NDArray[np.datetime64]
    sm: npt.NDArray[np.float64]
    state: npt.NDArray[np.int8]


def judged(
    file: SensorFile,
    layer: tuple[float, float],
    rows: Rows,
    temperature: Sequence[tuple[float, Rows]],
    wanted: StationSelection,
    account: Account,
) -> Series:
    """Leave out the rows of a sensor that do not count, each under the first reason that holds.

    Parameters
    ----------
    file, layer, rows : the sensor, its depth (top, bottom) in metres, and what it measured
    temperature : soil temperature of the station: depth in metres and rows
    wanted : flags, period and frozen count here
    account : is added to
    """
    codes, flags = pd.factorize(rows.flag.astype(object))
    words = [frozenset(flag.decode("ascii", "replace").split(",")) for flag in flags]
    left = np.ones(rows.time.size, dtype=bool)

    def drop(reason: str, bad: npt.NDArray[np.bool_]) -> None:
        account.rows[reason] += int((left & bad).sum())
        left[bad] = False

    drop("outside_period", _outside(rows.time, wanted))
    _count_flags(codes[left], words, account)
    allowed = frozenset.union(FROZEN_FLAGS, wanted.flags, *(words if "all" in wanted.flags else ()))
    drop("missing", ~(rows.value > MISSING_BELOW) | _of_flag(codes, [word == {"M"} for word in words]))
    drop("flagged", _of_flag(codes, [not word <= allowed for word in words]))
    drop("out_of_range", (rows.value < 0) | (rows.value > 1))
    time, sm, codes = rows.time[left], rows.value[left], codes[left]
    measured = soil_state(_beside(time, sum(layer) / 2, temperature))
    account.sensors["read"] += 1
    account.sensors["soil_temperature_beside"] += bool((measured != UNDETERMINED).any())
    state = _state(measured, codes, words, wanted)
    kept = keeps(state, wanted.frozen)
    drop_count = np.bincount(state[~kept], minlength=FROZEN + 1)
    account.rows["frozen"] += int(drop_count[FROZEN])
    return Series(file, *layer, time[kept], sm[kept], state[kept])


def _outside(time: npt.NDArray[np.datetime64], wanted: StationSelection) -> npt.NDArray[np.bool_]:
    if wanted.period is None:
        return np.zeros(time.size, dtype=bool)
    start, end = (pd.Timestamp(edge).tz_convert("UTC").tz_localize(None).to_datetime64() for edge in wanted.period)
    return np.asarray((time < start) | (time >= end))


def _count_flags(codes: npt.NDArray[np.intp], words: Sequence[frozenset[str]], account: Account) -> None:
    for word, count in zip(words, np.bincount(codes, minlength=len(words)), strict=True):
        if count:
            account.flags[",".join(sorted(word))] += int(count)


def _of_flag(codes: npt.NDArray[np.intp], truth: Sequence[bool]) -> npt.NDArray[np.bool_]:
    """Spread what holds of a flag to the rows that carry it."""
    return np.array(truth, dtype=bool)[codes]


def _state(
    measured: npt.NDArray[np.int8],
    codes: npt.NDArray[np.intp],
    words: Sequence[frozenset[str]],
    wanted: StationSelection,
) -> npt.NDArray[np.int8]:
    """State of the soil from the temperature beside and from ISMN's flags.

    A flag for frozen soil that was not asked for holds against the temperature measured, one that was asked for
    only where there is none. A row without such a flag has passed ISMN's own test, so it is thawed.
    """
    cold = _of_flag(codes, [bool(word & FROZEN_FLAGS) for word in words])
    asked = FROZEN_FLAGS if "all" in wanted.flags else FROZEN_FLAGS & set(wanted.flags)
    unasked = _of_flag(codes, [bool(word & (FROZEN_FLAGS - asked)) for word in words])
    state = np.where(measured == UNDETERMINED, np.where(cold, FROZEN, THAWED), measured)
    return np.where(unasked, FROZEN, state).astype(np.int8)


def _beside(
    time: npt.NDArray[np.datetime64], depth: float, temperature: Sequence[tuple[float, Rows]]
) -> npt.NDArray[np.float64]:
    """Soil temperature at some times from the nearest depth that has it, NaN where none does, degree C."""
    found = np.full(time.size, np.nan)
    near = [(abs(there - depth), rows) for there, rows in temperature if abs(there - depth) <= BESIDE]
    for _, rows in sorted(near, key=lambda item: item[0]):
        sound = (rows.value >= COLDEST) & (rows.value <= WARMEST)
        order = np.argsort(rows.time[sound], kind="stable")
        times, values = rows.time[sound][order], rows.value[sound][order]
        open_ = np.flatnonzero(np.isnan(found))
        if not times.size or not open_.size:
            continue
        after = np.clip(np.searchsorted(times, time[open_]), 1, max(times.size - 1, 1))
        before, after = after - 1, np.minimum(after, times.size - 1)
        nearest = np.where(time[open_] - times[before] <= times[after] - time[open_], before, after)
        close = np.abs(times[nearest] - time[open_]) <= SAME_TIME
        found[open_[close]] = values[nearest[close]]
    return found


def merged_sensors(series: Iterable[Series], wanted: StationSelection, account: Account) -> list[Series]:
    """Bring the sensors of one depth together, as `StationSelection.several` says."""
    layers: dict[tuple[float, float], list[Series]] = defaultdict(list)
    for one in series:
        if one.time.size:
            layers[one.top, one.bottom].append(one)
    together: list[Series] = []
    for group in layers.values():
        if len(group) == 1 or wanted.several == "apart":
            together += group
            continue
        account.sensors["sharing_a_depth"] += len(group)
        if wanted.several == "longest":
            best = max(group, key=lambda one: one.time.size)
            account.rows["other_sensor"] += sum(one.time.size for one in group) - best.time.size
            together.append(best)
        else:
            together.append(_mean(group))
            account.rows["merged"] += sum(one.time.size for one in group) - together[-1].time.size
    return together


def _mean(group: Sequence[Series]) -> Series:
    """Average sensors time by time; the colder state of the soil holds."""
    rows = pd.DataFrame(
        {name: np.concatenate([getattr(one, name) for one in group]) for name in ("time", "sm", "state")}
    )
    means = rows.groupby("time").agg(sm=("sm", "mean"), state=("state", "max"))
    one = group[0]
    values = means["sm"].to_numpy(np.float64)
    return Series(one.file, one.top, one.bottom, means.index.to_numpy(), values, means["state"].to_numpy(np.int8))
