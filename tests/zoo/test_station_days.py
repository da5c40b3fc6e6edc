"""Scores in time, in space and pooled of one table are different things."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from zoo.errors import DataError
from zoo.matching.station_days import StationDays, score_station_days
from zoo.scores.metrics import score_table
from zoo.types import Score

METRICS = ("r", "rmse", "ubrmse", "bias")
LABELS = {"estimator": "rf", "reference": "stations", "metrics": METRICS}


def table(stations: int = 8, days: int = 40) -> pd.DataFrame:
    """Predictions that follow each station in time, and know nothing of which station is wet."""
    rng = np.random.default_rng(0)
    station, day = (part.ravel() for part in np.meshgrid(np.arange(stations), np.arange(days), indexing="ij"))
    season = 0.05 * np.sin(day / 6)
    observed = 0.2 + rng.normal(0, 0.06, stations)[station] + season
    predicted = 0.2 + rng.normal(0, 0.06, stations)[station] + season + rng.normal(0, 0.01, day.size)
    return pd.DataFrame(
        {
            "station": np.array([f"S{i}" for i in range(stations)])[station],
            "time": pd.Timestamp("2019-05-01", tz="UTC") + pd.to_timedelta(day, unit="D"),
            "observed": observed,
            "predicted": predicted,
        }
    )


@pytest.fixture(scope="module")
def scored() -> StationDays:
    return score_station_days(table(), **LABELS)


def by_metric(scores: list[Score]) -> dict[str, Score]:
    return {score.metric: score for score in scores}


def test_a_temporal_score_is_of_one_station_and_a_spatial_one_of_one_time(scored: StationDays) -> None:
    rows = table()
    assert list(scored.temporal) == [f"S{i}" for i in range(8)]
    assert len(scored.spatial) == 40
    for key, part, scores in (
        ("S3", rows[rows["station"] == "S3"], scored.temporal["S3"]),
        ("2019-05-11", rows[rows["time"] == "2019-05-11"], scored.spatial["2019-05-11"]),
    ):
        alone = by_metric(score_table(part["observed"], part["predicted"], estimator="", reference="", split=""))
        for score in scores:
            assert score.value == pytest.approx(alone[score.metric].value), key
            assert score.n == len(part)


def test_skill_in_time_without_skill_in_space_is_told_apart(scored: StationDays) -> None:
    temporal, spatial = ({s.metric: s for s in part} for part in (scored.temporal_summary, scored.spatial_summary))
    assert temporal["r"].median > 0.9
    assert spatial["r"].median < 0.5
    assert spatial["r"].median < by_metric(scored.pooled)["r"].value < temporal["r"].median


def test_summaries_are_medians_and_quartiles_of_the_units(scored: StationDays) -> None:
    values = [by_metric(scores)["rmse"].value for scores in scored.temporal.values()]
    (summary,) = [summary for summary in scored.temporal_summary if summary.metric == "rmse"]
    known = np.quantile(values, [0.5, 0.25, 0.75])
    assert (summary.median, summary.q25, summary.q75) == pytest.approx(tuple(known))
    assert (summary.ci_low, summary.ci_high) == (min(values), max(values)), "of 8 values the sign test takes the ends"
    assert summary.units == 8


def test_splits_keep_them_apart_in_the_registry_and_say_how_rows_were_held_out() -> None:
    done = score_station_days(table(6, 12), split="out of fold by station", **LABELS)
    assert list(dict.fromkeys(score.split for score in done.scores)) == [
        "pooled over stations and times; out of fold by station",
        "temporal, median of 6 stations; out of fold by station",
        "spatial, median of 12 times; out of fold by station",
    ]
    assert done.temporal["S1"][0].split == "temporal, station S1; out of fold by station"
    assert done.spatial["2019-05-02"][0].split == "spatial, 2019-05-02; out of fold by station"


def test_the_pooled_interval_knows_that_a_station_s_days_hang_together(scored: StationDays) -> None:
    rows = table()
    naive = by_metric(score_table(rows["observed"], rows["predicted"], estimator="", reference="", split=""))["bias"]
    pooled = by_metric(scored.pooled)["bias"]
    assert pooled.ci_high - pooled.ci_low > 3 * (naive.ci_high - naive.ci_low)


def test_short_series_sparse_times_and_gaps_are_counted() -> None:
    rows = table(6, 12)
    rows.loc[rows["station"] == "S0", "observed"] = np.where(np.arange(12) < 4, 0.2, np.nan)
    rows.loc[(rows["station"] != "S1") & (rows["time"] == "2019-05-12"), "predicted"] = np.nan
    done = score_station_days(rows, **LABELS)
    assert done.dropped == {"missing": 12, "short_series": 1, "sparse_times": 1}
    assert done.left_out == {"short_series": ["S0"]}
    assert "S0" not in done.temporal
    assert "2019-05-12" not in done.spatial
    assert by_metric(done.pooled)["r"].n == 60


def test_every_figure_is_a_row_of_the_table(scored: StationDays) -> None:
    rows = scored.table()
    assert len(rows) == len(METRICS) * (1 + 8 + 40)
    assert rows["scope"].value_counts().to_dict() == {"pooled": 4, "temporal": 32, "spatial": 160}
    chosen = rows[(rows["unit"] == "S2") & (rows["metric"] == "bias")]
    assert chosen["value"].item() == by_metric(scored.temporal["S2"])["bias"].value


def test_gains_over_a_coarse_column_are_scored_in_time_and_pooled() -> None:
    rows = table(6, 15)
    rows["coarse"] = 0.2 + 0.3 * (rows["observed"] - rows.groupby("station")["observed"].transform("mean"))
    rows.loc[rows["time"] > "2019-05-13", "coarse"] = np.nan
    done = score_station_days(rows, **LABELS)
    gains = by_metric(done.pooled)
    assert gains["g_down"].n == 6 * 13
    assert gains["r"].n == 6 * 15, "a missing coarse value takes nothing from the other metrics"
    assert gains["g_effi"].value > 0
    assert {summary.metric for summary in done.temporal_summary} >= {"g_down", "g_effi", "g_prec", "g_accu"}
    assert "g_down" not in {summary.metric for summary in done.spatial_summary}


def test_a_season_of_28_stations_is_scored_in_seconds() -> None:
    start = time.process_time()
    score_station_days(table(28, 60), estimator="rf", reference="stations")
    assert time.process_time() - start < 6


@pytest.mark.real
def test_a_year_of_oznet_station_days(real_data: Path) -> None:
    """Air temperature as a stand-in for a prediction: medians of R equal those that pandas works out."""
    rows = pd.read_parquet(real_data / "tables" / "oznet.parquet")
    rows = rows[rows["time"].dt.year == 2016].rename(columns={"group": "station", "insitu_sm": "observed"})
    rows = rows.assign(predicted=0.5 - rows["tavg"] / 100)
    done = score_station_days(rows, estimator="tavg", reference="OzNet", metrics=("r",), fewest_stations=28)
    assert len(done.temporal) == 28
    for by, summaries in (("station", done.temporal_summary), ("time", done.spatial_summary)):
        whole = rows.groupby(by).filter(lambda part, by=by: by == "station" or len(part) == 28)
        known = [part["observed"].corr(part["predicted"]) for _, part in whole.groupby(by)]
        assert summaries[0].median == pytest.approx(np.nanmedian(known))
        assert summaries[0].units == np.isfinite(known).sum()
    pooled = rows["observed"].corr(rows["predicted"])
    assert done.pooled[0].value == pytest.approx(pooled)


def test_tables_that_cannot_be_scored_are_one_clear_line() -> None:
    rows = table(2, 12)
    with pytest.raises(DataError, match="lacks predicted; it has station"):
        score_station_days(rows.drop(columns="predicted"), **LABELS)
    with pytest.raises(DataError, match="24 rows repeat a station and time, first S0 at 2019-05-01"):
        score_station_days(pd.concat([rows, rows]), **LABELS)
    with pytest.raises(DataError, match="No row of the table has both"):
        score_station_days(rows.assign(observed=np.nan), **LABELS)
