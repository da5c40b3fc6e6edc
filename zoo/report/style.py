"""How every figure of a report looks: colours, markers, the stamp of simulated data, and the file formats."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["COLOURS", "FONT", "INK", "LINES", "MARKERS", "UNITS", "plain", "png", "stamped", "svg", "titled"]

UNITS = r"m$^3$ m$^{-3}$"
MISSING = "#d9d9d9"
INK = "#1a1a1a"
PALE = "#8a8a8a"
STAMP = "Simulated data"
FONT: dict[str, Any] = {"size": 9, "color": INK}

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#7f3c8d")
"""Okabe and Ito's colours (2008), told apart by the colour-blind; a marker and a line go with each."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", "-", "--", "-.", ":")


def stamped(figure: Figure, simulated: bool) -> Figure:
    """Write `Simulated data` above the figure."""
    if simulated:
        figure.suptitle(
            STAMP, x=0.99, ha="right", fontsize=9, fontweight="bold", color="#8b0000",
            bbox={"facecolor": "white", "edgecolor": "#8b0000", "pad": 2.5},
        )  # fmt: skip
    return figure


def titled(axes: Axes, title: str) -> None:
    """Write the title of a panel."""
    axes.set_title(title, fontsize=10, fontweight="bold", color=INK)


def plain(axes: Axes) -> None:
    """Draw ticks small and leave out the upper and right edge."""
    axes.tick_params(labelsize=8, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)


def png(figure: Figure, dpi: int = 130) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG, the same bytes for the same figure."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "soil-moisture-zoo"}):
        figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
