"""SMOS level 3 soil moisture of CATDS as a plugin of the soil-moisture zoo."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import SensorSpec, hookimpl


@hookimpl
def zoo_sensors() -> Iterable[SensorSpec]:
    """Return the sensor; nothing heavy is imported here, the reader is named and imported on first use."""
    return [
        SensorSpec(
            name="smos",
            title="SMOS L3 soil moisture, daily, CATDS (MIR_CLF31A, MIR_CLF31D)",
            reader="zoo_smos.reader:SmosReader",
            patterns=("SM_*_MIR_CLF31A_*.nc", "SM_*_MIR_CLF31D_*.nc"),
            grid="EASE-Grid 2.0 M25 (25 km)",
            depth=(0.0, 0.05),
            requires=("xarray", "scipy"),
        )
    ]
