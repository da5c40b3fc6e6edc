"""How scores are printed: a table for people, a list of flat records for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from zoo.cli.output import table
from zoo.types import Score

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = ("r", "r2", "rmse", "ubrmse", "bias", "mae")


def score_payload(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Scores as records with stable keys."""
    return [asdict(score) for score in scores]


def show_scores(console: Console, scores: Sequence[Score], title: str) -> None:
    """Print one table a reference and split: an estimator a row, a metric a column, with 95 % intervals."""
    for reference, split in dict.fromkeys((score.reference, score.split) for score in scores):
        part = [score for score in scores if (score.reference, score.split) == (reference, split)]
        metrics = [metric for metric in SHOWN if any(score.metric == metric for score in part)]
        rows = []
        for estimator in dict.fromkeys(score.estimator for score in part):
            by_metric = {score.metric: score for score in part if score.estimator == estimator}
            rows.append((estimator, *(cell(by_metric.get(metric)) for metric in metrics), _n(by_metric)))
        console.print(table(f"{title}, against {reference}", ("estimator", *metrics, "n"), rows, right=(*metrics, "n")))
        console.print(f"{split}; below each figure its 95 % interval; errors in m3 m-3\n")


def cell(score: Score | None) -> str:
    """Return one figure with its interval below."""
    if score is None or score.value is None:
        return "-"
    digits = 3 if score.metric.startswith("r") and score.metric != "rmse" else 4
    if score.ci_low is None or score.ci_high is None:
        return f"{score.value:.{digits}f}"
    return f"{score.value:.{digits}f}\n[dim]{score.ci_low:.{digits}f} {score.ci_high:.{digits}f}[/dim]"


def _n(by_metric: dict[str, Score]) -> int:
    return next(iter(by_metric.values())).n
