"""How often 95 % intervals hold the truth, in simulation: `python benchmarks/coverage.py [--draws 2000]`.

Samples come from distributions whose figures are known: bivariate normal (n = 34, like the stations of one day), a
skewed one, 34 and 8 stations with an offset of their own, a year of daily values with autocorrelated errors.
Analytic intervals have to hold the truth in 93-97 % of 2,000 draws on normal samples, all others in 85 % or more;
the script ends with 1 if one does not.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from zoo.scores.gains import GAINS, downscaling_gains
from zoo.scores.intervals import median
from zoo.scores.metrics import score_table
from zoo.scores.moments import metric_of, pair_sums
from zoo.scores.paired import paired_differences
from zoo.scores.resampling import time_blocks
from zoo.scores.triple_collocation import triple_collocation

Array = npt.NDArray[np.float64]
Ends = dict[str, tuple[float, float]]

ANALYTIC = ("r", "spearman", "r2_pearson", "ubrmse", "bias", "slope", "mse_bias")
BOOTSTRAP = ("r2", "rmse", "mae", "kge", "kge_2012", "mse", "mse_variance", "mse_correlation")
LABELS = {"estimator": "simulated", "reference": "truth", "split": "simulated"}
RHO, SD_O, SD_P, MEAN_O, BIAS = 0.7, 0.06, 0.05, 0.25, 0.02


@dataclass(frozen=True, slots=True)
class Design:
    """One way to draw samples.

    Attributes
    ----------
    title : what is drawn
    analytic : metrics whose interval is analytic there
    truth : metric -> the figure of the population
    intervals : generator, seed -> metric -> interval of one sample
    strict : whether the assumptions of the analytic intervals hold, so that they are held to 93-97 %
    """

    title: str
    analytic: Sequence[str]
    truth: dict[str, float]
    intervals: Callable[[np.random.Generator, int], Ends]
    strict: bool = False


def coverage(design: Design, draws: int, seed: int = 0) -> dict[str, float]:
    """Return the share of samples whose interval holds the truth, metric by metric; no interval counts as a miss."""
    rng = np.random.default_rng(seed)
    hits = dict.fromkeys(design.truth, 0)
    for draw in range(draws):
        ends = design.intervals(rng, draw % 4)
        for name, value in design.truth.items():
            low, high = ends.get(name, (math.inf, -math.inf))
            hits[name] += low <= value <= high
    return {name: count / draws for name, count in hits.items()}


def normal(metrics: Sequence[str], n: int = 34, resamples: int = 1000) -> Design:
    """Bivariate normal: every figure follows from the moments of the population."""
    covariance = RHO * SD_O * SD_P
    var_e = SD_O**2 + SD_P**2 - 2 * covariance
    size = stats.foldnorm.mean(BIAS / math.sqrt(var_e), scale=math.sqrt(var_e))
    moments = [1, 0, SD_O**2, 0, SD_P**2, covariance, BIAS, 0, var_e, size, 1, 1, MEAN_O, MEAN_O + BIAS]
    population = np.array([moments], dtype=np.float64)
    truth = {m: 6 / math.pi * math.asin(RHO / 2) if m == "spearman" else metric_of(m, population)[0] for m in metrics}
    matrix = np.array([[SD_O**2, covariance], [covariance, SD_P**2]])

    def sample(rng: np.random.Generator, seed: int) -> Ends:
        o, p = rng.multivariate_normal([MEAN_O, MEAN_O + BIAS], matrix, n, method="cholesky").T
        return _ends(score_table(o, p, metrics=metrics, seed=seed, resamples=resamples, **LABELS))

    return Design(f"bivariate normal, n = {n}", [m for m in metrics if m in ANALYTIC], truth, sample, strict=True)


def skewed(n: int = 34, resamples: int = 1000) -> Design:
    """Gamma-distributed soil moisture and errors: the normal formulas do not hold."""
    metrics = ("r", "r2", "rmse", "ubrmse", "bias", "mae", "mre", "slope", "kge", "mse_correlation")

    def draw(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
        o = 0.05 + rng.gamma(4, 0.04, size)
        return o, 0.7 * o + 0.03 + rng.gamma(2, 0.02, size)

    o, p = draw(np.random.default_rng(99), 2_000_000)
    whole = pair_sums(o, p).sum(axis=0, keepdims=True)
    truth = {m: float(metric_of(m, whole)[0]) for m in metrics}

    def sample(rng: np.random.Generator, seed: int) -> Ends:
        return _ends(score_table(*draw(rng, n), metrics=metrics, seed=seed, resamples=resamples, **LABELS))

    return Design(f"gamma, n = {n} (truth from 2,000,000 rows)", [m for m in metrics if m in ANALYTIC], truth, sample)


def stations(count: int, days: int = 20, resamples: int = 1000) -> Design:
    """Stations with an offset of their own on all days: rows are not independent, stations are."""
    between, within = 0.03, 0.03
    metrics = ("r", "spearman", "r2", "r2_pearson", "rmse", "ubrmse", "bias", "mae", "slope", "kge", "mse_correlation")

    def draw(rng: np.random.Generator, size: int) -> tuple[Array, Array, npt.NDArray[np.intp]]:
        station = np.repeat(np.arange(size), days)
        o = MEAN_O + rng.normal(0, 0.05, size)[station] + rng.normal(0, 0.03, size * days)
        error = rng.normal(0, between, size)[station] + rng.normal(0, within, size * days)
        return o, 0.8 * o + 0.06 + error, station

    var_o, var_e = 0.05**2 + 0.03**2, between**2 + within**2
    var_p, cov, off = 0.64 * var_o + var_e, 0.8 * var_o, 0.06 - 0.2 * MEAN_O
    var_d = 0.04 * var_o + var_e
    size_ = stats.foldnorm.mean(abs(off) / math.sqrt(var_d), scale=math.sqrt(var_d))
    population = np.array([[1, 0, var_o, 0, var_p, cov, off, 0, var_d, size_, 1, 1, MEAN_O, MEAN_O + off]])
    rho = cov / math.sqrt(var_o * var_p)
    truth = {m: 6 / math.pi * math.asin(rho / 2) if m == "spearman" else metric_of(m, population)[0] for m in metrics}

    def sample(rng: np.random.Generator, seed: int) -> Ends:
        o, p, station = draw(rng, count)
        return _ends(score_table(o, p, groups=station, metrics=metrics, seed=seed, resamples=resamples, **LABELS))

    return Design(f"{count} stations x {days} days, resampled by station", (), truth, sample)


def series(n: int = 365, resamples: int = 1000) -> Design:
    """Draw a year of daily values, observed and errors AR(1): blocks in time are resampled."""
    metrics = ("r", "r2", "rmse", "ubrmse", "bias", "mae", "slope")
    a_o, a_e, sd_e = 0.9, 0.6, 0.03
    days = pd.Series(pd.date_range("2019-01-01", periods=n, tz="UTC"))
    var_d = 0.04 * SD_O**2 + sd_e**2
    off = 0.06 - 0.2 * MEAN_O
    size_ = stats.foldnorm.mean(abs(off) / math.sqrt(var_d), scale=math.sqrt(var_d))
    var_p, cov = 0.64 * SD_O**2 + sd_e**2, 0.8 * SD_O**2
    population = np.array([[1, 0, SD_O**2, 0, var_p, cov, off, 0, var_d, size_, 1, 1, MEAN_O, MEAN_O + off]])
    truth = {m: float(metric_of(m, population)[0]) for m in metrics}

    def sample(rng: np.random.Generator, seed: int) -> Ends:
        o = MEAN_O + SD_O * _ar(rng, n, a_o)
        p = 0.8 * o + 0.06 + sd_e * _ar(rng, n, a_e)
        blocks = time_blocks(days, o, p)
        return _ends(score_table(o, p, groups=blocks, metrics=metrics, seed=seed, resamples=resamples, **LABELS))

    return Design(f"one station, {n} days, autocorrelation .9 and .6, blocks in time", (), truth, sample)


def gains(n: int = 34, resamples: int = 1000) -> Design:
    """Gains of a fine map over a coarse field, of which both are lines with noise."""
    fine, coarse = (0.8, 0.06, 0.02), (0.4, 0.12, 0.03)

    def figures(line: tuple[float, float, float]) -> tuple[float, float, float]:
        slope, offset, noise = line
        return slope, slope * SD_O / math.hypot(slope * SD_O, noise), offset - (1 - slope) * MEAN_O

    parts = []
    for high, low, ideal in zip(figures(fine), figures(coarse), (1, 1, 0), strict=True):
        parts.append((abs(low - ideal) - abs(high - ideal)) / (abs(low - ideal) + abs(high - ideal)))
    truth = dict(zip(GAINS, (sum(parts) / 3, *parts), strict=True))

    def sample(rng: np.random.Generator, seed: int) -> Ends:
        o = rng.normal(MEAN_O, SD_O, n)
        maps = [slope * o + offset + rng.normal(0, noise, n) for slope, offset, noise in (fine, coarse)]
        return _ends(downscaling_gains(o, *maps, seed=seed, resamples=resamples, **LABELS))

    return Design(f"gains over a coarse field, n = {n}", (), truth, sample)


def pairs(n: int = 34, resamples: int = 1000) -> Design:
    """Differences between two predictions whose errors correlate."""
    metrics = ("r", "rmse", "ubrmse", "bias", "mae", "r2")
    sds, offsets, shared = (0.03, 0.04), (0.01, 0.02), 0.5
    population = []
    for sd, offset in zip(sds, offsets, strict=True):
        size_ = stats.foldnorm.mean(offset / sd, scale=sd)
        population.append([1, 0, SD_O**2, 0, SD_O**2 + sd**2, SD_O**2, offset, 0, sd**2, size_, 1, 1, MEAN_O, MEAN_O])
    both = np.array(population)
    truth = {m: float(metric_of(m, both)[0] - metric_of(m, both)[1]) for m in metrics}
    matrix = np.array([[sds[0] ** 2, shared * sds[0] * sds[1]], [shared * sds[0] * sds[1], sds[1] ** 2]])

    def sample(rng: np.random.Generator, seed: int) -> Ends:
        o = rng.normal(MEAN_O, SD_O, n)
        errors = rng.multivariate_normal(offsets, matrix, n, method="cholesky").T
        found = paired_differences(o, *(o + errors), seed=seed, metrics=metrics, resamples=resamples)
        return {d.metric: (d.ci_low, d.ci_high) for d in found if d.ci_low is not None and d.ci_high is not None}

    return Design(f"differences of two predictions, n = {n}", (), truth, sample)


def collocated(n: int = 200, resamples: int = 1000) -> Design:
    """Signal-to-noise ratios by triple collocation."""
    sds = {"x": 0.02, "y": 0.03, "z": 0.04}
    truth = {name: 20 * math.log10(SD_O / sd) for name, sd in sds.items()}

    def sample(rng: np.random.Generator, seed: int) -> Ends:
        signal = rng.normal(MEAN_O, SD_O, n)
        three = [signal + rng.normal(0, sd, n) for sd in sds.values()]
        found = triple_collocation(*three, seed=seed, resamples=resamples)
        ends = {c.name: (c.snr_low, c.snr_high) for c in found if c.snr_db is not None}
        return {
            name: (-math.inf if low is None else low, math.inf if high is None else high)
            for name, (low, high) in ends.items()
        }

    return Design(f"triple collocation, SNR in dB, n = {n}", (), truth, sample)


def medians(n: int = 28) -> Design:
    """Median over stations."""

    def sample(rng: np.random.Generator, seed: int) -> Ends:
        ends = median(rng.gamma(2, 1, n))
        return {"median": ends} if ends else {}

    return Design(f"median over {n} stations, order statistics", (), {"median": stats.gamma.median(2)}, sample)


def _ar(rng: np.random.Generator, n: int, a: float) -> Array:
    """Draw a standard AR(1) series."""
    noise = rng.normal(0, math.sqrt(1 - a * a), n)
    noise[0] = rng.normal()
    values = np.empty(n)
    values[0] = noise[0]
    for i in range(1, n):
        values[i] = a * values[i - 1] + noise[i]
    return values


def _ends(scores: Sequence[object]) -> Ends:
    return {s.metric: (s.ci_low, s.ci_high) for s in scores if s.ci_low is not None and s.ci_high is not None}  # type: ignore[attr-defined]


def main() -> None:
    """Print how often the intervals of every design hold the truth; exit 1 where one is out of its bounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    designs = [
        normal(ANALYTIC, resamples=given.resamples),
        normal(BOOTSTRAP, resamples=given.resamples),
        skewed(resamples=given.resamples),
        stations(34, resamples=given.resamples),
        stations(8, resamples=given.resamples),
        series(resamples=given.resamples),
        gains(resamples=given.resamples),
        pairs(resamples=given.resamples),
        collocated(resamples=given.resamples),
        medians(),
    ]
    failed = []
    for design in designs:
        print(f"\n{design.title}; {given.draws} draws, nominal 95 %")
        for name, share in coverage(design, given.draws, given.seed).items():
            analytic = name in design.analytic
            low, high = (0.93, 0.97) if analytic and design.strict else (0.85, 1.0)
            verdict = "" if low <= share <= high else f"  outside {low:.0%}-{high:.0%}"
            failed += [f"{design.title}: {name}"] if verdict else []
            print(f"  {name:16s} {'analytic ' if analytic else 'resampled'} {share:6.1%}{verdict}", flush=True)
    if failed:
        print("\nBelow or above what is asked:", "; ".join(failed))
        sys.exit(1)


if __name__ == "__main__":
    main()
