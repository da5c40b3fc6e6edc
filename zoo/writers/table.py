"""Tables as parquet or CSV."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.writers.target import check_suffix, failing, replacing

if TYPE_CHECKING:
    import pandas as pd


def write_table(path: Path, table: pd.DataFrame, tags: Mapping[str, str] | None = None) -> None:
    """Write a table without its index, `.parquet` or `.csv` by the file name.

    Parameters
    ----------
    tags : metadata for the schema of a parquet file; CSV has no place for them

    Raises
    ------
    UsageError
        If the suffix is another.
    ZooError
        If the file cannot be written.
    """
    check_suffix(path, (".parquet", ".csv"))
    with replacing(path) as temporary, failing(path):
        if path.suffix.lower() == ".csv":
            table.to_csv(temporary, index=False)
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = pa.Table.from_pandas(table, preserve_index=False)
        pq.write_table(columns.replace_schema_metadata({**columns.schema.metadata, **(tags or {})}), temporary)
