"""A trained model as one file without pickle: arrays in safetensors, everything else in one JSON header."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat, JsonValue, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from zoo.errors import DataError, IntegrityError, UsageError
from zoo.registry.files import sync_folder

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "FORMAT",
    "PHYSICAL_RANGE",
    "Feature",
    "Header",
    "TrainedModel",
    "calibration_rows",
    "probe_rows",
    "write_bytes",
]

FORMAT = 1
"""The format of the file that this program writes, and the only one that it reads."""

PHYSICAL_RANGE = (0.0, 1.0)
"""Volumetric soil moisture that can be, m3 m-3: a share of the soil's volume. No lower ceiling holds everywhere:
saturated Sphagnum peat is 95 to nearly 100 % water by volume (Boelter 1964, Soil Sci. Soc. Am. Proc. 28, 433-435)."""

_STATE, _CALIBRATION = "state/", "calib/X"
_INTERVAL, _APPLICABILITY = "interval/", "applicability/"


@dataclass(frozen=True, slots=True)
class Feature:
    """A predictor of a model: its standard name, its units, and the range seen in training."""

    name: str
    units: str
    min: FiniteFloat
    max: FiniteFloat


class Header(BaseModel):
    """What a model says about itself, in `model.safetensors` and in `model.onnx` alike.

    Attributes
    ----------
    downscaler : name of the downscaler that made it
    params : its hyperparameters
    features : predictors in the order of the columns, with units and the range seen in training
    target : what it returns
    clip : lowest and highest soil moisture that it may return, m3 m-3
    format : of the file
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    downscaler: str
    params: dict[str, JsonValue]
    features: tuple[Feature, ...]
    target: dict[str, JsonValue]
    clip: tuple[FiniteFloat, FiniteFloat] = PHYSICAL_RANGE
    format: int = FORMAT

    def text(self) -> str:
        """Return the header as JSON, the same text for the same content; UsageError if a number in it is not finite."""
        try:
            return json.dumps(self.model_dump(), sort_keys=True, ensure_ascii=False, allow_nan=False)
        except ValueError as error:
            msg = f"The model cannot be stored: its parameters hold NaN or infinity: {self.params}; give finite numbers"
            raise UsageError(msg) from error

    @classmethod
    def parse(cls, text: str | None, source: str) -> Header:
        """Read a header from JSON; `source` is for messages.

        Raises
        ------
        IntegrityError
            If there is none, or it has another format or does not hold to this one.
        """
        try:
            raw = json.loads(text or "")
            found = raw["format"]
        except (ValueError, TypeError, KeyError) as error:
            msg = f"{source} has no header of a trained model; expected a file made by zoo train or zoo export"
            raise IntegrityError(msg) from error
        if found != FORMAT:
            msg = f"{source} has format {found!r}, this program reads {FORMAT}; upgrade soil-moisture-zoo or train anew"
            raise IntegrityError(msg)
        try:
            return cls.model_validate_json(text or "")
        except ValidationError as error:
            msg = f"{source} has a damaged header: {_first(error)}; train or export anew"
            raise IntegrityError(msg) from error


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A trained downscaler, free of the framework that trained it.

    Attributes
    ----------
    downscaler : name of the downscaler
    params : its hyperparameters, values that JSON knows
    features : predictors in the order of the columns
    target : what the model returns: `name`, `units`, `sensor`, `product`, `depth`
    state : what the estimator's `state()` gave
    test_X : (m, k) float32, predictors to judge exports by; see `probe_rows`
    test_y : (m,) float64, the estimator's own answers to `test_X`, not clipped, m3 m-3
    clip : lowest and highest soil moisture that the model may return, m3 m-3
    calib_X : (c, k) float32, predictors as the model meets them, to calibrate compressed forms by; may be missing
    interval : arrays of `zoo.learning.interval.Interval`; may be missing
    applicability : arrays of `zoo.learning.applicability.Applicability`; may be missing
    """

    downscaler: str
    params: Mapping[str, Any]
    features: tuple[Feature, ...]
    target: Mapping[str, Any]
    state: Mapping[str, npt.NDArray[Any]]
    test_X: npt.NDArray[np.float32]
    test_y: npt.NDArray[np.float64]
    clip: tuple[float, float] = PHYSICAL_RANGE
    calib_X: npt.NDArray[np.float32] | None = None
    interval: Mapping[str, npt.NDArray[Any]] | None = None
    applicability: Mapping[str, npt.NDArray[Any]] | None = None

    @property
    def header(self) -> Header:
        """Everything but the arrays.

        Raises
        ------
        UsageError
            If a parameter is nothing that JSON knows.
        """
        try:
            return Header.model_validate(
                {
                    "downscaler": self.downscaler,
                    "params": _plain(self.params),
                    "features": [asdict(feature) for feature in self.features],
                    "target": _plain(self.target),
                    "clip": self.clip,
                }
            )
        except ValidationError as error:
            msg = f"The model cannot be stored: {_first(error)}; expected finite numbers, text, lists and mappings"
            raise UsageError(msg) from error

    def save(self, path: Path) -> None:
        """Write the model to `path`, whole or not at all; the same model gives the same bytes.

        Raises
        ------
        IntegrityError
            If the test vectors do not fit the features.
        """
        arrays = {
            prefix + name: np.asarray(array, order="C")
            for prefix, part in (
                (_STATE, self.state),
                (_INTERVAL, self.interval),
                (_APPLICABILITY, self.applicability),
            )
            for name, array in (part or {}).items()
        }
        arrays["test/X"] = np.asarray(self.test_X, np.float32, order="C")
        arrays["test/y"] = np.asarray(self.test_y, np.float64, order="C")
        if self.calib_X is not None:
            arrays[_CALIBRATION] = np.asarray(self.calib_X, np.float32, order="C")
        _check_test_vectors(arrays, len(self.features), str(path))
        write_bytes(path, save(arrays, metadata={"zoo": self.header.text()}))

    @classmethod
    def load(cls, path: Path) -> TrainedModel:
        """Read a model.

        Raises
        ------
        DataError
            If the file is missing, truncated or no safetensors file.
        IntegrityError
            If its header or its test vectors are missing, damaged or of another format.
        """
        arrays, text = _read(path)
        header = Header.parse(text, str(path))
        _check_test_vectors(arrays, len(header.features), str(path))
        return cls(
            downscaler=header.downscaler,
            params=header.params,
            features=header.features,
            target=header.target,
            state=_below(_STATE, arrays),
            test_X=arrays["test/X"],
            test_y=arrays["test/y"],
            clip=header.clip,
            calib_X=arrays.get(_CALIBRATION),
            interval=_below(_INTERVAL, arrays) or None,
            applicability=_below(_APPLICABILITY, arrays) or None,
        )


def calibration_rows(X: npt.NDArray[Any], *, rows: int = 20_000, seed: int = 0) -> npt.NDArray[np.float32]:
    """Choose rows to calibrate compressed forms of a model by: all of X (n, k), or `rows` of them at random."""
    given = np.asarray(X, np.float32)
    if len(given) <= rows:
        return given
    return given[np.sort(np.random.default_rng(seed).choice(len(given), rows, replace=False))]


def probe_rows(X: npt.NDArray[Any], *, rows: int = 1024, seed: int = 0) -> npt.NDArray[np.float32]:
    """Choose rows to judge exports by: half from training, half drawn evenly from the box that training spans.

    Rows of training are where a model is used; the box holds combinations that no training row has, where an
    export that went wrong shows first.

    Parameters
    ----------
    X : (n, k), training rows without NaN
    rows : number of rows to return; fewer if training has fewer than half of them
    seed : of the choice

    Returns
    -------
    (m, k) float32
    """
    rng = np.random.default_rng(seed)
    seen = np.asarray(X, np.float32)
    kept = seen[np.sort(rng.choice(len(seen), min(rows // 2, len(seen)), replace=False))]
    # interpolation in float64 could leave the float32 range by rounding
    drawn = np.clip(
        rng.uniform(seen.min(axis=0), seen.max(axis=0), (rows // 2, seen.shape[1])), seen.min(0), seen.max(0)
    )
    return np.concatenate([kept, drawn.astype(np.float32)])


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file at once: temporary file beside it, fsync, rename, fsync of the folder.

    Raises
    ------
    DataError
        If the folder is missing or not writable, or `path` is a folder.
    """
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            prefix=f".{path.name}.", suffix=".tmp", dir=path.parent, delete=False
        ) as stream:
            temporary = Path(stream.name)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}; choose another place"
        raise DataError(msg) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def _read(path: Path) -> tuple[dict[str, npt.NDArray[Any]], str | None]:
    """Read all arrays and the header's text."""
    if not path.is_file():
        msg = f"{path} is {'a folder' if path.is_dir() else 'missing'}; expected a model.safetensors made by zoo train"
        raise DataError(msg)
    try:
        with safe_open(path, framework="numpy") as opened:
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
            return arrays, (opened.metadata() or {}).get("zoo")
    except (SafetensorError, OSError) as error:
        msg = f"{path} is truncated or no safetensors file ({error}); train anew or fetch it again"
        raise DataError(msg) from error


def _below(prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _plain(value: Any) -> Any:
    """Turn mappings, sequences and numpy scalars into what JSON knows; anything else stays."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    return f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}"


def _check_test_vectors(arrays: Mapping[str, npt.NDArray[Any]], features: int, source: str) -> None:
    calibration = arrays.get(_CALIBRATION)
    if calibration is not None and (calibration.ndim != 2 or calibration.shape[1] != features):
        msg = f"{source} has calibration rows of shape {calibration.shape}, expected (c, {features}); train anew"
        raise IntegrityError(msg)
    X, y = arrays.get("test/X"), arrays.get("test/y")
    if X is None or y is None or X.ndim != 2 or X.shape[1] != features or y.shape != X.shape[:1] or not len(X):
        got = "none" if X is None or y is None else f"X {X.shape} and y {y.shape}"
        msg = f"{source} has test vectors that do not fit: {got}, expected X (m, {features}) and y (m,); train anew"
        raise IntegrityError(msg)
    if not (np.isfinite(X).all() and np.isfinite(y).all()):
        msg = f"{source} has test vectors with NaN or infinity; train anew on rows without them"
        raise IntegrityError(msg)
