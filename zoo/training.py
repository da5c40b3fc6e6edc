"""Train a downscaler: check the samples, score it on held-out blocks, fit it on all, and register it."""

from __future__ import annotations

import platform
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo.correction import Texture, texture_of_rows
from zoo.errors import DataError, UsageError
from zoo.learning.ablation import Ablated, ablation
from zoo.learning.applicability import sensitivity
from zoo.learning.fitting import Context
from zoo.learning.fitting import out_of_fold as held_out_predictions
from zoo.learning.informative import Emphasis, check_weighable, ridge
from zoo.learning.informative import out_of_fold as emphasised_out_of_fold
from zoo.learning.splits import Fold, Use, folds_for, units_for
from zoo.learning.uncertainty import Uncertainty, uncertainty_of
from zoo.model.artefact import PHYSICAL_RANGE, Feature, TrainedModel, calibration_rows, probe_rows
from zoo.model.recipe import Recipe
from zoo.plugins import host
from zoo.predictors import SEASON
from zoo.progress import task
from zoo.registry import Registry, Resolved, VersionRecord, schema, score_records
from zoo.samples.fingerprint import without_outliers
from zoo.scores.domain import DomainErrors, domain_errors
from zoo.scores.metrics import score_table
from zoo.types import Downscaler, DownscalerSpec, ModelRef, Score

if TYPE_CHECKING:
    from zoo.samples.rows import Samples


@dataclass(frozen=True, slots=True)
class Trained:
    """What training made: the version in the registry, its scores, and remarks for a person."""

    version: Resolved
    scores: list[Score]
    notes: list[str]


def train(
    samples: Samples, recipe: Recipe, registry: Registry, name: str | None = None, *, ablate: bool = False
) -> Trained:
    """Train a downscaler on samples and add it to the registry as a new version.

    Parameters
    ----------
    samples : rows with groups, and with times where the use needs them
    recipe : downscaler, parameters, use and folds
    registry : where the version is written
    name : model name; `smd-<downscaler>` without it
    ablate : whether the card says what pre-training and the correction are worth; costs a further cross-validation
        for each variant

    Raises
    ------
    DataError
        If the samples cannot be learnt from; the registry is then unchanged.
    UsageError
        If a parameter is out of its limits.
    """
    name = ModelRef.parse(name or f"smd-{recipe.downscaler}").name
    check_samples(samples)
    emphasis = emphasis_of(samples, recipe)
    folds = folds_for(recipe.use, samples.groups, samples.times, recipe.folds, recipe.seed)
    with _parameters_in_range(recipe):
        scores, held_out, left_out = cross_validate(samples, recipe, folds)
    texture = texture_of(samples, recipe.use, held_out)
    with task(f"training {recipe.downscaler} on {len(samples)} rows", None):
        estimator, outliers = emphasis.fit(recipe.estimator(), *_arrays(samples), context_of(samples))
    samples = as_learnt(samples, recipe, int(outliers.sum()), left_out)
    X, y = _arrays(samples)
    units = units_for(recipe.use, samples.groups, samples.times)
    errors = uncertainty_of(
        sensitivity(estimator.predict, X, seed=recipe.seed),
        X,
        y,
        units,
        folds,
        held_out,
        clip=PHYSICAL_RANGE,
        seed=recipe.seed,
    )
    domain = domain_errors(held_out - y, errors.outside, units, seed=recipe.seed)
    model = package(estimator, samples, recipe, errors)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        model.save(path)
        ablated = ablation(samples, recipe) if ablate else ()
        record = record_of(samples, recipe, estimator, scores, ablated, texture, domain)
        version = registry.add(name, record, {"model": path})
    return Trained(version, scores, remarks(samples, estimator))


@contextmanager
def _parameters_in_range(recipe: Recipe) -> Iterator[None]:
    """Say in one line which parameter scikit-learn refuses: it looks at them when it fits, and its error is private."""
    try:
        yield
    except ValueError as error:
        if type(error).__name__ != "InvalidParameterError":
            raise
        msg = f"{recipe.downscaler} cannot be trained with these parameters; see --set, --preset and --seed: {error}"
        raise UsageError(msg) from error


