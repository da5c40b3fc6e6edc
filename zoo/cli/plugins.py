"""`zoo plugins`: what is installed, who brought it, and what is broken."""

from __future__ import annotations

import typer

from zoo.cli.output import JsonOption, Output, QuietOption, table


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command("plugins")(plugins)


def plugins(as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List sensors, predictors, downscalers, exporters and references, and broken plugins with their error."""
    from zoo.plugins import host

    found = host().plugins
    payload = {
        "plugins": [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "provides": {hook.removeprefix("zoo_"): names for hook, names in plugin.provides.items()},
                "error": plugin.error,
            }
            for plugin in found
        ]
    }
    rows = [
        (
            plugin.name,
            f"{plugin.distribution} {plugin.version}",
            "; ".join(f"{hook.removeprefix('zoo_')}: {', '.join(names)}" for hook, names in plugin.provides.items()),
            plugin.error or "ok",
        )
        for plugin in found
    ]
    Output(as_json=as_json, quiet=quiet).result(
        payload,
        lambda console: console.print(table("Plugins", ("plugin", "distribution", "provides", "state"), rows)),
    )
