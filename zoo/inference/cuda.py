"""Inference on an NVIDIA GPU: device buffers that stay, pinned memory, CUDA graphs, and transfers beside computing."""

from __future__ import annotations

import contextlib
import ctypes
import queue
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

if TYPE_CHECKING:
    import numpy.typing as npt

CUDA = "CUDAExecutionProvider"
BATCH = 65536
"""Rows at once: a layer of 1,000 units makes 262 MB of them, and the launches of a run no longer count."""
LANES = 2
"""Batches under way at a time: one is copied while the other is computed."""
RUNTIMES = ("libcudart.so.13", "libcudart.so.12", "cudart64_13.dll", "cudart64_12.dll")

OUTPUTS = (("soil_moisture", np.float32), ("out_of_range", np.bool_))


def provider(*, tf32: bool = False, graph: bool = False) -> tuple[str, dict[str, str]]:
    """Return the provider with its options; onnxruntime by itself would multiply float32 with 10 bits (TF32)."""
    return CUDA, {"use_tf32": str(int(tf32)), "enable_cuda_graph": str(int(graph))}


class Lane:
    """One session with buffers of its own, on a stream of its own; every run has the same shape and addresses.

    Parameters
    ----------
    create : opens a session on the provider given
    features : predictors
    batch : rows a run; fewer are padded
    tf32 : whether float32 products may be rounded to TF32
    memory : where the buffers are, `cuda`; `cpu` for a session that runs there

    Attributes
    ----------
    graph : whether runs are replayed as a CUDA graph
    """

    def __init__(
        self,
        create: Callable[[list[Any]], Any],
        features: int,
        batch: int = BATCH,
        *,
        tf32: bool = False,
        memory: str = "cuda",
    ) -> None:
        # a CUDA graph takes part only if all operators run on the GPU, else onnxruntime refuses the session
        try:
            self.session = create([provider(tf32=tf32, graph=True)])
            self.graph = True
        except Exception:  # onnxruntime's classes have no base of their own
            self.session = create([provider(tf32=tf32), "CPUExecutionProvider"])
            self.graph = False
        self.given = np.zeros((batch, features), np.float32)
        self._pinned = _pin(self.given) if memory == "cuda" else None
        value = onnxruntime.OrtValue
        self._input = value.ortvalue_from_numpy(self.given, memory, 0)
        self._outputs = [value.ortvalue_from_shape_and_type((batch, 1), kind, memory, 0) for _, kind in OUTPUTS]
        self._binding = self.session.io_binding()
        self._binding.bind_ortvalue_input("predictors", self._input)
        for (name, _), output in zip(OUTPUTS, self._outputs, strict=True):
            self._binding.bind_ortvalue_output(name, output)

    def run(self, rows: npt.NDArray[np.float32]) -> list[npt.NDArray[Any]]:
        """Answer at most `batch` rows (n, k): soil moisture and the mark of clipping, (n, 1) each."""
        self.given[: len(rows)] = rows
        self._input.update_inplace(self.given)
        self.session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        return [output.numpy()[: len(rows)].copy() for output in self._outputs]

    def close(self) -> None:
        """Give the pinned memory back."""
        if self._pinned is not None:
            self._pinned.cudaHostUnregister(ctypes.c_void_p(self.given.ctypes.data))
            self._pinned = None

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # of a lane that was never opened
            self.close()


class Lanes:
    """Several lanes; each thread that asks gets one that is free."""

    def __init__(
        self,
        create: Callable[[list[Any]], Any],
        features: int,
        batch: int = BATCH,
        *,
        tf32: bool = False,
        count: int = LANES,
    ) -> None:
        self.batch, self.count = batch, count
        self.lanes = [Lane(create, features, batch, tf32=tf32) for _ in range(count)]
        self._free: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        for lane in self.lanes:
            self._free.put(lane)

    def run(self, rows: npt.NDArray[np.float32]) -> list[npt.NDArray[Any]]:
        """Answer rows (n, k) in the next free lane."""
        with self._lane() as lane:
            parts = [lane.run(rows[start : start + self.batch]) for start in range(0, len(rows), self.batch)]
        return [np.concatenate(part) for part in zip(*parts, strict=True)] if len(parts) != 1 else parts[0]

    @contextlib.contextmanager
    def _lane(self) -> Iterator[Lane]:
        lane = self._free.get()
        try:
            yield lane
        finally:
            self._free.put(lane)


def _pin(array: npt.NDArray[Any]) -> Any | None:
    """Page-lock an array so that copies run at the full speed of the bus; None where the CUDA runtime is not found."""
    for name in RUNTIMES:
        try:
            runtime = ctypes.CDLL(name)
        except OSError:
            continue
        failed = runtime.cudaHostRegister(
            ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes), ctypes.c_uint(0)
        )
        return None if failed else runtime
    return None
