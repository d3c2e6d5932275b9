"""The options of every verb that may panic."""

import argparse

__all__ = ["add_panic_options"]


def add_panic_options(parser: argparse.ArgumentParser) -> None:
    """Declare ``--nomail`` and ``--nokill``."""
    parser.add_argument("--nomail", action="store_true", help="a panic sends nothing, nor does what is told of an armed host")
    parser.add_argument("--nokill", action="store_true", help="a panic does everything but the cut")
