"""References measured in the ground."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import ReferenceSpec, hookimpl


@hookimpl
def zoo_references() -> Iterable[ReferenceSpec]:
    """Plain tables of station measurements."""
    return [
        ReferenceSpec(
            name="table",
            title="Station measurements in a plain table (parquet or csv)",
            reader="zoo_insitu.table:TableReader",
            patterns=("*.parquet", "*.csv"),
            requires=("pandas",),
        )
    ]
