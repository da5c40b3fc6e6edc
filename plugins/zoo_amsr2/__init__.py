"""AMSR2: soil moisture by the Land Parameter Retrieval Model (LPRM), level 3, 0.25 degree and 10 km."""

from __future__ import annotations

from zoo import SensorSpec, hookimpl


@hookimpl
def zoo_sensors() -> list[SensorSpec]:
    """Return the AMSR2 sensor."""
    return [
        SensorSpec(
            name="amsr2",
            title="AMSR2 LPRM level 3, daily passes at 0.25 degree and 10 km",
            reader="zoo_amsr2.reader:LprmReader",
            patterns=("LPRM-AMSR2_*SOILM3_V*.nc4", "LPRM-AMSR2_*SOILM3_V*.nc"),
            grid="longitude and latitude, 0.25 or 0.1 degree",
            requires=("h5py",),
        )
    ]
