"""Train a downscaler: check the samples, score it on held-out blocks, fit it on all, and register it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo.artefact import PHYSICAL_RANGE, Feature, TrainedModel
from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.metrics import score_table
from zoo.plugins import host, load
from zoo.progress import task
from zoo.splits import Fold, leave_group_out
from zoo.types import Downscaler, DownscalerSpec, Score

if TYPE_CHECKING:
    from zoo.registry import Registry, Resolved
    from zoo.samples import Samples

TEST_ROWS = 256
"""Test vectors that travel with a model."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train: a downscaler, a preset, single parameters over it, and the folds.

    Attributes
    ----------
    downscaler : name of the plugin
    preset : one of the plugin's parameter sets
    parameters : parameters that replace the preset's
    folds : number of folds; None makes one a group
    seed : of the folds and of the downscaler's `random_state`
    """

    downscaler: str
    preset: str = "default"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    folds: int | None = None
    seed: int = 0

    @property
    def spec(self) -> DownscalerSpec:
        """The plugin's description."""
        return host().find(DownscalerSpec, self.downscaler)

    @property
    def settings(self) -> dict[str, Any]:
        """The preset's content; it may name `features` beside parameters."""
        presets = {"default": {}, **self.spec.presets}
        if self.preset not in presets:
            raise UnknownNameError(f"preset of {self.downscaler}", self.preset, presets)
        return dict(presets[self.preset])

    @property
    def features(self) -> tuple[str, ...] | None:
        """Predictors that the preset asks for, if it does."""
        named = self.settings.get("features")
        return tuple(named) if named else None

    def estimator(self) -> Downscaler:
        """Make the unfitted estimator.

        Raises
        ------
        UnknownNameError
            If a parameter is none of the estimator's.
        """
        spec = self.spec
        factory = load(spec.estimator, spec.requires, what=f"Downscaler {spec.name!r}", extra="train")
        chosen = {key: value for key, value in self.settings.items() if key != "features"} | dict(self.parameters)
        known = factory().get_params()
        for name in chosen:
            if name not in known:
                raise UnknownNameError(f"parameter of {spec.name}", name, known)
        if "random_state" in known:
            chosen.setdefault("random_state", self.seed)
        made: Downscaler = factory(**chosen)
        return made


@dataclass(frozen=True, slots=True)
class Trained:
    """What training made: the version in the registry, its scores, and remarks for a person."""

    version: Resolved
    scores: list[Score]
    notes: list[str]


def train(samples: Samples, recipe: Recipe, registry: Registry, name: str | None = None) -> Trained:
    """Train a downscaler on samples and add it to the registry as a new version.

    Parameters
    ----------
    samples : rows with groups
    recipe : downscaler, parameters and folds
    registry : where the version is written
    name : model name; `smd-<downscaler>` without it

    Raises
    ------
    DataError
        If the samples cannot be learnt from; the registry is then unchanged.
    """
    from zoo.types import ModelRef

    name = ModelRef.parse(name or f"smd-{recipe.downscaler}").name
    check_samples(samples)
    folds = leave_group_out(samples.groups, recipe.folds, recipe.seed)
    scores = cross_validate(samples, recipe, folds)
    estimator = recipe.estimator()
    with task(f"training {recipe.downscaler} on {len(samples)} rows", None):
        estimator.fit(*_arrays(samples), groups=samples.groups)
    model = package(estimator, samples, recipe)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        model.save(path)
        version = registry.add(name, record_of(samples, recipe, estimator, scores), {"model": path})
    return Trained(version, scores, [*samples_notes(samples, estimator), *getattr(estimator, "notes_", [])])


def check_samples(samples: Samples) -> None:
    """Refuse samples that cannot be learnt from: a constant predictor, or a target that is no soil moisture."""
    low, high = float(samples.target.min()), float(samples.target.max())
    if low < 0 or high > 1:
        msg = (
            f"The target {samples.about['name']!r} runs from {low:g} to {high:g}, expected soil moisture in m3 m-3 "
            "between 0 and 1; percent must be divided by 100, missing values must be empty"
        )
        raise DataError(msg)
    if low == high:
        msg = f"The target {samples.about['name']!r} is {low:g} in all {len(samples)} rows; there is nothing to learn"
        raise DataError(msg)
    spread = samples.predictors.max() - samples.predictors.min()
    constant = [str(column) for column in spread.index[spread == 0]]
    if constant:
        msg = f"Predictor {', '.join(constant)} is constant over all {len(samples)} training rows; leave it out of --features"
        raise DataError(msg)


