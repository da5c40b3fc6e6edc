"""Work in steps that are remembered: a step whose inputs and outputs are unchanged is not done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from zoo import __version__
from zoo.errors import IntegrityError
from zoo.registry.files import replace_text, sha256
from zoo.registry.schema import Plain, Strict
from zoo.samples.fingerprint import digest_of

State = Literal["runs", "done", "kept"]
Tell = Callable[[str, State, str], None]
"""Called with the name of a step, its state, and the command that does it alone."""


class StepRecord(Strict):
    """A step that was done.

    Attributes
    ----------
    command : the single command that would do it again
    inputs : digest of all that decides its result
    outputs : files by path (below the folder where they lie there), with their sha256, or `bytes:` and their size
    facts : what later steps need to know of it
    """

    command: str
    inputs: str
    outputs: dict[str, str]
    facts: dict[str, Plain]


class Journal(Strict):
    """What stands in the file that remembers the steps: the plan that they follow, and the steps done."""

    format: int = 1
    plan: dict[str, Plain]
    steps: dict[str, StepRecord] = {}

    @classmethod
    def read(cls, path: Path) -> Journal | None:
        """Read it; None if there is none.

        Raises
        ------
        IntegrityError
            If the file is something else.
        """
        if not path.exists():
            return None
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (ValidationError, OSError, UnicodeDecodeError) as error:
            msg = f"{path} is not as zoo map writes it; remove it, or give another folder with -o"
            raise IntegrityError(msg) from error

    def write(self, path: Path) -> None:
        """Replace the file at once."""
        replace_text(path, self.model_dump_json(indent=1) + "\n")


@dataclass(slots=True)
class Result:
    """What a step did: files that it made, and facts for later steps."""

    outputs: tuple[Path, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    by_size: bool = False
    """Whether the files are too large to hash again at every start."""


class Steps:
    """The steps of one folder, done in order.

    Parameters
    ----------
    folder : where the steps work
    path : the journal
    journal : what was done before
    tell : hears of every step
    """

    def __init__(self, folder: Path, path: Path, journal: Journal, tell: Tell) -> None:
        self.folder, self.path, self.journal, self.tell = folder, path, journal, tell

    def do(self, name: str, command: str, inputs: Any, work: Callable[[], Result]) -> Mapping[str, Any]:
        """Do a step, unless it was done with the same inputs and all its files are as it left them.

        Returns
        -------
        The step's facts.
        """
        digest = digest_of([__version__, name, inputs])
        known = self.journal.steps.get(name)
        if known is not None and known.inputs == digest and self._intact(known):
            self.tell(name, "kept", command)
            return known.facts
        self.tell(name, "runs", command)
        result = work()
        outputs = {self._name(path): self._mark(path, result.by_size) for path in result.outputs}
        done = StepRecord(command=command, inputs=digest, outputs=outputs, facts=result.facts)
        self._remember(name, done)
        self.tell(name, "done", command)
        return done.facts

    def forget(self, name: str) -> None:
        """Let a step be done again."""
        left = {key: step for key, step in self.journal.steps.items() if key != name}
        self.journal = self.journal.model_copy(update={"steps": left})
        self.journal.write(self.path)

    def _remember(self, name: str, done: StepRecord) -> None:
        self.journal = self.journal.model_copy(update={"steps": {**self.journal.steps, name: done}})
        self.journal.write(self.path)

    def _intact(self, step: StepRecord) -> bool:
        return all(
            (self.folder / name).is_file() and self._mark(self.folder / name, mark.startswith("bytes:")) == mark
            for name, mark in step.outputs.items()
        )

    def _name(self, path: Path) -> str:
        inside = path.resolve().is_relative_to(self.folder.resolve())
        return path.resolve().relative_to(self.folder.resolve()).as_posix() if inside else str(path.resolve())

    @staticmethod
    def _mark(path: Path, by_size: bool) -> str:
        return f"bytes:{path.stat().st_size}" if by_size else sha256(path)
