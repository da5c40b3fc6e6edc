"""Skill of the default DBN, of `auto` and of their peers on held-out parts of five tables of real soil moisture.

    python benchmarks/skill.py [--tasks ...] [--splits ...] [--models ...] [--seeds 0 1 2] [--seconds S] [--json]

Every model is fitted on the rows outside of each fold and predicts those inside; the predictions of all folds are
pooled. Splits: `space` and `region` hold out whole places (models are told `--for space`), `time` the last years
(models are told `--for time`). What was computed is kept in a folder, one file a fold, under the version of the code
that made it, so that a run that was stopped goes on. The figures of everything that is there go to
benchmarks/results/skill.json and, as text, to docs/skill.md.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from code_version import code_version
from skill_further import sections
from skill_page import page
from skill_scores import DETERMINISTIC, summary

ROOT = Path(__file__).resolve().parents[1]
S2 = [f"B{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, "8A", 9, 10, 11, 12)]
US = [*S2, "VV", "VH", "angle", "ndvi", "ndwi", "fc", "landcover", "doy_sin", "doy_cos"]
OZNET = ["dem", "awc", "clay", "silt", "sand", "lst_100m", "albedo_100m", "ndvi_100m", "et_100m"]
REMOTE = ["dem", "lst_100m", "albedo_100m", "ndvi_100m"]
USE = {"space": "space", "region": "space", "time": "time"}
OWN = ("dbn", "auto")
SOURCES = ("plugins/zoo_dbn", "plugins/zoo_auto", "plugins/zoo_hgb", "plugins/zoo_rf")
MODULES = ("feature_selection", "fitting", "splits")
"""Of `zoo.learning`."""


@dataclass(frozen=True, slots=True)
class Task:
    """A table with its target and predictors.

    Attributes
    ----------
    table, target, features : file, column and columns
    group : column that folds in space never part, and that intervals in space resample
    place : columns whose values together are a place
    """

    table: str
    target: str
    features: list[str]
    group: str
    place: tuple[str, ...]


TASKS = {
    "oznet 13": Task("oznet", "y", [*OZNET, "tavg", "vpd", "srad", "rain"], "group", ("group",)),
    "oznet 4": Task("oznet", "y", REMOTE, "group", ("group",)),
    "us in situ": Task("us_gauges", "insitu_sm", [*US, "ssm_m3m3"], "block", ("group",)),
    "us SMAP": Task("us_gauges", "ssm_m3m3", US, "block", ("group",)),
    "regions": Task("regions", "y", [*S2, "VV", "VH", "angle", "ndvi", "ndwi", "doy_sin", "doy_cos"], "group",
                    ("group", "row", "col")),
}  # fmt: skip
"""The target of `oznet` is in-situ soil moisture, that of `regions` SMAP's."""


def main() -> None:
    """Compute what is missing, then write the figures and the page."""
    arguments = _arguments()
    until = time.monotonic() + (arguments.seconds or float("inf"))
    missing = 0
    for piece in _pieces(arguments):
        if piece.path.exists():
            continue
        if time.monotonic() > until:
            missing += 1
            continue
        piece.compute()
        print(f"{piece.path.stem}: {piece.seconds():.1f} s", file=sys.stderr, flush=True)
    if missing:
        print(f"{missing} fits are missing; run the same command again", file=sys.stderr)
    result = _result(arguments)
    if not arguments.dry:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        arguments.page.write_text(page(result, sections(arguments.out.parent)), encoding="utf-8")
    print(json.dumps(result, indent=1, sort_keys=True) if arguments.json else page(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("ZOO_REAL_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--splits", nargs="+", choices=list(USE), default=list(USE))
    parser.add_argument("--models", nargs="+", choices=[*PEERS, *OWN], default=[*PEERS, *OWN])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=ROOT / "out" / "bench-skill", help="where each fold is kept")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "skill.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "skill.md")
    parser.add_argument("--seconds", type=float, help="begin no further fit after so long")
    parser.add_argument("--dry", action="store_true", help="print only, write neither --out nor --page")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON instead of the page")
    chosen = parser.parse_args()
    if not (chosen.data / "tables").is_dir():
        parser.exit(0, f"skipped: no tables in {chosen.data / 'tables'}; set ZOO_REAL_DATA\n")
    return chosen


def _ridge(seed: int) -> Any:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))


def _mean(seed: int) -> Any:
    from sklearn.dummy import DummyRegressor

    return DummyRegressor()


def _forest(**parameters: Any) -> Callable[[int], Any]:
    def made(seed: int) -> Any:
        from sklearn.ensemble import RandomForestRegressor

        return RandomForestRegressor(**parameters, n_jobs=1, random_state=seed)

    return made


def _boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        learning_rate=0.05,
        max_iter=400,
        max_leaf_nodes=31,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )


PEERS: dict[str, Callable[[int], Any]] = {
    "mean": _mean,
    "ridge": _ridge,
    "rf paper": _forest(n_estimators=106, max_depth=14, max_features=0.1, min_samples_split=3, min_samples_leaf=1),
    "rf tuned": _forest(n_estimators=300, max_features=1 / 3, min_samples_leaf=3),
    "histgb": _boosting,
}
"""scikit-learn's own, so that nothing of this project is measured against itself."""


