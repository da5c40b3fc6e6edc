"""`zoo stack`: predictors on the fine grid and their coarse twin, in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli import data as options
from zoo.cli.output import JsonOption, Output, QuietOption, table

if TYPE_CHECKING:
    from zoo.stack.folder import StackFolder


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("stack")(stack)


def stack(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the stack; a stack there is gone on with.")],
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
    layers: Annotated[
        str | None,
        typer.Option("--layers", metavar="a,b,c", help="Predictors. Default: the site's, or 14 of Cai et al. 2022."),
    ] = None,
    prefer: Annotated[
        list[str] | None,
        typer.Option(
            "--prefer",
            metavar="LAYER=PRODUCT",
            help="Product to take a layer from where the data holds several, e.g. lst=MOD11A2; may be repeated.",
        ),
    ] = None,
    coarse: Annotated[
        bool, typer.Option("--coarse/--no-coarse", help="With the coarse twin for --sensor, or without.")
    ] = True,
    quicklook: Annotated[
        bool, typer.Option("--quicklook/--no-quicklook", help="Draw all layers into quicklook.png.")
    ] = True,
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
    request = options.request(
        sensor=sensor, data=data, area=area, date=date, time=time, window=window, orbit=orbit,
        quality=quality, variable=variable, like=like, crs=crs, resolution=resolution, site=site,
    )  # fmt: skip
    request = replace(request, products={**request.products, **_preferred(prefer)})
    made = make_stack(request, options.layers(layers, site), folder=output, coarse=coarse)
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
    payload = {
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
    rows = [
        (name, layer.units, ", ".join(layer.products), len(layer.granules), f"{layer.valid_share:.1%}",
         "kept" if name in made.kept else "made" if name in made.made else "there")
        for name, layer in record.layers.items()
    ]  # fmt: skip
    height, width = record.grid.shape
    title = f"{made.folder}: {record.date}, {height} x {width} pixels" + (" (simulated)" if record.simulated else "")
    columns = ("layer", "units", "product", "granules", "valid", "")
    sink.result(payload, lambda console: console.print(table(title, columns, rows, right=("granules", "valid"))))
    for sensor in record.coarse:
        sink.note(f"Coarse field of {sensor}: {made.twin_path(sensor)}")
    sink.note(f"Next: zoo train dbn --stack {made.folder}; zoo predict --model smd-dbn --stack {made.folder}")
