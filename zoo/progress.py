"""Progress bars on stderr: for people, and only where stderr is a terminal.

Library code wraps its loops in `track` or `task`; nothing is shown until a command switches it on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
_enabled = False


def enable(on: bool) -> None:
    """Show progress from now on, if stderr is a terminal."""
    global _enabled
    _enabled = on and sys.stderr.isatty()


def track(items: Sequence[T] | Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate over items with a bar."""
    count = len(items) if total is None and isinstance(items, Sequence) else total
    with task(description, count) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def task(
    description: str, total: int | None, *, in_bytes: bool = False, unit: str = ""
) -> Iterator[Callable[[float], None]]:
    """Show a bar for work that is not a loop; call what is yielded with the steps done, or the bytes.

    With a `unit` the bar also says how many of them are done a second.
    """
    if not _enabled:
        yield lambda steps: None
        return
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, ProgressColumn, Task, TransferSpeedColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        """How many units are done a second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} {unit}/s" if speed else "", "progress.data.speed")

    columns = (
        *Progress.get_default_columns(),
        *((DownloadColumn(), TransferSpeedColumn()) if in_bytes else ()),
        *((Speed(),) if unit else ()),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(description, total=total)
        yield lambda steps: progress.advance(bar, steps)
