"""Compile a trained model to ONNX, and publish it only if it equals the original."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import UsageError
from zoo.inference.runtime import Session
from zoo.model.artefact import TrainedModel, write_bytes
from zoo.plugins import host, load
from zoo.types import DownscalerSpec
from zoo_onnx import packaging, parity

__all__ = ["OnnxExporter"]

OPTIONS = frozenset({"compress", "precision", "pixels", "seed"})


class OnnxExporter:
    """Trained model -> one ONNX file with scaling, predictor names, units and clip limits inside."""

    def export(self, source: Path, target: Path, **options: Any) -> Mapping[str, Any]:
        """Compile the `model.safetensors` in `source` to `target`; see `zoo.types.Exporter`.

        The downscaler's estimator says with `parity_tolerance` (m3 m-3, default 1e-5) how far the compiled model
        may be from it, and with `parity_quantile` (default 1, every row) for which share of the test vectors.

        Parameters
        ----------
        source, target : files
        options : `compress`, a tolerance in m3 m-3, makes the cheapest network that keeps to it, with a certificate;
            `precision`, `fp16` or `int8`, makes the dense network in fewer bits, with a certificate of what that
            changes; `pixels`, (n, k), what either is calibrated by, the model's own calibration rows by default;
            `seed`

        Returns
        -------
        `opset`, `inputs`, `outputs`, `parity` (`max`, `p99.9`, `p99.99`, `above`, `n`, `provider`, `tolerance`)

        Raises
        ------
        UsageError
            If an option is not known.
        ZooError
            If the downscaler's graph is not what `Downscaler.to_onnx` promises; if no smaller network was certified.
        IntegrityError
            If the compiled model does not equal the original on its test vectors; nothing is written then.
        """
        if unknown := set(options) - OPTIONS:
            msg = (
                f"The exporter onnx knows no option {', '.join(sorted(unknown))}; it takes {', '.join(sorted(OPTIONS))}"
            )
            raise UsageError(msg)
        model = TrainedModel.load(source)
        estimator = _estimator(model.downscaler)
        compiled = packaging.package(estimator.to_onnx(model.state), model)
        content = compiled.SerializeToString(deterministic=True)
        found = parity.gate(
            content,
            model,
            tolerance=float(getattr(estimator, "parity_tolerance", parity.TOLERANCE)),
            quantile=float(getattr(estimator, "parity_quantile", 1.0)),
        )
        if options.get("compress") is not None:
            content, found = _compressed(model, content, options)
        elif options.get("precision") is not None:
            content, found = _narrowed(model, content, options)
        write_bytes(target, content)
        return {"opset": packaging.OPSET, **packaging.signature(compiled), "parity": found}


def _compressed(model: TrainedModel, dense: bytes, options: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Compress a model whose dense form passed the gate."""
    search = load("zoo_onnx.compression:compress", ("torch", "scipy"), what="zoo export onnx --compress", extra="train")
    session = Session(dense, device="cpu")
    found = search(
        model, session, _pixels(model, options), float(options["compress"]), seed=int(options.get("seed", 0))
    )
    return found.content, found.parity


def _narrowed(model: TrainedModel, dense: bytes, options: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Make a model whose dense form passed the gate narrower."""
    from zoo_onnx.precision import certified

    return certified(dense, _pixels(model, options), str(options["precision"]))


def _pixels(model: TrainedModel, options: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    given: npt.NDArray[np.float32] | None = options.get("pixels")
    if given is not None:
        return given
    return np.empty((0, len(model.features)), np.float32) if model.calib_X is None else model.calib_X


def _estimator(downscaler: str) -> Any:
    spec = host().find(DownscalerSpec, downscaler)
    return load(spec.estimator, spec.requires, what=f"Downscaler {spec.name!r}", extra="train")
