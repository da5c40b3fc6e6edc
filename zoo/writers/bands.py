"""What a map holds, band by band: names, units, types, and the words that files say about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

NODATA = -9999.0
"""What float bands hold where there is no value."""

NO_CODE = 0
"""The code that says that there is no value: what bands of codes hold where nothing was written."""


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a GeoTIFF, or one variable of a NetCDF file.

    Attributes
    ----------
    name : of the variable; description of the band
    units : of the values; empty for codes
    title : `long_name`; the name in words by default
    standard_name : of the CF table (v93), if it has one
    codes : code (0-255) -> meaning in one word, of a band of codes, which is stored as uint8; 0 is no value there.
        Empty for a band of numbers
    """

    name: str
    units: str = "m3 m-3"
    title: str = ""
    standard_name: str = ""
    codes: Mapping[int, str] = field(default_factory=dict)

    @property
    def dtype(self) -> str:
        """How it is stored."""
        return "uint8" if self.codes else "float32"

    @property
    def nodata(self) -> float:
        """What is stored where there is no value."""
        return NO_CODE if self.codes else NODATA

    @property
    def words(self) -> str:
        """What it holds, for people."""
        return self.title or self.name.replace("_", " ")


_WATER = "volume_fraction_of_condensed_water_in_soil"

KNOWN = {
    band.name: band
    for band in (
        Band("soil_moisture", standard_name=_WATER),
        Band("soil_moisture_lower", title="lower bound of soil moisture"),
        Band("soil_moisture_upper", title="upper bound of soil moisture"),
        Band("dissimilarity_index", "1", "dissimilarity of the predictors to those of the training"),
    )
}
"""Bands whose words are known; m3 m-3 is equivalent to 1, the canonical unit of the standard name."""


def as_bands(bands: Sequence[str | Band], units: str = "m3 m-3") -> tuple[Band, ...]:
    """Return bands as they are, and names as bands: known ones, else with `units`."""
    return tuple(band if isinstance(band, Band) else KNOWN.get(band) or Band(band, units) for band in bands)


def stored_as(bands: Sequence[Band], values: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield values (h, w) or (bands, h, w) band by band as files hold them: what is not finite becomes nodata."""
    import numpy as np

    for band, part in zip(bands, values.reshape(-1, *values.shape[-2:]), strict=True):
        stored = np.where(np.isfinite(part), part, np.float32(band.nodata))
        yield stored.astype(band.dtype, copy=False)


def title_of(bands: Sequence[Band]) -> str:
    """Say what a file holds and in which units: those of its first band."""
    return f"{', '.join(band.name for band in bands)} in {bands[0].units}" if bands[0].units else bands[0].words
