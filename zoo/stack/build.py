"""Make a stack from native granules: find, choose, average block by block, write."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.io import DatasetWriter
from rasterio.windows import Window as RasterWindow

from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.granules import by_day, claimed, files_under, granules_of, select_composites
from zoo.grids import geobox_of
from zoo.plugins import host, make
from zoo.progress import task
from zoo.stack.area_mean import Floats, Window, area_mean, area_of, blocks, filled, mean_of_pieces
from zoo.stack.layers import MIN_VALID, WATER, Stack
from zoo.stack.sources import FROM_DAY, open_layer
from zoo.types import DatedReader, Granule, LayerSpec, PredictorReader, PredictorSpec

BLOCK_PIXELS = 2200
"""Side of the blocks that are averaged at once, source pixels: 66 km of Landsat, 5 million pixels."""
_FINEST = 30.0
"""Metres: pixel that a product is taken to have that neither says its own nor covers the middle of the area."""
_TILE = 256
_FULL = 0.999
"""Share of a pixel's area from which on no other day is asked for more."""
_GDAL_CACHE = 64 * 2**20
"""Bytes of raster blocks that GDAL may keep, files written included; by itself it takes a twentieth of the memory."""
_Advance = Callable[[float], None]


@dataclass(slots=True)
class Source:
    """A product chosen for some layers, with its granules for the day, and what was seen while reading."""

    spec: PredictorSpec
    granules: list[Granule]
    layers: list[LayerSpec]
    covered: dict[str, float] = field(default_factory=dict)
    filled: dict[str, float] = field(default_factory=dict)
    used: dict[str, set[str]] = field(default_factory=dict)
    simulated: bool = False

    @property
    def paths(self) -> list[Path]:
        """Every file of the granules."""
        return [path for granule in self.granules for path in granule.paths]

    @property
    def named(self) -> str:
        """The product's name if its layers follow from the day alone, without granules; else empty."""
        return "" if self.spec.patterns else self.spec.name


