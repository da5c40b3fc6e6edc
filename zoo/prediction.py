"""Predict a fine map window by window, or a table row by row, with a compiled model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo import __version__
from zoo.errors import DataError, UsageError
from zoo.stack.opened import cut
from zoo.tiles.pipeline import Overlap, behind
from zoo.tiles.windows import DOMAIN, Domain, FurtherBand, MapMaker, Window, asked_of, corrected

if TYPE_CHECKING:
    import xarray as xr

    from zoo.correction import Mode
    from zoo.inference.runtime import Session
    from zoo.registry import Registry, Resolved
    from zoo.stack import Stack

BLOCK = 512
"""Side of the windows that are read, predicted and written, pixels: the tile of the files written."""


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
    compared : those with a value whose predictors were compared with the training's, all or a sample
    out_of_domain : those of them that are unlike it; None where the model cannot tell
    correction : report of the correction to the coarse mean, if one was made
    """

    path: Path
    model: str
    provider: str
    pixels: int = 0
    predicted: int = 0
    out_of_range: int = 0
    water: int = 0
    compared: int = 0
    out_of_domain: int | None = None
    correction: dict[str, Any] = field(default_factory=dict)

    @property
    def out_of_domain_share(self) -> float | None:
        """Share of the compared pixels that are unlike the training; None where none was compared."""
        return self.out_of_domain / self.compared if self.compared and self.out_of_domain is not None else None

    def count(self, found: Mapping[str, npt.NDArray[Any]]) -> None:
        """Add answers of the model."""
        values = found["soil_moisture"]
        self.predicted += int(np.isfinite(values).sum())
        self.out_of_range += int(found["out_of_range"].sum())

    def compare(self, dissimilarity: npt.NDArray[Any], threshold: float) -> None:
        """Add pixels that were compared with the training; `threshold` is where the model's domain ends."""
        self.compared += int(np.isfinite(dissimilarity).sum())
        self.out_of_domain = (self.out_of_domain or 0) + int((dissimilarity > np.float32(threshold)).sum())


def open_session(
    registry: Registry,
    ref: str,
    device: str = "auto",
    tolerance: float | None = None,
    precision: str = "auto",
) -> tuple[Resolved, Session]:
    """Return a model's version and a session over its ONNX file, whose hash was checked; exported first if need be.

    With a `tolerance` (m3 m-3), or a `precision` other than float32, the session is a `CertifiedSession` over the
    form of the model that `zoo.inference.certified.variant` chooses, if there is one.
    """
    from zoo.inference.certified import CERTIFIED_ON, CertifiedSession, variant
    from zoo.inference.runtime import Session
    from zoo.model.artefact import TrainedModel
    from zoo.model.exporting import export_model

    version = registry.resolve(ref)
    if "onnx" not in version.record.artefacts:
        version = export_model(registry, str(version.ref), "onnx")
    dense = Session(version.path("onnx"), device=device)
    kind = variant(version.record.artefacts, tolerance, precision, dense.provider)
    if kind is None:
        return version, dense
    session = CertifiedSession(Session(version.path(kind), device=device), dense, kind)
    if dense.provider != CERTIFIED_ON:
        session.check(TrainedModel.load(version.path("model")).test_X)
    return version, session


def predict_map(
    version: Resolved,
    session: Session,
    stack: Stack,
    path: Path,
    *,
    coarse: xr.DataArray | None = None,
    correct: Mode = "exact",
    sensor_error: float | None = None,
    texture: float | None = None,
    extras: Sequence[str] = (),
    further: Sequence[FurtherBand] = (),
    strict: float | None = None,
    allow_extra: bool = False,
    tags: Mapping[str, str] | None = None,
    overlap: Overlap | None = None,
) -> Prediction:
    """Predict soil moisture on the grid of a stack and write it.

    Parameters
    ----------
    version, session : from `open_session`
    stack : predictors; must hold every feature of the model
    path : .tif (COG) or .nc
    coarse : coarse field whose cell means the map is made to keep
    correct : how, `none`, `smooth` or `exact`; intervals move with the map
    sensor_error : standard deviation of the coarse field, m3 m-3; the means are then kept within it
    texture : how much of the map's differences inside cells to believe when it is corrected, 0 to 1; by default what
        training found for the model, 1 where it could not tell
    extras : further outputs of the model that become bands, see `zoo.inference.runtime.Session.extras`
    further : bands made of the predictors and the finished values
    strict : largest share of pixels out of the model's domain that is let through. Without it, and without
        `dissimilarity_index` among the extras, one pixel in `SAMPLED` is compared with the training
    allow_extra : whether layers that the model does not know are passed over
    tags : further metadata for the file
    overlap : what runs beside what, as it suits the machine by default; the map is the same

    Raises
    ------
    DataError
        If a predictor is missing; the message names it. If the model has not one of the extras. If more pixels than
        `strict` are out of the model's domain.
    """
    from zoo.writers import as_bands, open_writer

    names = session.features_in(stack.names, allow_extra=allow_extra)
    done = Prediction(path, str(version.ref), session.provider)
    about = {**provenance(version, stack), **_said_by(session, extras), **(tags or {})}
    if coarse is not None and correct != "none":
        about["correction"] = correct
        texture = texture_of(version) if texture is None else texture
        about |= {"correction_texture": f"{texture:.3g}"}
        about |= {} if sensor_error is None else {"correction_sensor_error": f"{sensor_error:g} m3 m-3"}
    overlap = overlap or _suited(session, stack, path)
    domain = Domain.of(session, extras, strict)
    maker = MapMaker(session, stack, names, tuple(extras), tuple(further), domain, done)
    bands = [*as_bands(["soil_moisture", *extras]), *(one.band for one in further)]
    with open_writer(path, stack.geobox, bands=bands, tags=about, depth=version.record.target.depth) as writer:
        with behind(writer.write, threads=int(overlap.writing), waiting=overlap.waiting) as write:
            made = maker.windows(overlap)
            if coarse is not None and correct != "none":
                made = corrected(made, maker, coarse, correct, path, sensor_error=sensor_error, texture=texture)
            with closing(made):
                for window, values in made:
                    if values is not None:
                        write(window, values)
        check_domain(done, strict)
        writer.update_tags(_counted(done))
    return done


