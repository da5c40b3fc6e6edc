"""Read Landsat 8-9 Collection 2 Level 2 scenes, only the window that is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterWindow

from zoo.errors import DataError, UnknownNameError
from zoo.grids import as_array
from zoo.predictors import LAYERS
from zoo.stack.area_mean import join, window_near
from zoo.types import Area, Granule
from zoo_landsat.metadata import Groups, read_mtl, scene_time
from zoo_landsat.product import BANDS, CLEAR_OF, FILL_DN, OFFSET, SCALE, WATER_BIT, WETNESS
from zoo_landsat.stac import Item, read_item

_ID = r"(?P<short>LC0[89]_L2S[PR])_(?P<place>\d{6})_(?P<date>\d{8})(_\d{8})?(_02)?_(?P<tier>T[12])"
_NAME = re.compile(
    rf"(?P<id>{_ID})(_(?P<part>SR_B[2-7]|QA_PIXEL|QA_RADSAT|MTL)\.(TIF|txt|json|xml)"
    r"|(?P<item>(_SR)?(_stac)?)\.json)",
    re.IGNORECASE,
)
_REFLECTANCE = "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"
_MARGIN = 2


class LandsatReader:
    """Reader of reflectance, wetness and water; satisfies `zoo.types.PredictorReader`.

    The bands of the area read last are kept, so that wetness and mask do not read them again.
    """

    def __init__(self) -> None:
        self._area: Area | None = None
        self._kept: dict[tuple[Path, ...], _Scene] = {}
        self._items: dict[Path, Item] = {}

    def granule(self, path: Path) -> Granule:
        """Say what a file is: the scene from its name, the time from the metadata file (MTL) beside it.

        Without that file the hour is unknown, and the scene stands for its whole day. A STAC item is a scene
        with all of its assets that are on disk.
        """
        match = _match(path)
        product = f"{match['short'].upper()}.02"
        if match["part"] is None:
            item = self._item(path)
            return Granule(product, match["id"], item.time, item.time, (path, *item.files.values()))
        mtl = next(iter(_metadata_files(path.parent, match["id"])), None)
        if mtl is not None:
            start = end = scene_time(read_mtl(mtl))
        else:
            start = datetime.strptime(match["date"], "%Y%m%d").replace(tzinfo=UTC)
            end = start + timedelta(days=1) - timedelta(seconds=1)
        return Granule(product, match["id"], start, end, (path,))

    def open(self, paths: Sequence[Path], layer: str, *, area: Area | None = None) -> Sequence[xr.DataArray]:
        """Read one layer; scenes of one UTM zone are joined.

        Masked are fill, dilated cloud, cloud, cirrus, cloud shadow, snow and saturated pixels. `water` is 1 on
        clear water and 0 on clear land.

        Returns
        -------
        One DataArray a UTM zone; none if no scene meets `area`.

        Raises
        ------
        DataError
            If a file of a scene is missing or cannot be read.
        """
        if layer not in BANDS and layer not in ("wetness", "water"):
            kind = "layer of Landsat"
            raise UnknownNameError(kind, layer, (*BANDS, "wetness", "water"))
        pieces = []
        for scene in self._scenes(paths, area):
            attrs = {
                "units": LAYERS[layer].units,
                "long_name": LAYERS[layer].title,
                "product": scene.granule.product,
                "granules": [scene.granule.id],
            }
            if scene.simulated:
                attrs["simulated"] = "true"
            pieces.append(as_array(scene.layer(layer), scene.box, layer, attrs))
        return join(pieces)

    def _scenes(self, paths: Sequence[Path], area: Area | None) -> list[_Scene]:
        if self._area != area:
            self._area, self._kept = area, {}
        scenes = []
        for source, parts in self._parts(paths).items():
            key = source, *parts.values()
            if key not in self._kept:
                remote = self._item(source).remote if _is_item(source) else {}
                self._kept[key] = _Scene(self.granule(source), parts, area, remote)
            scenes.append(self._kept[key])
        return [scene for scene in scenes if scene.window is not None]

    def _parts(self, paths: Sequence[Path]) -> dict[Path, dict[str, Path]]:
        """Files by part of each scene, which stands under its STAC item or its first file.

        Of a scene that is there in both ways, the one with its files' own names is taken.
        """
        items = {_key(path): path for path in paths if _is_item(path)}
        assets = {file for path in items.values() for file in self._item(path).files.values()}
        own: dict[tuple[str, ...], dict[str, Path]] = {}
        for path in paths:
            if path in assets or _is_item(path) or (_match(path)["part"].upper() == "MTL" and _key(path) in items):
                continue
            own.setdefault((*_key(path), _match(path)["id"]), {})[_match(path)["part"].upper()] = path
        known = {key[:-1] for key in own}
        found = {next(iter(parts.values())): parts for parts in own.values()}
        return found | {path: self._item(path).files for key, path in items.items() if key not in known}

    def _item(self, path: Path) -> Item:
        if path not in self._items:
            self._items[path] = read_item(path)
        return self._items[path]


class _Scene:
    """The part of one scene around an area; every file is read at most once."""

    def __init__(
        self, granule: Granule, files: Mapping[str, Path], area: Area | None, remote: Mapping[str, str]
    ) -> None:
        self.granule = granule
        self._files, self._remote = files, remote
        self._dn: dict[str, npt.NDArray[np.uint16]] = {}
        whole, self.simulated = self._grid()
        self.window = window_near(whole, area, _MARGIN)
        self._whole = whole

    @property
    def box(self) -> GeoBox:
        """Grid of the window."""
        return self._whole[self.window]

    def layer(self, name: str) -> npt.NDArray[np.float32]:
        """Values of one layer on `box`, NaN where masked."""
        if name == "water":
            water = (self._read("QA_PIXEL") >> WATER_BIT) & 1
            return np.where(self._clear, water, np.nan).astype(np.float32)
        if name == "wetness":
            return self._wetness()
        return self._reflectance(name)

    def _wetness(self) -> npt.NDArray[np.float32]:
        total = np.zeros(self.box.shape.yx, np.float32)
        for name, coefficient in WETNESS.items():
            total += np.float32(coefficient) * self._reflectance(name)
        return total

    def _reflectance(self, name: str) -> npt.NDArray[np.float32]:
        band = BANDS[name]
        scale, offset = self._scaling(band)
        dn = self._read(f"SR_B{band}")
        saturated = (self._read("QA_RADSAT") >> (band - 1)) & 1 == 1
        values = dn * np.float32(scale) + np.float32(offset)
        values[~self._clear | saturated | (dn == FILL_DN)] = np.nan
        return values

    def _scaling(self, band: int) -> tuple[float, float]:
        facts = self._metadata.get(_REFLECTANCE, {})
        scale = float(facts.get(f"REFLECTANCE_MULT_BAND_{band}", SCALE))
        return scale, float(facts.get(f"REFLECTANCE_ADD_BAND_{band}", OFFSET))

    @cached_property
    def _metadata(self) -> Groups:
        found = _metadata_files(self._path("QA_PIXEL").parent, self.granule.id)
        return read_mtl(found[0]) if found else {}

    @cached_property
    def _clear(self) -> npt.NDArray[np.bool_]:
        clear: npt.NDArray[np.bool_] = self._read("QA_PIXEL") & CLEAR_OF == 0
        return clear

    def _read(self, part: str) -> npt.NDArray[np.uint16]:
        if part not in self._dn:
            path = self._path(part)
            assert self.window is not None
            try:
                with rasterio.open(path) as source:
                    self._dn[part] = source.read(1, window=RasterWindow.from_slices(*self.window))
            except RasterioError as error:
                msg = f"{path} cannot be read as a GeoTIFF; it may be incomplete: download it again"
                raise DataError(msg) from error
        return self._dn[part]

    def _path(self, part: str) -> Path:
        if part in self._remote:
            msg = (
                f"The file {part} of Landsat scene {self.granule.id} is not on disk but at {self._remote[part]}; "
                "download it into the folder of the STAC item"
            )
            raise DataError(msg)
        if part not in self._files:
            msg = f"Landsat scene {self.granule.id} lacks its file _{part}.TIF; put it beside the others"
            raise DataError(msg)
        return self._files[part]

    def _grid(self) -> tuple[GeoBox, bool]:
        path = self._path("QA_PIXEL")
        try:
            with rasterio.open(path) as source:
                return GeoBox.from_rio(source), "simulated" in str(source.tags()).lower()
        except RasterioError as error:
            msg = f"{path} cannot be read as a GeoTIFF; it may be incomplete: download it again"
            raise DataError(msg) from error


def _match(path: Path) -> re.Match[str]:
    match = _NAME.fullmatch(path.name)
    if match is None:
        msg = (
            f"{path.name} is not named like a file of Landsat 8-9 Collection 2 Level 2; expected for example "
            "LC08_L2SP_124031_20190925_20200825_02_T1_SR_B4.TIF; keep the names of the downloaded files"
        )
        raise DataError(msg)
    return match


def _is_item(path: Path) -> bool:
    match = _NAME.fullmatch(path.name)
    return match is not None and match["part"] is None


def _key(path: Path) -> tuple[str, ...]:
    """Return what the names of a scene and of its STAC item share: STAC leaves out the day of processing."""
    match = _match(path)
    return tuple(match[part].upper() for part in ("short", "place", "date", "tier"))


def _metadata_files(folder: Path, scene: str) -> list[Path]:
    return [path for suffix in ("txt", "json", "xml") if (path := folder / f"{scene}_MTL.{suffix}").exists()]
