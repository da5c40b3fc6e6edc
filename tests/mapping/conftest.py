"""A small simulated scene for the commands between downloads and the report, and its stack, made once a session."""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from runpy import run_path

import pytest

from zoo.cli import main
from zoo.granules import Selection
from zoo.inputs import Request
from zoo.simulate import Scene, simulate_scene
from zoo.stack.folder import make_stack
from zoo.types import Area

AREA = Area(115.9, 41.9, 116.3, 42.2)


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return simulate_scene(tmp_path_factory.mktemp("scene") / "scene", area=AREA, landsat_resolution=480)


@pytest.fixture(scope="session")
def request_of(scene: Scene) -> Callable[..., Request]:
    def make(folder: Path = scene.folder, **options: object) -> Request:
        return Request((folder,), scene.area, Selection(scene.date), **options)

    return make


@pytest.fixture(scope="session")
def made(request_of: Callable[..., Request], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stack of the scene, never changed."""
    folder = tmp_path_factory.mktemp("made") / "stack"
    make_stack(request_of(), folder=folder)
    return folder


@pytest.fixture
def stack(made: Path, tmp_path: Path) -> Path:
    """A copy of the stack, to be changed."""
    return shutil.copytree(made, tmp_path / "stack")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process; returns exit code, stdout and stderr."""
    monkeypatch.delenv("SMZOO_DEBUG", raising=False)

    def command(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return command


@pytest.fixture
def run_json(run: Callable[..., tuple[int, str, str]]) -> Callable[..., dict]:
    def command(*arguments: object) -> dict:
        code, out, err = run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    return command


@pytest.fixture(scope="session")
def in_child() -> Callable[..., int]:
    """Run a script of this folder with some globals in a process of its own; returns its exit code.

    The fork server has imported the program once, so that a child begins at once.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(
        [
            "zoo.mapping.workflow",
            "zoo.stack.folder",
            "zoo.training",
            "zoo.mapping.report",
            "zoo.stack.quicklook",
            "sklearn.ensemble",
        ]
    )

    def child(script: str, **given: object) -> int:
        path = str(Path(__file__).with_name(script))
        needed = ("SMZOO_", "EARTHDATA_", "NETRC")
        given["ENVIRONMENT"] = {key: value for key, value in os.environ.items() if key.startswith(needed)}
        process = context.Process(target=partial(run_path, path), kwargs={"init_globals": given, "run_name": script})
        process.start()
        process.join(120)
        assert process.exitcode is not None
        return process.exitcode

    return child
