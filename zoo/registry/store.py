"""The registry: read without a lock, written by one writer at a time, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from zoo.errors import DataError, UnknownNameError, UsageError, ZooError
from zoo.registry import files as disk
from zoo.registry.layers import Layer, View, visible_layers
from zoo.registry.reference import choose, parse_alias, parse_name
from zoo.registry.resolved import Problem, Resolved, find, problem_of
from zoo.registry.schema import (
    Addition,
    AliasMove,
    Artefact,
    Document,
    Model,
    ScoreRecord,
    VersionRecord,
    dump,
    now,
)
from zoo.types import ModelRef, Score

Entry = TypeVar("Entry", VersionRecord, Addition)

LOCK_SECONDS = 120
"""How long a writer waits for another before it gives up."""


class Registry:
    """Models by name, version and alias; see `Registry.open`.

    Parameters
    ----------
    layers : registry files, nearest first; the first is the one that is written
    """

    def __init__(self, layers: list[Layer]) -> None:
        self.layers = layers

    @classmethod
    def open(cls, path: Path | None = None) -> Registry:
        """Open the layers that are visible: `path`, `SMZOO_REGISTRY`, the user's, the published one.

        Writes go to the first of them that is given, else to the user's; never to the published one, except
        when `path` names it and `SMZOO_PUBLISH=1` is set. Nothing is read or made yet.

        Raises
        ------
        UsageError
            If a path given is a folder.
        """
        return cls(visible_layers(path))

    def resolve(self, ref: str | ModelRef) -> Resolved:
        """Find the version that `name`, `name@vN` or `name@alias` means.

        Raises
        ------
        UnknownNameError
            If there is none; the message lists what there is.
        """
        wanted = ModelRef.parse(ref) if isinstance(ref, str) else ref
        view = View.read(self.layers)
        return find(view, wanted.name, choose(view, wanted))

    def list(self) -> list[Resolved]:
        """Return every visible version, by name and number."""
        view = View.read(self.layers)
        return [find(view, name, number) for name in view.names() for number in view.versions(name)]

    def newest(self) -> Resolved:
        """Return the version that was made last, whatever its name.

        Raises
        ------
        ZooError
            If there is no model at all.
        """
        found = self.list()
        if not found:
            msg = "There is no model in any registry; make one with: zoo train dbn"
            raise ZooError(msg)
        return max(found, key=lambda item: item.record.created)

    def add(self, name: str, record: VersionRecord | Mapping[str, Any], files: Mapping[str, Path]) -> Resolved:
        """Add a version under the next free number, its files copied beside the registry.

        Parameters
        ----------
        name : bare model name
        record : what training knows, or its fields; the artefacts are filled in here
        files : kind of artefact -> file, copied under its own name

        Raises
        ------
        UsageError
            If the name is none, or two files have the same name.
        DataError
            If one of `files` does not exist.
        ZooError
            If the registry cannot be written.
        """
        name, known = parse_name(name), VersionRecord.model_validate(record)
        _check_sources(files)
        with self._writing() as document:
            version = View.read(self.layers).last(name) + 1
            artefacts = self._shelve(name, version, files)
            model = document.models.get(name, Model())
            versions = model.versions | {f"v{version}": known.model_copy(update={"artefacts": artefacts})}
            self._save(document, name, model.model_copy(update={"versions": versions, "last": version}))
        return self.resolve(f"{name}@v{version}")

    def append_artefact(self, ref: str | ModelRef, kind: str, path: Path, **facts: Any) -> Resolved:
        """Append an artefact to a version; the same file again changes nothing.

        Parameters
        ----------
        facts : `opset`, `inputs`, `outputs`, `parity` (max, p99.9, n, provider), as an exporter returns them

        Raises
        ------
        UsageError
            If the version has another artefact of this kind: what is registered never changes.
        """
        _check_sources({kind: path})
        with self._writing() as document:
            found = self.resolve(ref)
            if found.has(kind):
                _same_or_refuse(found, kind, path)
                return found
            folder = self.layers[0].shelf / found.ref.name / str(found.ref.selector)
            taken = [kind for kind, item in found.record.artefacts.items() if Path(item.path).name == path.name]
            if taken:
                msg = f"{found.ref} has a file {path.name} already (its {taken[0]}); give another name"
                raise UsageError(msg)
            (self.layers[0].folder / folder).mkdir(parents=True, exist_ok=True)
            disk.copy(path, self.layers[0].folder / folder / path.name)
            self._append(document, found, artefacts={kind: self._artefact(folder / path.name, facts)})
        return self.resolve(found.ref)

    def append_scores(
        self, ref: str | ModelRef, scores: Iterable[Score], context: Mapping[str, Any] | None = None
    ) -> Resolved:
        """Append scores to a version; `context` may hold `region`, `period` and `details`."""
        with self._writing() as document:
            found = self.resolve(ref)
            self._append(document, found, scores=score_records(scores, context))
        return self.resolve(found.ref)

    def set_alias(self, name: str, alias: str, version: int | None) -> None:
        """Point an alias to a version, or take it away with None; the move is logged.

        Raises
        ------
        UnknownNameError
            If there is no such model or version, or no such alias to take away.
        UsageError
            If the alias to take away is set in another registry than the writable one.
        """
        name, alias = parse_name(name), parse_alias(alias)
        self._check_alias(name, alias, version)  # before a folder is made for a registry that is not there yet
        with self._writing() as document:
            self._check_alias(name, alias, version)
            before, model = View.read(self.layers).aliases(name).get(alias), document.models.get(name, Model())
            aliases = {key: value for key, value in model.aliases.items() if key != alias}
            aliases |= {alias: f"v{version}"} if version is not None else {}
            move = AliasMove.model_validate({"time": now(), "alias": alias, "from": _key(before), "to": _key(version)})
            self._save(
                document,
                name,
                model.model_copy(update={"aliases": aliases, "alias_log": (*model.alias_log, move)}),
            )

    def _check_alias(self, name: str, alias: str, version: int | None) -> None:
        """Refuse a version that is not there, or an alias that cannot be taken away from the writable registry."""
        view = View.read(self.layers)
        choose(view, ModelRef(name, f"v{version}" if version is not None else None))
        if version is not None:
            return
        known, holder = view.aliases(name), view.holder(name, alias)
        if holder is None:
            kind = f"alias of {name}"
            raise UnknownNameError(kind, alias, known, f"See: zoo models show {name}")
        if holder != self._writable():
            fixed = f"is published with the program; point it elsewhere: zoo models alias {name}@vN {alias}"
            msg = (
                f"{name}@{alias} {fixed if holder.closed else f'is set in {holder.path}; add --registry {holder.path}'}"
            )
            raise UsageError(msg)

    def remove(self, ref: str | ModelRef) -> ModelRef:
        """Remove a version and its files; its number is never given out again.

        Raises
        ------
        UsageError
            If the reference has no version number, an alias points to the version, or it lives in a registry
            other than the writable one.
        """
        wanted = ModelRef.parse(ref) if isinstance(ref, str) else ref
        with self._writing() as document:
            found = self.resolve(wanted)
            _check_removable(wanted, found, self.layers[0])
            model = document.models[found.ref.name]
            left = {key: record for key, record in model.versions.items() if key != found.ref.selector}
            last = View.read(self.layers).last(found.ref.name)
            self._save(document, found.ref.name, model.model_copy(update={"versions": left, "last": last}))
            layer = self.layers[0]
            shutil.rmtree(layer.folder / layer.shelf / found.ref.name / str(found.ref.selector), ignore_errors=True)
        return found.ref

    def verify(self, ref: str | ModelRef | None = None) -> tuple[Problem, ...]:
        """Hash the artefacts of one version, or of all, and return what is wrong; empty if all is well."""
        found = self.list() if ref is None else [self.resolve(ref)]
        problems = [
            Problem(str(item.ref), kind, f"{item.locate(kind)} {problem}")
            for item in found
            for kind, artefact in item.record.artefacts.items()
            if (problem := problem_of(item.locate(kind), artefact))
        ]
        hidden = View.read(self.layers).hidden() if ref is None else ()
        for name, number, above, below in hidden:
            problems.append(Problem(f"{name}@v{number}", "", f"in {below.path} is hidden by the one in {above.path}"))
        return tuple(problems)

    @property
    def target(self) -> Path:
        """The file that is written."""
        return self._writable().path

    def _writable(self) -> Layer:
        layer = self.layers[0]
        if layer.closed:
            msg = f"{layer.path} is the published registry, which is only read; give another with --registry"
            raise UsageError(msg)
        return layer

    @contextmanager
    def _writing(self) -> Iterator[Document]:
        layer = self._writable()
        try:
            layer.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{layer.path}.lock", timeout=LOCK_SECONDS):
                yield layer.read()
        except Timeout as error:
            msg = f"another program has held {layer.path}.lock for {LOCK_SECONDS} s; wait for it or end it"
            raise ZooError(msg) from error
        except OSError as error:
            msg = f"cannot write the registry {layer.path} ({error}); give another with --registry"
            raise ZooError(msg) from error

    def _save(self, document: Document, name: str, model: Model) -> None:
        changed = document.model_copy(update={"models": document.models | {name: model}})
        disk.replace_text(self.layers[0].path, dump(changed))

    def _shelve(self, name: str, version: int, files: Mapping[str, Path]) -> dict[str, Artefact]:
        """Put files into the version's folder, which appears whole; a dead writer's remains make way."""
        layer = self.layers[0]
        shelf = layer.folder / layer.shelf / name
        staging, final = shelf / ".staging", shelf / f"v{version}"
        for remains in (staging, final):
            shutil.rmtree(remains, ignore_errors=True)
        staging.mkdir(parents=True)
        for path in files.values():
            disk.copy(path, staging / path.name)
        os.replace(staging, final)
        disk.sync_folder(shelf)
        folder = layer.shelf / name / final.name
        return {kind: self._artefact(folder / path.name, {}) for kind, path in files.items()}

    def _artefact(self, path: Path, facts: Mapping[str, Any]) -> Artefact:
        stored = self.layers[0].folder / path
        return Artefact.model_validate(
            {
                "path": path.as_posix(),
                "sha256": disk.sha256(stored),
                "bytes": stored.stat().st_size,
                "created": now(),
                **facts,
            }
        )

    def _append(
        self,
        document: Document,
        found: Resolved,
        artefacts: Mapping[str, Artefact] | None = None,
        scores: tuple[ScoreRecord, ...] = (),
    ) -> None:
        """Write artefacts and scores into the version if it lives here, else beside it as an addition."""
        name, key = found.ref.name, str(found.ref.selector)
        model = document.models.get(name, Model())

        def extended(entry: Entry) -> Entry:
            grown = {"artefacts": entry.artefacts | dict(artefacts or {}), "scores": (*entry.scores, *scores)}
            return entry.model_copy(update=grown)

        if found.layer == self.layers[0]:
            update: dict[str, Any] = {"versions": model.versions | {key: extended(model.versions[key])}}
        else:
            added = model.additions.get(key)
            if added is None or added.created != found.record.created:
                added = Addition(created=found.record.created)
            update = {"additions": model.additions | {key: extended(added)}}
        self._save(document, name, model.model_copy(update=update))


def score_records(scores: Iterable[Score], context: Mapping[str, Any] | None = None) -> tuple[ScoreRecord, ...]:
    """Turn scores into registry entries; `context` may hold `region`, `period` and `details`."""
    return tuple(ScoreRecord.model_validate({**asdict(score), **(context or {})}) for score in scores)


def _key(version: int | None) -> str | None:
    return None if version is None else f"v{version}"


def _check_sources(files: Mapping[str, Path]) -> None:
    for path in files.values():
        if not path.is_file():
            msg = f"artefact {path} does not exist or is no file"
            raise DataError(msg)
    if len({path.name for path in files.values()}) < len(files):
        msg = f"two artefacts have the same file name: {', '.join(str(path) for path in files.values())}"
        raise UsageError(msg)


def _same_or_refuse(found: Resolved, kind: str, path: Path) -> None:
    if disk.sha256(path) != found.record.artefacts[kind].sha256:
        msg = (
            f"{found.ref} already has another artefact {kind!r}, and what is registered never changes; "
            "train a new version or remove this one (zoo models remove)"
        )
        raise UsageError(msg)


def _check_removable(wanted: ModelRef, found: Resolved, writable: Layer) -> None:
    if wanted.version is None:
        msg = f"{wanted} names no version to remove; say which, for example zoo models remove {found.ref}"
    elif found.layer.closed:
        msg = f"{found.ref} is published with the program and cannot be removed"
    elif found.layer != writable:
        msg = f"{found.ref} lives in {found.layer.path}; add --registry {found.layer.path}"
    elif found.aliases:
        first = found.aliases[0]
        msg = (
            f"{found.ref} has the alias {', '.join(found.aliases)}; move it first (zoo models alias "
            f"{found.ref.name}@vN {first}) or take it away (zoo models alias {found.ref} {first} --delete)"
        )
    else:
        return
    raise UsageError(msg)
