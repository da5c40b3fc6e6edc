"""Downscaled maps against the 1 km truth of simulated scenes, beside interpolation and random forests.

    python benchmarks/truth.py [--seeds 0 1 2 3 4] [--sizes 11 40] [--downscalers dbn rf] [--json]

A scene of the size in coarse cells (9 km) is simulated as `zoo simulate` does, with all products' errors and clouds,
another landscape for each seed; Landsat in 250 m pixels. Granules are read, averaged and stacked as `zoo train` and
`zoo predict` do, and the models trained on the coarse cells of that one day. Results of other seeds and sizes in
`benchmarks/results/truth.json` are kept, so that a long run can be cut in pieces.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import rasterio
from filelock import FileLock
from fine_maps import DEFAULT, PEERS, Scene, fine_maps, scored

from zoo.granules import Selection
from zoo.grids import ease2_geobox, geographic_bounds
from zoo.inputs import Request, open_coarse, open_stack
from zoo.predictors import PAPER
from zoo.samples.cells import read_cells
from zoo.samples.rows import from_cells
from zoo.simulate import simulate_scene
from zoo.stack.layers import Stack
from zoo.types import Area

RESULTS = Path(__file__).parent / "results" / "truth.json"
ROW, COLUMN = 280, 3165
"""Of the M09 cell in the upper left, near the Shandian River."""
BAR = 0.05
"""R2 above bilinear that is asked for."""


def main() -> None:
    """Simulate, train, predict, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--sizes", type=int, nargs="+", default=[11, 40], help="coarse cells along a side")
    parser.add_argument("--downscalers", nargs="+", default=["dbn", "rf"])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    for size in given.sizes:
        for seed in given.seeds:
            started = time.perf_counter()
            say(f"{size} x {size} cells, seed {seed}")
            scene = simulated(size, seed)
            maps = dict(fine_maps(scene, given.downscalers, seed, say))
            found = scored(scene, maps, seed, say)
            about = {"size": size, "seed": seed, "training_cells": len(scene.rows[1])}
            done = kept(given.results, {**about, "seconds": round(time.perf_counter() - started, 1), **found})
    print(json.dumps(done, indent=1) if given.json else table(done["summary"]))


def kept(path: Path, scene: dict[str, Any]) -> dict[str, Any]:
    """Add a scene to the results; runs side by side do not lose each other's."""
    path.parent.mkdir(exist_ok=True)
    with FileLock(Path(tempfile.gettempdir()) / f"{path.name}.lock"):
        scenes = json.loads(path.read_text())["scenes"] if path.exists() else {}
        scenes[f"{scene['size']}-{scene['seed']}"] = scene
        scenes = dict(sorted(scenes.items()))
        done = {
            "command": "python benchmarks/truth.py",
            "default": DEFAULT,
            "summary": summary(scenes),
            "scenes": scenes,
        }
        path.write_text(json.dumps(done, indent=1) + "\n")
    return done


def simulated(size: int, seed: int) -> Scene:
    """Simulate a square of coarse cells and read it as the product does."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SMZOO_CACHE_DIR"] = f"{folder}/cache"
        made = simulate_scene(Path(folder) / "scene", seed=seed, area=area_of(size), landsat_resolution=250)
        request = Request((made.folder,), made.area, Selection(made.date))
        cells = read_cells(request, PAPER)
        samples, table_ = from_cells(cells, PAPER), cells.rows(PAPER, 0.5)
        numbers = table_[[*PAPER, "soil_moisture"]].notna().all(axis=1).to_numpy().nonzero()[0]
        stack: Stack = open_stack(request, PAPER)
        predictors = stack.read(None, list(PAPER))
        water = stack.read_water(None)
        if water is not None:
            predictors[:, water > 0.5] = float("nan")
        with rasterio.open(made.truth) as file:
            truth = file.read(1)
        rows = samples.predictors.to_numpy(), samples.target, samples.groups
        return Scene(open_coarse(request).load(), stack.geobox, predictors, rows, numbers, truth)


def area_of(size: int) -> Area:
    """Return the place of `size` x `size` whole cells of EASE-Grid 2.0 M09."""
    return Area(*geographic_bounds(ease2_geobox("M09")[ROW : ROW + size, COLUMN : COLUMN + size]))


def summary(scenes: dict[str, Any]) -> dict[str, Any]:
    """Over the seeds of each size: mean R2, RMSE and G_DOWN of each map, and where the default stands."""
    found: dict[str, Any] = {}
    for size in sorted({scene["size"] for scene in scenes.values()}):
        of_size = [scene["maps"] for scene in scenes.values() if scene["size"] == size]
        names = [name for name in of_size[0] if all(name in maps for maps in of_size)]
        means = {
            name: {key: statistics.fmean(maps[name][key] for maps in of_size) for key in ("r2", "rmse", "g_down")}
            for name in names
        }
        if DEFAULT not in names:
            found[str(size)] = {"seeds": len(of_size), "maps": means}
            continue
        gains = {peer: [maps[DEFAULT]["r2"] - maps[peer]["r2"] for maps in of_size] for peer in PEERS if peer in names}
        found[str(size)] = {
            "seeds": len(of_size),
            "maps": means,
            "default_r2_minus": {peer: {"mean": statistics.fmean(g), "least": min(g)} for peer, g in gains.items()},
            "default_g_down_least": min(maps[DEFAULT]["g_down"] for maps in of_size),
            "bars": {
                "bilinear_plus_.05_on_every_seed": min(gains["bilinear"]) >= BAR,
                "above_rf_smooth_on_every_seed": min(gains.get("rf + smooth", [0])) > 0,
                "g_down_above_0_on_every_seed": min(maps[DEFAULT]["g_down"] for maps in of_size) > 0,
            },
        }
    return found


def table(found: dict[str, Any]) -> str:
    """Lay the summary out for people."""
    lines = []
    for size, part in found.items():
        lines.append(f"\n{size} x {size} coarse cells, mean of {part['seeds']} seeds")
        for name, scores in part["maps"].items():
            lines.append(
                f"  {name:16s} R2 {scores['r2']:7.4f}  RMSE {scores['rmse']:.5f}  G_DOWN {scores['g_down']:6.3f}"
            )
        for peer, gain in part.get("default_r2_minus", {}).items():
            lines.append(f"  {DEFAULT} above {peer}: {gain['mean']:+.4f} in R2, on the worst seed {gain['least']:+.4f}")
        lines += [f"  {bar}: {'met' if met else 'NOT met'}" for bar, met in part.get("bars", {}).items()]
    return "\n".join(lines)


def say(text: str) -> None:
    """Print progress on stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
