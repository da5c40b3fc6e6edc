"""Weights by homogeneity, outlier screening and the least valid share, against the 1 km truth of simulated scenes.

    python benchmarks/informative.py [--seeds 0 1 2 3 4] [--sizes 11 40] [--models ridge rf dbn] [--json]

A scene of the size in coarse cells (9 km) is simulated as `zoo simulate` does, with all products' errors and clouds,
another landscape for each seed; Landsat in 480 m pixels. Each model is trained on the coarse cells of that day in
several ways, predicts 1 km, and is scored by R2 = 1 - SSE/SST against the truth, as predicted and after the exact
correction to the coarse means. `spoilt` trains on cells of which 3 % were put .15 m3 m-3 off, up or down. Runs of other
seeds and sizes in benchmarks/results/informative.json are kept. Writes docs/informative.md;
`--seeds` without a seed only does that.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio

from zoo.correction import correct
from zoo.granules import Selection
from zoo.grids import ease2_geobox, geographic_bounds
from zoo.inputs import Request, open_stack
from zoo.learning.informative import Emphasis
from zoo.model.recipe import Recipe
from zoo.predictors import PAPER
from zoo.samples.cells import Cells, read_cells
from zoo.samples.rows import Samples, from_cells
from zoo.simulate import simulate_scene
from zoo.training import context_of, peers
from zoo.types import Area

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "informative.json"
PAGE = ROOT / "docs" / "informative.md"
ROW, COLUMN = 280, 3165
"""Of the M09 cell in the upper left, near the Shandian River."""
SETTINGS = {"rf": {"n_jobs": 1}}
LIMIT = 4.0
SPOILT, OFF = 0.03, 0.15
PLAIN = "as it is"
WAYS = ("--weights homogeneity", f"--outliers {LIMIT:g}", "--min-valid 0.9")
Floats = npt.NDArray[np.floating[Any]]


def main() -> None:
    """Simulate, train in every way, score, print and write."""
    arguments = _arguments()
    done = json.loads(RESULT.read_text()) if RESULT.exists() else {"runs": {}}
    for size in arguments.sizes:
        for seed in arguments.seeds:
            started = time.process_time()
            run = scored(size, seed, arguments.models)
            before = done["runs"].get(f"{size}-{seed}", {"models": {}})
            run["models"] = {**before["models"], **run["models"]}
            done["runs"][f"{size}-{seed}"] = {**run, "cpu_seconds": round(time.process_time() - started, 1)}
            print(f"{size} x {size}, seed {seed}: {run['rows']} rows", file=sys.stderr, flush=True)
    done = {"command": "python benchmarks/informative.py", "runs": dict(sorted(done["runs"].items()))}
    done["summary"] = summary(done["runs"])
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(done), encoding="utf-8")
    print(json.dumps(done["summary"], indent=1) if arguments.json else page(done))


def scored(size: int, seed: int, models: list[str]) -> dict[str, Any]:
    """Score every model in every way on one scene."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SMZOO_CACHE_DIR"] = f"{folder}/cache"
        place = Area(*geographic_bounds(ease2_geobox("M09")[ROW : ROW + size, COLUMN : COLUMN + size]))
        made = simulate_scene(Path(folder) / "scene", seed=seed, area=place, landsat_resolution=480)
        request = Request((made.folder,), made.area, Selection(made.date))
        cells = read_cells(request, PAPER)
        stack = open_stack(request, PAPER)
        pixels, water = stack.read(None, list(PAPER)), stack.read_water(None)
        if water is not None:
            pixels[:, water > 0.5] = np.nan
        with rasterio.open(made.truth) as file:
            truth = file.read(1)
    weighed = from_cells(cells, PAPER, weights="homogeneity")
    assert weighed.weights is not None
    found = {name: _scores(name, cells, weighed, pixels, stack.geobox, truth, seed) for name in models}
    return {
        "size": size,
        "seed": seed,
        "rows": len(weighed),
        "weights": [round(float(edge), 3) for edge in np.quantile(weighed.weights, (0, 0.5, 1))],
        "models": found,
    }


def _scores(
    name: str, cells: Cells, weighed: Samples, pixels: Floats, box: Any, truth: Floats, seed: int
) -> dict[str, dict[str, Any]]:
    plain = replace(weighed, weights=None)
    spoilt = replace(plain, target=_spoilt(plain.target, seed))
    ways: dict[str, tuple[Samples, float | None]] = {
        PLAIN: (plain, None),
        WAYS[0]: (weighed, None),
        WAYS[1]: (plain, LIMIT),
        WAYS[2]: (from_cells(cells, PAPER, min_valid=0.9), None),
        f"spoilt, {PLAIN}": (spoilt, None),
        f"spoilt, {WAYS[1]}": (spoilt, LIMIT),
    }
    found = {}
    for way, (samples, limit) in ways.items():
        fine, left_out = _predicted(name, samples, limit, pixels, seed)
        exact = correct(fine, box, cells.coarse)[0]
        found[way] = {"r2": _r2(truth, fine), "r2_exact": _r2(truth, exact), "rows": len(samples), "left_out": left_out}
    return found


