"""Speed against tolerance of compressed networks, trained on two tables of real soil moisture.

    python benchmarks/compress.py [--data FOLDER] [--tolerances 3e-3 1e-3 3e-4] [--folds 0] [--json]
                                  [--cache FOLDER] [--prepare] [--write]

For each table a DBN of 1000-1000 units is trained on all but one fold and compressed at each tolerance. Printed are
the network that was certified, its error on held-out pixels, and the pixels a second of the session that `zoo predict
--tolerance` uses, pixels beyond the calibrated range through the dense network included, over those of the dense
network in onnxruntime at its best batch and threads: medians of paired runs. The pixels are, of `oznet`, table rows
and a 1000 x 1000 stack of rasters; of `regions`, table rows.

`--cache` keeps trained and compressed networks, so that `--prepare` can make them on a busy machine and a second call
times them on a quiet one. `--write` keeps what was found in `benchmarks/results/compress.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from best_onnxruntime import best_setting, machine, paired, ratio, write
from sklearn.metrics import r2_score

from zoo.inference.certified import CertifiedSession, NotCertifiedError
from zoo.inference.runtime import Session
from zoo.model.artefact import Feature, TrainedModel, probe_rows
from zoo.stack import Stack
from zoo.training import peers
from zoo_dbn.estimator import DeepBeliefNetwork
from zoo_onnx import packaging, parity
from zoo_onnx.compression import compress

OZNET = {
    "dem": "DEM_100m_resampled",
    "awc": "AWC_100m_resampled",
    "silt": "SLT_100m_resampled",
    "lst_100m": "ubESTARFM_LST_cloudrm_20160205",
    "et_100m": "CMRSET_Landsat_ET_2016_02_01",
    "tavg": "ANUClimate_v2-0_tavg_daily_20160205",
    "vpd": "ANUClimate_v2-0_vpd_daily_20160205",
    "srad": "ANUClimate_v2-0_srad_daily_20160205",
    "rain": "ANUClimate_v2-0_rain_daily_20160205",
}
BANDS = [f"B{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, "8A", 9, 10, 11, 12)]
TABLES = {"oznet": list(OZNET), "regions": [*BANDS, "VV", "VH", "angle", "ndvi", "ndwi", "doy_sin", "doy_cos"]}


def main() -> None:
    """Train, compress, time, print."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        arguments.cache = arguments.cache or Path(folder)
        _measure(arguments)


def _measure(arguments: argparse.Namespace) -> None:
    onnxruntime.set_default_logger_severity(3)
    found: dict[str, Any] = machine()
    for table in arguments.tables:
        found |= _table(table, arguments)
    if arguments.write:
        write("compress", found)
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(f"{k}: {v}" for k, v in found.items()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("ZOO_REAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--tolerances", nargs="+", type=float, default=[3e-3, 1e-3, 3e-4])
    parser.add_argument("--scaling", default="quantile+zscore", help="input coding of the network")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--folds", type=int, default=2, help="folds whose held-out rows are scored; 0: all")
    parser.add_argument("--rows", type=int, default=200_000, help="pixels that are timed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cache", type=Path, help="folder in which networks are kept and looked for")
    parser.add_argument("--prepare", action="store_true", help="train and compress only; time nothing")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="into benchmarks/results")
    return parser.parse_args()


