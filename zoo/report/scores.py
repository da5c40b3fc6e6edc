"""Tables of scores for the report: an estimator a row, a metric a column, the best of each column marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zoo.types import Score

__all__ = ["Cell", "Table", "score_tables"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: text, the interval below it, and whether it is the best of its column."""

    text: str
    interval: str = ""
    best: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first column heads the rows. `numeric` aligns the others to the right, but for those in `text`."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numeric: bool = True
    text: Sequence[str] = ()

    @property
    def right(self) -> list[int]:
        """Numbers of the columns that are aligned to the right."""
        if not self.numeric:
            return []
        return [index for index, column in enumerate(self.columns) if index and column not in self.text]


HEADINGS = {
    "r": "R",
    "r2": "R² (1 - SSE/SST)",
    "r2_pearson": "R² (square of R)",
    "rmse": "RMSE",
    "ubrmse": "ubRMSE",
    "bias": "bias",
    "mae": "MAE",
    "mre": "MRE",
}
DIGITS = {"r": 3, "r2": 3, "r2_pearson": 3, "mre": 3}
LARGER_IS_BETTER = ("r", "r2", "r2_pearson")


MAIN = ("r", "r2", "rmse", "ubrmse", "bias")
"""Metrics of the first table of a reference; the others follow in tables of as many columns."""


def score_tables(scores: Sequence[Score]) -> list[Table]:
    """Return the tables for each reference and split, in the order in which they first appear.

    The first has the main metrics, the next the others, so that no table is wider than a page.

    Best is the largest r, r2 and r2_pearson and the smallest rmse, ubrmse, |bias|, mae and mre of two or more
    estimators, as printed: equal figures share it. Intervals may overlap: best is no claim of significance.
    """
    return [
        _table(part, metrics, *key)
        for key in dict.fromkeys((score.reference, score.split) for score in scores)
        for part in [[score for score in scores if (score.reference, score.split) == key]]
        for metrics in _columns({score.metric for score in part})
    ]


def _columns(known: set[str]) -> list[list[str]]:
    """Deal metrics into tables: the main ones, then the others, those without a heading of ours last."""
    main = [metric for metric in MAIN if metric in known]
    others = [metric for metric in HEADINGS if metric in known and metric not in MAIN]
    others += sorted(known.difference(HEADINGS))
    parts = [main, *(others[start : start + len(MAIN)] for start in range(0, len(others), len(MAIN)))]
    return [part for part in parts if part]


def _table(scores: Sequence[Score], metrics: Sequence[str], reference: str, split: str) -> Table:
    estimators = list(dict.fromkeys(score.estimator for score in scores))
    found = {(score.estimator, score.metric): score for score in scores}
    best = {metric: _best([found.get((estimator, metric)) for estimator in estimators], metric) for metric in metrics}
    rows = [
        [
            Cell(estimator),
            *(_cell(found.get((estimator, metric)), best[metric]) for metric in metrics),
            Cell(f"{max(score.n for score in scores if score.estimator == estimator):,}"),
        ]
        for estimator in estimators
    ]
    caption = f"Against {reference} ({split}); below each figure its 95 % interval; errors in m³ m⁻³, MRE as a share"
    return Table(caption, ["estimator", *(HEADINGS.get(metric, metric) for metric in metrics), "n"], rows)


def _cell(score: Score | None, best: str | None) -> Cell:
    if score is None or score.value is None:
        return Cell("-")
    text = _text(score, score.value)
    interval = ""
    if score.ci_low is not None and score.ci_high is not None:
        interval = f"{_text(score, score.ci_low)} to {_text(score, score.ci_high)}"
    return Cell(text, interval, text.lstrip("-") == best if score.metric == "bias" else text == best)


def _best(scores: Sequence[Score | None], metric: str) -> str | None:
    """Return the best figure as printed; None unless two estimators have one."""
    known = [(score, score.value) for score in scores if score is not None and score.value is not None]
    if len(known) < 2:
        return None
    order: Callable[[tuple[Score, float]], float] = (
        (lambda item: -item[1]) if metric in LARGER_IS_BETTER else (lambda item: abs(item[1]))
    )
    score, value = min(known, key=order)
    text = _text(score, value)
    return text.lstrip("-") if metric == "bias" else text


def _text(score: Score, value: float) -> str:
    return f"{value:.{DIGITS.get(score.metric, 4)}f}"
