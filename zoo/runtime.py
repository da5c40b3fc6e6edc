"""Inference with onnxruntime: which provider, how many rows at a time, and rows with missing predictors left out."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from zoo.artefact import Feature, Header
from zoo.errors import DataError, IntegrityError, UsageError, ZooError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["BATCH", "Session", "as_predictors"]

BATCH = 512
"""Rows that go through a network at once where the model names no number: what a layer of 1,000 units makes of them
stays in a core's cache (onnxruntime 1.31: 256 to 512 were fastest, 4,096 took a quarter longer)."""
LEAST_ROWS = 128
"""Fewer rows are not shared out among threads."""

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

    Attributes
    ----------
    provider : what onnxruntime runs on
    header : what the model says about itself
    features : predictors in the order of the columns
    clip : lowest and highest soil moisture that the model returns, m3 m-3
    target : what it returns
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

    def __init__(
        self,
        model: Path | bytes,
        device: str = "auto",
        threads: int | None = None,
        verify_sha256: str | None = None,
        batch: int | None = None,
    ) -> None:
        name = "The model" if isinstance(model, bytes) else str(model)
        content = model if isinstance(model, bytes) else _read(model)
        _verify(content, verify_sha256, name)
        self._session = _open(content, device, name)
        self.provider: str = self._session.get_providers()[0]
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.header = Header.parse(self.metadata.get("zoo"), name)
        self._threads = (threads or _usable_cores()) if self.provider == CPU else 1
        self._batch = batch
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
        rows = as_predictors(X, self.names)
        soil_moisture = np.full(len(rows), np.nan, np.float32)
        out_of_range = np.zeros(len(rows), np.bool_)
        size = self._rows_at_once(len(rows))

        def answer(start: int) -> None:
            part = slice(start, start + size)
            self._predict_batch(rows[part], where or _whole, soil_moisture[part], out_of_range[part])

        starts = range(0, len(rows), size)
        if self._threads > 1 and len(starts) > 1:
            list(self._workers().map(answer, starts))
        else:
            for start in starts:
                answer(start)
        return soil_moisture, out_of_range

    def _rows_at_once(self, rows: int) -> int:
        """Return the batch: at most what the model says, and so that every thread gets as many."""
        most = self._batch or int(self.metadata.get("batch", BATCH))
        rounds = max(1, -(-rows // (most * self._threads)))
        return min(most, max(LEAST_ROWS, -(-rows // (rounds * self._threads))))

    def _workers(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="onnxruntime")
        return self._pool

    def _predict_batch(
        self,
        rows: npt.NDArray[Any],
        where: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.bool_]],
        soil_moisture: npt.NDArray[np.float32],
        out_of_range: npt.NDArray[np.bool_],
    ) -> None:
        """Answer rows into views of the results."""
        with np.errstate(over="ignore"):  # beyond float32 is infinite, thus missing
            predictors = np.asarray(rows, np.float32, order="C")
        asked = where(predictors)
        if asked.all():
            answers, outside = self._run(predictors)
            soil_moisture[:], out_of_range[:] = answers[:, 0], outside[:, 0]
        elif asked.any():
            answers, outside = self._run(predictors[asked])
            soil_moisture[asked], out_of_range[asked] = answers[:, 0], outside[:, 0]

    def _run(self, predictors: npt.NDArray[np.float32]) -> Any:
        try:
            return self._session.run(["soil_moisture", "out_of_range"], {"predictors": predictors})
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


def _open(content: bytes, device: str, name: str) -> Any:
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
    faster = _create_on_cuda(content, name)
    if device == "cuda" and faster is None:
        msg = (
            "--device cuda: onnxruntime cannot use CUDA here (no GPU, no driver, or CUDA and cuDNN are not "
            "installed); use --device cpu, or: pip install 'soil-moisture-zoo[cuda]'"
        )
        raise ZooError(msg)
    return session if faster is None else faster


def _create_on_cuda(content: bytes, name: str) -> Any | None:
    """Open a session on CUDA, None if it cannot be; onnxruntime's pages about missing libraries are kept quiet."""
    if CUDA not in onnxruntime.get_available_providers():
        return None
    onnxruntime.set_default_logger_severity(_SILENT)
    try:
        with redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()
        session = _create(content, [CUDA, CPU], name)
    except DataError:
        return None
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)
    return session if CUDA in session.get_providers() else None


def _create(content: bytes, providers: list[str], name: str) -> Any:
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


def _usable_cores() -> int:
    """Cores that this process may use; onnxruntime would count those of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
