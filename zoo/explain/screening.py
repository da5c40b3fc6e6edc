"""Which predictors tell of soil moisture: correlation, and partial correlation given the others, with n and p.

As Table 2 of Cai et al. 2022, and more of it: R alone does not say whether a predictor adds anything to the others,
and a p without its n says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import special

from zoo.errors import DataError
from zoo.scores.metrics import p_value, score_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from zoo.samples.rows import Samples

Floats = npt.NDArray[np.float64]
DEPENDENT = 1e-8
"""A predictor of which the others leave no larger share of the variance unexplained is a combination of them.

Well above the rounding of float32 rasters, of which bands and their tasselled cap keep about 1e-10.
"""
_RANK = 1e-6
"""Singular values below this share of the largest count as zero."""


@dataclass(frozen=True, slots=True)
class Screened:
    """What one predictor tells of soil moisture.

    Attributes
    ----------
    predictor, units : its name and units
    n : rows, the same for all predictors: those with every value
    r, p : Pearson's correlation and its two-sided p under none (Student t, n - 2 degrees, independent rows)
    r_low, r_high : 95 % interval of r; whole groups (blocks) are resampled where the rows have any
    partial, partial_p : correlation of what the other predictors leave unexplained of both, and its two-sided p
        (n - 2 - number of independent others); None where the predictor is a linear combination of the others
    vif : variance inflation factor, 1 / (share of the variance that the others leave unexplained); None as above
    """

    predictor: str
    units: str
    n: int
    r: float | None
    p: float | None
    r_low: float | None
    r_high: float | None
    partial: float | None
    partial_p: float | None
    vif: float | None


def screen(samples: Samples, *, seed: int = 0) -> list[Screened]:
    """Screen every predictor of the samples.

    Raises
    ------
    DataError
        If there are fewer than 4 rows, or soil moisture is constant.
    """
    X, y = samples.predictors.to_numpy(dtype=np.float64), samples.target
    if len(y) < 4 or np.ptp(y) == 0:
        msg = f"{len(y)} rows, soil moisture from {y.min():g} to {y.max():g}: correlation needs 4 rows that differ"
        raise DataError(msg)
    found = []
    for index, layer in enumerate(samples.features):
        (r,) = score_table(
            y, X[:, index], estimator=layer.name, reference=samples.about.name, split=samples.split,
            groups=samples.groups, seed=seed, metrics=["r"],
        )  # fmt: skip
        partial, partial_p, vif = partial_correlation(X, y, index)
        p = p_value(r.value, r.n)
        found.append(Screened(layer.name, layer.units, r.n, r.value, p, r.ci_low, r.ci_high, partial, partial_p, vif))
    return found


def partial_correlation(X: Floats, y: Floats, index: int) -> tuple[float | None, float | None, float | None]:
    """Correlate one predictor with the target, given all others.

    The correlation of the residuals of two least-squares regressions, of the predictor and of the target on the
    other predictors with an intercept (Kendall and Stuart 1973, The Advanced Theory of Statistics 2, section 27).

    Parameters
    ----------
    X : (n, k)
    y : (n,)
    index : column of the predictor

    Returns
    -------
    Partial correlation, its two-sided p (Student t, n - 1 - rank of the others with intercept), and the variance
    inflation factor. All None where the predictor is constant or a linear combination of the others; the first two
    where no degree of freedom is left.
    """
    x = X[:, index]
    spread = float(((x - x.mean()) ** 2).sum())
    others = np.delete(X, index, axis=1)
    Z = np.column_stack([np.ones(len(y)), _standardised(others)])
    (rest_x, rest_y), rank = _residuals(Z, np.column_stack([x, y]))
    left = float((rest_x**2).sum())
    if spread == 0 or left <= DEPENDENT * spread:
        return None, None, None
    freedom = len(y) - 1 - rank
    scale = np.sqrt(left * float((rest_y**2).sum()))
    if freedom < 1 or scale == 0:
        return None, None, spread / left
    r = float(np.clip((rest_x @ rest_y) / scale, -1, 1))
    return r, float(special.betainc(freedom / 2, 0.5, 1 - r * r)), spread / left


def _standardised(X: Floats) -> Floats:
    """Columns with mean 0 and deviation 1, so that the rank does not hang on units; constant ones become 0."""
    centred = X - X.mean(axis=0)
    deviation = X.std(axis=0)
    scaled: Floats = centred / np.where(deviation > 0, deviation, 1)
    return scaled


def _residuals(Z: Floats, targets: Floats) -> tuple[tuple[Floats, Floats], int]:
    """Return what Z leaves unexplained of two columns, and its rank."""
    coefficients, _, rank, _ = np.linalg.lstsq(Z, targets, rcond=_RANK)
    rest = targets - Z @ coefficients
    return (rest[:, 0], rest[:, 1]), int(rank)


def screening_figure(found: list[Screened], *, title: str, simulated: bool = False) -> Figure:
    """Draw r with its interval and the partial correlation of every predictor, the largest |r| on top."""
    from matplotlib.figure import Figure

    ranked = sorted((item for item in found if item.r is not None), key=lambda item: abs(item.r or 0))
    place = np.arange(len(ranked))
    figure = Figure(figsize=(7.2, 1.4 + 0.34 * len(ranked)), dpi=120, layout="constrained")
    axes = figure.subplots()
    r = np.array([item.r for item in ranked], dtype=float)
    low = np.array([item.r if item.r_low is None else item.r_low for item in ranked], dtype=float)
    high = np.array([item.r if item.r_high is None else item.r_high for item in ranked], dtype=float)
    axes.barh(place, r, height=0.62, color=np.where(r < 0, "#c98b45", "#3b8a83"), label="R")
    axes.hlines(place, low, high, color="#1a1a1a", lw=1.1, label="95 % interval of R")
    partial = np.array([np.nan if item.partial is None else item.partial for item in ranked])
    axes.plot(partial, place, "D", ms=5, mfc="white", mec="#1a1a1a", ls="none", label="partial R, given the others")
    axes.axvline(0, color="#1a1a1a", lw=0.8)
    axes.set_yticks(place, [item.predictor for item in ranked])
    axes.set_xlim(-1.02, 1.02)
    for row, item in zip(place, ranked, strict=True):
        axes.annotate(_p_text(item), (1.03, row), xycoords=("axes fraction", "data"), va="center", fontsize=7.5)
    axes.annotate("p of R / of partial R", (1.03, 1.01), xycoords="axes fraction", va="bottom", fontsize=7.5)
    axes.set_xlabel(f"correlation with soil moisture, n = {ranked[0].n if ranked else 0:,}")
    axes.set_title(title + ("  -  simulated data" if simulated else ""), fontsize=10, fontweight="bold", loc="left")
    axes.grid(axis="x", lw=0.4, color="#cccccc")
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=3, fontsize=7.5, frameon=False)
    return figure


def p_text(p: float | None) -> str:
    """Write a p: three digits, or that it is small."""
    if p is None:
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _p_text(item: Screened) -> str:
    return f"{p_text(item.p)} / {p_text(item.partial_p)}"
