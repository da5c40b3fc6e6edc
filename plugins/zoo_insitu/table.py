"""Station measurements from a plain table, parquet or csv.

Columns, by the first name found (case ignored):

=================  ==========================================================================================
station            station, station_id, site, sitename, gauge, group
lon, lat           lon, longitude, long; lat, latitude: degrees, WGS84
time               time, time_utc, datetime, timestamp, date: UTC where no offset is given
sm                 sm, soil_moisture, insitu_sm, vwc, or sm_<N>cm, which also states the depth: m3 m-3
depth              depth, depth_m: metres, may be absent; then unknown (NaN) unless sm_<N>cm states it
soil_temperature   soil_temperature, ts, ts_<N>cm: degree C, may be absent; rows at or below 0 are frozen, rows
                   without a value are undetermined
=================  ==========================================================================================
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from pyarrow import ArrowException

from zoo.errors import DataError
from zoo.types import Area, StationSelection
from zoo_insitu.masking import finished, refuse_unused, usable_rows

ALIASES: dict[str, tuple[str, ...]] = {
    "station": ("station", "station_id", "site", "sitename", "gauge", "group"),
    "lon": ("lon", "longitude", "long"),
    "lat": ("lat", "latitude"),
    "time": ("time", "time_utc", "datetime", "timestamp", "date", "time_local"),
    "sm": ("sm", "soil_moisture", "insitu_sm", "vwc", r"sm_(\d+)cm"),
    "depth": ("depth", "depth_m"),
    "soil_temperature": ("soil_temperature", "ts", r"ts_\d+cm"),
}
"""Names of each column as regular expressions, best first."""
OPTIONAL = ("depth", "soil_temperature")
FILLS = (-9999.0, 9999.0, -999.99, -99.9)
"""Values that stand for missing: SMN-SDR 9999, ISMN -9999, CEOP -999.99."""
HONOURED = ("stations", "depth", "period", "frozen", "utc_offset")
"""What a plain table can be narrowed by: it has no flags, networks or sensors."""


class TableReader:
    """Reads station tables."""

    def open(self, path: Path, *, area: Area | None = None, **selection: Any) -> pd.DataFrame:
        """Read measurements.

        Parameters
        ----------
        path : a .parquet or .csv file, columns as the module says
        area : only stations inside it
        selection : stations, depth, period, frozen and utc_offset of `StationSelection`

        Returns
        -------
        Columns station (text), lon, lat (degrees), depth (m, NaN where unknown), time (UTC), sm (m3 m-3), by
        station and time; only valid rows. `attrs["dropped"]` counts rows `missing` (fill value, no time or
        place), `out_of_range` (outside 0-1), `frozen` (soil temperature at or below 0 degree C) and
        `undetermined` (a soil temperature is missing; a table without that column is not judged).

        Raises
        ------
        DataError
            If the file is unreadable, a column is missing, the values are not m3 m-3, the coordinates are no
            degrees, or no row is left.
        UsageError
            If the selection is by something that a table does not have.
        """
        wanted = StationSelection(**selection)
        refuse_unused(wanted, HONOURED, path)
        chosen = _choose(_columns(path), path)
        table = _read(path, list(chosen.values())).rename(columns={name: key for key, name in chosen.items()})
        if chosen["time"].strip().lower() == "time_local" and wanted.utc_offset is None:
            msg = f"{path} has local times only; give --utc-offset HOURS, for example 8 for UTC+8"
            raise DataError(msg)
        table = _typed(table, _stated_depth(chosen["sm"]), wanted.utc_offset, path)
        table, dropped = usable_rows(table, wanted, area, path)
        return finished(table, dropped, area, path)


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


def _typed(table: pd.DataFrame, depth: float, utc_offset: float | None, path: Path) -> pd.DataFrame:
    """Give every column its type; text that is no number is an error, an empty cell or a fill is missing."""
    typed = pd.DataFrame({"station": table["station"].astype(str)})
    for key in ("lon", "lat", "sm", *(key for key in OPTIONAL if key in table)):
        try:
            numbers = pd.to_numeric(table[key]).astype("float64")
            typed[key] = numbers.mask(numbers.isin(FILLS))
        except (ValueError, TypeError) as error:
            raise DataError(_wrong_type(path, key, "numbers", error)) from error
    try:
        typed["time"] = _utc(table["time"], utc_offset)
    except (ValueError, TypeError) as error:
        raise DataError(_wrong_type(path, "time", "UTC times such as 2019-09-25T10:30", error)) from error
    if "depth" not in typed:
        typed["depth"] = depth
    degrees = typed["lon"].isna() | (typed["lon"].between(-180, 180) & typed["lat"].between(-90, 90))
    if not degrees.all():
        msg = f"{path}: lon and lat are no degrees; expected WGS84, lon -180 to 180, lat -90 to 90"
        raise DataError(msg)
    return typed


def _utc(times: pd.Series, utc_offset: float | None) -> pd.Series:
    """Read times; those without an offset are `utc_offset` hours ahead of UTC."""
    if utc_offset is None:
        return pd.to_datetime(times, utc=True, format="ISO8601")
    local = pd.to_datetime(times, format="ISO8601")
    if local.dt.tz is not None:
        return local.dt.tz_convert("UTC")
    return (local - pd.Timedelta(hours=utc_offset)).dt.tz_localize("UTC")


def _wrong_type(path: Path, column: str, expected: str, error: Exception) -> str:
    return f"{path}: the column {column} does not hold {expected}: {' '.join(str(error).split())}"
