"""Whether the coarse cells' borders show in a fine map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo.correction.footprints import Footprints

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


def border_jump_ratio(fine: npt.NDArray[np.floating[Any]], fine_geobox: GeoBox, coarse_geobox: GeoBox) -> float:
    """Mean absolute jump between neighbouring pixels across cell borders over that inside cells.

    Parameters
    ----------
    fine : (h, w), NaN where missing: no jump is counted there
    fine_geobox : its grid
    coarse_geobox : the cells; a pixel belongs to the one that holds its centre

    Returns
    -------
    1 for a map that knows no cells, above 1 where their borders show as steps; NaN without a jump of either kind.
    """
    footprints = Footprints.of(fine_geobox, coarse_geobox)
    labels = np.vstack([footprints.labels(strip) for strip in footprints.strips()])
    jumps, across = [], []
    for axis in (0, 1):
        jump = np.abs(np.diff(fine.astype(np.float64), axis=axis))
        counted = np.isfinite(jump)
        jumps.append(jump[counted])
        across.append((np.diff(labels, axis=axis) != 0)[counted])
    jump, border = np.concatenate(jumps), np.concatenate(across)
    if not border.any() or border.all() or not jump[~border].any():
        return float("nan")
    return float(jump[border].mean() / jump[~border].mean())
