"""An ISMN archive as a list of files: a zip as downloaded, the folder it unpacks to, or one `.stm` file."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from zoo.errors import DataError
from zoo_insitu.stm import Heading, read_heading

HEAD = 4096
"""Bytes that hold the first line of any file."""


class Archive(Protocol):
    """Names and contents of the files in an archive."""

    def names(self) -> list[str]:
        """Every file, with `/` between folders."""
        ...

    def read(self, name: str, size: int = -1) -> bytes:
        """Read the beginning of a file, or all of it."""
        ...


class _Zip:
    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self._entries = {entry.filename.replace("\\", "/"): entry for entry in file.infolist() if not entry.is_dir()}

    def names(self) -> list[str]:
        return list(self._entries)

    def read(self, name: str, size: int = -1) -> bytes:
        with self._file.open(self._entries[name]) as file:
            return file.read(size)


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> list[str]:
        return [path.relative_to(self._root).as_posix() for path in self._root.rglob("*") if path.is_file()]

    def read(self, name: str, size: int = -1) -> bytes:
        with (self._root / name).open("rb") as file:
            return file.read(size)


class _OneFile(_Folder):
    """A single file of an extracted archive; the folders above it are those of network and station."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.resolve().parents[min(2, len(path.resolve().parents) - 1)])
        self._name = path.resolve().relative_to(self._root).as_posix()

    def names(self) -> list[str]:
        return [self._name]


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open an archive.

    Raises
    ------
    DataError
        If there is none, or the zip is broken or encrypted, also while it is read.
    """
    if not path.exists():
        msg = f"{path} does not exist; give an ISMN zip, the folder it unpacks to, or a .stm file"
        raise DataError(msg)
    try:
        if path.is_dir():
            yield _Folder(path)
        elif path.suffix.lower() == ".stm":
            yield _OneFile(path)
        else:
            with zipfile.ZipFile(path) as file:
                yield _Zip(file)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError) as error:
        msg = f"{path} cannot be read as an ISMN archive: {' '.join(str(error).split())}; download it again"
        raise DataError(msg) from error


@dataclass(frozen=True, slots=True)
class SensorFile:
    """A file of one sensor (in the old CEOP of one station); names as the archive's folders spell them."""

    name: str
    heading: Heading
    network: str
    station: str


def station_files(archive: Archive) -> list[str]:
    """Return the `.stm` files of an archive, by name."""
    return sorted(
        name
        for name in archive.names()
        if name.lower().endswith(".stm") and "__MACOSX" not in name and not PurePosixPath(name).name.startswith(".")
    )


def sensor_file(archive: Archive, name: str) -> SensorFile:
    """Read what a file is of.

    The folder's spelling of network and station holds where it means the same as the file's (`FR_Aqui`, `FR-Aqui`;
    `AdamsRanch#1`, `Adams_Ranch_#1`), else what the file says.
    """
    path = PurePosixPath(name)
    heading = read_heading(archive.read(name, HEAD), path)
    folders = path.parts[:-1]
    station = _spelling(folders[-1:], heading.station)
    above = folders[-2:-1] if station is not None else folders[-1:]
    network = _spelling(above, heading.network)
    return SensorFile(name, heading, network or heading.network, station or heading.station)


def _spelling(folder: tuple[str, ...], name: str) -> str | None:
    """Return the folder's name if it is the same name, punctuation and case ignored."""
    return folder[0] if folder and _letters(folder[0]) == _letters(name) else None


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
