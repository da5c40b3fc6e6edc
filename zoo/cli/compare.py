"""`zoo compare`: two maps, models or products on one sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli import options, products, results
from zoo.cli.given import refuse
from zoo.cli.output import JsonOption, Output, QuietOption
from zoo.cli.scores import score_payload

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from zoo.matching.comparison import Comparison
    from zoo.registry import Registry, Resolved

PREDICT = "Where A or B is a model: what to predict from (default: the sample scene)"
TABLE = "With --table: A and B are columns"

FirstArgument = Annotated[
    str, typer.Argument(metavar="A", help="Map (.tif, .nc), a sensor's granule, or a model NAME@vN.")
]
SecondArgument = Annotated[str, typer.Argument(metavar="B", help="The same.")]
ReferenceOption = Annotated[
    Path | None, typer.Option("--reference", "-r", help="Stations, a raster or a coarse sensor's granule.")
]
DateOption = Annotated[
    str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Day, UTC. Default: what A or B says.")
]
TimeOption = Annotated[
    str | None, typer.Option("--time", metavar="HH:MM", help="UTC: each station's value nearest to it.")
]
MatchOption = Annotated[
    str, typer.Option("--match", metavar="nearest|bilinear|window=N", help="How a map is read at a station.")
]
CollocateOption = Annotated[
    bool, typer.Option("--collocate", help="Add triple collocation of A, B and the reference (independent errors).")
]
SeenOption = Annotated[bool, typer.Option("--seen", help="A or B was trained on this reference: say so.")]
OutputOption = Annotated[
    list[Path] | None, typer.Option("-o", "--output", help="Write the result, .json or .csv; may be repeated.")
]
PairsOption = Annotated[Path | None, typer.Option("--pairs", help="Write the sample, .csv or .parquet.")]
TableOption = Annotated[
    Path | None, typer.Option("--table", help="Table of predictions (.parquet, .csv).", rich_help_panel=TABLE)
]
StationOption = Annotated[
    str, typer.Option("--station", help="Column of what hangs together, e.g. the station.", rich_help_panel=TABLE)
]
SplitOption = Annotated[str, typer.Option("--split", help="How the rows were held out.", rich_help_panel=TABLE)]


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("compare")(compare)


def compare(
    context: typer.Context,
    a: FirstArgument,
    b: SecondArgument,
    reference: ReferenceOption = None,
    date: DateOption = None,
    time: TimeOption = None,
    window: options.StationWindowOption = None,
    depth: options.DepthOption = (0.0, 0.05),
    select: options.SelectOption = None,
    match: MatchOption = "nearest",
    collocate: CollocateOption = False,
    seen: SeenOption = False,
    output: OutputOption = None,
    pairs: PairsOption = None,
    table: TableOption = None,
    observed: Annotated[str, options.observed(TABLE)] = "observed",
    station: StationOption = "station",
    split: SplitOption = "independent",
    sensor: Annotated[str | None, options.sensor(PREDICT)] = None,
    data: Annotated[list[Path] | None, options.granules(PREDICT)] = None,
    area: Annotated[tuple[float, float, float, float] | None, options.area(PREDICT)] = None,
    seed: options.SeedOption = 0,
    registry: options.RegistryOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare two maps, models or products with a reference, where all three have a value.

    Each metric's difference comes with a 95 % interval and a test; scores and differences are appended to the
    versions of A and B in the registry.
    """
    from zoo.matching.pairs import Match
    from zoo.matching.references import parse_selection
    from zoo.registry import Registry
    from zoo.types import check_depth
    from zoo.writers import check_writable, write_table

    _check_sources(reference, table)
    if table is not None:
        unused = {"date", "time", "window", "depth", "select", "match", "seen", "sensor", "data", "area"}
        refuse(context, unused, "--table pairs A and B with observations already")
    else:
        refuse(context, {"observed", "station", "split"}, "Names of columns belong to --table")
    check_depth(depth)
    results.check_results(output)
    if pairs is not None:
        check_writable(pairs)
    sink, opened = Output(as_json=as_json, quiet=quiet), Registry.open(registry)
    matched, chosen = Match.parse(match), parse_selection(select or ())
    how: dict[str, Any] = {"collocate": collocate, "seed": seed}
    recorded: list[str] = []
    remarks: list[str] = []
    if table is not None:
        done = _columns(table, a, b, observed, station, split, how)
    else:
        assert reference is not None
        products.check_period([date] if date else [], time, window)
        where = {"sensor": sensor, "data": data, "area": area}
        one, other = _open(opened, a, b, date, where)
        when = products.selection(one.field.attrs or other.field.attrs, date, time, window)
        how |= {"when": when, "depth": depth, "match": matched, "selection": chosen, "seen": seen}
        done = _maps(one, other, reference, how)
        recorded = _record(opened, done, one, other)
        remarks = [product.remark for product in (one, other)]
    payload = _payload(done, a, b, str(reference or table), recorded)
    results.write_results(output, payload, _rows(done))
    if pairs is not None:
        write_table(pairs, done.pairs)
    sink.result(payload, lambda console: results.show_comparison(console, done))
    for note in (*done.notes, *remarks, f"Appended to {' and '.join(recorded)}" if recorded else ""):
        if note:
            sink.note(note)


