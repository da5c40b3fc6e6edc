"""One model a date, as in the paper, or one for all dates: which is better in a region that neither has seen.

    python benchmarks/dates.py [--every 9] [--folds 3] [--models ridge rf dbn] [--seed 0] [--json]

Table of real data `regions.parquet`: SMAP at nine regions, 2019-2021. Regions are held out fold by fold; their cells at
every N-th date are predicted by a model trained on the other regions at that date, by one trained on the other
regions at all dates, and by one that also has the season (sine and cosine of the day of the year). The three are
scored on the same rows; the interval of a difference resamples whole regions. Writes benchmarks/results/dates.json and
docs/dates.md. Estimators run in one thread, are given what `zoo train` gives them, and have no other settings.
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
from zoo.learning.fitting import Context, fit
from zoo.learning.splits import Fold, leave_group_out
from zoo.model.recipe import Recipe
from zoo.predictors import SEASON
from zoo.progress import task
from zoo.scores.paired import paired_differences
from zoo.training import peers

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "dates.json"
PAGE = ROOT / "docs" / "dates.md"
BANDS = [f"B{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, "8A", 9, 10, 11, 12)]
PREDICTORS = [*BANDS, "VV", "VH", "angle", "ndvi", "ndwi"]
WAYS = ("a model a date", "all dates", "all dates and the season")
SETTINGS = {"rf": {"n_jobs": 1}}
Floats = npt.NDArray[np.float64]


def main() -> None:
    """Predict every held-out region in the three ways, compare, print and write."""
    arguments = _arguments()
    rows = read()
    scored = rows["time"].isin(sorted(rows["time"].unique())[:: arguments.every]).to_numpy()
    folds = leave_group_out(rows["group"].to_numpy(), arguments.folds, arguments.seed)
    found = {
        "command": f"python benchmarks/dates.py {' '.join(sys.argv[1:])}".strip(),
        "seed": arguments.seed,
        "rows": len(rows),
        "dates": int(rows["time"].nunique()),
        "dates_scored": int(rows.loc[scored, "time"].nunique()),
        "n": int(scored.sum()),
        "regions": int(rows["group"].nunique()),
        "folds": arguments.folds,
        "models": {name: compared(name, rows, scored, folds, arguments.seed) for name in arguments.models},
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(page(found), encoding="utf-8")
    print(json.dumps(found, indent=2)) if arguments.json else show(found)


def read() -> pd.DataFrame:
    """Read the table; ends the program where there is none."""
    path = Path(os.environ.get("ZOO_REAL_DATA", ROOT.parent / "shared" / "data")) / "tables" / "regions.parquet"
    if not path.exists():
        sys.exit("The table regions.parquet is not there; name its folder's parent with ZOO_REAL_DATA")
    needed = [*PREDICTORS, *SEASON, "y"]
    rows = pd.read_parquet(path).dropna(subset=needed).reset_index(drop=True)
    return rows.assign(place=rows.groupby(["group", "row", "col"]).ngroup())


def compared(
    name: str, rows: pd.DataFrame, scored: npt.NDArray[np.bool_], folds: list[Fold], seed: int
) -> dict[str, Any]:
    """Score the three ways with one model, and the gains of the second and the third over the first."""
    started = time.process_time()
    answers = predictions(name, rows, scored, folds, seed)
    chosen = rows[scored]
    observed, groups = chosen["y"].to_numpy(), chosen["group"].to_numpy()
    first, second, third = (answers[way] for way in WAYS)
    return {
        "scores": {way: scores_of(observed, answer, chosen["time"]) for way, answer in answers.items()},
        "over_a_model_a_date": {
            WAYS[1]: difference(observed, second, first, groups, seed),
            WAYS[2]: difference(observed, third, first, groups, seed),
        },
        "season_over_all_dates": difference(observed, third, second, groups, seed),
        "cpu_seconds": round(time.process_time() - started, 1),
    }


def scores_of(observed: Floats, answer: Floats, dates: pd.Series[Any]) -> dict[str, float]:
    """R2 = 1 - SSE/SST over all rows, the same with SST taken around the mean of each date, and the RMSE (m3 m-3)."""
    squares = float(((answer - observed) ** 2).sum())
    within = observed - pd.Series(observed).groupby(dates.to_numpy()).transform("mean").to_numpy()
    return {
        "r2": 1 - squares / float(((observed - observed.mean()) ** 2).sum()),
        "r2_within_dates": 1 - squares / float((within**2).sum()),
        "rmse": float(np.sqrt(squares / len(observed))),
    }


def difference(observed: Floats, a: Floats, b: Floats, groups: npt.NDArray[Any], seed: int) -> dict[str, Any]:
    """R2 of a less that of b, with its 95 % interval over whole regions."""
    (gain,) = paired_differences(observed, a, b, groups=groups, seed=seed, metrics=["r2"])
    return {"r2_difference": gain.difference, "ci_low": gain.ci_low, "ci_high": gain.ci_high}


def predictions(
    name: str, rows: pd.DataFrame, scored: npt.NDArray[np.bool_], folds: list[Fold], seed: int
) -> dict[str, Floats]:
    """Predict the scored rows, each by a model that saw nothing of its region."""
    answers = {way: np.full(len(rows), np.nan) for way in WAYS}
    dates = rows["time"][scored].unique()
    with task(name, len(folds)) as advance:
        for elsewhere, held_out in folds:
            here = held_out[scored[held_out]]
            for way, columns in ((WAYS[1], PREDICTORS), (WAYS[2], [*PREDICTORS, *SEASON])):
                answers[way][here] = answer(name, rows.iloc[elsewhere], rows.iloc[here], columns, seed)
            for date in dates:
                seen, asked = (part[(rows["time"].iloc[part] == date).to_numpy()] for part in (elsewhere, here))
                if len(asked):
                    answers[WAYS[0]][asked] = answer(name, rows.iloc[seen], rows.iloc[asked], PREDICTORS, seed)
            advance(1)
    return {way: answer[scored] for way, answer in answers.items()}


def answer(name: str, seen: pd.DataFrame, asked: pd.DataFrame, columns: list[str], seed: int) -> Floats:
    """Fit on the rows seen, predict those asked."""
    known = peers()
    estimator = known[name] if name in known else Recipe(name, parameters=SETTINGS.get(name, {}), seed=seed).estimator()
    times = seen["time"].to_numpy() if seen["time"].nunique() > 1 else None
    context = Context(seen["group"].to_numpy(), seen["place"].to_numpy(), times)
    model = fit(estimator, seen[columns].to_numpy(np.float32), seen["y"].to_numpy(), context)
    return np.asarray(model.predict(asked[columns].to_numpy(np.float32)), np.float64)


def show(found: dict[str, Any]) -> None:
    """Print the scores as a table."""
    columns = ("model", "trained on", "R2", "R2 within dates", "RMSE", "over a model a date (95 %)")
    Console().print(make_table(_title(found), columns, list(_lines(found))))


def page(found: dict[str, Any]) -> str:
    """Write the page."""
    head = ("model", "trained on", "R2", "R2 within dates", "RMSE, m3 m-3", "R2 over a model a date (95 %)")
    seasons = [
        f"- {name}: {_gain(model['season_over_all_dates'])} by the season terms." for name, model in _models(found)
    ]
    return "\n".join(
        [
            "# One model a date, or one for all dates",
            "",
            f"Written by `{found['command']}`; the figures are those of that run.",
            "",
            f"The paper trains a model for each date. Here the regions of a real table (SMAP at {found['regions']} "
            f"regions, {found['rows']:,} cells and dates, {found['dates']} dates in 2019 to 2021; Sentinel-1 and -2 "
            f"predictors) are held out in {found['folds']} folds, and predicted in three ways: by a model of the other "
            "regions on that date alone, by one of the other regions on all dates, and by one that is also told the "
            "season (`--features ...,season`: sine and cosine of the day of the year).",
            "",
            f"{_title(found)}, seed {found['seed']}. R2 is 1 - SSE/SST; within dates SST is taken around each date's "
            "mean, so that only differences between places count. Intervals resample whole regions.",
            "",
            f"| {' | '.join(head)} |",
            f"|{'---|' * len(head)}",
            *(f"| {' | '.join(line)} |" for line in _lines(found)),
            "",
            "What the season adds to one model for all dates, in R2:",
            "",
            *seasons,
            "",
            "The other regions' cells of the day asked for are among the rows of all three: on a day that training has "
            "not seen, a model a date cannot be had at all.",
            "",
        ]
    )


def _models(found: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return list(found["models"].items())


def _lines(found: dict[str, Any]) -> list[tuple[str, ...]]:
    lines = []
    for name, model in _models(found):
        for way in WAYS:
            scores, gain = model["scores"][way], model["over_a_model_a_date"].get(way)
            figures = (f"{scores['r2']:.3f}", f"{scores['r2_within_dates']:.3f}", f"{scores['rmse']:.4f}")
            lines.append((name, way, *figures, _gain(gain) if gain else ""))
    return lines


def _gain(gain: dict[str, Any]) -> str:
    return f"{gain['r2_difference']:+.3f} ({gain['ci_low']:+.3f} to {gain['ci_high']:+.3f})"


def _title(found: dict[str, Any]) -> str:
    return f"{found['n']:,} rows at {found['dates_scored']} dates, regions held out in {found['folds']} folds"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=9, help="score every N-th date")
    parser.add_argument("--folds", type=int, default=3, help="of regions")
    parser.add_argument("--models", nargs="+", default=["ridge", "rf", "dbn"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
