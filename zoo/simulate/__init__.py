"""The sample scene: a simulated place, written in the products' native formats."""

from zoo.simulate.cache import sample_scene
from zoo.simulate.scene import SCENE_VERSION, SHANDIAN, Scene, simulate_scene

__all__ = ["SCENE_VERSION", "SHANDIAN", "Scene", "sample_scene", "simulate_scene"]
