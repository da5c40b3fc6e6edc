"""Compile a trained model to ONNX, and publish it only if it equals the original."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.artefact import TrainedModel, write_bytes
from zoo.errors import UsageError
from zoo.plugins import host, load
from zoo.types import DownscalerSpec
from zoo_onnx import packaging, parity

__all__ = ["OnnxExporter"]


class OnnxExporter:
    """Trained model -> one ONNX file with scaling, predictor names, units and clip limits inside."""

    def export(self, source: Path, target: Path, **options: Any) -> Mapping[str, Any]:
        """Compile the `model.safetensors` in `source` to `target`; see `zoo.types.Exporter`.

        The downscaler's estimator says with `parity_tolerance` (m3 m-3, default 1e-5) how far the compiled model
        may be from it, and with `parity_quantile` (default 1, every row) for which share of the test vectors.

        Returns
        -------
        `opset`, `inputs`, `outputs`, `parity` (`max`, `p99.9`, `p99.99`, `above`, `n`, `provider`, `tolerance`)

        Raises
        ------
        UsageError
            If an option is given; there is none.
        ZooError
            If the downscaler's graph is not what `Downscaler.to_onnx` promises.
        IntegrityError
            If the compiled model does not equal the original on its test vectors; nothing is written then.
        """
        if options:
            msg = f"The exporter onnx knows no option {', '.join(sorted(options))}; it takes none"
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
        write_bytes(target, content)
        return {"opset": packaging.OPSET, **packaging.signature(compiled), "parity": found}


def _estimator(downscaler: str) -> Any:
    spec = host().find(DownscalerSpec, downscaler)
    return load(spec.estimator, spec.requires, what=f"Downscaler {spec.name!r}", extra="train")
