"""The text of one ISMN file (`.stm`): which layout it has, what it says of its sensor, and its rows.

Three layouts exist, none of which names itself:

==============  ===================================================================================================
header+values   line 1 `CSE Network Station lat lon elevation from to sensor`, then `date time value flag provider`
CEOP-sep        `nominal date time, actual date time, CSE, Network, Station, lat, lon, elevation, from, to, value,
                flag, provider` in every row
CEOP            until about 2013: the same up to elevation, then `- depth temperature flag moisture flag`; one
                file holds all depths of a station
==============  ===================================================================================================

Lines end in CR, LF or both. A provider's flag may hold spaces and commas or be absent, so only what stands before
it is read. A sensor's name may hold spaces and quotes. Times are UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
import numpy.typing as npt

from zoo.errors import DataError

Layout = Literal["header+values", "CEOP-sep", "CEOP"]

_DATE = rb"\d{4}/\d\d/\d\d (?:[01]\d|2[0-3]):[0-5]\d"
_GAP = rb"[ \t]++"
_NUMBER = rb"(-?\d++(?:\.\d*+)?(?:[eE][-+]?\d++)?|-?\.\d++|[Nn]a[Nn])"
_CEOP_START = rb"^(" + _DATE + rb")" + _GAP + _DATE
ROWS: dict[Layout, re.Pattern[bytes]] = {
    "header+values": re.compile(rb"^(" + _DATE + rb")" + _GAP + _NUMBER + _GAP + rb"(\S++)", re.M),
    "CEOP-sep": re.compile(
        _CEOP_START + rb"(?:[ \t]++\S++){8}" + _GAP + _NUMBER + _GAP + rb"(\S++)", re.M
    ),  # eight words: CSE, network, station, lat, lon, elevation, from, to
    "CEOP": re.compile(
        _CEOP_START + rb"(?:[ \t]++\S++){6}[ \t]++-" + _GAP + _NUMBER + 2 * (_GAP + _NUMBER + _GAP + rb"(\S++)"), re.M
    ),  # six words: CSE to elevation
}
"""What is read of a row: the time and the value with ISMN's flag; in the old CEOP depth, temperature, moisture."""
HEADER = re.compile(
    r"\S+\s+(?P<network>\S+)\s+(?P<station>\S.*?)\s+(?P<lat>-?\d+(?:\.\d+)?)\s+(?P<lon>-?\d+(?:\.\d+)?)"
    r"\s+(?P<elevation>-?\d+(?:\.\d+)?)\s+(?P<top>-?\d+(?:\.\d+)?)\s+(?P<bottom>-?\d+(?:\.\d+)?)(?:\s+(?P<sensor>.*))?"
)
NAME = re.compile(
    r"(?P<origin>.+)_(?P<variable>[A-Za-z][A-Za-z-]*)_(?P<top>-?\d+\.\d+)_(?P<bottom>-?\d+\.\d+)"
    r"_(?:(?P<sensor>.+)_)?\d{8}_\d{8}"
)
"""A file's name without its ending; its two dates are those asked for at download, not the span of the data."""
VARIABLES = {"sm": "sm", "soil-moisture": "sm", "ts": "ts", "soil-temperature": "ts"}
MISSING_BELOW = -99.0
"""-9999 and, in old files, -999.99 stand for missing; no moisture (m3 m-3) or soil temperature (degree C) is so low."""
NO_ELEVATION = -99.9
BLOCK = 1 << 23
"""Bytes of text that are split at a time, so that a long file does not become many small objects at once."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What a file says of its sensor.

    Attributes
    ----------
    layout : of the file
    variable : `sm`, `ts`, another of ISMN's, or `both` in the old CEOP
    network, station, sensor : names; the sensor's comes from the file's name where the text has none
    lon, lat, elevation : degrees WGS84, metres; NaN where the elevation is a placeholder
    top, bottom : depth in metres; NaN in the old CEOP, where rows have their own
    """

    layout: Layout
    variable: str
    network: str
    station: str
    sensor: str
    lon: float
    lat: float
    elevation: float
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one sensor: time (UTC, minutes), value and ISMN flag; `depth` in metres for the old CEOP, else None."""

    time: npt.NDArray[np.datetime64]
    value: npt.NDArray[np.float64]
    flag: npt.NDArray[np.bytes_]
    depth: npt.NDArray[np.float64] | None = None


def read_heading(head: bytes, path: PurePosixPath) -> Heading:
    """Read what the first line and the file's name say.

    Parameters
    ----------
    head : the beginning of the file, at least its first line
    path : in its archive, NETWORK/STATION/FILE where it is laid out so

    Raises
    ------
    DataError
        If the first line is of none of the three layouts.
    """
    line = re.split(r"[\r\n]+", head.decode("utf-8", "replace").lstrip("\ufeff\r\n"), maxsplit=1)[0].strip()
    named = NAME.fullmatch(path.stem)
    variable = VARIABLES.get(named["variable"].lower(), named["variable"]) if named else ""
    words = line.split()
    if not re.match(r"\d{4}/\d\d/\d\d \d\d:\d\d", line):
        layout: Layout = "header+values"
    elif len(words) >= 16 and words[10] == "-":
        layout, variable = "CEOP", "both"
    else:
        layout = "CEOP-sep"
    found = HEADER.fullmatch(line) if layout == "header+values" else _ceop_heading(words)
    if found is None or not variable:
        msg = (
            f"{path.name} is no ISMN file: its first line is {line[:60]!r}; expected a header "
            "'CSE Network Station lat lon elevation from to sensor' or a CEOP row, and a name that says the variable"
        )
        raise DataError(msg)
    sensor = _sensor_name(found["sensor"] or "", (named and named["sensor"]) or "")
    elevation = float(found["elevation"])
    return Heading(
        layout,
        variable,
        network=found["network"],
        station=found["station"],
        sensor=sensor,
        lon=float(found["lon"]),
        lat=float(found["lat"]),
        elevation=float("nan") if elevation == NO_ELEVATION else elevation,
        top=float(found["top"]),
        bottom=float(found["bottom"]),
    )


def _sensor_name(written: str, in_file_name: str) -> str:
    """Return the header's name, with the numbers of redundancy and replacement that only the file's name has."""
    name = written.strip().strip("'\"").strip()
    numbers = re.search(r"_\d+_\d+$", in_file_name)
    if name and numbers and not name.endswith(numbers[0]):
        return name + numbers[0]
    return name or in_file_name or "unknown"


def _ceop_heading(words: list[str]) -> dict[str, str] | None:
    if len(words) < 14:
        return None
    keys = ("network", "station", "lat", "lon", "elevation", "top", "bottom")
    found = dict(zip(keys, words[5:12], strict=True)) | {"sensor": ""}
    if found["top"] == "-":
        found |= {"top": "nan", "bottom": "nan"}
    try:
        [float(found[key]) for key in keys[2:]]
    except ValueError:
        return None
    return found


def read_rows(text: bytes, layout: Layout, name: str) -> tuple[list[Rows], int]:
    """Read the rows of a file.

    Returns
    -------
    The rows, and how many lines could not be read. In the old CEOP two sets with `depth`: moisture, temperature.

    Raises
    ------
    DataError
        If a date does not exist.
    """
    text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    body = text.rstrip(b" \t\n\x1a")
    lines = body.count(b"\n") + bool(body) - (layout == "header+values")
    parts = [part for block in _blocks(text) if (part := ROWS[layout].findall(block))]
    found = sum(len(part) for part in parts)
    columns = _columns(parts, ROWS[layout].groups)
    unread = lines - found - _blank_lines(body) if found < lines else 0
    try:
        time = _minutes(columns[0])
    except ValueError as error:
        msg = f"{name} holds a date that does not exist: {error}; repair or remove the line"
        raise DataError(msg) from error
    if layout != "CEOP":
        return [Rows(time, columns[1].astype(np.float64), columns[2])], unread
    depth = columns[1].astype(np.float64)
    temperature = Rows(time, columns[2].astype(np.float64), columns[3], depth)
    return [Rows(time, columns[4].astype(np.float64), columns[5], depth), temperature], unread


def _blocks(text: bytes) -> Iterator[bytes]:
    """Cut a text into parts that end with a line."""
    start = 0
    while start < len(text):
        end = text.find(b"\n", start + BLOCK)
        end = len(text) if end < 0 else end + 1
        yield text[start:end]
        start = end


def _columns(parts: list[list[tuple[bytes, ...]]], groups: int) -> list[npt.NDArray[np.bytes_]]:
    """Turn matches into one array a column."""
    if not parts:
        return [np.empty(0, "S16") for _ in range(groups)]
    blocks = [[np.array(column) for column in zip(*part, strict=True)] for part in parts]
    return [np.concatenate(column) for column in zip(*blocks, strict=True)]


def _minutes(text: npt.NDArray[np.bytes_]) -> npt.NDArray[np.datetime64]:
    """Read `2019/07/15 13:00` as times; the separators are made those of ISO 8601 in place."""
    letters = np.ascontiguousarray(text, "S16").view(np.uint8).reshape(-1, 16)
    letters[:, [4, 7]], letters[:, 10] = ord("-"), ord("T")
    return letters.reshape(-1).view("S16").astype("datetime64[m]")


def _blank_lines(text: bytes) -> int:
    return len(re.findall(rb"^[ \t]*$", text, re.M))
