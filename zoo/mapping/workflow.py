"""From a place and a date to the map, its scores and its report: fetch, stack, train, export, predict, validate."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from zoo import __version__
from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.inputs import stack_key
from zoo.mapping.plan import JOURNAL, Commands, Plan, planned
from zoo.mapping.steps import Journal, Result, State, Steps, Tell
from zoo.model.recipe import Recipe
from zoo.registry import Registry, Resolved
from zoo.registry.files import replace_text, sha256
from zoo.samples.fingerprint import without_outliers
from zoo.types import Area, Score

if TYPE_CHECKING:
    from zoo.stack.folder import StackFolder
    from zoo.stack.record import CoarseRecord

__all__ = ["STEPS", "Mapped", "Plan", "make_map", "planned"]

STEPS = ("fetch", "stack", "train", "export", "predict", "validate", "report")
"""In their order. `fetch` falls away where data is given, `train` and `export` do little where a model is."""


@dataclass(slots=True)
class Mapped:
    """What `make_map` made.

    Attributes
    ----------
    folder : where everything lies
    plan : what was asked for
    model : version of the model, `name@vN`
    map, report : files
    scores : out of fold at coarse cells (if a model was trained here), then of the map
    steps : the single command of each step, and whether it was `done` now or `kept`
    facts : of the prediction: pixels, predicted, out_of_range, water, correction, provider
    """

    folder: Path
    plan: Plan
    model: str
    map: Path
    report: Path
    scores: list[Score]
    steps: dict[str, tuple[str, State]]
    facts: Mapping[str, Any]


def make_map(plan: Plan, folder: Path, *, redo: str | None = None, tell: Tell = lambda *_: None) -> Mapped:
    """Go the whole way from a place and a date to a map, its scores and its report.

    Every step is the one that its own command does, on the same files; what was done before and is unchanged is
    kept, so a run that was killed goes on at the step that it was in.

    Parameters
    ----------
    plan : what to make
    folder : of this plan; holds `data` (if fetched), `stack`, the model's registry, `map.tif`, `scores.json`,
        `report.html` and `map.json`
    redo : a step to do again even if nothing changed
    tell : hears of every step

    Raises
    ------
    UsageError
        If the folder belongs to another plan.
    UnknownNameError
        If `redo` is no step, or a sensor, downscaler or model is unknown.
    DataError
        If the reference is no file, or granules are missing or unreadable.
    """
    if redo is not None and redo not in STEPS:
        kind = "step"
        raise UnknownNameError(kind, redo, STEPS)
    if plan.reference is not None:
        _check_file(Path(plan.reference))
    if plan.model is None:
        _check_trainable(plan)
    with _claimed(folder):
        way = _Way(plan, folder, _begun(plan, folder), tell, redo)
        way.fetch()
        stack = way.stack()
        version = way.export(way.train(stack))
        way.predict(version, stack)
        way.validate(version, stack)
        way.report(version, stack)
        facts = way.steps.journal.steps["predict"].facts
        return Mapped(folder, plan, str(version.ref), way.map, way.html, way.scores(), way.told, facts)


def _check_trainable(plan: Plan) -> None:
    """Say an unknown name, a missing package, or a downscaler that takes no weights before anything is fetched."""
    estimator = plan.recipe.estimator()
    if plan.weights is not None:
        from zoo.learning.informative import check_weighable

        check_weighable(plan.downscaler, estimator)


def _claimed(folder: Path) -> FileLock:
    if folder.exists() and not folder.is_dir():
        msg = f"{folder} is a file; give a folder with -o"
        raise UsageError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder} cannot be made ({error.strerror}); choose another with -o"
        raise DataError(msg) from error
    return FileLock(folder / ".map.lock")


def _begun(plan: Plan, folder: Path) -> Journal:
    """Return the folder's journal if it is of this place and day, under the plan of now."""
    path = folder / JOURNAL
    before, asked = planned(folder), json.loads(plan.model_dump_json())
    known = Journal.read(path) or Journal(plan=asked)
    other = before is not None and (before.area, before.date, before.sensor) != (plan.area, plan.date, plan.sensor)
    if before is not None and other and (known.steps or (folder / "data").exists()):
        msg = (
            f"{folder} holds the map of {before.sensor} at {Area(*before.area)} on {before.date}; for another place, "
            "day or sensor give another folder with -o"
        )
        raise UsageError(msg)
    journal = known.model_copy(update={"plan": asked})
    journal.write(path)
    return journal


