"""Intervals hold the truth about as often as they say, in simulation; `benchmarks/coverage.py` does it at length."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "coverage.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_analytic_intervals_hold_93_to_97_per_cent_in_2000_draws(benchmark: ModuleType) -> None:
    shares = benchmark.coverage(benchmark.normal(("r", "ubrmse", "bias", "slope", "spearman"), resamples=2), draws=2000)
    for name, share in shares.items():
        assert 0.93 <= share <= 0.97, (name, share)


def test_an_interval_that_is_too_narrow_is_found_out(benchmark: ModuleType) -> None:
    """The simulation can fail: ends drawn in by a third hold the truth far less often."""
    design = benchmark.normal(("bias",), resamples=2)

    def narrow(rng: object, seed: int) -> dict[str, tuple[float, float]]:
        ((low, high),) = design.intervals(rng, seed).values()
        return {"bias": (low + (high - low) / 6, high - (high - low) / 6)}

    shrunk = benchmark.Design("narrow", (), design.truth, narrow)
    assert benchmark.coverage(shrunk, draws=1000)["bias"] < 0.90


@pytest.mark.parametrize("name", ["errors", "stations", "series", "gains", "pairs", "collocated"])
def test_resampled_intervals_hold_85_per_cent_or_more(benchmark: ModuleType, name: str) -> None:
    design = {
        "errors": lambda: benchmark.normal(("rmse", "mae", "r2", "kge"), resamples=200),
        "stations": lambda: benchmark.stations(34, days=5, resamples=200),
        "series": lambda: benchmark.series(resamples=200),
        "gains": lambda: benchmark.gains(resamples=200),
        "pairs": lambda: benchmark.pairs(resamples=200),
        "collocated": lambda: benchmark.collocated(resamples=200),
    }[name]()
    draws = 60
    for metric, share in benchmark.coverage(design, draws=draws).items():
        assert share >= 0.85 - 2 * (0.85 * 0.15 / draws) ** 0.5, (metric, share)