def _check_sources(reference: Path | None, table: Path | None) -> None:
    from zoo.errors import UsageError

    if (table is None) == (reference is None):
        msg = "Give either --reference, with which A and B are compared, or --table, of which they are columns"
        raise UsageError(msg)


@dataclass(slots=True)
class _Product:
    """A or B: its field, label, and version in the registry, or why there is none."""

    field: xr.DataArray
    label: str
    version: Resolved | None
    remark: str


def _open(registry: Registry, a: str, b: str, date: str | None, where: dict[str, Any]) -> tuple[_Product, _Product]:
    """Open A and B: files, or models whose maps are predicted; a granule is read around the other."""
    from zoo.matching.comparison import open_product

    paths = [_path(registry, name, date, where) for name in (a, b)]
    fields: list[xr.DataArray | None] = [None, None]
    for index in sorted((0, 1), key=lambda index: _is_granule(paths[index])):
        fields[index] = open_product(paths[index], fields[1 - index])
    found = []
    for given, path, field in zip((a, b), paths, fields, strict=True):
        assert field is not None
        version, remark = products.version_of(registry, field.attrs, None)
        about = f"{path.name}: {remark}" if remark and field.attrs.get("model") else ""
        about = about or (f"Predicted: {path}" if path != Path(given) else "")
        name = str(field.attrs.get("product", path.stem)) if _is_granule(path) else path.stem
        found.append(_Product(field, str(version.ref) if version else name, version, about))
    if found[0].label == found[1].label:
        found[0].label, found[1].label = f"{found[0].label} (A)", f"{found[1].label} (B)"
    return found[0], found[1]


def _path(registry: Registry, name: str, date: str | None, where: dict[str, Any]) -> Path:
    """Return the file of A or B; that of a model is predicted."""
    from zoo.errors import DataError

    path = Path(name)
    if path.exists():
        return path
    if len(path.parts) > 1 or path.suffix in (".tif", ".tiff", ".nc"):
        msg = f"{name} is no file; give a map (.tif or .nc), a sensor's granule or a model, see: zoo models list"
        raise DataError(msg)
    return products.predicted(registry, name, date, **where)


def _is_granule(path: Path) -> bool:
    from zoo.inputs import sensor_of

    return sensor_of(path) is not None


def _maps(one: _Product, other: _Product, reference: Path, how: dict[str, Any]) -> Comparison:
    from zoo.matching.comparison import compare_maps

    return compare_maps(one.field, other.field, reference, names=(one.label, other.label), **how)


def _columns(path: Path, a: str, b: str, observed: str, station: str, split: str, how: dict[str, Any]) -> Comparison:
    from dataclasses import replace

    from zoo.matching.comparison import compare_columns

    rows, simulated = products.read_columns(path, {"observed": observed, "station": station, "a": a, "b": b})
    done = compare_columns(rows, names=(a, b), reference_name=f"{observed} of {path.name}", split=split, **how)
    return replace(done, simulated=simulated)


def _record(registry: Registry, done: Comparison, one: _Product, other: _Product) -> list[str]:
    """Append each one's scores and the differences to its version."""
    tests = {d.metric: {"p": d.p, "test": d.test} for d in done.differences}
    context = {"region": done.region, "period": done.period, "details": {**done.matching, "tests": tests}}
    recorded = []
    for product in (one, other):
        if product.version is not None:
            own = [score for score in done.scores if score.estimator == product.label]
            registry.append_scores(product.version.ref, [*own, *done.difference_scores], context)
            recorded.append(str(product.version.ref))
    return recorded


def _payload(done: Comparison, a: str, b: str, reference: str, recorded: list[str]) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "a": done.names[0],
        "b": done.names[1],
        "artifacts": {"a": a, "b": b, "reference": reference},
        "differences": [asdict(difference) for difference in done.differences],
        "scores": score_payload(done.scores),
        "triple_collocation": [asdict(part) for part in done.collocated],
        "split": done.split,
        "dropped": done.dropped,
        "left_out": done.left_out,
        "matching": done.matching,
        "recorded": recorded,
        "simulated": done.simulated,
        "notes": done.notes,
    }


def _rows(done: Comparison) -> pd.DataFrame:
    """Return one row a metric for CSV."""
    from dataclasses import asdict

    import pandas as pd

    labels = {"a_name": done.names[0], "b_name": done.names[1], "reference": done.reference, "split": done.split}
    return pd.DataFrame([{**asdict(difference), **labels} for difference in done.differences])
