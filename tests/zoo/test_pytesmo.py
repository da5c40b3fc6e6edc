"""Every metric that pytesmo has, to 1e-10; it is a test dependency only."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="pytesmo is not installed")
reference = pytest.importorskip("pytesmo.metrics", reason="pytesmo is not installed")

from zoo.scores.metrics import ALL_METRICS, score_table  # noqa: E402
from zoo.scores.triple_collocation import triple_collocation  # noqa: E402
from zoo.types import Score  # noqa: E402


def samples() -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw small and large ones, wet and dry, with ties and with a negative correlation."""
    rng = np.random.default_rng(0)
    found = []
    for n, slope, noise, digits in ((34, 0.7, 0.03, 16), (5, 1.2, 0.01, 16), (500, -0.4, 0.05, 16), (60, 0.8, 0.04, 2)):
        o = rng.uniform(0.05, 0.4, n)
        found.append((np.round(o, digits), np.round(0.1 + slope * o + rng.normal(0, noise, n), digits)))
    return found


@pytest.fixture(params=range(4))
def pair(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    return samples()[request.param]


def scored(pair: tuple[np.ndarray, np.ndarray]) -> dict[str, Score]:
    scores = score_table(*pair, estimator="", reference="", split="", metrics=ALL_METRICS, resamples=50)
    return {score.metric: score for score in scores}


def test_values(pair: tuple[np.ndarray, np.ndarray]) -> None:
    o, p = pair
    mse, correlation, bias, variance = reference.mse_decomposition(p, o)
    known = {
        "r": reference.pearson_r(p, o),
        "spearman": reference.spearman_r(p, o),
        "r2": reference.nash_sutcliffe(o, p),
        "rmse": reference.rmsd(p, o),
        "ubrmse": reference.ubrmsd(p, o),
        "bias": reference.bias(p, o),
        "mae": reference.aad(p, o),
        "mse": mse,
        "mse_correlation": correlation,
        "mse_bias": bias,
        "mse_variance": variance,
    }
    ours = scored(pair)
    for name, value in known.items():
        assert ours[name].value == pytest.approx(value, abs=1e-10), name


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("bias", "bias"), ("r", "pearson_r"), ("spearman", "spearman_r"), ("ubrmse", "ubrmsd")],
)
def test_analytic_intervals(pair: tuple[np.ndarray, np.ndarray], name: str, theirs: str) -> None:
    _, low, high = reference.with_analytical_ci(getattr(reference, theirs), pair[1], pair[0], alpha=0.05)
    score = scored(pair)[name]
    assert (score.ci_low, score.ci_high) == pytest.approx((low, high), abs=1e-10)


def test_triple_collocation() -> None:
    rng = np.random.default_rng(3)
    truth = rng.uniform(0.05, 0.4, 300)
    three = [a + b * truth + rng.normal(0, s, 300) for a, b, s in ((0, 1, 0.02), (0.1, 0.6, 0.03), (-0.02, 1.3, 0.04))]
    snr, scaled, beta = reference.tcol_metrics(*three)
    ours = triple_collocation(*three, resamples=50)
    assert [part.snr_db for part in ours] == pytest.approx(list(snr), abs=1e-10)
    assert [part.error_scaled for part in ours] == pytest.approx(list(scaled), abs=1e-10)
    assert [part.beta for part in ours] == pytest.approx(list(beta), abs=1e-10)
