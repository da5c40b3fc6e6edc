"""The models of the paper: with the printed settings, and with what the paper leaves open chosen as told here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.model.recipe import Recipe
from zoo.reproduce.printed import TABLE_3, TABLE_4, TABLE_6, Trial
from zoo.scores.metrics import pearson_r, r2_pearson, rmse

if TYPE_CHECKING:
    from zoo.inference.runtime import Session
    from zoo.registry import Resolved
    from zoo.samples.rows import Samples

__all__ = [
    "CHOSEN",
    "FOLDS",
    "Outcome",
    "cost_of",
    "outcome_of",
    "recipes",
    "train_model",
    "trial_recipe",
    "try_settings",
]

CHOSEN: dict[str, Any] = {"momentum": 0.9, "target_scaling": "zscore"}
"""What of the unstated is not the plainest reading (preset `paper`): with neither momentum nor a scaled target,
stochastic gradient descent at the printed rate of 0.1 leaves the network of two sigmoid layers on one answer for
every place (see `plainest` in Table 4); with Gaussian visible units at that rate it diverges."""
ALIKE = 0.01
"""Answers that spread by less than this share of the target's standard deviation are one number."""
FOLDS = 3
"""Of held-out blocks: every network is trained FOLDS + 1 times."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trial of Table 3 gave: figures in cells seen, and in blocks held out; None where undefined.

    Attributes
    ----------
    r, r2, rmse : cells on which the network was trained; R2 is the square of R
    held_out_r2, held_out_rmse : blocks that it has not seen
    spread : standard deviation of the answers over that of the target, in cells seen
    n : cells
    """

    r: float | None
    r2: float | None
    rmse: float | None
    held_out_r2: float | None
    held_out_rmse: float | None
    spread: float
    n: int


def scaled_epochs(rbm: int, bp: int, scale: float) -> dict[str, int]:
    """Return the numbers of epochs, multiplied and at least 1."""
    return {"RBM_epochs": max(1, round(rbm * scale)), "BP_epochs": max(1, round(bp * scale))}


def recipes(scale: float, seed: int) -> dict[str, Recipe]:
    """Return how the models of Tables 7 and 8 are trained.

    `SMD-DBN` and `SMD-RF` have the printed settings, `DBN, default` those of this project. `scale` multiplies the
    printed epochs.
    """
    epochs = scaled_epochs(TABLE_4["RBM_epochs"], TABLE_4["BP_epochs"], scale)
    return {
        "SMD-DBN": Recipe("dbn", "paper", {**TABLE_4, **CHOSEN, **epochs}, FOLDS, seed),
        "SMD-RF": Recipe("rf", "paper", TABLE_6, FOLDS, seed),
        "DBN, default": Recipe("dbn", "default", {}, FOLDS, seed),
    }


def trial_recipe(trial: Trial, scale: float, seed: int, chosen: Mapping[str, Any] = CHOSEN) -> Recipe:
    """Return how a row of Table 3 is trained."""
    epochs = scaled_epochs(trial.rbm_epochs, trial.bp_epochs, scale)
    layers = {"hidden_layers_structure": list(trial.layers)}
    return Recipe("dbn", "paper", {**TABLE_4, **chosen, **layers, **epochs}, FOLDS, seed)


def cost_of(trial: Trial, scale: float, fits: int = FOLDS + 1) -> float:
    """Return the work of a trial in fits of the last row of Table 3, roughly: epochs times weights."""
    last = TABLE_3[-1]

    def work(one: Trial) -> float:
        weights = sum(a * b for a, b in zip((14, *one.layers), one.layers, strict=False))
        return (one.rbm_epochs + one.bp_epochs) * (weights + 2e5)

    return fits * scale * work(trial) / work(last)


def train_model(samples: Samples, recipe: Recipe, registry: Path, name: str) -> str:
    """Train a model into a registry and return its reference, `name@vN`; one trained so before is taken again."""
    from zoo.registry import Registry
    from zoo.training import train

    opened = Registry.open(registry)
    known = _trained_before(samples, recipe, opened, name)
    return known or str(train(samples, recipe, opened, name).version.ref)


def _trained_before(samples: Samples, recipe: Recipe, registry: Any, name: str) -> str | None:
    wanted = recipe.estimator().get_params()
    for version in registry.list():
        record = version.record
        same = (
            version.ref.name == name
            and record.dataset.fingerprint == samples.dataset.fingerprint
            and record.seed == recipe.seed
            and _plain(record.hyperparameters) == _plain(wanted)
        )
        if same:
            return str(version.ref)
    return None


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, (list, tuple)) else value for key, value in parameters.items()}


def outcome_of(samples: Samples, version: Resolved, session: Session) -> Outcome:
    """Return the outcome of a model that is trained already; held out as in its record."""
    y = samples.target
    answers = session.predict(samples.predictors[session.names].to_numpy(np.float32))[0].astype(np.float64)
    record = version.record
    scores = {score.metric: score.value for score in record.scores if score.estimator == record.architecture}
    constant = float(answers.std()) < ALIKE * float(y.std())
    return Outcome(
        r=None if constant else pearson_r(y, answers),
        r2=None if constant else r2_pearson(y, answers),
        rmse=rmse(y, answers),
        held_out_r2=None if constant else scores.get("r2_pearson"),
        held_out_rmse=scores.get("rmse"),
        spread=float(answers.std() / y.std()),
        n=len(y),
    )


def try_settings(samples: Samples, recipe: Recipe, folds: int | None = FOLDS) -> Outcome:
    """Train on all cells and, unless `folds` is None, on those outside of each fold; say how both do."""
    from zoo.learning.splits import leave_group_out
    from zoo.training import out_of_fold

    X, y = samples.predictors.to_numpy(np.float32), samples.target
    answers = np.asarray(recipe.estimator().fit(X, y, groups=samples.groups).predict(X), dtype=np.float64)
    held_out = np.full(len(y), np.nan)
    if folds is not None:
        held_out = out_of_fold(recipe.estimator(), samples, leave_group_out(samples.groups, folds, recipe.seed))
    constant = float(answers.std()) < ALIKE * float(y.std())
    return Outcome(
        r=None if constant else pearson_r(y, answers),
        r2=None if constant else r2_pearson(y, answers),
        rmse=rmse(y, answers),
        held_out_r2=None if folds is None or constant else r2_pearson(y, held_out),
        held_out_rmse=None if folds is None else rmse(y, held_out),
        spread=float(answers.std() / y.std()),
        n=len(y),
    )
