"""The figures of a report, each from its own module; every function returns a matplotlib `Figure`."""

from __future__ import annotations

from zoo.report.diagrams import skill_diagrams
from zoo.report.maps import MOISTURE, RESIDUAL, colour_limits, map_panel, residual_panel
from zoo.report.responses import importance_panel, response_panel
from zoo.report.scatter import Scatter, scatter_panel
from zoo.report.series import StationSeries, series_panel
from zoo.report.style import png, svg

__all__ = [
    "MOISTURE",
    "RESIDUAL",
    "Scatter",
    "StationSeries",
    "colour_limits",
    "importance_panel",
    "map_panel",
    "png",
    "residual_panel",
    "response_panel",
    "scatter_panel",
    "series_panel",
    "skill_diagrams",
    "svg",
]
