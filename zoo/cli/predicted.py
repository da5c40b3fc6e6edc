"""What `zoo predict` says of what it made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.cli.output import Output, table

if TYPE_CHECKING:
    from zoo.gapfill.prediction import Bridged
    from zoo.inference.runtime import Session
    from zoo.prediction import Prediction
    from zoo.registry import Resolved


def compressed(session: Session) -> dict[str, Any]:
    """Say what was compressed and how far it can be off; empty for a dense model."""
    from zoo.inference.certified import CertifiedSession

    return session.facts() if isinstance(session, CertifiedSession) else {}


def _domain(done: Prediction) -> str:
    """Say how many pixels are unlike the training; of a sample if not all were compared."""
    if done.out_of_domain_share is None:
        return ""
    whole = done.compared == done.predicted
    return f"{done.out_of_domain_share:.2%}{'' if whole else f' of a sample of {done.compared:,}'}"


def _meaning(version: Resolved) -> str:
    """Say whether the model's errors were larger out of its domain, where training could tell."""
    tested = version.record.domain
    if tested is None:
        return "not tested in training"
    if tested.difference is None:
        return tested.verdict
    return f"{tested.verdict} (held-out rows: RMSE {tested.rmse_outside:.3f} out, {tested.rmse_inside:.3f} inside)"


def report(sink: Output, done: Prediction, session: Session, version: Resolved, found: Bridged | None = None) -> None:
    """Print what was written, where it ran, and how many pixels were answered how."""
    payload: dict[str, Any] = {
        "model": done.model,
        "artifacts": {"map" if done.path.suffix in (".tif", ".nc") else "table": str(done.path)},
        "provider": done.provider,
        "pixels": done.pixels,
        "predicted": done.predicted,
        "out_of_range": done.out_of_range,
        "water": done.water,
        "out_of_domain": done.out_of_domain,
        "out_of_domain_share": done.out_of_domain_share,
        "domain_tested": tested.model_dump(mode="json") if (tested := version.record.domain) else None,
        "correction": done.correction,
        "compressed": compressed(session),
        "methods": dict(found.pixels) if found else {},
        "filled": found.filled if found else {},
    }
    rows = [
        ("model", done.model),
        ("written", done.path),
        ("ran on", done.provider),
        ("pixels with a value", f"{done.predicted:,} of {done.pixels:,}"),
        ("masked as open water", f"{done.water:,}"),
        ("clipped to the physical range", f"{done.out_of_range:,}"),
        *([("out of the model's domain", domain)] if (domain := _domain(done)) else []),
        *([("errors out of the domain", _meaning(version))] if done.out_of_domain else []),
        *((name.replace("_", " "), f"{count:,}") for name, count in payload["methods"].items()),
        *((f"compressed: {key}", value) for key, value in compressed(session).items()),
        *((f"correction: {key}", value) for key, value in done.correction.items()),
    ]
    sink.result(payload, lambda console: console.print(table("Prediction", ("", ""), rows)))
    if done.predicted and done.path.suffix == ".tif":
        sink.note(f"Next: zoo validate --map {done.path} --reference STATIONS.parquet")
