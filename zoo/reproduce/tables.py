"""Tables 2 to 8 of the paper, each printed value beside the one that was found here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from zoo.maps import read_map
from zoo.report.scores import Cell, Table
from zoo.report.stations import at_stations
from zoo.reproduce import printed
from zoo.reproduce.models import Outcome
from zoo.samples.rows import BLOCK_CELLS
from zoo.scores.metrics import p_value, score_table
from zoo.scores.paired import paired_differences
from zoo.stack import coarse_means
from zoo.types import Score

if TYPE_CHECKING:
    import xarray as xr

    from zoo.registry import Resolved
    from zoo.reproduce.scenes import Occasion, Scenes

__all__ = ["Estimate", "Findings", "Reproduced", "reproduced_tables"]

NOT_AVAILABLE = "not available"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; None where undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, score: Score) -> Estimate:
        """Take value and interval of a score."""
        return cls(score.value, score.ci_low, score.ci_high)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the tables and figures are made of.

    Attributes
    ----------
    scenes : the five dates
    models : `SMD-DBN`, `SMD-RF`, `DBN, default` and `SMD-DBN (AMSR-2)` -> version, those that were trained
    maps : (model, date) -> map
    amsr2 : the coarse field of AMSR-2, None if there is none
    trials : outcome of the rows of Table 3, by number from 0
    plainest : outcome of Table 4 in its plainest reading
    problems : what is missing, by what it is needed for
    """

    scenes: Scenes
    models: Mapping[str, Resolved]
    maps: Mapping[tuple[str, date], Path]
    amsr2: xr.DataArray | None
    trials: Mapping[int, Outcome]
    plainest: Outcome | None
    problems: Mapping[str, str] = field(default_factory=dict)

    def map(self, model: str, day: date) -> xr.DataArray | None:
        """Read a map, None if there is none."""
        path = self.maps.get((model, day))
        return None if path is None else read_map(path)


@dataclass(frozen=True, slots=True)
class Reproduced:
    """One table.

    Attributes
    ----------
    number, title : as printed
    columns : names, the first heads the rows
    rows : column -> text, whole number, float, `Estimate` or None
    remarks : what has to be known
    text : columns that are text
    """

    number: int
    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    remarks: Sequence[str] = ()
    text: Sequence[str] = ()

    @property
    def title(self) -> str:
        """As printed."""
        return f"Table {self.number}. {printed.TABLES[self.number]}"

    def table(self) -> Table:
        """Make the table of the report."""
        rows = [[_cell(row.get(column)) for column in self.columns] for row in self.rows]
        estimated = any(isinstance(value, Estimate) for row in self.rows for value in row.values())
        about = "; below each figure found here its 95 % interval" if estimated else ""
        return Table(f"{self.title}{about}", self.columns, rows, text=self.text)

    def flat(self) -> pd.DataFrame:
        """Make a plain table: an estimate becomes three columns."""
        rows: list[dict[str, Any]] = []
        for row in self.rows:
            plain: dict[str, Any] = {}
            for column in self.columns:
                value = row.get(column)
                if isinstance(value, Estimate):
                    plain |= {column: value.value, f"{column}, from": value.low, f"{column}, to": value.high}
                else:
                    plain[column] = value
            rows.append(plain)
        return pd.DataFrame(rows)


def reproduced_tables(found: Findings) -> list[Reproduced]:
    """Make all tables; a row without data says so."""
    return [
        _table_2(found),
        _table_3(found),
        _table_4(found),
        _table_5(found),
        _table_6(found),
        _table_7(found),
        _table_8(found),
    ]


def _remarks(number: int, *more: str) -> list[str]:
    return [*printed.REMARKS.get(f"table {number}", ()), *(text for text in more if text)]


