"""Which measurements count, and how many were left out for which reason.

Every reader of stations brings its rows here, with the soil temperature beside them where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from zoo.errors import DataError, UsageError
from zoo.types import Area, StationSelection

COLUMNS = ["station", "lon", "lat", "depth", "time", "sm"]
THAWED, UNDETERMINED, FROZEN = 0, 1, 2
STATES = ("thawed", "undetermined", "frozen")
"""State of the soil, by its number; where sensors are averaged, the largest holds."""
FREEZING = 0.0
"""Soil at or below it, degree C, counts as frozen: the dielectric probes see ice as dry soil."""
LARGEST_ODD_SHARE = 0.01
"""Share of values outside 0-1 up to which they are odd readings; above, the data is in other units."""
KEEP_FROZEN = "zoo reference check --frozen keep, zoo validate --select frozen=keep"
DEPTH_SLACK = 0.001
"""A sensor may reach this much beyond the layer asked for, metres: 2 inches (0.0508) is 5 cm."""


def refuse_unused(wanted: StationSelection, honoured: Sequence[str], path: Path) -> None:
    """Refuse a selection that the data at hand has nothing for.

    Raises
    ------
    UsageError
        Naming the option.
    """
    unused = [name for name in wanted.given() if name not in honoured]
    if unused:
        option = "--" + unused[0].replace("_", "-").removesuffix("s") if unused[0] != "flags" else "--flags"
        msg = f"{path.name} has nothing that {option} could choose by; leave it out"
        raise UsageError(msg)


def named(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name matches one of the patterns, or there are none."""
    return not patterns or any(fnmatch(name.lower(), pattern.lower()) for pattern in patterns)


def encloses(layer: tuple[float, float] | None, top: float, bottom: float) -> bool:
    """Whether a layer encloses a sensor's depth (m); an unknown depth (NaN) is taken."""
    return layer is None or not (top < layer[0] - DEPTH_SLACK or bottom > layer[1] + DEPTH_SLACK)


def soil_state(temperature: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    """Frozen, thawed or undetermined from soil temperature, degree C, NaN where there is none."""
    state = np.where(temperature <= FREEZING, FROZEN, THAWED)
    return np.where(np.isnan(temperature), UNDETERMINED, state).astype(np.int8)


def keeps(state: npt.NDArray[np.int8], frozen: str) -> npt.NDArray[np.bool_]:
    """Which rows a treatment of frozen soil leaves: see `StationSelection.frozen`."""
    limit = {"mask": THAWED, "known": UNDETERMINED, "keep": FROZEN}[frozen]
    return np.asarray(state <= limit)


def usable_rows(
    rows: pd.DataFrame, wanted: StationSelection, area: Area | None, path: Path
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Leave out what was not asked for, is missing, impossible or frozen, and count it.

    Parameters
    ----------
    rows : columns as `COLUMNS`, times UTC, NaN where missing; `soil_temperature` (degree C) if there is any
    wanted, area : the selection
    path : where they are from, for messages

    Returns
    -------
    The rows left, with a column `frozen` if they are to be kept unmasked, and the counts by reason. Without a
    column of soil temperature nothing is masked.

    Raises
    ------
    DataError
        If more than 1 % of the values cannot be m3 m-3.
    """
    counts: dict[str, int] = {}
    rows = _asked_for(rows, wanted, area, counts)
    missing = rows[["sm", "lon", "lat", "time"]].isna().any(axis=1)
    rows, counts["missing"] = rows[~missing], int(missing.sum())
    odd = ~rows["sm"].between(0, 1)
    if odd.mean() > LARGEST_ODD_SHARE:
        raise DataError(_other_units(rows["sm"], path))
    rows, counts["out_of_range"] = rows[~odd], int(odd.sum())
    counts |= {"frozen": 0, "undetermined": 0}
    if "soil_temperature" not in rows:
        return rows[COLUMNS], counts
    state = soil_state(rows["soil_temperature"].to_numpy(np.float64))
    left = keeps(state, wanted.frozen)
    counts |= {STATES[number]: int((state[~left] == number).sum()) for number in (FROZEN, UNDETERMINED)}
    if wanted.frozen == "keep":
        return with_state(rows[COLUMNS], state), counts
    return rows.loc[left, COLUMNS], counts


def with_state(rows: pd.DataFrame, state: npt.NDArray[np.int8]) -> pd.DataFrame:
    """Add the column `frozen`: thawed, undetermined or frozen."""
    return rows.assign(frozen=pd.Categorical.from_codes(state, pd.Index(STATES), ordered=True))


def finished(rows: pd.DataFrame, dropped: dict[str, int], area: Area | None, path: Path) -> pd.DataFrame:
    """Sort the rows by station and time and attach the counts.

    Raises
    ------
    DataError
        If no row is left; the message says why.
    """
    if rows.empty:
        where = f" in the area {area}" if area else ""
        reasons = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in dropped.items() if count)
        hint = "; to keep frozen and undetermined soil: " + KEEP_FROZEN if _cold(dropped) else ""
        msg = f"{path} holds no valid measurement{where}; dropped {reasons or 'none'}; check place and selection{hint}"
        raise DataError(msg)
    rows = rows.sort_values(["station", "time"], ignore_index=True)
    rows.attrs["dropped"] = dropped
    return rows


def _cold(dropped: dict[str, int]) -> bool:
    return bool(dropped.get("frozen") or dropped.get("undetermined"))


def _asked_for(rows: pd.DataFrame, wanted: StationSelection, area: Area | None, counts: dict[str, int]) -> pd.DataFrame:
    """Narrow to stations, area, depth and period."""
    if wanted.stations:
        chosen = {name for name in rows["station"].unique() if named(name, wanted.stations)}
        rows = _narrowed(rows, rows["station"].isin(chosen), "other_station", counts)
    if area is not None:
        inside = rows["lon"].between(area.west, area.east) & rows["lat"].between(area.south, area.north)
        rows = _narrowed(rows, inside, "outside_area", counts)
    if wanted.depth is not None:
        top, bottom = wanted.depth
        held = rows["depth"].isna() | rows["depth"].between(top - DEPTH_SLACK, bottom + DEPTH_SLACK)
        rows = _narrowed(rows, held, "other_depth", counts)
    if wanted.period is not None:
        start, end = wanted.period
        within = rows["time"].isna() | ((rows["time"] >= start) & (rows["time"] < end))
        rows = _narrowed(rows, within, "outside_period", counts)
    return rows


def _narrowed(rows: pd.DataFrame, held: pd.Series, reason: str, counts: dict[str, int]) -> pd.DataFrame:
    counts[reason] = int((~held).sum())
    return rows[held]


def _other_units(values: pd.Series, path: Path) -> str:
    low, high = np.quantile(values, [0.05, 0.95])
    return (
        f"{path}: soil moisture runs from {low:g} to {high:g} (5-95 %), expected m3 m-3 between 0 and 1; "
        "divide per cent by 100"
    )
