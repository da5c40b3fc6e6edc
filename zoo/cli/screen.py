"""`zoo screen`: which predictors of a table tell of soil moisture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.options import SeedOption
from zoo.cli.output import JsonOption, Output, QuietOption
from zoo.cli.output import table as make_view
from zoo.cli.request import predictors_in

if TYPE_CHECKING:
    from zoo.explain.screening import Screened
    from zoo.samples.rows import Samples


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("screen")(screen)


def screen(
    table: Annotated[Path, typer.Argument(help="Parquet or CSV table, for example one by zoo table.")],
    target: Annotated[
        str | None, typer.Option("--target", help="Column of soil moisture, m3 m-3. Default: what the table says.")
    ] = None,
    features: Annotated[
        str | None, typer.Option("--features", metavar="a,b,c", help="Predictors. Default: what the table says.")
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option("--groups", help="Column of places that intervals resample. Default: what the table says."),
    ] = None,
    where: Annotated[str | None, typer.Option("--where", help="Rows to keep, e.g. \"date == '2019-09-25'\".")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the result into a .png file.")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Correlate every predictor with soil moisture: R, n, p, and the partial R given all others (Cai 2022, Table 2)."""
    from zoo.explain.screening import screen as run
    from zoo.samples.rows import from_table
    from zoo.writers import check_writable
    from zoo.writers.target import check_suffix

    if plot is not None:
        check_suffix(plot, (".png",))
        check_writable(plot)
    target, chosen, groups = _columns(table, target, features, groups)
    sink = Output(as_json=as_json, quiet=quiet)
    samples = from_table(table, target, chosen, groups, where=where)
    found = run(samples, seed=seed)
    if plot is not None:
        _draw(found, samples, table, plot)
    sink.result(_payload(found, samples, table, plot), lambda console: console.print(_view(found, samples, table)))
    for note in _notes(found, samples):
        sink.note(note)


def _columns(
    table: Path, target: str | None, features: str | None, groups: str | None
) -> tuple[str, tuple[str, ...], str]:
    """Return the columns of soil moisture, predictors and places: those named, else those that the table says."""
    from zoo.errors import UsageError
    from zoo.samples.rows import read_table
    from zoo.samples.table import defaults

    known = defaults(table)
    chosen = known.features if features is None else predictors_in(features, "--features")
    target, groups = target or known.target, groups or known.groups
    if target and chosen and groups:
        return target, chosen, groups
    read_table(table)  # a file that is no table is said first
    needed = (("--target", target), ("--features", chosen), ("--groups", groups))
    missing = ", ".join(flag for flag, value in needed if not value)
    example = "--target sm --features lst,ndvi --groups station"
    msg = f"{table.name} does not say its columns: give {missing}, for example {example}"
    raise UsageError(msg)


def _payload(found: list[Screened], samples: Samples, table: Path, plot: Path | None) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "table": str(table),
        "n": len(samples),
        "groups": len(set(samples.groups.tolist())),
        "dropped": samples.dataset.dropped,
        "simulated": samples.simulated,
        "predictors": [asdict(item) for item in found],
        "artifacts": {"plot": str(plot) if plot else None},
    }


def _notes(found: list[Screened], samples: Samples) -> Iterator[str]:
    """Say what was left out, and what the figures are not."""
    dropped = {reason: count for reason, count in samples.dataset.dropped.items() if count}
    if dropped:
        yield "Rows left out: " + ", ".join(f"{count} {reason}" for reason, count in dropped.items())
    yield "p holds for independent rows; neighbouring cells, and a cell on many days, are not: take it as a bound."
    dependent = ", ".join(item.predictor for item in found if item.r is not None and item.vif is None)
    if dependent:
        yield f"No partial R: {dependent} - linear combinations of one another; leave one out with --features."


def _view(found: list[Screened], samples: Samples, table: Path) -> object:
    from zoo.explain.screening import p_text

    def figure(value: float | None) -> str:
        return "-" if value is None else f"{value:+.3f}"

    rows = [
        (
            item.predictor, item.n, figure(item.r),
            "-" if item.r_low is None or item.r_high is None else f"{item.r_low:+.2f} {item.r_high:+.2f}",
            p_text(item.p), figure(item.partial), p_text(item.partial_p),
            "-" if item.vif is None else f"{item.vif:,.1f}",
        )
        for item in sorted(found, key=lambda item: -abs(item.r or 0))
    ]  # fmt: skip
    columns = ("predictor", "n", "R", "95 %", "p", "partial R", "p of partial", "VIF")
    title = f"{table.name}: correlation with {samples.about.name}" + (" (simulated)" if samples.simulated else "")
    return make_view(title, columns, rows, right=columns[1:])


def _draw(found: list[Screened], samples: Samples, table: Path, plot: Path) -> None:
    from zoo.explain.screening import screening_figure
    from zoo.report.figures import png
    from zoo.writers.target import failing, replacing

    drawn = png(screening_figure(found, title=f"{samples.about.product or table.name}", simulated=samples.simulated))
    with replacing(plot) as temporary, failing(plot):
        temporary.write_bytes(drawn)
