"""What `zoo map` was asked for, and the single command that does each of its steps."""

from __future__ import annotations

import datetime as dt
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from zoo.errors import IntegrityError
from zoo.granules import Selection
from zoo.inputs import Request
from zoo.mapping.steps import Journal
from zoo.model.recipe import Recipe
from zoo.registry.schema import Plain, Strict
from zoo.samples.weights import Weights
from zoo.types import Area, Orbit, Quality

JOURNAL = "map.json"


class Plan(Strict):
    """What `zoo map` was asked for; it is kept in the folder, so that the folder alone is enough to go on.

    Attributes
    ----------
    area : west, south, east, north in degrees
    date : day, UTC
    data : files and folders of granules; empty to fetch them
    model : version to predict with; None to train one with `downscaler`, `preset`, `parameters`, `folds`, `seed`
    min_valid, weights, outliers : the rows to train with, see `zoo.samples.rows.from_stack` and `Recipe`
    registry : registry file; None for the folder's own
    correct : `none`, `smooth` or `exact`
    reference : stations or a raster to score the map against, beside the coarse field
    """

    area: tuple[float, float, float, float]
    date: dt.date
    sensor: str = "smap"
    data: tuple[str, ...] = ()
    layers: tuple[str, ...]
    time: dt.time | None = None
    window: dt.timedelta | None = None
    orbit: Orbit | None = None
    quality: Quality = "recommended"
    variable: str | None = None
    like: str | None = None
    crs: str | None = None
    resolution: float | None = None
    prefer: dict[str, str] = {}
    downscaler: str = "dbn"
    preset: str = "default"
    parameters: dict[str, Plain] = {}
    folds: int = 5
    seed: int = 0
    min_valid: float = 0.5
    weights: Weights | None = None
    outliers: float | None = None
    model: str | None = None
    registry: str | None = None
    correct: Literal["none", "smooth", "exact"] = "exact"
    reference: str | None = None

    @property
    def recipe(self) -> Recipe:
        """How to train."""
        return Recipe(
            self.downscaler, self.preset, self.parameters, self.folds, self.seed, outliers=self.outliers
        )  # fmt: skip

    def request(self, fetched: Path) -> Request:
        """Point at the granules: those given, or those fetched into a folder."""
        places = tuple(Path(place) for place in self.data) or (fetched,)
        selection = Selection(self.date, self.time, self.window, self.orbit)
        like = Path(self.like) if self.like else None
        return Request(
            places, Area(*self.area), selection, self.sensor, self.quality, self.variable, like, self.crs,
            self.resolution, self.prefer,
        )  # fmt: skip


class Commands:
    """The single command of each step.

    Parameters
    ----------
    plan : what to make
    folder : of the plan
    registry : registry file
    """

    def __init__(self, plan: Plan, folder: Path, registry: Path) -> None:
        self.plan, self.folder, self.registry = plan, folder, registry

    def fetch(self) -> str:
        """Say how the granules are fetched."""
        plan = self.plan
        layers = ("--features", ",".join(plan.layers))
        return _command("fetch", *self._place, ("--sensor", plan.sensor), *self._clock, layers, ("--to", self._data))

    def stack(self) -> str:
        """Say how the stack is made."""
        plan = self.plan
        data = [("--data", place) for place in plan.data or (str(self._data),)]
        reading = [
            ("--orbit", plan.orbit), ("--quality", None if plan.quality == "recommended" else plan.quality),
            ("--variable", plan.variable), ("--like", plan.like),
            ("--crs", plan.crs), ("--resolution", plan.resolution),
        ]  # fmt: skip
        reading += [("--prefer", f"{layer}={plan.prefer[layer]}") for layer in plan.layers if layer in plan.prefer]
        layers = ("--layers", ",".join(plan.layers))
        output = ("-o", self.folder / "stack")
        return _command("stack", *data, *self._place, ("--sensor", plan.sensor), *self._clock, *reading, layers, output)

    def train(self) -> str:
        """Say how the model is trained."""
        plan = self.plan
        recipe = [
            ("--preset", None if plan.preset == "default" else plan.preset),
            *(("--set", f"{name}={json.dumps(value)}") for name, value in plan.parameters.items()),
            ("--min-valid", None if plan.min_valid == 0.5 else plan.min_valid),
            ("--weights", plan.weights), ("--outliers", plan.outliers),
            ("--features", ",".join(plan.layers)), ("--folds", plan.folds), ("--seed", plan.seed),
        ]  # fmt: skip
        return _command("train", (plan.downscaler,), *self._stack, *recipe, *self._registry)

    def export(self, model: str) -> str:
        """Say how the model is compiled."""
        return _command("export", ("onnx",), ("--model", model), *self._registry)

    def predict(self, model: str, path: Path) -> str:
        """Say how the map is predicted."""
        correct = ("--correct", self.plan.correct)
        return _command("predict", ("--model", model), *self._stack, correct, ("-o", path), *self._registry)

    def validate(self, path: Path, reference: Path, estimator: str, *, coarse: Path | None, seen: bool) -> str:
        """Say how the map is scored against a reference."""
        return _command(
            "validate", ("--map", path), ("--reference", reference), ("--estimator", estimator),
            ("--coarse", coarse), *([("--seen",)] if seen else []), ("--seed", self.plan.seed), *self._registry,
        )  # fmt: skip

    def report(self) -> str:
        """Say how the report is written."""
        return _command("map", ("-o", self.folder), ("--redo", "report"))

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _place(self) -> list[tuple[object, ...]]:
        return [("--area", *(f"{edge:.12g}" for edge in self.plan.area)), ("--date", self.plan.date)]

    @property
    def _clock(self) -> list[tuple[object, ...]]:
        plan = self.plan
        window = f"{plan.window.total_seconds() / 60:g}m" if plan.window else None
        return [("--time", f"{plan.time:%H:%M:%S}" if plan.time else None), ("--window", window)]

    @property
    def _stack(self) -> list[tuple[object, ...]]:
        return [("--stack", self.folder / "stack"), ("--sensor", self.plan.sensor)]

    @property
    def _registry(self) -> list[tuple[object, ...]]:
        return [("--registry", self.registry)]


def _command(name: str, *options: Sequence[object]) -> str:
    """Write a command line; options without a value are left out."""
    words = [str(word) for option in options if None not in option for word in option]
    return shlex.join(["zoo", name, *words])


def planned(folder: Path) -> Plan | None:
    """Return the plan that a folder holds; None if it holds none.

    Raises
    ------
    IntegrityError
        If its journal cannot be read.
    """
    journal = Journal.read(folder / JOURNAL)
    if journal is None:
        return None
    try:
        return Plan.model_validate_json(json.dumps(journal.plan))
    except ValidationError as error:
        msg = f"{folder / JOURNAL} holds a plan of another version of zoo; give another folder with -o"
        raise IntegrityError(msg) from error
