"""One model a date, as in the paper, or one for all dates: which is better in a region that neither has seen.

    python benchmarks/dates.py [--every 9] [--models ridge rf dbn] [--seed 0] [--json]

Table of real data `regions.parquet`: SMAP at nine regions, 2019-2021. Each region is held out in turn; its cells at
every N-th date are predicted by a model trained on the other regions at that date, by one trained on the other
regions at all dates, and by one that also has the season (sine and cosine of the day of the year). The three are
scored on the same rows; the interval of a difference resamples whole regions. Writes benchmarks/results/dates.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console

from zoo.cli.output import table as make_table
from zoo.model.recipe import Recipe
from zoo.progress import task
from zoo.scores.paired import paired_differences
from zoo.training import peers

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "dates.json"
BANDS = [f"B{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, "8A", 9, 10, 11, 12)]
PREDICTORS = [*BANDS, "VV", "VH", "angle", "ndvi", "ndwi"]
SEASON = ["doy_sin", "doy_cos"]
WAYS = ("a model a date", "all dates", "all dates and the season")


def main() -> None:
    """Predict every held-out region in the three ways, compare, print and write."""
    arguments = _arguments()
    rows = read()
    scored = rows["time"].isin(sorted(rows["time"].unique())[:: arguments.every]).to_numpy()
    found = {
        "command": "python benchmarks/dates.py",
        "seed": arguments.seed,
        "dates": int(rows.loc[scored, "time"].nunique()),
        "n": int(scored.sum()),
        "regions": int(rows["group"].nunique()),
        "split": "leave one region out",
        "models": {name: compared(name, rows, scored, arguments.seed) for name in arguments.models},
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2)) if arguments.json else show(found)


def read() -> pd.DataFrame:
    """Read the table; ends the program where there is none."""
    path = Path(os.environ.get("ZOO_REAL_DATA", ROOT.parent / "shared" / "data")) / "tables" / "regions.parquet"
    if not path.exists():
        sys.exit("The table regions.parquet is not there; name its folder's parent with ZOO_REAL_DATA")
    needed = [*PREDICTORS, *SEASON, "y"]
    return pd.read_parquet(path).dropna(subset=needed).reset_index(drop=True)


def compared(name: str, rows: pd.DataFrame, scored: npt.NDArray[np.bool_], seed: int) -> dict[str, Any]:
    """Score the three ways with one model, and the gains of the second and the third over the first."""
    started = time.process_time()
    answers = predictions(name, rows, scored, seed)
    observed, groups = rows["y"].to_numpy()[scored], rows["group"].to_numpy()[scored]
    first = answers[WAYS[0]]
    gains = {}
    for way in WAYS[1:]:
        (gain,) = paired_differences(observed, answers[way], first, groups=groups, seed=seed, metrics=["r2"])
        gains[way] = {"r2_difference": gain.difference, "ci_low": gain.ci_low, "ci_high": gain.ci_high}
    spread = ((observed - observed.mean()) ** 2).sum()
    scores = {way: float(1 - ((answer - observed) ** 2).sum() / spread) for way, answer in answers.items()}
    return {"r2": scores, "over_a_model_a_date": gains, "cpu_seconds": round(time.process_time() - started, 1)}


def predictions(
    name: str, rows: pd.DataFrame, scored: npt.NDArray[np.bool_], seed: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Predict the scored rows, each by a model that saw nothing of its region."""
    answers = {way: np.full(len(rows), np.nan) for way in WAYS}
    dates = rows["time"][scored].unique()
    regions = rows["group"].unique()
    with task(name, len(regions)) as advance:
        for region in regions:
            elsewhere, here = (rows["group"] != region).to_numpy(), (rows["group"] == region).to_numpy() & scored
            for way, columns in ((WAYS[1], PREDICTORS), (WAYS[2], [*PREDICTORS, *SEASON])):
                answers[way][here] = answer(name, rows, elsewhere, here, columns, seed)
            for date in dates:
                now = (rows["time"] == date).to_numpy()
                if (here & now).any():
                    answers[WAYS[0]][here & now] = answer(name, rows, elsewhere & now, here & now, PREDICTORS, seed)
            advance(1)
    return {way: answer[scored] for way, answer in answers.items()}


def answer(
    name: str,
    rows: pd.DataFrame,
    seen: npt.NDArray[np.bool_],
    asked: npt.NDArray[np.bool_],
    columns: list[str],
    seed: int,
) -> npt.NDArray[np.float64]:
    """Fit on the rows seen, predict those asked."""
    estimator = peers()[name] if name in peers() else Recipe(name, seed=seed).estimator()
    X, y = rows[columns].to_numpy(np.float32), rows["y"].to_numpy()
    known = {} if name in peers() else {"groups": rows["group"].to_numpy()[seen]}
    return np.asarray(estimator.fit(X[seen], y[seen], **known).predict(X[asked]))


def show(found: dict[str, Any]) -> None:
    """Print the scores as a table."""
    console = Console()
    lines = []
    for name, model in found["models"].items():
        for way in WAYS:
            gain = model["over_a_model_a_date"].get(way)
            told = f"{gain['r2_difference']:+.3f} ({gain['ci_low']:+.3f} to {gain['ci_high']:+.3f})" if gain else ""
            lines.append((name, way, f"{model['r2'][way]:.3f}", told))
    title = f"R2 on {found['n']:,} rows, {found['dates']} dates, {found['regions']} regions, each held out"
    console.print(make_table(title, ("model", "trained on", "R2", "over a model a date (95 %)"), lines))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=9, help="score every N-th date")
    parser.add_argument("--models", nargs="+", default=["ridge", "rf", "dbn"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
