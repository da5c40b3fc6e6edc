"""`zoo demo`: the whole job on simulated data, ending with a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.options import SeedOption
from zoo.cli.output import JsonOption, Output, QuietOption


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("demo")(demo)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for maps, registry and report.")] = Path("out/demo"),
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Simulate a scene, train on SMAP and AMSR-2, export, predict, validate, and write an HTML report."""
    from zoo.cli.scores import score_payload, show_scores
    from zoo.demo.workflow import demonstrate
    from zoo.writers.target import check_folder

    check_folder(out)
    sink = Output(as_json=as_json, quiet=quiet)
    done = demonstrate(out, seed=seed)
    payload = {
        "models": [str(trained.version.ref) for trained in done.trained.values()],
        "artifacts": {
            "report": str(done.report),
            **{f"{sensor} {label}": str(path) for (sensor, label), path in done.maps.items()},
        },
        "simulated": True,
        "scores": score_payload(done.scores),
    }
    sink.result(payload, lambda console: show_scores(console, done.scores, "Simulated sample scene"))
    sink.note(f"Report: {done.report}")
