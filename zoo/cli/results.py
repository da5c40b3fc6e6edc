"""Results of validate and compare as files, and as tables for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.output import table
from zoo.types import Score

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from zoo.matching.comparison import Comparison
    from zoo.matching.map_series import SeriesValidation
    from zoo.matching.station_days import StationDays, Summary
    from zoo.scores.triple_collocation import Collocated
    from zoo.validation import Validation

SUFFIXES = (".json", ".csv")
TITLES = {
    "r": "R (Pearson)",
    "p": "p of R",
    "spearman": "R (Spearman)",
    "r2": "R2 = 1 - SSE/SST",
    "r2_pearson": "R2 = square of R",
    "rmse": "RMSE, m3 m-3",
    "ubrmse": "ubRMSE, m3 m-3",
    "bias": "bias (map - reference), m3 m-3",
    "mae": "MAE, m3 m-3",
    "mre": "MRE, share of the reference",
    "slope": "slope of map on reference",
    "kge": "KGE (2009)",
    "kge_2012": "KGE (2012)",
    "mse": "MSE, (m3 m-3)2",
    "mse_bias": "  of it bias",
    "mse_variance": "  of it variance",
    "mse_correlation": "  of it correlation",
    "g_down": "G_DOWN over the coarse field",
    "g_effi": "  of it slope",
    "g_prec": "  of it correlation",
    "g_accu": "  of it bias",
}
_ERRORS = ("rmse", "ubrmse", "bias", "mae")


def check_results(paths: Sequence[Path] | None) -> None:
    """Refuse result files that cannot be written, before any work."""
    from zoo.writers import check_writable
    from zoo.writers.target import check_suffix

    for path in paths or ():
        check_suffix(path, SUFFIXES)
        check_writable(path)


def write_results(paths: Sequence[Path] | None, payload: Mapping[str, Any], rows: pd.DataFrame) -> None:
    """Write the result as JSON (all of it) or as CSV (one figure a row), by each file's name."""
    from zoo.writers import write_table
    from zoo.writers.target import failing, replacing

    for path in paths or ():
        if path.suffix.lower() == ".csv":
            write_table(path, rows)
            continue
        with replacing(path) as temporary, failing(path):
            text = json.dumps(payload, indent=2, default=str, allow_nan=False)
            temporary.write_text(f"{text}\n", encoding="utf-8")


def score_rows(scores: Sequence[Score], scope: str = "") -> pd.DataFrame:
    """Return scores as rows: scope, unit, and the fields of `Score`."""
    from dataclasses import asdict

    import pandas as pd

    return pd.DataFrame([{"scope": scope, "unit": "", **asdict(score)} for score in scores])


def show_validation(console: Console, done: Validation) -> None:
    """Print a metric a row, and what was left out."""
    first = done.scores[0]
    title = f"{first.estimator} against {first.reference}" + (" (simulated data)" if done.simulated else "")
    console.print(score_table_of(title, done.scores))
    console.print(f"{first.split}; {done.period or 'no date'}; {_how(done.matching)}left out: {_counts(done.dropped)}")
    _show_left_out(console, done.left_out)
    if "block" in done.pairs:
        console.print("Neighbouring pixels are not independent: intervals resample blocks, and there is no p")
    if done.consistency:
        console.print(score_table_of(f"Coarse consistency, against {done.consistency[0].reference}", done.consistency))


