"""Coarse-mean conservation: the fine map keeps what the sensor measured, cell by cell, and shows no cell borders.

The residual of a coarse cell is the sensor's value minus the mean of the map's valid pixels in it. Laid over the cell
as one number it conserves the mean and shows the cells' edges; interpolated between cell centres it is smooth and
conserves the mean only roughly. Here one smooth field is solved for whose cell means are the residuals: the
mass-preserving (pycnophylactic) condition of Tobler 1979, J. Am. Stat. Assoc. 74, 519, which area-to-point kriging
meets as well (Kyriakidis 2004, doi:10.1111/j.1538-4632.2004.tb01135.x). With the sensor's error known, its noise is
first taken out of the residuals. What a model says of differences inside cells can be given a weight, estimated at
training from held-out cells one scale up.
"""

from zoo.correction.borders import border_jump_ratio
from zoo.correction.conserve import MIN_SHARE, TOLERANCE, Correction, Mode, correct
from zoo.correction.texture import Texture, texture_of_rows, texture_weight

__all__ = [
    "MIN_SHARE",
    "TOLERANCE",
    "Correction",
    "Mode",
    "Texture",
    "border_jump_ratio",
    "correct",
    "texture_of_rows",
    "texture_weight",
]
