"""The command line: one module a command, imported when called; `main` alone turns an error into an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from zoo.cli.commands import COMMANDS, Commands
from zoo.errors import ZooError

app = typer.Typer(
    cls=Commands,
    name="zoo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    """Print the version of the distribution, and end."""
    if asked:
        from importlib.metadata import version

        print(f"soil-moisture-zoo {version('soil-moisture-zoo')}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]


@app.callback()
def zoo(version: VersionOption = False) -> None:
    """Downscale satellite soil moisture to 1 km, with figures that you can defend."""


def main(arguments: list[str] | None = None) -> None:
    """Run the program; a `ZooError`, or a wrong command line, becomes one line on stderr and its exit code."""
    try:
        code = app(args=arguments, prog_name="zoo", standalone_mode=False)
    except ZooError as error:
        if os.environ.get("SMZOO_DEBUG"):
            raise
        _say(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except typer.Abort:
        _say("stopped")
        sys.exit(1)
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's own; click's class, or a copy of it, by typer's version
            raise
        if text := error.format_message():  # none where the help was asked for by giving no argument
            _say(f"{text.rstrip('.')}; see: {_path_of(error, arguments)} --help")
        sys.exit(error.exit_code)  # type: ignore[attr-defined]
    sys.exit(code if isinstance(code, int) else 0)


def _path_of(error: Exception, arguments: list[str] | None) -> str:
    """Name the command that an error is about; an option without all its values comes without a context."""
    context = getattr(error, "ctx", None)
    if context is not None:
        return str(context.command_path)
    first = next(iter(sys.argv[1:] if arguments is None else arguments), "")
    known = {name for task in COMMANDS.values() for name in task}
    return f"zoo {first}" if first in known else "zoo"


def _say(text: str) -> None:
    print(f"zoo: {' '.join(text.split())}", file=sys.stderr)
