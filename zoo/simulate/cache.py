"""The sample scene, made once and kept in the user's cache."""

from __future__ import annotations

from pathlib import Path

from zoo.cache import cache_folder
from zoo.errors import DataError, UsageError, ZooError
from zoo.simulate.scene import SCENE_VERSION, Scene, simulate_scene


def sample_scene() -> Path:
    """Return the folder of the sample scene (Shandian River Basin, 25 September 2019), made on first use.

    Two processes that want it at once make it once.

    Raises
    ------
    ZooError
        If the cache cannot be written.
    """
    from filelock import FileLock

    folder = cache_folder() / f"sample-scene-v{SCENE_VERSION}"
    if _is_whole(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not _is_whole(folder):
                simulate_scene(folder)
    except OSError as error:
        msg = f"The sample scene cannot be kept in {folder.parent} ({error}); set SMZOO_CACHE_DIR to another folder"
        raise ZooError(msg) from error
    except UsageError as error:
        msg = f"The sample scene cannot be made in {folder.parent}: {error}; or set SMZOO_CACHE_DIR to another folder"
        raise ZooError(msg) from error
    return folder


def _is_whole(folder: Path) -> bool:
    """Whether the scene and all its files are there in their sizes: a cache may have been cleaned in part."""
    try:
        scene = Scene.open(folder)
        return all((folder / file["path"]).stat().st_size == file["bytes"] for file in scene.description["files"])
    except (DataError, OSError):
        return False