def _table_2(found: Findings) -> Reproduced:
    parts = [
        _cells(occasion)
        for occasion in found.scenes.occasions
        if occasion.day in printed.CORRELATED_ON and occasion.coarse is not None and occasion.stack is not None
    ]
    pooled = pd.concat(parts, ignore_index=True)
    days = sorted(pooled["day"].unique())
    rows = []
    for factor, (layer, value) in printed.TABLE_2.items():
        (score,) = _correlation(pooled, layer)
        row: dict[str, Any] = {
            "factor": factor,
            "layer": layer,
            "printed R": value,
            "R here": Estimate.of(score),
            "n": score.n,
            "p": p_value(score.value, score.n),
        }
        for day in days:
            (own,) = _correlation(pooled[pooled["day"] == day], layer)
            row |= {f"R, {_short(day)}": own.value, f"n, {_short(day)}": own.n}
        rows.append(row)
    columns = ["factor", "layer", "printed R", "R here", "n", "p"]
    columns += [f"{name}, {_short(day)}" for day in days for name in ("R", "n")]
    missing = "" if len(days) == 2 else "Only one of the two dates is there."
    return Reproduced(2, columns, rows, _remarks(2, missing), ("layer",))


def _short(day: str) -> str:
    return f"{date.fromisoformat(day):%d %b}"


