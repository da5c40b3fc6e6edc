"""Discovery of plugins through the entry-point group `zoo`.

A plugin that fails to import, raises in a hook or misspells one is listed with its error; the rest goes on.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, TypeVar

import pluggy

from zoo import hookspecs
from zoo.errors import MissingDependencyError, UnknownNameError, UsageError, ZooError
from zoo.types import DownscalerSpec, ExporterSpec, PredictorSpec, ReferenceSpec, SensorSpec

GROUP = "zoo"
Spec = TypeVar("Spec", SensorSpec, PredictorSpec, DownscalerSpec, ExporterSpec, ReferenceSpec)


@dataclass(slots=True)
class Plugin:
    """One entry point: where it comes from, what it brought, and what is wrong with it."""

    name: str
    distribution: str
    version: str
    module: object | None = None
    error: str | None = None
    provides: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Provided:
    """A spec together with the plugin that brought it."""

    spec: Any
    plugin: Plugin


class Host:
    """All plugins of an installation.

    Parameters
    ----------
    points : entry points to load; those of the group `zoo` by default
    """

    def __init__(self, points: Iterable[EntryPoint] | None = None) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        found = entry_points(group=GROUP) if points is None else points
        self.plugins = [self._load(point) for point in sorted(found, key=lambda point: point.name)]
        self._provided = {hook: self._collect(hook) for hook in _HOOKS}

    def _load(self, point: EntryPoint) -> Plugin:
        plugin = Plugin(
            point.name, point.dist.name if point.dist else "unknown", point.dist.version if point.dist else ""
        )
        try:
            module = point.load()
            misspelt = _misspelt_hooks(module)
            if misspelt:
                plugin.error = f"no such hook: {', '.join(misspelt)}; the hooks are {', '.join(sorted(_HOOKS))}"
            self._manager.register(module, name=f"{plugin.distribution}:{plugin.name}")
            plugin.module = module
        except Exception as error:  # a stranger's code: whatever it raises is shown, not passed on
            plugin.error = _one_line(error)
        return plugin

    def _collect(self, hook: str) -> list[Provided]:
        provided = []
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            plugin = next(plugin for plugin in self.plugins if plugin.module is implementation.plugin)
            try:
                specs = list(implementation.function())
                wrong = [spec for spec in specs if not isinstance(spec, _HOOKS[hook])]
                if wrong:
                    msg = f"{hook} returned {type(wrong[0]).__name__}, expected {_HOOKS[hook].__name__}"
                    raise TypeError(msg)
            except Exception as error:  # as above
                plugin.error = f"{hook}: {_one_line(error)}"
                continue
            provided += [Provided(spec, plugin) for spec in specs]
            plugin.provides[hook] = [spec.name for spec in specs]
        return provided

    def specs(self, kind: type[Spec]) -> dict[str, Spec]:
        """All specs of one kind by name.

        Raises
        ------
        UsageError
            If two plugins bring the same name: a wrong reader gives wrong science.
        """
        hook = next(hook for hook, cls in _HOOKS.items() if cls is kind)
        owners: dict[str, Provided] = {}
        for item in self._provided[hook]:
            other = owners.setdefault(item.spec.name, item)
            if other is not item:
                msg = (
                    f"The {_noun(kind)} {item.spec.name!r} is provided by both {_origin(other)} and "
                    f"{_origin(item)}; uninstall one of the two"
                )
                raise UsageError(msg)
        return {name: item.spec for name, item in owners.items()}

    def find(self, kind: type[Spec], name: str) -> Spec:
        """Find the spec with this name; an unknown name lists what there is and the nearest."""
        specs = self.specs(kind)
        if name not in specs:
            broken = [plugin.name for plugin in self.plugins if plugin.error]
            hint = f"Broken plugins: {', '.join(broken)}; see: zoo plugins" if broken else ""
            raise UnknownNameError(_noun(kind), name, specs, hint)
        return specs[name]

    def origin(self, kind: type[Spec], name: str) -> Plugin:
        """Return the plugin that brought a spec."""
        hook = next(hook for hook, cls in _HOOKS.items() if cls is kind)
        return next(item.plugin for item in self._provided[hook] if item.spec.name == name)


@cache
def host() -> Host:
    """Return the host over everything installed, discovered once a process."""
    return Host()


def load(reference: str, requires: Sequence[str] = (), *, what: str = "This plugin", extra: str = "all") -> Any:
    """Import the object behind `"module:Name"`.

    Raises
    ------
    MissingDependencyError
        If one of `requires` is not installed.
    ZooError
        If the module or the name in it does not exist.
    """
    for package in requires:
        if find_spec(package) is None:
            raise MissingDependencyError(what, package, extra)
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        msg = f"{what} names {reference!r}, which cannot be imported: {_one_line(error)}; see: zoo plugins"
        raise ZooError(msg) from error


def make(spec: SensorSpec | PredictorSpec | ReferenceSpec | ExporterSpec) -> Any:
    """Make the reader or exporter behind a spec."""
    reference = spec.exporter if isinstance(spec, ExporterSpec) else spec.reader
    factory: Callable[[], Any] = load(
        reference, spec.requires, what=f"{_noun(type(spec))} {spec.name!r}", extra="train"
    )
    return factory()


_HOOKS: dict[str, type] = {
    "zoo_sensors": SensorSpec,
    "zoo_predictors": PredictorSpec,
    "zoo_downscalers": DownscalerSpec,
    "zoo_exporters": ExporterSpec,
    "zoo_references": ReferenceSpec,
}


def _misspelt_hooks(module: object) -> list[str]:
    """Names in a plugin that are marked as hook or look like one, and are none."""
    marked = [
        name
        for name in dir(module)
        if hasattr(getattr(module, name, None), f"{hookspecs.PROJECT}_impl") and name not in _HOOKS
    ]
    return sorted(marked)


def _noun(kind: type) -> str:
    return kind.__name__.removesuffix("Spec").lower()


def _origin(item: Provided) -> str:
    return f"{item.plugin.distribution} (plugin {item.plugin.name!r})"


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
