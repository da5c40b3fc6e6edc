"""SMN-SDR's own files: local time, fills, soil temperature beside, and the derived table read by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import zoo_insitu
from zoo import Area
from zoo.errors import DataError
from zoo.plugins import make
from zoo.types import ReferenceReader
from zoo_insitu.smn_sdr import SmnSdrReader

MOISTURE = """Measure_Times,Soil_VWC_03,Soil_VWC_10
2019-09-25 07:30:00,0.12,0.22
2019/9/25 8:00,0.13,9999
2019-09-25 08:30:00,9999,0.24
"""
TEMPERATURE = """Measure_Times,Soil_Temp_03,Soil_Temp_10
2019/9/25 7:30,-0.5,3.1
2019-09-25 08:00:00,0.4,9999
2019-09-25 08:30:00,0.6,9999
"""


@pytest.fixture
def station(tmp_path: Path) -> Path:
    path = tmp_path / "SMN-SDR_S2_SM.csv"
    path.write_text(MOISTURE)
    return path


def test_the_plugin_brings_a_reader_that_keeps_the_protocol() -> None:
    specs = {spec.name: spec for spec in zoo_insitu.zoo_references()}
    assert isinstance(make(specs["smn-sdr"]), ReferenceReader)


def test_local_times_of_two_spellings_become_utc_and_fills_are_missing(station: Path) -> None:
    table = SmnSdrReader().open(station, frozen="keep")
    assert table[["depth", "sm"]].to_numpy().tolist() == [[0.03, 0.12], [0.1, 0.22], [0.03, 0.13], [0.1, 0.24]]
    assert table["time"].dt.strftime("%dT%H:%M").tolist() == ["24T23:30", "24T23:30", "25T00:00", "25T00:30"]
    assert set(table["station"]) == {"S2"}
    assert (table[["lon", "lat"]].iloc[0] == [115.9378, 42.04017]).all()
    assert table.attrs["dropped"]["missing"] == 2
    shifted = SmnSdrReader().open(station, frozen="keep", utc_offset=0.0)
    assert shifted["time"].iloc[0] == pd.Timestamp("2019-09-25T07:30Z")


def test_without_soil_temperature_the_soil_is_undetermined(station: Path) -> None:
    with pytest.raises(DataError, match="dropped 2 missing, 4 undetermined; .* --frozen keep"):
        SmnSdrReader().open(station)
    assert len(SmnSdrReader().open(station, frozen="known")) == 4


@pytest.mark.parametrize("name", ["TS", "ST"])
def test_soil_temperature_is_read_from_the_file_beside(station: Path, name: str) -> None:
    station.with_name(f"SMN-SDR_S2_{name}.csv").write_text(TEMPERATURE)
    table = SmnSdrReader().open(station)
    assert table["sm"].tolist() == [0.22, 0.13]
    assert table.attrs["dropped"] == {"missing": 2, "out_of_range": 0, "frozen": 1, "undetermined": 1}


def test_a_folder_is_read_as_a_network(station: Path) -> None:
    other = station.with_name("ShandianRiver_L14_5TM_SM_03cm_2018-01-01_2019-12-31.csv")
    other.write_text(MOISTURE)
    reader = SmnSdrReader()
    assert reader.claims(station.parent)
    assert reader.open(station.parent, frozen="keep")["station"].unique().tolist() == ["L14", "S2"]
    assert reader.open(station.parent, frozen="keep", stations=("L*",))["station"].unique().tolist() == ["L14"]
    assert reader.open(station.parent, frozen="keep", area=Area(115.9, 42, 116, 42.1))["station"].unique() == ["S2"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("SMN-SDR_L15_SM.csv", MOISTURE, "a station L15 that SMN-SDR does not have"),
        ("SMN-SDR_S2_SM.csv", "Measure_Times,Soil_VWC_03\nyesterday,0.1\n", "cannot be read as a file of SMN-SDR"),
        ("SMN-SDR_S2_SM.csv", "Measure_Times,wet\n2019-01-01 00:00:00,0.1\n", "expected a depth in their names"),
        ("SMN-SDR_S2_SM.csv", "", "cannot be read as a file of SMN-SDR"),
        ("S2.csv", MOISTURE, "holds no soil moisture of SMN-SDR for the stations L1 to S8"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        SmnSdrReader().open(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.real
def test_the_raw_file_equals_the_derived_table_in_utc(real_data: Path) -> None:
    raw = SmnSdrReader().open(real_data / "insitu" / "SMN-SDR_S2_SM.csv", frozen="keep")
    derived = pd.read_parquet(
        real_data / "insitu" / "smn_sdr_3cm_30min_2019-2020.parquet", filters=[("station", "==", "S2")]
    )
    known = derived.set_index(derived["time_utc"].dt.tz_localize("UTC"))["sm_3cm"]
    pd.testing.assert_series_equal(raw.set_index("time")["sm"], known, check_names=False, check_index_type=False)
    assert (raw[["lon", "lat"]].iloc[0] == derived[["lon", "lat"]].iloc[0]).all()
