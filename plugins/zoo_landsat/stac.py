"""STAC items of Landsat scenes whose assets are on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlparse

from zoo.errors import DataError
from zoo_landsat.product import ASSETS


@dataclass(frozen=True, slots=True)
class Item:
    """A STAC item.

    Attributes
    ----------
    id : of the item; it may lack the day of processing that the scene's own name has
    time : when the scene was taken, UTC
    files : path by part of the scene (`SR_B2`, `QA_PIXEL`), for those on disk
    remote : address by part, for those that are not
    """

    id: str
    time: datetime
    files: dict[str, Path]
    remote: dict[str, str]


def read_item(path: Path) -> Item:
    """Read a STAC item. Relative addresses count from its folder; a remote asset that lies there too is taken.

    Raises
    ------
    DataError
        If the file is no STAC item with a time and assets.
    """
    try:
        item = json.loads(path.read_text(encoding="utf-8"))
        time = datetime.fromisoformat(item["properties"]["datetime"]).astimezone(UTC)
        addresses = {part: item["assets"][key]["href"] for part, key in ASSETS.items() if key in item["assets"]}
        name = str(item["id"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} cannot be read as a STAC item with datetime and assets ({error!r}); download it again"
        raise DataError(msg) from error
    files, remote = {}, {}
    for part, address in addresses.items():
        found = _on_disk(address, path.parent)
        if found is None:
            remote[part] = address
        else:
            files[part] = found
    return Item(name, time, files, remote)


def _on_disk(address: str, folder: Path) -> Path | None:
    url = urlparse(address)
    local = url.scheme in ("", "file")
    named = folder / unquote(url.path) if local else folder / Path(unquote(url.path)).name
    return named if local or named.exists() else None
