"""Scores of a table of stations and times: in time, in space, and pooled, never mixed.

A temporal score is of one station's series, a spatial one of all stations at one time; pooled ones are of all rows.
They answer different questions (Gruber et al. 2020, Remote Sens. Environ. 244, 111806; Montzka et al. 2021, CEOS
good practices), so each has its own list here and says in its `split` which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd

from zoo.errors import DataError
from zoo.progress import track
from zoo.scores import intervals
from zoo.scores.gains import GAINS, downscaling_gains
from zoo.scores.metrics import ALL_METRICS, score_table
from zoo.scores.resampling import block_median, time_blocks
from zoo.types import Score

__all__ = ["StationDays", "Summary", "score_station_days"]

RESAMPLES_OF_UNITS = 500
"""Resamples behind the intervals of single stations and dates."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One metric over stations, or over times.

    Attributes
    ----------
    metric : as in `zoo.scores.metrics`
    median, q25, q75 : of the stations' (times') figures
    ci_low, ci_high : 95 % interval of the median: over stations from order statistics, over times from blocks in
        time; None with too few
    units : stations (times) that have the figure
    """

    metric: str
    median: float
    q25: float
    q75: float
    ci_low: float | None
    ci_high: float | None
    units: int


@dataclass(frozen=True, slots=True)
class StationDays:
    """Scores of one prediction at many stations and times.

    Attributes
    ----------
    pooled : of all rows; intervals resample stations
    temporal : station -> scores of its series; intervals resample blocks in time
    spatial : time (ISO 8601) -> scores over the stations
    temporal_summary, spatial_summary : medians over stations, over times
    pairs : the rows scored: station, time, observed, predicted, and coarse if given
    dropped : rows `missing` a value; `short_series` and `sparse_times`, which have no score of their own
    left_out : names behind `short_series`
    """

    pooled: list[Score]
    temporal: dict[str, list[Score]]
    spatial: dict[str, list[Score]]
    temporal_summary: list[Summary]
    spatial_summary: list[Summary]
    pairs: pd.DataFrame
    dropped: dict[str, int]
    left_out: dict[str, list[str]] = field(default_factory=dict)

    @property
    def scores(self) -> list[Score]:
        """Return what a registry keeps: the pooled scores, and the medians over stations and over times."""
        held_out = self.pooled[0].split.partition("; ")[2]
        of_stations = f"temporal, median of {len(self.temporal)} stations; {held_out}"
        of_times = f"spatial, median of {len(self.spatial)} times; {held_out}"
        return [
            *self.pooled,
            *self._medians(self.temporal_summary, of_stations),
            *self._medians(self.spatial_summary, of_times),
        ]

    def table(self) -> pd.DataFrame:
        """Return every figure as a row: scope (pooled, temporal, spatial), unit, and the fields of `Score`."""
        parts: list[tuple[str, str, Iterable[Score]]] = [("pooled", "", self.pooled)]
        parts += [("temporal", unit, scores) for unit, scores in self.temporal.items()]
        parts += [("spatial", unit, scores) for unit, scores in self.spatial.items()]
        rows = [{"scope": scope, "unit": unit, **asdict(score)} for scope, unit, scores in parts for score in scores]
        return pd.DataFrame(rows)

    def _medians(self, summaries: Sequence[Summary], split: str) -> list[Score]:
        first = self.pooled[0]
        return [
            Score(first.estimator, s.metric, s.median, s.units, s.ci_low, s.ci_high, first.reference, split)
            for s in summaries
        ]


def score_station_days(
    table: pd.DataFrame,
    *,
    estimator: str,
    reference: str,
    split: str = "independent",
    fewest_times: int = 10,
    fewest_stations: int = 5,
    seed: int = 0,
    metrics: Sequence[str] = ALL_METRICS,
) -> StationDays:
    """Score a table of stations and times.

    Parameters
    ----------
    table : columns station, time, observed, predicted (m3 m-3), one row a station and time; with a column `coarse`,
        the gains over it are scored, too (see `zoo.scores.gains`)
    estimator, reference, split : labels of the scores; `split` says how the rows were held out
    fewest_times : a shorter series has no temporal score
    fewest_stations : a time with fewer stations has no spatial score
    seed : of the bootstrap
    metrics : which

    Raises
    ------
    DataError
        If a column is missing, a station has two rows of one time, or no row is complete.
    """
    columns = ["station", "time", "observed", "predicted"] + (["coarse"] if "coarse" in table else [])
    pairs = _complete(table, columns)
    labels = {"estimator": estimator, "reference": reference, "seed": seed}
    gains = "coarse" in pairs

    def scored(rows: pd.DataFrame, what: str, groups: Callable[[pd.DataFrame], object], few: bool) -> list[Score]:
        options = {**labels, "split": f"{what}; {split}", "groups": groups(rows)}
        options |= {"resamples": RESAMPLES_OF_UNITS} if few else {}
        scores = score_table(rows["observed"], rows["predicted"], metrics=metrics, **options)  # type: ignore[arg-type]
        if gains and not what.startswith("spatial"):
            scores += downscaling_gains(rows["observed"], rows["predicted"], rows["coarse"], **options)  # type: ignore[arg-type]
        return scores

    series, short = _large_enough(pairs, "station", fewest_times)
    times, sparse = _large_enough(pairs, "time", fewest_stations)
    temporal = {
        str(station): scored(rows, f"temporal, station {station}", _blocks, True)
        for station, rows in track(series, "scoring stations")
    }
    spatial = {
        _iso(time): scored(rows, f"spatial, {_iso(time)}", lambda rows: None, True)
        for time, rows in track(times, "scoring times")
    }
    pooled = scored(pairs, "pooled over stations and times", lambda rows: rows["station"], False)
    return StationDays(
        pooled=pooled,
        temporal=temporal,
        spatial=spatial,
        temporal_summary=_summaries(temporal, (*metrics, *(GAINS if gains else ()))),
        spatial_summary=_summaries(spatial, metrics, seed),
        pairs=pairs,
        dropped={"missing": len(table) - len(pairs), "short_series": len(short), "sparse_times": len(sparse)},
        left_out={"short_series": [str(name) for name in short]},
    )


def _complete(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows that have every value, by station and time."""
    missing = [name for name in columns if name not in table]
    if missing:
        msg = f"The table lacks {', '.join(missing)}; it has {', '.join(map(str, table.columns))}; name the columns"
        raise DataError(msg)
    values = [name for name in columns if name not in ("station", "time")]
    rows = table[list(columns)].assign(time=pd.to_datetime(table["time"], utc=True))
    rows[values] = rows[values].astype(float).replace([np.inf, -np.inf], np.nan)
    pairs = rows.dropna(subset=["station", "time", "observed", "predicted"])
    if pairs.empty:
        msg = f"No row of the table has both an observed and a predicted value ({len(table)} rows); check the columns"
        raise DataError(msg)
    twice = pairs.duplicated(["station", "time"])
    if twice.any():
        first = pairs[twice].iloc[0]
        msg = (
            f"{int(twice.sum())} rows repeat a station and time, first {first['station']} at {first['time']}; "
            "give one row a station and time"
        )
        raise DataError(msg)
    return pairs.sort_values(["station", "time"], ignore_index=True)


