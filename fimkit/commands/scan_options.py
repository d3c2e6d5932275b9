"""The options by which verbs that look at all the files are told how much of the host they may take."""

import argparse
from dataclasses import replace

from fimkit.model.config import Config
from fimkit.model.config_checks import CHECKS
from fimkit.model.errors import UsageError

__all__ = ["add_scan_options", "limited"]


def add_scan_options(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument("--nice", action="store_true", help="give way to all other work, and leave the page cache as it was found")
    parser.add_argument("--mb-per-s", type=int, metavar="N", help="read at most N megabytes a second; 0: as fast as it can")
    parser.add_argument("--files-per-s", type=int, metavar="N", help="look at most at N paths a second; 0: as fast as it can")


def limited(config: Config, arguments: argparse.Namespace) -> Config:
    """Give the configuration with what the options say of its ``[scan]``.

    Raises:
        UsageError: If a rate is none.
    """
    said = {name: getattr(arguments, name) for name in ("mb_per_s", "files_per_s") if getattr(arguments, name) is not None}
    for name, value in said.items():
        if (problem := CHECKS[f"scan.{name}"](value)) is not None:
            raise UsageError(f"--{name.replace('_', '-')}: {problem}")
    return replace(config, scan=replace(config.scan, nice=config.scan.nice or arguments.nice, **said))
