"""HDF5 as products deliver it: a broken or foreign file is one clear `DataError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from zoo.errors import DataError


@contextmanager
def open_hdf5(path: Path, product: str) -> Iterator[h5py.File]:
    """Open a file for reading; what fails in the block for the file's sake is a DataError.

    Raises
    ------
    DataError
        If the file is truncated or no HDF5, or lacks a dataset or attribute that the block asks for.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except KeyError as error:
        msg = f"{path} is no {product} file: {_text(error)}; check that it has the name it was published under"
        raise DataError(msg) from error
    except OSError as error:
        msg = f"{path} cannot be read as {product} (HDF5): {_text(error)}; it may be truncated, download it again"
        raise DataError(msg) from error


def attribute(item: h5py.HLObject, name: str) -> Any:
    """Return an attribute as text or as one number; products store bytes and arrays of length one."""
    value = item.attrs[name]
    if isinstance(value, np.ndarray):
        value = value.ravel()[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def is_simulated(file: h5py.File) -> bool:
    """Say whether one of the file's own attributes says that it is simulated."""
    return any("simulated" in str(value).lower() for value in file.attrs.values())


def missing_as_nan(values: npt.ArrayLike, fill: float) -> npt.NDArray[np.float32]:
    """Return values as float32 with NaN for the fill value."""
    found = np.asarray(values)
    return np.where(found == fill, np.float32(np.nan), found).astype(np.float32)


def _text(error: BaseException) -> str:
    return " ".join(str(error).strip("\"'").split())
