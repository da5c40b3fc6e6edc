"""HDF4-EOS tiles of the MODIS sinusoidal grid: the container, not the products."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyhdf.SD import SD, SDC

RADIUS = 6371007.181
SINUSOIDAL = f"+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R={RADIUS} +units=m +no_defs"
TILE = math.pi * RADIUS / 18
"""Side of a tile, metres; tile h18v09 has its upper-left corner at the origin."""
_STRUCT_METADATA = 32000
_TYPES: dict[str, tuple[int, str]] = {
    "int8": (SDC.INT8, "DFNT_INT8"),
    "uint8": (SDC.UINT8, "DFNT_UINT8"),
    "int16": (SDC.INT16, "DFNT_INT16"),
    "uint16": (SDC.UINT16, "DFNT_UINT16"),
}


@dataclass(frozen=True, slots=True)
class Layer:
    """One scientific data set of a tile.

    Attributes
    ----------
    name : of the data set
    values : raw integers, (rows, columns) of the whole tile
    attributes : in the order in which they are written; arrays keep their type
    """

    name: str
    values: npt.NDArray[np.integer[Any]]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tile:
    """A place in the sinusoidal grid; `size` pixels along one side."""

    h: int
    v: int
    size: int

    @property
    def affine(self) -> Affine:
        """Upper-left corner and pixel, metres."""
        pixel = TILE / self.size
        return Affine(pixel, 0, (self.h - 18) * TILE, 0, -pixel, (9 - self.v) * TILE)

    def __str__(self) -> str:
        return f"h{self.h:02d}v{self.v:02d}"


@dataclass(frozen=True, slots=True)
class Period:
    """What a granule stands for: name of its day, first and last instant."""

    named: datetime
    start: datetime
    end: datetime


def write_tile(
    folder: Path,
    product: str,
    grid: str,
    tile: Tile,
    period: Period,
    layers: Sequence[Layer],
    statement: str,
) -> Path:
    """Write one granule of collection 6.1 and return its path."""
    produced = f"{period.named:%Y}{min(period.named.timetuple().tm_yday + 12, 365):03d}000000"
    path = folder / f"{product}.A{period.named:%Y%j}.{tile}.061.{produced}.hdf"
    # the library keeps the path in the file as it was given: only the name, so that a file is the same everywhere
    with chdir(folder):
        file = SD(path.name, SDC.WRITE | SDC.CREATE | SDC.TRUNC)
    try:
        for layer in layers:
            _write_layer(file, grid, layer)
        texts = {
            "HDFEOSVersion": "HDFEOS_V2.19",
            "StructMetadata.0": _struct_metadata(grid, tile, layers).ljust(_STRUCT_METADATA, "\0"),
            "CoreMetadata.0": _core_metadata(product, path.name, tile, period, statement),
            "identifier_product_doi": "none",
            "SIMULATED": statement,
        }
        for name, text in texts.items():
            file.attr(name).set(SDC.CHAR8, text)
    finally:
        file.end()
    return path


def _write_layer(file: SD, grid: str, layer: Layer) -> None:
    kind = _TYPES[str(layer.values.dtype)][0]
    dataset = file.create(layer.name, kind, layer.values.shape)
    for number, axis in enumerate(("YDim", "XDim")):
        dataset.dim(number).setname(f"{axis}:{grid}")
    for name, value in layer.attributes.items():
        dataset.attr(name).set(*_attribute(value))
    dataset.setcompress(SDC.COMP_DEFLATE, 4)
    dataset[:] = np.ascontiguousarray(layer.values)
    dataset.endaccess()


def _attribute(value: Any) -> tuple[int, Any]:
    """HDF4 type and value of an attribute: text, numpy scalars or arrays in their type, else a 64-bit float."""
    if isinstance(value, str):
        return SDC.CHAR8, value
    if isinstance(value, (np.ndarray, np.generic)):
        return _TYPES[str(value.dtype)][0], value.tolist()
    return SDC.FLOAT64, float(value)


def _struct_metadata(grid: str, tile: Tile, layers: Sequence[Layer]) -> str:
    left, top = tile.affine * (0, 0)
    right, bottom = tile.affine * (tile.size, tile.size)
    fields = "".join(
        f"\t\t\tOBJECT=DataField_{number}\n"
        f'\t\t\t\tDataFieldName="{layer.name}"\n'
        f"\t\t\t\tDataType={_TYPES[str(layer.values.dtype)][1]}\n"
        '\t\t\t\tDimList=("YDim","XDim")\n'
        f"\t\t\tEND_OBJECT=DataField_{number}\n"
        for number, layer in enumerate(layers, 1)
    )
    return (
        "GROUP=SwathStructure\nEND_GROUP=SwathStructure\nGROUP=GridStructure\n\tGROUP=GRID_1\n"
        f'\t\tGridName="{grid}"\n\t\tXDim={tile.size}\n\t\tYDim={tile.size}\n'
        f"\t\tUpperLeftPointMtrs=({left:.6f},{top:.6f})\n\t\tLowerRightMtrs=({right:.6f},{bottom:.6f})\n"
        f"\t\tProjection=GCTP_SNSOID\n\t\tProjParams=({RADIUS:.6f},0,0,0,0,0,0,0,0,0,0,0,0)\n"
        "\t\tSphereCode=-1\n\t\tGridOrigin=HDFE_GD_UL\n\t\tGROUP=Dimension\n\t\tEND_GROUP=Dimension\n"
        f"\t\tGROUP=DataField\n{fields}\t\tEND_GROUP=DataField\n"
        "\t\tGROUP=MergedFields\n\t\tEND_GROUP=MergedFields\n\tEND_GROUP=GRID_1\nEND_GROUP=GridStructure\n"
        "GROUP=PointStructure\nEND_GROUP=PointStructure\nEND\n"
    )


def _core_metadata(product: str, name: str, tile: Tile, period: Period, statement: str) -> str:
    groups = {
        "ECSDATAGRANULE": {
            "LOCALGRANULEID": f'"{name}"',
            "PRODUCTIONDATETIME": f'"{period.end:%Y-%m-%dT%H:%M:%S.000Z}"',
            "LOCALVERSIONID": '"SIMULATED"',
            "REPROCESSINGACTUAL": f'"{statement}"',
        },
        "COLLECTIONDESCRIPTIONCLASS": {"VERSIONID": "61", "SHORTNAME": f'"{product}"'},
        "RANGEDATETIME": {
            "RANGEENDINGDATE": f'"{period.end:%Y-%m-%d}"',
            "RANGEENDINGTIME": f'"{period.end:%H:%M:%S}"',
            "RANGEBEGINNINGDATE": f'"{period.start:%Y-%m-%d}"',
            "RANGEBEGINNINGTIME": f'"{period.start:%H:%M:%S}"',
        },
    }
    body = "".join(
        f"  GROUP                  = {group}\n\n"
        + "".join(_object(key, value) for key, value in entries.items())
        + f"  END_GROUP              = {group}\n\n"
        for group, entries in groups.items()
    )
    tiles = {"HORIZONTALTILENUMBER": f"{tile.h:02d}", "VERTICALTILENUMBER": f"{tile.v:02d}"}
    extra = "".join(
        "    OBJECT                 = ADDITIONALATTRIBUTESCONTAINER\n"
        f'      CLASS                = "{number}"\n\n'
        + _object("ADDITIONALATTRIBUTENAME", f'"{key}"')
        + _object("PARAMETERVALUE", f'"{value}"')
        + "    END_OBJECT             = ADDITIONALATTRIBUTESCONTAINER\n\n"
        for number, (key, value) in enumerate(tiles.items(), 1)
    )
    return (
        "\nGROUP                  = INVENTORYMETADATA\n  GROUPTYPE            = MASTERGROUP\n\n"
        f"{body}  GROUP                  = ADDITIONALATTRIBUTES\n\n{extra}"
        "  END_GROUP              = ADDITIONALATTRIBUTES\n\n"
        "END_GROUP              = INVENTORYMETADATA\n\nEND\n"
    )


def _object(key: str, value: str) -> str:
    return (
        f"    OBJECT                 = {key}\n      NUM_VAL              = 1\n"
        f"      VALUE                = {value}\n    END_OBJECT             = {key}\n\n"
    )
