"""SMN-SDR, the soil-moisture network of the Shandian River basin, in its own csv files.

A file holds one station and one quantity, `SMN-SDR_<station>_SM.csv` or `ShandianRiver_<station>_5TM_SM_<N>cm_...`:
the column `Measure_Times` in local time (UTC+8), written `2019-01-01 00:30:00` or `2019/1/1 0:30`, and a column a
depth, whose name ends in centimetres (`Soil_VWC_03`). 9999 stands for missing. Soil temperature is read from the
file beside it that has TS (or ST) for SM in its name. Reference: Zhao et al. 2020, doi:10.1080/20964471.2020.1777713.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from zoo.errors import DataError
from zoo.sites import Site, find_site
from zoo.types import Area, StationSelection
from zoo_insitu.masking import finished, named, refuse_unused, usable_rows

FILE = re.compile(r"(?:SMN-SDR|ShandianRiver)_(?P<station>[LMS]\d+)_(?:.*_)?SM(?:_.*)?\.csv", re.IGNORECASE)
DEPTH = re.compile(r"_(\d+)(?:cm)?$", re.IGNORECASE)
TEMPERATURE = ("TS", "ST")
FILL = 9999.0
SITE = "shandian"
"""The site that knows where the stations stand and by how many hours they are ahead of UTC; the files do not say."""
HONOURED = ("stations", "depth", "period", "frozen", "utc_offset")


class SmnSdrReader:
    """Reads the network's own files."""

    def open(self, path: Path, *, area: Area | None = None, **selection: Any) -> pd.DataFrame:
        """Read soil moisture.

        Parameters
        ----------
        path : a file of soil moisture, or a folder with those of several stations
        area : only stations inside it
        selection : stations, depth, period, frozen and utc_offset (default 8) of `StationSelection`

        Returns
        -------
        Columns station, lon, lat (degrees), depth (m), time (UTC), sm (m3 m-3), by station and time;
        `attrs["dropped"]` as of `zoo_insitu.table.TableReader`. Without a file of soil temperature every row is
        undetermined, and left out unless `frozen` is `known` or `keep`.

        Raises
        ------
        DataError
            If there is no such file, it cannot be read, or nothing is left of it.
        """
        wanted = StationSelection(**selection)
        refuse_unused(wanted, HONOURED, path)
        site = find_site(SITE)
        known = site.network.utc_offset_hours if site.network else 0.0
        offset = known if wanted.utc_offset is None else wanted.utc_offset
        rows = pd.concat([_station(file, site, offset) for file in _files(path, wanted)], ignore_index=True)
        rows, dropped = usable_rows(rows, wanted, area, path)
        return finished(rows, dropped, area, path)

    def claims(self, path: Path) -> bool:
        """Whether a folder holds such files."""
        return path.is_dir() and any(FILE.fullmatch(file.name) for file in path.iterdir())


def _files(path: Path, wanted: StationSelection) -> list[Path]:
    found = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    files = [
        file for file in found if (match := FILE.fullmatch(file.name)) and named(match["station"], wanted.stations)
    ]
    if not files:
        msg = (
            f"{path} holds no soil moisture of SMN-SDR for the stations {', '.join(wanted.stations) or 'L1 to S8'}; "
            "expected files named SMN-SDR_<station>_SM.csv"
        )
        raise DataError(msg)
    return files


def _station(path: Path, site: Site, offset: float) -> pd.DataFrame:
    """Read a station: a row a time and depth, with the soil temperature beside it."""
    match = FILE.fullmatch(path.name)
    assert match is not None
    name = match["station"].upper()
    if name not in site.stations:
        msg = f"{path.name} is of a station {name} that SMN-SDR does not have; there are L1-L14, M1-M12 and S1-S8"
        raise DataError(msg)
    rows = _quantity(path, "sm", offset)
    beside = _temperature_file(path)
    if beside is None:
        rows["soil_temperature"] = float("nan")
    else:
        rows = rows.merge(_quantity(beside, "soil_temperature", offset), how="left", on=["time", "depth"])
    lon, lat = site.stations[name]
    return rows.assign(station=name, lon=lon, lat=lat)


def _temperature_file(path: Path) -> Path | None:
    """Find the file of soil temperature by its name."""
    candidates = (path.with_name(re.sub("(?i)(?<=_)SM(?=[_.])", other, path.name)) for other in TEMPERATURE)
    return next((file for file in candidates if file.is_file()), None)


def _quantity(path: Path, name: str, offset: float) -> pd.DataFrame:
    """Read a file: columns time (UTC), depth (m) and the quantity, NaN where missing."""
    try:
        table = pd.read_csv(path, encoding="utf-8-sig", skipinitialspace=True)
        local = pd.to_datetime(table.pop(table.columns[0]).str.replace("/", "-"), format="mixed", yearfirst=True)
        values = table.astype("float64")
    except (ValueError, OSError, AttributeError, IndexError) as error:
        msg = f"{path} cannot be read as a file of SMN-SDR: {' '.join(str(error).split())}"
        raise DataError(msg) from error
    depths = {column: int(match[1]) / 100 for column in values if (match := DEPTH.search(str(column)))}
    if not depths:
        msg = f"{path} has the columns {', '.join(map(str, values))}; expected a depth in their names, as Soil_VWC_03"
        raise DataError(msg)
    time = (local - pd.Timedelta(hours=offset)).dt.tz_localize("UTC")
    parts = [
        pd.DataFrame({"time": time, "depth": depth, name: values[column].mask(values[column] == FILL)})
        for column, depth in depths.items()
    ]
    return pd.concat(parts, ignore_index=True)