def check_samples(samples: Samples) -> None:
    """Refuse samples that cannot be learnt from: a constant predictor, or a target that is no soil moisture."""
    low, high = float(samples.target.min()), float(samples.target.max())
    if low < 0 or high > 1:
        msg = (
            f"The target {samples.about.name!r} runs from {low:g} to {high:g}, expected soil moisture in m3 m-3 "
            "between 0 and 1; percent must be divided by 100, missing values must be empty"
        )
        raise DataError(msg)
    if low == high:
        msg = f"The target {samples.about.name!r} is {low:g} in all {len(samples)} rows; there is nothing to learn"
        raise DataError(msg)
    spread = samples.predictors.max() - samples.predictors.min()
    constant = [str(column) for column in spread.index[spread == 0]]
    if constant:
        names = ", ".join(constant)
        msg = f"Predictor {names} is constant over all {len(samples)} training rows; leave it out of --features"
        if set(constant) & set(SEASON):
            msg += ", or give rows of many days: one day has one season"
        raise DataError(msg)


def emphasis_of(samples: Samples, recipe: Recipe) -> Emphasis:
    """Return what counts among the rows; UsageError if they have weights and the downscaler takes none."""
    if samples.weights is not None:
        check_weighable(recipe.downscaler, recipe.estimator())
    return Emphasis(samples.weights, recipe.outliers, recipe.seed)


def as_learnt(samples: Samples, recipe: Recipe, outliers: int, in_folds: Sequence[int]) -> Samples:
    """Say in the samples how their rows were weighed, and which were left out."""
    notes, dataset = list(samples.notes), samples.dataset
    if samples.weights is not None:
        least, most = samples.weights.min(), samples.weights.max()
        notes.append(f"Rows weighed {least:.2f} to {most:.2f} in training, 1 on average; scores heed no weights.")
    if recipe.outliers is not None:
        dataset = without_outliers(dataset, recipe.outliers, outliers)
        notes.append(
            f"Outliers are rows that a ridge regression on other training rows misses by more than {recipe.outliers:g} "
            f"robust standard deviations. {outliers} were left out of training, and {', '.join(map(str, in_folds))} of "
            "the training rows of the folds; every held-out row was scored."
        )
    return replace(samples, notes=tuple(notes), dataset=dataset)


def cross_validate(
    samples: Samples, recipe: Recipe, folds: list[Fold]
) -> tuple[list[Score], npt.NDArray[np.float64], list[int]]:
    """Score the downscaler, ridge regression and the mean on the pooled predictions of held-out folds.

    Returns
    -------
    The scores; the downscaler's own predictions (n,), m3 m-3, NaN for a row that no fold holds out; and how many of
    each fold's training rows were left out as outliers. Its peers learn from all rows alike.
    """
    candidates = {recipe.downscaler: recipe.estimator(), **peers()}
    split = f"{_held_out(samples, recipe.use)}, {len(folds)} folds, out of fold, for {recipe.use}"
    scores, held_out = [], {}
    emphasis, left_out = emphasis_of(samples, recipe), list[int]()
    with task("held-out folds", len(folds) * len(candidates)) as advance:
        for name, estimator in candidates.items():
            if name == recipe.downscaler:
                known = *_arrays(samples), context_of(samples)
                held_out[name], left_out = emphasised_out_of_fold(estimator, *known, folds, emphasis, advance)
            else:
                held_out[name] = out_of_fold(estimator, samples, folds, advance)
            scores += score_table(
                samples.target,
                held_out[name],
                estimator=name,
                reference=_target_name(samples),
                split=split,
                groups=units_for(recipe.use, samples.groups, samples.times),
                seed=recipe.seed,
            )
    return scores, held_out[recipe.downscaler], left_out


def peers() -> dict[str, Any]:
    """Ridge regression and the mean, which every downscaler is scored beside."""
    from sklearn.dummy import DummyRegressor

    return {"ridge": ridge(), "mean": DummyRegressor()}


def out_of_fold(
    estimator: Any, samples: Samples, folds: list[Fold], advance: Any = lambda steps: None
) -> npt.NDArray[np.float64]:
    """Predict every row by a model that saw nothing of its fold, (n,)."""
    return held_out_predictions(estimator, *_arrays(samples), context_of(samples), folds, advance)


def context_of(samples: Samples) -> Context:
    """Return the labels of the rows."""
    return Context(samples.groups, samples.places, samples.times)


