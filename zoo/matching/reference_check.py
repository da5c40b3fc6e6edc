"""What a reference of stations holds, in counts: rows dropped and why, and what the network says on a day.

Frozen soil is masked here, after one reading of everything, so that masked and unmasked stand side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.granules import Selection
from zoo.matching.references import open_reference, reader_of, unmasked
from zoo.plugins import make
from zoo.types import Area, StationSelection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Day", "ReferenceCheck", "check_reference"]

SUSPECT = 0.6
"""Soil moisture above it exceeds the porosity of nearly all soils, m3 m-3 (ISMN's flag C02)."""
FEW = 3
"""Below so many stations a mean and a spread say next to nothing."""


@dataclass(frozen=True, slots=True)
class Day:
    """What a network says on a day, UTC: masked for frozen soil, and unmasked.

    Attributes
    ----------
    date : the day
    masked, unmasked : stations with a value, mean and spread of their daily means (m3 m-3; sample standard
        deviation), None where there are too few
    frozen, undetermined : stations that the mask takes away, because all their soil was frozen, or because nothing
        tells its state
    stations : a row a station: station, masked, unmasked (daily means), values, values_masked, state
    """

    date: date
    masked: Mapping[str, float | int | None]
    unmasked: Mapping[str, float | int | None]
    frozen: int
    undetermined: int
    stations: pd.DataFrame


@dataclass(frozen=True, slots=True)
class ReferenceCheck:
    """What is in a reference, what was dropped and why, in counts.

    Attributes
    ----------
    reader : its name
    stations, rows : kept
    dropped : rows by reason
    sensors, flags : sensors by why they were (not) chosen and rows by quality flag, where the reader tells
    undetermined : stations of which no row is known to be thawed or frozen
    judged : whether the data can tell frozen soil at all
    remarks : of the reader
    suspects : largest value of the stations that exceed 0.6 m3 m-3, and how often they do
    days : one for each date asked for
    """

    reader: str
    stations: int
    rows: int
    dropped: Mapping[str, int]
    sensors: Mapping[str, int]
    flags: Mapping[str, int]
    undetermined: list[str]
    judged: bool
    suspects: Mapping[str, tuple[float, int]]
    remarks: Sequence[str] = ()
    days: list[Day] = field(default_factory=list)


def check_reference(
    path: Path,
    *,
    dates: Sequence[date] = (),
    reader: str | None = None,
    area: Area | None = None,
    **selection: Any,
) -> ReferenceCheck:
    """Read a reference once, unmasked, and count what the mask for frozen soil takes away.

    Parameters
    ----------
    path, reader, area, selection : as of `open_reference`
    dates : days, UTC, to summarise

    Raises
    ------
    DataError
        As `open_reference`; not because all soil is frozen.
    """
    spec = reader_of(path, reader)
    treatment = selection.pop("frozen", "mask")
    StationSelection(frozen=treatment)
    rows = open_reference(path, reader=spec.name, area=area, **selection, **unmasked(make(spec).open))
    judged = "frozen" in rows
    left = _left(rows, treatment)
    dropped = dict(rows.attrs.get("dropped", {}))
    if judged:
        states = rows.loc[~left, "frozen"].value_counts()
        dropped |= {state: int(states.get(state, 0)) for state in ("frozen", "undetermined")}
    high = rows[rows["sm"] > SUSPECT].groupby("station")["sm"].agg(["max", "size"])
    return ReferenceCheck(
        reader=spec.name,
        stations=int(rows.loc[left, "station"].nunique()),
        rows=int(left.sum()),
        dropped=dropped,
        sensors=rows.attrs.get("sensors", {}),
        flags=rows.attrs.get("flags", {}),
        undetermined=_undetermined(rows) if judged else [],
        judged=judged,
        suspects={str(name): (float(row["max"]), int(row["size"])) for name, row in high.iterrows()},
        remarks=tuple(rows.attrs.get("remarks", ())),
        days=[_day(rows, left, day) for day in dates],
    )


def _left(rows: pd.DataFrame, treatment: str) -> pd.Series:
    """Rows that the treatment of frozen soil leaves; all, where the data cannot tell."""
    if "frozen" not in rows or treatment == "keep":
        return rows["sm"].notna()
    left: pd.Series = rows["frozen"] != "frozen" if treatment == "known" else rows["frozen"] == "thawed"
    return left


def _undetermined(rows: pd.DataFrame) -> list[str]:
    known = rows.loc[rows["frozen"] != "undetermined", "station"].unique()
    return sorted({str(name) for name in rows["station"].unique()} - {str(name) for name in known})


def _day(rows: pd.DataFrame, left: pd.Series, day: date) -> Day:
    """Summarise a day; every station counts once, with its daily mean."""
    period = Selection(day)
    on_day = (rows["time"] >= period.start) & (rows["time"] < period.end)
    here, thawed = rows[on_day], rows[on_day & left]
    stations = here.groupby("station")["sm"].agg(unmasked="mean", values="size")
    stations = stations.join(thawed.groupby("station")["sm"].agg(masked="mean", values_masked="size"))
    stations["values_masked"] = stations["values_masked"].fillna(0).astype(int)
    stations["state"] = _states(here)
    gone = stations.loc[stations["masked"].isna(), "state"]
    table = stations.reset_index()[["station", "unmasked", "masked", "values", "values_masked", "state"]]
    return Day(
        day,
        masked=_summary(stations["masked"]),
        unmasked=_summary(stations["unmasked"]),
        frozen=int((gone != "undetermined").sum()),
        undetermined=int((gone == "undetermined").sum()),
        stations=table,
    )


def _states(here: pd.DataFrame) -> pd.Series | str:
    """State of each station over a day: one for all its rows, or `partly frozen`."""
    if "frozen" not in here:
        return "not judged"
    known = here[here["frozen"] != "undetermined"]
    share = (known["frozen"] == "frozen").groupby(known["station"]).mean()
    words = share.map(lambda part: "frozen" if part == 1 else "partly frozen" if part else "thawed")
    return words.reindex(here["station"].unique()).astype(object).fillna("undetermined")


def _summary(means: pd.Series) -> dict[str, float | int | None]:
    sound = means.dropna()
    return {
        "stations": int(sound.size),
        "mean": float(sound.mean()) if sound.size else None,
        "spread": float(sound.std()) if sound.size > 1 else None,
    }
