"""A closed loop on real data: a 1 km soil-water index averaged to 9 km, downscaled, and compared with itself.

    python benchmarks/closed_loop.py [--data FOLDER] [--seeds 0 1 2] [--downscalers dbn rf auto] [--json]

The Copernicus Global Land index (CEURO, SWI with T = 5 days, 1 and 2 June 2017; share of saturation, 0-1, not m3 m-3)
at 1-2 E, 41-43 N is averaged over 9 x 9 pixels. Elevation, slope and aspect (SRTM) and position are the predictors;
models learn from the coarse cells of the one day. Results of other seeds in `benchmarks/results/closed_loop.json` are
kept, so that a long run can be cut in pieces. What is masked in the index stays out of everything. Intervals are
bootstraps over squares of 3 x 3 coarse cells.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from fine_maps import DEFAULT, Scene, fine_maps, kept, over_seeds, scored
from odc.geo.geobox import GeoBox

from zoo.grids import as_array, centres, target_geobox
from zoo.stack import build_stack
from zoo.types import Area

RESULTS = Path(__file__).parent / "results" / "closed_loop.json"
WINDOW = Area(1, 41, 2, 43)
"""Where there are both elevation tiles and index."""
PIXEL = 1 / 112
RATIO = 9
TERRAIN = ("dem", "slope", "aspect_sin", "aspect_cos")
DAYS = (date(2017, 6, 1), date(2017, 6, 2))
GREATEST, SCALE = 200, 0.5 / 100
"""Raw numbers above are flags; per cent of saturation in halves."""


def main() -> None:
    """Average, downscale, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("ZOO_REAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variable", default="SWI_005")
    parser.add_argument("--downscalers", nargs="+", default=["dbn", "rf", "auto"])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if not (given.data / "cgls").is_dir():
        print(f"Skipped: no real files, {given.data / 'cgls'} does not exist (set ZOO_REAL_DATA).")
        return
    box = target_geobox(WINDOW, crs="EPSG:4326", resolution=PIXEL)
    box = box[: box.shape.y // RATIO * RATIO, : box.shape.x // RATIO * RATIO]
    layers = terrain(given.data / "terrain", box)
    for day in DAYS:
        scene = loop(index(given.data / "cgls", day, box, given.variable), layers, box)
        for seed in given.seeds:
            say(f"{day}, seed {seed}: {len(scene.rows[1])} coarse cells")
            maps = dict(fine_maps(scene, given.downscalers, seed, say))
            about = {"day": day.isoformat(), "seed": seed, "variable": given.variable}
            run = {**about, "training_cells": len(scene.rows[1]), **scored(scene, maps, seed, say)}
            key = f"{given.variable}-{day}-{seed}"
            found = kept(given.results, "python benchmarks/closed_loop.py", key, run, summary)
    print(json.dumps(found, indent=1) if given.json else table(found["summary"]))


def index(folder: Path, day: date, box: GeoBox, variable: str) -> np.ndarray:
    """Read the index of a day on the window's grid, 0-1, NaN where masked."""
    path = next(folder.glob(f"c_gls_SWI1km_{day:%Y%m%d}*.nc"))
    with xr.open_dataset(path, mask_and_scale=False) as file:
        raw = file[variable].squeeze("time", drop=True)
        lon, lat = centres(box)
        part = raw.sel(lon=lon.ravel(), lat=lat.ravel(), method="nearest", tolerance=PIXEL / 100).to_numpy()
    return np.where(part <= GREATEST, part * SCALE, np.nan).astype(np.float32)


def terrain(folder: Path, box: GeoBox) -> np.ndarray:
    """Average elevation, slope and aspect onto the grid; with position (4 + 2, h, w)."""
    with tempfile.TemporaryDirectory() as out:
        stack = build_stack([folder], TERRAIN, box, DAYS[0], Path(out) / "stack")
        ground = stack.read(None, list(TERRAIN))
    position = [np.broadcast_to(axis, box.shape.yx) for axis in centres(box)]
    return np.concatenate([ground, np.stack(position)]).astype(np.float32)


def loop(fine: np.ndarray, layers: np.ndarray, box: GeoBox) -> Scene:
    """Average index and predictors over coarse cells; cells and pixels without index stay out."""
    predictors = np.where(np.isfinite(fine), layers, np.nan)
    truth = np.where(np.isfinite(predictors).all(axis=0), fine, np.nan)
    means = cell_means(np.concatenate([truth[None], np.where(np.isfinite(truth), predictors, np.nan)]))
    coarse = as_array(means[0], box.zoom_out(RATIO), "index", {"units": "1"})
    rows, columns = np.indices(means.shape[1:])
    known = np.isfinite(means[0])
    groups = (rows // 3 * 10_000 + columns // 3)[known]
    learnt = means[1:][:, known].T, means[0][known].astype(float), groups
    return Scene(coarse, box, predictors, learnt, np.flatnonzero(known), truth)


def cell_means(values: np.ndarray, least: float = 0.5) -> np.ndarray:
    """Means over RATIO x RATIO pixels; NaN where fewer than the least share are valid."""
    layers, height, width = values.shape
    blocks = values.reshape(layers, height // RATIO, RATIO, width // RATIO, RATIO).swapaxes(2, 3)
    blocks = blocks.reshape(layers, height // RATIO, width // RATIO, RATIO**2)
    share = np.isfinite(blocks).mean(axis=-1)
    total = np.nansum(blocks, axis=-1, dtype=np.float64)
    return np.where(share >= least, total / np.maximum(share * RATIO**2, 1), np.nan)


def summary(runs: dict[str, Any]) -> dict[str, Any]:
    """By day: mean RMSE and R2 of each map over seeds; the default's difference, seed by seed and over the seeds."""
    found: dict[str, Any] = {}
    for variable, day in sorted({(run["variable"], run["day"]) for run in runs.values()}):
        of_day = [run for run in runs.values() if (run["variable"], run["day"]) == (variable, day)]
        maps = {}
        for name, first in of_day[0]["maps"].items():
            if not all(name in run["maps"] for run in of_day):
                continue
            maps[name] = {key: statistics.fmean(run["maps"][name][key] for run in of_day) for key in ("rmse", "r2")}
            if name != DEFAULT and "default_minus_this_rmse" in first:
                maps[name]["default_minus_this_rmse"] = [run["maps"][name]["default_minus_this_rmse"] for run in of_day]
                maps[name]["default_minus_this_rmse_over_seeds"] = over_seeds(of_day, name)
        found[f"{variable}, {day}"] = {
            "seeds": len(of_day),
            "pixels": of_day[0]["pixels"],
            "cells": of_day[0]["training_cells"],
            "maps": maps,
        }
    return found


def table(found: dict[str, Any]) -> str:
    """Lay the summary out for people."""
    lines = []
    for day, part in found.items():
        lines.append(f"\n{day}: {part['cells']} coarse cells, {part['pixels']} pixels; index 0-1")
        for name, scores in sorted(part["maps"].items(), key=lambda item: item[1]["rmse"]):
            text = f"  {name:16s} RMSE {scores['rmse']:.5f}  R2 {scores['r2']:7.4f}"
            if "default_minus_this_rmse" in scores:
                pooled = scores["default_minus_this_rmse_over_seeds"]
                over, *each = (
                    f"{d:+.5f} ({low:+.5f} to {high:+.5f})"
                    for d, low, high in (pooled, *scores["default_minus_this_rmse"])
                )
                text += f"   {DEFAULT} minus this, all seeds: {over}; seed by seed: {', '.join(each)}"
            lines.append(text)
    return "\n".join(lines)


def say(text: str) -> None:
    """Print progress on stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
