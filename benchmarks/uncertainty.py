"""Prediction intervals and area of applicability on held-out blocks of five tables of real soil moisture.

    python benchmarks/uncertainty.py [--tasks ...] [--models dbn rf] [--rows N] [--seconds S] [--json]

Each fold in space is held out in turn, under each seed (of the rows drawn, the folds and the models). What is left
goes the way of `zoo train`: cross-validation over whole groups (blocks, stations), intervals and area of
applicability from its out-of-fold residuals, a model on all of it. Counted are the held-out rows within their 90 %
interval, its width and interval score beside those of an interval of one width everywhere that is calibrated on the
same residuals in the same way, and the error inside and outside the area. Fits are kept in a folder under the version
of the code that made them, so that a run that was stopped goes on. The figures go to
benchmarks/results/uncertainty.json, and as text to docs/uncertainty.md.
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
        samples = [Rows.of(task, arguments, seed) for seed in arguments.seeds]
        for model in arguments.models:
            held = [
                (rows, Held.of(rows, model, fold, arguments.folder, until))
                for rows in samples
                for fold in np.unique(rows.fold)
            ]
            complete = [(rows, one) for rows, one in held if one is not None]
            missing += len(held) - len(complete)
            if len(complete) == len(held):
                found.setdefault(task, {})[model] = figures(complete)
    if missing:
        print(f"{missing} folds are missing; run the same command again", file=sys.stderr)
    result = {"command": "python benchmarks/uncertainty.py", "seeds": arguments.seeds, "rows": arguments.rows}
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
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
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
    seed: int

    @classmethod
    def of(cls, task: str, arguments: argparse.Namespace, seed: int) -> Rows:
        """Read a task, or `--rows` of its rows drawn at random."""
        table = Table(task, arguments.data)
        kept = np.arange(len(table.y))
        if 0 < arguments.rows < len(kept):
            kept = np.sort(np.random.default_rng(seed).choice(len(kept), arguments.rows, replace=False))
        context = Context(table.groups, table.places, table.times).take(kept)
        fold = table.rows["fold_space"].to_numpy()[kept]
        return cls(task, table.X[kept].astype(np.float32), table.y[kept], context, fold, table.digest, seed)

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
    """

    seen: npt.NDArray[np.intp]
    asked: npt.NDArray[np.intp]
    cross_validated: Floats
    answers: Floats
    weights: Floats

    @classmethod
    def of(cls, rows: Rows, model: str, fold: int, folder: Path, until: float) -> Held | None:
        """Fit, or read what was kept; None if it is not there and time is up."""
        estimator = Recipe(model, seed=rows.seed).estimator()
        name = f"{model}-seed{rows.seed}-rows{len(rows.y)}-fold{fold}-{rows.digest}-{_version(model)}.npz"
        path = folder / rows.task.replace(" ", "_") / name
        seen, asked = np.flatnonzero(rows.fold != fold), np.flatnonzero(rows.fold == fold)
        if path.exists():
            with np.load(path) as kept:
                return cls(seen, asked, kept["cross_validated"], kept["answers"], kept["weights"])
        if time.monotonic() > until:
            return None
        begun = time.perf_counter()
        X, context = rows.X[seen], rows.context.take(seen)
        folds = leave_group_out(rows.groups[seen], FOLDS, rows.seed)
        cross_validated = out_of_fold(estimator, X, rows.y[seen], context, folds)
        final = fit(estimator, X, rows.y[seen], context)
        found = cls(seen, asked, cross_validated, np.asarray(final.predict(rows.X[asked]), float),
                    sensitivity(final.predict, X, seed=rows.seed))  # fmt: skip
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
            self.weights, rows.X[self.seen], rows.y[self.seen], groups, leave_group_out(groups, FOLDS, rows.seed),
            self.cross_validated, clip=CLIP, adaptive=adaptive, seed=rows.seed,
        )  # fmt: skip


def figures(held: list[tuple[Rows, Held]]) -> dict[str, Any]:
    """Score intervals and area on all folds of all seeds together."""
    y = np.concatenate([rows.y[one.asked] for rows, one in held])
    groups = np.concatenate([rows.groups[one.asked] for rows, one in held])
    answers = np.concatenate([np.clip(one.answers, *CLIP) for _, one in held])
    units = np.unique(groups, return_inverse=True)[1]
    draws = _draws(int(units.max()) + 1)
    found: dict[str, Any] = {
        "n": len(y),
        "groups": len(draws.T),
        "r2": float(1 - ((answers - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()),
    }
    scores = {}
    for name, adaptive in (("constant", False), ("adaptive", True)):
        learnt = [one.uncertainty(rows, adaptive=adaptive) for rows, one in held]
        ends = [
            knows.ends(rows.X[one.asked], np.clip(one.answers, *CLIP), CLIP)
            for knows, (rows, one) in zip(learnt, held, strict=True)
        ]
        lower, upper = (np.concatenate(parts) for parts in zip(*ends, strict=True))
        scores[name] = interval_score(y, lower, upper)
        found[name] = {
            "coverage": _mean((y >= lower) & (y <= upper), units, draws),
            "width": float((upper - lower).mean()),
            "interval_score": float(scores[name].mean()),
        }
    found["score_difference"] = _mean(scores["adaptive"] - scores["constant"], units, draws)
    pairs = list(zip(learnt, held, strict=True))
    outside = np.concatenate([knows.applicability.outside(rows.X[one.asked]) for knows, (rows, one) in pairs])
    domain = asdict(domain_errors(answers - y, outside, units))
    domain["foreseen"] = [_foreseen(rows, one, knows) for knows, (rows, one) in pairs]
    return found | {"domain": domain}


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
