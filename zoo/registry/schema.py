"""What stands in a registry file, and how files of older schemas are brought up.

Field names are those of STAC and its machine-learning extension (MLM 1.5) where these have one:
`architecture`, `framework`, `framework_version`, `hyperparameters`, `tasks`, `bbox`, `created`,
`start_datetime`, `end_datetime`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    JsonValue,
    ValidationError,
    model_validator,
)

from zoo.errors import IntegrityError
from zoo.types import Score

SCHEMA = 1
"""The schema that this program writes, and the newest that it reads."""

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""Schema N -> a function that turns a document of schema N into one of schema N + 1."""

NAME = r"[a-z0-9][a-z0-9._-]*"
SHA256 = r"[0-9a-f]{64}"


def now() -> datetime:
    """Return the present instant in UTC."""
    return datetime.now(UTC)


def _finite(value: Any) -> Any:
    """Turn NaN and infinity, which JSON has no word for, into null."""
    value = _plain(value)
    return None if isinstance(value, float) and not isfinite(value) else value


def _plain(value: Any) -> Any:
    """Turn numpy scalars and arrays, tuples and paths into what JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _inside(path: str) -> str:
    """Refuse a path that could leave the registry's folder."""
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts or re.search(r"[\\:\0]", path):
        msg = f"path {path!r} is not relative to the registry file"
        raise ValueError(msg)
    return path


Name = Annotated[str, Field(pattern=rf"^{NAME}$")]
Sha256 = Annotated[str, Field(pattern=rf"^{SHA256}$")]
RelativePath = Annotated[str, AfterValidator(_inside)]
OptionalNumber = Annotated[FiniteFloat | None, BeforeValidator(_finite)]
Plain = Annotated[JsonValue, BeforeValidator(_plain)]