def _cells(occasion: Occasion) -> pd.DataFrame:
    """Return factors and soil moisture of every coarse cell, with its spatial block."""
    coarse, stack = occasion.coarse, occasion.stack
    assert coarse is not None
    assert stack is not None
    layers = [layer for layer, _ in printed.TABLE_2.values()]
    means = coarse_means(stack, layers, coarse)
    table = pd.DataFrame({layer: means[layer].to_numpy().ravel().astype(float) for layer in layers})
    row, column = np.divmod(np.arange(coarse.size), coarse.shape[1])
    return table.assign(
        sm=coarse.to_numpy().ravel().astype(float),
        block=(row // BLOCK_CELLS) * 10_000 + column // BLOCK_CELLS,
        day=occasion.day.isoformat(),
    )


def _correlation(cells: pd.DataFrame, layer: str) -> list[Score]:
    return score_table(
        cells["sm"], cells[layer], estimator=layer, reference="SMAP", split="", groups=cells["block"], metrics=("r",)
    )


def _table_3(found: Findings) -> Reproduced:
    rows = []
    for number, trial in enumerate(printed.TABLE_3):
        done = found.trials.get(number)
        rows.append(
            {
                "layers": str(list(trial.layers)),
                "RBM_epochs": trial.rbm_epochs,
                "BP_epochs": trial.bp_epochs,
                "printed R²": trial.r2,
                "printed RMSE": trial.rmse,
                "R², seen": done.r2 if done else None,
                "RMSE, seen": done.rmse if done else None,
                "R², held out": done.held_out_r2 if done else None,
                "RMSE, held out": done.held_out_rmse if done else None,
                "remark": _remark_on(done),
            }
        )
    left = len(printed.TABLE_3) - len(found.trials)
    told = f"{left} of 9 rows are not trained yet: the time given ended; the same command goes on." if left else ""
    scale = found.problems.get("scale", "")
    return Reproduced(3, list(rows[0]), rows, _remarks(3, told, scale), ("remark",))


def _remark_on(done: Outcome | None) -> str:
    if done is None:
        return "not trained yet"
    return "one answer for all cells" if done.r is None else ""


def _table_4(found: Findings) -> Reproduced:
    told = ""
    if found.plainest is not None:
        outcome = found.plainest
        told = (
            "In its plainest reading (no momentum, target scaled to its range) the network's answers spread by "
            f"{outcome.spread:.2g} of the target's standard deviation in cells seen"
            + (": it has learnt one number." if outcome.r is None else f", R {outcome.r:.3f}.")
        )
    rows = _settings(found, "SMD-DBN", printed.TABLE_4)
    return Reproduced(4, list(rows[0]), rows, _remarks(4, told, found.problems.get("scale", "")), tuple(rows[0])[1:])


def _table_6(found: Findings) -> Reproduced:
    rows = _settings(found, "SMD-RF", printed.TABLE_6)
    return Reproduced(6, list(rows[0]), rows, _remarks(6), tuple(rows[0])[1:])


def _settings(found: Findings, model: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return printed and used settings, then those that the paper does not state."""
    used = found.models[model].record.hyperparameters
    silent = ("device", "verbose", "n_jobs", "random_state")
    rows = [{"parameter": name, "printed": str(value), "used here": str(used[name])} for name, value in values.items()]
    rows += [
        {"parameter": name, "printed": "not stated", "used here": str(value)}
        for name, value in used.items()
        if name not in values and name not in silent
    ]
    return [*rows, {"parameter": "seed", "printed": "not stated", "used here": str(found.models[model].record.seed)}]


def _table_5(found: Findings) -> Reproduced:
    values = _over_time(found)
    rows = []
    for (station, reference), (mae, mre) in printed.TABLE_5.items():
        column = "smap" if reference == "SMAP" else "in_situ"
        own = values[(values["station"] == station)].dropna(subset=[column, "fine"])
        row: dict[str, Any] = {"station": station, "against": reference, "printed MAE": mae, "printed MRE": mre}
        scores = score_table(
            own[column], own["fine"], estimator="SMD-DBN", reference=reference, split="", metrics=("mae", "mre")
        )
        row |= {"MAE here": Estimate.of(scores[0]), "MRE here": Estimate.of(scores[1]), "n": len(own)}
        row["dates"] = ", ".join(day[5:] for day in own["day"]) or NOT_AVAILABLE
        rows.append(row)
    mean = float(np.mean([row["printed MAE"] for row in rows if row["against"] == "SMN-SDR"]))
    told = f"Printed MAE against the stations: {mean:.4f} on average (the text: 0.0207)."
    columns = ["station", "against", "printed MAE", "MAE here", "printed MRE", "MRE here", "n", "dates"]
    return Reproduced(5, columns, rows, _remarks(5, told), ("against", "dates"))


def _over_time(found: Findings) -> pd.DataFrame:
    """Return in situ, SMAP and the map at the three stations on every date that has them."""
    parts = []
    for occasion in found.scenes.occasions:
        fine = found.map("SMD-DBN", occasion.day)
        fields = {"smap": occasion.coarse, "fine": fine}
        part = at_stations(found.scenes.stations, occasion.day, fields)
        parts.append(part[part["station"].isin(printed.STATIONS)].assign(day=occasion.day.isoformat()))
    return pd.concat(parts, ignore_index=True)


def _table_7(found: Findings) -> Reproduced:
    day, coarse = printed.TRAINED_ON, found.scenes.training.coarse
    models = [name for name in ("SMD-RF", "SMD-DBN", "DBN, default") if (name, day) in found.maps]
    values = at_stations(
        found.scenes.stations, day, {"SMAP": coarse, **{name: found.map(name, day) for name in models}}
    )
    rows = []
    for name in models:
        for reference, column in (("SMAP", "SMAP"), ("SMN-SDR", "in_situ")):
            scores = _at_places(values, column, name, cells=values["SMAP"] if reference == "SMAP" else None)
            rows.append(_score_row(name, reference, _sample(reference), scores, printed.TABLE_7.get((name, reference))))
        rows += _cell_rows(found, name)
    return Reproduced(7, list(rows[0]), rows, _remarks(7, _paired(values)), ("against", "sample"))


def _table_8(found: Findings) -> Reproduced:
    name, day = "SMD-DBN (AMSR-2)", printed.TRAINED_ON
    fine = found.map(name, day)
    values = at_stations(found.scenes.stations, day, {"AMSR-2": found.amsr2, name: fine})
    rows = []
    for reference, column in (("AMSR-2", "AMSR-2"), ("SMN-SDR", "in_situ")):
        scores = _at_places(values, column, name, cells=values["AMSR-2"] if reference == "AMSR-2" else None)
        rows.append(_score_row("SMD-DBN", reference, _sample(reference), scores, printed.TABLE_8["SMD-DBN", reference]))
    rows += _cell_rows(found, name, "AMSR-2") if name in found.models else []
    return Reproduced(8, list(rows[0]), rows, _remarks(8, found.problems.get("AMSR-2", "")), ("against", "sample"))


def _sample(reference: str) -> str:
    return "stations" if reference == "SMN-SDR" else "cells at stations, seen"


def _at_places(values: pd.DataFrame, column: str, model: str, cells: pd.Series | None) -> list[Score]:
    """Score a map at the stations; stations in one coarse cell hang together where that cell is the reference."""
    both = values.dropna(subset=[column, model])
    groups = None if cells is None else np.unique(cells[both.index].to_numpy(), return_inverse=True)[1]
    return score_table(
        both[column],
        both[model],
        estimator=model,
        reference=column,
        split="",
        groups=groups,
        metrics=("r", "r2_pearson", "rmse"),
    )


def _cell_rows(found: Findings, name: str, reference: str = "SMAP") -> list[dict[str, Any]]:
    """Return how the model does in spatial blocks that it has not seen, from its record."""
    record = found.models[name].record
    scores = {score.metric: score for score in record.scores if score.estimator == record.architecture}
    chosen = [scores.get(metric) for metric in ("r", "r2_pearson", "rmse")]
    if any(score is None for score in chosen):
        return []
    n = chosen[0].n if chosen[0] else 0
    estimates = [Estimate(score.value, score.ci_low, score.ci_high) for score in chosen if score is not None]
    return [_row(name.removesuffix(" (AMSR-2)"), reference, "blocks not seen", estimates, n, None)]


def _score_row(
    model: str, against: str, sample: str, scores: Sequence[Score], values: tuple[float, float, float] | None
) -> dict[str, Any]:
    return _row(model, against, sample, [Estimate.of(score) for score in scores], scores[0].n, values)


def _row(
    model: str,
    against: str,
    sample: str,
    estimates: Sequence[Estimate],
    n: int,
    values: tuple[float, float, float] | None,
) -> dict[str, Any]:
    row: dict[str, Any] = {"model": model, "against": against, "sample": sample}
    for number, metric in enumerate(("R", "R²", "RMSE")):
        row[f"printed {metric}"] = values[number] if values else None
        row[f"{metric} here"] = estimates[number]
    return row | {"n": n}


def _paired(values: pd.DataFrame) -> str:
    """Compare network and forest at the stations, on the same rows."""
    if not {"SMD-DBN", "SMD-RF"} <= set(values) or values["in_situ"].notna().sum() < 4:
        return ""
    told = []
    for metric, one in (("r", "R"), ("rmse", "RMSE")):
        (difference,) = paired_differences(values["in_situ"], values["SMD-DBN"], values["SMD-RF"], metrics=(metric,))
        if difference.difference is None:
            continue
        told.append(
            f"{one} {difference.difference:+.3f} ({_ends(difference.ci_low, difference.ci_high)}"
            + (f", {_p_text(difference.p)}, {difference.test})" if difference.p is not None else ")")
        )
    if not told:
        return ""
    return f"SMD-DBN minus SMD-RF at the stations here, paired: {'; '.join(told)}."


def _p_text(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _ends(low: float | None, high: float | None) -> str:
    return "no interval" if low is None or high is None else f"{low:+.3f} to {high:+.3f}"


def _cell(value: Any) -> Cell:
    if isinstance(value, Estimate):
        if value.value is None:
            return Cell("-")
        ends = "" if value.low is None or value.high is None else f"{value.low:.4f} to {value.high:.4f}"
        return Cell(f"{value.value:.4f}", ends)
    if isinstance(value, float):
        return Cell("< 0.0001" if 0 <= value < 5e-5 else f"{value:.4f}")
    return Cell("-" if value is None else f"{value:,}" if isinstance(value, int) else str(value))
