"""`zoo reproduce`: the tables and figures of a paper, from the user's data or a simulated scene."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.options import SeedOption
from zoo.cli.output import JsonOption, Output, QuietOption, table

if TYPE_CHECKING:
    from rich.console import Console

    from zoo.report.scores import Cell
    from zoo.reproduce.run import Reproduction

PAPERS = ("cai2022",)


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("reproduce")(reproduce)


def reproduce(
    paper: Annotated[str, typer.Argument(metavar="PAPER", help="cai2022: Cai et al. 2022, doi:10.3390/rs14225681.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data", help="File or folder of granules of the five dates; may be repeated. Default: simulated."
        ),
    ] = None,
    stations: Annotated[
        Path | None, typer.Option("--stations", help="In-situ measurements, with --data: see zoo reference.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder; the same one again goes on with the search.")
    ] = Path("out/cai2022"),
    budget: Annotated[
        float, typer.Option("--budget", metavar="MINUTES", help="No row of Table 3 is begun that would end later.")
    ] = 10.0,
    epochs_scale: Annotated[
        float, typer.Option("--epochs-scale", help="Multiplies the printed epochs, for a quick look.")
    ] = 1.0,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make every table and figure of a paper anew, each beside the printed value.

    Tables 2 to 8 and Figures 5 to 11: a report, CSV, JSON, PNG and SVG in the folder.
    """
    from zoo.errors import UnknownNameError, UsageError

    sink = Output(as_json=as_json, quiet=quiet)
    if paper not in PAPERS:
        kind = "paper"
        raise UnknownNameError(kind, paper, PAPERS)
    if stations is not None and not data:
        msg = f"--stations {stations} needs --data: the simulated scene has stations of its own"
        raise UsageError(msg)
    from zoo.reproduce.run import payload
    from zoo.reproduce.run import reproduce as run
    from zoo.writers.target import check_folder

    check_folder(out)
    done = run(out, data=tuple(data or ()), stations=stations, budget=budget, epochs_scale=epochs_scale, seed=seed)
    content: dict[str, Any] = payload(done)
    sink.result(content, lambda console: _show(console, done))
    sink.note(f"Report: {done.report}")


def _show(console: Console, done: Reproduction) -> None:
    """Print the accuracies, and what there is of every table and figure."""
    for part in done.tables:
        if part.number in (3, 7, 8):
            shown = part.table()
            rows = [[_text(cell) for cell in row] for row in shown.rows]
            console.print(table(part.title, shown.columns, rows, right=[shown.columns[i] for i in shown.right]))
    missing = [f"{one.title}: {one.problem}" for one in done.figures if one.problem]
    for problem in (*missing, *done.problems):
        console.print(problem)
    if done.simulated:
        console.print("Simulated data: no number found here says anything about a place.")
    if done.trials < 9:
        console.print(f"{done.trials} of 9 rows of Table 3 are trained; the same command goes on.")


def _text(cell: Cell) -> str:
    return f"{cell.text}\n[dim]{cell.interval}[/dim]" if cell.interval else cell.text