class _Way:
    """The steps of one plan: for each its command, what decides its result, and the work."""

    def __init__(self, plan: Plan, folder: Path, journal: Journal, tell: Tell, redo: str | None) -> None:
        self.plan, self.folder, self.redo = plan, folder, redo
        path = Path(plan.registry) if plan.registry else folder / "registry.json"
        self.registry = Registry.open(path)
        self.commands = Commands(plan, folder, path)
        self.told: dict[str, tuple[str, State]] = {}
        self.map, self.scores_file, self.html = folder / "map.tif", folder / "scores.json", folder / "report.html"

        def heard(name: str, state: State, command: str) -> None:
            self.told[name] = (command, state)
            tell(name, state, command)

        self.steps = Steps(folder, folder / JOURNAL, journal, heard)
        if redo is not None:
            self.steps.forget(redo)

    def fetch(self) -> None:
        """Bring the granules, unless they were given."""
        plan = self.plan
        if plan.data:
            return

        def work() -> Result:
            from zoo.fetch import fetch

            done = fetch(
                None, Area(*plan.area), plan.date, self.folder / "data", sensor=plan.sensor, layers=plan.layers,
                time=plan.time, window=plan.window,
            )  # fmt: skip
            return Result(done.files, {"files": len(done.files), "bytes": done.plan.bytes}, by_size=True)

        asked = plan.model_dump(mode="json", include={"area", "date", "sensor", "layers", "time", "window"})
        self.steps.do("fetch", self.commands.fetch(), asked, work)

    def stack(self) -> StackFolder:
        """Bring the predictors onto the fine grid and onto the sensor's cells."""
        from zoo.stack.folder import StackFolder, make_stack

        plan, folder, request = self.plan, self.folder / "stack", self.plan.request(self.folder / "data")

        def work() -> Result:
            from zoo.stack.quicklook import write_quicklook

            made = make_stack(request, plan.layers, folder=folder)
            picture = write_quicklook(made, folder / "quicklook.png")
            layers = [made.path_of(name) for name in made.record.layers]
            return Result((picture, made.twin_path(plan.sensor), *layers), {"made": made.made, "kept": made.kept})

        clock = [str(part or "") for part in (plan.time, plan.window)]
        inputs = [stack_key(request, plan.layers), plan.sensor, request.reading, clock]
        self.steps.do("stack", self.commands.stack(), inputs, work)
        return StackFolder.open(folder)

    def train(self, stack: StackFolder) -> Resolved:
        """Train on the coarse cells and register the model; or find the one that was given."""
        if self.plan.model is not None:
            return self.registry.resolve(self.plan.model)
        from zoo.samples.rows import from_stack

        plan, recipe = self.plan, self.plan.recipe
        samples = from_stack(
            stack.folder, plan.layers, sensor=plan.sensor, min_valid=plan.min_valid, weights=plan.weights
        )
        dataset = without_outliers(samples.dataset, recipe.outliers).fingerprint

        def work() -> Result:
            from zoo.training import train

            before = None if self.redo == "train" else _trained_before(self.registry, recipe, dataset)
            version = before or train(samples, recipe, self.registry).version
            return Result((version.path("model"),), {"model": str(version.ref)})

        settings = [recipe.downscaler, recipe.preset, dict(recipe.parameters), recipe.folds, recipe.seed]
        facts = self.steps.do("train", self.commands.train(), [dataset, settings], work)
        return self.registry.resolve(str(facts["model"]))

    def export(self, version: Resolved) -> Resolved:
        """Compile the model, once."""

        def work() -> Result:
            from zoo.model.exporting import export_model

            return Result((export_model(self.registry, version.ref, "onnx").path("onnx"),))

        model = [str(version.ref), version.record.artefacts["model"].sha256]
        self.steps.do("export", self.commands.export(str(version.ref)), model, work)
        return self.registry.resolve(version.ref)

    def predict(self, version: Resolved, stack: StackFolder) -> None:
        """Predict the map."""
        plan = self.plan

        def work() -> Result:
            from zoo.prediction import open_session, predict_map

            found, session = open_session(self.registry, str(version.ref))
            coarse = None if plan.correct == "none" else stack.twin(plan.sensor)[0]
            tags = {f"time_coverage_{end}": f"{plan.date}T{clock}Z" for end, clock in _DAY.items()}
            done = predict_map(
                found, session, stack.only(session.names), self.map, coarse=coarse, correct=plan.correct, tags=tags
            )
            return Result((self.map,), {**asdict(done), "path": self.map.name})

        model = [str(version.ref), version.record.artefacts["onnx"].sha256]
        command = self.commands.predict(str(version.ref), self.map)
        self.steps.do("predict", command, [model, _contents(stack, plan.sensor), plan.correct], work)

    def validate(self, version: Resolved, stack: StackFolder) -> None:
        """Score the map against the reference if there is one, and against the coarse field in any case."""
        plan, twin = self.plan, stack.twin_path(self.plan.sensor)
        reference = Path(plan.reference) if plan.reference else twin
        coarse = twin if plan.reference else None
        seen = coarse is None and _seen(plan, version, stack.coarse_record(plan.sensor))

        def work() -> Result:
            scores = list(_out_of_fold(version)) if plan.model is None else []
            scores += self._scored(version, reference, coarse, seen)
            text = json.dumps([asdict(score) for score in scores], indent=1, allow_nan=False)
            replace_text(self.scores_file, text + "\n")
            return Result((self.scores_file,))

        command = self.commands.validate(self.map, reference, self._label(version), coarse=coarse, seen=seen)
        inputs = [sha256(self.map), _digest(reference), _contents(stack, plan.sensor), seen, plan.seed]
        self.steps.do("validate", command, inputs, work)

    def report(self, version: Resolved, stack: StackFolder) -> None:
        """Write the report."""

        def work() -> Result:
            from zoo.mapping.report import write_map_report

            commands = {name: command for name, (command, _) in self.told.items()}
            reference = Path(self.plan.reference) if self.plan.reference else None
            write_map_report(
                self.html, self.map, stack, self.plan.sensor, version, self.scores(),
                label=self._label(version), commands=commands, reference=reference,
            )  # fmt: skip
            return Result((self.html,))

        self.steps.do("report", self.commands.report(), [sha256(self.map), sha256(self.scores_file)], work)

    def scores(self) -> list[Score]:
        """Return the scores that the validation wrote."""
        return [Score(**entry) for entry in json.loads(self.scores_file.read_text(encoding="utf-8"))]

    def _scored(self, version: Resolved, reference: Path, coarse: Path | None, seen: bool) -> list[Score]:
        """Score the map and record it, once."""
        from zoo.scores.metrics import ALL_METRICS
        from zoo.validation import validate_map

        done = validate_map(
            self.map, reference, coarse=coarse, estimator=self._label(version), seen=seen, seed=self.plan.seed,
            metrics=ALL_METRICS,
        )  # fmt: skip
        scores = [*done.scores, *done.consistency]
        if not set(scores) <= {record.score() for record in self.registry.resolve(version.ref).record.scores}:
            context = {"region": done.region, "period": done.period, "details": done.matching}
            self.registry.append_scores(version.ref, scores, context)
        return scores

    def _label(self, version: Resolved) -> str:
        """Name the map in scores: the downscaler, and the correction if one was made."""
        correct = self.plan.correct
        return version.record.architecture + (f" {correct}" if correct != "none" else "")