class Table:
    """The rows of a task, read once."""

    def __init__(self, name: str, data: Path) -> None:
        task = TASKS[name]
        path = data / "tables" / f"{task.table}.parquet"
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        rows = pd.read_parquet(path).dropna(subset=[*task.features, task.target]).reset_index(drop=True)
        self.rows = rows
        self.X = rows[task.features].to_numpy(float)
        self.y = rows[task.target].to_numpy(float)
        self.groups = np.unique(rows[task.group].astype(str), return_inverse=True)[1]
        self.places = rows.groupby(list(task.place)).ngroup().to_numpy()
        self.times = rows["time"].to_numpy()

    def folds(self, split: str) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
        """Rows to learn from and rows to predict, by fold; empty where the table has no such split."""
        if split == "time":
            late = (self.rows["split_time"] == "test").to_numpy()
            return [(np.flatnonzero(~late), np.flatnonzero(late))]
        column = f"fold_{split}"
        if column not in self.rows:
            return []
        fold = self.rows[column].to_numpy()
        return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in np.unique(fold)]

    def units(self, split: str) -> npt.NDArray[np.intp]:
        """Return what intervals resample, (n,): groups in space, calendar months in time."""
        if split != "time":
            return self.groups
        months = self.rows["time"].dt.year * 12 + self.rows["time"].dt.month
        return np.unique(months, return_inverse=True)[1]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One model on one fold of one split of one task, under one seed, and the file that keeps its answers."""

    table: Table
    split: str
    model: str
    seed: int
    fold: int
    path: Path

    def compute(self) -> None:
        """Fit, predict, and keep the answers with the seconds that it took."""
        from zoo.learning.fitting import Context, fit

        table, (seen, asked) = self.table, self.table.folds(self.split)[self.fold]
        estimator, context = _estimator(self.model, self.split, self.seed), Context()
        X = table.X
        if self.model in OWN:
            context = Context(table.groups, table.places, table.times).take(seen)
            X = X.astype(np.float32)
        begun = time.perf_counter()
        model = fit(estimator, X[seen], table.y[seen], context)
        answers = np.asarray(model.predict(X[asked]), float)
        notes = "\n".join(getattr(model, "notes_", []))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        with partial.open("wb") as stream:
            np.savez(stream, answers=answers, seconds=time.perf_counter() - begun, notes=np.array(notes))
        os.replace(partial, self.path)

    def read(self) -> dict[str, Any] | None:
        """Return what was kept; None if the fold was not computed yet."""
        try:
            with np.load(self.path) as kept:
                return {name: kept[name] for name in kept.files}
        except (FileNotFoundError, zipfile.BadZipFile):
            return None

    def seconds(self) -> float:
        """Return how long it took."""
        kept = self.read()
        return float(kept["seconds"]) if kept else float("nan")


def _estimator(model: str, split: str, seed: int) -> Any:
    if model in PEERS:
        return PEERS[model](seed)
    from zoo.model.recipe import Recipe

    return Recipe(model, seed=seed, use=USE[split]).estimator()


def _pieces(arguments: argparse.Namespace) -> Iterator[Piece]:
    """Name all that is asked for: what is the same under any seed is computed under the first one only."""
    tables = {task: Table(task, arguments.data) for task in arguments.tasks}
    for seed in arguments.seeds:
        for task in arguments.tasks:
            for split in arguments.splits:
                for model in arguments.models:
                    if model not in DETERMINISTIC or seed == arguments.seeds[0]:
                        yield from _pieces_of(tables[task], task, split, model, seed, arguments.folder)


def _pieces_of(table: Table, task: str, split: str, model: str, seed: int, folder: Path) -> Iterator[Piece]:
    at = folder / task.replace(" ", "_")
    kept = 0 if model in DETERMINISTIC else seed
    for fold in range(len(table.folds(split))):
        name = f"{split}-{model.replace(' ', '_')}-seed{kept}-fold{fold}-{table.digest}-{_version(model)}.npz"
        yield Piece(table, split, model, kept, fold, at / name)


@cache
def _version(model: str) -> str:
    """Say which code a model is: of peers the package's version, of our own all its code."""
    if model in PEERS:
        return "sklearn" + importlib.metadata.version("scikit-learn")
    folders = SOURCES[:1] if model == "dbn" else SOURCES
    files = [path for folder in folders for path in sorted((ROOT / folder).glob("*.py"))]
    return code_version(files + [ROOT / "zoo" / "learning" / f"{name}.py" for name in MODULES])


def _result(arguments: argparse.Namespace) -> dict[str, Any]:
    """Score everything that is there."""
    found: dict[str, Any] = {}
    for task in arguments.tasks:
        table = Table(task, arguments.data)
        for split in arguments.splits:
            folds = table.folds(split)
            if not folds:
                continue
            rows = np.sort(np.concatenate([asked for _, asked in folds]))
            answers = {model: _answers(table, task, split, model, rows, arguments) for model in arguments.models}
            complete = {model: value for model, value in answers.items() if value is not None}
            found.setdefault(task, {})[split] = {
                "rows_learnt_from": [len(seen) for seen, _ in folds],
                **summary(table.y[rows], complete, table.units(split)[rows]),
            }
    return {
        "command": "make bench-skill",
        "seeds": arguments.seeds,
        "code": {model: _version(model) for model in arguments.models},
        "tables": {task: Table(task, arguments.data).digest for task in arguments.tasks},
        "tasks": found,
    }


def _answers(
    table: Table, task: str, split: str, model: str, rows: npt.NDArray[np.intp], arguments: argparse.Namespace
) -> npt.NDArray[np.float64] | None:
    """Pool the folds, (seeds, n); None as long as a fold is missing."""
    pooled = []
    for seed in arguments.seeds:
        answers = np.full(len(table.y), np.nan)
        for piece in _pieces_of(table, task, split, model, seed, arguments.folder):
            kept = piece.read()
            if kept is None:
                return None
            answers[table.folds(split)[piece.fold][1]] = kept["answers"]
        pooled.append(answers[rows])
    return np.array(pooled)


if __name__ == "__main__":
    main()
