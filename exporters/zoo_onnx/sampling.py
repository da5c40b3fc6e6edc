"""Points like given rows, as many as wanted: what a small network is taught on between and around the pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

Rows = npt.NDArray[np.float32]

NEIGHBOURS = 12
"""Nearest rows of a row that say how predictors vary around it."""
STARTS = 30_000
"""Rows that points are drawn around at most, a random choice: finding neighbours takes time with their square."""
BLOCK = 1000
"""Rows whose distances to all others are held at a time."""
FARTHER = 0.3
"""Share of the points that are moved by rows from anywhere."""
TOWARDS, ALONG = 1.2, 0.8
"""Share of the way to another row, and of the difference of two others, that a point is moved by at most, evenly. With
1.2 some lie behind their neighbour, as a pixel at the rim of all others does."""


def near(rows: Rows, codes: npt.NDArray[np.floating], count: int, seed: int) -> Rows:
    """Draw `count` points around rows; isolated rows are taken more often, by the distance of their neighbours.

    Half of the points lie on the way to another row, the others off their row by a part of the difference of two
    others, which is how predictors vary together. The others are neighbours, so that the points lie as densely as the
    rows do; some are from anywhere.

    Parameters
    ----------
    rows : (n, k)
    codes : (n, c), the same rows as the network sees them; neighbours are near in these
    count, seed : how many are drawn, and of what chance
    """
    rng = np.random.default_rng(seed)
    some = rng.permutation(len(rows))[:STARTS]
    rows, codes = rows[some], codes[some]
    nearest, distance = neighbours(codes, min(NEIGHBOURS, len(rows) - 1))
    start = rng.choice(len(rows), count, p=(distance + 1e-9) / (distance + 1e-9).sum())
    one, two = (_others(start, nearest, rng) for _ in range(2))
    towards = rng.random(count) < 0.5
    step = rng.random(count) * np.where(towards, TOWARDS, ALONG)
    origin = np.where(towards, start, two)
    points = rows[start] + step.astype(np.float32)[:, None] * (rows[one] - rows[origin])
    return np.clip(points, rows.min(axis=0), rows.max(axis=0))


def neighbours(codes: npt.NDArray[np.floating], count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the numbers of the `count` nearest other rows, (n, count), and the distance of the last of them, (n,)."""
    given = torch.as_tensor(codes.astype(np.float32))
    numbers, distances = [], []
    for start in range(0, len(given), BLOCK):
        apart = torch.cdist(given[start : start + BLOCK], given)
        apart[torch.arange(len(apart)), torch.arange(start, start + len(apart))] = torch.inf
        found = apart.topk(count, largest=False)
        numbers.append(found.indices)
        distances.append(found.values[:, -1])
    return torch.cat(numbers).numpy(), torch.cat(distances).double().numpy()


def _others(
    start: npt.NDArray[np.int64], nearest: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw a neighbour of each start, of some any row."""
    by = nearest[start, rng.integers(nearest.shape[1], size=len(start))]
    anywhere = rng.random(len(start)) < FARTHER
    return np.where(anywhere, rng.integers(len(nearest), size=len(start)), by)
