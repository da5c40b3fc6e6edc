"""Make a stack with its coarse twin in a folder, layer by layer; a run that was killed goes on where it stopped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rasterio
import rasterio.shutil
from filelock import FileLock
from rasterio.errors import RasterioError

from zoo.errors import DataError, IntegrityError, UnknownNameError, UsageError
from zoo.grids import geobox_of
from zoo.inputs import PREPARATION, Request, open_coarse, products_for, sensor_granules
from zoo.predictors import PAPER
from zoo.registry.files import sha256
from zoo.samples.fingerprint import digest_of
from zoo.stack import Stack, coarse_means
from zoo.stack.build import Source, choose_sources, write_sources
from zoo.stack.layers import MIN_VALID, WATER
from zoo.stack.record import NAME, CoarseRecord, FileHashes, Grid, LayerRecord, StackRecord
from zoo.stack.sources import open_layer
from zoo.stack.twin import FORMAT as TWIN
from zoo.stack.twin import read_twin, write_twin
from zoo.writers.target import failing, replacing

if TYPE_CHECKING:
    import xarray as xr

    from zoo.types import LayerSpec

COARSE = "coarse"
"""Folder of the coarse twins in a stack's folder."""
_COG = {"COMPRESS": "DEFLATE", "PREDICTOR": "FLOATING_POINT", "BLOCKSIZE": 512, "OVERVIEW_RESAMPLING": "AVERAGE"}


@dataclass(frozen=True, slots=True)
class StackFolder:
    """A stack on disk that knows what it was made from.

    Attributes
    ----------
    folder : with one Cloud Optimized GeoTIFF a layer, `coarse/<sensor>.nc` and `stack.json`
    record : contents of `stack.json`
    made, kept : layers (and coarse fields, as `coarse/<sensor>`) that were written and that were there already
    """

    folder: Path
    record: StackRecord
    made: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: Path) -> StackFolder:
        """Open a stack that `make_stack` made.

        Raises
        ------
        DataError
            If the folder is no such stack.
        """
        return cls(folder, StackRecord.read(folder))

    @property
    def stack(self) -> Stack:
        """The predictors, opened."""
        return Stack.of([open_layer(name, self.path_of(name)) for name in self.record.layers])

    def only(self, names: Sequence[str]) -> Stack:
        """Open some of the predictors, and the water that masks them.

        Raises
        ------
        DataError
            If one is missing.
        """
        self.stack.check(names)
        wanted = [*names, *([WATER] if WATER in self.record.layers else [])]
        return Stack.of([open_layer(name, self.path_of(name)) for name in dict.fromkeys(wanted)])

    def path_of(self, layer: str) -> Path:
        """File of a layer."""
        return self.folder / f"{layer}.tif"

    def twin_path(self, sensor: str) -> Path:
        """File of a sensor's coarse field."""
        return self.folder / COARSE / f"{sensor}.nc"

    def coarse_record(self, sensor: str | None = None) -> CoarseRecord:
        """Return what is known of a sensor's coarse field, or of the only one.

        Raises
        ------
        UnknownNameError
            If the stack has none of that sensor.
        UsageError
            If it has none at all, or several and none is named.
        """
        fields = self.record.coarse
        if sensor is not None:
            if sensor not in fields:
                kind = f"coarse field in the stack {self.folder}"
                hint = f"Add it with: zoo stack --sensor {sensor} -o {self.folder}"
                raise UnknownNameError(kind, sensor, fields, hint)
            return fields[sensor]
        if len(fields) != 1:
            found = ", ".join(fields) or "none"
            msg = f"The stack {self.folder} has the coarse fields of: {found}; give --sensor, or add one with zoo stack"
            raise UsageError(msg)
        return next(iter(fields.values()))

    def twin(self, sensor: str | None = None) -> tuple[xr.DataArray, xr.Dataset]:
        """Read a sensor's field and the means of the predictors over its cells.

        Raises
        ------
        IntegrityError
            If the file is not the one that was written.
        """
        record = self.coarse_record(sensor)
        path = self.twin_path(record.sensor)
        if not path.is_file() or sha256(path) != record.sha256:
            msg = f"{path} is missing or was changed since it was made; make it again with zoo stack"
            raise IntegrityError(msg)
        return read_twin(path, record)


