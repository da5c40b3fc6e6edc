"""Which options stand on the command line, and the refusal of those that nothing would heed."""

from __future__ import annotations

from collections.abc import Collection

import typer


def given(context: typer.Context) -> set[str]:
    """Name the parameters that were given."""
    sources = {str(name): context.get_parameter_source(str(name)) for name in context.params}
    return {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def flags(context: typer.Context, names: Collection[str]) -> str:
    """Write parameters as on the command line."""
    written = {str(known.name): max(known.opts, key=len) for known in context.command.params}
    return ", ".join(written[name] for name in sorted(names))


def refuse(context: typer.Context, names: Collection[str], reason: str) -> None:
    """Refuse parameters that were given though nothing would heed them.

    Raises
    ------
    UsageError
        If one of them stands on the command line.
    """
    from zoo.errors import UsageError

    useless = given(context) & set(names)
    if useless:
        msg = f"{reason}; leave out {flags(context, useless)}"
        raise UsageError(msg)