class Strict(BaseModel):
    """A value that cannot change and takes no field that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Feature(Strict):
    """A predictor of the model, in its own units, with the range seen in training."""

    name: str
    units: str
    min: OptionalNumber = None
    max: OptionalNumber = None


class Target(Strict):
    """What the model was trained to return; `depth` is (top, bottom) in metres."""

    name: str = "soil_moisture"
    units: str = "m3 m-3"
    sensor: str | None = None
    product: str | None = None
    depth: tuple[FiniteFloat, FiniteFloat] | None = None


class Dataset(Strict):
    """What the model learnt from.

    `files` maps file names (no folders) to their sha256, `definition` says how rows were made from them (features,
    grids, quality, ...), `rows` counts rows and `dropped` those left out, by reason. The fingerprint covers all but
    the two counts.
    """

    fingerprint: str
    rows: int
    dropped: dict[str, int] = {}
    products: tuple[str, ...] = ()
    granules: tuple[str, ...] = ()
    files: dict[str, Sha256] = {}
    definition: dict[str, JsonValue] = {}


class Parity(Strict):
    """How far a compiled model is from the original on its test vectors, m3 m-3."""

    max: OptionalNumber
    p99_9: OptionalNumber = Field(alias="p99.9")
    n: int
    provider: str
    p99_99: OptionalNumber = Field(default=None, alias="p99.99")
    above: int | None = None
    tolerance: OptionalNumber = None


class Artefact(Strict):
    """A file that belongs to a version; neither its hash nor its path ever changes."""

    path: RelativePath
    sha256: Sha256
    bytes: int
    created: AwareDatetime
    opset: int | None = None
    inputs: Plain = None
    outputs: Plain = None
    parity: Parity | None = None


class ScoreRecord(Strict):
    """A `zoo.types.Score` with where, for when, and when it was taken; `details` says how pairs were matched."""

    estimator: str
    metric: str
    value: OptionalNumber
    n: int
    ci_low: OptionalNumber
    ci_high: OptionalNumber
    reference: str
    split: str
    region: str | None = None
    period: str | None = None
    details: Annotated[dict[str, JsonValue], BeforeValidator(_plain)] = {}
    created: AwareDatetime = Field(default_factory=now)

    @model_validator(mode="before")
    @classmethod
    def _of_score(cls, value: Any) -> Any:
        return asdict(value) if isinstance(value, Score) else value

    def score(self) -> Score:
        """Return the figure without its context."""
        return Score(**self.model_dump(include=set(Score.__dataclass_fields__)))


class AblationRecord(Strict):
    """A metric with and without a part of the method, on the same held-out rows.

    Attributes
    ----------
    part : what was left out, `pre-training` or `correction`
    metric : `r2` (1 - SSE/SST) or `rmse` (m3 m-3)
    with_it, without : the two figures
    difference, ci_low, ci_high : with minus without, and its 95 % interval over whole groups
    n : rows
    how : what both sides were
    """

    part: str
    metric: str
    with_it: float | None
    without: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    how: str


class TextureRecord(Strict):
    """How much of a model's differences inside coarse cells to believe (`zoo.correction.texture_weight`).

    Attributes
    ----------
    weight : what a corrected map uses, 0 to 1
    estimate, error : slope found one scale up on held-out cells, and its standard error
    cells : cells compared
    """

    weight: FiniteFloat
    estimate: OptionalNumber
    error: OptionalNumber
    cells: int


class DomainRecord(Strict):
    """Errors of cross-validation's held-out rows inside and outside of the domain (`zoo.scores.domain`).

    Attributes
    ----------
    n, outside, groups : rows; those out of the domain of their fold's model; groups with such rows
    rmse_inside, rmse_outside : m3 m-3; None without such rows
    difference, ci_low, ci_high : outside minus inside, and its 95 % interval over groups
    """

    n: int
    outside: int
    groups: int
    rmse_inside: OptionalNumber
    rmse_outside: OptionalNumber
    difference: OptionalNumber
    ci_low: OptionalNumber
    ci_high: OptionalNumber

    @property
    def verdict(self) -> str:
        """Say whether the domain told of errors."""
        if self.difference is None:
            return "no held-out row was out of it, so that it is not known whether errors are larger there"
        if self.difference <= 0:
            return "it did not tell where errors are large"
        return "errors were larger there" + ("" if self.ci_low is not None and self.ci_low > 0 else ", not clearly")


class VersionRecord(Strict):
    """One version of a model, as training left it, with the artefacts and scores that came since.

    Attributes
    ----------
    architecture : the downscaler, by the name that `zoo train` knows it by
    plugin, plugin_version : the distribution that the downscaler came from, and its version
    code_commit : commit of the code, if it ran from a checkout
    bbox : west, south, east, north in degrees
    start_datetime, end_datetime : the period of the training data
    environment : versions of Python and of the packages that matter
    simulated : whether any of the training data is simulated
    use : what the model was declared to be for, `space`, `time` or `both`; the scores of training mirror it
    ablation : what parts of the method are worth
    texture : how much of its differences inside coarse cells to believe; None where training could not tell
    domain : how held-out rows fared that were unlike the training
    """

    architecture: str
    plugin: str
    plugin_version: str
    features: tuple[Feature, ...]
    target: Target
    dataset: Dataset
    created: AwareDatetime = Field(default_factory=now)
    code_commit: str | None = None
    framework: str | None = None
    framework_version: str | None = None
    tasks: tuple[str, ...] = ("regression",)
    sensor: str | None = None
    target_grid: str | None = None
    hyperparameters: Annotated[dict[str, JsonValue], BeforeValidator(_plain)] = {}
    preset: str | None = None
    seed: int | None = None
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None
    start_datetime: AwareDatetime | None = None
    end_datetime: AwareDatetime | None = None
    environment: dict[str, str] = {}
    artefacts: dict[Name, Artefact] = {}
    scores: tuple[ScoreRecord, ...] = ()
    notes: tuple[str, ...] = ()
    simulated: bool = False
    use: str | None = None
    ablation: tuple[AblationRecord, ...] = ()
    texture: TextureRecord | None = None
    domain: DomainRecord | None = None


class Addition(Strict):
    """Artefacts and scores for a version that lives in a layer below; `created` says which one is meant."""

    created: AwareDatetime
    artefacts: dict[Name, Artefact] = {}
    scores: tuple[ScoreRecord, ...] = ()


class AliasMove(Strict):
    """One entry of the log of aliases; versions are `vN`, None for none."""

    time: AwareDatetime
    alias: str
    from_: str | None = Field(alias="from")
    to: str | None


VersionKey = Annotated[str, Field(pattern=r"^v[1-9][0-9]*$")]


class Model(Strict):
    """All versions of one name in one registry file; `last` is the highest number ever given out in it."""

    versions: dict[VersionKey, VersionRecord] = {}
    additions: dict[VersionKey, Addition] = {}
    aliases: dict[Name, VersionKey] = {}
    alias_log: tuple[AliasMove, ...] = ()
    last: int = 0


class Document(Strict):
    """A registry file."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    models: dict[Name, Model] = {}


def parse(text: str, source: Path) -> Document:
    """Read a registry file's text, whatever schema up to this program's it has.

    Raises
    ------
    IntegrityError
        If it is no JSON, has a newer or an unknown schema, or does not hold to it.
    """
    try:
        raw = json.loads(text)
    except ValueError as error:
        msg = f"registry {source} is no JSON ({error}); restore the file or give another with --registry"
        raise IntegrityError(msg) from error
    raw = _migrate(raw, source)
    try:
        return Document.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        msg = (
            f"registry {source} does not hold to schema {SCHEMA}: {place}: {first['msg']}; "
            "restore the file or give another with --registry"
        )
        raise IntegrityError(msg) from error


def _migrate(raw: Any, source: Path) -> dict[str, Any]:
    found = raw.get("schema") if isinstance(raw, dict) else None
    if type(found) is not int:
        msg = f"registry {source} has no schema number: it is no registry; give another with --registry"
        raise IntegrityError(msg)
    if found > SCHEMA:
        limit = f"this program reads up to {SCHEMA}; upgrade soil-moisture-zoo"
        msg = f"registry {source} has schema {found}, {limit}"
        raise IntegrityError(msg)
    document: dict[str, Any] = raw
    for step in range(found, SCHEMA):
        if step not in MIGRATIONS:
            msg = f"registry {source} has schema {found}, which no release wrote; give another with --registry"
            raise IntegrityError(msg)
        document = MIGRATIONS[step](document) | {"schema": step + 1}
    return document


def dump(document: Document) -> str:
    """Write a registry file's text: sorted keys, indent 2, final newline."""
    content = document.model_dump(mode="json", by_alias=True)
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
