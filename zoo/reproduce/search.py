"""The search of Table 3: its nine rows one after the other, kept on disk so that the next run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.progress import task as progress
from zoo.reproduce.models import Outcome, cost_of, trial_recipe, try_settings
from zoo.reproduce.printed import TABLE_3
from zoo.reproduce.tasks import Deadline, Task, work_through
from zoo.writers.target import replacing

if TYPE_CHECKING:
    from zoo.model.recipe import Recipe
    from zoo.samples.rows import Samples

__all__ = ["search"]


def search(
    samples: Samples,
    kept: Path,
    *,
    scale: float,
    seed: int,
    deadline: Deadline,
    processes: int,
    known: Mapping[int, Outcome],
) -> dict[int, Outcome]:
    """Train the rows of Table 3 that no earlier run has, cheapest first as printed, until the deadline.

    Parameters
    ----------
    samples : coarse cells of the training date
    kept : JSON file of outcomes, read first and written after every row
    scale : multiplies the printed epochs
    seed : of the networks
    deadline : rows that would not end in time are not begun
    processes : rows that are trained at a time
    known : outcomes that are known already, by row number

    Returns
    -------
    Outcome by row number from 0, of those that are done.
    """
    done = _read(kept)
    keys = {number: _key(samples, trial_recipe(trial, scale, seed)) for number, trial in enumerate(TABLE_3)}
    tasks = [
        Task(number, try_settings, (samples, trial_recipe(trial, scale, seed)), cost_of(trial, scale))
        for number, trial in enumerate(TABLE_3)
        if number not in known and keys[number] not in done
    ]
    with progress("Table 3: search", len(tasks)) as advance:
        for number, outcome in work_through(tasks, deadline, processes):
            done[keys[int(str(number))]] = asdict(outcome)
            _write(kept, done)
            advance(1)
    return {number: Outcome(**done[key]) for number, key in keys.items() if key in done} | dict(known)


def _key(samples: Samples, recipe: Recipe) -> str:
    """Name a row by what it is trained on and how."""
    facts = [samples.dataset.fingerprint, recipe.downscaler, recipe.seed, recipe.folds, recipe.settings]
    content = json.dumps([*facts, dict(recipe.parameters)], sort_keys=True, default=list)
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _read(kept: Path) -> dict[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(kept.read_text())
        return {key: value for key, value in found.items() if set(value) == set(Outcome.__slots__)}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(kept: Path, known: Mapping[str, Any]) -> None:
    with replacing(kept) as temporary:
        temporary.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