def _predicted(name: str, samples: Samples, limit: float | None, pixels: Floats, seed: int) -> tuple[Floats, int]:
    """Train, and predict every pixel that has all predictors; (h, w), and how many rows were left out."""
    known = peers()
    if name == "ridge" and samples.weights is not None:
        from zoo_auto.ridge import Ridge

        known["ridge"] = Ridge()
    estimator = known[name] if name in known else Recipe(name, parameters=SETTINGS.get(name, {}), seed=seed).estimator()
    X = samples.predictors.to_numpy(np.float32)
    emphasis = Emphasis(samples.weights, limit, seed)
    model, left_out = emphasis.fit(estimator, X, samples.target, replace(context_of(samples), times=None))
    rows = pixels.reshape(len(pixels), -1).T
    whole = np.isfinite(rows).all(axis=1)
    values = np.full(len(rows), np.nan, np.float32)
    values[whole] = np.clip(model.predict(rows[whole].astype(np.float32)), 0, 1)
    return values.reshape(pixels.shape[1:]), int(left_out.sum())


def _spoilt(target: Floats, seed: int) -> Floats:
    """Put some cells far off."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(target), max(1, round(SPOILT * len(target))), replace=False)
    off = target.copy()
    off[chosen] += OFF * rng.choice([-1, 1], len(chosen))
    return np.clip(off, 0, 1)


def _r2(truth: Floats, fine: Floats) -> float:
    kept = np.isfinite(truth) & np.isfinite(fine)
    seen = truth[kept].astype(float)
    return float(1 - ((fine[kept] - seen) ** 2).sum() / ((seen - seen.mean()) ** 2).sum())


def summary(runs: dict[str, Any]) -> list[dict[str, Any]]:
    """Mean over the seeds of a size of each model's R2, and of what each way adds, with its standard error."""
    found = []
    for size in sorted({run["size"] for run in runs.values()}):
        of_size = [run for run in runs.values() if run["size"] == size]
        for name in dict.fromkeys(model for run in of_size for model in run["models"]):
            scenes = [run["models"][name] for run in of_size if name in run["models"]]
            pairs = [(PLAIN, way) for way in WAYS] + [(f"spoilt, {PLAIN}", f"spoilt, {WAYS[1]}")]
            for base, way in pairs:
                line: dict[str, Any] = {"size": size, "seeds": len(scenes), "model": name, "base": base, "way": way}
                for key in ("r2", "r2_exact"):
                    gains = [scene[way][key] - scene[base][key] for scene in scenes]
                    line[key] = statistics.fmean(scene[base][key] for scene in scenes)
                    line[f"{key}_gain"] = statistics.fmean(gains)
                    line[f"{key}_error"] = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else None
                line["left_out"] = statistics.fmean(scene[way]["left_out"] for scene in scenes)
                line["rows"] = statistics.fmean(scene[way]["rows"] for scene in scenes)
                found.append(line)
    return found


def page(done: dict[str, Any]) -> str:
    """Write the page."""
    lines = [
        "# Training where it is informative, measured",
        "",
        f"Written by `{done['command']}`; the figures are those of its runs. Simulated scenes of coarse cells (9 km) "
        "near the Shandian River, one day, 14 predictors, another landscape for each seed; R2 = 1 - SSE/SST of the "
        "1 km map against the simulated truth, before and after the exact correction to the coarse means. A gain is "
        f"the mean over the seeds, with its standard error. `spoilt`: {SPOILT:.0%} of the training cells were put "
        f"{OFF:g} m3 m-3 off, up or down. Seeds: {_seeds(done['runs'])}.",
        "",
        "| cells | seeds | model | trained | R2 | with | gain | after exact: R2 | gain | rows, left out |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for line in done["summary"]:
        plain = (f"{line['size']} x {line['size']}", str(line["seeds"]), line["model"], line["base"])
        gains = [_gain(line[f"{key}_gain"], line[f"{key}_error"]) for key in ("r2", "r2_exact")]
        scores = (f"{line['r2']:.3f}", f"`{line['way'].removeprefix('spoilt, ')}`", gains[0], f"{line['r2_exact']:.3f}")
        lines.append(f"| {' | '.join((*plain, *scores, gains[1]))} | {line['rows']:.0f}, {line['left_out']:.1f} |")
    return "\n".join([*lines, ""])


def _seeds(runs: dict[str, Any]) -> str:
    sizes = sorted({run["size"] for run in runs.values()})
    seeds = {size: sorted(run["seed"] for run in runs.values() if run["size"] == size) for size in sizes}
    return "; ".join(f"{', '.join(map(str, known))} of {size} x {size}" for size, known in seeds.items())


def _gain(mean: float, error: float | None) -> str:
    return f"{mean:+.4f}" + ("" if error is None else f" +- {error:.4f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4])
    parser.add_argument("--sizes", type=int, nargs="+", default=[11, 40], help="coarse cells along a side")
    parser.add_argument("--models", nargs="+", default=["ridge", "rf", "dbn"])
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