def package(estimator: Downscaler, samples: Samples, recipe: Recipe, errors: Uncertainty | None = None) -> TrainedModel:
    """Turn a fitted estimator into an artefact, with the rows by which every export of it will be judged."""
    X, y = _arrays(samples)
    test = probe_rows(X, seed=recipe.seed)
    low, high = PHYSICAL_RANGE
    return TrainedModel(
        downscaler=recipe.downscaler,
        params=estimator.get_params(),
        features=features_of(samples),
        target=samples.about.model_dump(mode="json"),
        state=estimator.state(),
        test_X=test,
        test_y=np.asarray(estimator.predict(test), dtype=np.float64),
        clip=(low, high),
        calib_X=calibration_rows(X, seed=recipe.seed),
        interval=None if errors is None else errors.interval.arrays(),
        applicability=None if errors is None else errors.applicability.arrays(),
    )


def features_of(samples: Samples) -> tuple[Feature, ...]:
    """Describe the predictors, with the range that training saw."""
    X, _ = _arrays(samples)
    return tuple(
        Feature(name=layer.name, units=layer.units, min=float(column.min()), max=float(column.max()))
        for layer, column in zip(samples.features, X.T, strict=True)
    )


def texture_of(samples: Samples, use: Use, held_out: npt.NDArray[np.float64]) -> Texture | None:
    """Estimate how much of the model's differences inside cells to believe.

    None where rows are no cells, or the model had seen the places that it was asked for: it then knows their level.
    """
    if samples.cells is None or use == "time":
        return None
    return texture_of_rows(samples.cells, samples.times, samples.target, held_out)


def record_of(
    samples: Samples,
    recipe: Recipe,
    estimator: Downscaler,
    scores: list[Score],
    ablated: Sequence[Ablated] = (),
    texture: Texture | None = None,
    domain: DomainErrors | None = None,
) -> VersionRecord:
    """Describe a version for the registry, all but its number and files."""
    plugin = host().origin(DownscalerSpec, recipe.downscaler)
    return VersionRecord(
        architecture=recipe.downscaler,
        plugin=plugin.distribution,
        plugin_version=plugin.version,
        code_commit=code_commit(),
        preset=recipe.preset,
        hyperparameters=estimator.get_params(),
        seed=recipe.seed,
        use=recipe.use,
        sensor=samples.about.sensor,
        target=samples.about,
        features=tuple(schema.Feature(**asdict(feature)) for feature in features_of(samples)),
        dataset=samples.dataset,
        bbox=samples.bbox,
        target_grid=samples.target_grid,
        start_datetime=samples.period[0],
        end_datetime=samples.period[1],
        environment=environment(recipe.spec.requires),
        scores=score_records(scores),
        notes=tuple(remarks(samples, estimator)),
        simulated=samples.simulated,
        ablation=tuple(schema.AblationRecord(**asdict(one)) for one in ablated),
        texture=None if texture is None else schema.TextureRecord(**asdict(texture)),
        domain=None if domain is None else schema.DomainRecord(**asdict(domain)),
    )


def remarks(samples: Samples, estimator: Downscaler) -> list[str]:
    """Say what a reader of the scores must know."""
    notes = [] if samples.coarse is None else list(samples.coarse.attrs.get("notes", []))
    notes += samples.notes
    left_out = {reason: count for reason, count in samples.dataset.dropped.items() if count}
    if left_out:
        notes.append("Rows left out: " + ", ".join(f"{count} {reason}" for reason, count in left_out.items()) + ".")
    return notes + list(getattr(estimator, "notes_", []))


def environment(packages: Sequence[str]) -> dict[str, str]:
    """Versions of Python and of the packages that training used."""
    found = packages_distributions()
    names = sorted({"numpy", "soil-moisture-zoo", *(dist for package in packages for dist in found.get(package, ()))})
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def code_commit() -> str | None:
    """Commit of the checkout that this code runs from; None outside of one."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    done = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _arrays(samples: Samples) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    return samples.predictors.to_numpy(dtype=np.float32), samples.target


def _held_out(samples: Samples, use: Use) -> str:
    """Say what a fold holds out."""
    return {"space": samples.split, "time": "later times", "both": f"{samples.split} at later times"}[use]


def _target_name(samples: Samples) -> str:
    about = samples.about
    return str(about.product) if about.sensor else f"{about.product} {about.name}"
