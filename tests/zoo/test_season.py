"""The season of a simulated scene: 25 September as ever, other dates drier, greener or colder in the same place."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio

from zoo.reproduce.scenes import Scenes, World
from zoo.simulate import Scene, simulate_scene
from zoo.simulate.season import LATE_SEPTEMBER, Season


def truth(scene: Scene) -> np.ndarray:  # type: ignore[type-arg]
    with rasterio.open(scene.truth) as source:
        return source.read(1)  # type: ignore[no-any-return]


def made(scenes: Scenes, month: int) -> Scene:
    (request,) = (one.request for one in scenes.occasions if one.day.month == month)
    return Scene.open(request.places[0])


def test_the_25th_of_september_is_the_same_bytes_with_and_without_season(
    tmp_path: Path, scenes: Scenes, small_world: World
) -> None:
    seasonal, resolution = made(scenes, 9), small_world.landsat_resolution
    plain = simulate_scene(tmp_path / "plain", area=small_world.area, landsat_resolution=resolution)
    paths = [file["path"] for file in plain.description["files"]]
    assert paths
    assert [path for path in paths if (plain.folder / path).read_bytes() != (seasonal.folder / path).read_bytes()] == []


def test_another_date_is_the_same_ground_in_another_weather(scenes: Scenes) -> None:
    september, july = made(scenes, 9), made(scenes, 7)
    elevation = [next((scene.folder / "terrain").glob("*.tif")).read_bytes() for scene in (september, july)]
    assert elevation[0] == elevation[1]
    assert np.nanmean(truth(july)) > np.nanmean(truth(september)) + 0.01
    assert july.description["season"]["warmth"] > 5
    assert np.corrcoef(truth(july)[np.isfinite(truth(july))], truth(september)[np.isfinite(truth(july))])[0, 1] < 0.99


@pytest.mark.parametrize(
    ("month", "wetter", "greener", "warmer"),
    [(3, False, False, False), (5, False, True, True), (7, True, True, True), (11, False, False, False)],
)
def test_seasons_differ_in_the_sense_that_the_steppe_knows(
    month: int, wetter: bool, greener: bool, warmer: bool
) -> None:
    season = Season.of(date(2019, month, 25))
    assert (season.wetness > 1, season.greenness > 1, season.warmth > 0) == (wetter, greener, warmer)
    assert Season.of(date(2019, 9, 25)) == LATE_SEPTEMBER
