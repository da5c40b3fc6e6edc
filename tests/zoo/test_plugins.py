import sys
import types
from importlib.metadata import EntryPoint

import pytest

from zoo import SensorSpec, hookimpl
from zoo.errors import MissingDependencyError, UnknownNameError, UsageError, ZooError
from zoo.plugins import Host, load
from zoo.types import DownscalerSpec


def plugin_module(monkeypatch: pytest.MonkeyPatch, name: str, **functions: object) -> EntryPoint:
    module = types.ModuleType(name)
    for key, function in functions.items():
        setattr(module, key, function)
    monkeypatch.setitem(sys.modules, name, module)
    return EntryPoint(name, name, "zoo")


def sensors(*names: str) -> object:
    @hookimpl
    def zoo_sensors() -> list[SensorSpec]:
        return [SensorSpec(name, name, "nowhere:Reader", (f"{name}*.nc",), "any") for name in names]

    return zoo_sensors


def test_a_plugin_that_cannot_be_imported_is_listed_and_the_rest_goes_on(monkeypatch):
    good = plugin_module(monkeypatch, "good", zoo_sensors=sensors("smos"))
    host = Host([EntryPoint("missing", "no_such_module_here", "zoo"), good])
    states = {plugin.name: plugin.error for plugin in host.plugins}
    assert states["good"] is None
    assert "No module named 'no_such_module_here'" in str(states["missing"])
    assert list(host.specs(SensorSpec)) == ["smos"]


def test_a_plugin_that_raises_in_its_hook_is_listed_and_the_rest_goes_on(monkeypatch):
    @hookimpl
    def zoo_sensors() -> list[SensorSpec]:
        msg = "no licence"
        raise RuntimeError(msg)

    bad = plugin_module(monkeypatch, "bad", zoo_sensors=zoo_sensors)
    good = plugin_module(monkeypatch, "good", zoo_sensors=sensors("smos"))
    host = Host([bad, good])
    assert next(p.error for p in host.plugins if p.name == "bad") == "zoo_sensors: RuntimeError: no licence"
    assert list(host.specs(SensorSpec)) == ["smos"]


def test_a_misspelt_hook_is_named_with_the_hooks_that_there_are(monkeypatch):
    @hookimpl
    def zoo_sensor() -> list[SensorSpec]:
        return []

    host = Host([plugin_module(monkeypatch, "typo", zoo_sensor=zoo_sensor)])
    assert "no such hook: zoo_sensor" in str(host.plugins[0].error)
    assert "zoo_sensors" in str(host.plugins[0].error)


def test_a_hook_that_returns_something_else_is_listed(monkeypatch):
    @hookimpl
    def zoo_sensors() -> list[str]:
        return ["smap"]

    host = Host([plugin_module(monkeypatch, "wrong", zoo_sensors=zoo_sensors)])
    assert "returned str, expected SensorSpec" in str(host.plugins[0].error)


def test_two_sensors_of_one_name_are_an_error_that_names_both(monkeypatch):
    host = Host(
        [
            plugin_module(monkeypatch, "first", zoo_sensors=sensors("smos")),
            plugin_module(monkeypatch, "second", zoo_sensors=sensors("smos")),
        ]
    )
    with pytest.raises(UsageError, match=r"sensor 'smos' is provided by both .*'first'.* and .*'second'"):
        host.specs(SensorSpec)


def test_an_unknown_name_lists_what_there_is_and_the_nearest(monkeypatch):
    host = Host([plugin_module(monkeypatch, "good", zoo_sensors=sensors("smos", "smap"))])
    with pytest.raises(UnknownNameError, match=r"No sensor named 'smpa'; there is: smap, smos. Did you mean 'smap'\?"):
        host.find(SensorSpec, "smpa")


def test_built_ins_come_through_the_entry_points():
    host = Host()
    assert {"smap", "amsr2"} <= set(host.specs(SensorSpec))
    assert {"dbn", "rf"} <= set(host.specs(DownscalerSpec))
    assert [
        plugin.error for plugin in host.plugins if plugin.distribution == "soil-moisture-zoo" and plugin.error
    ] == []


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    with pytest.raises(MissingDependencyError, match=r"needs the package 'no_such_package'.*pip install"):
        load("json:loads", ["no_such_package"], what="Downscaler 'x'", extra="train")


def test_a_reference_that_leads_nowhere_is_one_line():
    with pytest.raises(ZooError, match="names 'json:no_such_name', which cannot be imported"):
        load("json:no_such_name")
