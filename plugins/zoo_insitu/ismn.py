"""Soil moisture from the International Soil Moisture Network (ISMN), as downloaded.

Quality flags are ISMN's (Dorigo et al. 2013, doi:10.2136/vzj2012.0097): G good, U in files older than about 2014
where G stands now, C01-C03 outside the range, D01-D10 dubious, M missing. A value may carry several; it is taken if
every one of them is asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoo.errors import DataError
from zoo.progress import track
from zoo.types import Area, StationSelection
from zoo_insitu.archive import Archive, SensorFile, opened, sensor_file, station_files
from zoo_insitu.masking import COLUMNS, encloses, finished, named, refuse_unused, with_state
from zoo_insitu.series import BESIDE, REASONS, Account, Series, judged, merged_sensors
from zoo_insitu.stm import Rows, read_rows

HONOURED = ("networks", "stations", "sensors", "depth", "period", "flags", "frozen", "several")
HEAD_AND_TAIL = 4096
"""Bytes of a file in which its first and its last row stand."""


class IsmnReader:
    """Reads ISMN archives."""

    def open(self, path: Path, *, area: Area | None = None, **selection: Any) -> pd.DataFrame:
        """Read soil moisture.

        Parameters
        ----------
        path : a zip as downloaded, the folder it unpacks to, or one .stm file
        area : only stations inside it
        selection : see `zoo.types.StationSelection`; all but utc_offset, since ISMN's times are UTC

        Returns
        -------
        Columns station (NETWORK/STATION), lon, lat (degrees), depth (m, the middle of the sensor's layer), time
        (UTC), sm (m3 m-3), by station and time. `attrs["dropped"]` counts rows by reason: `unreadable`,
        `outside_period`, `missing`, `flagged`, `out_of_range` (outside 0-1), `frozen`, `undetermined`, `merged`
        (averaged into another sensor's row) and `other_sensor` (not the longest). `attrs["sensors"]` counts
        sensors chosen and not, `attrs["flags"]` the rows by flag.

        Notes
        -----
        Soil is frozen where the soil temperature beside the sensor is 0 degree C or below, or ISMN's flags D01 and
        D03 say so; since ISMN tests every value, none is undetermined. Rows whose only fault is such a flag count
        as `frozen`, not as `flagged`, and `frozen="keep"` leaves them in.

        Raises
        ------
        DataError
            If the archive cannot be read or nothing is left of it.
        """
        wanted = StationSelection(**selection)
        refuse_unused(wanted, HONOURED, path)
        account = Account()
        found: list[Series] = []
        with opened(path) as archive:
            files = _sensor_files(archive, path, account)
            for station in track(_chosen_stations(files, wanted, area, account), f"reading {path.name}"):
                found += merged_sensors(_station_series(archive, station, wanted, account), wanted, account)
        dropped = {key: account.rows[key] for key in REASONS}
        if account.rows["flagged"] and not _with_flags(account, wanted):
            raise DataError(_all_flagged(path, account, wanted))
        table = finished(_frame(found, wanted), dropped, area, path)
        table.attrs |= {
            "remarks": _remarks(account),
            "sensors": {key: count for key, count in account.sensors.items() if key != "read"},
            "flags": dict(account.flags.most_common()),
        }
        return table

    def inventory(self, path: Path) -> pd.DataFrame:
        """List the sensors of an archive, without judging their values.

        Returns
        -------
        A row a file: network, station, variable (sm, ts, ...), depth_from, depth_to (m; NaN where the rows have
        their own), sensor, lon, lat, elevation, first, last (UTC, of the rows), lines and layout.
        """
        with opened(path) as archive:
            files = _sensor_files(archive, path, Account())
            return pd.DataFrame([_listed(archive, file) for file in track(files, f"reading {path.name}")])

    def claims(self, path: Path) -> bool:
        """Whether a folder or zip holds ISMN files."""
        if path.is_file() and path.suffix.lower() not in (".zip", ".stm"):
            return False
        with opened(path) as archive:
            return bool(station_files(archive))


def _sensor_files(archive: Archive, path: Path, account: Account) -> list[SensorFile]:
    """Read the headings; a file that is none of ISMN's is counted, unless there is no other."""
    files, errors = [], []
    for name in station_files(archive):
        try:
            files.append(sensor_file(archive, name))
        except DataError as error:
            errors.append(error)
            account.sensors["no_ismn_file"] += 1
    if not files:
        msg = f"{path} holds no ISMN file (.stm); give a zip as downloaded from ismn.earth, or the folder it unpacks to"
        raise errors[0] if errors else DataError(msg)
    return files


def _chosen_stations(
    files: Sequence[SensorFile], wanted: StationSelection, area: Area | None, account: Account
) -> list[list[SensorFile]]:
    """Group the files wanted by station; each group holds the moisture chosen and all soil temperature."""
    stations: dict[tuple[str, str], list[SensorFile]] = defaultdict(list)
    moist: set[tuple[str, str]] = set()
    for file in files:
        key = file.network, file.station
        if file.heading.variable == "ts":
            stations[key].append(file)
            account.sensors["soil_temperature"] += 1
            continue
        reason = _not_wanted(file, wanted, area)
        account.sensors[reason or "chosen"] += 1
        if reason is None:
            stations[key].append(file)
            moist.add(key)
    return [stations[key] for key in sorted(moist)]


def _not_wanted(file: SensorFile, wanted: StationSelection, area: Area | None) -> str | None:
    """Say why a file is not read, None if it is."""
    heading = file.heading
    checks = {
        "other_variable": heading.variable in ("sm", "both"),
        "other_network": named(file.network, wanted.networks),
        "other_station": named(file.station, wanted.stations)
        or named(f"{file.network}/{file.station}", wanted.stations),
        "other_sensor": named(heading.sensor, wanted.sensors),
        "outside_area": area is None
        or (area.west <= heading.lon <= area.east and area.south <= heading.lat <= area.north),
        "other_depth": encloses(wanted.depth, heading.top, heading.bottom),
    }
    return next((reason for reason, passed in checks.items() if not passed), None)


def _station_series(
    archive: Archive, files: Sequence[SensorFile], wanted: StationSelection, account: Account
) -> list[Series]:
    """Read what is wanted of a station, with the state of the soil."""
    moisture: list[tuple[SensorFile, tuple[float, float], Rows]] = []
    temperature: list[tuple[float, Rows]] = []
    layers = [f.heading for f in files if f.heading.variable == "sm"]
    for file in files:
        heading = file.heading
        middle = (heading.top + heading.bottom) / 2
        if heading.variable == "ts" and all(abs((layer.top + layer.bottom) / 2 - middle) > BESIDE for layer in layers):
            continue
        parts, unread = read_rows(archive.read(file.name), heading.layout, file.name)
        account.rows["unreadable"] += unread
        if heading.variable == "both":
            moisture += [(file, (d, d), rows) for d, rows in _by_depth(parts[0]) if encloses(wanted.depth, d, d)]
            temperature += _by_depth(parts[1])
        elif heading.variable == "ts":
            temperature.append((middle, parts[0]))
        else:
            moisture.append((file, (heading.top, heading.bottom), parts[0]))
    return [judged(file, layer, rows, temperature, wanted, account) for file, layer, rows in moisture]


def _by_depth(rows: Rows) -> list[tuple[float, Rows]]:
    """Split the rows of the old CEOP."""
    assert rows.depth is not None
    parts = []
    for depth in np.unique(rows.depth):
        here = rows.depth == depth
        parts.append((float(depth), Rows(rows.time[here], rows.value[here], rows.flag[here])))
    return parts


def _frame(found: Sequence[Series], wanted: StationSelection) -> pd.DataFrame:
    """Join the series into one table."""
    if not found:
        return pd.DataFrame(columns=COLUMNS)
    size = [one.time.size for one in found]
    names = [f"{one.file.network}/{one.file.station}" for one in found]
    if wanted.several == "apart":
        names = [
            f"{name} [{one.file.heading.sensor}]" if _shared(one, found) else name
            for name, one in zip(names, found, strict=True)
        ]
    table = pd.DataFrame(
        {
            "station": pd.Series(np.repeat(np.array(names, dtype=object), size), dtype="str"),
            "lon": np.repeat([one.file.heading.lon for one in found], size),
            "lat": np.repeat([one.file.heading.lat for one in found], size),
            "depth": np.repeat([(one.top + one.bottom) / 2 for one in found], size),
            "time": pd.to_datetime(np.concatenate([one.time.astype("datetime64[s]") for one in found]), utc=True),
            "sm": np.concatenate([one.sm for one in found]),
        }
    )
    if wanted.frozen == "keep":
        return with_state(table, np.concatenate([one.state for one in found]))
    return table


def _shared(one: Series, found: Sequence[Series]) -> bool:
    """Whether another sensor of the station is at the same depth."""
    return any(
        other is not one
        and (other.file.network, other.file.station, other.top, other.bottom)
        == (one.file.network, one.file.station, one.top, one.bottom)
        for other in found
    )


def _remarks(account: Account) -> list[str]:
    """Say where the state of the soil is not measured."""
    read = account.sensors["read"]
    alone = read - account.sensors["soil_temperature_beside"]
    if not alone:
        return []
    return [f"frozen soil: {alone} of {read} sensors have no soil temperature beside; there ISMN's D01 and D03 tell"]


def _with_flags(account: Account, wanted: StationSelection) -> bool:
    """Whether any row carries no other flags than those asked for."""
    return "all" in wanted.flags or any(set(flag.split(",")) <= set(wanted.flags) for flag in account.flags)


def _all_flagged(path: Path, account: Account, wanted: StationSelection) -> str:
    listed = ", ".join(f"{flag} {count:,}" for flag, count in account.flags.most_common(5))
    old = "; files older than about 2014 write U where newer ones write G: --flags G,U" if account.flags["U"] else ""
    return f"{path} has no value with the flags {','.join(wanted.flags)}; there are {listed}{old}; choose with --flags"


def _listed(archive: Archive, file: SensorFile) -> dict[str, Any]:
    """Describe a file by its heading and its first and last row."""
    heading = file.heading
    text = archive.read(file.name)
    ends = text.count(b"\n") or text.count(b"\r")
    tail = text[-HEAD_AND_TAIL:]
    first = read_rows(text[:HEAD_AND_TAIL], heading.layout, file.name)[0][0].time
    last = read_rows(b"\n" + tail, heading.layout, file.name)[0][0].time
    return {
        "network": file.network,
        "station": file.station,
        "variable": heading.variable,
        "depth_from": heading.top,
        "depth_to": heading.bottom,
        "sensor": heading.sensor,
        "lon": heading.lon,
        "lat": heading.lat,
        "elevation": heading.elevation,
        "first": pd.Timestamp(first[0], tz="UTC") if first.size else pd.NaT,
        "last": pd.Timestamp(last[-1], tz="UTC") if last.size else pd.NaT,
        "lines": ends + (not text.endswith((b"\n", b"\r"))) - (heading.layout == "header+values"),
        "layout": heading.layout,
    }
