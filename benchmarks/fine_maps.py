"""Fine maps by several ways from one coarse field, and their scores against a fine field that none of them saw."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from filelock import FileLock
from odc.geo.geobox import GeoBox

from zoo.correction import Texture, border_jump_ratio, correct, texture_weight
from zoo.interpolation import interpolate
from zoo.learning.splits import leave_group_out
from zoo.model.recipe import Recipe
from zoo.scores.gains import downscaling_gains
from zoo.scores.metrics import score_table
from zoo.scores.paired import paired_differences
from zoo.scores.resampling import RESAMPLES, draw, interval_of

DEFAULT = "dbn + weighted"
FOLDS = 5
PEERS = ("bilinear", "cubic", "rf + smooth")


@dataclass(frozen=True)
class Scene:
    """A coarse field, predictors on the fine grid, rows to learn from, and the fine truth."""

    coarse: xr.DataArray
    box: GeoBox
    predictors: np.ndarray
    """(layers, h, w), NaN where missing."""
    rows: tuple[np.ndarray, np.ndarray, np.ndarray]
    """Predictors of the coarse cells (n, k), target (n,), groups (n,)."""
    cells: np.ndarray
    """Flat number in the coarse field of each row (n,)."""
    truth: np.ndarray
    """(h, w), NaN where there is none."""


def fine_maps(
    scene: Scene, downscalers: list[str], seed: int, progress: Callable[[str], None]
) -> Iterator[tuple[str, np.ndarray]]:
    """Interpolations of the coarse field, then each downscaler uncorrected, smoothly and exactly corrected.

    `weighted` is the exact correction with the weight of texture that held-out coarse cells speak for.
    """
    for method in ("bilinear", "cubic"):
        yield method, interpolate(scene.coarse, scene.box, method).to_numpy()
    flat = np.full(scene.box.shape.yx, float(np.nanmean(scene.coarse)), np.float32)
    yield "area-to-point", correct(flat, scene.box, scene.coarse)[0]
    for name in downscalers:
        raw = _predicted(scene, name, seed)
        yield name, raw
        for mode in ("smooth", "exact"):
            yield f"{name} + {mode}", correct(raw, scene.box, scene.coarse, mode)[0]  # type: ignore[arg-type]
        texture = _texture(scene, name, seed)
        progress(f"{name}: {texture}")
        yield f"{name} + weighted", correct(raw, scene.box, scene.coarse, texture=texture.weight)[0]


def scored(scene: Scene, maps: dict[str, np.ndarray], seed: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """R2, RMSE, G_DOWN and border jumps of each map on the pixels that all have; differences from the default.

    Intervals are bootstraps over squares of 3 x 3 coarse cells.
    """
    labels = _groups(scene)
    coarse = interpolate(scene.coarse, scene.box, "nearest").to_numpy().ravel()
    kept = np.isfinite([scene.truth.ravel(), coarse, *(values.ravel() for values in maps.values())]).all(axis=0)
    kept &= labels >= 0
    truth, groups, units = scene.truth.ravel()[kept], labels[kept], np.unique(labels[kept], return_inverse=True)[1]
    about = {"reference": "truth", "split": "fine truth", "groups": groups, "seed": seed, "resamples": 1000}
    found: dict[str, Any] = {}
    for name, values in maps.items():
        fine = values.ravel()[kept]
        scores = {s.metric: s.value for s in score_table(truth, fine, estimator=name, **about)}
        gain = downscaling_gains(truth, fine, coarse[kept], estimator=name, **about)[0]
        found[name] = {
            "r2": scores["r2"],
            "rmse": scores["rmse"],
            "g_down": gain.value,
            "g_down_interval": [gain.ci_low, gain.ci_high],
            "border_jump_ratio": border_jump_ratio(values, scene.box, scene.coarse.odc.geobox),
            "squared_error_by_square": np.bincount(units, (fine - truth) ** 2).tolist(),
        }
        if DEFAULT in maps and name != DEFAULT:
            found[name] |= _default_minus(maps[DEFAULT].ravel()[kept], fine, truth, groups, seed)
        progress(f"{name:16s} R2 {scores['r2']:7.4f}  RMSE {scores['rmse']:.5f}  G_DOWN {gain.value:6.3f}")
    counts = {"pixels": int(kept.sum()), "truth_pixels": int(np.isfinite(scene.truth).sum())}
    return {**counts, "pixels_by_square": np.bincount(units).tolist(), "maps": found}


def _default_minus(
    best: np.ndarray, fine: np.ndarray, truth: np.ndarray, groups: np.ndarray, seed: int
) -> dict[str, list[float | None]]:
    differences = paired_differences(
        truth, best, fine, groups=groups, seed=seed, metrics=("r2", "rmse"), resamples=1000
    )  # fmt: skip
    return {f"default_minus_this_{d.metric}": [d.difference, d.ci_low, d.ci_high] for d in differences}


def over_seeds(runs: list[dict[str, Any]], name: str) -> list[float | None]:
    """Return the default's RMSE minus a map's, from the squared errors of all seeds, and its interval over squares."""
    counts = np.array(runs[0]["pixels_by_square"], float)
    assert all(run["pixels_by_square"] == runs[0]["pixels_by_square"] for run in runs)
    mean = [np.mean([run["maps"][one]["squared_error_by_square"] for run in runs], axis=0) for one in (DEFAULT, name)]
    sums = np.column_stack([counts, *mean])

    def difference(some: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(some[:, 1] / some[:, 0]) - np.sqrt(some[:, 2] / some[:, 0]))

    low, high = interval_of(sums, draw(len(sums), RESAMPLES, 0), difference) or (None, None)
    return [float(difference(sums.sum(axis=0, keepdims=True))[0]), low, high]


def kept(
    path: Path, command: str, key: str, run: dict[str, Any], summary: Callable[[dict[str, Any]], Any]
) -> dict[str, Any]:
    """Add a run to a file of results; runs side by side do not lose each other's."""
    path.parent.mkdir(exist_ok=True)
    with FileLock(Path(tempfile.gettempdir()) / f"{path.name}.lock"):
        runs = json.loads(path.read_text())["runs"] if path.exists() else {}
        runs = dict(sorted((runs | {key: run}).items()))
        done = {"command": command, "default": DEFAULT, "summary": summary(runs), "runs": runs}
        path.write_text(json.dumps(done, indent=1) + "\n")
    return done


