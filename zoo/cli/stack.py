"""`zoo stack`: predictors on the fine grid and their coarse twin, in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli import options
from zoo.cli.output import JsonOption, Output, QuietOption, table
from zoo.cli.request import check_min_valid, layers_of, request_of

if TYPE_CHECKING:
    from rich.table import Table

    from zoo.stack.folder import StackFolder

OutputOption = Annotated[
    Path, typer.Option("-o", "--output", help="Folder of the stack; a stack there is gone on with.")
]
PreferOption = Annotated[
    list[str] | None,
    typer.Option(
        "--prefer",
        metavar="LAYER=PRODUCT",
        help="Product to take a layer from where the data holds several, e.g. lst=MOD11A2; may be repeated.",
    ),
]
CoarseOption = Annotated[
    bool, typer.Option("--coarse/--no-coarse", help="With the coarse twin for --sensor, or without.")
]
QuicklookOption = Annotated[
    bool, typer.Option("--quicklook/--no-quicklook", help="Draw all layers into quicklook.png.")
]
MinValidOption = Annotated[
    float, typer.Option("--min-valid", help="Least valid share of a fine pixel; below it the pixel is missing.")
]


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("stack")(stack)


def stack(
    output: OutputOption,
    site: options.SiteOption = None,
    sensor: options.SensorOption = None,
    data: options.DataOption = None,
    area: options.AreaOption = None,
    date: options.DateOption = None,
    time: options.TimeOption = None,
    window: options.WindowOption = None,
    orbit: options.OrbitOption = None,
    quality: options.QualityOption = "recommended",
    variable: options.VariableOption = None,
    like: options.LikeOption = None,
    crs: options.CrsOption = None,
    resolution: options.ResolutionOption = None,
    layers: options.LayersOption = None,
    prefer: PreferOption = None,
    coarse: CoarseOption = True,
    min_valid: MinValidOption = 0.25,
    quicklook: QuicklookOption = True,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring predictors from native granules onto the 1 km grid, and onto the cells of a sensor.

    Writes one Cloud Optimized GeoTIFF a layer, coarse/SENSOR.nc, stack.json (what everything was made from, valid
    shares, hashes) and quicklook.png. A run that was killed goes on where it stopped; layers whose inputs are
    unchanged are kept.
    """
    from dataclasses import replace

    from zoo.stack.folder import make_stack
    from zoo.stack.quicklook import write_quicklook

    sink = Output(as_json=as_json, quiet=quiet)
    check_min_valid(min_valid)
    request = request_of(
        sensor=sensor, data=data, area=area, date=date, time=time, window=window, orbit=orbit,
        quality=quality, variable=variable, like=like, crs=crs, resolution=resolution, site=site,
    )  # fmt: skip
    request = replace(request, products={**request.products, **_preferred(prefer)})
    made = make_stack(request, layers_of(layers, site), folder=output, coarse=coarse, min_valid=min_valid)
    picture = write_quicklook(made, output / "quicklook.png") if quicklook else None
    _report(sink, made, picture)


def _preferred(texts: list[str] | None) -> dict[str, str]:
    from zoo.errors import UnknownNameError, UsageError
    from zoo.plugins import host
    from zoo.types import PredictorSpec

    preferred = {}
    for text in texts or ():
        layer, equals, product = text.partition("=")
        if not equals:
            msg = f"--prefer {text!r} is not LAYER=PRODUCT; expected for example --prefer lst=MOD11A2"
            raise UsageError(msg)
        delivered = {item.name for item in host().find(PredictorSpec, product).layers}
        if layer not in delivered:
            kind = f"layer of {product}"
            raise UnknownNameError(kind, layer, delivered)
        preferred[layer] = product
    return preferred


def _report(sink: Output, made: StackFolder, picture: Path | None) -> None:
    record = made.record
    sink.result(_payload(made, picture), lambda console: console.print(_view(made)))
    for sensor in record.coarse:
        sink.note(f"Coarse field of {sensor}: {made.twin_path(sensor)}")
    sink.note(f"Next: zoo train dbn --stack {made.folder}; zoo predict --model smd-dbn --stack {made.folder}")


def _payload(made: StackFolder, picture: Path | None) -> dict[str, Any]:
    record = made.record
    return {
        "folder": str(made.folder),
        "date": record.date.isoformat(),
        "area": record.area,
        "grid": record.grid.model_dump(),
        "layers": {
            name: {
                **layer.model_dump(include={"units", "products", "granules", "valid_share", "simulated", "sha256"}),
                "path": str(made.path_of(name)),
            }
            for name, layer in record.layers.items()
        },
        "coarse": {
            sensor: {"products": field.products, "granules": field.granules, "path": str(made.twin_path(sensor))}
            for sensor, field in record.coarse.items()
        },
        "made": made.made,
        "kept": made.kept,
        "simulated": record.simulated,
        "artifacts": {"quicklook": str(picture) if picture else None, "record": str(made.folder / "stack.json")},
    }


def _view(made: StackFolder) -> Table:
    """Draw a layer a row, and whether it was made, kept or there."""
    record = made.record
    rows = [
        (name, layer.units, ", ".join(layer.products), len(layer.granules), f"{layer.valid_share:.1%}",
         "kept" if name in made.kept else "made" if name in made.made else "there")
        for name, layer in record.layers.items()
    ]  # fmt: skip
    height, width = record.grid.shape
    title = f"{made.folder}: {record.date}, {height} x {width} pixels" + (" (simulated)" if record.simulated else "")
    return table(title, ("layer", "units", "product", "granules", "valid", ""), rows, right=("granules", "valid"))
