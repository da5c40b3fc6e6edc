"""Search the cheapest network that answers as the trained one does, and prove it on pixels that it never saw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from zoo.inference.certified import Certificate, NotCertifiedError
from zoo.progress import task
from zoo_onnx import packaging, small_graph
from zoo_onnx.certificate import LEAST_PIXELS, certify
from zoo_onnx.coding import thin_out
from zoo_onnx.distillation import Lesson, distil
from zoo_onnx.doubt import Doubt, learn
from zoo_onnx.sampling import near
from zoo_onnx.selection import ROWS, Shape, SmallNetwork, select
from zoo_onnx.trained import TrainedNetwork, as_codes

if TYPE_CHECKING:
    from zoo.inference.runtime import Session
    from zoo.model.artefact import TrainedModel

Rows = npt.NDArray[np.float32]

WIDTHS = (
    *((32, 16), (48, 24), (64, 32), (96, 48), (128, 64), (160, 80), (192, 96), (224, 112), (256, 128)),
    *((384, 192), (512, 256)),
)
"""Widths of the first two hidden layers that are tried, cheapest first; further ones get the second width."""
RANKS = {384: 96, 512: 96}
"""First width -> rank of what lies behind it, where that is less work than the whole matrix."""
STEPS = 8000
TRIM = 0.00025
"""Share of the calibration pixels beyond either side of each predictor's certified range: a few outliers would else
decide the error, and the dense network answers them as quickly."""
SHARES = (0.1, 0.2)
"""Shares of the calibration pixels that are kept from training: to choose by, and to certify by."""
TRIES = 2
"""Parts of the pixels to certify by: one that refused a certificate has chosen, so the next network gets another."""
LEARNT = 500_000
"""Points near pixels that are learnt from besides them; the dense network answers any number."""
CODED = 6000
"""Rows that decide on the input coding."""
GAIN = 1.5
"""Factor that the next larger candidate gains at most: nearer ones than the error asks for are passed over."""
STILL_TO_GAIN = 4.0
"""Factor that the rest of its training would have gained for one that was given up on the way."""
LEAST_GAIN = 0.5
"""A candidate must need less than this share of the dense network's multiplications."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Pixels by purpose, all within the box: (n, k) each.

    Attributes
    ----------
    learnt, checked : to learn from, to choose by
    certified : to certify by, one part a try
    low, high : the box, (k,)
    """

    learnt: Rows
    checked: Rows
    certified: list[Rows]
    low: Rows
    high: Rows

    @classmethod
    def split(cls, pixels: Rows, seed: int) -> Calibration:
        """Deal pixels (n, k) at random; NotCertifiedError if there are too few."""
        given = np.asarray(pixels, np.float32)
        given = given[np.isfinite(given).all(axis=1)]
        # NaN-free and each row once: a pixel that is also learnt from proves nothing
        rows = np.random.default_rng(seed).permutation(np.unique(given, axis=0))
        checked, certified = (round(share * len(rows)) for share in SHARES)
        learnt = rows[checked + certified :]
        if not len(learnt) or certified < LEAST_PIXELS:
            msg = (
                f"{len(rows)} different calibration pixels are too few, {round(LEAST_PIXELS / SHARES[1])} are needed; "
                "give more with --calibrate STACK or --calibrate TABLE.parquet"
            )
            raise NotCertifiedError(msg)
        low, high = np.quantile(learnt, [TRIM, 1 - TRIM], axis=0).astype(np.float32)
        box = Certificate(0.0, tuple(low.tolist()), tuple(high.tolist()))
        parts = (rows[:checked], rows[checked : checked + certified], learnt)
        within = [part[box.covers(part)] for part in parts]
        tries = min(TRIES, max(1, len(within[1]) // LEAST_PIXELS))
        return cls(within[2], within[0], np.array_split(within[1], tries), low, high)


@dataclass(frozen=True, slots=True, eq=False)
class Compressed:
    """A certified smaller model: its file, its shape, knots of its coding, and its error for the registry."""

    content: bytes
    shape: Shape
    ramps: int
    parity: dict[str, Any]
    certificate: Certificate


def compress(
    model: TrainedModel,
    dense: Session,
    pixels: Rows,
    tolerance: float,
    *,
    shapes: Sequence[Shape] | None = None,
    steps: int = STEPS,
    points: int = LEARNT,
    seed: int = 0,
) -> Compressed:
    """Find the cheapest network within the tolerance of the dense one.

    Parameters
    ----------
    model : the trained model
    dense : its compiled form, which the smaller one is measured by
    pixels : (n, k), predictors as they will be predicted from
    tolerance : m3 m-3: largest difference on the held-out pixels; 99.9 % must keep to half of it
    shapes : to try in this order; those of `WIDTHS` that save work by default
    steps : of training a candidate
    points : near pixels, to learn from besides the pixels
    seed : of all that is drawn

    Raises
    ------
    NotCertifiedError
        If none keeps to it, or the pixels are too few.
    ZooError
        If the model is no network of sigmoid layers.
    """
    network = TrainedNetwork.read(model.state, model.downscaler)
    calibration = Calibration.split(pixels, seed)
    lessons = _lessons(network, calibration, tolerance, points, seed)
    certificate = Certificate(tolerance, tuple(calibration.low.tolist()), tuple(calibration.high.tolist()))
    candidates, sealed = list(shapes or worthwhile(network)), list(calibration.certified)
    told = "no candidate is cheaper"
    with task("compressing", len(candidates)) as advance:
        while candidates and sealed:
            shape = candidates.pop(0)
            small = _start(network, lessons.usual, shape)
            doubt, excess = _taught(small, lessons, tolerance, steps, seed)
            advance(1)
            if doubt is None or excess > 1:
                told = f"{shape} was off by {excess:.2g} times what is allowed"
                passed = _passed_over(excess if doubt else excess / STILL_TO_GAIN, len(candidates))
                del candidates[:passed]
                advance(passed)
                continue
            content = _package(small, doubt, model, certificate)
            try:
                found = certify(content, dense, sealed.pop(0), certificate)
            except NotCertifiedError as refused:
                told = str(refused)
                continue
            return Compressed(content, shape, len(small.ramps.low), found, certificate)
    msg = f"No smaller network keeps to {tolerance:g} m3 m-3 ({told}); use the dense model or a larger tolerance"
    raise NotCertifiedError(msg)


def worthwhile(network: TrainedNetwork) -> list[Shape]:
    """Return the shapes that save enough work, cheapest first."""
    sizes = [weight.shape for weight in network.weights]
    work = sum(members * below * above for members, below, above in sizes)
    depth, inputs = len(sizes) - 1, sizes[0][1]
    shapes = [Shape((first, *[second] * (depth - 1)), RANKS.get(first, 0)) for first, second in WIDTHS]
    own = [weight.shape[0] * weight.shape[2] for weight in network.weights[:-1]]
    return [
        shape
        for shape in shapes
        if shape.multiplications(inputs) < LEAST_GAIN * work
        and all(width <= limit for width, limit in zip(shape.hidden, own, strict=True))
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Lessons:
    """Rows by purpose: to be taught on, the pixels among them, and those to choose by."""

    learnt: Lesson
    usual: Lesson
    checked: Lesson


def _lessons(network: TrainedNetwork, calibration: Calibration, tolerance: float, count: int, seed: int) -> _Lessons:
    """Draw points around the pixels, thin out the coding for them, and ask the trained network for its answers."""
    pixels = calibration.learnt
    learnt = np.concatenate([pixels, near(pixels, network.ramps.encode(pixels), count, seed)])
    some = np.random.default_rng(seed).choice(learnt, CODED, replace=False)  # rare pixels weigh more in them
    ramps = thin_out(network, some, calibration.low, calibration.high, tolerance)
    parts = (learnt, pixels, calibration.checked)
    return _Lessons(*(Lesson(rows, network.answers_to(rows), ramps) for rows in parts))


def _start(network: TrainedNetwork, pixels: Lesson, shape: Shape) -> SmallNetwork:
    rows = pixels.rows[:ROWS]
    with torch.no_grad():
        return select(network, as_codes(network.ramps.encode(rows)), pixels.ramps, pixels.part(slice(ROWS))[0], shape)


def _taught(
    small: SmallNetwork, lessons: _Lessons, tolerance: float, steps: int, seed: int
) -> tuple[Doubt | None, float]:
    """Train in place; the doubt, None if training was given up, and how far off it is where it is sure."""
    if not distil(small, lessons.learnt, lessons.checked, tolerance, steps, seed):
        return None, _excess(lessons.checked.errors(small), tolerance)
    doubt = learn(small, lessons.usual, seed)
    sure = ~doubt.unsure(small, lessons.checked)
    return doubt, _excess(lessons.checked.errors(small)[sure], tolerance)


def _excess(errors: npt.NDArray[np.float64], tolerance: float) -> float:
    """Return how many times the errors are above what a certificate allows; up to 1 is allowed."""
    return float(max(errors.max(), 2 * np.quantile(errors, 0.999)) / tolerance)


def _passed_over(excess: float, left: int) -> int:
    """Return how many of the next candidates gain too little for an error `excess` times too large."""
    steps = math.floor(math.log(max(excess, 1.0)) / math.log(GAIN))
    return max(0, min(steps - 1, left - 1))


def _package(small: SmallNetwork, doubt: Doubt, model: TrainedModel, certificate: Certificate) -> bytes:
    core = small_graph.build(small, certificate, doubt)
    packed = packaging.package(core, model, {"certificate": certificate.text()})
    content: bytes = packed.SerializeToString(deterministic=True)
    return content
