"""Compile a model of the registry, and add the compiled file to it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UsageError
from zoo.model.fallbacks import exported_kinds
from zoo.plugins import host, make
from zoo.progress import task
from zoo.types import Exporter, ExporterSpec, ModelRef

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from zoo.registry import Registry, Resolved


def export_model(registry: Registry, ref: str | ModelRef, exporter: str = "onnx") -> Resolved:
    """Compile a version with an exporter and append the file to the registry under the exporter's name.

    So is every fallback of the version (see `zoo.model.fallbacks`). What it has already stays as it is, after its hash
    was checked.

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
    for source, kind in {"model": exporter, **exported_kinds(found, exporter)}.items():
        if found.has(kind):
            found.path(kind)
            continue
        compiler: Exporter = make(spec)
        with tempfile.TemporaryDirectory() as folder, task(f"exporting {found.ref} to {kind}", None):
            target = Path(folder) / f"{'model' if kind == exporter else kind}{spec.suffix}"
            facts = compiler.export(found.path(source), target)
            found = registry.append_artefact(found.ref, kind, target, **facts)
    return found


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
    from zoo.inference.certified import kind_of

    options = {"compress": tolerance, "pixels": pixels, "seed": seed}
    return _derived(registry, ref, kind_of(tolerance), exporter, options)


def narrow_model(
    registry: Registry,
    ref: str | ModelRef,
    precision: str,
    pixels: npt.NDArray[np.float32] | None = None,
    *,
    exporter: str = "onnx",
) -> Resolved:
    """Compile the dense network in fewer bits, measure what that changes, and append it beside the dense one.

    Parameters
    ----------
    registry, ref, exporter : as for `export_model`
    precision : `fp16` or `int8`
    pixels : (n, k), to measure by; the rows that the model was trained on by default

    Raises
    ------
    UsageError
        If there is no such precision.
    NotCertifiedError
        If it answers too differently, or pixels are too few.
    """
    from zoo.inference.certified import NARROW

    check_narrow(precision)
    return _derived(registry, ref, NARROW[precision], exporter, {"precision": precision, "pixels": pixels})


def check_narrow(precision: str) -> None:
    """Refuse a precision that a network cannot be exported in."""
    from zoo.inference.certified import NARROW

    if precision not in NARROW:
        msg = f"--precision {precision!r} cannot be exported; expected one of {', '.join(NARROW)}"
        raise UsageError(msg)


def _derived(registry: Registry, ref: str | ModelRef, kind: str, exporter: str, options: dict[str, Any]) -> Resolved:
    """Append another form of a version under `kind`; one that has it is returned as it is."""
    found = export_model(registry, ref, exporter)
    if found.has(kind):
        found.path(kind)
        return found
    spec = host().find(ExporterSpec, exporter)
    compiler: Exporter = make(spec)
    with tempfile.TemporaryDirectory() as folder, task(f"compiling {found.ref} as {kind}", None):
        target = Path(folder) / f"{kind}{spec.suffix}"
        facts = compiler.export(found.path("model"), target, **options)
        return registry.append_artefact(found.ref, kind, target, **facts)
