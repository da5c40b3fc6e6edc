"""Random fields with a given correlation length, and the streams of chance that they draw from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.ndimage import gaussian_filter

Field: TypeAlias = npt.NDArray[np.float32]
Mask: TypeAlias = npt.NDArray[np.bool_]
Streams: TypeAlias = Mapping[str, np.random.Generator]

_STREAMS = ("terrain", "landscape", "unobserved", "smap", "amsr2", "modis", "landsat", "dem", "stations")
"""One independent stream a part, so that a change in one product leaves the others as they were. Only append."""


def streams(seed: int) -> Streams:
    """Return one independent generator for each part of a scene."""
    spawned = np.random.SeedSequence(seed).spawn(len(_STREAMS))
    return {name: np.random.default_rng(sequence) for name, sequence in zip(_STREAMS, spawned, strict=True)}


def single(values: npt.ArrayLike) -> Field:
    """Return values as float32."""
    return np.asarray(values, dtype=np.float32)


def gaussian_field(
    rng: np.random.Generator,
    shape: tuple[int, int],
    spacing: tuple[float, float],
    length: float,
    slope: float = 3.0,
    *,
    periodic: bool = False,
) -> Field:
    """Draw a stationary Gaussian random field with mean 0 and variance 1 over the window.

    White noise is filtered in the frequency domain to the power spectrum (k0^2 + k^2)^(-slope/2), k0 = 1/length
    (the von Karman family): flat beyond `length`, falling with `-slope` below it.

    Parameters
    ----------
    shape : (rows, columns)
    spacing : ground distance between rows and between columns, metres
    length : metres
    slope : 2 is rough, 4 is smooth
    periodic : let the field join itself at its edges, so that it can be tiled
    """
    rows, columns = shape
    drawn = shape if periodic else (_padded(rows, length / spacing[0]), _padded(columns, length / spacing[1]))
    noise = fft.rfft2(rng.standard_normal(drawn, dtype=np.float32))
    down = fft.fftfreq(drawn[0], spacing[0])[:, None]
    across = fft.rfftfreq(drawn[1], spacing[1])[None, :]
    k2 = (2 * np.pi) ** 2 * (down**2 + across**2)
    filtered = fft.irfft2(noise * ((1 / length) ** 2 + k2).astype(np.float32) ** np.float32(-slope / 4), s=drawn)
    return standardised(filtered[:rows, :columns])


def _padded(size: int, length: float) -> int:
    """Length of the transform: so much more than the window that its edges do not know each other."""
    return int(fft.next_fast_len(size + int(min(4 * length, size)) + 8, real=True))


def standardised(values: npt.NDArray[Any]) -> Field:
    """Shift and scale to mean 0 and standard deviation 1."""
    centred = values - values.mean(dtype=np.float64)
    return single(centred / centred.std(dtype=np.float64))


def covering(field: Field, share: float) -> Mask:
    """Return the highest part of a field, `share` of its pixels."""
    if share <= 0:
        return np.zeros(field.shape, dtype=bool)
    return field > np.quantile(field, 1 - share)


def smoothed(field: Field, spacing: tuple[float, float], length: float) -> Field:
    """Blur with a Gaussian of standard deviation `length` metres."""
    blurred: Field = gaussian_filter(field, (length / spacing[0], length / spacing[1]), mode="nearest")
    return blurred


def sigmoid(values: Field) -> Field:
    """Logistic function."""
    return (1 / (1 + np.exp(-values))).astype(np.float32)


def block_mean(values: Field, size: int) -> Field:
    """Mean of `size` x `size` blocks over what is not NaN; NaN where there is nothing."""
    rows, columns = values.shape
    blocks = values.reshape(rows // size, size, columns // size, size)
    valid = np.isfinite(blocks)
    count = valid.sum(axis=(1, 3))
    total = np.where(valid, blocks, 0).sum(axis=(1, 3), dtype=np.float64)
    return single(np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0))
