"""Granules and files as a catalogue describes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from zoo.errors import DataError
from zoo.types import Granule


@dataclass(frozen=True, slots=True)
class Checksum:
    """A digest that a catalogue publishes: `algorithm` as in hashlib, lower-case hexadecimal."""

    algorithm: str
    hexdigest: str

    def matches(self, path: Path) -> bool:
        """Whether a file has this digest."""
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.algorithm).hexdigest() == self.hexdigest


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to fetch.

    Attributes
    ----------
    url : where it is
    place : where it goes below the target folder
    bytes : its exact size, if it is published
    about : its rough size, if only that is
    checksum : its digest, if one is published
    earthdata : whether it asks for Earthdata Login
    """

    url: str
    place: PurePosixPath
    bytes: int | None = None
    about: int | None = None
    checksum: Checksum | None = None
    earthdata: bool = False

    @property
    def name(self) -> str:
        """File name."""
        return self.place.name

    @property
    def size(self) -> int | None:
        """The exact size, else the rough one."""
        return self.bytes if self.bytes is not None else self.about


@dataclass(frozen=True, slots=True)
class RemoteGranule:
    """A granule in a catalogue: product, identifier, period and files; `start` is None for static data."""

    product: str
    id: str
    start: datetime | None
    end: datetime | None
    files: tuple[RemoteFile, ...]

    def local(self) -> Granule:
        """Return the same without files, as the readers' choice in time takes it."""
        return Granule(self.product, self.id, self.start, self.end, ())


def below(folder: PurePosixPath, name: str) -> PurePosixPath:
    """Return the place of a name from a catalogue inside a folder.

    Raises
    ------
    DataError
        If the name would lead elsewhere.
    """
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        msg = f"The catalogue gives {name!r} as a name, which is none for a file; nothing is fetched"
        raise DataError(msg)
    return folder / name
