"""The card of a model: what a person wants to know before using it, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zoo.registry.resolved import Resolved
from zoo.registry.schema import AblationRecord, DomainRecord, Feature, ScoreRecord, Target, TextureRecord

_USES = {
    "space": "space: new places",
    "time": "time: later times in known places",
    "both": "both: new places at later times",
}


def card(model: Resolved) -> str:
    """Write the card of a version: what it does, what it learnt from, its figures, and its files."""
    record = model.record
    title = f"# {model.ref}" + (f" ({', '.join(model.aliases)})" if model.aliases else "")
    remarks = [*(["Trained on simulated data."] if record.simulated else []), *record.notes]
    parts = [
        title,
        f"{record.architecture} of {record.plugin} {record.plugin_version}: {_target(record.target)}",
        *["> " + remark.replace("\n", "\n> ") for remark in dict.fromkeys(remarks)],
        "## Training\n\n" + _list(_training(model)),
        "## Predictors\n\n" + _features(record.features),
        "## Scores\n\n" + _scores(record.scores),
        *(["## Ablation\n\n" + _ablation(record.ablation)] if record.ablation else []),
        "## Files\n\n" + _files(model),
    ]
    return "\n\n".join(parts) + "\n"


def _target(target: Target) -> str:
    depth = f", {target.depth[0]:g} to {target.depth[1]:g} m deep" if target.depth else ""
    source = target.product or target.sensor
    return f"{target.name} in {target.units}{depth}{f', as in {source}' if source else ''}."


def _training(model: Resolved) -> Iterable[tuple[str, object]]:
    record, data = model.record, model.record.dataset
    yield (
        "made",
        f"{record.created:%Y-%m-%d %H:%M} UTC" + (f", commit {record.code_commit}" if record.code_commit else ""),
    )
    yield "sensor", record.sensor
    yield "area", " ".join(f"{bound:g}" for bound in record.bbox) if record.bbox else None
    dates = (record.start_datetime, record.end_datetime)
    yield "period", " to ".join(dict.fromkeys(f"{date:%Y-%m-%d}" for date in dates if date))
    yield "target grid", record.target_grid
    dropped = ", ".join(f"{count} {reason}" for reason, count in data.dropped.items() if count)
    yield "rows", f"{data.rows}" + (f" (left out: {dropped})" if dropped else "")
    yield "products", ", ".join(data.products)
    yield "data set", data.fingerprint[:16]
    yield "preset", record.preset
    yield "declared use", _USES.get(record.use or "", record.use)
    yield "seed", record.seed
    yield "texture inside coarse cells", _texture(record.texture)
    yield "held-out rows out of domain", _domain(record.domain)
    yield "parameters", ", ".join(f"{key}={value}" for key, value in sorted(record.hyperparameters.items()))
    yield "framework", " ".join(filter(None, (record.framework, record.framework_version)))
    yield "environment", ", ".join(f"{name} {version}" for name, version in sorted(record.environment.items()))
    yield "registry", model.layer.path


def _texture(found: TextureRecord | None) -> str | None:
    if found is None:
        return None
    if found.estimate is None or found.error is None:
        return "as predicted (too few cells to tell)"
    said = f"{found.estimate:.2f} +- {found.error:.2f} one scale up, on {found.cells} held-out cells"
    return f"{found.weight:.2f} of it is kept in corrected maps ({said})"


def _domain(found: DomainRecord | None) -> str | None:
    if found is None:
        return None
    rows = f"{found.outside:,} of {found.n:,}"
    if found.rmse_outside is None or found.rmse_inside is None:
        return f"{rows}: {found.verdict}"
    interval = "" if found.ci_low is None else f" [{found.ci_low:+.4f}, {found.ci_high:+.4f}]"
    figures = f"RMSE {found.rmse_outside:.4f} there, {found.rmse_inside:.4f} inside"
    return f"{rows} in {found.groups} groups; {figures}, difference {found.difference:+.4f}{interval}: {found.verdict}"


def _features(features: Sequence[Feature]) -> str:
    rows = [(item.name, item.units, _number(item.min), _number(item.max)) for item in features]
    return _table(("predictor", "units", "lowest seen", "highest seen"), rows)


def _scores(scores: Sequence[ScoreRecord]) -> str:
    if not scores:
        return "None yet; make some with: zoo validate"
    rows = [
        (item.estimator, item.metric, _figure(item), item.n, item.reference, item.split, _where(item))
        for item in scores
    ]
    return _table(("estimator", "metric", "value [95 %]", "n", "against", "held out by", "where, when"), rows)


def _ablation(found: Sequence[AblationRecord]) -> str:
    rows = [
        (item.part, item.metric, _number(item.with_it), _number(item.without), _gain(item), item.n, item.how)
        for item in found
    ]
    columns = ("part", "metric", "with it", "without", "with - without [95 %]", "n", "held out by")
    return _table(columns, rows)


def _gain(item: AblationRecord) -> str:
    known = None not in (item.ci_low, item.ci_high)
    return _number(item.difference) + (f" [{_number(item.ci_low)}, {_number(item.ci_high)}]" if known else "")


def _files(model: Resolved) -> str:
    rows = []
    for kind, item in sorted(model.record.artefacts.items()):
        parity = f"{item.parity.max:.1e} m3 m-3" if item.parity and item.parity.max is not None else ""
        rows.append((kind, model.locate(kind), f"{item.bytes:,}", item.sha256[:16], parity))
    return _table(("kind", "file", "bytes", "sha256", "largest difference from the original"), rows)


def _figure(score: ScoreRecord) -> str:
    interval = None not in (score.ci_low, score.ci_high)
    return _number(score.value) + (f" [{_number(score.ci_low)}, {_number(score.ci_high)}]" if interval else "")


def _where(score: ScoreRecord) -> str:
    return ", ".join(filter(None, (score.region, score.period)))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _list(items: Iterable[tuple[str, object]]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in items if value not in (None, ""))


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")
