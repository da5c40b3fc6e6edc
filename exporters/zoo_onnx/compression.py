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
from zoo_onnx.selection import ROWS, Shape, SmallNetwork, select
from zoo_onnx.trained import Ramps, TrainedNetwork, as_codes

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
TRIM = 0.0005
"""Share of the calibration pixels beyond either side of each predictor's certified range: a few outliers would else
decide the error, and the dense network answers them as quickly."""
SHARES = (0.1, 0.2)
"""Shares of the calibration pixels that are kept from training: to choose by, and to certify by."""
LEARNT = 250_000
"""Rows to learn from: pixels, and points near them, of which any number can be had."""
CODED = 6000
"""Of them, as many decide on the input coding."""
TOWARDS = 0.4
"""Share of these points that lie on the way to another pixel."""
REACH = 0.6
"""Share of the difference of two pixels that a point is moved by at most, evenly: points that stay near their pixel
teach nothing of the isolated pixels where errors are largest. Chosen among seven variants on `regions.parquet`."""
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
    learnt, checked, certified : to learn from, to choose by, to certify by
    low, high : the box, (k,)
    """

    learnt: Rows
    checked: Rows
    certified: Rows
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
        return cls(within[2], within[0], within[1], low, high)


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
    wider = between(calibration.learnt, LEARNT, seed)
    some = np.random.default_rng(seed).choice(wider, CODED, replace=False)  # rare pixels weigh more in them
    ramps = thin_out(network, some, calibration.low, calibration.high, tolerance)
    learnt, checked = (_lesson(network, ramps, rows) for rows in (wider, calibration.checked))
    certificate = Certificate(tolerance, tuple(calibration.low.tolist()), tuple(calibration.high.tolist()))
    candidates = list(shapes or worthwhile(network))
    told = "no candidate is cheaper"
    with task("compressing", len(candidates)) as advance:
        while candidates:
            shape = candidates.pop(0)
            small = _start(network, ramps, calibration.learnt[:ROWS], shape)
            finished = distil(small, learnt, checked, tolerance, steps, seed)
            excess = _excess(checked.errors(small), tolerance)
            advance(1)
            if not finished or excess > 1:
                told = f"{shape} was off by {excess:.2g} times what is allowed"
                passed = _passed_over(excess if finished else excess / STILL_TO_GAIN, len(candidates))
                del candidates[:passed]
                advance(passed)
                continue
            content = _package(small, model, certificate)
            try:
                found = certify(content, dense, calibration.certified, certificate)
            except NotCertifiedError as refused:
                told = str(refused)
                continue
            return Compressed(content, shape, len(ramps.low), found, certificate)
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


def between(rows: Rows, count: int, seed: int) -> Rows:
    """Add points near rows until there are `count`; rows far from the middle are taken more often.

    Some lie on the way to another row, the others off a row by a part of the difference of two others, which is how
    predictors vary together. What a network does between the rows it was taught on is where it can be wrong, most of
    all where rows are rare.
    """
    rng = np.random.default_rng(seed)
    more = max(count - len(rows), len(rows))
    middle = np.median(rows, axis=0)
    far = (np.abs(rows - middle) / np.maximum(rows.std(axis=0), 1e-12)).mean(axis=1).astype(float) ** 2
    start = rng.choice(len(rows), more, p=far / far.sum())
    one, other = rows[rng.integers(len(rows), size=(2, more))]
    towards = np.arange(more) < TOWARDS * more
    origin = np.where(towards[:, None], rows[start], other)
    reach = REACH * rng.random((more, 1))
    points = rows[start] + reach.astype(np.float32) * (one - origin)
    return np.concatenate([rows, np.clip(points, rows.min(axis=0), rows.max(axis=0))])


def _lesson(network: TrainedNetwork, ramps: Ramps, rows: Rows) -> Lesson:
    with torch.no_grad():
        return Lesson(torch.as_tensor(ramps.heights(rows)), network.answers(as_codes(network.ramps.encode(rows))))


def _start(network: TrainedNetwork, ramps: Ramps, rows: Rows, shape: Shape) -> SmallNetwork:
    codes = as_codes(network.ramps.encode(rows))
    with torch.no_grad():
        return select(network, codes, ramps, torch.as_tensor(ramps.heights(rows)), shape)


def _excess(errors: npt.NDArray[np.float64], tolerance: float) -> float:
    """Return how many times the errors are above what a certificate allows; up to 1 is allowed."""
    return float(max(errors.max(), 2 * np.quantile(errors, 0.999)) / tolerance)


def _passed_over(excess: float, left: int) -> int:
    """Return how many of the next candidates gain too little for an error `excess` times too large."""
    steps = math.floor(math.log(max(excess, 1.0)) / math.log(GAIN))
    return max(0, min(steps - 1, left - 1))


def _package(small: SmallNetwork, model: TrainedModel, certificate: Certificate) -> bytes:
    packed = packaging.package(small_graph.build(small, certificate), model, {"certificate": certificate.text()})
    content: bytes = packed.SerializeToString(deterministic=True)
    return content
