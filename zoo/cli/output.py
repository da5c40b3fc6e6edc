"""One sink for everything a command prints: tables for people, JSON for programs, nothing when quiet."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo import progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but errors and, with --json, the result.")
]


class Output:
    """Where a command's result and remarks go.

    Results go to stdout, remarks and progress to stderr.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        progress.enable(not quiet)

    def result(self, payload: Mapping[str, Any], show: Callable[[Console], None]) -> None:
        """Print a result: `payload` with `--json`, else whatever `show` prints on the console."""
        if self.as_json:
            json.dump(payload, sys.stdout, indent=2, default=str, allow_nan=False)
            sys.stdout.write("\n")
        elif not self.quiet:
            from rich.console import Console

            width = None if sys.stdout.isatty() else 120
            show(Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=width))

    def note(self, text: str) -> None:
        """Print a remark for people on stderr."""
        if not self.quiet:
            print(text, file=sys.stderr)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[str] = ()) -> Table:
    """Make a plain table; columns named in `right` are right-aligned."""
    from rich import box
    from rich.table import Table

    drawn = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*("" if cell is None else str(cell) for cell in row))
    return drawn
