"""A smooth field with given means over coarse cells.

The field is a sum of splines, one a cell: bilinear interpolation between cells' centres, its kinks rounded off. It is
continuous with its slope and knows no cell borders. Its means over cells are linear in the coefficients, and nine cells
take part in each: a sparse system, well conditioned. On cells with pixels missing the means are those over the pixels
that are there. Where nothing is known the coefficients follow from those around, fading with distance (screened
Laplace equation).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import linalg

from zoo.correction.footprints import Field, Footprints

REACH = 3.0
"""Cells over which a correction fades (to 1/e) where the sensor saw nothing: far from it the map is left alone."""
ROUNDING = 0.2
"""Cells over which the kinks of bilinear interpolation are rounded.

With 0 the corrected map is a little smoother at borders than inside cells, with 1 (biquadratic B-splines) up to 30 %
rougher; measured on random fields, `border_jump_ratio`.
"""
_DIRECT = 2_500
"""Cells up to which the system is factorised; above, solved by iteration."""
_ITERATIONS = 400
_PRECISION = 1e-7
_TRACE = 1e-9

Mask = npt.NDArray[np.bool_]


def weights(offset: Field) -> tuple[Field, Field, Field]:
    """Splines of the cell before, the cell itself and the cell after, at an offset from its centre."""
    before, own, after = (
        (_hat_integral(offset - cell + ROUNDING / 2) - _hat_integral(offset - cell - ROUNDING / 2)) / ROUNDING
        for cell in (-1, 0, 1)
    )
    return before, own, after


def _hat_integral(t: Field) -> Field:
    """Integral up to t of the linear B-spline 1 - |t|."""
    near = np.clip(t, -1.0, 1.0)
    return 0.5 + near - 0.5 * near * np.abs(near)


class Stencil:
    """Means over cells of the splines of each cell and its eight neighbours, summed up strip by strip."""

    def __init__(self, footprints: Footprints) -> None:
        self._footprints = footprints
        self._sums = np.zeros((3, 3, footprints.cells))

    def add(self, strip: slice, counted: Mask) -> None:
        """Count the pixels of a strip that are marked."""
        rows, columns = self._footprints.position(strip)
        labels = self._footprints.labels(strip)[counted]
        down, across = (weights(position - np.floor(position + 0.5)) for position in (rows, columns))
        for i, one in enumerate(down):
            for j, other in enumerate(across):
                self._sums[i, j] += self._footprints.total(labels, (one * other)[counted])

    @property
    def count(self) -> Field:
        """Pixels counted, by cell: the splines add up to 1 everywhere."""
        return np.asarray(self._sums.sum(axis=(0, 1)))

    def matrix(self, count: Field) -> sparse.csr_matrix:
        """Operator from coefficients to means over `count` pixels a cell, (cells, cells)."""
        height, width = self._footprints.shape
        row, column = np.divmod(np.arange(self._footprints.cells), width)
        parts = []
        for i in range(3):
            for j in range(3):
                neighbour = np.clip(row + i - 1, 0, height - 1) * width + np.clip(column + j - 1, 0, width - 1)
                mean = self._sums[i, j] / np.maximum(count, 1)
                parts.append(sparse.coo_matrix((mean, (row * width + column, neighbour)), shape=(count.size,) * 2))
        return sum(parts[1:], parts[0]).tocsr()


def screened(shape: tuple[int, int], reach: float = REACH) -> sparse.csr_matrix:
    """Operator that is 0 for a field that fades from its neighbours, (cells, cells): 1/reach^2 minus Laplace."""

    def second(size: int) -> sparse.spmatrix:
        diagonal = np.full(size, 2.0)
        diagonal[[0, -1]] -= 1.0  # nothing flows out of the lattice; a lattice of one cell has 0
        return sparse.diags([diagonal, -np.ones(size - 1), -np.ones(size - 1)], [0, 1, -1])

    height, width = shape
    laplace = sparse.kron(second(height), sparse.eye(width)) + sparse.kron(sparse.eye(height), second(width))
    operator: sparse.csr_matrix = (laplace + sparse.eye(height * width) / reach**2).tocsr()
    return operator


def solved(means: sparse.csr_matrix, wanted: Field, shape: tuple[int, int]) -> Field:
    """Coefficients (cells,) whose field has the wanted means; NaN where none is wanted and the field fades."""
    forced = np.isfinite(wanted)
    pick = sparse.diags(forced.astype(float))
    rest = sparse.diags((~forced).astype(float))
    # a trace of the second operator where means are wanted: cells of a pixel or two may contradict one another
    system = (pick @ means + (rest + _TRACE * pick) @ screened(shape)).tocsr()
    target = np.where(forced, wanted, 0.0)
    if target.size <= _DIRECT:
        return np.asarray(linalg.spsolve(system.tocsc(), target))
    diagonal = system.diagonal()
    scaling = sparse.diags(1 / np.where(np.abs(diagonal) > 1e-3, diagonal, 1.0))
    found, _ = linalg.bicgstab(scaling @ system, scaling @ target, rtol=_PRECISION, maxiter=_ITERATIONS)
    return np.asarray(found)


class Surface:
    """The field of given coefficients (cells,), read strip by strip."""

    def __init__(self, footprints: Footprints, coefficients: Field) -> None:
        self._footprints = footprints
        grid = coefficients.reshape(footprints.shape)
        # the same neighbour twice at the lattice's edge, as in the stencil
        self._padded = np.pad(grid, 1, mode="edge")
        if footprints.straight:
            self._along = self._padded @ _basis(footprints.columns.ravel(), self._padded.shape[1]).T

    def at(self, strip: slice) -> Field:
        """Values at the pixels of a strip, (rows, width)."""
        rows, columns = self._footprints.position(strip)
        if self._footprints.straight:
            return np.asarray(_basis(rows.ravel(), self._padded.shape[0]) @ self._along)
        down, across = (position - np.floor(position + 0.5) for position in (rows, columns))
        row, column = (np.floor(position + 0.5).astype(np.intp) for position in (rows, columns))
        found = np.zeros(row.shape)
        for i, one in enumerate(weights(down)):
            for j, other in enumerate(weights(across)):
                found += one * other * self._padded[row + i, column + j]
        return found


def _basis(position: npt.NDArray[np.floating], size: int) -> sparse.csr_matrix:
    """Splines of the padded lattice's lines at positions on the lattice, (positions, size)."""
    cell = np.floor(position + 0.5)
    shares = np.stack(weights(position - cell), axis=1)
    line = cell[:, None].astype(np.intp) + np.arange(3)
    point = np.repeat(np.arange(len(position)), 3)
    return sparse.csr_matrix((shares.ravel(), (point, line.ravel())), shape=(len(position), size))
