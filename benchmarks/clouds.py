"""Maps under clouds: the simulated scene with 20 to 80 % of its optical pixels hidden, against its 1 km truth.

Clouds are the highest part of a Gaussian random field (von Karman, 25 km), the same for all optical layers of the day,
drawn anew for each seed and laid over the scene's own gaps. Models learn from the cells of the clouded day alone.
Ways: `none` (pixels with all predictors), `patterns` (a fallback model for each pattern of missing predictors),
`dct-pls` (predictors filled), `both` (filled up to a few pixels into a cloud, fallbacks beyond), and bilinear
interpolation of the coarse field, carried on to the edge. All maps are given with and without the correction to the
coarse means; R2 is 1 - SSE/SST over all land (for `none`: over the pixels that have a value). With `--output` a run
that was ended goes on where it stopped.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import rasterio
from code_version import code_version
from scipy.ndimage import distance_transform_edt

from zoo.correction import correct
from zoo.gapfill.stack import fill_stack
from zoo.inference.patterns import FALLBACK, OBSERVED, PatternSession, fewest, patterns_of
from zoo.inference.runtime import Session
from zoo.inputs import open_coarse, open_stack, sample_request
from zoo.interpolation import interpolate
from zoo.learning.fitting import fit
from zoo.learning.splits import folds_for
from zoo.maps import read_map
from zoo.model.recipe import Recipe
from zoo.plugins import host, make
from zoo.predictors import GROUPS, PAPER
from zoo.samples.cells import read_cells
from zoo.samples.rows import Samples, from_cells
from zoo.simulate import Scene
from zoo.simulate.fields import gaussian_field
from zoo.stack import Stack, coarse_means
from zoo.stack.opened import MAX_WATER
from zoo.training import context_of, out_of_fold, package, texture_of
from zoo.types import ExporterSpec

if TYPE_CHECKING:
    import xarray as xr

Floats = npt.NDArray[np.float32]
SHARES = (0.2, 0.4, 0.6, 0.8)
CLOUD_KM = 25.0
RESULTS = Path(__file__).parent / "results" / "clouds.json"
ROOT = Path(__file__).resolve().parents[1]
CODE = ("plugins/zoo_dbn", "exporters/zoo_onnx", "zoo/learning", "zoo/correction", "zoo/gapfill", "zoo/inference")
"""What makes the maps: rows of other code are not taken for its own."""
MARKS = "<!-- figures -->", "<!-- end of figures -->"


@dataclass(frozen=True)
class Day:
    """The scene: its predictors, its coarse field, the truth, and which pixels are land."""

    stack: Stack
    coarse: xr.DataArray
    cells: Any
    truth: Floats
    land: npt.NDArray[np.bool_]


def main() -> None:
    """Score every share of clouds and seed that is not there yet, then print."""
    options = _options()
    day = sample_day()
    facts = about(options)
    rows = kept(options.output, facts)
    control = flat_map(day)
    known = {(row["clouds"], row["seed"]) for row in rows}
    for share, seed in itertools.product(options.shares, options.seeds):
        if (share, seed) in known:
            continue
        begun = time.perf_counter()
        rows += scores_under_clouds(day, options, share, seed)
        write(options.output, facts, rows, control)
        print(f"{share:.0%} clouds, seed {seed}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    write(options.output, facts, rows, control)
    if options.page:
        put_in(options.page, summary(rows), control)
    told = {"about": facts, "summary": summary(rows), "flat_map_corrected": control}
    print(json.dumps(told, indent=1) if options.json else table(summary(rows)))


def kept(path: Path | None, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of an earlier run of the same kind."""
    if path is None or not path.exists():
        return []
    found = json.loads(path.read_text())
    return list(found["rows"]) if found["about"] == facts else []


def write(path: Path | None, facts: dict[str, Any], rows: list[dict[str, Any]], control: dict[str, Any]) -> None:
    """Write the rows and their summary as JSON, if a file is wanted."""
    if path is not None:
        path.parent.mkdir(exist_ok=True)
        content = {"about": facts, "summary": summary(rows), "flat_map_corrected": control, "rows": rows}
        path.write_text(json.dumps(content, indent=1) + "\n")


def flat_map(day: Day) -> dict[str, Any]:
    """Score a map of one value, corrected to the coarse means: what the correction does without any model."""
    level = np.where(_wet(day.stack), np.nan, float(day.coarse.mean()))
    fine = correct(level, day.stack.geobox, day.coarse, "exact")[0]
    found = score(fine, None, day, np.zeros(fine.shape, np.bool_))
    return {name: found[name] for name in ("coverage", "r2", "rmse", "n")}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--output", type=Path, help=f"write them to a file, for example {RESULTS.name}")
    parser.add_argument("--page", type=Path, help="put the figures into a page of the documentation")
    parser.add_argument("--downscaler", default="dbn")
    parser.add_argument("--group", default="optical", choices=list(GROUPS), help="predictors that clouds hide")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES)
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5), help="of the cloud fields")
    parser.add_argument("--reach", type=float, default=3, help="of `both`, pixels into a cloud that are filled")
    return parser.parse_args()


