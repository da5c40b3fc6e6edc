"""Write the help text of every command, as the tests compare it: `python tests/golden/write.py [FOLDER]`."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FIXED = {"COLUMNS": "100", "TERM": "xterm", "NO_COLOR": "1"}
COLOURING = ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TERMINAL_WIDTH", "LINES")
"""Variables that make typer and rich draw otherwise."""


def main() -> None:
    """Write `<command>.txt` into a folder, by default the one of this file, and remove those of commands gone."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    fix_terminal()
    texts = {"-".join(command) or "zoo": help_of(command) for command in commands()}
    for stale in {path.stem for path in folder.glob("*.txt")} - set(texts):
        (folder / f"{stale}.txt").unlink()
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def fix_terminal() -> None:
    """Give the width and take the colours, before typer looks."""
    os.environ.update(FIXED)
    for name in COLOURING:
        os.environ.pop(name, None)


def commands() -> Iterator[tuple[str, ...]]:
    """Name every command, from the program itself to those inside a group."""
    from zoo.cli.commands import COMMANDS, load

    def below(command: Any, name: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield name
        for child, inner in getattr(command, "commands", {}).items():
            yield from below(inner, (*name, child))

    yield ()
    for task in COMMANDS.values():
        for name in task:
            yield from below(load(name), (name,))


def help_of(command: tuple[str, ...]) -> str:
    """Return what `zoo COMMAND --help` prints, without blanks at line ends."""
    from zoo.cli import main as run

    printed = io.StringIO()
    sys.argv[0] = "zoo"
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        run([*command, "--help"])
    return "\n".join(line.rstrip() for line in printed.getvalue().strip("\n").split("\n")) + "\n"


if __name__ == "__main__":
    main()