def texture_of(version: Resolved) -> float:
    """Return how much of a model's differences inside coarse cells its corrected maps keep."""
    found = version.record.texture
    return 1.0 if found is None else found.weight


def _suited(session: Session, stack: Stack, path: Path) -> Overlap:
    """Overlap nothing where HDF5 reads and writes: that might be one library, which serves one thread."""
    if path.suffix == ".nc" and any(layer.path.suffix.startswith(".nc") for layer in stack.layers.values()):
        return Overlap(workers=0, readers=0, writing=False)
    return Overlap.suited(fast=session.provider.startswith("CUDA"))


def windows(shape: tuple[int, int]) -> Iterator[Window]:
    """Cut a grid of `shape` (rows, columns) into windows of at most `BLOCK` x `BLOCK`."""
    return iter(cut(shape, BLOCK, BLOCK))


def predict_table(
    version: Resolved,
    session: Session,
    table: Path,
    path: Path,
    *,
    extras: Sequence[str] = (),
    strict: float | None = None,
) -> Prediction:
    """Predict every row of a parquet or CSV table; writes it with `soil_moisture` and the extras as columns."""
    import pandas as pd

    from zoo.inference.patterns import NO_VALUE, PatternSession
    from zoo.samples.rows import read_table
    from zoo.writers import write_table

    rows = read_table(table)
    names = session.features_in([str(column) for column in rows.columns], allow_extra=True)
    predictors = rows[names].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float32)
    domain = Domain.of(session, extras, strict)
    found = session.answers(predictors, asked_of(extras, domain))
    done = Prediction(path, str(version.ref), session.provider)
    done.pixels = len(rows)
    done.count(found)
    if domain is not None:
        domain.compare(session, predictors, found, done)
    check_domain(done, strict)
    columns = {name: found[name] for name in ("soil_moisture", *extras)}
    if isinstance(session, PatternSession):
        columns["method"] = np.where(np.isnan(columns["soil_moisture"]), NO_VALUE, session.codes(predictors))
    write_table(path, rows.assign(**columns), {**model_tags(version), **_said_by(session, extras)})
    return done


def check_domain(done: Prediction, strict: float | None) -> None:
    """Raise DataError if more of the pixels than `strict` are out of the model's domain."""
    share = done.out_of_domain_share
    if strict is None or share is None or share <= strict:
        return
    msg = (
        f"{done.out_of_domain:,} of {done.compared:,} pixels ({share:.2%}) are unlike anything that {done.model} was "
        f"trained on, --strict lets {strict:.2%} through; train on samples of such places, or leave --strict out and "
        "map the dissimilarity with --uncertainty"
    )
    raise DataError(msg)


def _said_by(session: Session, extras: Sequence[str]) -> dict[str, str]:
    """Return what the model says about its extras, for the tags of a file."""
    told = {DOMAIN: "aoa_threshold", "soil_moisture_lower": "interval_level"}
    return {key: session.metadata[key] for name, key in told.items() if name in extras and key in session.metadata}


def _counted(done: Prediction) -> dict[str, str]:
    known = done.out_of_domain is not None and done.compared == done.predicted
    beyond = {"pixels_out_of_domain": str(done.out_of_domain)} if known else {}
    return {"pixels_clipped": str(done.out_of_range), **beyond}


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
