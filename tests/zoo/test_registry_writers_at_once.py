"""Several writers lose nothing, and one that is killed leaves the registry as it was."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest

from zoo.registry import Registry, store

RECORD = {
    "architecture": "dbn",
    "plugin": "test",
    "plugin_version": "1",
    "features": [{"name": "ndvi", "units": "1"}],
    "target": {},
    "dataset": {"fingerprint": "abc", "rows": 1},
}


def add_often(path: str, name: str, source: str, times: int) -> None:
    for _ in range(times):
        Registry.open(Path(path)).add(name, RECORD, {"model": Path(source)})


def add_and_die(path: str, source: str, victim: str) -> None:
    """Add a version and kill this process where `victim` would be renamed into place."""
    replace = os.replace

    def deadly(old: str | Path, new: str | Path) -> None:
        if Path(new).name == victim:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(old, new)

    os.replace = deadly  # type: ignore[assignment]
    Registry.open(Path(path)).add("m", RECORD, {"model": Path(source)})


def run(target: object, *arguments: object) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)  # type: ignore[arg-type]
    process.start()
    return process


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    return path


def test_two_processes_that_add_at_once_lose_neither(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "shared" / "registry.json"
    processes = [run(add_often, str(path), name, str(source), 8) for name in ("m", "m", "other")]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    registry = Registry.open(path)
    refs = [str(found.ref) for found in registry.list() if found.layer.path == path]
    assert sorted(refs) == sorted([*(f"m@v{n}" for n in range(1, 17)), *(f"other@v{n}" for n in range(1, 9))])
    assert registry.verify() == ()


@pytest.mark.parametrize("victim", ["model.safetensors", "v2", "registry.json"])
def test_writer_killed_halfway_leaves_the_registry_as_it_was(tmp_path: Path, source: Path, victim: str) -> None:
    path = tmp_path / "shared" / "registry.json"
    registry = Registry.open(path)
    registry.add("m", RECORD, {"model": source})
    before = path.read_bytes()
    process = run(add_and_die, str(path), str(source), victim)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert str(registry.resolve("m").ref) == "m@v1"
    source.write_bytes(b"newer weights")
    again = registry.add("m", RECORD, {"model": source})
    assert str(again.ref) == "m@v2"
    assert again.path("model").read_bytes() == b"newer weights"
    assert {item.name for item in (path.parent / "m").iterdir()} == {"v1", "v2"}


def test_disk_full_while_copying_leaves_the_registry_as_it_was(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "registry.json"
    registry = Registry.open(path)
    registry.add("m", RECORD, {"model": source})
    before = path.read_bytes()

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        with pytest.raises(store.ZooError, match="No space left"):
            registry.add("m", RECORD, {"model": source})
    assert path.read_bytes() == before
    assert registry.verify() == ()


def test_writer_that_waits_too_long_says_for_whom(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.05)
    path = tmp_path / "registry.json"
    with store.FileLock(f"{path}.lock"), pytest.raises(store.ZooError, match="another program has held"):
        Registry.open(path).add("m", RECORD, {"model": source})
