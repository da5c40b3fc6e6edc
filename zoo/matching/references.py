"""Find the reader of a reference of stations, and open it with what was asked for."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import DataError, UsageError
from zoo.granules import claimed
from zoo.plugins import host, make
from zoo.types import Area, ReferenceSpec, StationSelection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["list_reference", "open_reference", "parse_selection", "reader_of", "reference_of"]

NARROWED_HERE = ("stations", "depth", "period")
"""What the host chooses by itself where a reader does not."""


def reference_of(path: Path, name: str | None = None) -> ReferenceSpec | None:
    """Find the reader of a reference: by its name, by the file's name, else by what a folder or zip holds.

    Raises
    ------
    UnknownNameError
        If no reader has the name given.
    """
    if name is not None:
        return host().find(ReferenceSpec, name)
    specs = host().specs(ReferenceSpec).values()
    for spec in specs:
        if claimed([path], spec.patterns):
            return spec
    if path.is_dir() or path.suffix.lower() == ".zip":
        for spec in specs:
            claims = getattr(make(spec), "claims", None)
            if claims is not None and claims(path):
                return spec
    return None


def open_reference(
    path: Path, *, reader: str | None = None, area: Area | None = None, **selection: Any
) -> pd.DataFrame:
    """Read stations with whichever reader claims the path.

    Parameters
    ----------
    path : file or folder
    reader : name of the reader; by default found from the path
    area : only stations inside it
    selection : keywords of `StationSelection`

    Returns
    -------
    See `zoo.types.ReferenceReader.open`.

    Raises
    ------
    DataError
        If no reader claims the path, or nothing is left.
    UsageError
        If the selection has something that the reader knows nothing of.
    """
    spec = reader_of(path, reader)
    wanted = StationSelection(**selection)
    opened = make(spec).open
    keywords = inspect.signature(opened).parameters
    takes_all = any(keyword.kind is keyword.VAR_KEYWORD for keyword in keywords.values())
    given = wanted.given()
    passed = {key: value for key, value in given.items() if takes_all or key in keywords}
    here = {key: value for key, value in given.items() if key not in passed}
    if unknown := [key for key in here if key not in NARROWED_HERE]:
        msg = f"The reader {spec.name!r} cannot choose by {', '.join(unknown)}; leave it out"
        raise UsageError(msg)
    return _narrowed(opened(path, area=area, **passed), here, path)


LISTS = {"network": "networks", "station": "stations", "sensor": "sensors", "flags": "flags"}
WORDS = ("frozen", "several", "utc-offset")


def parse_selection(texts: Sequence[str]) -> dict[str, Any]:
    """Read `flags=G,U`, `frozen=keep`, `station=S2,M5` and the like into keywords of `StationSelection`.

    Raises
    ------
    UsageError
        If a text is no such pair.
    """
    selection: dict[str, Any] = {}
    for text in texts:
        key, _, value = text.partition("=")
        if key in LISTS and value:
            selection[LISTS[key]] = tuple(part.strip() for part in value.split(",") if part.strip())
        elif key == "utc-offset" and re.fullmatch(r"[-+]?\d+(\.\d+)?", value):
            selection["utc_offset"] = float(value)
        elif key in ("frozen", "several"):
            selection[key] = value
        else:
            msg = (
                f"--select {text!r} chooses nothing; expected KEY=VALUE with one of {', '.join((*LISTS, *WORDS))}, "
                "for example flags=G,U"
            )
            raise UsageError(msg)
    StationSelection(**selection)
    return selection


def list_reference(path: Path, *, reader: str | None = None) -> pd.DataFrame:
    """List what a reference holds.

    Returns
    -------
    A row a sensor as its reader's `inventory` gives it, else a row a station and depth: station, depth, lon, lat,
    first, last (UTC) and rows, unmasked.
    """
    spec = reader_of(path, reader)
    inventory = getattr(make(spec), "inventory", None)
    if inventory is not None:
        listed: pd.DataFrame = inventory(path)
        return listed
    rows = open_reference(path, reader=spec.name, **unmasked(make(spec).open))
    return rows.groupby(["station", "depth"], as_index=False, dropna=False).agg(
        lon=("lon", "first"),
        lat=("lat", "first"),
        first=("time", "min"),
        last=("time", "max"),
        rows=("sm", "size"),
    )


def reader_of(path: Path, name: str | None) -> ReferenceSpec:
    """Find the reader of a reference as `reference_of` does; DataError if there is none."""
    if not path.exists():
        msg = f"{path} does not exist; give an ISMN archive, a file of SMN-SDR or a table of stations"
        raise DataError(msg)
    spec = reference_of(path, name)
    if spec is None:
        known = ", ".join(sorted(host().specs(ReferenceSpec)))
        msg = f"{path.name} is no reference that is read here; readers: {known}; choose with --reader, see: zoo plugins"
        raise DataError(msg)
    return spec


def unmasked(opened: Any) -> dict[str, Any]:
    """Return the keywords that leave frozen soil in, for the `open` of a reader that knows of it."""
    keywords = inspect.signature(opened).parameters.values()
    knows = any(keyword.name == "frozen" or keyword.kind is keyword.VAR_KEYWORD for keyword in keywords)
    return {"frozen": "keep"} if knows else {}


def _narrowed(rows: pd.DataFrame, wanted: Mapping[str, Any], path: Path) -> pd.DataFrame:
    """Choose stations, depth and period for a reader that cannot."""
    counts = dict(rows.attrs.get("dropped", {}))
    attrs = rows.attrs
    for key, value in wanted.items():
        held = _held(rows, key, value)
        counts[{"stations": "other_station", "depth": "other_depth", "period": "outside_period"}[key]] = int(
            (~held).sum()
        )
        rows = rows[held]
    if rows.empty:
        msg = f"{path} holds no measurement of what was asked for; dropped {counts}; check --station, --depth, --from"
        raise DataError(msg)
    rows = rows.reset_index(drop=True) if wanted else rows
    rows.attrs = {**attrs, "dropped": counts} if counts else attrs
    return rows


def _held(rows: pd.DataFrame, key: str, value: Any) -> pd.Series:
    if key == "stations":
        names = {name for name in rows["station"].unique() if any(fnmatch(name.lower(), one.lower()) for one in value)}
        return rows["station"].isin(names)
    if key == "depth":
        return rows["depth"].isna() | rows["depth"].between(*value)
    held: pd.Series = (rows["time"] >= value[0]) & (rows["time"] < value[1])
    return held
