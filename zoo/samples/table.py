"""The training table: coarse cells of many days as rows of a parquet file that says what it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from zoo.errors import DataError, IntegrityError
from zoo.progress import track
from zoo.registry.schema import Dataset, Feature, Strict

if TYPE_CHECKING:
    from zoo.samples.cells import Cells

KEY = b"zoo"
"""Key of the metadata of a parquet file that holds the description, as JSON."""
TARGET = "soil_moisture"
GROUPS = "block"
TIMES = "date"


class TableRecord(Strict):
    """What a training table is, in its file's metadata.

    Attributes
    ----------
    target, groups : columns of soil moisture (m3 m-3) and of the spatial blocks
    features : predictors with their units
    sensor, products, depth : where the target comes from
    area : west, south, east, north in degrees
    start, end : period of the target, ISO 8601
    datasets : what the rows of each day were made from
    fingerprint : of all days
    simulated : whether any of it is simulated
    """

    format: int = 1
    target: str = TARGET
    groups: str = GROUPS
    features: tuple[Feature, ...]
    sensor: str
    products: tuple[str, ...]
    depth: tuple[float, float]
    area: tuple[float, float, float, float]
    start: str
    end: str
    datasets: dict[str, Dataset]
    fingerprint: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class Defaults:
    """Target, predictors, groups and times that a table names itself; None where it does not."""

    target: str | None = None
    features: tuple[str, ...] | None = None
    groups: str | None = None
    times: str | None = None


@dataclass(slots=True)
class Made:
    """A table that was written.

    Attributes
    ----------
    path : the file
    record : its description
    rows : by day
    complete : rows with every predictor, by day
    skipped : days left out, with the reason
    """

    path: Path
    record: TableRecord
    rows: dict[str, int] = field(default_factory=dict)
    complete: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def make_table(
    days: Sequence[tuple[str, Callable[[], Cells]]],
    features: Sequence[str],
    path: Path,
    *,
    min_valid: float = 0.5,
    skip: bool = False,
) -> Made:
    """Write the coarse cells of one or many days as rows.

    A row is a cell with soil moisture; predictors are empty where less than `min_valid` of the cell is valid. For
    the columns see `zoo.samples.cells.Cells.rows`; `date` comes first.

    Parameters
    ----------
    days : name of the day, and what reads its cells
    features : predictors
    path : .parquet (or .csv, which cannot carry the description)
    min_valid : least share of a cell's area with valid, dry-land predictor pixels
    skip : pass over days without data instead of failing

    Raises
    ------
    DataError
        If a day has no data, or the days lie on different coarse grids.
    """
    import pandas as pd

    from zoo.samples.cells import nothing_left
    from zoo.writers import write_table

    made, parts, datasets, skipped = [], [], {}, {}
    for day, read in track(days, "reading days"):
        try:
            cells = read()
            rows = cells.rows(features, min_valid)
            observed = rows[TARGET].notna().to_numpy()
            if not observed.any():
                raise nothing_left(rows[list(features)], observed, min_valid)
        except DataError as error:
            if not skip:
                raise
            skipped[day] = str(error)
            continue
        complete = rows[list(features)].notna().all(axis=1).to_numpy()
        counts = {
            "without soil moisture": int((~observed).sum()),
            "without valid predictors": int((observed & ~complete).sum()),
        }
        datasets[day] = cells.dataset(features, min_valid, rows=int((observed & complete).sum()), dropped=counts)
        parts.append(rows[observed].assign(date=day))
        made.append(cells)
    if not made:
        first = next(iter(skipped.values()), "no day was given")
        msg = f"None of the {len(days)} days has data; the first: {first}"
        raise DataError(msg)
    _check_one_grid(made)
    table = pd.concat(parts, ignore_index=True)
    table = table[["date", *(column for column in table.columns if column != "date")]]
    record = _record(made, features, datasets)
    write_table(path, table, {KEY.decode(): record.model_dump_json()})
    done = Made(path, record, skipped=skipped)
    done.rows = {day: len(part) for day, part in zip(datasets, parts, strict=True)}
    done.complete = {day: dataset.rows for day, dataset in datasets.items()}
    return done


def read_record(path: Path) -> TableRecord | None:
    """Return the description in a table's metadata; None if it has none, as every table of another origin.

    Raises
    ------
    IntegrityError
        If it has one that cannot be understood.
    """
    if path.suffix.lower() not in (".parquet", ".pq") or not path.is_file():
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        text = (pq.read_schema(path).metadata or {}).get(KEY)
    except (pa.ArrowException, OSError):
        return None  # whoever reads the rows says what is wrong with the file
    if text is None:
        return None
    try:
        return TableRecord.model_validate_json(text)
    except ValidationError as error:
        msg = f"{path} says that zoo table made it, but its description is damaged; make it again with zoo table"
        raise IntegrityError(msg) from error


def defaults(path: Path) -> Defaults:
    """Return the columns that a table by `zoo table` names itself."""
    record = read_record(path)
    if record is None:
        return Defaults()
    return Defaults(record.target, tuple(feature.name for feature in record.features), record.groups, TIMES)


def _record(made: Sequence[Cells], features: Sequence[str], datasets: dict[str, Dataset]) -> TableRecord:
    from zoo.samples.fingerprint import digest_of

    fingerprints = [dataset.fingerprint for dataset in datasets.values()]
    first = made[0].coarse.attrs
    return TableRecord(
        features=tuple(Feature(name=layer.name, units=layer.units) for layer in made[0].features(features)),
        sensor=made[0].sensor,
        products=tuple(sorted({str(cells.coarse.attrs["product"]) for cells in made})),
        depth=(float(first["depth"][0]), float(first["depth"][1])),
        area=made[0].area.bounds,
        start=min(str(cells.coarse.attrs["time_coverage_start"]) for cells in made),
        end=max(str(cells.coarse.attrs["time_coverage_end"]) for cells in made),
        datasets=datasets,
        fingerprint=fingerprints[0] if len(fingerprints) == 1 else digest_of(sorted(fingerprints)),
        simulated=any(cells.simulated for cells in made),
    )


def _check_one_grid(made: Iterable[Cells]) -> None:
    """Refuse days whose cells differ: a block would not be one place."""
    from zoo.grids import geobox_of
    from zoo.samples.cells import grid_text

    grids = {grid_text(geobox_of(cells.coarse)) for cells in made}
    if len(grids) > 1:
        msg = f"The days lie on {len(grids)} coarse grids ({'; '.join(sorted(grids))}); make a table for each"
        raise DataError(msg)
