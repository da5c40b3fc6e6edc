"""Station tables: columns, units, faults, and the real networks read by hand beside."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import zoo_insitu
from zoo import Area
from zoo.errors import DataError, UsageError
from zoo.plugins import make
from zoo.types import ReferenceReader
from zoo_insitu.table import TableReader


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "station": ["B", "A", "A", "A"],
            "lon": [116.2, 115.9, 115.9, 115.9],
            "lat": [42.0, 41.7, 41.7, 41.7],
            "depth": [0.03] * 4,
            "time": ["2019-09-25T02:00", "2019-09-25T01:00", "2019-09-25T00:30", "2019-09-25T02:00"],
            "sm": [0.21, 0.12, 0.11, -9999.0],
        }
    )


def write(rows: pd.DataFrame, path: Path) -> Path:
    rows.to_csv(path, index=False) if path.suffix == ".csv" else rows.to_parquet(path)
    return path


def test_the_plugin_brings_a_reader_that_keeps_the_protocol() -> None:
    specs = {spec.name: spec for spec in zoo_insitu.zoo_references()}
    assert isinstance(make(specs["table"]), ReferenceReader)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_come_by_station_and_time_in_utc_without_fills(rows: pd.DataFrame, tmp_path: Path, suffix: str) -> None:
    table = TableReader().open(write(rows, tmp_path / f"stations{suffix}"))
    assert list(table.columns) == ["station", "lon", "lat", "depth", "time", "sm"]
    assert table["station"].tolist() == ["A", "A", "B"]
    assert table["sm"].tolist() == [0.11, 0.12, 0.21]
    assert table["time"].iloc[0] == pd.Timestamp("2019-09-25T00:30Z")
    assert table.attrs["dropped"] == {"missing": 1, "out_of_range": 0, "frozen": 0, "undetermined": 0}


def test_other_names_are_understood_and_a_name_states_its_depth(rows: pd.DataFrame, tmp_path: Path) -> None:
    names = {"station": "Site", "lon": "Longitude", "lat": "latitude", "time": "time_utc", "sm": "sm_3cm"}
    path = write(rows.drop(columns="depth").rename(columns=names), tmp_path / "t.csv")
    table = TableReader().open(path)
    assert table["depth"].tolist() == [0.03] * 3
    assert table["station"].tolist() == ["A", "A", "B"]


def test_without_any_depth_it_is_unknown(rows: pd.DataFrame, tmp_path: Path) -> None:
    table = TableReader().open(write(rows.drop(columns="depth"), tmp_path / "t.csv"))
    assert table["depth"].isna().all()


def test_an_offset_is_turned_into_utc(rows: pd.DataFrame, tmp_path: Path) -> None:
    rows["time"] = "2019-09-25T08:00+08:00"
    table = TableReader().open(write(rows, tmp_path / "t.csv"))
    assert (table["time"] == pd.Timestamp("2019-09-25T00:00Z")).all()


def test_frozen_soil_and_a_rare_impossible_value_are_dropped_and_counted(tmp_path: Path) -> None:
    many = pd.DataFrame(
        {
            "station": "A",
            "lon": 115.9,
            "lat": 41.7,
            "time": pd.date_range("2019-03-01", periods=300, freq="30min"),
            "sm": np.r_[1.01, np.full(299, 0.2)],
            "ts": np.r_[np.full(286, 4.0), np.full(4, np.nan), np.full(9, -0.1), 0.0],
        }
    )
    path = write(many, tmp_path / "t.parquet")
    table = TableReader().open(path)
    assert table.attrs["dropped"] == {"missing": 0, "out_of_range": 1, "frozen": 10, "undetermined": 4}
    assert len(table) == 285
    assert len(TableReader().open(path, frozen="known")) == 289
    unmasked = TableReader().open(path, frozen="keep")
    assert unmasked["frozen"].value_counts().to_dict() == {"thawed": 285, "frozen": 10, "undetermined": 4}


def test_a_table_without_soil_temperature_is_not_judged(rows: pd.DataFrame, tmp_path: Path) -> None:
    path = write(rows, tmp_path / "t.csv")
    assert TableReader().open(path, frozen="keep").equals(TableReader().open(path))


def test_local_times_need_their_offset(rows: pd.DataFrame, tmp_path: Path) -> None:
    path = write(rows.rename(columns={"time": "time_local"}), tmp_path / "t.csv")
    with pytest.raises(DataError, match="has local times only; give --utc-offset HOURS"):
        TableReader().open(path)
    table = TableReader().open(path, utc_offset=8.0)
    assert table["time"].iloc[0] == pd.Timestamp("2019-09-24T16:30Z")


@pytest.mark.parametrize(
    ("selection", "kept", "reason"),
    [
        ({"stations": ("b",)}, [0.21], {"other_station": 3}),
        ({"depth": (0.1, 0.2)}, None, {}),
        (
            {"period": (datetime(2019, 9, 25, 1, tzinfo=UTC), datetime(2019, 9, 25, 2, tzinfo=UTC))},
            [0.12],
            {"outside_period": 3},
        ),
    ],
)
def test_rows_are_chosen_by_station_depth_and_period(
    rows: pd.DataFrame, tmp_path: Path, selection: dict, kept: list[float] | None, reason: dict
) -> None:
    path = write(rows, tmp_path / "t.csv")
    if kept is None:
        with pytest.raises(DataError, match="4 other depth"):
            TableReader().open(path, **selection)
        return
    table = TableReader().open(path, **selection)
    assert table["sm"].tolist() == kept
    assert reason.items() <= table.attrs["dropped"].items()


def test_a_table_has_no_flags_to_choose_by(rows: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has nothing that --flags could choose by"):
        TableReader().open(write(rows, tmp_path / "t.csv"), flags=("G", "U"))


def test_only_stations_in_the_area(rows: pd.DataFrame, tmp_path: Path) -> None:
    path = write(rows, tmp_path / "t.csv")
    assert TableReader().open(path, area=Area(116, 41, 117, 43))["station"].tolist() == ["B"]
    with pytest.raises(DataError, match="no valid measurement in the area 0 0 1 1"):
        TableReader().open(path, area=Area(0, 0, 1, 1))


def test_a_missing_column_is_named_with_those_there_are(rows: pd.DataFrame, tmp_path: Path) -> None:
    path = write(rows.rename(columns={"sm": "wetness"}).drop(columns="lat"), tmp_path / "t.csv")
    with pytest.raises(DataError, match="lacks lat, sm; it has station, lon, depth, time, wetness"):
        TableReader().open(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sm": [21.0, 12.0, 11.0, 30.0]}, "expected m3 m-3 between 0 and 1; divide per cent by 100"),
        ({"lon": [500_000.0] * 4}, "lon and lat are no degrees"),
        ({"sm": ["dry"] * 4}, "the column sm does not hold numbers"),
        ({"time": ["yesterday"] * 4}, "the column time does not hold UTC times"),
        ({"sm": [9999.0] * 4}, "no valid measurement"),
    ],
)
def test_wrong_values_are_one_clear_line(rows: pd.DataFrame, tmp_path: Path, change: dict, message: str) -> None:
    path = write(rows.assign(**change), tmp_path / "t.csv")
    with pytest.raises(DataError, match=message) as caught:
        TableReader().open(path)
    assert "\n" not in str(caught.value)


def test_a_broken_or_absent_file_is_one_clear_line(tmp_path: Path) -> None:
    broken = tmp_path / "t.parquet"
    broken.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match=r"cannot be read as a \.parquet table"):
        TableReader().open(broken)
    with pytest.raises(DataError, match="is no file"):
        TableReader().open(tmp_path / "absent.csv")


@pytest.mark.real
def test_smn_sdr_equals_a_read_by_hand(real_data: Path) -> None:
    path = real_data / "insitu" / "smn_sdr_3cm_30min_2019-2020.parquet"
    table = TableReader().open(path)
    raw = pq.read_table(path, columns=["sm_3cm", "ts_3cm"])
    sm, ts = (raw[name].to_numpy() for name in raw.column_names)
    kept = sm[(sm >= 0) & (sm <= 1) & (ts > 0)]
    assert len(table) == kept.size
    assert table["station"].nunique() == 30
    assert TableReader().open(path, frozen="known")["station"].nunique() == 33
    assert table["sm"].sum() == pytest.approx(kept.sum())
    assert (table["depth"] == 0.03).all()


@pytest.mark.real
def test_the_oznet_table_is_read_as_stations(real_data: Path) -> None:
    table = TableReader().open(real_data / "tables" / "oznet.parquet")
    assert (len(table), table["station"].nunique()) == (16_641, 28)
    assert table["sm"].mean() == pytest.approx(pd.read_parquet(real_data / "tables" / "oznet.parquet")["y"].mean())
