"""The verb ``init``: its arguments, and what it prints."""

import argparse
import os
import sys
from pathlib import Path
from shlex import quote

from fimkit.model.paths import render_path
from fimkit.verbs.init import create_config, init

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--output", metavar="FILE", help="where to write it (default: the file of --config); - is standard output")


def run(arguments: argparse.Namespace) -> int:
    """Write the configuration, and say where.

    Returns:
        0. A file that is there already is a usage error, and is left alone.
    """
    output = arguments.output or arguments.config
    text = init()
    if output == "-":
        print(text, end="")
        return 0
    create_config(Path(output), text)
    shown = render_path(os.fsencode(output))
    create = "fimkit baseline create" if output == arguments.usual_config else f"fimkit --config {quote(shown)} baseline create"
    print(f"fimkit: wrote {shown}; read it, change what does not fit, then: {create}", file=sys.stderr)
    return 0
