"""Launcher for a checkout: ``python cli.py --help``. The installed command is ``zoo``."""

from zoo.cli import main

main()
