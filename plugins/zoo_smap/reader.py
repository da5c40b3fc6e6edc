"""The SMAP reader: the file's name says which of the two products it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from zoo.coarse import one_product
from zoo.errors import DataError
from zoo.types import Area, Granule, Quality
from zoo_smap import spl2smp, spl4smgp


class SmapReader:
    """Reads SPL4SMGP and SPL2SMP; granules of both are never averaged together."""

    def granule(self, path: Path) -> Granule:
        """Say which granule a file is; see `zoo.types.SensorReader`."""
        if match := spl4smgp.NAME.fullmatch(path.name):
            return spl4smgp.granule(path, match)
        if match := spl2smp.NAME.fullmatch(path.name):
            return spl2smp.granule(path, match)
        msg = (
            f"{path.name} is no SMAP file that is read here; expected SMAP_L4_SM_gph_*.h5 (SPL4SMGP) or "
            "SMAP_L2_SM_P_*.h5 (SPL2SMP)"
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
        variable : SPL4SMGP: `sm_surface` (default), `sm_rootzone`. SPL2SMP: `soil_moisture` (default, the baseline
            algorithm of the release) or another retrieval in the file, `soil_moisture_option1`, ...
        """
        granules = [self.granule(path) for path in paths]
        if one_product(granules).startswith("SPL4SMGP"):
            return spl4smgp.read(granules, area, quality, variable)
        return spl2smp.read(granules, area, quality, variable)
