"""Where `zoo predict` takes the predictors of a map from, and the coarse field that belongs to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date as Date

    import xarray as xr

    from zoo.inputs import Request
    from zoo.registry import Resolved
    from zoo.stack import Stack
    from zoo.stack.folder import StackFolder


@dataclass(frozen=True, slots=True)
class Source:
    """Predictors of a map, and where they come from: a request's granules, a folder by `zoo stack`, or rasters."""

    stack: Stack
    request: Request | None
    made: StackFolder | None
    day: str | None

    @classmethod
    def open(cls, arguments: list[str] | None, request: Request | None, names: list[str], date: str | None) -> Source:
        """Open what `--stack` or a request points at, of it the layers that are named.

        Raises
        ------
        UsageError
            If the stack that `zoo stack` made is of another date.
        """
        from zoo.errors import UsageError

        if request is not None:
            from zoo.inputs import open_stack

            return cls(open_stack(request, names), request, None, request.selection.date.isoformat())
        from zoo.granules import parse_date

        day = parse_date(date).isoformat() if date else None
        made = _made_by_zoo_stack(arguments)
        if made is None:
            return cls(_stack(arguments or []), None, None, day)
        held = made.record.date.isoformat()
        if day not in (None, held):
            msg = f"{made.folder} is the stack of {held}; leave out --date {day}, or make the stack of that day"
            raise UsageError(msg)
        return cls(made.only(names), None, made, held)

    @property
    def date(self) -> Date | None:
        """The day of the map."""
        from datetime import date

        return date.fromisoformat(self.day) if self.day else None

    def coarse(
        self, path: Path | None, correct: str | None, sensor: str | None, version: Resolved
    ) -> xr.DataArray | None:
        """Open the coarse field: a file that was named, or with `--correct` alone what belongs to the predictors."""
        from zoo.errors import UsageError
        from zoo.inputs import open_coarse, open_coarse_file

        if correct == "none":
            return None
        if path is not None:
            return open_coarse_file(path, self.stack.geobox)
        if correct is None:
            return None
        if self.made is not None:
            held = version.record.sensor if version.record.sensor in self.made.record.coarse else None
            return self.made.twin(sensor or held)[0]
        if self.request is None:
            msg = f"--correct {correct} needs the coarse soil moisture; give --coarse FILE"
            raise UsageError(msg)
        return open_coarse(self.request)


def _made_by_zoo_stack(arguments: list[str] | None) -> StackFolder | None:
    """Open the folder that `--stack` names if `zoo stack` made it."""
    from zoo.stack.record import NAME

    if not arguments or len(arguments) != 1 or not (Path(arguments[0]) / NAME).is_file():
        return None
    from zoo.stack.folder import StackFolder

    return StackFolder.open(Path(arguments[0]))


def _stack(arguments: list[str]) -> Stack:
    from zoo.stack import Stack

    if len(arguments) == 1 and "=" not in arguments[0]:
        return Stack.from_folder(Path(arguments[0]))
    return Stack.from_arguments(arguments)
