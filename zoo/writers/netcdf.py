"""Maps as CF NetCDF-4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import h5netcdf
import numpy as np
import numpy.typing as npt
import pyproj

from zoo import __version__
from zoo.errors import ZooError
from zoo.writers.bands import Band, stored_as, title_of
from zoo.writers.target import BLOCK, Window, failing, replacing

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

GRID_MAPPING = "spatial_ref"
"""Name of the grid-mapping variable; rioxarray and odc-geo look for this one."""

CHUNK_CACHE = 32 * 2**20
"""Bytes of chunks that HDF5 may keep of a variable: those that one row of narrow windows touches are packed once."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NetcdfWriter:
    """Writes float32 variables (y, x), _FillValue -9999, and uint8 ones of codes; deflated, chunks of 512, CF 1.11.

    Parameters
    ----------
    path : file to make
    geobox : its grid, north up and not rotated
    bands : the variables; those after the first are said to be ancillary to it
    tags : global attributes; `time_coverage_start` and `time_coverage_end` also give a scalar `time` with bounds
    depth : layer below the surface (top, bottom), metres, written as scalar `depth` with bounds
    """

    def __init__(
        self,
        path: Path,
        geobox: GeoBox,
        *,
        bands: Sequence[Band],
        tags: Mapping[str, str] | None = None,
        depth: tuple[float, float] | None = None,
    ) -> None:
        self.path, self.geobox, self.bands = path, geobox, tuple(bands)
        self.depth = depth
        self._tags = dict(tags or {})

    def __enter__(self) -> Self:
        """Begin the file."""
        with ExitStack() as stack:
            temporary = stack.enter_context(replacing(self.path))
            with failing(self.path):
                self._file = h5netcdf.File(temporary, "w", rdcc_nbytes=CHUNK_CACHE)
            stack.callback(self._file.close)
            self._write_grid()
            self._scalars = [*self._write_depth(), *self._write_time()]
            self._variables = [self._create(band) for band in self.bands]
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file and move it into place."""
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack, failing(self.path):
            self._file.attrs.update(self._global_attributes())
            self._file.close()

    def write(self, window: Window, values: npt.NDArray[Any]) -> None:
        """Write values (h, w), or (bands, h, w); what is not finite becomes the fill value, of codes 0."""
        with failing(self.path):
            for variable, stored in zip(self._variables, stored_as(self.bands, values), strict=True):
                variable[window] = stored

    def update_tags(self, tags: Mapping[str, str]) -> None:
        """Add global attributes that were not known at the beginning."""
        self._tags |= tags

    def _create(self, band: Band) -> Any:
        shape = self.geobox.shape.yx
        variable = self._file.create_variable(
            band.name,
            ("y", "x"),
            band.dtype,
            chunks=tuple(min(BLOCK, size) for size in shape),
            fillvalue=None if band.codes else np.float32(band.nodata),  # code 0 is a value like others
            compression="gzip",
            compression_opts=4,
            shuffle=True,
        )
        variable.attrs.update(self._attributes(band))
        return variable

    def _attributes(self, band: Band) -> dict[str, Any]:
        found: dict[str, Any] = {"long_name": band.words, "grid_mapping": GRID_MAPPING}
        if band.standard_name:
            found["standard_name"] = band.standard_name
        if band.codes:
            found["flag_values"] = np.array(list(band.codes), np.uint8)
            found["flag_meanings"] = " ".join(band.codes.values())
        else:
            found["units"] = band.units
        if self._scalars:
            found["coordinates"] = " ".join(self._scalars)
        if band is self.bands[0] and len(self.bands) > 1:
            found["ancillary_variables"] = " ".join(other.name for other in self.bands[1:])
        return found

    def _write_grid(self) -> None:
        crs, transform = _crs(self.geobox), self.geobox.affine
        height, width = self.geobox.shape.yx
        self._file.dimensions = {"y": height, "x": width}
        along = {"x": (transform.c, transform.a, width), "y": (transform.f, transform.e, height)}
        axes = {axis["axis"].lower(): axis for axis in crs.cs_to_cf() if "axis" in axis}
        for name, (origin, step, size) in along.items():
            axis = self._file.create_variable(name, (name,), "f8", data=origin + step * (np.arange(size) + 0.5))
            axis.attrs.update(axes[name])
        mapping = self._file.create_variable(GRID_MAPPING, (), "i4", data=np.int32(0))
        mapping.attrs.update({key: value for key, value in crs.to_cf().items() if value is not None})
        numbers = (transform.c, transform.a, transform.b, transform.f, transform.d, transform.e)
        mapping.attrs.update({"spatial_ref": crs.to_wkt(), "GeoTransform": " ".join(f"{n:.17g}" for n in numbers)})

    def _write_depth(self) -> list[str]:
        if self.depth is None:
            return []
        attributes = {"standard_name": "depth", "units": "m", "positive": "down", "axis": "Z"}
        return [self._scalar("depth", self.depth, attributes)]

    def _write_time(self) -> list[str]:
        texts = [self._tags.get(f"time_coverage_{end}") for end in ("start", "end")]
        if None in texts:
            return []
        instants = [datetime.fromisoformat(str(text)) for text in texts]
        seconds = [(at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - EPOCH.timestamp() for at in instants]
        units = f"seconds since {EPOCH:%Y-%m-%d %H:%M:%S}"
        attributes = {"standard_name": "time", "units": units, "calendar": "standard", "axis": "T"}
        return [self._scalar("time", (seconds[0], seconds[1]), attributes)]

    def _scalar(self, name: str, bounds: tuple[float, float], attributes: Mapping[str, str]) -> str:
        """Write a scalar coordinate in the middle of its bounds."""
        if "bnds" not in self._file.dimensions:
            self._file.dimensions["bnds"] = 2
        middle = self._file.create_variable(name, (), "f8", data=sum(bounds) / 2)
        middle.attrs.update({**attributes, "bounds": f"{name}_bnds"})
        self._file.create_variable(f"{name}_bnds", ("bnds",), "f8", data=np.asarray(bounds))
        return name

    def _global_attributes(self) -> dict[str, str]:
        made = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return {
            "Conventions": "CF-1.11",
            "title": title_of(self.bands),
            "history": f"{made} written by soil-moisture-zoo {__version__}",
            "date_created": made,
            "standard_name_vocabulary": "CF Standard Name Table v93",
            **self._tags,
        }


def _crs(geobox: GeoBox) -> pyproj.CRS:
    if geobox.crs is None:
        msg = "the grid of the map has no CRS"
        raise ZooError(msg)
    return pyproj.CRS.from_user_input(geobox.crs.to_wkt())