def sample_day() -> Day:
    """Open the sample scene."""
    request = sample_request("smap")
    stack = open_stack(request, PAPER)
    truth = read_map(Scene.open(request.places[0]).truth).to_numpy()
    water = stack.read_water()
    land = np.isfinite(truth) & (True if water is None else ~(water > MAX_WATER))
    return Day(stack, open_coarse(request), read_cells(request, PAPER), truth, land)


def scores_under_clouds(day: Day, options: argparse.Namespace, share: float, seed: int) -> list[dict[str, Any]]:
    """Cloud the day, map it every way, and score every map."""
    hidden = [name for name in PAPER if name in GROUPS[options.group]]
    rng = np.random.default_rng([seed, round(100 * share)])
    field = gaussian_field(rng, day.truth.shape, (1000.0, 1000.0), 1000 * CLOUD_KM)
    clouds = field > np.quantile(field[day.land], 1 - share)
    with tempfile.TemporaryDirectory() as folder:
        stack = clouded(day.stack, hidden, clouds, Path(folder))
        means = coarse_means(stack, PAPER, day.coarse, min_valid=0)
        cells = replace(day.cells, means=means)
        samples = from_cells(cells, PAPER)
        whole = compiled(samples, options.downscaler, seed, Path(folder) / "whole.onnx")
        texture = texture_weight(samples, options.downscaler, seed)
        fallbacks = [
            compiled(
                from_cells(cells, [name for name in PAPER if name not in left_out]),
                options.downscaler,
                seed,
                Path(folder) / f"fallback{number}.onnx",
            )
            for number, left_out in enumerate(fewest(patterns_of(stack, PAPER), PAPER))
        ]
        maps = dict(all_ways(stack, PatternSession(whole, fallbacks), options.reach, Path(folder)))
    maps["bilinear"] = (nearest_filled(interpolate(day.coarse, stack.geobox).to_numpy()), None)
    truly_hidden = float((clouds & day.land).sum() / day.land.sum())
    rows = []
    for way, (values, codes) in maps.items():
        for correction in ("none",) if way == "bilinear" else ("none", "exact"):
            fine = values
            if correction == "exact":
                fine = correct(values, stack.geobox, day.coarse, "exact", whole.clip, texture=texture)[0]
            common = {"clouds": share, "hidden": truly_hidden, "seed": seed, "way": way, "correction": correction}
            rows.append({**common, **score(fine, codes, day, clouds)})
    return rows


def clouded(stack: Stack, hidden: Sequence[str], clouds: npt.NDArray[np.bool_], folder: Path) -> Stack:
    """Write the layers that clouds hide with the gaps, and open the stack with them."""
    layers = dict(stack.layers)
    for name in hidden:
        values = np.where(clouds, np.float32(np.nan), stack.read(names=[name])[0])
        path = folder / f"{name}.tif"
        profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "nodata": np.nan, "crs": str(stack.geobox.crs)}
        with rasterio.open(
            path, "w", **profile, height=values.shape[0], width=values.shape[1], transform=stack.geobox.affine
        ) as file:
            file.write(values, 1)
        layers[name] = replace(layers[name], path=path, address=str(path), band=1, geobox=stack.geobox)
    return replace(stack, layers=layers)


def compiled(samples: Samples, downscaler: str, seed: int, path: Path) -> Session:
    """Train on all rows and compile."""
    recipe = Recipe(downscaler, seed=seed)
    estimator = recipe.estimator()
    X = samples.predictors.to_numpy(np.float32)
    fit(estimator, X, samples.target, context_of(samples))
    source = path.with_suffix(".safetensors")
    package(estimator, samples, recipe).save(source)
    make(host().find(ExporterSpec, "onnx")).export(source, path)
    return Session(path, device="cpu", threads=1)


def texture_weight(samples: Samples, downscaler: str, seed: int) -> float:
    """Weigh the texture inside cells by held-out blocks, as training does."""
    recipe = Recipe(downscaler, seed=seed)
    folds = folds_for(recipe.use, samples.groups, samples.times, recipe.folds, seed)
    found = texture_of(samples, recipe.use, out_of_fold(recipe.estimator(), samples, folds))
    return 1.0 if found is None else found.weight


def all_ways(
    stack: Stack, session: PatternSession, reach: float, folder: Path
) -> Iterator[tuple[str, tuple[Floats, npt.NDArray[np.uint8]]]]:
    """Map a clouded stack in each way, water and all; with the codes of how each pixel was made."""
    filled, part = folder / "filled", folder / "part"
    filled.mkdir()
    part.mkdir()
    sources = {
        "none": (stack, False),
        "patterns": (stack, True),
        "dct-pls": (fill_stack(stack, PAPER, ["dct-pls"], filled).stack, False),
        "both": (fill_stack(stack, PAPER, ["dct-pls"], part, reach=reach).stack, True),
    }
    for way, (source, fallbacks) in sources.items():
        rows = source.read(names=PAPER).reshape(len(PAPER), -1).T
        values = (session if fallbacks else session.whole).answers(rows)["soil_moisture"]
        codes = session.codes(rows) if fallbacks else np.where(np.isfinite(values), OBSERVED, 0).astype(np.uint8)
        shape = source.geobox.shape.yx
        yield way, (np.where(_wet(stack), np.float32(np.nan), values.reshape(shape)), codes.reshape(shape))


