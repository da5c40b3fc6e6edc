"""Training rows: coarse cells or the rows of a table, with groups for the folds and a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.inputs import Request, open_coarse, open_stack, sensor_granules
from zoo.predictors import LAYERS, PAPER
from zoo.registry.schema import Dataset, Target
from zoo.types import LayerSpec

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

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
    about : what the target is
    dataset : fingerprint, what it was made from, and the rows left out
    split : the name of the split that `groups` gives, for the scores
    simulated : whether any of it is simulated
    coarse, bbox, target_grid, period : the sensor's field, place, fine grid and time, if the rows are its cells
    """

    predictors: pd.DataFrame
    target: npt.NDArray[np.float64]
    groups: npt.NDArray[Any]
    features: tuple[LayerSpec, ...]
    about: Target
    dataset: Dataset
    split: str
    simulated: bool = False
    coarse: xr.DataArray | None = None
    bbox: tuple[float, float, float, float] | None = None
    target_grid: str | None = None
    period: tuple[datetime | None, datetime | None] = (None, None)

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
    granules = sensor_granules(request)
    hashes = file_hashes((*(path for granule in granules for path in granule.paths), *stack.sources))
    box = request.target
    return Samples(
        predictors=table[keep].reset_index(drop=True),
        target=target[keep],
        groups=blocks[keep],
        features=tuple(LAYERS.get(name, LayerSpec(name, stack.units[name], name)) for name in features),
        about=Target(sensor=request.sensor, product=coarse.attrs["product"], depth=tuple(coarse.attrs["depth"])),
        dataset=dataset_record(
            hashes,
            features,
            {
                "coarse_grid": grid_text(coarse.odc.geobox),
                "target_grid": grid_text(box),
                "quality": request.quality,
                "variable": request.variable,
                "min_valid": min_valid,
            },
            rows=int(keep.sum()),
            products=(*{granule.product for granule in granules}, *stack.products),
            granules=(*(granule.id for granule in granules), *stack.granules),
            dropped={
                "without soil moisture": int((~observed).sum()),
                "without valid predictors": int((observed & ~complete).sum()),
            },
        ),
        split=f"spatial blocks of {BLOCK_CELLS} x {BLOCK_CELLS} cells",
        simulated=bool(coarse.attrs.get("simulated")) or stack.simulated,
        coarse=coarse,
        bbox=request.area.bounds,
        target_grid=grid_text(box),
        period=(coverage(coarse, "start"), coverage(coarse, "end")),
    )


def coverage(coarse: xr.DataArray, edge: str) -> datetime:
    """Return the start or end of a coarse field's period."""
    return datetime.fromisoformat(str(coarse.attrs[f"time_coverage_{edge}"]))


def from_table(path: Path, target: str, features: Sequence[str], groups: str, *, where: str | None = None) -> Samples:
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
            kind = f"column in {path.name}"
            raise UnknownNameError(kind, column, map(str, table.columns))
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
        after = f" after --where {where!r}" if where else ""
        msg = f"{path.name}: no row is left of {total}{after}; widen --where or drop features"
        raise DataError(msg)
    kept = chosen[keep].reset_index(drop=True)
    return Samples(
        predictors=kept[list(features)],
        target=kept[target].to_numpy(),
        groups=table[groups].to_numpy()[keep],
        features=tuple(LAYERS.get(name, LayerSpec(name, "", name)) for name in features),
        about=Target(name=target, product=path.name),
        dataset=dataset_record(
            file_hashes([path]),
            features,
            {"target": target, "groups": groups, "where": where},
            rows=int(keep.sum()),
            dropped={"by --where": total - len(table), "with missing values": int((~keep).sum())},
        ),
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


def dataset_record(
    hashes: dict[str, str],
    features: Sequence[str],
    facts: dict[str, Any],
    *,
    rows: int,
    dropped: dict[str, int],
    products: Iterable[str] = (),
    granules: Iterable[str] = (),
) -> Dataset:
    """Describe a dataset; its fingerprint holds what was read and how, no path and no time of access."""
    content = {
        "files": hashes,
        "products": sorted(set(products)),
        "granules": sorted(set(granules)),
        "definition": {"features": list(features), **facts},
    }
    fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return Dataset.model_validate({"fingerprint": fingerprint, "rows": rows, "dropped": dropped, **content})


def grid_text(box: GeoBox) -> str:
    """Say which grid it is, in one line."""
    origin = f"{box.affine.c:.6f} {box.affine.f:.6f}"
    return f"{box.crs} {abs(box.affine.a):.6f} {box.shape[0]} x {box.shape[1]} from {origin}"


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
        return (
            "The sensor has no valid cell in the area on that day; try --quality all, another --date, --time or --orbit"
        )
    empty = [str(name) for name in table.columns if not table[name][observed].notna().any()]
    which = f"predictor {', '.join(empty)} has no value" if empty else "the predictors are never all valid"
    cells = f"{int(observed.sum())} coarse cells"
    return f"No training row is left: {which} in any of {cells} (a valid share of {min_valid:g} is asked for)"
