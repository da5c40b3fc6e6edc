"""The registry files that are visible, nearest first, and what they say together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_dir

from zoo.errors import DataError, UsageError
from zoo.registry.schema import Addition, Document, Model, VersionRecord, parse

PUBLISHED = Path(__file__).resolve().parent.parent / "published" / "registry.json"
"""The registry that ships with the program; only ever read."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One registry file; it may not exist yet.

    Attributes
    ----------
    path : the file itself, links followed, so that artefacts are found beside it
    origin : who named it: `--registry`, `SMZOO_REGISTRY`, `user` or `published`
    """

    path: Path
    origin: str

    @property
    def closed(self) -> bool:
        """Whether this is the published registry, and nobody is publishing."""
        return self.path == PUBLISHED and not publishing()

    @property
    def folder(self) -> Path:
        """What artefact paths are relative to."""
        return self.path.parent

    @property
    def shelf(self) -> Path:
        """Where artefacts are put, relative to `folder`; two registries in one folder do not share it."""
        return Path() if self.path.name == "registry.json" else Path(f"{self.path.stem}.files")

    def read(self) -> Document:
        """Read the file without a lock; one that does not exist is empty.

        Raises
        ------
        IntegrityError
            See `schema.parse`.
        DataError
            If the file cannot be read.
        """
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return Document()
        except (OSError, UnicodeDecodeError) as error:
            msg = f"cannot read the registry {self.path} ({error}); give another with --registry"
            raise DataError(msg) from error
        return parse(text, self.path)


def user_registry() -> Path:
    """Return the user's own registry file; `SMZOO_DATA_DIR` moves it."""
    folder = os.environ.get("SMZOO_DATA_DIR") or user_data_dir("soil-moisture-zoo", appauthor=False)
    return Path(folder) / "registry.json"


def visible_layers(given: Path | None) -> list[Layer]:
    """List the layers in the order in which they are read: given, environment, user's, published.

    Publishing (`SMZOO_PUBLISH=1` with the published file given) sees the published file alone, so that its
    version numbers do not depend on what the publisher has at home.

    Raises
    ------
    UsageError
        If a path given is a folder.
    """
    named = [(given, "--registry"), (_from_environment(), "SMZOO_REGISTRY")]
    layers = [Layer(_file(path, origin), origin) for path, origin in named if path is not None]
    if layers and layers[0].path == PUBLISHED and publishing():
        return layers[:1]
    layers += [Layer(user_registry().expanduser().resolve(), "user"), Layer(PUBLISHED, "published")]
    seen: dict[Path, Layer] = {}
    for layer in layers:
        seen.setdefault(layer.path, layer)
    return list(seen.values())


def publishing() -> bool:
    """Whether the published registry may be written."""
    return os.environ.get("SMZOO_PUBLISH") == "1"


def _from_environment() -> Path | None:
    text = os.environ.get("SMZOO_REGISTRY")
    return Path(text) if text else None


def _file(path: Path, origin: str) -> Path:
    resolved = path.expanduser().resolve()
    if resolved.is_dir():
        msg = f"{origin} {path} is a folder; give a file, for example {path / 'registry.json'}"
        raise UsageError(msg)
    return resolved


@dataclass(frozen=True, slots=True)
class View:
    """What the layers say together; a layer above hides the same version of one below."""

    layers: Sequence[Layer]
    documents: Sequence[Document]

    @classmethod
    def read(cls, layers: Sequence[Layer]) -> View:
        """Read every layer."""
        return cls(layers, [layer.read() for layer in layers])

    def names(self) -> list[str]:
        """List the models that have a version."""
        return sorted(
            {name for document in self.documents for name, model in document.models.items() if model.versions}
        )

    def versions(self, name: str) -> dict[int, tuple[Layer, VersionRecord]]:
        """Return the versions of a model by number, ascending, without additions."""
        found: dict[int, tuple[Layer, VersionRecord]] = {}
        for layer, model in self._models(name):
            for key, record in model.versions.items():
                found.setdefault(int(key[1:]), (layer, record))
        return dict(sorted(found.items()))

    def aliases(self, name: str) -> dict[str, int]:
        """Return the aliases of a model that point to a visible version."""
        known = self.versions(name)
        found: dict[str, int] = {}
        for _, model in self._models(name):
            for alias, key in model.aliases.items():
                if int(key[1:]) in known:
                    found.setdefault(alias, int(key[1:]))
        return dict(sorted(found.items()))

    def holder(self, name: str, alias: str) -> Layer | None:
        """Return the nearest layer that sets an alias of a model; None if none does."""
        return next((layer for layer, model in self._models(name) if alias in model.aliases), None)

    def additions(self, name: str, version: int, record: VersionRecord) -> Iterator[tuple[Layer, Addition]]:
        """Yield what other layers add to a version, the lowest layer first."""
        for layer, model in reversed(list(self._models(name))):
            addition = model.additions.get(f"v{version}")
            if addition and addition.created == record.created:
                yield layer, addition

    def last(self, name: str) -> int:
        """Return the highest version number that was ever given out or is referred to."""
        numbers = [0]
        for _, model in self._models(name):
            numbers += [model.last, *(int(key[1:]) for key in (*model.versions, *model.additions))]
        return max(numbers)

    def hidden(self) -> Iterator[tuple[str, int, Layer, Layer]]:
        """Yield (name, version, layer that hides, layer hidden) for different versions under one number."""
        for name in self.names():
            shown = self.versions(name)
            for layer, model in self._models(name):
                for key, record in model.versions.items():
                    above, winner = shown[int(key[1:])]
                    if winner.created != record.created:
                        yield name, int(key[1:]), above, layer

    def _models(self, name: str) -> Iterator[tuple[Layer, Model]]:
        for layer, document in zip(self.layers, self.documents, strict=True):
            if name in document.models:
                yield layer, document.models[name]
