"""Rasters as predictor layers: GeoTIFF bands and NetCDF variables, recognised and read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from zoo.errors import DataError, UsageError
from zoo.predictors import LAYERS
from zoo.stack.area_mean import Window

GEOTIFF = (".tif", ".tiff")
NETCDF = (".nc", ".nc4")
_LARGEST = 1e30
"""Stored values beyond are fills (-3.4e38, infinity) that a file forgot to declare as nodata."""
FROM_DAY = "from_day"
"""Tag of a layer that no file stands behind."""
FORM = "NAME=FILE, NAME=FILE:BAND or NAME=FILE.nc:VARIABLE"


@dataclass(frozen=True, slots=True)
class Layer:
    """One band of a raster file under the name of a predictor.

    Attributes
    ----------
    name, units : of the predictor; units as the file says them, else the standard ones of that name
    path : the file
    address : what GDAL opens, for NetCDF with the variable
    band : number from 1
    geobox : grid
    product, granules, sources : what a layer written by `build_stack` was made from, else empty
    simulated : whether the file says that its data are simulated
    from_day : whether the layer follows from the day alone, so that no file stands behind it
    """

    name: str
    units: str
    path: Path
    address: str
    band: int
    geobox: GeoBox
    product: str = ""
    granules: tuple[str, ...] = ()
    sources: tuple[Path, ...] = ()
    simulated: bool = False
    from_day: bool = False

    @property
    def origin(self) -> str:
        """Granules, else the file's name with variable and band."""
        if self.granules:
            return ", ".join(self.granules)
        variable = self.address.rpartition(":")[2] if self.path.suffix.lower() in NETCDF else ""
        parts = [self.path.name, variable, "" if self.band == 1 else str(self.band)]
        return ":".join(part for part in parts if part)

    def read(self, window: Window, opened: Opened | None = None) -> npt.NDArray[np.float32]:
        """Read rows and columns: float32, NaN where missing, scale and offset of the file applied.

        `opened` gives the file where it stays open; else it is opened for this window.
        """
        rows, columns = window
        values = np.empty((rows.stop - rows.start, columns.stop - columns.start), np.float32)
        self.read_into(values, window, opened)
        return values

    def read_into(self, values: npt.NDArray[np.float32], window: Window, opened: Opened | None = None) -> bool:
        """Read as `read` does, into `values`; return whether it was seen that nothing is missing."""
        if opened is None:
            with reading(self.address, self.path) as source:
                return _read_band(source, self.band, window, values)
        with failing_to_read(self.path):
            return _read_band(opened(self), self.band, window, values)


Opened = Callable[[Layer], DatasetReader]
"""Gives the file of a layer, kept open."""


def _read_band(source: DatasetReader, band: int, window: Window, values: npt.NDArray[np.float32]) -> bool:
    place, index = RasterWindow.from_slices(*window), band - 1
    plain = (source.dtypes[index], source.scales[index], source.offsets[index]) == ("float32", 1.0, 0.0)
    if plain and MaskFlags.per_dataset not in source.mask_flag_enums[index]:
        source.read(band, window=place, out=values)
        return _without_fills(values, source.nodatavals[index])
    stored = source.read(band, window=place, masked=True)
    exact = stored.astype(np.float64).filled(np.nan) * source.scales[index] + source.offsets[index]
    exact[~(np.abs(exact) < _LARGEST)] = np.nan
    values[:] = exact
    return False


def _without_fills(values: npt.NDArray[np.float32], nodata: float | None) -> bool:
    """Make NaN of what is missing in values as stored; return True if nothing was."""
    if not values.size:
        return True
    low, high = values.min(), values.max()  # NaN if there is one; most windows need no second look
    if low > -_LARGEST and high < _LARGEST and not (nodata is not None and low <= nodata <= high):
        return True
    missing = ~(np.abs(values) < np.float32(_LARGEST))
    if nodata is not None and abs(nodata) < _LARGEST:
        missing |= values == np.float32(nodata)
    values[missing] = np.nan
    return not missing.any()


def open_layer(name: str, path: Path, *, variable: str = "", band: int | None = None) -> Layer:
    """Look at a raster and describe one of its bands as a layer.

    Raises
    ------
    DataError
        If the file is missing or unreadable, has no CRS, or not the band or variable.
    """
    if not path.is_file():
        msg = f"The predictor {name} is to come from {path}, which is no file; give {FORM}"
        raise DataError(msg)
    address = _address(path, variable)
    with reading(address, path) as source:
        if variable == "" and source.count == 0 and source.subdatasets:
            held = ", ".join(entry.rpartition(":")[2] for entry in source.subdatasets)
            msg = f"{path} holds several variables; say which: {name}={path}:VARIABLE, one of {held}"
            raise DataError(msg)
        number = _band(source, name, path, band)
        box = GeoBox.from_rio(source)
        if box.crs is None:
            msg = f"{path} (predictor {name}) has no coordinate reference system; give a raster that says it"
            raise DataError(msg)
        if box.affine.e > 0 or box.affine.b or box.affine.d:
            msg = f"{path} (predictor {name}) is not north up; warp it first, for example with gdalwarp"
            raise DataError(msg)
        tags = {**source.tags(), **source.tags(number)}
        units = source.units[number - 1] or (LAYERS[name].units if name in LAYERS else "")
    return Layer(
        name,
        units,
        path,
        address,
        number,
        box,
        product=tags.get("product", ""),
        granules=_listed(tags.get("granules", "")),
        sources=tuple(Path(entry) for entry in _listed(tags.get("sources", ""))),
        simulated=_says_simulated(tags),
        from_day=tags.get(FROM_DAY) == "true",
    )


