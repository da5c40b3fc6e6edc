"""The command line: one module a command, imported when called; `main` alone turns an error into an exit code."""

from __future__ import annotations

import os
import sys

import typer

from zoo.cli.commands import Commands
from zoo.errors import ZooError

app = typer.Typer(
    cls=Commands,
    name="zoo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def zoo() -> None:
    """Downscale satellite soil moisture to 1 km, with figures that you can defend."""


def main(arguments: list[str] | None = None) -> None:
    """Run the program; a `ZooError` becomes one line on stderr and its exit code."""
    try:
        app(args=arguments)
    except ZooError as error:
        if os.environ.get("SMZOO_DEBUG"):
            raise
        print(f"zoo: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
