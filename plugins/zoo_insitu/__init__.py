"""References measured in the ground."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import ReferenceSpec, hookimpl


@hookimpl
def zoo_references() -> Iterable[ReferenceSpec]:
    """Stations: ISMN archives, SMN-SDR's own files, plain tables."""
    return [
        ReferenceSpec(
            name="ismn",
            title="International Soil Moisture Network: a zip as downloaded, its folder, or a .stm file",
            reader="zoo_insitu.ismn:IsmnReader",
            patterns=("*ISMN*.zip", "Data_sep[ae]rate_files*", "*.stm"),
            requires=("pandas",),
        ),
        ReferenceSpec(
            name="smn-sdr",
            title="SMN-SDR, Shandian River basin: the network's own csv files",
            reader="zoo_insitu.smn_sdr:SmnSdrReader",
            patterns=("SMN-SDR_*_SM*.csv", "ShandianRiver_*_SM_*.csv"),
            requires=("pandas",),
        ),
        ReferenceSpec(
            name="table",
            title="Station measurements in a plain table (parquet or csv)",
            reader="zoo_insitu.table:TableReader",
            patterns=("*.parquet", "*.csv"),
            requires=("pandas",),
        ),
    ]
