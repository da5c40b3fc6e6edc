"""Training rows: coarse cells or the rows of a table, with groups for the folds and a fingerprint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.inputs import Request
from zoo.predictors import LAYERS, PAPER, SEASON, season_terms
from zoo.registry.schema import Dataset, Target
from zoo.samples.cells import BLOCK_CELLS, Cells, grid_text, nothing_left, read_cells, stacked_cells
from zoo.samples.fingerprint import dataset_record, file_hashes
from zoo.samples.table import TableRecord, read_record
from zoo.samples.weights import SPREAD, Weights, weights_of
from zoo.types import LayerSpec

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "BLOCK_CELLS",
    "Samples",
    "coverage",
    "dataset_record",
    "file_hashes",
    "from_cells",
    "from_granules",
    "from_stack",
    "from_table",
    "grid_text",
    "read_table",
]

SPATIAL_BLOCKS = f"spatial blocks of {BLOCK_CELLS} x {BLOCK_CELLS} cells"
"""The split that blocks of coarse cells give."""


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
    places : (n,) the place of each row, where a group holds several; None where it is not known
    times : (n,) datetime64, the time of each row; None where it is not known
    cells : (n, 2) row and column of the coarse cell that each row is; None where rows are no cells
    weights : (n,) how much each row counts in training, mean 1; None where all count alike. Scores heed none
    notes : remarks for the card
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
    places: npt.NDArray[Any] | None = None
    times: npt.NDArray[Any] | None = None
    cells: npt.NDArray[np.int64] | None = None
    weights: npt.NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: npt.NDArray[np.intp]) -> Samples:
        """Return some of the rows, by number."""
        return replace(
            self,
            predictors=self.predictors.iloc[rows].reset_index(drop=True),
            target=self.target[rows],
            groups=self.groups[rows],
            places=None if self.places is None else self.places[rows],
            times=None if self.times is None else self.times[rows],
            cells=None if self.cells is None else self.cells[rows],
            weights=None if self.weights is None else self.weights[rows],
        )


def from_granules(
    request: Request, features: Sequence[str] = PAPER, *, min_valid: float = 0.5, weights: Weights | None = None
) -> Samples:
    """Make one row a coarse cell from native granules.

    Parameters
    ----------
    request : files, place and day
    features : predictor layers
    min_valid : least share of a cell's area with valid, dry-land predictor pixels
    weights : how to weigh the rows, see `zoo.samples.weights`
    """
    return from_cells(read_cells(request, features), features, min_valid=min_valid, weights=weights)


def from_stack(
    folder: Path,
    features: Sequence[str] = PAPER,
    *,
    sensor: str | None = None,
    min_valid: float = 0.5,
    weights: Weights | None = None,
) -> Samples:
    """Make one row a coarse cell from a stack with its coarse twin: the same rows as from its granules.

    Parameters
    ----------
    folder : as `zoo stack` makes it
    features, min_valid, weights : as in `from_granules`
    sensor : whose coarse field, if the stack has several
    """
    cells = stacked_cells(folder, features, sensor)
    return from_cells(cells, features, min_valid=min_valid, weights=weights)


def from_cells(
    cells: Cells, features: Sequence[str], *, min_valid: float = 0.5, weights: Weights | None = None
) -> Samples:
    """Make one row a coarse cell that has soil moisture and every predictor."""
    rows = cells.rows(features, min_valid)
    table, target = rows[list(features)], rows["soil_moisture"].to_numpy()
    complete = table.notna().all(axis=1).to_numpy()
    observed = np.isfinite(target)
    keep = complete & observed
    if not keep.any():
        raise nothing_left(table, observed, min_valid)
    coarse = cells.coarse
    return Samples(
        predictors=table[keep].reset_index(drop=True),
        target=target[keep],
        groups=rows["block"].to_numpy()[keep],
        features=cells.features(features),
        about=Target(sensor=cells.sensor, product=coarse.attrs["product"], depth=tuple(coarse.attrs["depth"])),
        dataset=cells.dataset(
            features,
            min_valid,
            rows=int(keep.sum()),
            dropped={
                "without soil moisture": int((~observed).sum()),
                "without valid predictors": int((observed & ~complete).sum()),
            },
            **_given(weights=weights),
        ),
        split=SPATIAL_BLOCKS,
        simulated=cells.simulated,
        coarse=coarse,
        bbox=cells.area.bounds,
        target_grid=cells.target_grid,
        period=(coverage(coarse, "start"), coverage(coarse, "end")),
        places=rows.groupby(["row", "column"]).ngroup().to_numpy()[keep],
        times=rows["time"].dt.tz_localize(None).to_numpy()[keep],
        cells=rows[["row", "column"]].to_numpy()[keep],
        weights=weights_of(rows[keep], features, weights, "the stack"),
    )


def coverage(coarse: xr.DataArray, edge: str) -> datetime:
    """Return the start or end of a coarse field's period."""
    return datetime.fromisoformat(str(coarse.attrs[f"time_coverage_{edge}"]))


