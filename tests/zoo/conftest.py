"""A small simulated landscape on the five dates of the paper, made once a session."""

from __future__ import annotations

import os

import pytest

from zoo.reproduce.scenes import Scenes, World, simulated_scenes
from zoo.types import Area

SMALL = World(area=Area(115.85, 41.75, 116.4, 42.2), landsat_resolution=250)
"""Six by five coarse cells with S2, M5 and L6 among them."""


@pytest.fixture(scope="session")
def small_world() -> World:
    return SMALL


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    before = os.environ.get("SMZOO_CACHE_DIR")
    os.environ["SMZOO_CACHE_DIR"] = str(tmp_path_factory.mktemp("seasons"))
    made = simulated_scenes(SMALL)
    if before is None:
        del os.environ["SMZOO_CACHE_DIR"]
    else:
        os.environ["SMZOO_CACHE_DIR"] = before
    return made