def show_series(console: Console, days: StationDays, title: str, series: SeriesValidation | None = None) -> None:
    """Print temporal, spatial and pooled scores, each apart."""
    columns = ("metric", "median", "25 %", "75 %", "95 % from", "to", "n")
    parts = (("temporal: over stations", days.temporal_summary), ("spatial: over times", days.spatial_summary))
    for name, summaries in parts:
        rows = [_summary_row(summary) for summary in summaries]
        if rows:
            console.print(table(f"{title}, {name}", columns, rows, right=columns[1:]))
        else:
            console.print(f"{title}, {name}: too few values for any")
    console.print(score_table_of(f"{title}, pooled", days.pooled))
    console.print(
        f"The interval of a median is that of the median, not of single figures; left out: {_counts(days.dropped)}"
    )
    _show_left_out(console, days.left_out)
    for day, dropped in (series.dropped if series else {}).items():
        console.print(f"{day}: left out: {_counts(dropped)}")
    for day, scores in (series.consistency if series else {}).items():
        console.print(score_table_of(f"Coarse consistency, {day}, against {scores[0].reference}", scores))


def show_comparison(console: Console, done: Comparison) -> None:
    """Print how each metric of A differs from that of B."""
    a, b = done.names
    columns = ("metric", a, b, "difference", "95 % from", "to", "p", "test")
    rows = [
        (
            TITLES[d.metric],
            *(text_of(d.metric, x) for x in (d.a, d.b, d.difference, d.ci_low, d.ci_high)),
            p_text(d.p),
            d.test,
        )
        for d in done.differences
    ]
    title = f"{a} minus {b}, against {done.reference}" + (" (simulated data)" if done.simulated else "")
    console.print(table(title, columns, rows, right=columns[1:-1]))
    first = done.differences[0]
    console.print(
        f"{done.split}; {done.period or 'no date'}; {first.n} pairs, {first.units} independent; "
        f"{_how(done.matching)}left out: {_counts(done.dropped)}"
    )
    _show_left_out(console, done.left_out)
    if done.collocated:
        _show_collocated(console, done.collocated)


def _show_collocated(console: Console, collocated: Sequence[Collocated]) -> None:
    columns = ("triple collocation", "SNR, dB", "95 % from", "to", "error", "R with truth")
    rows = []
    for c in collocated:
        ratio = (text_of("snr", x) for x in (c.snr_db, c.snr_low, c.snr_high))
        rows.append((c.name, *ratio, text_of("rmse", c.error), text_of("r", c.r)))
    console.print(table("Errors of all three, taken to be independent", columns, rows, right=columns[1:]))


def score_table_of(title: str, scores: Sequence[Score]) -> Any:
    """Make a table with a metric a row."""
    columns = ("metric", "value", "95 % from", "to", "n")
    rows = [(TITLES[s.metric], *(_figure(s.metric, x) for x in (s.value, s.ci_low, s.ci_high)), s.n) for s in scores]
    return table(title, columns, rows, right=columns[1:])


def text_of(metric: str, value: float | None) -> str:
    """Return a figure as text."""
    if value is None:
        return "-"
    if metric.startswith("mse"):
        return f"{value:.6f}"
    return f"{value:.4f}" if metric in _ERRORS else f"{value:.3f}"


def p_text(p: float | None) -> str:
    """Return a p as text."""
    if p is None:
        return "-"
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def _figure(metric: str, value: float | None) -> str:
    if metric == "p":
        return "" if value is None else p_text(value)
    return text_of(metric, value)


def _summary_row(s: Summary) -> tuple[object, ...]:
    figures = (s.median, s.q25, s.q75, s.ci_low, s.ci_high)
    return TITLES[s.metric], *(text_of(s.metric, x) for x in figures), s.units


def _how(matching: Mapping[str, Any]) -> str:
    how = matching.get("match")
    if not how:
        return ""
    depth = matching.get("depth")
    return f"match {how}, depth {depth[0]:g}-{depth[1]:g} m; " if depth else f"match {how}; "


def _counts(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in dropped.items() if count) or "none"


def _show_left_out(console: Console, left_out: Mapping[str, Sequence[str]]) -> None:
    """Name the stations left out, the first twenty of each reason."""
    for reason, names in left_out.items():
        if names:
            more = f" and {len(names) - 20} more" if len(names) > 20 else ""
            console.print(f"  {reason.replace('_', ' ')}: {', '.join(names[:20])}{more}")
