"""The gate: a compiled model must answer the test vectors as the framework that trained it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import IntegrityError
from zoo.inference.runtime import Session
from zoo_onnx import uncertainty

if TYPE_CHECKING:
    from zoo.model.artefact import TrainedModel

TOLERANCE = 1e-5
"""Largest difference allowed where the downscaler names none, m3 m-3; SMAP itself aims at 0.04 m3 m-3."""


def gate(content: bytes, model: TrainedModel, *, tolerance: float = TOLERANCE, quantile: float = 1.0) -> dict[str, Any]:
    """Compare a compiled model with the original on the test vectors that travel with it, on the CPU.

    Parameters
    ----------
    content : the compiled model
    model : the trained model with its test vectors
    tolerance : largest difference allowed, m3 m-3
    quantile : share of the rows that must keep to it

    Returns
    -------
    `max`, `p99.9`, `p99.99` of the absolute difference (m3 m-3), `above` (rows over the tolerance), `n`, `provider`,
    `tolerance`

    Raises
    ------
    IntegrityError
        If the model differs by more, or marks other rows as out of range, or gives one row alone another answer.
    """
    session = Session(content, device="cpu", threads=1, batch=len(model.test_X))
    answers, outside = session.predict(model.test_X)
    low, high = model.clip
    difference = np.abs(answers - np.clip(model.test_y, low, high))
    # NaN compares false, so that an answer that is no number fails
    if not np.quantile(difference, quantile) <= tolerance:
        msg = (
            f"The compiled model differs from the trained one by up to {difference.max():.2g} m3 m-3 on {len(answers)} "
            f"test vectors, allowed is {tolerance:g}; nothing was written; train anew or report a fault of the "
            f"downscaler {model.downscaler!r}"
        )
        raise IntegrityError(msg)
    _check_marks(outside, model, tolerance)
    _check_free_batch(session, model, answers, tolerance)
    uncertainty.check(session, model)
    return {
        "max": float(difference.max()),
        "p99.9": float(np.quantile(difference, 0.999)),
        "p99.99": float(np.quantile(difference, 0.9999)),
        "above": int((difference > tolerance).sum()),
        "n": len(answers),
        "provider": session.provider,
        "tolerance": tolerance,
    }


def _check_marks(outside: Any, model: TrainedModel, tolerance: float) -> None:
    """Compare the marks of clipping; answers within the tolerance of a limit may fall on either side."""
    low, high = model.clip
    expected = (model.test_y < low) | (model.test_y > high)
    clear = np.minimum(np.abs(model.test_y - low), np.abs(model.test_y - high)) > tolerance
    wrong = int((outside != expected)[clear].sum())
    if wrong:
        msg = f"The compiled model marks {wrong} test vectors wrongly as beyond {low:g}..{high:g}; nothing was written"
        raise IntegrityError(msg)


def _check_free_batch(session: Session, model: TrainedModel, answers: Any, tolerance: float) -> None:
    alone, _ = session.predict(model.test_X[:1])
    if not abs(alone[0] - answers[0]) <= tolerance:
        msg = f"The compiled model gives a row {alone[0]:g} alone, {answers[0]:g} among others; nothing was written"
        raise IntegrityError(msg)
