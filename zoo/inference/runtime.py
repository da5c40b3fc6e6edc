"""Inference with onnxruntime: which provider, how many rows at a time, and rows with missing predictors left out."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from zoo.errors import DataError, IntegrityError, UsageError, ZooError
from zoo.inference import cuda
from zoo.inference.light_graph import BRANCH, without_extras
from zoo.model.artefact import Feature, Header
from zoo.tiles.pipeline import in_stage, usable_cores

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["BATCH", "Session", "as_predictors"]

BATCH = 512
"""Rows that go through a network at once where the model names no number: what a layer of 1,000 units makes of them
stays in a core's cache (onnxruntime 1.31: 256 to 512 were fastest, 4,096 took a quarter longer)."""
ALWAYS = ("soil_moisture", "out_of_range")
"""Outputs that every model has."""

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

_SILENT, _WARNING, _ERROR = 4, 2, 3


class Session:
    """A compiled model, ready to predict.

    Parameters
    ----------
    model : path of a `model.onnx`, or its bytes
    device : `cpu`; `cuda`, which fails where CUDA cannot be used; `auto`, which takes CUDA where it can
    threads : of the CPU; all that this process may use by default. Each takes its own rows: two threads with a
        batch each were faster than two that share every operator
    verify_sha256 : hash that the file must have
    batch : most rows that go through the model at once; what suits it by default
    tf32 : whether float32 products may be rounded to 10 bits (TF32) on CUDA

    Attributes
    ----------
    provider : what onnxruntime runs on
    header : what the model says about itself
    features : predictors in the order of the columns
    clip : lowest and highest soil moisture that the model returns, m3 m-3
    target : what it returns
    extras : further outputs that can be asked for: `soil_moisture_lower`, `soil_moisture_upper` and
        `dissimilarity_index` where the model has them
    metadata : all that the file says about itself, texts by key

    Raises
    ------
    DataError
        If the file is missing or no ONNX model.
    IntegrityError
        If its hash is another, or it has no header of this program.
    UsageError
        If `device` is none of the three.
    ZooError
        If `device` is `cuda` and CUDA cannot be used here or for this model.
    """

    fills_gaps = False
    """Whether rows with a missing predictor can have an answer; if not, what is missing throughout need not be read."""

    side_by_side = True
    """Whether several threads may ask at a time; each then takes its rows itself, see `zoo.tiles.pipeline.ahead`."""

    def __init__(
        self,
        model: Path | bytes,
        device: str = "auto",
        threads: int | None = None,
        verify_sha256: str | None = None,
        batch: int | None = None,
        tf32: bool = False,
    ) -> None:
        name = "The model" if isinstance(model, bytes) else str(model)
        content = model if isinstance(model, bytes) else _read(model)
        _verify(content, verify_sha256, name)
        self._session = _open(content, device, name, tf32=tf32)
        self.provider: str = self._session.get_providers()[0]
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        outputs = [output.name for output in self._session.get_outputs()]
        self.extras: tuple[str, ...] = tuple(name for name in outputs if name not in ALWAYS)
        self._switched = BRANCH in [value.name for value in self._session.get_overridable_initializers()]
        self.header = Header.parse(self.metadata.get("zoo"), name)
        self._batch = batch
        self._threads = (threads or usable_cores()) if self.provider == CPU else cuda.LANES
        self._lanes: cuda.Lanes | None = None
        if self.provider == CUDA:
            light = without_extras(content, ALWAYS) if self._switched else content
            self._lanes = cuda.Lanes(
                lambda providers: _create(light, providers, name), len(self.header.features), self.batch, tf32=tf32
            )
        self._pool: ThreadPoolExecutor | None = None
        self.features: tuple[Feature, ...] = self.header.features
        self.clip: tuple[float, float] = self.header.clip
        self.target: dict[str, Any] = self.header.target

    @property
    def names(self) -> list[str]:
        """Names of the predictors in the order of the columns."""
        return [feature.name for feature in self.features]

    def features_in(self, available: Sequence[str], *, allow_extra: bool = False) -> list[str]:
        """Return the names of the model's predictors in its own order, if they are all available.

        Parameters
        ----------
        available : names that there are, in any order
        allow_extra : whether names that the model does not know are passed over (the other columns of a table)

        Raises
        ------
        DataError
            If predictors are missing, given twice or, unless allowed, not known to the model; all are named.
        """
        known = set(available)
        complaints = {
            "missing": [name for name in self.names if name not in known],
            "given twice": sorted({name for name in self.names if list(available).count(name) > 1}),
            "not known to the model": [] if allow_extra else sorted(known.difference(self.names)),
        }
        told = [f"{what}: {', '.join(names)}" for what, names in complaints.items() if names]
        if told:
            msg = f"Predictors do not fit the model; {'; '.join(told)}; it takes {', '.join(self.names)}"
            raise DataError(msg)
        return self.names

    def predict(
        self, X: npt.ArrayLike, *, where: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.bool_]] | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Predict row by row; a row with a missing (NaN or infinite) predictor never reaches the model.

        Parameters
        ----------
        X : (n, k), predictors in the order of `features` and in their units
        where : says of rows (m, k) which ones the model answers, (m,); those with all predictors by default

        Returns
        -------
        soil_moisture : (n,) float32, m3 m-3, within `clip`; NaN where a predictor is missing
        out_of_range : (n,) bool, where the model's own answer lay outside `clip`

        Raises
        ------
        DataError
            If X has not one column a feature.
        """
        found = self.answers(X, where=where)
        return found["soil_moisture"], found["out_of_range"]

    def answers(
        self,
        X: npt.ArrayLike,
        extras: Sequence[str] = (),
        *,
        where: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.bool_]] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Predict as `predict`, with further outputs of the model.

        The answer to a row depends neither on the threads nor on their timing: batches are cut by their size alone.

        Parameters
        ----------
        X, where : as for `predict`
        extras : names among `self.extras`; what is not asked for is not computed

        Returns
        -------
        `soil_moisture`, `out_of_range` and the extras by name, each (n,); extras are float32, NaN where not answered.

        Raises
        ------
        DataError
            If X has not one column a feature, or the model has not such an output.
        """
        rows = as_predictors(X, self.names)
        self.check_extras(extras)
        found: dict[str, npt.NDArray[Any]] = {"soil_moisture": np.full(len(rows), np.nan, np.float32)}
        found["out_of_range"] = np.zeros(len(rows), np.bool_)
        found |= {name: np.full(len(rows), np.nan, np.float32) for name in extras}
        size = self.batch

        def answer(start: int) -> None:
            part = slice(start, start + size)
            views = {name: values[part] for name, values in found.items()}
            self._answer_batch(rows[part], where or _whole, views)

        starts = iter(range(0, len(rows), size))
        threads = 1 if in_stage() else min(self._threads, -(-len(rows) // size))

        def take(_: int) -> None:
            for start in starts:  # shared: each batch goes to the thread that comes for it
                answer(start)

        if threads > 1:
            list(self._workers().map(take, range(threads)))
        else:
            take(0)
        return found

    @property
    def batch(self) -> int:
        """Rows that go through the model at once: as many as was asked for, else as the model says."""
        if self._batch or self.provider == CUDA:
            return self._batch or cuda.BATCH
        return int(self.metadata.get("batch", BATCH))

    def check_extras(self, names: Sequence[str]) -> None:
        """Raise DataError if the model has not the further outputs `names`."""
        missing = [name for name in names if name not in self.extras]
        if missing:
            msg = (
                f"The model has no {', '.join(missing)}: it was made without intervals and domain, or from too few "
                "groups of samples; train and export it anew"
            )
            raise DataError(msg)

    def _workers(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="onnxruntime")
        return self._pool

    def _answer_batch(
        self,
        rows: npt.NDArray[Any],
        where: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.bool_]],
        found: dict[str, npt.NDArray[Any]],
    ) -> None:
        """Answer rows into views of the results."""
        with np.errstate(over="ignore"):  # beyond float32 is infinite, thus missing
            predictors = np.asarray(rows, np.float32, order="C")
        asked = where(predictors)
        if not asked.any():
            return
        whole = bool(asked.all())
        answers = self._run(predictors if whole else predictors[asked], list(found))
        for values, answer in zip(found.values(), answers, strict=True):
            values[slice(None) if whole else asked] = answer[:, 0]

    def _run(self, predictors: npt.NDArray[np.float32], outputs: list[str]) -> Any:
        if self._lanes is not None and outputs == list(ALWAYS):
            return self._on_cuda(self._lanes, predictors)
        # onnxruntime 1.31 runs every operator whatever outputs it is asked for; this input turns those of extras off
        wanted = {BRANCH: np.array(len(outputs) > len(ALWAYS))} if self._switched else {}
        return self._tried(lambda: self._session.run(outputs, {"predictors": predictors, **wanted}))

    def _on_cuda(self, lanes: cuda.Lanes, predictors: npt.NDArray[np.float32]) -> Any:
        return self._tried(lambda: lanes.run(predictors))

    def _tried(self, run: Callable[[], Any]) -> Any:
        try:
            return run()
        except Exception as error:  # onnxruntime's classes have no base of their own
            msg = f"onnxruntime failed on {self.provider}: {_first_line(error)}; try --device cpu"
            raise ZooError(msg) from error


