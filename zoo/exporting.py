"""Compile a model of the registry, and add the compiled file to it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.plugins import host, make
from zoo.progress import task
from zoo.types import Exporter, ExporterSpec, ModelRef

if TYPE_CHECKING:
    from zoo.registry import Registry, Resolved


def export_model(registry: Registry, ref: str | ModelRef, exporter: str = "onnx") -> Resolved:
    """Compile a version with an exporter and append the file to the registry under the exporter's name.

    A version that has it already is returned as it is, after its hash was checked.

    Parameters
    ----------
    registry : where the version is found and the file is written
    ref : `name`, `name@vN` or `name@alias`
    exporter : name of the exporter

    Raises
    ------
    UnknownNameError
        If there is no such exporter or model.
    IntegrityError
        If a file of the model was changed, or the compiled model does not equal it; nothing is written then.
    """
    spec = host().find(ExporterSpec, exporter)
    found = registry.resolve(ref)
    if found.has(exporter):
        found.path(exporter)
        return found
    compiler: Exporter = make(spec)
    with tempfile.TemporaryDirectory() as folder, task(f"exporting {found.ref} to {exporter}", None):
        target = Path(folder) / f"model{spec.suffix}"
        facts = compiler.export(found.path("model"), target)
        return registry.append_artefact(found.ref, exporter, target, **facts)
