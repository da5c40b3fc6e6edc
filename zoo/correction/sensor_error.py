"""How much of the residuals is the sensor's error, and not worth correcting.

Optimal interpolation (Gandin 1965; Bretherton, Davis and Fandry 1976, doi:10.1016/0011-7471(76)90001-2): the residual
of a cell is signal plus noise. The noise has the sensor's variance and is white; the signal has the rest of the
variance and a Matern covariance, whose inverse is sparse (Lindgren, Rue and Lindstrom 2011,
doi:10.1111/j.1467-9868.2011.00777.x). Its estimate is the residual, shrunk towards what the neighbours say.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from zoo.correction.footprints import Field
from zoo.correction.spline import REACH, screened


def shrunk(residual: Field, shape: tuple[int, int], error: float) -> Field:
    """Return the part of residuals that is to be corrected.

    Parameters
    ----------
    residual : (cells,), sensor minus map, NaN where there is none
    shape : rows and columns of the cells
    error : the sensor's standard deviation, m3 m-3

    Returns
    -------
    Estimated signal (cells,), moved as far as needed for no residual to stay above `error`; NaN where none is.
    """
    known = np.isfinite(residual)
    variance = max(float(np.mean(residual[known] ** 2)) - error**2, 0.0)
    signal = np.zeros(residual.size)
    if variance > 0:
        signal = _estimated(np.where(known, residual, 0.0), known, shape, error**2 / variance)
    low, high = residual - error, residual + error
    return np.where(known, np.clip(signal, low, high), np.nan)


def _estimated(residual: Field, known: Field, shape: tuple[int, int], noise: float) -> Field:
    """Minimise |known * (residual - signal)|^2 / noise + signal' Q signal for a Matern prior of variance 1.

    With nu = 1 in the plane and white noise of variance 1 on its right-hand side, (1/reach^2 - Laplace) f = w has
    the marginal variance reach^2 / (4 pi), hence the factor of Q.
    """
    operator = screened(shape)
    prior = operator @ operator * (REACH**2 / (4 * np.pi))
    system = sparse.diags(known / noise) + prior
    scaling = sparse.diags(1 / system.diagonal())
    found, _ = linalg.cg(system.tocsr(), residual / noise, rtol=1e-8, maxiter=1000, M=scaling)
    return np.asarray(found)
