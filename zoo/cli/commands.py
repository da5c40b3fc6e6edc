"""The commands by task, each with its line of help; a command's module is imported when it is called, not before."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS = {
    "Start here": {
        "demo": "Simulate a scene, train on SMAP and AMSR-2, export, predict, validate, and write an HTML report.",
        "map": "Go the whole way: fetch, stack, train, export, predict, validate, report.",
        "plugins": "List sensors, predictors, downscalers, exporters and references, "
        "and broken plugins with their error.",
    },
    "Data": {
        "fetch": "Fetch granules for a place and a date: "
        "SMAP, AMSR2 (LPRM) and MODIS from NASA, Landsat and DEM from a STAC.",
        "inspect": "Say what a reader sees: product, time, extent, grid, valid cells, quantiles and quality flags.",
        "stack": "Bring predictors from native granules onto the 1 km grid, and onto the cells of a sensor.",
        "table": "Write the training table: one row a coarse cell and day, "
        "with predictors, soil moisture, place and valid shares.",
        "screen": "Correlate every predictor with soil moisture: "
        "R, n, p, and the partial R given all others (Cai 2022, Table 2).",
        "simulate": "Write a simulated scene: "
        "what every product would say of a place, in native formats, and the 1 km truth.",
    },
    "Models": {
        "train": "Train a downscaler, score it on held-out places, times or both, and add it to the registry.",
        "export": "Compile a trained model to one file and add it to the registry.",
        "models": "List, show, alias, verify and remove models.",
    },
    "Maps and figures": {
        "predict": "Predict soil moisture where the predictors are: "
        "from granules, from rasters, or for the rows of a table.",
        "validate": "Score a map against stations, a coarse field or a gridded truth; "
        "a series of maps or a table against stations.",
        "compare": "Compare two maps, models or products with a reference, where all three have a value.",
        "reference": "See what is in a reference, and what was dropped, and why.",
        "report": "Write a report of maps: "
        "figures, scores against references, time series, and what the model listens to.",
        "reproduce": "Make every table and figure of a paper anew, each beside the printed value.",
    },
}
"""Name and line of help, under the task; `zoo.cli.<name>` defines `register(app)`."""


class Commands(TyperGroup):
    """Group that lists every command and loads the one that is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for task, commands in COMMANDS.items():
            for name, line in commands.items():
                self.add_command(TyperCommand(name, callback=None, help=line, rich_help_panel=task))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the listed command by the real one, then go on as usual."""
        if args and args[0] in self.commands:
            self.add_command(load(args[0]))
        return super().resolve_command(ctx, args)


def load(name: str) -> Any:
    """Import the module of a command; return the command, or group of commands, that it registers."""
    app = typer.Typer()
    import_module(f"zoo.cli.{name}").register(app)
    return typer.main.get_group(app).commands[name]
