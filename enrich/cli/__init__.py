"""The command `enrich`: a file a command. They parse, call the library's functions and print; they decide nothing."""

from enrich.cli.entry import main

__all__ = ["main"]
