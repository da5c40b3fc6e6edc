"""Where results go: checked before any work, and replaced at once when it is done."""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from zoo.errors import UsageError, ZooError
from zoo.writers.bands import Band, as_bands

if TYPE_CHECKING:
    import numpy.typing as npt
    from odc.geo.geobox import GeoBox

Window = tuple[slice, slice]
"""Rows and columns of a grid."""

BLOCK = 512
"""Side of the tiles and chunks in files, pixels; windows that are multiples of it are written fastest."""


class MapWriter(Protocol):
    """A context in which a map is written window by window; the file appears when it ends without an error."""

    def __enter__(self) -> Self:
        """Begin the file beside its final place."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file and move it into place, or after an error leave nothing."""
        ...

    def write(self, window: Window, values: npt.NDArray[Any]) -> None:
        """Write values (h, w), or (bands, h, w) in the order of the bands; NaN becomes nodata, of codes 0."""
        ...

    def update_tags(self, tags: Mapping[str, str]) -> None:
        """Add metadata that was not known at the beginning."""
        ...


def open_writer(
    path: Path,
    geobox: GeoBox,
    *,
    bands: Sequence[str | Band] = ("soil_moisture",),
    units: str = "m3 m-3",
    tags: Mapping[str, str] | None = None,
    depth: tuple[float, float] | None = None,
) -> MapWriter:
    """Choose the writer by the file name: `.tif` a COG, `.nc` NetCDF.

    Parameters
    ----------
    geobox : grid of the map, north up
    bands : each band or variable, or its name. Bands of codes cannot share a GeoTIFF with numbers: the band `method`
        of `map.tif` becomes `map_method.tif`, with a colour for each code
    units : of bands that are given by an unknown name
    tags : metadata; `time_coverage_start` and `time_coverage_end` (ISO 8601) also date a NetCDF
    depth : layer that the values stand for, metres below the surface (top, bottom)

    Raises
    ------
    UsageError
        If the suffix is another.
    """
    known = {".tif": "cog:CogWriter", ".tiff": "cog:CogWriter", ".nc": "netcdf:NetcdfWriter"}
    check_suffix(path, known)
    from importlib import import_module

    module, name = known[path.suffix.lower()].split(":")
    factory = getattr(import_module(f"zoo.writers.{module}"), name)
    writer: MapWriter = factory(path, geobox, bands=as_bands(bands, units), tags=tags, depth=depth)
    return writer


def check_suffix(path: Path, known: Collection[str]) -> None:
    """Refuse a file name whose suffix says no format that can be written."""
    if path.suffix.lower() not in known:
        msg = f"cannot tell the format of {path} by its name; give a name that ends in {', '.join(known)}"
        raise UsageError(msg)


def check_writable(path: Path) -> None:
    """Refuse, before any work, a place where no file can be made.

    Raises
    ------
    UsageError
        If the path is a folder.
    ZooError
        If its folder, or the nearest that exists above it, takes no file.
    """
    if path.is_dir():
        msg = f"{path} is a folder; give the name of a file, for example {path / 'map.tif'}"
        raise UsageError(msg)
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    with failing(path):
        tempfile.TemporaryFile(dir=folder).close()


def check_folder(path: Path) -> None:
    """Refuse, before any work, a place that cannot be a folder of results.

    Raises
    ------
    UsageError
        If the path is a file.
    ZooError
        If it, or the nearest folder that exists above it, takes no file.
    """
    if path.exists() and not path.is_dir():
        msg = f"{path} is a file; give a folder"
        raise UsageError(msg)
    check_writable(path / "file")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` that replaces it at the end; after an error nothing is left.

    Folders that are missing are made.

    Raises
    ------
    ZooError
        If the system refuses.
    """
    with failing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with scratch(path) as temporary:
        yield temporary
        with failing(path):
            os.replace(temporary, path)


@contextmanager
def scratch(path: Path, suffix: str = "") -> Iterator[Path]:
    """Yield a name beside `path` for a file that is gone at the end."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{suffix or path.suffix}")
    try:
        yield temporary
    finally:
        for remains in path.parent.glob(f"{glob.escape(temporary.name)}*"):
            remains.unlink(missing_ok=True)


@contextmanager
def failing(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turn an OSError, or one of `kinds`, into one line that names `path`."""
    caught: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        yield
    except caught as error:
        raise ZooError(_cannot_write(path, error)) from error


def _cannot_write(path: Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or error
    return f"cannot write {path}: {reason}; choose another place with -o"
