"""`zoo report`: one HTML file with maps, scores and diagrams of the user's own maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli.options import RegistryOption, SeedOption
from zoo.cli.output import JsonOption, Output, QuietOption
from zoo.cli.scores import score_payload, show_scores

if TYPE_CHECKING:
    from zoo.inference.runtime import Session
    from zoo.stack import Stack

LISTENING = "What the model listens to"


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("report")(report)


def report(
    maps: Annotated[
        list[str],
        typer.Option("--map", metavar="[NAME=]FILE", help="Map, .tif or .nc; repeat it, one name for several dates."),
    ],
    references: Annotated[
        list[str] | None,
        typer.Option(
            "--reference", "-r", metavar="[NAME=]FILE", help="Stations, raster or granule to compare with; repeatable."
        ),
    ] = None,
    coarse: Annotated[
        list[str] | None,
        typer.Option("--coarse", metavar="[NAME=]FILE", help="Coarse field to show beside the maps; repeatable."),
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option(
            "--pairs",
            metavar="[NAME=]FILE",
            help="Station-days that zoo validate --pairs wrote: scored in time, in space and pooled; repeatable.",
        ),
    ] = None,
    seen: Annotated[
        bool, typer.Option("--seen", help="The maps' models were trained on the references; say so.")
    ] = False,
    out: Annotated[Path, typer.Option("-o", "--output", help="The page; figures are written beside it.")] = Path(
        "report.html"
    ),
    station: Annotated[
        list[str] | None, typer.Option("--station", help="Station whose time series is drawn; repeatable.")
    ] = None,
    title: Annotated[str, typer.Option("--title", help="Title of the page.")] = "Soil moisture, downscaled",
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="NAME, NAME@vN or NAME@ALIAS that made the map.", rich_help_panel=LISTENING),
    ] = None,
    stack: Annotated[
        list[str] | None,
        typer.Option(
            "--stack", help="Its predictors: NAME=FILE[:BAND] or a folder; repeatable.", rich_help_panel=LISTENING
        ),
    ] = None,
    seed: SeedOption = 0,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a report of maps: figures, scores against references, time series, and what the model listens to.

    One HTML file that needs no network; every figure lies beside it as PNG and SVG.
    """
    from zoo.errors import UsageError
    from zoo.report.own import Named, report_maps
    from zoo.writers import check_writable
    from zoo.writers.target import check_suffix

    sink = Output(as_json=as_json, quiet=quiet)
    if bool(model) != bool(stack):
        msg = "--model and --stack go together: give the model and the predictors that it takes, or neither"
        raise UsageError(msg)
    check_suffix(out, (".html", ".htm"))
    check_writable(out)
    done = report_maps(
        out,
        [Named.parse(text) for text in maps],
        [Named.parse(text) for text in references or ()],
        coarse=[Named.parse(text) for text in coarse or ()],
        model=_model(registry, model, stack) if model and stack else None,
        pairs=[Named.parse(text) for text in pairs or ()],
        seen=seen,
        stations=station or (),
        title=title,
        seed=seed,
    )
    payload = {
        "artifacts": {"report": str(done.report)},
        "simulated": done.simulated,
        "scores": score_payload(done.scores),
        "notes": done.notes,
    }
    sink.result(payload, lambda console: show_scores(console, done.scores, "Maps"))
    for note in (*done.notes, f"Report: {done.report}"):
        sink.note(note)


def _model(registry: Path | None, model: str, stack: list[str]) -> tuple[Session, Stack]:
    """Open a model and its predictors."""
    from zoo.prediction import open_session
    from zoo.registry import Registry
    from zoo.stack import Stack

    _, session = open_session(Registry.open(registry), model)
    return session, Stack.from_arguments(stack)
