"""`zoo map` against the archive on the loopback: the same map as from the folder that the archive serves."""

import importlib.util
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from zoo.errors import ZooError
from zoo.mapping.workflow import Plan, make_map
from zoo.predictors import PAPER
from zoo.registry import Registry


def load_archive():
    """Import the archive of the tests of fetching: pytest's import mode puts no test folder on the path."""
    path = Path(__file__).parents[1] / "fetch" / "archive.py"
    spec = importlib.util.spec_from_file_location("loopback_archive", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(spec.name, module)
    spec.loader.exec_module(module)
    return module


loopback = load_archive()
BOX = (115.0, 41.0, 117.0, 43.0)


@pytest.fixture
def archive(monkeypatch, tmp_path, scene):
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    with loopback.running() as made:
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        loopback.serve_scene(made, scene.folder, scene.date, BOX)
        yield made


@pytest.fixture
def plan(scene):
    return Plan(
        area=scene.area.bounds,
        date=scene.date,
        layers=PAPER,
        downscaler="rf",
        parameters={"n_estimators": 8},
        folds=2,
    )


def fingerprint(done):
    return Registry.open(done.folder / "registry.json").resolve(done.model).record.dataset.fingerprint


def values(path):
    with rasterio.open(path) as file:
        return file.read()


def test_what_is_fetched_and_what_lies_in_a_folder_give_the_same_map_and_fingerprint(archive, scene, plan, tmp_path):
    fetched = make_map(plan, tmp_path / "fetched")
    assert fetched.steps["fetch"][0].startswith("zoo fetch --area 115.9 41.9 116.3 42.2 --date 2019-09-25")
    assert {path.name for path in (fetched.folder / "data").rglob("SMAP*.h5")} == {
        path.name for path in (scene.folder / "smap").iterdir()
    }
    local = make_map(plan.model_copy(update={"data": (str(scene.folder),)}), tmp_path / "local")
    assert "fetch" not in local.steps
    assert fingerprint(fetched) == fingerprint(local)
    np.testing.assert_array_equal(values(fetched.map), values(local.map))
    downloads = len(archive.downloads())
    again = make_map(plan, fetched.folder)
    assert {state for _, state in again.steps.values()} == {"kept"}
    assert len(archive.downloads()) == downloads


def test_a_fetch_that_fails_or_is_killed_is_gone_on_with_by_the_next_run(archive, scene, plan, in_child, tmp_path):
    folder = tmp_path / "map"
    refused = next(path.name for path in (scene.folder / "modis").iterdir() if path.name.startswith("MOD13A2"))
    archive.misbehave(refused, loopback.Trouble(404, times=1))
    with pytest.raises(ZooError, match=refused):
        make_map(plan, folder)
    assert len(archive.downloads()) > 1
    killed = in_child("killed_map.py", PLAN=plan.model_dump_json(), FOLDER=str(folder), STEP="fetch")
    assert killed == -signal.SIGKILL
    done = make_map(plan, folder)
    assert done.steps["fetch"][1] == "done"
    asked = [request.name for request in archive.downloads()]
    assert {name for name in asked if asked.count(name) > 1} == {refused}
