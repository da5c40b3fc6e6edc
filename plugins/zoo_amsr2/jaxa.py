"""What JAXA's AMSR2 soil moisture content (SMC) has in common at level 2 and 3: names, numbers, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from zoo.errors import DataError, UnknownNameError
from zoo.hdf5 import attribute

# GCOM-W1 AMSR2 Higher Level Product Format Specification; where its text could not be had, as two or more
# independent public readers of these files agree.
VALUES = "Geophysical Data"
"""int16, (rows, columns, 1) or (scans, pixels, 1)."""
NOT_OBSERVED, NO_RETRIEVAL = -32767, -32768
"""Any value below zero is missing; these two are what is written."""
PERCENT = 100.0
"""Soil moisture is stored in percent by volume."""
VARIABLE = "soil_moisture"
DEPTH = (0.0, 0.05)
"""Nominal; X band feels the top one or two centimetres."""


def version(developer: str, digits: str) -> str:
    """Return how the name gives it: developer, product version, algorithm version, parameter version."""
    return f"{developer.upper()}{digits}"


def check_variable(variable: str | None) -> None:
    """Refuse any field but the one there is."""
    if variable not in (None, VARIABLE):
        kind = "soil moisture field of JAXA's AMSR2 product"
        raise UnknownNameError(kind, str(variable), [VARIABLE])


def raw_values(file: h5py.File, path: Path) -> npt.NDArray[np.int16]:
    """Return the stored numbers as (rows, columns)."""
    return in_plane(file, VALUES, path)


def in_plane(file: h5py.File, name: str, path: Path) -> npt.NDArray[Any]:
    """Return a dataset of one layer without the axis for layers, which may come first, last or not at all.

    Raises
    ------
    DataError
        If there are several layers.
    """
    values: npt.NDArray[Any] = file[name][:]
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    if values.ndim != 2:
        msg = f"{path} holds {name!r} of shape {file[name].shape}; expected one layer, (rows, columns, 1)"
        raise DataError(msg)
    return values


def moisture(raw: npt.NDArray[np.int16], file: h5py.File, path: Path) -> npt.NDArray[np.float32]:
    """Return m3 m-3 with NaN where nothing was retrieved or a value is above 100 percent.

    Raises
    ------
    DataError
        If the file stores another unit than percent.
    """
    stored = file[VALUES]
    unit = str(attribute(stored, "UNIT")).strip() if "UNIT" in stored.attrs else "%"
    if unit != "%":
        msg = f"{path} gives soil moisture in {unit!r}; expected '%', percent by volume"
        raise DataError(msg)
    fraction = raw.astype(np.float32) * np.float32(float(attribute(stored, "SCALE FACTOR")) / PERCENT)
    return np.where((raw >= 0) & (fraction <= 1), fraction, np.float32(np.nan))


def flag_counts(raw: npt.NDArray[np.int16], fraction: npt.NDArray[np.float32]) -> dict[str, int]:
    """Count what is missing, and why."""
    return {
        "not_observed": int((raw == NOT_OBSERVED).sum()),
        "no_retrieval": int(((raw < 0) & (raw != NOT_OBSERVED)).sum()),
        "above_100_percent": int(((raw >= 0) & np.isnan(fraction)).sum()),
    }
