"""What data was: hashes of its files by name, and a fingerprint over its content and its definition."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from zoo.registry.files import sha256
from zoo.registry.schema import Dataset

Hashed = tuple[str, str]
"""Name of a file, without folders, and its sha256."""


def file_hashes(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of files by file name."""
    return hashes_by_name((path.name, sha256(path)) for path in set(paths))


def hashes_by_name(files: Iterable[Hashed]) -> dict[str, str]:
    """SHA-256 by file name; where different files have one name, the further ones are numbered.

    Examples
    --------
    >>> hashes_by_name([("b", "02"), ("a", "01"), ("b", "02"), ("b", "03")])
    {'a': '01', 'b': '02', 'b (2)': '03'}
    """
    hashes: dict[str, str] = {}
    for name, digest in sorted(set(files)):
        number, key = 1, name
        while key in hashes:
            number += 1
            key = f"{name} ({number})"
        hashes[key] = digest
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
    return Dataset.model_validate({"fingerprint": digest_of(content), "rows": rows, "dropped": dropped, **content})


def narrowed(dataset: Dataset, reason: str, count: int, **facts: Any) -> Dataset:
    """Describe a dataset of which rows were left out for a further reason, by a rule that the facts name."""
    content = dataset.model_dump(mode="json", include={"files", "products", "granules", "definition"})
    content["definition"] |= facts
    counts = {"rows": dataset.rows - count, "dropped": {**dataset.dropped, reason: count}}
    return Dataset.model_validate({"fingerprint": digest_of(content), **counts, **content})


def without_outliers(dataset: Dataset, limit: float | None, count: int = 0) -> Dataset:
    """Describe a dataset of which outliers were left out, if there is a limit; the fingerprint heeds no count."""
    return dataset if limit is None else narrowed(dataset, "outliers", count, outliers=limit)


def digest_of(content: Any) -> str:
    """SHA-256 of what JSON can say, whatever the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
