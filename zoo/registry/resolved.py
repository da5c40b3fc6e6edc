"""A version of a model as its readers see it: the record, merged over layers, and its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import IntegrityError, UnknownNameError
from zoo.registry.files import sha256
from zoo.registry.layers import Layer, View
from zoo.registry.schema import Artefact, VersionRecord
from zoo.types import ModelRef


@dataclass(frozen=True, slots=True)
class Resolved:
    """One version, found.

    Attributes
    ----------
    ref : `name@vN`
    record : what is known of it, additions of other layers included
    layer : the registry file that it lives in
    folders : kind of artefact -> folder that its path is relative to
    aliases : aliases that point to it
    """

    ref: ModelRef
    record: VersionRecord
    layer: Layer
    folders: Mapping[str, Path]
    aliases: tuple[str, ...] = ()

    def has(self, kind: str) -> bool:
        """Whether the version has an artefact of this kind."""
        return kind in self.record.artefacts

    def locate(self, kind: str) -> Path:
        """Return the absolute path of an artefact, unread.

        Raises
        ------
        UnknownNameError
            If the version has none of this kind.
        """
        if not self.has(kind):
            hint = f"Make it with: zoo export {kind} --model {self.ref}"
            what = f"artefact of {self.ref}"
            raise UnknownNameError(what, kind, self.record.artefacts, hint)
        return self.folders[kind] / self.record.artefacts[kind].path

    def path(self, kind: str) -> Path:
        """Return the absolute path of an artefact, after its sha256 was compared with the registry.

        Raises
        ------
        IntegrityError
            If the file is gone or is not the one that was registered.
        UnknownNameError
            If the version has none of this kind.
        """
        path = self.locate(kind)
        if problem := problem_of(path, self.record.artefacts[kind]):
            msg = f"{self.ref} {kind}: {path} {problem}; restore it or use another version: zoo models list"
            raise IntegrityError(msg)
        return path


@dataclass(frozen=True, slots=True)
class Problem:
    """What `Registry.verify` found wrong."""

    model: str
    artefact: str
    problem: str


def find(view: View, name: str, number: int) -> Resolved:
    """Put together what the layers know of a version that is there."""
    layer, record = view.versions(name)[number]
    folders = dict.fromkeys(record.artefacts, layer.folder)
    artefacts, scores = dict(record.artefacts), record.scores
    for above, addition in view.additions(name, number, record):
        new = {kind: item for kind, item in addition.artefacts.items() if kind not in artefacts}
        artefacts |= new
        folders |= dict.fromkeys(new, above.folder)
        scores += addition.scores
    aliases = tuple(alias for alias, target in view.aliases(name).items() if target == number)
    merged = record.model_copy(update={"artefacts": artefacts, "scores": scores})
    return Resolved(ModelRef(name, f"v{number}"), merged, layer, folders, aliases)


def problem_of(path: Path, artefact: Artefact) -> str | None:
    """Say what is wrong with an artefact's file, None if nothing."""
    if not path.is_file():
        return "is missing"
    found = sha256(path)
    if found != artefact.sha256:
        return f"has sha256 {found[:12]}..., registered is {artefact.sha256[:12]}...: it was changed"
    return None