def nearest_filled(field: Floats) -> Floats:
    """Carry a map on to where it has no value: bilinear interpolation ends half a cell before the edge."""
    nearest = distance_transform_edt(np.isnan(field), return_distances=False, return_indices=True)
    return field[tuple(nearest)]


def _wet(stack: Stack) -> npt.NDArray[np.bool_]:
    water = stack.read_water()
    return np.zeros(stack.geobox.shape.yx, np.bool_) if water is None else water > MAX_WATER


def score(
    fine: npt.NDArray[Any], codes: npt.NDArray[np.uint8] | None, day: Day, clouds: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """Score a map over land, over clear and over clouded land; coverage is the share of land with a value."""
    found: dict[str, Any] = {"coverage": float(np.isfinite(fine[day.land]).mean())}
    if codes is not None:
        found["fallback"] = float((codes[day.land] == FALLBACK).mean())
    for where, part in (("", day.land), ("_clear", day.land & ~clouds), ("_clouded", day.land & clouds)):
        known = part & np.isfinite(fine)
        if known.sum() > 1:
            error, truth = fine[known] - day.truth[known], day.truth[known]
            found[f"r2{where}"] = float(1 - (error**2).sum() / ((truth - truth.mean()) ** 2).sum())
            found[f"rmse{where}"] = float(np.sqrt((error**2).mean()))
            found[f"n{where}"] = int(known.sum())
    return found


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and range over the seeds, and the difference to bilinear interpolation seed by seed."""
    made = []
    for key in dict.fromkeys((row["clouds"], row["way"], row["correction"]) for row in rows):
        mine = [row for row in rows if (row["clouds"], row["way"], row["correction"]) == key]
        peers = {row["seed"]: row["r2"] for row in rows if (row["clouds"], row["way"]) == (key[0], "bilinear")}
        gains = [row["r2"] - peers[row["seed"]] for row in mine if "r2" in row]
        r2 = [row["r2"] for row in mine if "r2" in row]
        names = ("coverage", "fallback", "rmse", "r2_clear", "r2_clouded")
        means = {name: statistics.mean(values) for name in names if (values := [r[name] for r in mine if name in r])}
        made.append(
            {
                **dict(zip(("clouds", "way", "correction"), key, strict=True)),
                "seeds": len(mine),
                **({"r2": statistics.mean(r2), "r2_min": min(r2), "r2_max": max(r2)} if r2 else {}),
                **means,
                **({"r2_over_bilinear": statistics.mean(gains), "r2_over_bilinear_min": min(gains)} if gains else {}),
            }
        )
    return made


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Lay the summary out for reading."""
    names = ("clouds", "way", "correction", "coverage", "r2", "r2_min", "rmse", "r2_clouded", "r2_over_bilinear_min")
    head = " ".join(f"{name[-12:]:>12}" for name in names)
    body = (" ".join(f"{_cell(line.get(name)):>12}" for name in names) for line in lines)
    return "\n".join([head, *body])


def put_in(page: Path, lines: Sequence[dict[str, Any]], control: dict[str, Any]) -> None:
    """Replace what stands between the marks of a page by a table of the corrected maps and bilinear interpolation."""
    head = "| clouded | way | land covered | R2, mean (range) | RMSE | R2 under clouds | R2 - bilinear's, least |"
    rows = [head, "|---|---|---|---|---|---|---|"]
    for line in lines:
        if line["correction"] == "exact" or line["way"] == "bilinear":
            spread = f"{line['r2']:.3f} ({line['r2_min']:.3f} to {line['r2_max']:.3f})"
            under = f"{line['r2_clouded']:.3f}" if "r2_clouded" in line else ""
            gain = "" if line["way"] in ("bilinear", "none") else f"{line['r2_over_bilinear_min']:+.3f}"
            cells = (f"{line['clouds']:.0%}", line["way"], f"{line['coverage']:.1%}", spread, f"{line['rmse']:.4f}")
            rows.append(f"| {' | '.join((*cells, under, gain))} |")
    rows += [
        "",
        f"A map of one value, corrected in the same way, has R2 {control['r2']:.3f}: the rest is the predictors'.",
    ]
    before, _, rest = page.read_text().partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    page.write_text(f"{before}{MARKS[0]}\n{chr(10).join(rows)}\n{MARKS[1]}{after}")


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str("" if value is None else value)


def about(options: argparse.Namespace) -> dict[str, Any]:
    """Say what was run, and on what."""
    return {
        "command": f"python benchmarks/clouds.py --downscaler {options.downscaler} --group {options.group}",
        "data": "simulated sample scene, SMAP L4 (simulated)",
        "cloud_km": CLOUD_KM,
        "reach": options.reach,
        "code": code_version(file for folder in CODE for file in sorted((ROOT / folder).glob("*.py"))),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("soil-moisture-zoo", "numpy", "scipy", "torch", "scikit-learn")},
    }


if __name__ == "__main__":
    main()
