"""`zoo simulate`: write a scene in the products' native formats, with the truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli import options
from zoo.cli.output import JsonOption, Output, QuietOption, table

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("simulate")(simulate)


def simulate(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder: new, empty, or an earlier scene.")] = Path(
        "sample-scene"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same scene.")] = 2019,
    area: Annotated[
        tuple[float, float, float, float],
        typer.Option(metavar="WEST SOUTH EAST NORTH", help="Bounds in degrees."),
    ] = (115.5, 41.5, 116.5, 42.5),
    date: Annotated[str, options.date()] = "2019-09-25",
    landsat_resolution: Annotated[
        float, typer.Option(help="Pixel of the Landsat scene, metres; 30 as published, more for large areas.")
    ] = 30.0,
    cloud: Annotated[float, typer.Option(help="Multiplies the share of cloud; 0 for a clear sky.")] = 1.0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a simulated scene: what every product would say of a place, in native formats, and the 1 km truth."""
    from zoo.granules import parse_date
    from zoo.simulate import simulate_scene
    from zoo.types import Area

    output = Output(as_json=as_json, quiet=quiet)
    scene = simulate_scene(
        out,
        seed=seed,
        area=Area(*area),
        date=parse_date(date),
        landsat_resolution=landsat_resolution,
        cloud=cloud,
    )
    payload = {"folder": str(scene.folder), **scene.description}
    output.result(payload, lambda console: _show(console, payload))
    place = " ".join(f"{degrees:g}" for degrees in area)
    output.note(f"Next: zoo train dbn --data {scene.folder} --area {place} --date {date}")


def _show(console: Console, scene: Mapping[str, Any]) -> None:
    files = [(file["path"], f"{file['bytes'] / 1e6:.2f}") for file in scene["files"]]
    console.print(table(f"Files in {scene['folder']}", ("file", "MB"), files, right=("MB",)))
    truth = scene["truth"]
    names = ("mean", "sd", "min", "p05", "median", "p95", "max")
    rows = [(name, _figure(truth[name])) for name in names]
    rows += [("pixels on land", truth["valid"]), ("share of water", f"{truth['water']:.3f}")]
    rows += [
        (f"variance: {name.replace('_', ' ')}", _figure(share)) for name, share in scene["variance_shares"].items()
    ]
    console.print(table("Truth at 1 km, m3 m-3", ("", "value"), rows, right=("value",)))
    console.print(scene["statement"])


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
