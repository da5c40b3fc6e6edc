"""`zoo models`: what models there are, their cards, aliases, hashes, and removal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.options import RegistryOption
from zoo.cli.output import JsonOption, Output, QuietOption, table

if TYPE_CHECKING:
    from rich.console import Console

    from zoo.registry import Registry, Resolved

Model = Annotated[str, typer.Argument(metavar="MODEL", help="NAME, NAME@vN or NAME@ALIAS.", show_default=False)]

models = typer.Typer(help="List, show, alias, verify and remove models.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Attach the commands."""
    app.add_typer(models, name="models")


@models.command("list")
def list_models(registry: RegistryOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List every version of every model that is visible."""
    from zoo.registry import Registry

    found = Registry.open(registry).list()
    payload = {"models": [_summary(model) for model in found]}

    def show(console: Console) -> None:
        columns = ("model", "aliases", "made", "sensor", "rows", "files", "data", "registry")
        console.print(table("Models", columns, (_row(model) for model in found), right=("rows",)))
        if not found:
            console.print("None yet; make one with: zoo train dbn")

    Output(as_json=as_json, quiet=quiet).result(payload, show)


@models.command("show")
def show_model(
    model: Model, registry: RegistryOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Show the card of a model: training, predictors, scores, files."""
    from zoo.registry import Registry

    found = Registry.open(registry).resolve(model)

    def show(console: Console) -> None:
        from rich.markdown import Markdown

        from zoo.registry.card import card

        if console.is_terminal:
            console.print(Markdown(card(found)))
        else:
            console.print(card(found), end="", markup=False)

    Output(as_json=as_json, quiet=quiet).result(_details(found), show)


@models.command("alias")
def alias_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="NAME@vN that the alias points to from now on.")],
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="For example default, which a bare NAME means.")],
    delete: Annotated[bool, typer.Option("--delete", help="Take the alias away instead.")] = False,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Point an alias at a version; the move is logged in the registry."""
    from zoo.registry import Registry

    opened = Registry.open(registry)
    found = opened.resolve(model)
    if delete:
        _check_points_there(opened, found, model, alias)
    opened.set_alias(found.ref.name, alias, None if delete else found.ref.version)
    text = f"{found.ref.name}@{alias} is gone" if delete else f"{found.ref.name}@{alias} is now {found.ref}"
    payload = {"model": str(found.ref), "alias": alias, "deleted": delete, "registry": str(opened.target)}
    Output(as_json=as_json, quiet=quiet).result(payload, lambda console: console.print(text))


def _check_points_there(registry: Registry, found: Resolved, given: str, alias: str) -> None:
    """Refuse to take away an alias from a version that was named and does not have it, while another has."""
    from zoo.errors import UsageError

    others = [item for item in registry.list() if item.ref.name == found.ref.name and alias in item.aliases]
    if "@" in given and others and others[0].ref != found.ref:
        msg = f"{found.ref.name}@{alias} is {others[0].ref}, not {found.ref}; give {others[0].ref}, or {found.ref.name}"
        raise UsageError(msg)


@models.command("verify")
def verify_models(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="One version; all without it.", show_default=False)
    ] = None,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare the sha256 of every file with the registry; exit code 3 if one differs."""
    from zoo.errors import IntegrityError
    from zoo.registry import Registry

    opened = Registry.open(registry)
    checked = opened.list() if model is None else [opened.resolve(model)]
    problems = opened.verify(model)
    payload = {
        "models": [str(item.ref) for item in checked],
        "problems": [{"model": item.model, "artifact": item.artefact, "problem": item.problem} for item in problems],
    }
    files = sum(len(item.record.artefacts) for item in checked)
    text = f"{files} files of {len(checked)} models are as registered"
    output = Output(as_json=as_json, quiet=quiet)
    output.result(payload, lambda console: None if problems else console.print(text))
    if problems:
        listed = "; ".join(" ".join(filter(None, (item.model, item.artefact, item.problem))) for item in problems)
        msg = f"{len(problems)} of {files} files are not as registered: {listed}; restore or remove them"
        raise IntegrityError(msg)


@models.command("remove")
def remove_model(
    model: Annotated[str, typer.Argument(metavar="NAME@vN", help="The version to remove, with its files.")],
    registry: RegistryOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Remove a version of your own and its files; its number is never used again."""
    from zoo.registry import Registry

    opened = Registry.open(registry)
    removed = opened.remove(model)
    payload = {"model": str(removed), "registry": str(opened.target)}
    Output(as_json=as_json, quiet=quiet).result(payload, lambda console: console.print(f"{removed} is removed"))


def _summary(model: Resolved) -> dict[str, Any]:
    record = model.record
    return {
        "model": str(model.ref),
        "aliases": list(model.aliases),
        "created": record.created.isoformat(),
        "architecture": record.architecture,
        "plugin": record.plugin,
        "sensor": record.sensor,
        "rows": record.dataset.rows,
        "simulated": record.simulated,
        "registry": str(model.layer.path),
        "artifacts": {kind: str(model.locate(kind)) for kind in sorted(record.artefacts)},
    }


def _details(model: Resolved) -> dict[str, Any]:
    from zoo.cli.scores import score_payload

    record = model.record.model_dump(mode="json", by_alias=True, exclude={"scores"})
    scores = [
        {**payload, **item.model_dump(mode="json", include={"region", "period", "created"})}
        for payload, item in zip(
            score_payload([item.score() for item in model.record.scores]), model.record.scores, strict=True
        )
    ]
    return {**_summary(model), "scores": scores, "record": record}


def _row(model: Resolved) -> tuple[object, ...]:
    record = model.record
    return (
        model.ref,
        ", ".join(model.aliases),
        f"{record.created:%Y-%m-%d}",
        record.sensor,
        f"{record.dataset.rows:,}",
        ", ".join(sorted(record.artefacts)),
        "simulated" if record.simulated else "real",
        model.layer.origin,
    )
