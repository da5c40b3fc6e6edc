"""A compressed model with its certificate before the dense one: each pixel goes to the one that may answer it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import IntegrityError, UsageError, ZooError
from zoo.runtime import Session, as_predictors

if TYPE_CHECKING:
    import numpy.typing as npt

    from zoo.registry.schema import Artefact

__all__ = ["COMPRESSED", "Certificate", "CertifiedSession", "NotCertifiedError", "covering", "kind_of"]

COMPRESSED = "onnx-compressed-"
"""Kinds of artefact that begin so are compressed models; what follows is their tolerance."""


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
        inside = rows >= np.array(self.low, np.float32)
        inside &= rows <= np.array(self.high, np.float32)
        if inside.all():  # seen sooner than row by row
            return np.ones(len(rows), np.bool_)
        return np.asarray(inside.all(axis=1))

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
        if kind.startswith(COMPRESSED)
        and artefact.parity is not None
        and (artefact.parity.max is not None and artefact.parity.max <= tolerance)
        and (artefact.parity.p99_9 is not None and artefact.parity.p99_9 <= tolerance / 2)
    ]
    return min(covered, default=(0, None))[1]


class CertifiedSession(Session):
    """Two sessions as one: the compressed model where its certificate covers a pixel, else the dense one.

    Parameters
    ----------
    compressed, dense : sessions over the two forms of one model
    kind : of the compressed artefact in the registry

    Attributes
    ----------
    certificate : of the compressed model
    uncovered : pixels so far that left the calibrated range and went through the dense model

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
        self.uncovered = 0
        self.provider, self.header = compressed.provider, dense.header
        self.features, self.clip, self.target = dense.features, dense.clip, dense.target
        self.metadata = compressed.metadata

    def predict(
        self, X: npt.ArrayLike, *, where: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.bool_]] | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Predict row by row, as `zoo.runtime.Session.predict`; rows beyond the calibrated range are counted."""
        rows = as_predictors(X, self.names)
        covers = self.certificate.covers
        allowed = covers if where is None else lambda part: covers(part) & where(part)
        soil_moisture, out_of_range = self.compressed.predict(rows, where=allowed)
        open_ = np.isnan(soil_moisture)
        if open_.any():
            answers, outside = self.dense.predict(rows[open_], where=where)
            soil_moisture[open_], out_of_range[open_] = answers, outside
            self.uncovered += int(np.isfinite(answers).sum())
        return soil_moisture, out_of_range

    def facts(self) -> dict[str, Any]:
        """Say what the answers can be off by, and how many pixels the certificate did not cover."""
        return {"kind": self.kind, "tolerance": self.certificate.tolerance, "uncovered": self.uncovered}
