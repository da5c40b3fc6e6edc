"""References: found by what they are, opened with what was asked for, and accounted for by day."""

from __future__ import annotations

import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from odc.geo.geobox import GeoBox

from zoo import Area, ReferenceSpec
from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.granules import Selection
from zoo.grids import as_array, centres
from zoo.matching import reference_check, references
from zoo.matching.reference_check import check_reference
from zoo.matching.references import list_reference, open_reference, parse_selection, reference_of
from zoo.validation import validate_map

PAPER = [date(2019, month, 25) for month in (3, 5, 7, 9, 11)]
STM = "DWD DWD A 52.08130 6.94089 46.0 0.0500 0.0500 EC5\n2019/07/15 00:00 0.2 G M\n2019/07/15 01:00 0.4 D03 M\n"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "download.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("DWD/A/DWD_DWD_A_sm_0.050000_0.050000_EC5_20190101_20191231.stm", STM)
    return path


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Three stations of two days: A thaws, B has no soil temperature, C is frozen; 0.7 is suspect."""
    times = pd.date_range("2019-11-25", periods=8, freq="6h")
    parts = [
        pd.DataFrame({"station": name, "lon": 116.0, "lat": 42.0, "time": times, "sm": sm, "ts": ts})
        for name, sm, ts in (
            ("A", [0.1, 0.2, 0.3, 0.4, 0.2, 0.2, 0.2, 0.7], [-1, -1, 1, 1, 1, 1, 1, 1]),
            ("B", [0.3] * 8, [np.nan] * 8),
            ("C", [0.5] * 8, [-2.0] * 8),
        )
    ]
    path = tmp_path / "network.parquet"
    pd.concat(parts).to_parquet(path)
    return path


def test_readers_are_found_by_name_and_by_content(archive: Path, network: Path, tmp_path: Path) -> None:
    named = {
        "network.parquet": "table",
        "SMN-SDR_S2_SM.csv": "smn-sdr",
        "Data_separate_files_header_20190101_20191231_1_abcd_20200101.zip": "ismn",
        "Data_seperate_files_20170810_20180809": "ismn",
        "DWD_DWD_A_sm_0.05_0.05_EC5_20190101_20191231.stm": "ismn",
    }
    for name, reader in named.items():
        found = reference_of(tmp_path / name)
        assert found is not None
        assert found.name == reader
    by_content = reference_of(archive)
    assert by_content is not None
    assert by_content.name == "ismn"
    (tmp_path / "empty").mkdir()
    assert reference_of(tmp_path / "empty") is None
    with pytest.raises(UnknownNameError, match="No reference named 'ismm'.*Did you mean 'ismn'"):
        reference_of(archive, "ismm")


def test_a_reference_opens_with_what_was_asked_for(archive: Path) -> None:
    assert open_reference(archive)["sm"].tolist() == [0.2]
    assert open_reference(archive, frozen="keep")["sm"].tolist() == [0.2, 0.4]
    with pytest.raises(DataError, match="no reference that is read here"):
        open_reference(Path(__file__))
    with pytest.raises(DataError, match="does not exist"):
        open_reference(archive.with_name("absent.zip"))


class Stranger:
    """A third-party reader that knows no keyword but the area."""

    def open(self, path: Path, *, area: Area | None = None) -> pd.DataFrame:
        times = pd.date_range("2019-09-25", periods=4, freq="12h", tz="UTC")
        return pd.DataFrame(
            {"station": list("AABB"), "lon": 116.0, "lat": 42.0, "depth": [0.03, 0.03, 0.1, 0.1], "time": times,
             "sm": [0.1, 0.2, 0.3, 0.4]}
        )  # fmt: skip


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    spec = ReferenceSpec("stranger", "A third party's", "nowhere:Stranger", ("*.odd",))
    monkeypatch.setattr(references, "reference_of", lambda path, name=None: spec)
    for module in (references, reference_check):
        monkeypatch.setattr(module, "make", lambda spec: Stranger())
    path = tmp_path / "stations.odd"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("selection", "kept", "reason"),
    [
        ({}, [0.1, 0.2, 0.3, 0.4], None),
        ({"stations": ("b",)}, [0.3, 0.4], ("other_station", 2)),
        ({"depth": (0.0, 0.05)}, [0.1, 0.2], ("other_depth", 2)),
        (
            {"period": (datetime(2019, 9, 25, tzinfo=UTC), datetime(2019, 9, 26, tzinfo=UTC))},
            [0.1, 0.2],
            ("outside_period", 2),
        ),
    ],
)
def test_a_reader_without_the_keywords_still_works(
    stranger: Path, selection: dict[str, Any], kept: list[float], reason: tuple[str, int] | None
) -> None:
    table = open_reference(stranger, **selection)
    assert table["sm"].tolist() == kept
    assert reason is None or table.attrs["dropped"][reason[0]] == reason[1]


def test_what_a_reader_cannot_do_is_refused(stranger: Path) -> None:
    with pytest.raises(UsageError, match="The reader 'stranger' cannot choose by flags; leave it out"):
        open_reference(stranger, flags=("G", "U"))
    with pytest.raises(DataError, match="no measurement of what was asked for"):
        open_reference(stranger, stations=("Z",))
    done = check_reference(stranger, dates=[date(2019, 9, 25)])
    assert (done.judged, done.stations, done.days[0].masked["mean"]) == (False, 2, pytest.approx(0.15))


def test_a_check_shows_masked_and_unmasked_and_counts_what_the_mask_takes(network: Path) -> None:
    done = check_reference(network, dates=[date(2019, 11, 25), date(2019, 11, 26), date(2019, 11, 27)])
    first, second, empty = done.days
    assert first.masked == {"stations": 1, "mean": pytest.approx(0.35), "spread": None}
    assert first.unmasked == {
        "stations": 3,
        "mean": pytest.approx(np.mean([0.25, 0.3, 0.5])),
        "spread": pytest.approx(np.std([0.25, 0.3, 0.5], ddof=1)),
    }
    assert (first.frozen, first.undetermined) == (1, 1)
    assert first.stations["state"].tolist() == ["partly frozen", "undetermined", "frozen"]
    assert first.stations["values_masked"].tolist() == [2, 0, 0]
    assert second.stations["state"].tolist() == ["thawed", "undetermined", "frozen"]
    assert empty.unmasked["stations"] == 0
    assert (done.rows, done.stations, done.undetermined) == (6, 1, ["B"])
    assert (done.dropped["frozen"], done.dropped["undetermined"]) == (10, 8)
    assert done.suspects == {"A": (0.7, 1)}


def test_the_treatment_of_frozen_soil_decides_what_counts(network: Path) -> None:
    stations = {how: check_reference(network, frozen=how).stations for how in ("mask", "known", "keep")}
    assert stations == {"mask": 1, "known": 2, "keep": 3}
    with pytest.raises(UsageError, match="--frozen 'melt' is unknown"):
        check_reference(network, frozen="melt")


def test_a_selection_is_read_from_text() -> None:
    texts = ["flags=G,U", "frozen=keep", "station=S2, M5", "utc-offset=8"]
    assert parse_selection(texts) == {
        "flags": ("G", "U"), "frozen": "keep", "stations": ("S2", "M5"), "utc_offset": 8.0,
    }  # fmt: skip
    for wrong in ("flags", "colour=red", "utc-offset=east", "several=both"):
        with pytest.raises(UsageError):
            parse_selection([wrong])


def test_a_list_has_every_sensor_or_station(archive: Path, network: Path) -> None:
    sensor = list_reference(archive).iloc[0]
    assert (sensor["network"], sensor["station"], sensor["sensor"], sensor["lines"]) == ("DWD", "A", "EC5", 2)
    assert sensor["last"] - sensor["first"] == timedelta(hours=1)
    stations = list_reference(network)
    assert stations["rows"].tolist() == [8, 8, 8]


@pytest.mark.real
def test_smn_sdr_on_the_dates_of_the_paper_equals_a_count_by_hand(real_data: Path) -> None:
    path = real_data / "insitu" / "smn_sdr_3cm_30min_2019-2020.parquet"
    raw = pq.read_table(path).to_pandas()
    raw["day"] = raw["time_utc"].dt.normalize()
    done = check_reference(path, dates=PAPER)
    for day in done.days:
        on_day = raw[raw["day"] == pd.Timestamp(day.date)]
        on_day = on_day[(on_day["sm_3cm"] >= 0) & (on_day["sm_3cm"] <= 1)]
        thawed = {name: rows["sm_3cm"].mean() for name, rows in on_day[on_day["ts_3cm"] > 0].groupby("station")}
        every = {name: rows["sm_3cm"].mean() for name, rows in on_day.groupby("station")}
        for known, said in ((thawed, day.masked), (every, day.unmasked)):
            assert said["stations"] == len(known)
            if known:
                assert said["mean"] == pytest.approx(np.mean(list(known.values())), rel=1e-12)
                assert said["spread"] == pytest.approx(np.std(list(known.values()), ddof=1), rel=1e-12)
        silent = on_day.groupby("station")["ts_3cm"].count()
        assert day.undetermined == int((silent == 0).sum())
        assert day.frozen == len(every) - len(thawed) - day.undetermined
    september, november = done.days[3], done.days[4]
    assert (september.masked["stations"], september.unmasked["stations"]) == (30, 32)
    assert (november.masked["stations"], november.unmasked["stations"]) == (0, 32)
    assert done.undetermined == ["L7", "M7", "M8"]
    assert set(done.suspects) == {"M12", "S7"}


@pytest.mark.real
def test_three_stations_of_the_paper_are_tabulated_as_by_hand(real_data: Path) -> None:
    path = real_data / "insitu" / "smn_sdr_3cm_30min_2019-2020.parquet"
    raw = pq.read_table(path).to_pandas()
    raw["day"] = raw["time_utc"].dt.normalize()
    done = check_reference(path, dates=PAPER, stations=("S2", "M5", "L6"))
    for day in done.days:
        assert set(day.stations["station"]) == {"S2", "M5", "L6"}
        for row in day.stations.itertuples():
            here = raw[(raw["station"] == row.station) & (raw["day"] == pd.Timestamp(day.date))]
            assert row.unmasked == pytest.approx(here["sm_3cm"].mean(), rel=1e-12)
            warm = here.loc[here["ts_3cm"] > 0, "sm_3cm"]
            assert row.masked == pytest.approx(warm.mean(), rel=1e-12, nan_ok=True)
            assert row.values_masked == len(warm)


def test_a_map_is_validated_against_an_ismn_archive(tmp_path: Path) -> None:
    box = GeoBox.from_bbox((115.5, 41.5, 115.9, 41.9), crs="EPSG:4326", resolution=0.1)
    truth = np.linspace(0.05, 0.35, 16).reshape(4, 4)
    lon, lat = np.broadcast_arrays(*centres(box))
    path = tmp_path / "ISMN_of_a_day.zip"
    with zipfile.ZipFile(path, "w") as file:
        for i, (x, y, value) in enumerate(zip(lon.ravel(), lat.ravel(), truth.ravel(), strict=True)):
            header = f"DWD DWD N{i} {y:.5f} {x:.5f} 46.0 0.0500 0.0500 EC5"
            rows = f"2019/09/25 09:00 {value:.4f} G M\n2019/09/25 10:00 0.9 D05 M\n2019/09/26 10:00 0.9 G M\n"
            name = f"DWD/N{i}/DWD_DWD_N{i}_sm_0.050000_0.050000_EC5_19500101_20300101.stm"
            file.writestr(name, f"{header}\n{rows}")
    field = as_array(truth.astype(np.float32) + 0.02, box, "soil_moisture", {"units": "m3 m-3"})
    done = validate_map(field, path, when=Selection(date(2019, 9, 25)))
    scores = {score.metric: score for score in done.scores}
    assert scores["bias"].n == 16
    assert scores["bias"].value == pytest.approx(0.02, abs=1e-4)
    assert scores["r"].value == pytest.approx(1, abs=1e-5)
    assert any("flagged 16" in note for note in done.notes)
    wetter = validate_map(field, path, when=Selection(date(2019, 9, 25)), selection={"flags": ("all",)})
    assert {score.metric: score for score in wetter.scores}["bias"].value < 0
