"""Fixtures shared by all tests: no network, user folders in a temporary place, real files where they exist."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "2")
ROOT = Path(__file__).resolve().parents[1]


def shared_cache(factory: pytest.TempPathFactory) -> Path:
    """Return the cache folder of a test run: the sample scene is made once, by whichever worker wants it first."""
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"


@pytest.fixture(autouse=True)
def _user_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests out of the user's registry, cache and settings."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("SMZOO_DATA_DIR", str(home / "data"))
    monkeypatch.setenv("SMZOO_CACHE_DIR", str(shared_cache(tmp_path_factory)))
    for name in ("SMZOO_REGISTRY", "SMZOO_DEBUG", "SMZOO_PUBLISH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if (
            self.family != socket.AF_UNIX
            and isinstance(address, tuple)
            and address[0] not in ("127.0.0.1", "::1", "localhost")
        ):
            msg = f"a test tried to reach {address}"
            raise RuntimeError(msg)
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real files, or skip."""
    folder = Path(os.environ.get("ZOO_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real files: {folder} does not exist (set ZOO_REAL_DATA)")
    return folder
