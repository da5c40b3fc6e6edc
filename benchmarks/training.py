"""Training speed of the DBN: the paper's recipe against plain NumPy, and large batches against the matrix product.

    python benchmarks/training.py [--part 0.1] [--seeds 5] [--rows 1000000] [--only paper large] [--json]

`paper`: 113 x 14 simulated rows, two machines of 1000 units, batch 16, contrastive divergence for `--part` of 400
epochs a layer and back-propagation for the same part of 800, on both sides. The other side is `numpy_dbn.py`: batches
as matrices, float64 as NumPy has it. Float32, and one row after the other as in NumPy code in circulation, are given
beside it. The sides take turns and the median of the paired ratios is printed. Both record their losses by epoch; the
mean curves of the seeds may deviate by `TOLERANCE`.

`large`: one epoch over `--rows` rows at batch 4,096, floating-point operations of the matrix products alone (6 a weight
and row in back-propagation, 10 in contrastive divergence) over the time, as a share of the machine's rate of matrix
products measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from best_onnxruntime import machine, paired, ratio, write
from numpy_dbn import Curves, NumpyDBN

from zoo_dbn.estimator import DeepBeliefNetwork
from zoo_dbn.network import FineTuning, Sample, fine_tune, initial_network
from zoo_dbn.presets import PRESETS
from zoo_dbn.rbm import ContrastiveDivergence, initial_rbm, train_rbm
from zoo_dbn.threads import threads_for

PARTS = ("paper", "large")
ROWS, PREDICTORS, UNITS, BATCH = 113, 14, 1000, 16
RBM_EPOCHS, BP_EPOCHS = 400, 800
LARGE_BATCH = 4096
TOLERANCE = 0.05
"""Of the loss: what the mean curves of the two sides may differ by, on average over the epochs."""


def main() -> None:
    """Time both parts and write what was found."""
    arguments = _arguments()
    epochs = max(1, round(RBM_EPOCHS * arguments.part)), max(1, round(BP_EPOCHS * arguments.part))
    found: dict[str, Any] = machine() | {"threads": torch.get_num_threads(), "python": platform.python_version()}
    if "paper" in arguments.only:
        found |= _paper(epochs, arguments.seeds)
    if "large" in arguments.only:
        found |= _large(arguments.rows, torch.device(arguments.device))
    if arguments.json:
        write("training", found)
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(f"{k}: {v}" for k, v in found.items()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--part", type=float, default=0.1, help="of the paper's epochs, on both sides")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the large table")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="of the large table")
    parser.add_argument("--json", action="store_true", help="also write into benchmarks/results")
    return parser.parse_args()


def simulated_table(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make rows: uniform predictors, a smooth truth of a few of them and noise, m3 m-3."""
    rng = np.random.default_rng(seed)
    X = rng.random((n, PREDICTORS), np.float32)
    truth = 0.1 + 0.15 * X[:, 0] + 0.08 * np.sin(4 * X[:, 1]) * X[:, 2] + 0.05 * (X[:, 3] - 0.5) ** 2
    return X, truth + rng.normal(0, 0.01, n)


def _paper(epochs: tuple[int, int], seeds: int) -> dict[str, Any]:
    X, y = simulated_table(ROWS, 0)
    ours, theirs, theirs_32 = [], [], []
    calls: list[Callable[[], object]] = [
        lambda: ours.append(_fit(X, y, epochs, len(ours))),
        lambda: theirs.append(NumpyDBN(UNITS, BATCH, seed=len(theirs)).fit(X, y, *epochs)),
        lambda: theirs_32.append(NumpyDBN(UNITS, BATCH, seed=len(theirs_32), dtype=np.float32).fit(X, y, *epochs)),
    ]
    mine, plain, plain_32 = paired(calls, seeds)
    part = epochs[0] / RBM_EPOCHS
    by_row = _seconds(lambda: NumpyDBN(UNITS, BATCH, seed=0, by_row=True).fit(X, y, 1, 2))
    by_row *= epochs[0]
    return {
        "paper_epochs": f"{epochs[0]} and {epochs[1]} of {RBM_EPOCHS} and {BP_EPOCHS}",
        "paper_seconds_of_all_epochs": round(statistics.median(mine) / part, 2),
        "paper_numpy_seconds_of_all_epochs": round(statistics.median(plain) / part, 2),
        "paper_over_numpy_ratio": round(ratio(plain, mine), 2),
        "paper_over_numpy_float32_ratio": round(ratio(plain_32, mine), 2),
        "paper_over_numpy_by_row_ratio": round(by_row / statistics.median(mine), 1),
        **_deviations(ours, theirs),
    }


