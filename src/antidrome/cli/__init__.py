"""The command ``antidrome``: one file a command, no logic."""

from antidrome.cli.app import main

__all__ = ["main"]
