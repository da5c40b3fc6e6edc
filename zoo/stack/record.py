"""What stands in a stack's `stack.json`: grid, layers and coarse fields, each with all that it was made from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from affine import Affine
from odc.geo.geobox import GeoBox
from pydantic import Field, ValidationError

from zoo import __version__
from zoo.errors import DataError, IntegrityError
from zoo.registry.files import replace_text, sha256
from zoo.registry.schema import Plain, Sha256, Strict
from zoo.samples.fingerprint import Hashed

FORMAT = 1
NAME = "stack.json"


class Grid(Strict):
    """A grid; `transform` holds the first six numbers of its affine, in the units of the CRS."""

    crs: str
    transform: tuple[float, float, float, float, float, float]
    shape: tuple[int, int]

    @classmethod
    def of(cls, box: GeoBox) -> Grid:
        """Describe a GeoBox."""
        rows, columns = box.shape.yx
        a, b, c, d, e, f = tuple(box.affine)[:6]
        return cls(crs=str(box.crs), transform=(a, b, c, d, e, f), shape=(rows, columns))

    @property
    def geobox(self) -> GeoBox:
        """The GeoBox, equal to the last bit."""
        return GeoBox(self.shape, Affine(*self.transform), self.crs)

    def equals(self, other: Grid) -> bool:
        """Whether two grids are the same to a millionth of a pixel."""
        near = 1e-6 * abs(self.transform[0])
        close = all(
            math.isclose(mine, theirs, rel_tol=1e-12, abs_tol=near)
            for mine, theirs in zip(self.transform, other.transform, strict=True)
        )
        return self.crs == other.crs and self.shape == other.shape and close


class SourceFile(Strict):
    """A file that was hashed: while size and time of change (ns) stay, it is not hashed again."""

    bytes: int
    modified: int
    sha256: Sha256


class LayerRecord(Strict):
    """A predictor layer on disk.

    Attributes
    ----------
    products, granules, files : what it was made from; files by name with their sha256
    valid_share : share of the grid's area with valid source pixels, 0-1
    inputs : digest of everything that decides what it holds; while it stays, the layer is not made again
    sha256 : of its own file
    """

    units: str
    title: str
    products: tuple[str, ...]
    granules: tuple[str, ...]
    files: tuple[Hashed, ...]
    valid_share: float
    simulated: bool
    inputs: str
    sha256: Sha256


class CoarseRecord(Strict):
    """The coarse field of a sensor with the means of the layers over its cells, on disk.

    Attributes
    ----------
    granules, files : those of the sensor
    quality, variable, orbit : how it was read
    layers : predictors whose means stand in the file, with the sha256 of the layer that they were taken of
    attributes : those of the field as its reader returned it
    """

    sensor: str
    granules: tuple[str, ...]
    products: tuple[str, ...]
    files: tuple[Hashed, ...]
    quality: str
    variable: str | None
    orbit: str | None = None
    grid: Grid
    layers: dict[str, Sha256]
    time: str
    attributes: dict[str, Plain]
    inputs: str
    sha256: Sha256


class StackRecord(Strict):
    """A stack: its place, day and grid, its layers, and its coarse fields by sensor.

    `absent` names layers (only `water`) that saw nothing of the area, with the digest of what they were sought in.
    `sources` remembers the hashes of files by their path here; the fingerprint of a dataset does not know it.
    """

    format: int = FORMAT
    software: str = Field(default_factory=lambda: f"soil-moisture-zoo {__version__}")
    area: tuple[float, float, float, float]
    date: date
    grid: Grid
    layers: dict[str, LayerRecord] = {}
    absent: dict[str, str] = {}
    coarse: dict[str, CoarseRecord] = {}
    sources: dict[str, SourceFile] = {}

    @property
    def simulated(self) -> bool:
        """Whether any layer or coarse field is made of simulated data."""
        return any(layer.simulated for layer in self.layers.values()) or any(
            field.attributes.get("simulated") for field in self.coarse.values()
        )

    def updated(self, **changes: Any) -> StackRecord:
        """Return a copy with some fields changed."""
        return self.model_copy(update=changes)

    def write(self, folder: Path) -> None:
        """Replace `stack.json` in a folder at once."""
        replace_text(folder / NAME, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> StackRecord:
        """Read `stack.json` of a folder.

        Raises
        ------
        DataError
            If there is none.
        IntegrityError
            If it is not one of this program.
        """
        path = folder / NAME
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            msg = f"{folder} holds no {NAME} ({error.strerror}); expected a stack made by: zoo stack ... -o {folder}"
            raise DataError(msg) from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            msg = f"{path} is not as zoo stack writes it ({place}: {first['msg']}); make it anew with zoo stack"
            raise IntegrityError(msg) from error


class FileHashes:
    """Hashes of files, remembered by path, size and time of change.

    Parameters
    ----------
    known : `StackRecord.sources`
    """

    def __init__(self, known: dict[str, SourceFile]) -> None:
        self.known = dict(known)

    def of(self, paths: Sequence[Path]) -> tuple[Hashed, ...]:
        """Return name and sha256 of files, sorted; only new or changed ones are read."""
        return tuple(sorted({(path.name, self._of(path)) for path in paths}))

    def _of(self, path: Path) -> str:
        key, now = str(path.resolve()), path.stat()
        entry = self.known.get(key)
        if entry is None or (entry.bytes, entry.modified) != (now.st_size, now.st_mtime_ns):
            entry = SourceFile(bytes=now.st_size, modified=now.st_mtime_ns, sha256=sha256(path))
            self.known[key] = entry
        return entry.sha256