def _large_enough(pairs: pd.DataFrame, by: str, fewest: int) -> tuple[list[tuple[object, pd.DataFrame]], list[object]]:
    """Cut rows into series (or times) with enough of them, and name the others."""
    parts = list(pairs.groupby(by, sort=True))
    return [(key, rows) for key, rows in parts if len(rows) >= fewest], [k for k, rows in parts if len(rows) < fewest]


def _blocks(rows: pd.DataFrame) -> object:
    return time_blocks(rows["time"], rows["observed"], rows["predicted"])


def _iso(time: object) -> str:
    stamp = pd.Timestamp(time)  # type: ignore[arg-type]
    return str(stamp.date()) if stamp == stamp.normalize() else stamp.strftime("%Y-%m-%dT%H:%M:%SZ")


def _summaries(scored: dict[str, list[Score]], metrics: Sequence[str], seed: int | None = None) -> list[Summary]:
    """Return the median of each metric over stations or, with a seed, over times, which come in blocks."""
    found = []
    for metric in metrics:
        known = {
            u: s.value for u, scores in scored.items() for s in scores if s.metric == metric and s.value is not None
        }
        if not known or metric == "p":
            continue
        values = np.array(list(known.values()))
        q25, middle, q75 = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
        ends = intervals.median(values) if seed is None else block_median(pd.DatetimeIndex(list(known)), values, seed)
        low, high = ends or (None, None)
        found.append(Summary(metric, middle, q25, q75, low, high, values.size))
    return found