def make_stack(
    request: Request, layers: Sequence[str] = PAPER, *, folder: Path, coarse: bool = True, min_valid: float = MIN_VALID
) -> StackFolder:
    """Bring predictors from native granules onto the fine grid, and onto the cells of a sensor.

    Each layer appears when it is complete. A layer that is there already is kept if all that decides it is
    unchanged: the content of the granules' files, day, grid, product, `min_valid`, and the way of making.

    Parameters
    ----------
    request : files, place, day, sensor and grid
    layers : standard names; `water` is added where a product delivers it
    folder : new, empty, or holding a stack of the same place, day and grid, to which layers are added
    coarse : whether to read the sensor and make the coarse twin
    min_valid : least share of a fine pixel's area with valid data; below it the pixel is missing

    Raises
    ------
    UsageError
        If the folder holds another stack, or other rasters.
    DataError
        If granules of a layer or of the sensor are missing.
    """
    sources = choose_sources(request.places, layers, request.selection.date, products_for(request, layers))
    field = open_coarse(request) if coarse else None
    with _writing(folder) as scratch:
        making = _Making(request, folder, scratch, _begun(request, folder), min_valid)
        for source in sources:
            for layer in source.layers:
                making.layer(source, layer)
        if field is not None:
            making.twin(field)
        return StackFolder(folder, making.record, tuple(making.made), tuple(making.kept))


class _Making:
    """A stack that is being made: every finished file is recorded before the next is begun."""

    def __init__(self, request: Request, folder: Path, scratch: Path, record: StackRecord, min_valid: float) -> None:
        self.request, self.folder, self.scratch = request, folder, scratch
        self.record, self.min_valid = record, min_valid
        self.hashes = FileHashes(record.sources)
        self.made: list[str] = []
        self.kept: list[str] = []

    def layer(self, source: Source, layer: LayerSpec) -> None:
        """Make one layer, or keep it."""
        inputs = self._inputs(source, layer)
        path = self.folder / f"{layer.name}.tif"
        known = self.record.layers.get(layer.name)
        there = known is not None and known.inputs == inputs and _is(path, known.sha256)
        if there or self.record.absent.get(layer.name) == inputs:
            self.kept.append(layer.name)
            return
        used = self._write(source, layer, path)
        layers = {name: entry for name, entry in self.record.layers.items() if name != layer.name}
        absent = {name: entry for name, entry in self.record.absent.items() if name != layer.name}
        if used is None:
            path.unlink(missing_ok=True)
            self._save(layers=layers, absent={**absent, layer.name: inputs})
            return
        self._save(layers={**layers, layer.name: used.model_copy(update={"inputs": inputs})}, absent=absent)
        self.made.append(layer.name)

    def _inputs(self, source: Source, layer: LayerSpec) -> str:
        """Digest of all that decides what a layer holds."""
        return digest_of(
            {
                "preparation": PREPARATION,
                "layer": layer.name,
                "product": source.spec.name,
                "granules": [granule.id for granule in source.granules],
                "files": self.hashes.of(source.paths),
                "date": self.request.selection.date.isoformat(),
                "grid": self.record.grid.model_dump(mode="json"),
                "min_valid": self.min_valid,
            }
        )

    def _write(self, source: Source, layer: LayerSpec, path: Path) -> LayerRecord | None:
        """Write a layer as COG and say what it was made from; None if it saw nothing of the area."""
        day, box = self.request.selection.date, self.record.grid.geobox
        alone = Source(source.spec, source.granules, [layer])
        if not write_sources([alone], box, day, self.scratch / "layer", min_valid=self.min_valid):
            return None
        tiled = self.scratch / "layer" / path.name
        _to_cog(tiled, path)
        written = open_layer(layer.name, path)
        with rasterio.open(path) as file:
            share = float(file.tags()["valid_share"])
        shutil.rmtree(self.scratch / "layer")
        return LayerRecord(
            units=written.units,
            title=layer.title,
            products=(written.product,) if written.product else (),
            granules=written.granules,
            files=self.hashes.of(written.sources),
            valid_share=share,
            simulated=written.simulated,
            inputs="",
            sha256=sha256(path),
        )

    def twin(self, field: xr.DataArray) -> None:
        """Make the coarse twin of the request's sensor from all layers, or keep it."""
        sensor = self.request.sensor
        granules = sensor_granules(self.request)
        files = self.hashes.of([path for granule in granules for path in granule.paths])
        layers = {name: entry.sha256 for name, entry in self.record.layers.items()}
        about = {
            "preparation": PREPARATION,
            "twin": TWIN,
            "files": files,
            "reading": self.request.reading,
            "granules": [granule.id for granule in granules],
            "area": self.record.area,
            "layers": layers,
        }
        inputs, known = digest_of(about), self.record.coarse.get(sensor)
        made = StackFolder(self.folder, self.record)
        path, name = made.twin_path(sensor), f"{COARSE}/{sensor}"
        if known and known.inputs == inputs and _is(path, known.sha256):
            self.kept.append(name)
            self._save()
            return
        stack = made.stack
        write_twin(path, field, coarse_means(stack, stack.names, field, min_valid=0))
        entry = CoarseRecord(
            sensor=sensor,
            granules=tuple(granule.id for granule in granules),
            products=tuple(sorted({granule.product for granule in granules})),
            files=files,
            grid=Grid.of(geobox_of(field)),
            layers={layer: digest for layer, digest in layers.items() if layer in stack.names},
            time=f"{field['time'].dt.strftime('%Y-%m-%dT%H:%M:%S.%f').item()}+00:00",
            attributes={str(key): value for key, value in field.attrs.items()},
            inputs=inputs,
            sha256=sha256(path),
            **{"orbit": None, **self.request.reading},
        )
        self._save(coarse={**self.record.coarse, sensor: entry})
        self.made.append(name)

    def _save(self, **changes: Any) -> None:
        self.record = self.record.updated(**changes, sources=self.hashes.known)
        self.record.write(self.folder)


