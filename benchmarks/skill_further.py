"""What other benchmarks found of maps and their errors, as sections of the page of `skill.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uncertainty_page import domain_difference

MAPS = ("bilinear", "cubic", "area-to-point", "rf + smooth", "rf + exact", "dbn", "dbn + exact", "dbn + weighted")
"""Of the maps that were made, those that the page shows; what is not there is left out."""


UNCORRECTED = "dbn"
BORDER = 0.05
"""What jumps across borders may differ by from those inside, as a share."""
LOOP = """## Closed loop on a real 1 km index

`benchmarks/closed_loop.py`: the Copernicus 1 km soil water index averaged to 9 km, downscaled with terrain and place,
against itself at 1 km; RMSE of the index (0-1), mean of the seeds. Differences are `{default}`, the default, minus the
map, from the squared errors of all seeds and of each, with 95 % intervals over squares of 3 x 3 coarse cells. The
default without the weight of texture (`dbn + exact`) loses this loop; the weight was designed after that was seen, and
how it follows from the estimate was chosen with this loop and two of the simulated scenes below in view.
"""
TRUTH = """## Against the 1 km truth of simulated scenes

`benchmarks/truth.py`: simulated landscapes, products and errors; means over the seeds. `{default}` is the default.
"""
UNCERTAINTY = """## Intervals and domain

`benchmarks/uncertainty.py`, nominal coverage {level:.0%}; all of it in [uncertainty.md](uncertainty.md).
"""
CLOUDS = """## Under clouds

`benchmarks/clouds.py`: optical predictors of the simulated sample scene hidden, maps of all land against the simulated
1 km truth, 60 % hidden; other shares in [clouds.md](clouds.md).
"""


def sections(results: Path) -> Iterator[str]:
    """Write a section for each result in the folder; each is the file of the benchmark that its text names."""
    written = {"closed_loop": _loop, "truth": _truth, "uncertainty": _uncertainty, "clouds": _clouds}
    for name, section in written.items():
        path = results / f"{name}.json"
        if path.exists():
            yield "\n".join(section(json.loads(path.read_text(encoding="utf-8"))))


def _loop(found: dict[str, Any]) -> Iterator[str]:
    default = found["default"]
    yield LOOP.format(default=default)
    yield f"| day | cells | map | RMSE | R2 | {default} minus it | of each seed |"
    yield "|---|---|---|---|---|---|---|"
    for day, part in found["summary"].items():
        for name in [name for name in MAPS if name in part["maps"]]:
            scores = part["maps"][name]
            differences = ", ".join(_between(one, 4) for one in scores.get("default_minus_this_rmse", []))
            pooled = scores.get("default_minus_this_rmse_over_seeds")
            figures = f"{scores['rmse']:.4f} | {scores['r2']:.3f} | {_between(pooled, 4) if pooled else ''}"
            yield f"| {day} | {part['cells']} | {name} | {figures} | {differences} |"
    yield _borders(found, found["runs"])


def _truth(found: dict[str, Any]) -> Iterator[str]:
    yield TRUTH.format(default=found["default"])
    yield "| coarse cells | seeds | map | R2 | RMSE, m3 m-3 | G_DOWN | default's R2 minus it: mean, least |"
    yield "|---|---|---|---|---|---|---|"
    for size, part in found["summary"].items():
        gains = part.get("default_r2_minus", {})
        for name in [name for name in MAPS if name in part["maps"]]:
            scores = part["maps"][name]
            gain = f"{gains[name]['mean']:+.3f}, {gains[name]['least']:+.3f}" if name in gains else ""
            figures = f"{scores['r2']:.3f} | {scores['rmse']:.4f} | {scores['g_down']:+.3f}"
            yield f"| {size} x {size} | {part['seeds']} | {name} | {figures} | {gain} |"
    for size, part in found["summary"].items():
        for question, met in part.get("bars", {}).items():
            yield f"\n{size} x {size}, {question.replace('_', ' ')}: {'yes' if met else 'no'}."
    yield _borders(found, found["scenes"])


def _uncertainty(found: dict[str, Any]) -> Iterator[str]:
    yield UNCERTAINTY.format(level=found["level"])
    yield "| table | model | coverage | score minus the constant interval's | RMSE out of domain minus inside |"
    yield "|---|---|---|---|---|"
    for task, models in found["tasks"].items():
        for model, one in models.items():
            figures = (one["adaptive"]["coverage"], one["score_difference"], domain_difference(one["domain"]))
            yield f"| {task} | {model} | " + " | ".join(_between(figure, 4) for figure in figures) + " |"


def _clouds(found: dict[str, Any]) -> Iterator[str]:
    yield CLOUDS
    yield "| way | land covered | R2: mean, least | R2 minus bilinear's, least |"
    yield "|---|---|---|---|"
    for line in found["summary"]:
        if line["clouds"] == 0.6 and (line["correction"] == "exact" or line["way"] == "bilinear"):
            gain = line.get("r2_over_bilinear_min")
            figures = f"{line['coverage']:.1%} | {line['r2']:.3f}, {line['r2_min']:.3f}"
            yield f"| {line['way']} | {figures} | {'' if gain is None else f'{gain:+.3f}'} |"


def _borders(found: dict[str, Any], runs: dict[str, Any]) -> str:
    """Say how the default's jumps across cell borders compare with those inside cells, run by run."""
    ratios = [run["maps"][found["default"]]["border_jump_ratio"] for run in runs.values()]
    own = [run["maps"][UNCORRECTED]["border_jump_ratio"] for run in runs.values()]
    beside = [ratio / chance for ratio, chance in zip(ratios, own, strict=True)]
    return (
        f"\nJumps across cell borders over those inside, `{found['default']}`, {_near(ratios)}. The uncorrected `dbn` "
        f"knows nothing of cells, and what it has at their borders is chance of the place: over its ratio in the same "
        f"run, {_near(beside)}."
    )


def _near(ratios: list[float]) -> str:
    near = sum(abs(ratio - 1) <= BORDER for ratio in ratios)
    return f"{near} of {len(ratios)} within {BORDER:.0%}: " + ", ".join(f"{ratio:.3f}" for ratio in sorted(ratios))


def _between(figure: list[float | None], digits: int) -> str:
    value, low, high = figure
    if value is None:
        return "-"
    interval = "" if low is None or high is None else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{value:.{digits}f}{interval}"
