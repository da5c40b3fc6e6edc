"""Strangers' plugins that are broken, or claim a name that is taken: installed by pip into a folder of their own."""

from typing import Any

import pytest

pytestmark = pytest.mark.packaging

CANNOT_BE_IMPORTED = "import a_package_that_nobody_has\n"

MISSPELT = """from zoo import SensorSpec, hookimpl

@hookimpl
def zoo_sensor():
    return []
"""

TAKES_SMAP = """from zoo import SensorSpec, hookimpl

@hookimpl
def zoo_sensors():
    return [SensorSpec("smap", "another SMAP", "other_smap:Reader", ("SMAP_*.h5",), "EASE-Grid 2.0 M36")]
"""


def listed(extended: Any, site: object, name: str) -> dict[str, Any]:
    plugins = extended.json("zoo", "plugins", PYTHONPATH=str(site))["plugins"]
    built_in = [plugin["error"] for plugin in plugins if plugin["distribution"] == "soil-moisture-zoo"]
    assert len(built_in) >= 9
    assert not any(built_in)
    return next(plugin for plugin in plugins if plugin["name"] == name)


def test_broken_plugins_are_listed_with_their_distribution_and_the_rest_works(extended, scene, installed_beside):
    installed_beside("cannot-be-imported", CANNOT_BE_IMPORTED)
    site = installed_beside("misspelt-hook", MISSPELT)
    broken = listed(extended, site, "cannot_be_imported")
    assert (broken["distribution"], broken["version"]) == ("cannot-be-imported", "0.7")
    assert broken["error"] == "ModuleNotFoundError: No module named 'a_package_that_nobody_has'"
    misspelt = listed(extended, site, "misspelt_hook")
    assert misspelt["distribution"] == "misspelt-hook"
    assert "no such hook: zoo_sensor;" in misspelt["error"]
    seen = extended.json("zoo", "inspect", next((scene / "smap").glob("*.h5")), PYTHONPATH=str(site))
    assert seen["files"][0]["plugin"] == "smap"


def test_two_sensors_of_one_name_are_an_error_that_names_both_distributions(extended, scene, installed_beside):
    site = installed_beside("other-smap", TAKES_SMAP)
    granule = next((scene / "smap").glob("*.h5"))
    place = ("--sensor", "smap", "--data", scene, "--area", "115", "41", "117", "43", "--date", "2019-09-25")
    for command in (("inspect", granule), ("train", "rf", *place)):
        done = extended.run("zoo", *command, PYTHONPATH=str(site))
        assert done.returncode == 2, done.stderr
        assert "other-smap" in done.stderr
        assert "soil-moisture-zoo" in done.stderr
        assert done.stderr.count("\n") == 1