def cross_validate(samples: Samples, recipe: Recipe, folds: list[Fold]) -> list[Score]:
    """Score the downscaler, ridge regression and the mean on the pooled predictions of held-out folds."""
    candidates = {recipe.downscaler: recipe.estimator(), **peers()}
    split = f"{samples.split}, {len(folds)} folds, out of fold"
    scores = []
    with task("held-out folds", len(folds) * len(candidates)) as advance:
        for name, estimator in candidates.items():
            predicted = out_of_fold(estimator, samples, folds, advance)
            scores += score_table(
                samples.target,
                predicted,
                estimator=name,
                reference=_target_name(samples),
                split=split,
                groups=samples.groups,
                seed=recipe.seed,
            )
    return scores


def peers() -> dict[str, Any]:
    """Ridge regression and the mean, which every downscaler is scored beside."""
    from sklearn.dummy import DummyRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return {"ridge": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))), "mean": DummyRegressor()}


def out_of_fold(
    estimator: Any, samples: Samples, folds: list[Fold], advance: Any = lambda steps: None
) -> npt.NDArray[np.float64]:
    """Predict every row by a model that saw none of its fold (n,)."""
    from inspect import signature

    from sklearn.base import clone

    X, y = _arrays(samples)
    predicted = np.full(len(y), np.nan)
    grouped = "groups" in signature(estimator.fit).parameters
    for seen, held_out in folds:
        known = {"groups": samples.groups[seen]} if grouped else {}
        predicted[held_out] = clone(estimator).fit(X[seen], y[seen], **known).predict(X[held_out])
        advance(1)
    return predicted


def package(estimator: Downscaler, samples: Samples, recipe: Recipe) -> TrainedModel:
    """Turn a fitted estimator into an artefact with test vectors: training rows, and rows drawn in their range."""
    X, _ = _arrays(samples)
    rng = np.random.default_rng(recipe.seed)
    rows = X[rng.permutation(len(X))[: TEST_ROWS // 2]]
    drawn = rng.uniform(X.min(axis=0), X.max(axis=0), (TEST_ROWS - len(rows), X.shape[1]))
    test = np.concatenate([rows, drawn]).astype(np.float32)
    low, high = PHYSICAL_RANGE
    return TrainedModel(
        downscaler=recipe.downscaler,
        params=plain(estimator.get_params()),
        features=tuple(
            Feature(layer.name, layer.units, float(column.min()), float(column.max()))
            for layer, column in zip(samples.features, X.T, strict=True)
        ),
        target=samples.about,
        clip=(low, max(high, float(samples.target.max()))),
        state=estimator.state(),
        test_X=test,
        test_y=np.asarray(estimator.predict(test), dtype=np.float64),
    )


def record_of(samples: Samples, recipe: Recipe, estimator: Downscaler, scores: list[Score]) -> dict[str, Any]:
    """Describe a version for the registry, all but its number and files."""
    plugin = host().origin(DownscalerSpec, recipe.downscaler)
    X, _ = _arrays(samples)
    return {
        "downscaler": recipe.downscaler,
        "plugin": plugin.distribution,
        "plugin_version": plugin.version,
        "preset": recipe.preset,
        "hyperparameters": plain(estimator.get_params()),
        "seed": recipe.seed,
        "sensor": samples.about["sensor"],
        "target": samples.about,
        "features": [
            {"name": layer.name, "units": layer.units, "min": float(column.min()), "max": float(column.max())}
            for layer, column in zip(samples.features, X.T, strict=True)
        ],
        "dataset": {**samples.dataset, "rows": len(samples), "dropped": samples.dropped},
        "simulated": samples.simulated,
        "scores": scores,
        "notes": [*samples_notes(samples, estimator), *getattr(estimator, "notes_", [])],
        **samples.context,
    }


def samples_notes(samples: Samples, estimator: Downscaler) -> list[str]:
    """Remarks that a reader of the scores must know."""
    notes = ["Trained and scored on simulated data."] if samples.simulated else []
    left_out = {reason: count for reason, count in samples.dropped.items() if count}
    if left_out:
        notes.append("Rows left out: " + ", ".join(f"{count} {reason}" for reason, count in left_out.items()) + ".")
    return notes


def plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON can hold them."""
    return {
        key: value if value is None or isinstance(value, (bool, int, float, str, list)) else
        list(value) if isinstance(value, tuple) else str(value)
        for key, value in sorted(parameters.items())
    }


def parse_parameter(text: str) -> tuple[str, Any]:
    """Read `name=value`; the value is JSON, or else text."""
    import json

    name, equals, value = text.partition("=")
    if not equals or not name:
        msg = f"--set {text!r} is not NAME=VALUE; expected for example --set BP_epochs=200"
        raise UsageError(msg)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _arrays(samples: Samples) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    return samples.predictors.to_numpy(dtype=np.float32), samples.target


def _target_name(samples: Samples) -> str:
    about = samples.about
    return f"{about['product']} {about['name']}" if about["sensor"] is None else str(about["product"])
