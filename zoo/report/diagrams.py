"""Taylor and target diagrams: correlation, spread, bias and error of several estimators at a glance.

Sources: Taylor 2001, J. Geophys. Res. 106, 7183 (doi:10.1029/2000JD900719); Jolliff et al. 2009, J. Mar. Syst. 76,
64 (doi:10.1016/j.jmarsys.2008.05.014).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from zoo.report.scatter import Scatter, finite_pairs
from zoo.report.style import COLOURS, FONT, INK, MARKERS, PALE, plain, stamped, titled

__all__ = ["Skill", "skill_diagrams", "skill_of"]

CORRELATIONS = (-0.99, -0.9, -0.6, -0.3, 0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Skill:
    """Where an estimator stands, in units of the reference's standard deviation.

    Attributes
    ----------
    spread : standard deviation of the predicted
    r : Pearson's correlation, 0 where the predicted is constant
    ubrmse : of the centred error, with the sign of `spread` - 1
    bias : mean error
    """

    spread: float
    r: float
    ubrmse: float
    bias: float


def skill_of(scatter: Scatter) -> Skill | None:
    """Return what the diagrams show of some pairs; None if there are fewer than 3 or the reference is constant."""
    observed, predicted = finite_pairs(scatter)
    if observed.size < 3 or np.ptp(observed) == 0:
        return None
    scale, spread = observed.std(), predicted.std()
    error = predicted - observed
    covariance = np.mean((observed - observed.mean()) * (predicted - predicted.mean()))
    r = float(covariance / (scale * spread)) if spread > 0 else 0.0
    side = 1.0 if spread >= scale else -1.0
    return Skill(
        float(spread / scale), min(1.0, max(-1.0, r)), side * float(error.std() / scale), float(error.mean() / scale)
    )


def skill_diagrams(scatters: Sequence[Scatter], *, simulated: bool = False) -> Figure:
    """Draw a Taylor (left) and a target diagram (right) for every reference; one marker an estimator.

    All axes are in units of the reference's standard deviation, so the reference stands at 1 and at the centre.
    """
    titles = list(dict.fromkeys(scatter.title for scatter in scatters))
    references = list(dict.fromkeys(scatter.reference for scatter in scatters))
    figure = Figure(figsize=(8.8, 4.3 * max(1, len(references)) + 0.6), layout="constrained")
    for number, reference in enumerate(references):
        skills = {
            titles.index(scatter.title): skill
            for scatter in scatters
            if scatter.reference == reference and (skill := skill_of(scatter)) is not None
        }
        taylor = figure.add_subplot(len(references), 2, 2 * number + 1, projection="polar")
        assert isinstance(taylor, PolarAxes)
        _draw_taylor(taylor, skills, reference)
        _draw_target(figure.add_subplot(len(references), 2, 2 * number + 2), skills, reference)
    handles = [
        figure.axes[0].plot([], [], linestyle="", label=title, **_marker(number))[0]
        for number, title in enumerate(titles)
    ]
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(4, len(handles)), fontsize=8.5, frameon=False
        )
    return stamped(figure, simulated)


def _marker(number: int) -> dict[str, Any]:
    return {
        "marker": MARKERS[number % len(MARKERS)],
        "color": COLOURS[number % len(COLOURS)],
        "markeredgecolor": INK,
        "markeredgewidth": 0.5,
        "markersize": 8,
    }


def _draw_taylor(axes: PolarAxes, skills: dict[int, Skill], reference: str) -> None:
    """Angle is the arc cosine of R, radius the spread; circles around the reference are the centred error."""
    reach = 1.15 * max([1.35, *(skill.spread for skill in skills.values())])
    half = any(skill.r < 0 for skill in skills.values())
    axes.set_thetalim(0, math.pi if half else math.pi / 2)
    axes.set_rlim(0, reach)
    shown = [r for r in CORRELATIONS if half or r >= 0]
    axes.set_thetagrids([math.degrees(math.acos(r)) for r in shown], [f"{r:g}" for r in shown])
    steps = [step for step in np.arange(0.5, reach, 0.5)]
    axes.set_rgrids(steps, [f"{step:g}" for step in steps])
    _draw_error_circles(axes, reach, half)
    angles = np.linspace(0, math.pi if half else math.pi / 2, 90)
    axes.plot(angles, np.ones_like(angles), color=INK, linewidth=0.8, linestyle="--")
    axes.plot([0], [1], marker="*", color=INK, markersize=13, clip_on=False, linestyle="")
    for number, skill in skills.items():
        axes.plot([math.acos(skill.r)], [skill.spread], linestyle="", zorder=5, **_marker(number))
    axes.tick_params(labelsize=8, colors=INK)
    axes.grid(color="#dddddd", linewidth=0.6)
    titled(axes, f"Taylor diagram against\n{reference}")
    axes.set_rlabel_position(0)
    axes.text(
        0.5,
        -0.13,
        "standard deviation / that of the reference",
        transform=axes.transAxes,
        ha="center",
        va="center",
        **FONT,
    )
    axes.text(math.radians(90 if half else 45), reach * 1.2, "R", ha="center", va="center", **FONT)


def _draw_error_circles(axes: PolarAxes, reach: float, half: bool) -> None:
    around = np.linspace(0, math.pi, 181)
    for radius in np.arange(0.5, reach, 0.5):
        x, y = 1 + radius * np.cos(around), radius * np.sin(around)
        angle, distance = np.arctan2(y, x), np.hypot(x, y)
        inside = (distance <= reach) & (angle <= (math.pi if half else math.pi / 2))
        axes.plot(angle[inside], distance[inside], color=PALE, linewidth=0.7, linestyle=":")
        if inside.any():
            middle = np.flatnonzero(inside)[inside.sum() // 2]
            axes.text(angle[middle], distance[middle], f"{radius:g}", fontsize=7, color="#555555", ha="center")


def _draw_target(axes: Axes, skills: dict[int, Skill], reference: str) -> None:
    """Distance to the centre is the RMSE; right: the predicted varies more than the reference; up: it is wetter."""
    reach = 1.15 * max([1.2, *(math.hypot(skill.ubrmse, skill.bias) for skill in skills.values())])
    for radius, style in ((0.5, ":"), (1.0, "--")):
        angle = np.linspace(0, 2 * math.pi, 181)
        axes.plot(radius * np.cos(angle), radius * np.sin(angle), color=INK, linewidth=0.8, linestyle=style)
    axes.axhline(0, color=PALE, linewidth=0.7)
    axes.axvline(0, color=PALE, linewidth=0.7)
    for number, skill in skills.items():
        axes.plot([skill.ubrmse], [skill.bias], linestyle="", zorder=5, **_marker(number))
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    axes.set_xlabel("centred error x sign(spread - that of the reference)", **FONT)
    axes.set_ylabel("bias", **FONT)
    titled(axes, f"Target diagram against\n{reference}")
    plain(axes)