def from_table(
    path: Path,
    target: str,
    features: Sequence[str],
    groups: str,
    *,
    where: str | None = None,
    places: str | None = None,
    times: str | None = None,
    min_valid: float | None = None,
    weights: Weights | None = None,
) -> Samples:
    """Make the rows from a parquet or CSV table.

    The season (`doy_sin`, `doy_cos`) follows from `times` where the table has no such columns.

    Parameters
    ----------
    path : the table
    target : column of soil moisture, m3 m-3
    features : columns of predictors
    groups : column whose values are the folds
    where : an expression in pandas' query language that rows must satisfy, `"date < '2016-02-01'"`
    places : column whose values are places, stations for example, where a group holds several
    times : column of dates or times
    min_valid : least share in the columns `valid_share_<feature>`, as `zoo table` writes them
    weights : how to weigh the rows, see `zoo.samples.weights`; needs the columns `spread_<feature>`
    """
    table = _with_season(read_table(path), features, times, path)
    for column in (target, groups, *filter(None, (places, times)), *features):
        if column not in table.columns:
            kind = f"column in {path.name}"
            raise UnknownNameError(kind, column, map(str, table.columns))
    total = len(table)
    if where:
        table = _filter(table, where, path)
    chosen = table[[*features, target]].apply(pd.to_numeric, errors="coerce").astype(float)
    labels = [column for column in (groups, places, times) if column]
    complete = np.isfinite(chosen).all(axis=1).to_numpy() & table[labels].notna().all(axis=1).to_numpy()
    keep = complete & _valid_enough(table, features, min_valid, path)
    empty = [name for name in features if not chosen[name].notna().any()]
    if empty and len(chosen):
        msg = f"{path.name}: predictor {', '.join(empty)} has no value at all; leave it out of --features"
        raise DataError(msg)
    if not keep.any():
        after = f" after --where {where!r}" if where else ""
        msg = f"{path.name}: no row is left of {total}{after}; widen --where or drop features"
        raise DataError(msg)
    kept = chosen[keep].reset_index(drop=True)
    record = read_record(path)
    known = record if record and target == record.target else None
    units = {feature.name: feature.units for feature in record.features} if record else {}
    return Samples(
        predictors=kept[list(features)],
        target=kept[target].to_numpy(),
        groups=table[groups].to_numpy()[keep],
        features=tuple(LAYERS.get(name, LayerSpec(name, units.get(name, ""), name)) for name in features),
        about=_target(known) if known else Target(name=target, product=path.name),
        dataset=dataset_record(
            file_hashes([path]),
            features,
            {
                "target": target,
                "groups": groups,
                "where": where,
                **_given(places=places, times=times, min_valid=min_valid, weights=weights),
            },
            rows=int(keep.sum()),
            dropped={
                "by --where": total - len(table),
                "with missing values": int((~complete).sum()),
                **({} if min_valid is None else {"below --min-valid": int((complete & ~keep).sum())}),
            },
            products={name for part in record.datasets.values() for name in part.products} if record else (),
            granules={name for part in record.datasets.values() for name in part.granules} if record else (),
        ),
        split=SPATIAL_BLOCKS if record and groups == record.groups else f"groups of {groups}",
        simulated=bool(record and record.simulated),
        bbox=known.area if known else None,
        period=(datetime.fromisoformat(known.start), datetime.fromisoformat(known.end)) if known else (None, None),
        places=_places(table, places, record)[keep] if places or record else None,
        times=_times(table[times][keep], path) if times else None,
        cells=table[["row", "column"]].to_numpy()[keep] if known else None,
        weights=weights_of(table[keep], features, weights, path.name),
    )


