"""From `name`, `name@vN` or `name@alias` to one version."""

from __future__ import annotations

from zoo.errors import UnknownNameError, UsageError
from zoo.registry.layers import View
from zoo.types import ModelRef, is_name

DEFAULT = "default"
"""The alias that a bare name means, where it is set."""


def choose(view: View, ref: ModelRef) -> int:
    """Return the version number that a reference means.

    A bare name is its alias `default`, else its highest version.

    Raises
    ------
    UnknownNameError
        If there is no such model, version or alias; the message lists what there is.
    """
    kind = "model"
    versions, aliases = view.versions(ref.name), view.aliases(ref.name)
    if not versions:
        raise UnknownNameError(kind, ref.name, view.names(), f"{_absent(view)}See: zoo models list")
    if ref.selector is None:
        return aliases.get(DEFAULT, max(versions))
    number = aliases.get(ref.selector) if ref.version is None else ref.version
    if number is None or number not in versions:
        known = [f"{ref.name}@{selector}" for selector in (*(f"v{n}" for n in versions), *aliases)]
        raise UnknownNameError(kind, str(ref), known, f"See: zoo models show {ref.name}")
    return number


def parse_name(text: str) -> str:
    """Check a bare model name, as given to `zoo train --name`.

    Raises
    ------
    UsageError
        If it holds anything but lower-case letters, digits, `.`, `_` and `-`, or has a selector.
    """
    ref = ModelRef.parse(text)
    if ref.selector is not None:
        msg = f"{text!r} names a version, but the registry numbers versions; give a bare name: {ref.name}"
        raise UsageError(msg)
    return ref.name


def parse_alias(text: str) -> str:
    """Check an alias; `vN` is taken by versions.

    Raises
    ------
    UsageError
        If it looks like a version or holds characters that a reference cannot.
    """
    if not is_name(text):
        msg = (
            f"{text!r} cannot be an alias; give a word of lower-case letters, digits, '.', '_' and '-', for example "
            "default or best"
        )
        raise UsageError(msg)
    if ModelRef("", text).version is not None:
        msg = f"{text!r} cannot be an alias, v1, v2 ... are versions; give a word such as default or best"
        raise UsageError(msg)
    return text


def _absent(view: View) -> str:
    """Say that the registry file that was asked for does not exist: reading it as empty may hide a typing error."""
    nearest = view.layers[0]
    asked = nearest.origin in ("--registry", "SMZOO_REGISTRY")
    return f"{nearest.origin} {nearest.path} does not exist. " if asked and not nearest.path.exists() else ""
