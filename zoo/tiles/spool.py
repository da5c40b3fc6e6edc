"""Arrays that wait in a file until they are taken again, in the order in which they were put."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from zoo.writers.target import failing


class Spool:
    """A queue of arrays on disk."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._end = file, 0
        self._kept: deque[tuple[int, tuple[int, ...], np.dtype[Any]]] = deque()

    def put(self, values: npt.NDArray[Any]) -> None:
        """Add an array."""
        self._kept.append((self._end, values.shape, values.dtype))
        if values.size:
            self._file.seek(self._end)
            self._end += self._file.write(np.ascontiguousarray(values).data)

    def take(self) -> npt.NDArray[Any]:
        """Return the array that was put first and not taken yet."""
        place, shape, kind = self._kept.popleft()
        values = np.empty(shape, kind)
        if values.size:
            self._file.seek(place)
            self._file.readinto(values.data)  # type: ignore[attr-defined]
        return values


@contextmanager
def spool(folder: Path) -> Iterator[Spool]:
    """Yield a spool whose file lies in a folder that exists and is gone at the end; it has no name."""
    with ExitStack() as stack:
        with failing(folder):
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
        yield Spool(file)
