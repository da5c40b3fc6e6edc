"""AMSR2: soil moisture by the Land Parameter Retrieval Model (LPRM) and by JAXA."""

from __future__ import annotations

from zoo import SensorSpec, hookimpl


@hookimpl
def zoo_sensors() -> list[SensorSpec]:
    """Return the AMSR2 sensor."""
    return [
        SensorSpec(
            name="amsr2",
            title="AMSR2: LPRM level 3 (0.25 degree, 10 km), JAXA SMC level 3 (0.25, 0.1 degree) and level 2 (swath)",
            reader="zoo_amsr2.reader:Amsr2Reader",
            patterns=(
                "LPRM-AMSR2_*SOILM3_V*.nc4",
                "LPRM-AMSR2_*SOILM3_V*.nc",
                "GW1AM2_????????_01D_EQM[AD]_L3SGSMC*.h5",
                "GW1AM2_????????????_*_L2SGSMC*.h5",
            ),
            grid="longitude and latitude, 0.25 or 0.1 degree",
            requires=("h5py",),
        )
    ]
