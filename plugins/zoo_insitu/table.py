"""Station measurements from a plain table, parquet or csv.

Columns, by the first name found (case ignored):

=================  ==========================================================================================
station            station, station_id, site, sitename, gauge, group
lon, lat           lon, longitude, long; lat, latitude: degrees, WGS84
time               time, time_utc, datetime, timestamp, date: UTC where no offset is given
sm                 sm, soil_moisture, insitu_sm, vwc, or sm_<N>cm, which also states the depth: m3 m-3
depth              depth, depth_m: metres, may be absent; then unknown (NaN) unless sm_<N>cm states it
soil_temperature   soil_temperature, ts, ts_<N>cm: degree C, may be absent; rows at or below 0 are frozen
=================  ==========================================================================================
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pyarrow import ArrowException

from zoo.errors import DataError
from zoo.types import Area

ALIASES: dict[str, tuple[str, ...]] = {
    "station": ("station", "station_id", "site", "sitename", "gauge", "group"),
    "lon": ("lon", "longitude", "long"),
    "lat": ("lat", "latitude"),
    "time": ("time", "time_utc", "datetime", "timestamp", "date"),
    "sm": ("sm", "soil_moisture", "insitu_sm", "vwc", r"sm_(\d+)cm"),
    "depth": ("depth", "depth_m"),
    "soil_temperature": ("soil_temperature", "ts", r"ts_\d+cm"),
}
"""Names of each column as regular expressions, best first."""
OPTIONAL = ("depth", "soil_temperature")
FILLS = (-9999.0, 9999.0, -999.99, -99.9)
"""Values that stand for missing: SMN-SDR 9999, ISMN -9999, CEOP -999.99."""
LARGEST_ODD_SHARE = 0.01
"""Share of values outside 0-1 up to which they are odd readings; above, the table is in other units."""


class TableReader:
    """Reads station tables."""

    def open(self, path: Path, *, area: Area | None = None) -> pd.DataFrame:
        """Read measurements.

        Parameters
        ----------
        path : a .parquet or .csv file, columns as the module says
        area : only stations inside it

        Returns
        -------
        Columns station (text), lon, lat (degrees), depth (m, NaN where unknown), time (UTC), sm (m3 m-3), by
        station and time; only valid rows. `attrs["dropped"]` counts rows `missing` (fill value, no time or
        place), `out_of_range` (outside 0-1) and `frozen` (soil temperature at or below 0 degree C).

        Raises
        ------
        DataError
            If the file is unreadable, a column is missing, the values are not m3 m-3, the coordinates are no
            degrees, or no row is left.
        """
        names = _columns(path)
        chosen = _choose(names, path)
        table = _read(path, list(chosen.values())).rename(columns={name: key for key, name in chosen.items()})
        table = _typed(table, _stated_depth(chosen["sm"]), path)
        table, dropped = _valid_rows(table, path)
        if area is not None:
            inside = table["lon"].between(area.west, area.east) & table["lat"].between(area.south, area.north)
            table = table[inside]
        if table.empty:
            where = f" in the area {area}" if area else ""
            msg = f"{path} holds no valid measurement{where}; dropped {dropped}; check columns, units and place"
            raise DataError(msg)
        kept = table[["station", "lon", "lat", "depth", "time", "sm"]]
        kept = kept.sort_values(["station", "time"], ignore_index=True)
        kept.attrs["dropped"] = dropped
        return kept


def _columns(path: Path) -> list[str]:
    """Return the column names without reading the rows."""
    if not path.is_file():
        msg = f"{path} is no file; give a .parquet or .csv table of stations"
        raise DataError(msg)
    try:
        if path.suffix.lower() == ".parquet":
            return [str(name) for name in pq.read_schema(path).names]
        return [str(name) for name in pd.read_csv(path, nrows=0).columns]
    except (ArrowException, ValueError, OSError) as error:
        raise DataError(_unreadable(path, error)) from error


def _choose(names: list[str], path: Path) -> dict[str, str]:
    """Match the columns wanted to those there are."""
    chosen = {}
    for key, patterns in ALIASES.items():
        hits = (name for pattern in patterns for name in names if re.fullmatch(pattern, name.strip(), re.IGNORECASE))
        if (name := next(hits, None)) is not None:
            chosen[key] = name
    missing = [key for key in ALIASES if key not in chosen and key not in OPTIONAL]
    if missing:
        msg = (
            f"{path} lacks {', '.join(missing)}; it has {', '.join(names) or 'no column'}; a station table needs "
            "station, lon, lat, time and sm (m3 m-3), and may have depth (m)"
        )
        raise DataError(msg)
    return chosen


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path, columns=columns)
        return pd.read_csv(path, usecols=columns)
    except (ArrowException, ValueError, OSError) as error:
        raise DataError(_unreadable(path, error)) from error


def _unreadable(path: Path, error: Exception) -> str:
    return f"{path} cannot be read as a {path.suffix or 'csv'} table: {' '.join(str(error).split())}"


def _stated_depth(column: str) -> float:
    """Return the depth that a name such as `sm_3cm` states, metres; NaN if it states none."""
    match = re.fullmatch(r"sm_(\d+)cm", column.strip(), re.IGNORECASE)
    return int(match[1]) / 100 if match else float("nan")


def _typed(table: pd.DataFrame, depth: float, path: Path) -> pd.DataFrame:
    """Give every column its type; text that is no number is an error, an empty cell is missing."""
    typed = pd.DataFrame({"station": table["station"].astype(str)})
    for key in ("lon", "lat", "sm", *(key for key in OPTIONAL if key in table)):
        try:
            typed[key] = pd.to_numeric(table[key]).astype("float64")
        except (ValueError, TypeError) as error:
            raise DataError(_wrong_type(path, key, "numbers", error)) from error
    try:
        typed["time"] = pd.to_datetime(table["time"], utc=True, format="ISO8601")
    except (ValueError, TypeError) as error:
        raise DataError(_wrong_type(path, "time", "UTC times such as 2019-09-25T10:30", error)) from error
    if "depth" not in typed:
        typed["depth"] = depth
    return typed


def _wrong_type(path: Path, column: str, expected: str, error: Exception) -> str:
    return f"{path}: the column {column} does not hold {expected}: {' '.join(str(error).split())}"


def _valid_rows(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Leave out missing, impossible and frozen rows, and count them."""
    missing = table["sm"].isin(FILLS) | table[["sm", "lon", "lat", "time"]].isna().any(axis=1)
    present = table[~missing]
    if not (present["lon"].between(-180, 180) & present["lat"].between(-90, 90)).all():
        msg = f"{path}: lon and lat are no degrees; expected WGS84, lon -180 to 180, lat -90 to 90"
        raise DataError(msg)
    odd = ~present["sm"].between(0, 1)
    if odd.mean() > LARGEST_ODD_SHARE:
        low, high = np.quantile(present["sm"], [0.05, 0.95])
        msg = (
            f"{path}: soil moisture runs from {low:g} to {high:g} (5-95 %), expected m3 m-3 between 0 and 1; "
            "divide per cent by 100"
        )
        raise DataError(msg)
    frozen = ~odd & (present["soil_temperature"] <= 0) if "soil_temperature" in present else odd & False
    counts = {"missing": int(missing.sum()), "out_of_range": int(odd.sum()), "frozen": int(frozen.sum())}
    return present[~odd & ~frozen], counts
