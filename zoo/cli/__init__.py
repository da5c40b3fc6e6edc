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
            _say(f"{text.rstrip('.')}; see: {error.ctx.command_path if error.ctx else 'zoo'} --help")  # type: ignore[attr-defined]
        sys.exit(error.exit_code)  # type: ignore[attr-defined]
    sys.exit(code if isinstance(code, int) else 0)


def _say(text: str) -> None:
    print(f"zoo: {' '.join(text.split())}", file=sys.stderr)
