"""Compile a model of the registry, and add the compiled file to it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.plugins import host, make
from zoo.progress import task
from zoo.types import Exporter, ExporterSpec, ModelRef

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

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


def compress_model(
    registry: Registry,
    ref: str | ModelRef,
    tolerance: float,
    pixels: npt.NDArray[np.float32] | None = None,
    *,
    exporter: str = "onnx",
    seed: int = 0,
) -> Resolved:
    """Compile the cheapest network that answers within a tolerance, and append it beside the dense one.

    The dense form is exported first if need be. A version that has one of this tolerance is returned as it is.

    Parameters
    ----------
    registry, ref : as for `export_model`
    tolerance : m3 m-3, largest difference on held-out pixels; 99.9 % of them must keep to half of it
    pixels : (n, k), to calibrate by; the rows that the model was trained on by default
    exporter : name of the exporter
    seed : of the search

    Raises
    ------
    UsageError
        If the tolerance is not above 0.
    ZooError
        If no smaller network was certified: the dense one stays in use.
    """
    from zoo.certified import kind_of

    kind = kind_of(tolerance)
    found = export_model(registry, ref, exporter)
    if found.has(kind):
        found.path(kind)
        return found
    spec = host().find(ExporterSpec, exporter)
    compiler: Exporter = make(spec)
    with tempfile.TemporaryDirectory() as folder, task(f"compressing {found.ref}", None):
        target = Path(folder) / f"{kind}{spec.suffix}"
        facts = compiler.export(found.path("model"), target, compress=tolerance, pixels=pixels, seed=seed)
        return registry.append_artefact(found.ref, kind, target, **facts)
