"""One wheel and one fresh environment for all packaging tests: what costs most is made once.

The environment grows in three steps, each a fixture that asks for the one before: the wheel alone (`bare`), what was
run there while nothing else was installed (`untrained`), and the two example plugins beside it (`extended`).
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


def _load_environment() -> Any:
    """Import `environment.py` beside this file: pytest's import mode puts no test folder on the path."""
    spec = importlib.util.spec_from_file_location("packaging_environment", Path(__file__).with_name("environment.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


environment = _load_environment()
ROOT: Path = environment.ROOT
AREA = ("115", "41", "117", "43")
"""Degrees; large enough for some fifty SMOS cells of 25 km."""
PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.7"

[project.entry-points.zoo]
{module} = "{module}"
"""
Distribution = Callable[[str, str], Path]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    built: Path = environment.build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))
    return built


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A fresh environment with the wheel, without the extra `train`; deleted at the end, it is a gigabyte."""
    place = tmp_path_factory.mktemp("fresh")
    fresh = environment.Environment(place / "venv", place / "work")
    fresh.create()
    fresh.install(wheel)
    yield fresh
    shutil.rmtree(place)


@dataclass(frozen=True)
class Untrained:
    """What was done while neither torch nor scikit-learn was there."""

    packages: set[str]
    help: subprocess.CompletedProcess[str]
    plugins: dict[str, Any]
    prediction: subprocess.CompletedProcess[str]
    map: Path
    training: subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def untrained(bare: Any) -> Untrained:
    """Run help, plugins, a prediction with the published model and a training, before anything else is installed."""
    path = bare.work / "map.tif"
    return Untrained(
        packages=bare.packages(),
        help=bare.run("zoo", "--help"),
        plugins=bare.json("zoo", "plugins"),
        prediction=bare.run("zoo", "predict", "--model", "smd-dbn@v1", "-o", path, "--json"),
        map=path,
        training=bare.run("zoo", "train", "rf"),
    )


@pytest.fixture(scope="session")
def extended(bare: Any, untrained: Untrained) -> Any:
    """The same environment with both examples, installed by pip from their folders."""
    bare.install(ROOT / "examples" / "zoo-smos", ROOT / "examples" / "zoo-gbm")
    return bare


@pytest.fixture(scope="session")
def scene(extended: Any) -> Path:
    """Return a clear simulated scene with Landsat at 1 km, and a SMOS granule over it."""
    folder: Path = extended.work / "scene"
    coarse = ("--landsat-resolution", "1000", "--cloud", "0")
    extended.json("zoo", "simulate", "--out", folder, "--area", *AREA, *coarse)
    done = extended.run("python", "-m", "zoo_smos.simulate", folder, folder / "smos")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def installed_beside(tmp_path: Path) -> Distribution:
    """Write a small plugin distribution and install it by pip into a folder of its own, for PYTHONPATH."""

    def install(name: str, code: str) -> Path:
        source = tmp_path / name
        module = name.replace("-", "_")
        (source / module).mkdir(parents=True)
        (source / module / "__init__.py").write_text(code)
        (source / "pyproject.toml").write_text(PROJECT.format(name=name, module=module))
        wheel = environment.build_wheel(source, tmp_path / f"{name}-wheel")
        target = tmp_path / "site"
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(wheel)], check=True
        )
        return target

    return install
