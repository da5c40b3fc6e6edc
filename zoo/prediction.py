"""Predict a fine map window by window, or a table row by row, with a compiled model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo import __version__
from zoo.errors import UsageError
from zoo.progress import task

if TYPE_CHECKING:
    import xarray as xr

    from zoo.correction import Mode
    from zoo.registry import Registry, Resolved
    from zoo.runtime import Session
    from zoo.stack import Stack

BLOCK = 512
"""Side of the windows that are read, predicted and written, pixels: the tile of the files written."""

MAX_WATER = 0.5
"""Pixels with a larger share of open water are masked."""


@dataclass(slots=True)
class Prediction:
    """What a prediction did.

    Attributes
    ----------
    path : the file written
    model : reference of the version used
    provider : what onnxruntime ran on
    pixels : pixels or rows of the output
    predicted : those with a value
    out_of_range : those clipped to the physical range
    water : those masked as open water
    correction : report of the correction to the coarse mean, if one was made
    """

    path: Path
    model: str
    provider: str
    pixels: int = 0
    predicted: int = 0
    out_of_range: int = 0
    water: int = 0
    correction: dict[str, Any] = field(default_factory=dict)


def open_session(
    registry: Registry, ref: str, device: str = "auto", tolerance: float | None = None
) -> tuple[Resolved, Session]:
    """Return a model's version and a session over its ONNX file, whose hash was checked; exported first if need be.

    With a `tolerance` (m3 m-3) the session is a `CertifiedSession` over the smallest compressed model whose
    certificate covers it, if there is one.
    """
    from zoo.certified import CertifiedSession, covering
    from zoo.exporting import export_model
    from zoo.runtime import Session

    version = registry.resolve(ref)
    if "onnx" not in version.record.artefacts:
        version = export_model(registry, str(version.ref), "onnx")
    dense = Session(version.path("onnx"), device=device)
    kind = None if tolerance is None else covering(version.record.artefacts, tolerance)
    if kind is None:
        return version, dense
    return version, CertifiedSession(Session(version.path(kind), device=device), dense, kind)


def predict_map(
    version: Resolved,
    session: Session,
    stack: Stack,
    path: Path,
    *,
    coarse: xr.DataArray | None = None,
    correct: Mode = "exact",
    allow_extra: bool = False,
    tags: Mapping[str, str] | None = None,
) -> Prediction:
    """Predict soil moisture on the grid of a stack and write it.

    Parameters
    ----------
    version, session : from `open_session`
    stack : predictors; must hold every feature of the model
    path : .tif (COG) or .nc
    coarse : coarse field whose cell means the map is made to keep
    correct : how, `none`, `smooth` or `exact`
    allow_extra : whether layers that the model does not know are passed over
    tags : further metadata for the file

    Raises
    ------
    DataError
        If a predictor is missing; the message names it.
    """
    from zoo.writers import open_writer

    names = session.features_in(stack.names, allow_extra=allow_extra)
    done = Prediction(path, str(version.ref), session.provider)
    about = {**provenance(version, stack), **(tags or {})}
    corrected = coarse is not None and correct != "none"
    if corrected:
        about["correction"] = correct
    with open_writer(path, stack.geobox, tags=about, depth=version.record.target.depth) as writer:
        if corrected:
            assert coarse is not None
            whole = np.full(stack.geobox.shape.yx, np.nan, np.float32)
            for window, values in predicted_windows(session, stack, names, done):
                whole[window] = values
            fine, done.correction = _corrected(whole, stack, coarse, correct, session.clip)
            done.predicted = int(np.isfinite(fine).sum())
            for window in windows(stack.geobox.shape.yx):
                writer.write(window, fine[window])
        else:
            for window, values in predicted_windows(session, stack, names, done):
                writer.write(window, values)
        writer.update_tags({"pixels_clipped": str(done.out_of_range)})
    return done


def predicted_windows(
    session: Session, stack: Stack, names: list[str], done: Prediction
) -> Iterator[tuple[tuple[slice, slice], npt.NDArray[np.float32]]]:
    """Predict window by window, counting into `done`; memory does not grow with the map."""
    shape = stack.geobox.shape.yx
    with task("predicting", shape[0] * shape[1]) as advance:
        for window in windows(shape):
            predictors = stack.read(window, names)
            values, clipped = session.predict(predictors.reshape(len(names), -1).T)
            values = values.reshape(predictors.shape[1:])
            water = stack.read_water(window)
            if water is not None:
                wet = water > MAX_WATER
                values[wet] = np.nan
                clipped &= ~wet.ravel()
                done.water += int(wet.sum())
            done.pixels += values.size
            done.predicted += int(np.isfinite(values).sum())
            done.out_of_range += int(clipped.sum())
            yield window, values
            advance(values.size)


def windows(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Cut a grid of `shape` (rows, columns) into windows of at most `BLOCK` x `BLOCK`."""
    for top in range(0, shape[0], BLOCK):
        for left in range(0, shape[1], BLOCK):
            yield slice(top, min(top + BLOCK, shape[0])), slice(left, min(left + BLOCK, shape[1]))


def predict_table(version: Resolved, session: Session, table: Path, path: Path) -> Prediction:
    """Predict every row of a parquet or CSV table; writes it with the column `soil_moisture` added."""
    import pandas as pd

    from zoo.samples import read_table
    from zoo.writers import write_table

    rows = read_table(table)
    names = session.features_in([str(column) for column in rows.columns], allow_extra=True)
    predictors = rows[names].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float32)
    values, clipped = session.predict(predictors)
    write_table(path, rows.assign(soil_moisture=values), model_tags(version))
    predicted = int(np.isfinite(values).sum())
    return Prediction(path, str(version.ref), session.provider, len(rows), predicted, int(clipped.sum()))


def provenance(version: Resolved, stack: Stack) -> dict[str, str]:
    """Say what a map was made from, for the tags of the file."""
    return {
        **model_tags(version),
        "simulated": str(version.record.simulated or stack.simulated).lower(),
        "inputs": "; ".join(f"{name}={source}" for name, source in stack.provenance.items()),
    }


def model_tags(version: Resolved) -> dict[str, str]:
    """Say which model made a file."""
    record = version.record
    return {
        "model": str(version.ref),
        "model_sha256": record.artefacts["onnx"].sha256,
        "model_dataset": record.dataset.fingerprint,
        "model_trained_on_simulated_data": str(record.simulated).lower(),
        "simulated": str(record.simulated).lower(),
        "software": f"soil-moisture-zoo {__version__}",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def default_output(version: Resolved, date: str) -> Path:
    """Return the name of the map if none was given, `smd-dbn-v1_2019-09-25.tif`."""
    return Path(f"{version.ref.name}-{version.ref.selector}_{date}.tif")


def check_table_output(path: Path) -> None:
    """Refuse a map's file name for a table's predictions."""
    if path.suffix not in (".parquet", ".csv"):
        msg = f"--table is predicted into a table, got -o {path}; give a name that ends in .parquet or .csv"
        raise UsageError(msg)


def _corrected(
    fine: npt.NDArray[np.float32], stack: Stack, coarse: xr.DataArray, mode: Mode, bounds: tuple[float, float]
) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
    from dataclasses import asdict

    from zoo.correction import correct

    values, report = correct(fine, stack.geobox, coarse, mode, bounds)
    return values.astype(np.float32), asdict(report)
