"""Every hook is documented with its signature, and some built-in plugin implements it."""

import inspect
from pathlib import Path

import pytest

from zoo import hookspecs
from zoo.plugins import Host

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"
HOOKS = [name for name in dir(hookspecs) if name.startswith("zoo_")]


def test_there_are_five_hooks():
    assert HOOKS == ["zoo_downscalers", "zoo_exporters", "zoo_predictors", "zoo_references", "zoo_sensors"]


@pytest.mark.parametrize("name", HOOKS)
def test_the_page_on_plugins_shows_the_signature(name):
    signature = str(inspect.signature(getattr(hookspecs, name))).replace("'", "")
    assert f"`{name}{signature}`" in PAGE.read_text()


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_takes_no_argument_and_has_one_sentence(name):
    hook = getattr(hookspecs, name)
    assert not inspect.signature(hook).parameters
    assert (hook.__doc__ or "").count(".") == 1


@pytest.mark.parametrize("name", HOOKS)
def test_a_built_in_plugin_implements_it_through_the_entry_points(name):
    built_in = [plugin for plugin in Host().plugins if plugin.distribution == "soil-moisture-zoo"]
    assert any(plugin.provides.get(name) for plugin in built_in)
