"""An archive on the loopback for every test of fetching, and no wait between tries."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo.fetch.endpoints import Endpoints, Patience
from zoo.simulate import Scene, simulate_scene
from zoo.types import Area


def _load_archive():
    """Import `archive.py` beside this file: pytest's import mode puts no test folder on the path."""
    spec = importlib.util.spec_from_file_location("loopback_archive", Path(__file__).with_name("archive.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


loopback = _load_archive()


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[loopback.Archive]:
    """An empty archive to which the environment points, with a token that it takes."""
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    for name in ("EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    with loopback.running() as made:
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def endpoints(archive: loopback.Archive) -> Endpoints:
    return Endpoints.from_environment()


@pytest.fixture
def quick() -> Patience:
    return Patience(attempts=3, first=0.01, longest=0.02, longest_asked=5, timeout=5)


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A small simulated scene."""
    folder = tmp_path_factory.mktemp("scene") / "scene"
    return simulate_scene(folder, area=Area(116.05, 42.0, 116.19, 42.14), landsat_resolution=480)