def _begun(request: Request, folder: Path) -> StackRecord:
    """Return the record to go on with: the folder's own if it is of this place, day and grid, else a new one."""
    grid = Grid.of(request.target)
    fresh = StackRecord(area=request.area.bounds, date=request.selection.date, grid=grid)
    if not (folder / NAME).exists():
        strange = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in (".tif", ".tiff", ".nc"))
        if strange:
            msg = f"{folder} holds rasters that no {NAME} knows ({', '.join(strange[:3])}); give a new folder with -o"
            raise UsageError(msg)
        fresh.write(folder)
        return fresh
    record = StackRecord.read(folder)
    if (record.date, record.area) != (fresh.date, fresh.area) or not record.grid.equals(grid):
        if not (record.layers or record.coarse):  # the first layer failed, perhaps for the place: nothing is lost
            fresh.write(folder)
            return fresh
        here = " ".join(f"{edge:g}" for edge in record.area)
        msg = (
            f"{folder} holds the stack of {record.date} at {here} on a grid of {record.grid.shape[0]} x "
            f"{record.grid.shape[1]}; for another place, day or grid give another folder with -o"
        )
        raise UsageError(msg)
    return record


@contextmanager
def _writing(folder: Path) -> Iterator[Path]:
    """Hold the folder for one writer, and yield an empty folder in it for what is not finished."""
    if folder.exists() and not folder.is_dir():
        msg = f"The stack cannot be written to {folder}, which is a file; give a folder with -o"
        raise UsageError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire()
    except OSError as error:
        msg = f"The stack cannot be written to {folder} ({error.strerror}); choose a folder that can be written"
        raise DataError(msg) from error
    scratch = folder / ".making"
    try:
        _sweep(folder, scratch)
        scratch.mkdir()
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        lock.release()


def _sweep(folder: Path, scratch: Path) -> None:
    """Remove what a killed run left behind."""
    shutil.rmtree(scratch, ignore_errors=True)
    for remains in (*folder.glob(".*.tif"), *folder.glob(f"{COARSE}/.*.nc")):
        remains.unlink(missing_ok=True)


def _to_cog(tiled: Path, path: Path) -> None:
    """Turn a tiled GeoTIFF into a Cloud Optimized one of the same values, units, description and tags."""
    with replacing(path) as temporary, failing(path, RasterioError):
        rasterio.shutil.copy(tiled, temporary, driver="COG", **_COG)


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest
