"""A compressed model with its certificate before the dense one: each pixel goes to the one that may answer it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import IntegrityError, UsageError, ZooError
from zoo.inference.runtime import Session, as_predictors

if TYPE_CHECKING:
    import numpy.typing as npt

    from zoo.registry.schema import Artefact

__all__ = [
    "COMPRESSED",
    "PRECISIONS",
    "Certificate",
    "CertifiedSession",
    "NotCertifiedError",
    "covering",
    "kind_of",
    "variant",
]

COMPRESSED = "onnx-compressed-"
"""Kinds of artefact that begin so are compressed models; what follows is their tolerance."""


PRECISIONS = ("auto", "fp32", "fp16", "int8")
NARROW = {"fp16": "onnx-fp16", "int8": "onnx-int8"}
"""Precisions of the dense network other than float32, and their kinds of artefact."""
CERTIFIED_ON = "CPUExecutionProvider"
"""Where exporters measure; on another device the model's test vectors are held to the certificate at first."""
SUITED = {"CPUExecutionProvider": "int8", "CUDAExecutionProvider": "fp16"}
"""The precision that is faster than float32, by what onnxruntime runs on."""


class NotCertifiedError(ZooError):
    """No smaller network was proven equal; the dense one has to be used."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a compressed model promises, and where.

    Attributes
    ----------
    tolerance : m3 m-3; no held-out calibration pixel differed by more, 99.9 % by no more than half
    low, high : range of each predictor within which it was calibrated
    """

    tolerance: float
    low: tuple[float, ...]
    high: tuple[float, ...]

    def covers(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Say for rows (n, k) whether all predictors lie within their range, (n,); NaN does not."""
        inside = rows >= _repeated(self.low, len(rows))
        inside &= rows <= _repeated(self.high, len(rows))
        covered = np.ones(len(rows), np.bool_)
        if not inside.all():  # few are outside: looking for them is faster than row by row
            covered[np.flatnonzero(~inside) // rows.shape[1]] = False
        return covered

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def parse(cls, text: str | None) -> Certificate:
        """Read it from JSON; IntegrityError if there is none."""
        try:
            raw = json.loads(text or "")
            return cls(float(raw["tolerance"]), tuple(map(float, raw["low"])), tuple(map(float, raw["high"])))
        except (ValueError, TypeError, KeyError) as error:
            msg = "The compressed model has no certificate; export it anew with zoo export onnx --compress TOLERANCE"
            raise IntegrityError(msg) from error


@lru_cache(maxsize=16)
def _repeated(limits: tuple[float, ...], rows: int) -> npt.NDArray[np.float32]:
    """Return limits (k,) once a row, (rows, k): comparing arrays of one shape takes a quarter of the time."""
    return np.tile(np.array(limits, np.float32), (rows, 1))


def kind_of(tolerance: float) -> str:
    """Return the kind of artefact of a compressed model, `onnx-compressed-0.001`.

    Raises
    ------
    UsageError
        If the tolerance is not a number above 0.
    """
    if not 0 < tolerance < 1:
        msg = f"The tolerance is {tolerance:g}; give m3 m-3 above 0 and below 1, for example 0.001"
        raise UsageError(msg)
    return COMPRESSED + np.format_float_positional(tolerance, trim="-")


def covering(artefacts: Mapping[str, Artefact], tolerance: float) -> str | None:
    """Return the kind of the smallest compressed model whose certificate covers a tolerance, None if none does.

    Covered is what the registry says was measured: no error above the tolerance, 99.9 % below half of it.
    """
    covered = [
        (artefact.bytes, kind)
        for kind, artefact in artefacts.items()
        if kind.startswith(COMPRESSED) and _covers(artefact, tolerance)
    ]
    return min(covered, default=(0, None))[1]


def variant(
    artefacts: Mapping[str, Artefact], tolerance: float | None, precision: str, provider: str = "CPUExecutionProvider"
) -> str | None:
    """Return the kind of artefact to predict with, None for the dense one in float32.

    Parameters
    ----------
    artefacts : of one version, by kind
    tolerance : m3 m-3 that a certificate must cover; None for none, so that nothing but a precision that is named
        changes an answer
    precision : `auto` takes a compressed network, else the precision that suits the device, each only if its
        certificate covers the tolerance; `fp32` a compressed network or the dense one; `fp16` and `int8` that form
        of the dense one
    provider : what onnxruntime runs on

    Raises
    ------
    UsageError
        If there is no such precision.
    NotCertifiedError
        If a precision was named that the version does not have, or not certified for the tolerance.
    """
    if precision not in PRECISIONS:
        msg = f"--precision {precision!r} is not known; expected one of {', '.join(PRECISIONS)}"
        raise UsageError(msg)
    if precision in NARROW:
        found = artefacts.get(NARROW[precision])
        if found is None or (tolerance is not None and not _covers(found, tolerance)):
            what = "is not certified for this tolerance" if found else "has not been made"
            msg = f"The {precision} form of this model {what}; run: zoo export onnx --precision {precision}"
            raise NotCertifiedError(msg)
        return NARROW[precision]
    if tolerance is None:
        return None
    compressed = covering(artefacts, tolerance)
    if compressed is not None or precision == "fp32":
        return compressed
    kind = NARROW[SUITED.get(provider, "int8")]
    return kind if kind in artefacts and _covers(artefacts[kind], tolerance) else None


def _covers(artefact: Artefact, tolerance: float) -> bool:
    """Say whether what was measured on held-out pixels keeps to a tolerance."""
    found = artefact.parity
    return (
        found is not None
        and (found.max is not None and found.max <= tolerance)
        and (found.p99_9 is not None and found.p99_9 <= tolerance / 2)
    )


class CertifiedSession(Session):
    """Two sessions as one: the compressed model where its certificate covers a pixel, else the dense one.

    The compressed model itself answers NaN where it is unsure; there the dense one answers, too.

    Parameters
    ----------
    compressed, dense : sessions over the two forms of one model
    kind : of the compressed artefact in the registry

    Attributes
    ----------
    certificate : of the compressed model
    uncovered : pixels so far that went through the dense model: beyond the calibrated range, or unsure

    Raises
    ------
    IntegrityError
        If the two are not of one model, or there is no certificate.
    """

    def __init__(self, compressed: Session, dense: Session, kind: str = "") -> None:
        if compressed.header != dense.header:
            msg = "The compressed model is not of this dense one; export it anew with zoo export onnx --compress"
            raise IntegrityError(msg)
        self.compressed, self.dense, self.kind = compressed, dense, kind
        self.certificate = Certificate.parse(compressed.metadata.get("certificate"))
        self.uncovered, self._lock = 0, threading.Lock()
        self.provider, self.header = compressed.provider, dense.header
        self.features, self.clip, self.target = dense.features, dense.clip, dense.target
        self.metadata, self.extras = {**dense.metadata, **compressed.metadata}, dense.extras

    def answers(
        self,
        X: npt.ArrayLike,
        extras: Sequence[str] = (),
        *,
        where: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.bool_]] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Predict row by row, as `zoo.inference.runtime.Session.answers`.

        Rows beyond the calibrated range, and those that the compressed model leaves open as it is unsure, are counted.
        Extras that the compressed model has not come from the dense one.
        """
        rows = as_predictors(X, self.names)
        self.check_extras(extras)
        covers = self.certificate.covers
        allowed = covers if where is None else lambda part: covers(part) & where(part)
        own = [name for name in extras if name in self.compressed.extras]
        found = self.compressed.answers(rows, own, where=allowed)
        open_ = np.isnan(found["soil_moisture"])
        if open_.any():
            answers = self.dense.answers(rows[open_], own, where=where)
            for name, values in answers.items():
                found[name][open_] = values
            with self._lock:
                self.uncovered += int(np.isfinite(answers["soil_moisture"]).sum())
        others = [name for name in extras if name not in own]
        if others:
            of_dense = self.dense.answers(rows, others, where=where)
            found |= {name: of_dense[name] for name in others}
        return found

    def check(self, rows: npt.NDArray[np.float32]) -> None:
        """Hold the certificate to rows (n, k) on the device at hand; it may have been measured on another.

        Raises
        ------
        NotCertifiedError
            If a covered row differs from the dense model by more than the tolerance.
        """
        covered = rows[self.certificate.covers(rows)]
        said = self.compressed.predict(covered)[0].astype(float)
        sure = ~np.isnan(said)
        if not sure.any():
            return
        off = np.abs(said[sure] - self.dense.predict(covered[sure])[0]).max()
        if not off <= self.certificate.tolerance:  # NaN fails
            msg = (
                f"On {self.provider} {self.kind} differs from the dense model by {off:.2g} m3 m-3, certified are "
                f"{self.certificate.tolerance:g}; give --precision fp32"
            )
            raise NotCertifiedError(msg)

    def facts(self) -> dict[str, Any]:
        """Say what the answers can be off by, and how many pixels the certificate did not cover."""
        return {"kind": self.kind, "tolerance": self.certificate.tolerance, "uncovered": self.uncovered}