def as_predictors(X: npt.ArrayLike, names: Sequence[str]) -> npt.NDArray[Any]:
    """Return X as an array (n, k); DataError if it has not one column a name."""
    rows = np.asarray(X)
    if rows.ndim != 2 or rows.shape[1] != len(names):
        msg = f"Predictors have shape {rows.shape}, expected (n, {len(names)}): {', '.join(names)}"
        raise DataError(msg)
    return rows


def _whole(predictors: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Say which rows have all predictors; the common case, all of them, is seen at once."""
    finite = np.isfinite(predictors)
    if finite.all():
        return np.ones(len(predictors), np.bool_)
    return np.asarray(finite.all(axis=1))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}; expected a model.onnx made by zoo export onnx"
        raise DataError(msg) from error


def _verify(content: bytes, expected: str | None, name: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if expected is not None and found != expected:
        msg = f"{name} has sha256 {found[:12]}..., expected {expected[:12]}...: it was changed; restore it"
        raise IntegrityError(msg)


def _open(content: bytes, device: str, name: str, *, tf32: bool = False) -> Any:
    """Open a session on the device asked for; `auto` stays on the CPU where CUDA fails or has no kernel for it."""
    if device not in ("auto", "cpu", "cuda"):
        msg = f"--device {device!r} is not known; expected auto, cpu or cuda"
        raise UsageError(msg)
    session = _create(content, [CPU], name)
    if device == "cpu":
        return session
    if session.get_modelmeta().custom_metadata_map.get("devices") == "cpu":
        if device == "auto":
            return session
        msg = f"--device cuda: onnxruntime has no CUDA kernel for {name} (decision trees); use --device cpu or auto"
        raise ZooError(msg)
    faster = _create_on_cuda(content, name, tf32=tf32)
    if device == "cuda" and faster is None:
        msg = (
            "--device cuda: onnxruntime cannot use CUDA here (no GPU, no driver, or CUDA and cuDNN are not "
            "installed); use --device cpu, or: pip install 'soil-moisture-zoo[cuda]'"
        )
        raise ZooError(msg)
    return session if faster is None else faster


def _create_on_cuda(content: bytes, name: str, *, tf32: bool = False) -> Any | None:
    """Open a session on CUDA, None if it cannot be; onnxruntime's pages about missing libraries are kept quiet."""
    if CUDA not in onnxruntime.get_available_providers():
        return None
    onnxruntime.set_default_logger_severity(_SILENT)
    try:
        with redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()
        session = _create(content, [cuda.provider(tf32=tf32), CPU], name)
    except DataError:
        return None
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)
    return session if CUDA in session.get_providers() else None


def _create(content: bytes, providers: list[Any], name: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # threads take rows of their own
    options.log_severity_level = _ERROR
    try:
        session = onnxruntime.InferenceSession(content, options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime's classes have no base of their own
        msg = f"{name} cannot be opened by onnxruntime: {_first_line(error)}; export the model anew"
        raise DataError(msg) from error
    return session


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
