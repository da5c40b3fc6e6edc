"""What the benchmarks of whole maps share: rasters of any size, and models that were trained on a real table.

The rasters are made, not observed: smooth random fields with noise that have the means, spreads and correlations of
the table's predictors and stay within their range.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
from rasterio.transform import from_origin
from scipy.ndimage import map_coordinates

from zoo.inference.runtime import Session
from zoo.model.artefact import Feature, TrainedModel, probe_rows

FEATURES = ["B2", "B3", "B4", "B5", "B6", "B8", "B8A", "B11", "B12", "VV", "VH", "angle", "ndvi", "ndwi"]
TILE, COARSE = 512, 64
"""Side of the tiles in files, and pixels between the nodes of the smooth fields."""
NOISE = 0.05
"""Spread of the noise, in spreads of the predictor."""
ROWS = 6_000


def default_data() -> Path:
    """Folder of the real tables."""
    return Path(os.environ.get("ZOO_REAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def table_rows(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Predictors and soil moisture of `regions.parquet`; made from a smooth function where it is not found."""
    path = data / "tables" / "regions.parquet"
    if not path.is_file():
        X = np.random.default_rng(0).random((ROWS, len(FEATURES)), dtype=np.float32)
        return X, 0.1 + 0.2 * X[:, 0] + 0.1 * np.sin(3 * X[:, 1]) * X[:, 2]
    table = pd.read_parquet(path).dropna(subset=[*FEATURES, "y"])
    return table[FEATURES].to_numpy(np.float32), table["y"].to_numpy(float)


def write_rasters(folder: Path, side: int, X: np.ndarray) -> Path:
    """Write one GeoTIFF a predictor, `side` x `side` pixels, tiled, deflated; nothing if they are there."""
    stack = folder / f"stack_{side}"
    if (stack / "done").exists():
        return stack
    stack.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    nodes = side // COARSE + 3
    waves = rng.standard_normal((len(FEATURES), nodes, nodes)).astype(np.float32)
    mixed = np.linalg.cholesky(np.cov(X.T) + 1e-9 * np.diag(X.var(0)))
    low, high = np.quantile(X, [0.002, 0.998], axis=0)
    for number, name in enumerate(FEATURES):
        field = np.tensordot(mixed[number], waves, 1).astype(np.float32)
        with rasterio.open(stack / f"{name}.tif", "w", **_profile(side)) as file:
            file.set_band_description(1, name)
            for top in range(0, side, TILE):
                rows = np.arange(top, min(top + TILE, side)) / COARSE + 1
                place = np.meshgrid(rows, np.arange(side) / COARSE + 1, indexing="ij")
                values = X[:, number].mean() + map_coordinates(field, place, order=1)
                values += NOISE * X[:, number].std() * rng.standard_normal(values.shape, np.float32)
                strip = np.clip(values, low[number], high[number]).astype(np.float32)
                file.write(strip, 1, window=((top, top + len(strip)), (0, side)))
    (stack / "done").touch()
    return stack


def _profile(side: int) -> dict[str, Any]:
    return {
        "driver": "GTiff", "dtype": "float32", "count": 1, "width": side, "height": side, "crs": "EPSG:6933",
        "transform": from_origin(0, 0, 1000, 1000), "nodata": -9999.0, "tiled": True, "blockxsize": TILE,
        "blockysize": TILE, "compress": "deflate",
    }  # fmt: skip


@dataclass(frozen=True)
class Models:
    """Files of the models: a network of 1000-1000 as ONNX, compressed, and in its framework; a forest alike."""

    folder: Path

    @property
    def dense(self) -> Path:
        """The network as onnxruntime runs it."""
        return self.folder / "dense.onnx"

    @property
    def compressed(self) -> Path:
        """The smaller network with its certificate."""
        return self.folder / "compressed.onnx"

    @property
    def forest(self) -> Path:
        """The forest as onnxruntime runs it."""
        return self.folder / "forest.onnx"

    def framework(self, name: str) -> Any:
        """Return the estimator, `dense` or `forest`."""
        return pickle.loads((self.folder / f"{name}.pickle").read_bytes())


def make_models(folder: Path, X: np.ndarray, y: np.ndarray, pixels: np.ndarray, tolerance: float = 1e-3) -> Models:
    """Train what is not there yet; the network is compressed on `pixels` of the rasters."""
    models = Models(folder)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = np.random.default_rng(0).choice(len(X), min(ROWS, len(X)), replace=False)
    for name, make in (("dense", _network), ("forest", _forest)):
        if not (folder / f"{name}.onnx").exists():
            estimator, packed = make(X[chosen], y[chosen])
            (folder / f"{name}.pickle").write_bytes(pickle.dumps(estimator))
            (folder / f"{name}.onnx").write_bytes(packed)
    if not models.compressed.exists():
        from zoo_onnx.compression import compress

        small = compress(
            _model(models.framework("dense"), "dbn", X[chosen]), Session(models.dense, "cpu"), pixels, tolerance
        )
        models.compressed.write_bytes(small.content)
    return models


def _network(X: np.ndarray, y: np.ndarray) -> tuple[Any, bytes]:
    from zoo_dbn.estimator import DeepBeliefNetwork

    network = DeepBeliefNetwork(hidden_layers_structure=(1000, 1000), n_members=1, BP_epochs=6, random_state=0)
    return network.fit(X, y), _packed(network, "dbn", X)


def _forest(X: np.ndarray, y: np.ndarray) -> tuple[Any, bytes]:
    from zoo.model.recipe import Recipe

    forest = Recipe("rf", "paper").estimator().fit(X, y)
    return forest, _packed(forest, "rf", X)


def _model(estimator: Any, downscaler: str, X: np.ndarray) -> TrainedModel:
    test = probe_rows(X)
    return TrainedModel(
        downscaler=downscaler,
        params={},
        features=tuple(
            Feature(name, "1", float(column.min()), float(column.max()))
            for name, column in zip(FEATURES, X.T, strict=True)
        ),
        target={"name": "soil_moisture", "units": "m3 m-3"},
        state=estimator.state(),
        test_X=test,
        test_y=np.asarray(estimator.predict(test), np.float64),
    )


def _packed(estimator: Any, downscaler: str, X: np.ndarray) -> bytes:
    from zoo_onnx import packaging, parity

    model = _model(estimator, downscaler, X)
    content: bytes = packaging.package(estimator.to_onnx(model.state), model).SerializeToString(deterministic=True)
    parity.gate(content, model)
    return content