_DAY = {"start": "00:00:00", "end": "23:59:59"}


def _trained_before(registry: Registry, recipe: Recipe, dataset: str) -> Resolved | None:
    """Find the newest model of the writable registry that this recipe made of this dataset: training is repeatable."""
    parameters = json.loads(json.dumps(recipe.estimator().get_params(), default=str))

    def same(found: Resolved) -> bool:
        record = found.record
        settings = (record.architecture, record.preset, record.seed, record.dataset.fingerprint)
        kept = json.loads(json.dumps(record.hyperparameters, default=str))
        folds = any(f"{recipe.folds} folds" in score.split for score in record.scores)
        program = record.environment.get("soil-moisture-zoo") == __version__
        wanted = (recipe.downscaler, recipe.preset, recipe.seed, dataset)
        return settings == wanted and kept == parameters and folds and program

    own = [found for found in registry.list() if found.layer == registry.layers[0] and same(found)]
    return max(own, key=lambda found: found.record.created, default=None)


def _contents(stack: StackFolder, sensor: str) -> dict[str, str]:
    """Digest what the layers hold, and what the coarse field was made from."""
    layers = {name: layer.sha256 for name, layer in stack.record.layers.items()}
    return {**layers, f"coarse {sensor}": stack.coarse_record(sensor).inputs}


def _seen(plan: Plan, version: Resolved, coarse: CoarseRecord) -> bool:
    """Whether the map knows the coarse field: it was corrected to it, or the model was trained on it."""
    return plan.correct != "none" or bool(set(coarse.granules) & set(version.record.dataset.granules))


def _out_of_fold(version: Resolved) -> Iterator[Score]:
    """Return the scores that training made for cells that the model had not seen."""
    return (record.score() for record in version.record.scores if "out of fold" in record.split)


def _check_file(reference: Path) -> None:
    """Say that a reference is no file before anything is fetched or trained."""
    if not reference.is_file():
        msg = f"--reference {reference} is no file; give stations (.parquet, .csv) or a raster (.tif, .nc)"
        raise DataError(msg)


def _digest(path: Path) -> str:
    _check_file(path)
    return sha256(path)