@dataclass(slots=True)
class _Job:
    """A source with its reader and the grid that it is brought onto, cut into blocks."""

    source: Source
    reader: PredictorReader
    geobox: GeoBox
    windows: list[Window] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.windows = list(blocks(self.geobox, self._side()))

    @property
    def steps(self) -> int:
        """Blocks times layers."""
        return len(self.windows) * len(self.source.layers)

    def _side(self) -> int:
        """Side of a block in pixels, a power of two up to `_TILE`, so that blocks and tiles share edges."""
        finest, side = self.source.spec.resolution or self._native(), _TILE
        while side > 1 and side * _metres(self.geobox) > BLOCK_PIXELS * finest:
            side //= 2
        return side

    def _native(self) -> float:
        """Pixel of the source, metres, as seen in the middle of the grid."""
        rows, columns = (size // 2 for size in self.geobox.shape.yx)
        middle = area_of(self.geobox[rows : rows + 1, columns : columns + 1])
        paths, layer = [path for granule in self.source.granules for path in granule.paths], self.source.layers[0]
        seen = [_metres(geobox_of(piece)) for piece in self.reader.open(paths, layer.name, area=middle)]
        return min(seen, default=_FINEST)


def build_stack(
    places: Sequence[Path],
    layers: Sequence[str],
    geobox: GeoBox,
    day: date,
    folder: Path,
    *,
    products: Mapping[str, str] | None = None,
    min_valid: float = MIN_VALID,
) -> Stack:
    """Bring predictor layers from native granules onto a grid.

    Each layer is the area mean over valid source pixels. If several products deliver a layer for the day, the
    one with the shortest period is taken (static data first), then the first by name. Of scenes, those of the
    nearest day come first; those of other days fill what is missing, pixel by pixel. `water` is added where a
    product delivers it.

    Parameters
    ----------
    places : files and folders of granules
    layers : standard names, see `zoo.predictors.LAYERS`
    geobox : target grid
    day : UTC; of composites, the one whose period contains it
    folder : where `<layer>.tif` are written; appears only when all of them are complete
    products : product to take by layer, to overrule the choice above
    min_valid : least share of a pixel's area with valid data; below it the pixel is missing

    Returns
    -------
    The stack, open, in the order of `layers`.

    Raises
    ------
    UnknownNameError
        If no installed product delivers a layer.
    DataError
        If granules of a layer are missing, or have no valid pixel on the grid; the message names the layer.
    """
    sources = choose_sources(places, layers, day, products or {})
    written = write_sources(sources, geobox, day, folder, min_valid=min_valid)
    order = [*layers, WATER] if WATER in written and WATER not in layers else list(layers)
    return Stack.of([open_layer(name, folder / f"{name}.tif") for name in order])


def write_sources(
    sources: Sequence[Source], geobox: GeoBox, day: date, folder: Path, *, min_valid: float = MIN_VALID
) -> list[str]:
    """Average the layers of chosen sources onto a grid, write them, and return their names; see `build_stack`.

    Every layer comes out the same whichever others are written with it. `water` is left out where no pixel of
    the area was seen.
    """
    jobs = [_Job(source, _reader(source, day), geobox) for source in sources]
    with (
        rasterio.Env(GDAL_CACHEMAX=_GDAL_CACHE),
        _fresh_folder(folder) as fresh,
        task("averaging predictors", sum(job.steps for job in jobs)) as advance,
    ):
        while jobs:  # a reader keeps what it unpacked, so that only one is alive at a time
            _write_source(jobs.pop(0), fresh, min_valid, advance)
        _check_covered(sources, day)
        _drop_unseen_water(sources, fresh)
        _tag(sources, fresh, day)
    return [spec.name for source in sources for spec in source.layers]


def choose_sources(
    places: Sequence[Path], layers: Sequence[str], day: date, products: Mapping[str, str]
) -> list[Source]:
    """Find the granules of the day and share out the layers among their products.

    Raises
    ------
    UnknownNameError
        If no installed product delivers a layer, or `products` names one that does not.
    DataError
        If no granule of the day delivers a layer.
    """
    specs = host().specs(PredictorSpec)
    _check_known(layers, specs.values(), products)
    files = files_under(places)
    wanted = {*layers, WATER}
    found: dict[str, list[Granule]] = {}
    refused: list[str] = []
    for name, spec in sorted(specs.items()):
        if not wanted & {layer.name for layer in spec.layers}:
            continue
        if not spec.patterns:  # it follows from the day alone
            found[name] = []
        elif claimed(files, spec.patterns):
            granules = granules_of(spec, files)
            try:
                found[name] = select_composites(granules, day, name)
            except DataError as error:
                refused.append(str(error))
    sources = {name: Source(specs[name], granules, []) for name, granules in found.items()}
    missing = []
    for layer in dict.fromkeys((*layers, WATER)):
        owner = _preferred(layer, sources, products)
        if owner is not None:
            owner.layers.append(next(spec for spec in owner.spec.layers if spec.name == layer))
        elif layer in layers:
            missing.append(layer)
    if missing:
        raise DataError(_nothing_found(missing, specs.values(), places, day, refused))
    return [source for source in sources.values() if source.layers]


def _preferred(layer: str, sources: Mapping[str, Source], products: Mapping[str, str]) -> Source | None:
    able = [
        source for source in sources.values() if layer in {spec.name for spec in source.spec.layers}
        and products.get(layer, source.spec.name) == source.spec.name
    ]  # fmt: skip
    return min(
        able,
        key=lambda source: (_period(source.granules), source.spec.resolution is None, source.spec.name),
        default=None,
    )


def _period(granules: Iterable[Granule]) -> float:
    """Longest period of granules, seconds; 0 for static data and for what needs no granule."""
    return max(((g.end - g.start).total_seconds() if g.start and g.end else 0.0 for g in granules), default=0.0)


def _reader(source: Source, day: date) -> PredictorReader:
    reader: PredictorReader = make(source.spec)
    return reader.at(day) if isinstance(reader, DatedReader) else reader


def _write_source(job: _Job, folder: Path, min_valid: float, advance: _Advance) -> None:
    source = job.source
    with ExitStack() as files:
        written = {
            layer.name: files.enter_context(rasterio.open(folder / f"{layer.name}.tif", "w", **_profile(job.geobox)))
            for layer in source.layers
        }
        for window in job.windows:
            for layer in source.layers:
                mean, share = _block(source, job.reader, layer.name, job.geobox[window])
                mean[share < min_valid] = np.nan
                written[layer.name].write(mean, 1, window=RasterWindow.from_slices(*window))
                source.covered[layer.name] = source.covered.get(layer.name, 0.0) + float(share.sum(dtype=np.float64))
                advance(1)
        for layer in source.layers:
            _describe(written[layer.name], layer)


def _block(source: Source, reader: PredictorReader, layer: str, target: GeoBox) -> tuple[Floats, Floats]:
    """Area mean and valid share of one layer over one block of the grid, each (h, w); other days fill gaps."""
    first, *others = by_day(source.granules)
    mean, share = _block_of(source, reader, layer, target, first, np.ones(target.shape.yx, np.float32))
    seen = share
    for granules in others:
        if (share >= _FULL).all():
            break
        mean, share = filled((mean, share), _block_of(source, reader, layer, target, granules, 1 - share))
    gained = float((share - seen).sum(dtype=np.float64))
    source.filled[layer] = source.filled.get(layer, 0.0) + gained
    return mean, share


def _block_of(
    source: Source,
    reader: PredictorReader,
    layer: str,
    target: GeoBox,
    granules: Sequence[Granule],
    wanted: Floats,
) -> tuple[Floats, Floats]:
    """As `_block`, from the granules of one day or period; `wanted` is the share of each pixel that they may fill."""
    means = []
    for piece in reader.open([path for granule in granules for path in granule.paths], layer, area=area_of(target)):
        mean, share = area_mean(piece.to_numpy()[None], geobox_of(piece), target)
        means.append((mean[0], share[0]))
        if np.minimum(share[0], wanted).any():
            source.used.setdefault(layer, set()).update(map(str, piece.attrs.get("granules", ())))
        source.simulated |= "simulated" in str(piece.attrs).lower()
    return mean_of_pieces(means, target.shape.yx)


def _describe(written: DatasetWriter, layer: LayerSpec) -> None:
    written.set_band_description(1, layer.name)
    written.units = (layer.units,)
    written.update_tags(1, long_name=layer.title)


def _tag(sources: Iterable[Source], folder: Path, day: date) -> None:
    """Say in each file what it was made from."""
    for source in sources:
        for layer in source.layers:
            used = [granule for granule in source.granules if granule.id in source.used.get(layer.name, set())]
            with rasterio.open(folder / f"{layer.name}.tif", "r+") as written:
                pixels = written.width * written.height
                written.update_tags(
                    product="|".join(sorted({granule.product for granule in used})) or source.named,
                    granules="|".join(granule.id for granule in used),
                    sources="|".join(str(path.resolve()) for granule in used for path in granule.paths),
                    date=day.isoformat(),
                    valid_share=f"{source.covered[layer.name] / pixels:.6f}",
                    **({"filled_share": f"{gained / pixels:.6f}"} if (gained := source.filled[layer.name]) else {}),
                    **({"simulated": "true"} if source.simulated else {}),
                    **({FROM_DAY: "true"} if source.named else {}),
                )


def _profile(geobox: GeoBox) -> dict[str, object]:
    rows, columns = geobox.shape.yx
    return {
        "driver": "GTiff", "dtype": "float32", "count": 1, "height": rows, "width": columns,
        "crs": str(geobox.crs), "transform": geobox.affine, "nodata": float("nan"),
        "tiled": True, "blockxsize": _TILE, "blockysize": _TILE,
        "compress": "deflate", "predictor": 3, "bigtiff": "if_safer",
    }  # fmt: skip


def _metres(geobox: GeoBox) -> float:
    """Height of a pixel, metres, about."""
    return abs(geobox.affine.e) * (111_320 if geobox.crs is not None and geobox.crs.geographic else 1)


@contextmanager
def _fresh_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder`, which takes its place, or whose files go into it, at the end."""
    if folder.exists() and not folder.is_dir():
        msg = f"The predictors cannot be written to {folder}, which is a file; give a folder"
        raise UsageError(msg)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        msg = f"The predictors cannot be written to {folder}: {error.strerror}; choose a folder that can be written"
        raise DataError(msg) from error
    try:
        yield fresh
        if folder.is_dir():
            for path in fresh.iterdir():
                os.replace(path, folder / path.name)
        else:
            fresh.chmod(0o755)
            os.replace(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _check_known(layers: Sequence[str], specs: Iterable[PredictorSpec], products: Mapping[str, str]) -> None:
    delivered: dict[str, list[str]] = {}
    for spec in specs:
        for layer in spec.layers:
            delivered.setdefault(layer.name, []).append(spec.name)
    for name in (*layers, *products):
        if name not in delivered:
            kind = "predictor layer"
            raise UnknownNameError(kind, name, delivered, "See: zoo plugins")
    for name, product in products.items():
        if product not in delivered[name]:
            kind = f"product for the layer {name!r}"
            raise UnknownNameError(kind, product, delivered[name])


def _nothing_found(
    missing: Sequence[str], specs: Iterable[PredictorSpec], places: Sequence[Path], day: date, refused: Sequence[str]
) -> str:
    able = sorted(spec.name for spec in specs if {layer.name for layer in spec.layers} & set(missing))
    also = f"; {'; '.join(refused)}" if refused else ""
    return (
        f"No granule for the predictor {', '.join(missing)} on {day} in {', '.join(map(str, places))}; products that "
        f"deliver it: {', '.join(able)}{also}; add such files, or choose other layers"
    )


def _drop_unseen_water(sources: Iterable[Source], folder: Path) -> None:
    """Leave out a water layer that saw nothing of the area: it was not asked for."""
    for source in sources:
        if source.covered.get(WATER) == 0:
            source.layers = [layer for layer in source.layers if layer.name != WATER]
            (folder / f"{WATER}.tif").unlink()


def _check_covered(sources: Iterable[Source], day: date) -> None:
    for source in sources:
        for layer in source.layers:
            if source.covered[layer.name] == 0 and layer.name != WATER:
                msg = (
                    f"The predictor {layer.name} has no valid pixel in the area on {day}: {source.spec.name} "
                    f"({', '.join(granule.id for granule in source.granules[:3])}) lies elsewhere or is masked "
                    "throughout; choose another day or area, or add granules"
                )
                raise DataError(msg)
