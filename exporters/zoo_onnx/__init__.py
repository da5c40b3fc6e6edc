"""The exporter to ONNX as a plugin."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import ExporterSpec, hookimpl


@hookimpl
def zoo_exporters() -> Iterable[ExporterSpec]:
    """Return the exporter."""
    return [
        ExporterSpec(
            name="onnx",
            title="ONNX: one file that onnxruntime runs, proven equal to the trained model",
            exporter="zoo_onnx.exporter:OnnxExporter",
            suffix=".onnx",
            requires=("onnx",),
        )
    ]
