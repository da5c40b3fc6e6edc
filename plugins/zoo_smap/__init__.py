"""SMAP: the level 4 analysis at 9 km (SPL4SMGP) and the level 2 retrieval at 36 km (SPL2SMP)."""

from __future__ import annotations

from zoo import SensorSpec, hookimpl


@hookimpl
def zoo_sensors() -> list[SensorSpec]:
    """Return the SMAP sensor."""
    return [
        SensorSpec(
            name="smap",
            title="SMAP SPL4SMGP (9 km, 3-hourly) and SPL2SMP (36 km half orbits)",
            reader="zoo_smap.reader:SmapReader",
            patterns=("SMAP_L4_SM_gph_*.h5", "SMAP_L2_SM_P_[0-9]*.h5", "SMAP_L2_SM_P_NRT_*.h5"),
            grid="EASE-Grid 2.0 M09 (SPL4SMGP), M36 (SPL2SMP)",
            requires=("h5py",),
        )
    ]
