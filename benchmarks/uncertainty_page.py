"""The figures of benchmarks/uncertainty.py as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

HEAD = """# Uncertainty

What `zoo train` leaves behind about a model's errors, and how it did on held-out blocks of real soil moisture.

## Prediction interval

`soil_moisture_lower` and `soil_moisture_upper` hold soil moisture with a nominal probability of {level:.0%}, averaged
over the pixels of a place that the model has not seen. They are normalised conformal intervals: the residuals
of the cross-validation's held-out groups over how far a small model lets them go on their side, and the quantile of
these ratios. The small model is a quantile regression of both ends, log-linear in the dissimilarity index (never
narrower farther away), the logarithm of the answer and, strongly penalised, the predictors; the upper part over the
lower one is log-linear in the logarithm of the answer, for a dry answer can hardly be too wet. Its penalties were
chosen on groups left out of calibration of these same tables, and unequal ends came after equal ones had not beaten one
width everywhere on us SMAP; the draws of seeds 1 and 2 were made after that.

Groups weigh alike in the quantile, whatever their size (CDF pooling: Dunn, Wasserman & Ramdas 2023,
doi:10.1080/01621459.2022.2060112). With few groups that falls short, and the bound that never does is infinite below
1 / (1 - level) groups; so the level is raised until each group, left out of the quantile, is covered as often as
promised, on average over groups.

What the interval does not promise: the coverage in one given place or for one given pixel, or at times that are unlike
those of training. After a correction to the coarse mean the interval is moved with the map and keeps its width: the
correction is no part of the calibration. In-situ or coarse, the interval is one of the reference that was trained on,
with its errors, at the reference's support.

## Area of applicability

`dissimilarity_index` is the distance to the nearest training row in the space of standardised predictors, weighted by
how far the model's answers move when a predictor is shuffled, over the mean distance between training rows (Meyer &
Pebesma 2021, doi:10.1111/2041-210X.13650). A pixel is out of domain where it is above the threshold: the upper quartile
plus 1.5 interquartile ranges, or the maximum if that is less, of the index that training rows have with respect to the
rows that their fold's model saw. Up to 1,000 training rows the index is exact. Of more, 1,000 rows farthest from one
another stand for all, in the threshold as in the map; the index is then too large by at most the distance from a
left-out row to the nearest kept one.

Whether errors are larger out of domain is not taken for granted: cross-validation's held-out rows are compared, and
the card and `zoo predict` say what came of it. Where they were not, the index tells that a pixel is unlike the
training, and nothing of its error: brightness, say, may be rare where soil is dry and easy to predict.

`zoo predict --uncertainty` writes the three as bands and reports the share of pixels out of domain; `--strict` refuses
to write a map with any such pixel, `--strict-share S` one in which their share is larger.

## On held-out blocks

`{command}` wrote this page; seeds {seeds}. Each spatial fold of a table is held out, the rest
goes the way of `zoo train`: cross-validation over whole groups in {folds} folds, calibration, a model on all of it.
{rows} under each seed; n counts a row once for each. Intervals in brackets are 95 %, by resampling groups.
The interval score (Gneiting & Raftery 2007) is in m3 m-3, the smaller the better; the constant interval has one width,
calibrated on the same residuals in the same way. "Foreseen" counts the folds in which cross-validation alone, as the
card of a model, found larger errors out of domain.
"""


def page(result: dict[str, Any]) -> str:
    """Return the page."""
    drawn = f"Of tables with more, {result['rows']:,} rows are drawn" if result["rows"] else "All rows are used"
    head = HEAD.format(**{**result, "rows": drawn, "seeds": ", ".join(map(str, result["seeds"]))})
    return "\n".join([head, *_intervals(result), "", *_domains(result), "", *_verdict(result), ""])


def _each(result: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for task, models in result["tasks"].items():
        for model, found in models.items():
            yield task, model, found


def _intervals(result: dict[str, Any]) -> Iterator[str]:
    columns = "table|model|n (groups)|R2|coverage|width|score|coverage, constant|width|score|difference of scores"
    yield f"| {columns.replace('|', ' | ')} |"
    yield "|" + "---|" * 11
    for task, model, found in _each(result):
        cells = [task, model, f"{found['n']:,} ({found['groups']})", f"{found['r2']:.3f}"]
        for one in (found["adaptive"], found["constant"]):
            cells += [_with(one["coverage"], 3), f"{one['width']:.3f}", f"{one['interval_score']:.4f}"]
        yield f"| {' | '.join(cells)} | {_with(found['score_difference'], 4, '+')} |"


def _domains(result: dict[str, Any]) -> Iterator[str]:
    columns = "table|model|share out of domain|groups with such rows|RMSE inside|RMSE outside|difference|foreseen"
    yield f"| {columns.replace('|', ' | ')} |"
    yield "|" + "---|" * 8
    for task, model, found in _each(result):
        domain = found["domain"]
        outside = "-" if domain["rmse_outside"] is None else f"{domain['rmse_outside']:.4f}"
        difference = _with(domain_difference(domain), 4, "+")
        yield (
            f"| {task} | {model} | {domain['outside'] / domain['n']:.3f} | {domain['groups']} | "
            f"{domain['rmse_inside']:.4f} | {outside} | {difference} | {_foreseen(domain)} |"
        )


def _verdict(result: dict[str, Any]) -> Iterator[str]:
    every = list(_each(result))
    if not every:
        yield "No table is complete yet."
        return
    held = [f for *_, f in every if f["adaptive"]["coverage"][1] <= result["level"] <= f["adaptive"]["coverage"][2]]
    better = [f for *_, f in every if f["score_difference"][0] < 0]
    sure = [f for *_, f in every if f["score_difference"][2] < 0]
    useful = [f for *_, f in every if (f["domain"]["difference"] or 0) > 0]
    yield f"Of {len(every)} cases, the coverage's interval holds {result['level']:g} in {len(held)};"
    yield f"the adaptive interval has the better score in {len(better)}, with an interval clear of 0 in {len(sure)};"
    yield f"rows out of domain have the larger error in {len(useful)}."
    useless = [f"{task} {model}" for task, model, f in every if (f["domain"]["difference"] or 0) <= 0]
    if useless:
        yield f"There the index does not tell where errors are large, and is of no use: {', '.join(useless)}."
    if result["not_complete"]:
        yield f"Not complete yet: {', '.join(result['not_complete'])}."


def domain_difference(domain: dict[str, Any]) -> list[float | None]:
    """Return the error out of domain minus that inside, and the ends of its interval."""
    return [domain["difference"], domain["ci_low"], domain["ci_high"]]


def _foreseen(domain: dict[str, Any]) -> str:
    """Say in how many folds cross-validation alone found larger errors out of domain."""
    known = [one for one in domain["foreseen"] if one is not None]
    return f"{sum(one > 0 for one in known)} of {len(known)}"


def _with(values: list[float | None], digits: int, sign: str = "") -> str:
    if values[0] is None:
        return "-"
    text = [f"{value:{sign}.{digits}f}" if value is not None else "-" for value in values]
    return f"{text[0]} [{text[1]}, {text[2]}]"
