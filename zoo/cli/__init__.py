"""The command line: one module a command, imported light; `main` alone turns an error into an exit code."""

from __future__ import annotations

import os
import sys

import typer

from zoo.errors import ZooError

app = typer.Typer(
    name="zoo",
    help="Downscale satellite soil moisture to 1 km, with figures that you can defend.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _register() -> None:
    """Attach every command, once a process; each module defines `register(app)`."""
    if app.registered_commands:
        return
    from zoo.cli import (
        compare,
        demo,
        export,
        fetch,
        inspect,
        map,
        models,
        plugins,
        predict,
        reference,
        report,
        reproduce,
        screen,
        simulate,
        stack,
        table,
        train,
        validate,
    )

    modules = (
        inspect, train, export, predict, validate, compare, models, plugins, simulate, demo, reference, stack, table,
        screen, fetch,
        report, reproduce, map,
    )  # fmt: skip
    for module in modules:
        module.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the program; a `ZooError` becomes one line on stderr and its exit code."""
    _register()
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
