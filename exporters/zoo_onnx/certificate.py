"""The certificate of a compressed model: how far it is from the dense one, measured on pixels that it never saw."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.inference.certified import Certificate, NotCertifiedError
from zoo.inference.runtime import Session

LEAST_PIXELS = 1000
"""Held-out pixels without which 99.9 % means nothing."""
MOST_UNSURE = 0.02
"""Share of the pixels that a compressed model may leave to the dense one; with more it is not worth its name."""


def measure(compressed: Session, dense: Session, rows: npt.NDArray[np.float32], tolerance: float) -> dict[str, Any]:
    """Compare two compiled models on rows (n, k); the figures that the registry keeps as parity."""
    (answers, outside), (truth, beyond) = compressed.predict(rows), dense.predict(rows)
    difference = np.abs(answers.astype(float) - truth)
    clear = ~np.isclose(truth, dense.clip[0], atol=tolerance) & ~np.isclose(truth, dense.clip[1], atol=tolerance)
    difference[(outside != beyond) & clear] = np.inf  # a mark of clipping that is wrong is no small error
    return {
        "max": float(difference.max()),
        "p99.9": float(np.quantile(difference, 0.999)),
        "p99.99": float(np.quantile(difference, 0.9999)),
        "above": int((~(difference <= tolerance)).sum()),
        "n": len(rows),
        "provider": compressed.provider,
        "tolerance": tolerance,
    }


def certify(content: bytes, dense: Session, rows: npt.NDArray[np.float32], certificate: Certificate) -> dict[str, Any]:
    """Measure a compressed model by the dense one and give out what was found, if it keeps to its certificate.

    Parameters
    ----------
    content : the compressed model
    dense : the model that it stands for
    rows : (n, k), held-out pixels within the certificate's box
    certificate : what the compressed model promises

    Raises
    ------
    NotCertifiedError
        If an error is above the tolerance, or one in a thousand above half of it, or rows are too few or leave the box,
        or too many of them are left to the dense model.
    """
    if len(rows) < LEAST_PIXELS or not certificate.covers(rows).all():
        msg = f"{len(rows)} held-out pixels do not make a certificate; {LEAST_PIXELS} within the calibrated range do"
        raise NotCertifiedError(msg)
    session = Session(content, device="cpu")
    unsure = np.isnan(session.predict(rows)[0])  # as the dense model answers them, they are neither right nor wrong
    if unsure.mean() > MOST_UNSURE:
        msg = (
            f"The compressed model leaves {unsure.mean():.1%} of the held-out pixels to the dense one; at most "
            f"{MOST_UNSURE:.0%} may be left"
        )
        raise NotCertifiedError(msg)
    found = measure(session, dense, rows[~unsure], certificate.tolerance)
    # NaN compares false, so that an answer that is no number fails
    if not (found["max"] <= certificate.tolerance and found["p99.9"] <= certificate.tolerance / 2):
        msg = (
            f"The compressed model differs from the dense one by up to {found['max']:.2g} m3 m-3 (99.9 %: "
            f"{found['p99.9']:.2g}) on {len(rows)} held-out pixels; allowed: {certificate.tolerance:g} and half of it"
        )
        raise NotCertifiedError(msg)
    return found