def parse_argument(argument: str) -> Layer:
    """Open the layer of `name=path[:band]` or `name=file.nc:variable[:band]`.

    Raises
    ------
    UsageError
        If the argument has another form.
    DataError
        As `open_layer`.
    """
    name, equals, rest = argument.partition("=")
    if not (equals and name and rest):
        msg = f"--stack {argument!r} is neither a folder nor {FORM}; for example --stack dem=dem.tif"
        raise UsageError(msg)
    path, variable, band = Path(rest), "", None
    # From the right, since a path may hold colons itself.
    while not path.exists() and ":" in rest:
        rest, _, last = rest.rpartition(":")
        if last.isdecimal() and band is None and not variable:
            band = int(last)
        elif last and not variable:
            variable = last
        else:
            break
        path = Path(rest)
    if not path.exists():
        path = Path(argument.partition("=")[2])
    return open_layer(name, path, variable=variable, band=band)


def folder_layers(folder: Path) -> list[Layer]:
    """Open every raster of a folder, in alphabetical order.

    A GeoTIFF of one band is named like its file; the bands of another by their descriptions, all of which are
    needed; NetCDF variables by their own names.

    Raises
    ------
    DataError
        If the folder is missing or holds no raster.
    """
    if not folder.is_dir():
        msg = f"{folder} is no folder; give --stack a folder of GeoTIFF or NetCDF rasters, or {FORM}"
        raise DataError(msg)
    layers = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.suffix.lower() in GEOTIFF:
            layers += _bands(path)
        elif path.suffix.lower() in NETCDF:
            layers += _variables(path)
    if not layers:
        msg = f"{folder} holds no GeoTIFF (.tif) and no NetCDF (.nc); expected one raster a predictor"
        raise DataError(msg)
    return layers


@contextmanager
def reading(address: str, path: Path) -> Iterator[DatasetReader]:
    """Open a raster; whatever fails in it is one clear line."""
    with failing_to_read(path):
        with warnings.catch_warnings():
            # A NetCDF file with several variables is no raster itself; what has no CRS is refused by name.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            source = rasterio.open(address)
        with source:
            yield source


@contextmanager
def failing_to_read(path: Path) -> Iterator[None]:
    """Turn an error of GDAL into one line that names the file."""
    try:
        yield
    except RasterioError as error:
        msg = f"{path} cannot be read as a raster ({' '.join(str(error).split())}); expected GeoTIFF or NetCDF"
        raise DataError(msg) from error


def _address(path: Path, variable: str) -> str:
    if path.suffix.lower() in NETCDF:
        return f'netcdf:"{path}":{variable}' if variable else f"netcdf:{path}"
    if variable:
        msg = f"{path} is no NetCDF file, so {variable!r} cannot be a variable of it; give a band number"
        raise UsageError(msg)
    return str(path)


def _band(source: DatasetReader, name: str, path: Path, band: int | None) -> int:
    if band is None and source.count > 1:
        msg = f"{path} has {source.count} bands; say which one is {name}: {name}={path}:BAND"
        raise DataError(msg)
    number = 1 if band is None else band
    if not 1 <= number <= source.count:
        msg = f"{path} has no band {number}, it has {source.count}; give {name}={path}:BAND with 1 to {source.count}"
        raise DataError(msg)
    return number


def _bands(path: Path) -> list[Layer]:
    with reading(str(path), path) as source:
        described = list(source.descriptions)
    if len(described) == 1:
        return [open_layer(path.stem, path)]
    if not all(described):
        msg = f"{path} has {len(described)} bands without descriptions; give them one by one: NAME={path}:BAND"
        raise DataError(msg)
    return [open_layer(str(name), path, band=number) for number, name in enumerate(described, 1)]


def _variables(path: Path) -> list[Layer]:
    with reading(f"netcdf:{path}", path) as source:
        names = [entry.rpartition(":")[2] for entry in source.subdatasets]
        single = source.tags(1).get("NETCDF_VARNAME", path.stem) if source.count else path.stem
    if not names:
        return [open_layer(single, path, variable=single)]
    return [open_layer(name, path, variable=name) for name in names]


def _says_simulated(tags: Mapping[str, str]) -> bool:
    if "simulated" in tags:
        return tags["simulated"].lower() == "true"
    return "simulated" in str(tags).lower()


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split("|") if part)
