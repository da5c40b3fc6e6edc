"""The SMAP reader: the file's name says which of the products it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from zoo.coarse import one_product
from zoo.errors import DataError
from zoo.types import Area, Granule, Orbit, Quality
from zoo_smap import spl2smp, spl3smp, spl4smgp


class SmapReader:
    """Reads SPL4SMGP, SPL3SMP, SPL3SMP_E, SPL2SMP and SPL2SMP_E; granules of two are never averaged together."""

    def granule(self, path: Path) -> Granule:
        """Say which granule a file is; see `zoo.types.SensorReader`."""
        if match := spl4smgp.NAME.fullmatch(path.name):
            return spl4smgp.granule(path, match)
        if match := spl3smp.NAME.fullmatch(path.name):
            return spl3smp.granule(path, match)
        if match := spl2smp.NAME.fullmatch(path.name):
            return spl2smp.granule(path, match)
        msg = (
            f"{path.name} is no SMAP file that is read here; expected SMAP_L4_SM_gph_*.h5 (SPL4SMGP), "
            "SMAP_L3_SM_P_[E_]DATE_*.h5 (SPL3SMP) or SMAP_L2_SM_P_[E_]ORBIT_*.h5 (SPL2SMP)"
        )
        raise DataError(msg)

    def open(
        self,
        paths: Sequence[Path],
        *,
        area: Area | None = None,
        quality: Quality = "recommended",
        variable: str | None = None,
        orbit: Orbit | None = None,
    ) -> xr.DataArray:
        """Read soil moisture; see `zoo.types.SensorReader`.

        Parameters
        ----------
        variable : SPL4SMGP: `sm_surface` (default), `sm_rootzone`. Level 2 and 3: `soil_moisture` (default, the
            baseline algorithm of the release) or another retrieval in the file: `soil_moisture_option1`, ... in level
            2, `soil_moisture_dca`, `_scah`, `_scav` in level 3, without `_pm`
        orbit : pass to take out of SPL3SMP files, `D` morning or `A` evening; None averages both. The analysis
            SPL4SMGP has no pass

        Raises
        ------
        DataError
            Also if none of the files holds that pass.
        """
        granules = [self.granule(path) for path in paths]
        product = one_product(granules)
        if product.startswith("SPL4SMGP"):
            return spl4smgp.read(granules, area, quality, variable)
        kept = [each for each in granules if orbit is None or orbit in (each.passes or (each.orbit,))]
        if not kept:
            msg = f"No file given holds pass {orbit}: {', '.join(each.id for each in granules)}; choose the other one"
            raise DataError(msg)
        if product.startswith("SPL3SMP"):
            return spl3smp.read(kept, area, quality, variable, orbit)
        return spl2smp.read(kept, area, quality, variable)
