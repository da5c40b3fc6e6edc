"""Prediction intervals and area of applicability on held-out blocks of five tables of real soil moisture.

    python benchmarks/uncertainty.py [--tasks ...] [--models dbn rf] [--rows N] [--seconds S] [--json]

Each fold in space is held out in turn. What is left goes the way of `zoo train`: cross-validation over whole groups
(blocks, stations), intervals and area of applicability from its out-of-fold residuals, a model on all of it. Counted
are the held-out rows within their 90 % interval, its width and interval score beside those of an interval of one width
everywhere that is calibrated on the same residuals in the same way, and the error inside and outside the area. Fits
are kept in a folder under the version of the code that made them, so that a run that was stopped goes on. The figures
go to benchmarks/results/uncertainty.json, and as text to docs/uncertainty.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from code_version import code_version
from skill import ROOT, TASKS, Table
from uncertainty_page import page

from zoo.learning.applicability import sensitivity
from zoo.learning.conformal import LEVEL, interval_score
from zoo.learning.fitting import Context, fit, out_of_fold
from zoo.learning.splits import leave_group_out
from zoo.learning.uncertainty import Uncertainty, uncertainty_of
from zoo.model.recipe import Recipe
from zoo.scores.domain import domain_errors

Floats = npt.NDArray[np.float64]

FOLDS = 5
RESAMPLES = 2000
MODELS = ("dbn", "rf", "hgb")
SOURCES = ("feature_selection", "fitting", "splits", "applicability")
"""Of `zoo.learning`."""
CLIP = (0.0, 1.0)


def main() -> None:
    """Fit what is missing, then write the figures and the page."""
    arguments = _arguments()
    until = time.monotonic() + (arguments.seconds or float("inf"))
    found: dict[str, Any] = {}
    missing = 0
    for task in arguments.tasks:
        rows = Rows.of(task, arguments)
        for model in arguments.models:
            held = [Held.of(rows, model, fold, arguments, until) for fold in np.unique(rows.fold)]
            complete = [one for one in held if one is not None]
            missing += len(held) - len(complete)
            if len(complete) == len(held):
                found.setdefault(task, {})[model] = figures(rows, complete)
    if missing:
        print(f"{missing} folds are missing; run the same command again", file=sys.stderr)
    result = {"command": "python benchmarks/uncertainty.py", "seed": arguments.seed, "rows": arguments.rows}
    asked = [f"{task} {model}" for task in arguments.tasks for model in arguments.models]
    complete_cases = {f"{task} {model}" for task, models in found.items() for model in models}
    result |= {"level": LEVEL, "folds": FOLDS, "tasks": found}
    result |= {"not_complete": [case for case in asked if case not in complete_cases]}
    if not arguments.dry:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        arguments.page.write_text(page(result), encoding="utf-8")
    print(json.dumps(result, indent=1, sort_keys=True) if arguments.json else page(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("ZOO_REAL_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS[:2])
    parser.add_argument("--rows", type=int, default=8_000, help="of larger tables so many rows are drawn; 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=ROOT / "out" / "bench-uncertainty", help="where fits are kept")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "uncertainty.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "uncertainty.md")
    parser.add_argument("--seconds", type=float, help="begin no further fold after so long")
    parser.add_argument("--dry", action="store_true", help="print only, write neither --out nor --page")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON instead of the page")
    chosen = parser.parse_args()
    if not (chosen.data / "tables").is_dir():
        parser.exit(0, f"skipped: no tables in {chosen.data / 'tables'}; set ZOO_REAL_DATA\n")
    return chosen


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of a task: predictors, soil moisture, labels, and the fold in space of each."""

    task: str
    X: npt.NDArray[np.float32]
    y: Floats
    context: Context
    fold: npt.NDArray[np.intp]
    digest: str

    @classmethod
    def of(cls, task: str, arguments: argparse.Namespace) -> Rows:
        """Read a task, or `--rows` of its rows drawn at random."""
        table = Table(task, arguments.data)
        kept = np.arange(len(table.y))
        if 0 < arguments.rows < len(kept):
            kept = np.sort(np.random.default_rng(arguments.seed).choice(len(kept), arguments.rows, replace=False))
        context = Context(table.groups, table.places, table.times).take(kept)
        fold = table.rows["fold_space"].to_numpy()[kept]
        return cls(task, table.X[kept].astype(np.float32), table.y[kept], context, fold, table.digest)

    @property
    def groups(self) -> npt.NDArray[Any]:
        """Groups of the rows, which cross-validation keeps together and intervals resample."""
        assert self.context.groups is not None
        return self.context.groups


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A fold that was held out, and what the cross-validation and the model on the other rows gave.

    Attributes
    ----------
    seen, asked : numbers of the rows learnt from and held out
    cross_validated : (seen,), out-of-fold predictions of the rows learnt from
    answers : (asked,), predictions of the held-out rows
    weights : (k,), what the model makes of each predictor
    seed : of the deal of groups into folds
    """

    seen: npt.NDArray[np.intp]
    asked: npt.NDArray[np.intp]
    cross_validated: Floats
    answers: Floats
    weights: Floats
    seed: int

    @classmethod
    def of(cls, rows: Rows, model: str, fold: int, arguments: argparse.Namespace, until: float) -> Held | None:
        """Fit, or read what was kept; None if it is not there and time is up."""
        estimator = Recipe(model, seed=arguments.seed).estimator()
        name = f"{model}-seed{arguments.seed}-rows{len(rows.y)}-fold{fold}-{rows.digest}-{_version(model)}.npz"
        path = arguments.folder / rows.task.replace(" ", "_") / name
        seen, asked = np.flatnonzero(rows.fold != fold), np.flatnonzero(rows.fold == fold)
        if path.exists():
            with np.load(path) as kept:
                return cls(seen, asked, kept["cross_validated"], kept["answers"], kept["weights"], arguments.seed)
        if time.monotonic() > until:
            return None
        begun = time.perf_counter()
        X, context = rows.X[seen], rows.context.take(seen)
        folds = leave_group_out(rows.groups[seen], FOLDS, arguments.seed)
        cross_validated = out_of_fold(estimator, X, rows.y[seen], context, folds)
        final = fit(estimator, X, rows.y[seen], context)
        found = cls(seen, asked, cross_validated, np.asarray(final.predict(rows.X[asked]), float),
                    sensitivity(final.predict, X, seed=arguments.seed), arguments.seed)  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".partial").open("wb") as stream:
            np.savez(stream, cross_validated=cross_validated, answers=found.answers, weights=found.weights)
        os.replace(path.with_suffix(".partial"), path)
        print(f"{rows.task} {path.stem}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
        return found

    def uncertainty(self, rows: Rows, *, adaptive: bool) -> Uncertainty:
        """Learn intervals and area as `zoo train` does."""
        groups = rows.groups[self.seen]
        return uncertainty_of(
            self.weights, rows.X[self.seen], rows.y[self.seen], groups, leave_group_out(groups, FOLDS, self.seed),
            self.cross_validated, clip=CLIP, adaptive=adaptive, seed=self.seed,
        )  # fmt: skip


def figures(rows: Rows, held: list[Held]) -> dict[str, Any]:
    """Score intervals and area on all folds together."""
    order = np.concatenate([one.asked for one in held])
    y, units = rows.y[order], np.unique(rows.groups[order], return_inverse=True)[1]
    answers = np.clip(np.concatenate([one.answers for one in held]), *CLIP)
    draws = _draws(int(units.max()) + 1)
    found: dict[str, Any] = {
        "n": len(y),
        "groups": len(draws.T),
        "r2": float(1 - ((answers - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()),
    }
    scores = {}
    for name, adaptive in (("adaptive", True), ("constant", False)):
        learnt = [one.uncertainty(rows, adaptive=adaptive) for one in held]
        pairs = zip(learnt, held, strict=True)
        ends = [one.ends(rows.X[part.asked], np.clip(part.answers, *CLIP), CLIP) for one, part in pairs]
        lower, upper = (np.concatenate(parts) for parts in zip(*ends, strict=True))
        scores[name] = interval_score(y, lower, upper)
        found[name] = {
            "coverage": _mean((y >= lower) & (y <= upper), units, draws),
            "width": float((upper - lower).mean()),
            "interval_score": float(scores[name].mean()),
        }
    found["score_difference"] = _mean(scores["adaptive"] - scores["constant"], units, draws)
    outside = [one.applicability.outside(rows.X[part.asked]) for one, part in zip(learnt, held, strict=True)]
    domain = asdict(domain_errors(answers - y, np.concatenate(outside), units))
    return found | {
        "domain": domain | {"foreseen": [_foreseen(rows, *pair) for pair in zip(held, learnt, strict=True)]}
    }


def _foreseen(rows: Rows, held: Held, learnt: Uncertainty) -> float | None:
    """Return what the cross-validation alone says of errors out of domain minus inside, as the card does."""
    error = held.cross_validated - rows.y[held.seen]
    return domain_errors(error, learnt.outside, rows.groups[held.seen]).difference


def _mean(values: Any, units: npt.NDArray[np.intp], draws: Floats) -> list[float]:
    """Return the mean with a 95 % interval, percentiles of resampled groups."""
    total = np.bincount(units, weights=np.asarray(values, float))
    low, high = np.quantile((draws @ total) / (draws @ np.bincount(units)), [0.025, 0.975])
    return [float(np.mean(values)), float(low), float(high)]


def _draws(groups: int) -> Floats:
    """How often each group is in each resample, (RESAMPLES, groups)."""
    return np.random.default_rng(0).multinomial(groups, np.full(groups, 1 / groups), RESAMPLES).astype(float)


@cache
def _version(model: str) -> str:
    """Say which code made a fit: the plugin's and of what training takes from the host."""
    files = sorted((ROOT / "plugins" / f"zoo_{model}").glob("*.py"))
    return code_version(files + [ROOT / "zoo" / "learning" / f"{name}.py" for name in SOURCES])


if __name__ == "__main__":
    main()
