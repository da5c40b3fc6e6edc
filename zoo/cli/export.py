"""`zoo export`: compile a trained model, and prove that it equals the original."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.options import RegistryOption
from zoo.cli.output import JsonOption, Output, QuietOption, table

if TYPE_CHECKING:
    from zoo.registry import Registry, Resolved


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("export")(export)


def export(
    exporter: Annotated[str, typer.Argument(metavar="FORMAT", help="Exporter, see: zoo plugins. Normally: onnx.")],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="NAME, NAME@vN or NAME@ALIAS. Default: the newest.", show_default=False),
    ] = None,
    compress: Annotated[
        float | None,
        typer.Option(
            "--compress",
            metavar="TOLERANCE",
            help="Search a smaller network whose answers differ by at most this, m3 m-3, e.g. 0.001.",
            show_default=False,
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            metavar="TABLE|DIR",
            help="With --compress or --precision: pixels to calibrate by, a table or a stack. Default: training rows.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            metavar="fp16|int8",
            help="The dense network in fewer bits, with a certificate: fp16 for CUDA, int8 for the CPU.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="With --compress: of the search.")] = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Copy the compiled file here, too.", show_default=False)
    ] = None,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compile a trained model to one file and add it to the registry.

    The compiled model is compared with the trained one on test vectors; if they differ, nothing is written (exit 3).
    """
    from zoo.model.exporting import export_model
    from zoo.plugins import host
    from zoo.registry import Registry
    from zoo.types import ExporterSpec
    from zoo.writers import check_writable

    if output is not None:
        check_writable(output)
    _check_asked(compress, calibrate, precision)
    host().find(ExporterSpec, exporter)  # an unknown format is said before a model is looked for
    opened = Registry.open(registry)
    found = opened.resolve(model) if model else opened.newest()
    done = found.has(exporter)
    version = export_model(opened, found.ref, exporter)
    sink = Output(as_json=as_json, quiet=quiet)
    if done:
        sink.note(f"{version.ref} was exported before; its hash was checked.")
    kind = exporter
    if compress is not None:
        version, kind, done = _compress(sink, opened, version, exporter, compress, calibrate, seed)
    if precision is not None:
        version, kind, done = _narrow(sink, opened, version, exporter, precision, calibrate, seed)
    _report(sink, version, kind, exporter, already=done, copy=_copy(version, kind, output))


def _check_asked(compress: float | None, calibrate: Path | None, precision: str | None) -> None:
    """Refuse, before anything is exported, a tolerance that is none, and what nothing would heed."""
    from zoo.errors import UsageError
    from zoo.inference.certified import kind_of
    from zoo.model.exporting import check_narrow

    if compress is not None:
        kind_of(compress)
    if precision is not None:
        check_narrow(precision)
    if calibrate is not None and compress is None and precision is None:
        msg = f"--calibrate {calibrate} needs --compress TOLERANCE or --precision fp16|int8, which it is for"
        raise UsageError(msg)


def _compress(
    sink: Output,
    registry: Registry,
    version: Resolved,
    exporter: str,
    tolerance: float,
    calibrate: Path | None,
    seed: int,
) -> tuple[Resolved, str, bool]:
    """Compress, or fall back to the dense model and say so."""
    from zoo.inference.certified import NotCertifiedError, kind_of
    from zoo.model.calibration import calibration_pixels
    from zoo.model.exporting import compress_model

    kind = kind_of(tolerance)
    done = version.has(kind)
    names = [feature.name for feature in version.record.features]
    pixels = calibration_pixels(calibrate, names, seed) if calibrate and not done else None
    try:
        return compress_model(registry, version.ref, tolerance, pixels, exporter=exporter, seed=seed), kind, done
    except NotCertifiedError as refused:
        sink.note(f"{refused}. The dense model stays in use.")
        return version, exporter, True


def _narrow(
    sink: Output,
    registry: Registry,
    version: Resolved,
    exporter: str,
    precision: str,
    calibrate: Path | None,
    seed: int,
) -> tuple[Resolved, str, bool]:
    """Export in fewer bits, or fall back to the dense model and say so."""
    from zoo.inference.certified import NARROW, NotCertifiedError
    from zoo.model.calibration import calibration_pixels
    from zoo.model.exporting import narrow_model

    kind = NARROW.get(precision, "")
    done = bool(kind) and version.has(kind)
    names = [feature.name for feature in version.record.features]
    pixels = calibration_pixels(calibrate, names, seed) if calibrate and kind and not done else None
    try:
        return narrow_model(registry, version.ref, precision, pixels, exporter=exporter), kind, done
    except NotCertifiedError as refused:
        sink.note(f"{refused}. The dense model stays in use.")
        return version, exporter, True


def _copy(version: Resolved, exporter: str, output: Path | None) -> Path | None:
    from zoo.model.artefact import write_bytes

    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(output, version.path(exporter).read_bytes())
    return output


def _report(sink: Output, version: Resolved, kind: str, exporter: str, *, already: bool, copy: Path | None) -> None:
    artefact = version.record.artefacts[kind]
    parity = artefact.parity.model_dump(by_alias=True, exclude_none=True) if artefact.parity else {}
    path = version.locate(kind)
    payload: dict[str, Any] = {
        "model": str(version.ref),
        "artifacts": {kind: str(path), **({"copy": str(copy)} if copy else {})},
        "sha256": artefact.sha256,
        "bytes": artefact.bytes,
        "opset": artefact.opset,
        "inputs": artefact.inputs,
        "outputs": artefact.outputs,
        "parity": parity,
        "already_exported": already,
    }
    rows: list[tuple[str, object]] = [
        ("file", path),
        *([("copy", copy)] if copy else []),
        ("size", f"{artefact.bytes:,} bytes"),
        ("sha256", artefact.sha256),
        ("opset", artefact.opset),
    ]
    if parity:
        rows += [
            ("test vectors" if kind == exporter else "held-out pixels", f"{parity['n']:,} on {parity['provider']}"),
            ("largest difference", f"{parity['max']:.2g} m3 m-3"),
            *([("99.9 % below", f"{parity['p99.9']:.2g} m3 m-3")] if kind != exporter else []),
        ]
    title = f"{version.ref} as {kind}"
    sink.result(payload, lambda console: console.print(table(title, ("", ""), rows)))
    covered = "" if kind == exporter else f" --tolerance {parity['tolerance']:g}"
    sink.note(f"Next: zoo predict --model {version.ref}{covered}")