def _predicted(scene: Scene, name: str, seed: int) -> np.ndarray:
    model = _fitted(name, seed, *scene.rows)
    pixels = scene.predictors.reshape(len(scene.predictors), -1).T
    whole = np.isfinite(pixels).all(axis=1)
    values = np.full(len(pixels), np.nan, np.float32)
    values[whole] = np.clip(model.predict(pixels[whole].astype(np.float32)), 0, 1)
    return values.reshape(scene.box.shape.yx)


def _fitted(name: str, seed: int, X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Recipe(name, seed=seed).estimator().fit(X.astype(np.float32), y, groups=groups)


def _texture(scene: Scene, name: str, seed: int) -> Texture:
    """Weigh texture by predictions of held-out blocks, as training makes them."""
    X, y, groups = scene.rows
    said, known = (np.full(scene.coarse.size, np.nan) for _ in range(2))
    known[scene.cells] = y
    for seen, held_out in leave_group_out(groups, FOLDS, seed):
        model = _fitted(name, seed, X[seen], y[seen], groups[seen])
        said[scene.cells[held_out]] = model.predict(X[held_out].astype(np.float32))
    return texture_weight(known.reshape(scene.coarse.shape), said.reshape(scene.coarse.shape))


def _groups(scene: Scene) -> np.ndarray:
    """Label of the square of 3 x 3 coarse cells that holds each pixel; -1 outside the coarse field."""
    height, width = scene.coarse.shape
    numbers = scene.coarse.copy(data=np.add.outer(np.arange(height) // 3 * 10_000, np.arange(width) // 3).astype("f4"))
    labels = interpolate(numbers, scene.box, "nearest").to_numpy().ravel()
    return np.where(np.isfinite(labels), labels, -1)
