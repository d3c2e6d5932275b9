"""`fimkit man`: the manual page, made of the same arguments as the help."""

import argparse

from fimkit.commands.manual import render_manual

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say where the page belongs."""
    parser.epilog = "fimkit man > /usr/local/share/man/man1/fimkit.1; to look at it at once: fimkit man | man -l -"


def run(arguments: argparse.Namespace) -> int:
    """Print it.

    Returns:
        0.
    """
    for line in render_manual(arguments.whole_parser(), arguments.version):
        print(line)
    return 0
