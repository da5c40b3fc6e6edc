"""Training rows: coarse cells or the rows of a table, with groups for the folds and a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.inputs import Request, open_coarse, open_stack, sensor_granules
from zoo.predictors import LAYERS, PAPER
from zoo.types import LayerSpec

if TYPE_CHECKING:
    import xarray as xr

BLOCK_CELLS = 3
"""Side of a spatial block in coarse cells."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows to learn from.

    Attributes
    ----------
    predictors : (n, k), one column a feature, float64, no NaN
    target : (n,) soil moisture, m3 m-3
    groups : (n,) labels; rows of one label are never on both sides of a split
    features : name and units of each column
    about : `name`, `units`, `sensor`, `product`, `depth` of the target
    dropped : rows left out, by reason
    dataset : `fingerprint` and what it was made from
    split : the name of the split that `groups` gives, for the scores
    coarse : the sensor's field, if the rows are its cells
    simulated : whether any of it is simulated
    """

    predictors: pd.DataFrame
    target: npt.NDArray[np.float64]
    groups: npt.NDArray[Any]
    features: tuple[LayerSpec, ...]
    about: dict[str, Any]
    dropped: dict[str, int]
    dataset: dict[str, Any]
    split: str
    coarse: xr.DataArray | None = None
    simulated: bool = False
    context: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.target)


def from_granules(request: Request, features: Sequence[str] = PAPER, *, min_valid: float = 0.5) -> Samples:
    """Make one row a coarse cell from native granules.

    Parameters
    ----------
    request : files, place and day
    features : predictor layers
    min_valid : least share of a cell's area with valid, dry-land predictor pixels
    """
    from zoo.stack import coarse_means

    coarse = open_coarse(request)
    stack = open_stack(request, features)
    means = coarse_means(stack, features, coarse, min_valid=min_valid)
    table = pd.DataFrame({name: means[name].to_numpy().ravel().astype(float) for name in features})
    target = coarse.to_numpy().ravel().astype(float)
    complete = table.notna().all(axis=1).to_numpy()
    observed = np.isfinite(target)
    keep = complete & observed
    if not keep.any():
        raise DataError(_nothing_left(table, observed, min_valid))
    rows, columns = np.divmod(np.arange(target.size), coarse.shape[1])
    blocks = (rows // BLOCK_CELLS) * 10_000 + columns // BLOCK_CELLS
    hashes = file_hashes(
        path for path in (*(p for g in sensor_granules(request) for p in g.paths), *stack.sources)
    )
    return Samples(
        predictors=table[keep].reset_index(drop=True),
        target=target[keep],
        groups=blocks[keep],
        features=tuple(LAYERS.get(name, LayerSpec(name, stack.units[name], name)) for name in features),
        about={
            "name": "soil_moisture",
            "units": "m3 m-3",
            "sensor": request.sensor,
            "product": str(coarse.attrs["product"]),
            "depth": [float(depth) for depth in coarse.attrs["depth"]],
        },
        dropped={
            "no soil moisture": int((~observed).sum()),
            "predictors missing": int((observed & ~complete).sum()),
        },
        dataset=dataset_record(
            hashes,
            features,
            {
                "products": sorted({str(coarse.attrs["product"]), *stack.products}),
                "granules": sorted({*map(str, coarse.attrs["granules"]), *stack.granules}),
                "grid": _grid_name(request, coarse),
                "quality": request.quality,
                "variable": request.variable,
                "min_valid": min_valid,
            },
        ),
        split=f"spatial blocks of {BLOCK_CELLS} x {BLOCK_CELLS} cells",
        coarse=coarse,
        simulated="simulated" in str(coarse.attrs).lower(),
        context={
            "area": list(request.area.bounds),
            "date": request.selection.date.isoformat(),
            "target_grid": _grid_name(request, None),
        },
    )


def from_table(
    path: Path, target: str, features: Sequence[str], groups: str, *, where: str | None = None
) -> Samples:
    """Make the rows from a parquet or CSV table.

    Parameters
    ----------
    path : the table
    target : column of soil moisture, m3 m-3
    features : columns of predictors
    groups : column whose values are the folds
    where : an expression in pandas' query language that rows must satisfy, `"date < '2016-02-01'"`
    """
    table = read_table(path)
    for column in (target, groups, *features):
        if column not in table.columns:
            raise UnknownNameError(f"column in {path.name}", column, map(str, table.columns))
    total = len(table)
    if where:
        table = _filter(table, where, path)
    chosen = table[[*features, target]].apply(pd.to_numeric, errors="coerce").astype(float)
    keep = np.isfinite(chosen).all(axis=1).to_numpy() & table[groups].notna().to_numpy()
    empty = [name for name in features if not chosen[name].notna().any()]
    if empty and len(chosen):
        msg = f"{path.name}: predictor {', '.join(empty)} has no value at all; leave it out of --features"
        raise DataError(msg)
    if not keep.any():
        msg = f"{path.name}: no row is left of {total}{f' after --where {where!r}' if where else ''}; widen --where or drop features"
        raise DataError(msg)
    kept = chosen[keep].reset_index(drop=True)
    return Samples(
        predictors=kept[list(features)],
        target=kept[target].to_numpy(),
        groups=table[groups].to_numpy()[keep],
        features=tuple(LAYERS.get(name, LayerSpec(name, "", name)) for name in features),
        about={"name": target, "units": "m3 m-3", "sensor": None, "product": path.name, "depth": None},
        dropped={"where": total - len(table), "missing values": int((~keep).sum())},
        dataset=dataset_record(file_hashes([path]), features, {"target": target, "groups": groups, "where": where}),
        split=f"groups of {groups}",
    )


def read_table(path: Path) -> pd.DataFrame:
    """Read a parquet or CSV table; DataError if it cannot be read."""
    if path.is_dir() or not path.exists():
        msg = f"{path} is {'a folder' if path.is_dir() else 'not there'}; --table expects a .parquet or .csv file"
        raise DataError(msg)
    try:
        return pd.read_parquet(path) if path.suffix in (".parquet", ".pq") else pd.read_csv(path)
    except Exception as error:  # pyarrow and pandas raise many kinds
        msg = f"{path} cannot be read as a table ({type(error).__name__}: {error}); expected .parquet or .csv"
        raise DataError(msg) from error


def file_hashes(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of files by file name."""
    hashes = {}
    for path in sorted(set(paths)):
        with path.open("rb") as file:
            hashes[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def dataset_record(hashes: dict[str, str], features: Sequence[str], facts: dict[str, Any]) -> dict[str, Any]:
    """Make the record of a dataset; its fingerprint holds no path and no time of access."""
    content = {"files": hashes, "features": list(features), **facts}
    fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return {"fingerprint": fingerprint, **content}


def _filter(table: pd.DataFrame, where: str, path: Path) -> pd.DataFrame:
    if "@" in where:
        msg = f"--where {where!r} holds '@', which is not allowed; compare columns with plain values"
        raise UsageError(msg)
    try:
        return table.query(where, engine="python")
    except Exception as error:  # the expression is the user's; pandas raises whatever it provokes
        msg = (
            f"--where {where!r} cannot be applied to {path.name} ({type(error).__name__}: {error}); "
            "expected an expression over its columns, for example \"date < '2016-02-01'\""
        )
        raise UsageError(msg) from error


def _nothing_left(table: pd.DataFrame, observed: npt.NDArray[np.bool_], min_valid: float) -> str:
    if not observed.any():
        return "The sensor has no valid cell in the area on that day; try --quality all, another --date, --time or --orbit"
    empty = [str(name) for name in table.columns if not table[name][observed].notna().any()]
    which = f"predictor {', '.join(empty)} has no value" if empty else "the predictors are never all valid"
    return f"No training row is left: {which} in any of {int(observed.sum())} coarse cells (valid share {min_valid:g} asked for)"


def _grid_name(request: Request, coarse: xr.DataArray | None) -> str:
    box = request.target if coarse is None else coarse.odc.geobox
    step = abs(box.affine.a)
    return f"{box.crs} {step:.6g} {box.shape[0]}x{box.shape[1]}"
