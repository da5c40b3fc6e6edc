"""The AMSR2 reader: the file's name says which of the products it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from zoo.coarse import one_product
from zoo.errors import DataError
from zoo.types import Area, Granule, Quality
from zoo_amsr2 import jaxa_l2, jaxa_l3, lprm


class Amsr2Reader:
    """Reads LPRM level 3 and JAXA's level 3 and 2; the passes of a day may be averaged, two products never."""

    def granule(self, path: Path) -> Granule:
        """Say which granule a file is; see `zoo.types.SensorReader`."""
        if match := lprm.NAME.fullmatch(path.name):
            return lprm.granule(path, match)
        if match := jaxa_l3.NAME.fullmatch(path.name):
            return jaxa_l3.granule(path, match)
        if match := jaxa_l2.NAME.fullmatch(path.name):
            return jaxa_l2.granule(path, match)
        msg = (
            f"{path.name} is no AMSR2 file that is read here; expected LPRM-AMSR2_L3_[DS_]A|D_SOILM3_V001_DATE.nc4, "
            "GW1AM2_DATE_01D_EQMA|D_L3SGSMCH|L*.h5 or GW1AM2_TIME_PATHA|D_L2SGSMC*.h5"
        )
        raise DataError(msg)

    def open(
        self,
        paths: Sequence[Path],
        *,
        area: Area | None = None,
        quality: Quality = "recommended",
        variable: str | None = None,
    ) -> xr.DataArray:
        """Read soil moisture; see `zoo.types.SensorReader`.

        Parameters
        ----------
        variable : LPRM: `c1` (6.9 GHz, default), `c2` (7.3 GHz) or `x` (10.7 GHz), or the dataset's full name.
            JAXA: `soil_moisture`, the only one
        """
        granules = [self.granule(path) for path in paths]
        product = one_product(granules)
        if product.startswith("LPRM"):
            return lprm.read(granules, area, quality, variable)
        if product.startswith("AMSR2_L3"):
            return jaxa_l3.read(granules, area, variable)
        return jaxa_l2.read(granules, area, quality, variable)