def _table(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    rows = pd.read_parquet(arguments.data / "tables" / f"{name}.parquet").dropna(subset=[*TABLES[name], "y"])
    X, y, fold = rows[TABLES[name]].to_numpy(np.float32), rows["y"].to_numpy(float), rows["fold_space"].to_numpy()
    folds = np.unique(fold)[: arguments.folds or None]
    networks = {k: _network(name, X, y, fold, k, arguments) for k in folds}
    held = np.isin(fold, folds)
    said = _pooled(networks, X, fold, lambda network, part: network.predict(part)[0])[held]
    ridges = {k: peers()["ridge"].fit(X[fold != k], y[fold != k]) for k in folds}
    ridge = _pooled(ridges, X, fold, lambda one, part: one.predict(part))[held]
    found: dict[str, Any] = {
        f"{name}_r2_dense": round(r2_score(y[held], said), 4),
        f"{name}_r2_ridge": round(r2_score(y[held], ridge), 4),
        f"{name}_folds_scored": len(folds),
        f"{name}_rows_scored": int(held.sum()),
    }
    last = int(folds[-1])
    dense = networks[last]
    pixels = np.concatenate([X, _raster_pixels(arguments.data)]) if name == "oznet" else X
    timed = _drawn(pixels, arguments.rows)
    if not arguments.prepare:
        setting, best = best_setting(_dense(name, last, arguments)[1], timed)
        found[f"{name}_dense_best_setting"] = str(setting)
    for tolerance in arguments.tolerances:
        key = f"{name}_{tolerance:g}"
        try:
            content, facts = _small(name, last, tolerance, pixels, arguments)
        except NotCertifiedError as refused:
            found[f"{key}_network"] = f"none: {refused}"
            continue
        found |= {f"{key}_{what}": value for what, value in facts.items()}
        session = CertifiedSession(Session(content, "cpu"), dense)
        test = fold == last
        found |= {
            f"{key}_uncovered_share": _uncovered(session, timed),
            f"{key}_r2_change": round(
                r2_score(y[test], session.predict(X[test])[0]) - r2_score(y[test], dense.predict(X[test])[0]), 5
            ),
        }
        if arguments.prepare:
            continue
        theirs, ours = paired([best, lambda s=session: s.predict(timed)], arguments.repeats)
        found |= {
            f"{key}_pixels_per_second": round(len(timed) / float(np.median(ours))),
            f"{key}_dense_pixels_per_second": round(len(timed) / float(np.median(theirs))),
            f"{key}_compressed_over_dense_ratio": round(ratio(theirs, ours), 2),
        }
    return found


def _network(
    name: str, X: np.ndarray, y: np.ndarray, fold: np.ndarray, k: int, arguments: argparse.Namespace
) -> Session:
    """Train a network without fold `k`, or take it from the cache; its compiled form."""
    path = _dense_path(name, k, arguments)
    if not path.is_file():
        network = DeepBeliefNetwork(
            hidden_layers_structure=(1000, 1000),
            n_members=1,
            BP_epochs=arguments.epochs,
            input_scaling=arguments.scaling,
            random_state=0,
        ).fit(X[fold != k], y[fold != k], groups=fold[fold != k])
        _trained(network, X).save(path)
    return Session(_dense(name, k, arguments)[1], "cpu")


def _dense_path(name: str, k: int, arguments: argparse.Namespace) -> Path:
    folder: Path = arguments.cache
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}_{arguments.scaling}_{arguments.epochs}_{k}.safetensors"


def _dense(name: str, k: int, arguments: argparse.Namespace) -> tuple[TrainedModel, bytes]:
    """Compile a network through the parity gate."""
    model = TrainedModel.load(_dense_path(name, k, arguments))
    content = packaging.package(DeepBeliefNetwork.to_onnx(model.state), model).SerializeToString(deterministic=True)
    parity.gate(content, model)
    return model, content


def _small(
    name: str, k: int, tolerance: float, pixels: np.ndarray, arguments: argparse.Namespace
) -> tuple[bytes, dict[str, Any]]:
    """Compress a network, or take what was found from the cache."""
    path = _dense_path(name, k, arguments).with_suffix(f".{tolerance:g}.onnx")
    facts = path.with_suffix(".json")
    if not facts.is_file():
        model, dense = _dense(name, k, arguments)
        small = compress(model, Session(dense, "cpu"), pixels, tolerance)
        path.write_bytes(small.content)
        told = {f"error_{what}": small.parity[what] for what in ("max", "p99.9", "n")}
        facts.write_text(json.dumps({"network": str(small.shape), "ramps": small.ramps, **told}))
    return path.read_bytes(), json.loads(facts.read_text())


def _uncovered(session: CertifiedSession, rows: np.ndarray) -> float:
    """Return the share of rows that go through the dense network."""
    before = session.uncovered
    session.predict(rows)
    return round((session.uncovered - before) / len(rows), 5)


def _pooled(models: dict[Any, Any], X: np.ndarray, fold: np.ndarray, predict: Any) -> np.ndarray:
    said = np.full(len(X), np.nan)
    for number, model in models.items():
        said[fold == number] = predict(model, X[fold == number])
    return said


def _trained(network: DeepBeliefNetwork, X: np.ndarray) -> TrainedModel:
    test = probe_rows(X)
    return TrainedModel(
        downscaler="dbn",
        params=network.get_params(),
        features=tuple(Feature(f"x{i}", "1", float(c.min()), float(c.max())) for i, c in enumerate(X.T)),
        target={"name": "soil_moisture", "units": "m3 m-3"},
        state=network.state(),
        test_X=test,
        test_y=network.predict(test),
    )


def _raster_pixels(data: Path, count: int = 60_000) -> np.ndarray:
    stack = Stack.from_arguments([f"{layer}={data / 'oznet' / 'rasters' / file}.tif" for layer, file in OZNET.items()])
    values = stack.read(None, list(OZNET)).reshape(len(OZNET), -1).T
    return _drawn(values[np.isfinite(values).all(axis=1)], count)


def _drawn(rows: np.ndarray, count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.ascontiguousarray(rows[rng.choice(len(rows), count, replace=count > len(rows))])


if __name__ == "__main__":
    main()
