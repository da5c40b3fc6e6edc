"""SMAP: the level 4 analysis (SPL4SMGP) and the passive retrievals of level 2 and 3, at 36 and 9 km."""

from __future__ import annotations

from zoo import SensorSpec, hookimpl


@hookimpl
def zoo_sensors() -> list[SensorSpec]:
    """Return the SMAP sensor."""
    return [
        SensorSpec(
            name="smap",
            title="SMAP SPL4SMGP (3-hourly), SPL3SMP[_E] (daily, both passes), SPL2SMP[_E] (half orbits)",
            reader="zoo_smap.reader:SmapReader",
            patterns=(
                "SMAP_L4_SM_gph_*.h5",
                "SMAP_L3_SM_P_[0-9]*.h5",
                "SMAP_L3_SM_P_E_[0-9]*.h5",
                "SMAP_L2_SM_P_[0-9]*.h5",
                "SMAP_L2_SM_P_E_[0-9]*.h5",
                "SMAP_L2_SM_P_NRT_[0-9]*.h5",
            ),
            grid="EASE-Grid 2.0 M09 (SPL4SMGP, SPL3SMP_E, SPL2SMP_E), M36 (SPL3SMP, SPL2SMP)",
            requires=("h5py",),
        )
    ]