def _fit(X: np.ndarray, y: np.ndarray, epochs: tuple[int, int], seed: int) -> Curves:
    settings = {name: value for name, value in PRESETS["paper"].items() if name != "features"}
    settings |= {"RBM_epochs": epochs[0], "BP_epochs": epochs[1], "random_state": seed, "device": "cpu"}
    history = DeepBeliefNetwork(**settings, validation_share=0).fit(X, y).history_
    return Curves(*(layer["reconstruction_error"] for layer in history["RBM"]), history["training_loss"])


def _deviations(ours: list[Curves], theirs: list[Curves]) -> dict[str, Any]:
    """Compare the mean curves of the seeds: relative deviation, and in standard errors of the difference."""
    found: dict[str, Any] = {}
    for name in Curves._fields:
        a, b = (np.array([getattr(curves, name) for curves in side]) for side in (ours, theirs))
        difference = a.mean(axis=0) - b.mean(axis=0)
        noise = np.sqrt((a.var(axis=0, ddof=1) + b.var(axis=0, ddof=1)) / len(a))
        found[f"{name}_relative_deviation"] = round(float(np.abs(difference).mean() / b.mean()), 4)
        found[f"{name}_deviation_in_standard_errors"] = round(float(np.median(np.abs(difference) / noise)), 2)
    within = [found[f"{name}_relative_deviation"] <= TOLERANCE for name in Curves._fields]
    return found | {"same_loss_curves": all(within), "seeds": len(ours), "loss_curve_tolerance": TOLERANCE}


def _large(rows: int, device: torch.device) -> dict[str, Any]:
    generator = torch.Generator(device).manual_seed(0)
    codes = torch.rand(rows, PREDICTORS, generator=generator, device=device)
    sample = Sample(codes, codes[:, 0] * codes[:, 1], torch.ones(rows, device=device))
    weights = PREDICTORS * UNITS + UNITS * UNITS
    used = rows - rows % LARGE_BATCH
    with torch.no_grad(), threads_for(LARGE_BATCH * weights):
        rate = _product_rate(device)
        learning = used * 6 * (weights + UNITS) / _back_propagation(sample, generator)
        dreaming = used * 10 * weights / _contrastive_divergence(codes, sample.weight, generator)
    return {
        "large_rows": rows,
        "large_device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "large_matrix_product_gflops": round(rate / 1e9, 1),
        "large_back_propagation_gflops": round(learning / 1e9, 1),
        "large_contrastive_divergence_gflops": round(dreaming / 1e9, 1),
        "large_back_propagation_of_matrix_product_ratio": round(learning / rate, 3),
        "large_contrastive_divergence_of_matrix_product_ratio": round(dreaming / rate, 3),
    }


def _back_propagation(sample: Sample, generator: torch.Generator) -> float:
    how = FineTuning(
        learning_rate=0.001,
        batch_size=LARGE_BATCH,
        optimizer="adamw",
        schedule="cosine",
        momentum=0.0,
        weight_decay=0.01,
        smooth_l1_beta=1.0,
        dropout=0.1,
        input_noise=0.1,
        patience=1,
    )
    network = initial_network(PREDICTORS, (UNITS, UNITS), 1, generator)
    return _seconds(lambda: fine_tune(network, sample, None, how, range(1), 1, generator))


def _contrastive_divergence(codes: torch.Tensor, weight: torch.Tensor, generator: torch.Generator) -> float:
    """Time one epoch of both machines; the second learns from what the first makes of a batch, dealt out again."""
    how = ContrastiveDivergence(1, 0.01, 0.0, 0.0, LARGE_BATCH)
    first = initial_rbm(codes.unsqueeze(0), 1, UNITS, True, generator)
    lower = _seconds(lambda: train_rbm(first, codes.unsqueeze(0), weight, None, how, range(1), generator))
    part = codes[: 2**16]
    hidden = first.hidden(part.unsqueeze(0))
    second = initial_rbm(hidden, 1, UNITS, False, generator)
    upper = _seconds(lambda: train_rbm(second, hidden, weight[: len(part)], None, how, range(1), generator))
    return lower + upper * len(codes) / len(part)


def _product_rate(device: torch.device) -> float:
    """Return the device's rate of float32 products of a batch with a layer, 1/s."""
    a, b = torch.rand(LARGE_BATCH, UNITS, device=device), torch.rand(UNITS, UNITS, device=device)
    out = torch.empty(LARGE_BATCH, UNITS, device=device)
    torch.mm(a, b, out=out)
    best = min(_seconds(lambda: [torch.mm(a, b, out=out) for _ in range(5)]) for _ in range(6))
    return 5 * 2 * LARGE_BATCH * UNITS**2 / best


def _seconds(call: Callable[[], object]) -> float:
    _wait()
    start = time.perf_counter()
    call()
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
