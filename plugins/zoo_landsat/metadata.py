"""The metadata file (MTL) of a Landsat scene, by group: some keys occur in several groups."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from zoo.errors import DataError

Groups = dict[str, dict[str, str]]


def read_mtl(path: Path) -> Groups:
    """Read `*_MTL.txt`, `*_MTL.json` or `*_MTL.xml`: key and text by name of the innermost group.

    Raises
    ------
    DataError
        If the file is no MTL.
    """
    try:
        text = path.read_text(encoding="utf-8")
        groups = _PARSERS[path.suffix.lower()](text)
    except (OSError, ValueError, SyntaxError) as error:
        msg = f"{path} cannot be read as a Landsat metadata file: {error}; download it again"
        raise DataError(msg) from error
    if "IMAGE_ATTRIBUTES" not in groups:
        msg = f"{path} has no group IMAGE_ATTRIBUTES; expected a Collection 2 metadata file; download it again"
        raise DataError(msg)
    return groups


def scene_time(groups: Groups) -> datetime:
    """Return the time of the scene's centre, UTC; the file gives seven decimals."""
    image = groups["IMAGE_ATTRIBUTES"]
    try:
        return datetime.fromisoformat(f"{image['DATE_ACQUIRED']}T{image['SCENE_CENTER_TIME']}").astimezone(UTC)
    except (KeyError, ValueError) as error:
        msg = f"The Landsat metadata has no usable DATE_ACQUIRED and SCENE_CENTER_TIME ({error}); download it again"
        raise DataError(msg) from error


def _from_text(text: str) -> Groups:
    """Parse `GROUP = NAME`, `KEY = VALUE`, `END_GROUP = NAME`."""
    groups: Groups = {}
    open_groups: list[str] = []
    for line in text.splitlines():
        key, equals, value = (part.strip() for part in line.partition("="))
        if key == "GROUP":
            open_groups.append(value)
        elif key == "END_GROUP" and open_groups:
            open_groups.pop()
        elif equals and open_groups:
            groups.setdefault(open_groups[-1], {})[key] = value.strip('"')
    return groups


def _from_json(text: str) -> Groups:
    return _flat(json.loads(text))


def _from_xml(text: str) -> Groups:
    return {
        group.tag: {entry.tag: (entry.text or "").strip() for entry in group if not len(entry)}
        for group in ElementTree.fromstring(text).iter()
        if len(group)
    }


def _flat(node: dict[str, Any]) -> Groups:
    groups: Groups = {}
    for key, value in node.items():
        if isinstance(value, dict):
            groups[key] = {name: str(entry) for name, entry in value.items() if not isinstance(entry, dict)}
            groups |= _flat(value)
    return groups


_PARSERS = {".txt": _from_text, ".json": _from_json, ".xml": _from_xml}
