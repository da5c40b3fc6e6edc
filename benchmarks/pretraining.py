"""Does pre-training as restricted Boltzmann machines help in places not seen? Two tables of real soil moisture.

    python benchmarks/pretraining.py [--tasks oznet us_smap] [--seeds 0 1 2] [--label-share 1 0.25] [--json]

One network of two layers, inputs screened, coded as bins between 0 and 1: the probabilities of Bernoulli visible
units. Fitted on the rows outside of each fold of whole places, then asked for those inside, the predictions of all
folds pooled. Three ways with the same seeds: `none`; `pretrained` on the predictors of the labelled rows;
`unlabelled`, on the predictors of all rows, those of the held-out places and of the unlabelled groups too. Gibbs
steps, learning rate and epochs of the machines are chosen anew in each fold, by two inner folds of whole groups and
never by labels from outside. `gaussian` is the default's coding (normal and standard scores, Gaussian visible units,
CD-1) beside `scores`, the same without pre-training. With --label-share below 1 only that share of the training
groups has labels. R2 = 1 - SSE/SST; differences with the 90 % interval of a bootstrap over groups, of the mean of the
seeds. A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from skill import TASKS

from zoo.learning.feature_selection import Selection, select_features
from zoo.learning.splits import leave_group_out
from zoo_dbn.network import FineTuning, Sample, fine_tune, initial_network
from zoo_dbn.pretraining import Pretraining, pretrain
from zoo_dbn.rbm import ContrastiveDivergence
from zoo_dbn.scaling import fit_codings

ROOT = Path(__file__).resolve().parents[1]
TABLES = {"oznet": "oznet 13", "us_smap": "us SMAP"}
HIDDEN = (200, 200)
EPOCHS, BATCH = 12, 128
TUNING_ROWS, TUNING_EPOCHS = 3000, 8
"""Of the inner fits by which `GRID` is judged."""
CODINGS = {"bins": ("bins", 0.2), "scores": ("quantile+zscore", 0.1)}
"""Scaling, and the noise on it in back-propagation."""
GRID = [
    Pretraining(ContrastiveDivergence(k, rate, 0.9, 1e-4, BATCH), gaussian=False, epochs=lambda layer, n=n: range(n))
    for k, rate, n in ((1, 0.01, 5), (1, 0.05, 5), (1, 0.05, 20), (5, 0.05, 5))
]
"""Bernoulli visible units: Gibbs steps, learning rate, epochs."""
GAUSSIAN = Pretraining(ContrastiveDivergence(1, 0.01, 0.9, 1e-4, BATCH), gaussian=True, epochs=lambda layer: range(5))
TUNING = FineTuning(3e-3, BATCH, "adamw", "cosine", 0.9, 1e-2, 1.0, 0.1, 0.0, 1)
WAYS = ("none", "pretrained", "unlabelled", "scores", "gaussian")
CODING_OF = {**dict.fromkeys(WAYS, "bins"), "scores": "scores", "gaussian": "scores"}
RESAMPLES = 2000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a task."""

    name: str
    X: npt.NDArray[np.float32]
    y: Floats
    group: npt.NDArray[Any]
    place: npt.NDArray[Any]
    fold: npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """One fold: labelled rows, further rows without labels, screened predictors."""

    table: Table
    labelled: npt.NDArray[np.intp]
    others: npt.NDArray[np.intp]
    selection: Selection
    epochs: int = EPOCHS

    def answers(self, coding: str, how: Pretraining | None, unlabelled: bool, asked: Any, seed: int) -> Floats:
        """Train one network and ask it for rows."""
        scaling, noise = CODINGS[coding]
        X, y = self.table.X, self.table.y[self.labelled]
        rows = len(self.labelled)
        code, _ = fit_codings(X[self.labelled], np.ones(rows), [scaling], self.selection)
        codes = torch.as_tensor(code.encode(X), dtype=torch.float32)
        generator = torch.Generator().manual_seed(seed)
        network = initial_network(codes.shape[1], HIDDEN, 1, generator)
        if how is not None:
            seen = codes[np.concatenate([self.labelled, self.others]) if unlabelled else self.labelled]
            pretrain(network, seen, torch.ones(len(seen)), None, how, generator)
        centre, spread = y.mean(), y.std()
        sample = Sample(codes[self.labelled], torch.as_tensor((y - centre) / spread).float(), torch.ones(rows))
        tuning = FineTuning(**{**{n: getattr(TUNING, n) for n in TUNING.__slots__}, "input_noise": noise})
        fine_tune(network, sample, None, tuning, range(self.epochs), self.epochs, generator)
        answer = network.outputs(codes[asked])[0].double().numpy() * spread + centre
        return np.asarray(answer)

    def best(self, unlabelled: bool, seed: int) -> Pretraining:
        """Choose from `GRID` by two inner folds of whole groups."""
        group = self.table.group[self.labelled]
        squares = np.zeros(len(GRID))
        for seen, held_out in leave_group_out(group, 2, seed):
            few = np.random.default_rng(seed).permutation(seen)[:TUNING_ROWS]
            inner = Trial(self.table, self.labelled[few], self.others[:TUNING_ROWS], self.selection, TUNING_EPOCHS)
            asked = self.labelled[held_out]
            for number, how in enumerate(GRID):
                answer = inner.answers("bins", how, unlabelled, asked, seed)
                squares[number] += ((self.table.y[asked] - answer) ** 2).sum()
        return GRID[int(squares.argmin())]


