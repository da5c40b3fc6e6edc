"""Predictors on one grid: read, average, join, mask, write; and their means over coarse cells."""

from zoo.stack.area_mean import area_mean, join, window_near
from zoo.stack.build import build_stack
from zoo.stack.coarse import coarse_means
from zoo.stack.layers import Stack
from zoo.stack.sources import Layer

__all__ = ["Layer", "Stack", "area_mean", "build_stack", "coarse_means", "join", "window_near"]