def _with_season(table: pd.DataFrame, features: Sequence[str], times: str | None, path: Path) -> pd.DataFrame:
    """Add the terms of the season that are asked for and not there."""
    asked = [name for name in SEASON if name in features and name not in table.columns]
    if not asked:
        return table
    if times is None or times not in table.columns:
        msg = f"{path.name} has no {asked[0]}, and the season follows from the day of a row; add --times COLUMN"
        raise UsageError(msg)
    known = table[times].notna().to_numpy()
    days = pd.Series(_times(table[times][known], path)).dt.date
    terms = {name: np.full(len(table), np.nan) for name in asked}
    for name, values in terms.items():
        values[known] = [season_terms(day)[name] for day in days]
    alike = {f"{SPREAD}{name}": 0.0 for name in asked}
    return table.assign(**terms, **alike, **{f"valid_share_{name}": 1.0 for name in asked})


def _valid_enough(
    table: pd.DataFrame, features: Sequence[str], min_valid: float | None, path: Path
) -> npt.NDArray[np.bool_]:
    """Say in which rows every predictor has its least valid share."""
    if min_valid is None:
        return np.ones(len(table), bool)
    columns = [f"valid_share_{name}" for name in features]
    missing = [name for name in columns if name not in table.columns]
    if missing:
        msg = f"--min-valid needs the column {missing[0]}, as zoo table writes it; {path.name} has none: leave it out"
        raise UsageError(msg)
    shares = table[columns].apply(pd.to_numeric, errors="coerce").to_numpy(np.float32)
    return np.asarray((shares >= np.float32(min_valid)).all(axis=1))


def _places(table: pd.DataFrame, column: str | None, record: TableRecord | None) -> npt.NDArray[Any]:
    """Return the place of each row: a column's values, or the cell in a table that zoo table made."""
    if column is None and record:
        return table.groupby(["row", "column"]).ngroup().to_numpy()
    return table[column].to_numpy()


def _given(**choices: Any) -> dict[str, Any]:
    """Leave out what was not chosen: the fingerprint of other rows stays."""
    return {name: choice for name, choice in choices.items() if choice is not None}


def _times(column: pd.Series[Any], path: Path) -> npt.NDArray[np.datetime64]:
    """Read a column as times, UTC."""
    problem = "numbers" if pd.api.types.is_numeric_dtype(column) else None
    try:
        stamps = pd.to_datetime(column, utc=True, format=None if column.dtype.kind == "M" else "ISO8601")
    except (ValueError, TypeError) as error:
        problem = str(error).split(",")[0]
    if problem:
        msg = f"{path.name}: column {column.name!r} holds no times ({problem}); --times expects dates, 2016-02-05"
        raise DataError(msg)
    return np.asarray(stamps.dt.tz_localize(None).to_numpy(), dtype="datetime64[ns]")


def _target(record: TableRecord) -> Target:
    return Target(name=record.target, sensor=record.sensor, product=", ".join(record.products), depth=record.depth)


def read_table(path: Path) -> pd.DataFrame:
    """Read a parquet or CSV table; DataError if it cannot be read."""
    if path.is_dir() or not path.exists():
        msg = f"{path} is {'a folder' if path.is_dir() else 'not there'}; expected a table, .parquet or .csv"
        raise DataError(msg)
    try:
        return pd.read_parquet(path) if path.suffix in (".parquet", ".pq") else pd.read_csv(path)
    except Exception as error:  # pyarrow and pandas raise many kinds
        msg = f"{path} cannot be read as a table ({type(error).__name__}: {error}); expected .parquet or .csv"
        raise DataError(msg) from error


def _filter(table: pd.DataFrame, where: str, path: Path) -> pd.DataFrame:
    if "@" in where:
        msg = f"--where {where!r} holds '@', which is not allowed; compare columns with plain values"
        raise UsageError(msg)
    try:
        wanted: Any = table.eval(where, engine="python")
        if not pd.api.types.is_bool_dtype(wanted):
            msg = "it says not of each row whether to keep it"
            raise TypeError(msg)
        kept: pd.DataFrame = table[wanted]
        return kept
    except Exception as error:  # the expression is the user's; pandas raises whatever it provokes
        msg = (
            f"--where {where!r} cannot be applied to {path.name} ({type(error).__name__}: {error}); "
            "expected an expression over its columns, for example \"date < '2016-02-01'\""
        )
        raise UsageError(msg) from error
