"""Models that do without predictors that clouds hide: trained beside a version, exported and opened with it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UnknownNameError, UsageError
from zoo.predictors import GROUPS

if TYPE_CHECKING:
    import numpy.typing as npt

    from zoo.inference.runtime import Session
    from zoo.model.recipe import Recipe
    from zoo.registry import Registry, Resolved
    from zoo.samples.rows import Samples
    from zoo.stack import Stack
    from zoo.types import Score

__all__ = ["AUTO", "WITHOUT", "Rows", "exported_kinds", "kind_without", "open_fallbacks", "sets_of", "train_fallbacks"]

WITHOUT = "-without-"
"""In the kinds of artefacts: `model-without-3f2a9c01` beside `model`, `onnx-without-3f2a9c01` beside `onnx`. Which
predictors a fallback takes stands in its own header."""

AUTO = "auto"

Rows = Callable[[Sequence[str]], "Samples"]
"""Makes the training rows that have the predictors named: more rows the fewer they are."""


def kind_without(left_out: Sequence[str], kind: str = "model") -> str:
    """Name the artefact of a fallback by the predictors that it does without."""
    digest = hashlib.sha256(" ".join(sorted(left_out)).encode()).hexdigest()
    return f"{kind}{WITHOUT}{digest[:8]}"


def exported_kinds(version: Resolved, exporter: str) -> dict[str, str]:
    """Return the artefacts of fallbacks, and what each is called when compiled by an exporter."""
    start = f"model{WITHOUT}"
    return {kind: kind.replace("model", exporter, 1) for kind in version.record.artefacts if kind.startswith(start)}


def sets_of(
    texts: Sequence[str], features: Sequence[str], pixels: Callable[[], Stack | npt.NDArray[Any]]
) -> list[tuple[str, ...]]:
    """Read sets of predictors to do without: names and groups of `zoo.predictors.GROUPS` joined by commas, or `auto`.

    Parameters
    ----------
    texts : one a set; `auto` makes several
    features : predictors of the model
    pixels : opens the stack, or makes the rows (n, k), whose missing predictors `auto` looks at

    Returns
    -------
    Each set in the order of `features`, without names that the model has not.

    Raises
    ------
    UnknownNameError
        If a name is neither a feature nor a group.
    UsageError
        If nothing of a set is a feature, or all features are in it.
    """
    from zoo.inference.patterns import fewest, patterns_of

    sets: list[tuple[str, ...]] = []
    for text in texts:
        if text == AUTO:
            sets += fewest(patterns_of(pixels(), features), features)
            continue
        names = [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            if name not in GROUPS and name not in features:
                kind = "predictor or group for --patterns"
                raise UnknownNameError(kind, name, [AUTO, *GROUPS, *features])
        wanted = {member for name in names for member in GROUPS.get(name, (name,))}
        chosen = tuple(name for name in features if name in wanted)
        if not 0 < len(chosen) < len(features):
            which = "no feature of the model" if not chosen else "every feature of the model"
            msg = f"--patterns {text} is {which} ({', '.join(features)}); name some, or a group: {', '.join(GROUPS)}"
            raise UsageError(msg)
        sets.append(chosen)
    return list(dict.fromkeys(sets))


def train_fallbacks(
    version: Resolved, sets: Sequence[Sequence[str]], rows: Rows, recipe: Recipe, registry: Registry
) -> tuple[Resolved, list[Score]]:
    """Train a model without each set of predictors, by the recipe of the version, and append it to the version.

    The scores are those of the same folds' rule on the fallback's own rows, which may be more than the version's.

    Parameters
    ----------
    version : as `zoo.training.train` made it
    sets : predictors to do without, one set a fallback
    rows : makes the rows that have some predictors
    recipe : as the version was trained
    registry : where it lives

    Returns
    -------
    The version with the new artefacts, and the scores of the fallbacks.

    Raises
    ------
    DataError
        If the rows of a set cannot be learnt from.
    """
    from zoo.registry import Registry as Shelf
    from zoo.training import train

    names = [feature.name for feature in version.record.features]
    gained: list[Score] = []
    for left_out in sets:
        kind = kind_without(left_out)
        with tempfile.TemporaryDirectory() as folder:
            scratch = Shelf.open(Path(folder) / "registry.json")
            trained = train(rows([name for name in names if name not in left_out]), recipe, scratch, "fallback")
            path = Path(folder) / f"{kind}.safetensors"
            path.write_bytes(trained.version.path("model").read_bytes())
            registry.append_artefact(version.ref, kind, path)
        own = [
            replace(score, estimator=f"{score.estimator} without {named(left_out, names)}")
            for score in trained.scores
            if score.estimator == recipe.downscaler
        ]
        registry.append_scores(version.ref, own, {"details": {"artefact": kind, "left_out": list(left_out)}})
        gained += own
    return registry.resolve(version.ref), gained


def named(left_out: Sequence[str], features: Sequence[str]) -> str:
    """Name a set of predictors by the group that it is among the features, else by its members."""
    for group, members in GROUPS.items():
        if len(left_out) > 1 and set(left_out) == set(members).intersection(features):
            return group
    return ", ".join(left_out)


def open_fallbacks(version: Resolved, device: str = "auto", exporter: str = "onnx") -> list[Session]:
    """Open a session on every fallback of a version that was exported; hashes are checked."""
    from zoo.inference.runtime import Session

    kinds = [kind for kind in version.record.artefacts if kind.startswith(f"{exporter}{WITHOUT}")]
    return [Session(version.path(kind), device=device) for kind in kinds]
