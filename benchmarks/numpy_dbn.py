"""A deep belief network in plain NumPy, the other side of `training.py`: what a careful user writes in an evening."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

RATE = 0.1
DROPOUT = 0.05
FIRST_WEIGHT_SD = 0.01
HEAD_GAIN = 0.5


class Curves(NamedTuple):
    """Reconstruction errors of the two machines and loss of back-propagation, by epoch."""

    first_rbm: list[float]
    second_rbm: list[float]
    back_propagation: list[float]


class NumpyDBN:
    """Two binary machines under a linear head: CD-1, then back-propagation with Smooth L1 and dropout.

    Batches are matrices; with `by_row` the gradient of each row is made by itself and added up.
    """

    def __init__(self, units: int, batch: int, seed: int, dtype: Any = np.float64, by_row: bool = False) -> None:
        self.units, self.batch, self.dtype, self.by_row = units, batch, dtype, by_row
        self.rng = np.random.default_rng(seed)

    def fit(self, X: np.ndarray, y: np.ndarray, rbm_epochs: int, bp_epochs: int) -> Curves:
        """Train on X (n, k) and y (n,), both brought to [0, 1]."""
        X = ((X - X.min(axis=0)) / np.ptp(X, axis=0)).astype(self.dtype)
        y = ((y - y.min()) / np.ptp(y)).astype(self.dtype)
        self.W1, self.c1, first = self._train_rbm(X, rbm_epochs)
        self.W2, self.c2, second = self._train_rbm(sigmoid(X @ self.W1 + self.c1), rbm_epochs)
        self.W3 = self.rng.normal(0, HEAD_GAIN / np.sqrt(self.units), (self.units, 1)).astype(self.dtype)
        self.c3 = np.zeros(1, self.dtype)
        losses = [self._epoch(X, y) for _ in range(bp_epochs)]
        return Curves(first, second, losses)

    def _batches(self, n: int) -> list[np.ndarray]:
        order = self.rng.permutation(n)
        return [order[i : i + self.batch] for i in range(0, n - self.batch + 1, self.batch)]

    def _train_rbm(self, V: np.ndarray, epochs: int) -> tuple[np.ndarray, np.ndarray, list[float]]:
        W = self.rng.normal(0, FIRST_WEIGHT_SD, (V.shape[1], self.units)).astype(self.dtype)
        mean = V.mean(axis=0).clip(0.01, 0.99)
        b, c = np.log(mean / (1 - mean)), np.zeros(self.units, self.dtype)
        errors = []
        for _ in range(epochs):
            batches = self._batches(len(V))
            errors.append(np.mean([self._divergence_step(V[rows], W, b, c) for rows in batches]))
        return W, c, errors

    def _divergence_step(self, v: np.ndarray, W: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
        if self.by_row:
            parts = [self._divergence(v[i : i + 1], W, b, c) for i in range(len(v))]
            dW, db, dc, error = (sum(part[i] for part in parts) for i in range(4))
        else:
            dW, db, dc, error = self._divergence(v, W, b, c)
        scale = RATE / len(v)
        W += scale * dW
        b += scale * db
        c += scale * dc
        return float(error) / v.size

    def _divergence(self, v: np.ndarray, W: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[Any, Any, Any, Any]:
        p = sigmoid(v @ W + c)
        h = (self.rng.random(p.shape) < p).astype(self.dtype)
        recalled = sigmoid(h @ W.T + b)
        q = sigmoid(recalled @ W + c)
        misfit = v - recalled
        return v.T @ p - recalled.T @ q, misfit.sum(axis=0), (p - q).sum(axis=0), (misfit**2).sum()

    def _epoch(self, X: np.ndarray, y: np.ndarray) -> float:
        batches = self._batches(len(X))
        return float(np.mean([self._propagation_step(X[rows], y[rows, None]) for rows in batches]))

    def _propagation_step(self, x: np.ndarray, y: np.ndarray) -> float:
        if self.by_row:
            parts = [self._propagation(x[i : i + 1], y[i : i + 1]) for i in range(len(x))]
            gradients = [sum(part[0][i] for part in parts) for i in range(6)]
            loss = sum(part[1] for part in parts)
        else:
            gradients, loss = self._propagation(x, y)
        for parameter, gradient in zip((self.W1, self.c1, self.W2, self.c2, self.W3, self.c3), gradients, strict=True):
            parameter -= RATE / len(x) * gradient
        return float(loss) / len(x)

    def _propagation(self, x: np.ndarray, y: np.ndarray) -> tuple[list[Any], Any]:
        h1 = sigmoid(x @ self.W1 + self.c1)
        m1 = self._mask(h1.shape)
        k1 = h1 * m1
        h2 = sigmoid(k1 @ self.W2 + self.c2)
        m2 = self._mask(h2.shape)
        k2 = h2 * m2
        error = k2 @ self.W3 + self.c3 - y
        small = np.abs(error) < 1
        loss = np.where(small, 0.5 * error**2, np.abs(error) - 0.5).sum()
        d3 = np.clip(error, -1, 1)
        d2 = (d3 @ self.W3.T) * m2 * h2 * (1 - h2)
        d1 = (d2 @ self.W2.T) * m1 * h1 * (1 - h1)
        return [x.T @ d1, d1.sum(axis=0), k1.T @ d2, d2.sum(axis=0), k2.T @ d3, d3.sum(axis=0)], loss

    def _mask(self, shape: tuple[int, ...]) -> np.ndarray:
        kept = self.rng.random(shape) >= DROPOUT
        return kept.astype(self.dtype) / self.dtype(1 - DROPOUT)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Logistic function."""
    return 1 / (1 + np.exp(-x))