def main() -> None:
    """Print the comparison."""
    arguments = _arguments()
    torch.set_num_threads(1)
    results = []
    with torch.no_grad():
        for task, share in product(arguments.tasks, arguments.label_share):
            result = compare(_table(arguments.data, task), share, arguments.seeds, arguments.folder)
            results.append({"task": task, "label_share": share, **result})
            print(json.dumps(results[-1]) if arguments.json else _text(results[-1]), flush=True)


def compare(table: Table, share: float, seeds: list[int], folder: Path) -> dict[str, Any]:
    """Return R2 by way and seed, what was chosen, and differences to the same network without pre-training."""
    answers = {way: np.full((len(seeds), len(table.y)), np.nan) for way in WAYS}
    chosen: list[str] = []
    for fold in np.unique(table.fold):
        path = folder / f"{table.name}-{share:g}-{fold}-{'-'.join(map(str, seeds))}.npz"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            np.savez(path, **_fold(_trial(table, fold, share), np.flatnonzero(table.fold == fold), seeds))
        with np.load(path) as kept:
            chosen += list(kept["chosen"])
            for way, held in answers.items():
                held[:, table.fold == fold] = kept[way]
    pairs = [("pretrained", "none"), ("unlabelled", "none"), ("gaussian", "scores")]
    return {
        "n": len(table.y),
        "groups": len(np.unique(table.group)),
        "r2": {way: [round(_r2(table.y, one), 4) for one in held] for way, held in answers.items()},
        "difference": {f"{a} - {b}": _difference(table, answers[a], answers[b]) for a, b in pairs},
        "chosen": chosen,
    }


def _fold(trial: Trial, asked: npt.NDArray[np.intp], seeds: list[int]) -> dict[str, Any]:
    """Return the answers of each way, (seeds, q), and what was chosen for the two that are tuned."""
    began = time.monotonic()
    how = {"pretrained": trial.best(False, 0), "unlabelled": trial.best(True, 0), "gaussian": GAUSSIAN}
    answers: dict[str, Any] = {
        way: np.stack([trial.answers(CODING_OF[way], how.get(way), way == "unlabelled", asked, seed) for seed in seeds])
        for way in WAYS
    }
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return {**answers, "chosen": np.array([f"{way}: {_name(how[way])}" for way in ("pretrained", "unlabelled")])}


def _trial(table: Table, fold: Any, share: float) -> Trial:
    """Take the rows of the other folds; only a share of their groups has labels."""
    seen = np.flatnonzero(table.fold != fold)
    names = np.unique(table.group[seen])
    drawn = np.random.default_rng(int(fold)).permutation(names)[: max(4, round(share * len(names)))]
    labelled = seen[np.isin(table.group[seen], drawn)]
    others = np.random.default_rng(0).permutation(np.setdiff1d(np.arange(len(table.y)), labelled))
    selection = select_features(
        table.X[labelled], table.y[labelled], table.group[labelled], places=table.place[labelled]
    )
    return Trial(table, labelled, others, Selection(selection.kept, np.zeros_like(selection.kept), {}))


def _difference(table: Table, a: Floats, b: Floats) -> dict[str, float]:
    """Difference in R2, mean of the seeds, with the 90 % interval of a bootstrap over groups."""
    names, group = np.unique(table.group, return_inverse=True)
    errors = [np.bincount(group, ((table.y - answers) ** 2).mean(axis=0)) for answers in (a, b)]
    count, total = np.bincount(group), np.bincount(group, table.y)
    square = np.bincount(group, table.y**2)
    drawn = np.random.default_rng(0).integers(0, len(names), (RESAMPLES, len(names)))
    spread = square[drawn].sum(1) - total[drawn].sum(1) ** 2 / count[drawn].sum(1)
    gains = (errors[1] - errors[0])[drawn].sum(1) / spread
    low, high = np.quantile(gains, (0.05, 0.95))
    value = (errors[1] - errors[0]).sum() / ((table.y - table.y.mean()) ** 2).sum()
    return {"value": round(float(value), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def _r2(y: Floats, answer: Floats) -> float:
    return float(1 - ((y - answer) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def _name(how: Pretraining) -> str:
    divergence = how.divergence
    return f"CD-{divergence.cd_k}, rate {divergence.learning_rate:g}, {len(list(how.epochs(1)))} epochs"


def _table(data: Path, task: str) -> Table:
    about = TASKS[TABLES[task]]
    rows = pd.read_parquet(data / "tables" / f"{about.table}.parquet")
    rows = rows.dropna(subset=[*about.features, about.target])
    X, y = rows[about.features].to_numpy(np.float32), rows[about.target].to_numpy(float)
    return Table(task, X, y, rows[about.group].to_numpy(), rows["group"].to_numpy(), rows["fold_space"].to_numpy())


def _text(result: dict[str, Any]) -> str:
    labelled = f"{result['label_share']:g} of the groups labelled"
    head = f"{result['task']}, {labelled}; n {result['n']}, {result['groups']} groups"
    scores = [f"  R2 {way:<12}{'  '.join(f'{r2:.3f}' for r2 in of_seed)}" for way, of_seed in result["r2"].items()]
    differences = [
        f"  {name:<22}{d['value']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]" for name, d in result["difference"].items()
    ]
    return "\n".join([head, *scores, *differences, f"  chosen: {'; '.join(sorted(set(result['chosen'])))}"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("ZOO_REAL_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--tasks", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--label-share", nargs="+", type=float, default=[1.0, 0.25])
    parser.add_argument("--folder", type=Path, default=ROOT / "out" / "bench-pretraining", help="where folds are kept")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if not (chosen.data / "tables").is_dir():
        parser.exit(0, f"skipped: no tables in {chosen.data / 'tables'}; set ZOO_REAL_DATA\n")
    return chosen


if __name__ == "__main__":
    main()
