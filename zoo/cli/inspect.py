"""`zoo inspect`: what a reader sees in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.options import AreaOption, QualityOption
from zoo.cli.output import JsonOption, Output, QuietOption, table
from zoo.cli.request import check_quality

if TYPE_CHECKING:
    from rich.console import Console

    from zoo.explain.inspection import Inspection


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("inspect")(inspect)


def inspect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Granules, tables, or folders of them.")],
    plot: Annotated[Path | None, typer.Option("--plot", metavar="PNG", help="Draw maps of what is read.")] = None,
    area: AreaOption = None,
    quality: QualityOption = "recommended",
    variable: Annotated[
        str | None, typer.Option("--variable", help="Another retrieval of a sensor, or one predictor layer.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say what a reader sees: product, time, extent, grid, valid cells, quantiles and quality flags."""
    from zoo.errors import DataError
    from zoo.explain.inspection import inspect_files
    from zoo.types import Area
    from zoo.writers import check_writable
    from zoo.writers.target import check_suffix

    check_quality(quality)
    if plot is not None:
        check_suffix(plot, (".png",))
        check_writable(plot)
    output = Output(as_json=as_json, quiet=quiet)
    seen, unread = inspect_files(
        files,
        area=Area(*area) if area else None,
        quality=quality,  # type: ignore[arg-type]
        variable=variable,
    )
    if seen:
        if plot is not None:
            _plot(seen, plot, output)
        payload = {
            "files": [inspection.facts for inspection in seen],
            "unread": [{"file": str(item.path), "reason": str(item.error)} for item in unread],
            "plot": None if plot is None else str(plot),
        }
        output.result(payload, lambda console: _show(console, seen))
    if unread:
        others = f" ({len(unread) - 1} more not read: {_names(unread[1:])})" if len(unread) > 1 else ""
        msg = f"{unread[0].error}{others}"
        raise DataError(msg) from unread[0].error
    if not seen:
        places = ", ".join(str(file) for file in files)
        msg = f"Nothing under {places} is a product that is read here; see: zoo plugins"
        raise DataError(msg)


def _plot(seen: Sequence[Inspection], path: Path, output: Output) -> None:
    from zoo.errors import UsageError
    from zoo.explain.granule_map import draw_maps

    fields = [
        (_title(inspection.facts, field.attrs.get("orbit")), field)
        for inspection in seen
        for field in inspection.fields
    ]
    if not fields:
        msg = "--plot draws maps, and the files hold none; leave it out for tables of stations"
        raise UsageError(msg)
    drawn = draw_maps(fields, path)
    left = f", the first of {len(fields)}" if drawn < len(fields) else ""
    output.note(f"{path}: {drawn} map{'s' if drawn > 1 else ''}{left}")


def _title(facts: dict[str, Any], orbit: str | None) -> str:
    made_up = ", simulated" if facts["simulated"] else ""
    orbit = f" {orbit or facts['orbit']}" if orbit or facts["orbit"] else ""
    start = facts["start"]
    when = (
        "static" if start is None else start[:10] if start[11:] == "00:00:00Z" else f"{start[:10]} {start[11:16]} UTC"
    )
    return f"{facts['product']}{orbit}{made_up}\n{when}"


def _show(console: Console, seen: Sequence[Inspection]) -> None:
    for inspection in seen:
        facts = inspection.facts
        for label, text in _headings(facts):
            console.print(f"{label:10} {text}")
        if facts["kind"] == "reference":
            console.print(table("", ("sm", *_QUANTILES), [("m3 m-3", *_quantiles(facts))], right=_QUANTILES))
            continue
        rows = [_row(field, facts) for field in facts["fields"]]
        columns = ("field", "units", "valid", *_QUANTILES)
        console.print(table("", columns, rows, right=("valid", *_QUANTILES)))
        for field in facts["fields"]:
            if field["flag_counts"]:
                counts = sorted(field["flag_counts"].items(), key=lambda item: -item[1])
                console.print(table("", (f"quality flag{_pass(field, facts)}", "cells"), counts, right=("cells",)))


_QUANTILES = ("min", "5 %", "25 %", "50 %", "75 %", "95 %", "max")


def _headings(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines above the table: label and text."""
    if facts["kind"] == "reference":
        return [
            ("file", facts["files"][0]),
            ("kind", f"reference, read by {facts['plugin']}"),
            ("stations", f"{facts['stations']} with {facts['measurements']} measurements"),
            ("time", f"{facts['start']} to {facts['end']}"),
            ("extent", _extent(facts["bounds"])),
            ("depths", ", ".join(f"{depth:g} m" for depth in facts["depths"]) or "unknown"),
        ]
    first = facts["fields"][0]
    lines = [
        ("granule", facts["granule"]),
        ("product", f"{facts['product']}, read by {facts['plugin']}{' (simulated)' if facts['simulated'] else ''}"),
        ("time", f"{facts['start']} to {facts['end']}" if facts["start"] else "static"),
    ]
    for field in facts["fields"]:
        if field["observed_from"]:
            observed = f"{field['observed_from']} to {field['observed_to']}, middle {field['time']}"
            lines.append((f"observed{_pass(field, facts)}", observed))
    passes = [facts["orbit"]] if facts["orbit"] else [field["orbit"] for field in facts["fields"] if field["orbit"]]
    if passes:
        lines.append(("orbit", "; ".join({"A": "A, ascending", "D": "D, descending"}[each] for each in passes)))
    lines.append(("extent", _extent(first["bounds"])))
    lines.append(("grid", "; ".join(dict.fromkeys(_grid(field) for field in facts["fields"]))))
    lines += [("note", note) for note in dict.fromkeys(note for field in facts["fields"] for note in field["notes"])]
    if facts["layers_not_readable"]:
        lines.append(("missing", f"{', '.join(facts['layers_not_readable'])}: the files for it are not all there"))
    return lines


def _row(field: dict[str, Any], facts: dict[str, Any]) -> tuple[str, ...]:
    name = f"{field['name']}{_pass(field, facts)}"
    return name, field["units"], f"{field['valid']} of {field['cells']}", *_quantiles(field)


def _pass(field: dict[str, Any], facts: dict[str, Any]) -> str:
    """Name the pass of a field where the file holds several."""
    return f" {field['orbit']}" if field["orbit"] and not facts["orbit"] else ""


def _grid(field: dict[str, Any]) -> str:
    cell = " x ".join(f"{size:.8g}" for size in dict.fromkeys(field["cell"]))
    unit = "degree" if field["crs"] == "EPSG:4326" else "m"
    return f"{field['crs']}, {field['rows']} x {field['columns']} cells of {cell} {unit}"


def _quantiles(facts: dict[str, Any]) -> tuple[str, ...]:
    found = facts["quantiles"]
    return ("-",) * len(_QUANTILES) if found is None else tuple(f"{value:.4g}" for value in found.values())


def _extent(bounds: Sequence[float]) -> str:
    west, south, east, north = bounds
    return f"{west:.3f} {south:.3f} {east:.3f} {north:.3f} (west south east north, degrees)"


def _names(unread: Sequence[Any]) -> str:
    shown = ", ".join(item.path.name for item in unread[:5])
    return f"{shown}, ..." if len(unread) > 5 else shown
