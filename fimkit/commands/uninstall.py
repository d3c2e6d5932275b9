"""`fimkit uninstall`: take away exactly what `fimkit install` put in place."""

import argparse

from fimkit.commands.install import add_place_arguments, print_report
from fimkit.model.config_text import load_foreign_config
from fimkit.verbs.install import uninstall

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--dry-run`` and ``--root``."""
    add_place_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Uninstall. The files that the configuration names need not be there any more.

    Returns:
        0, or 3 if the host refused a part.
    """
    report = uninstall(load_foreign_config(arguments.config), dry_run=arguments.dry_run, root=arguments.root)
    return print_report(report, dry_run=arguments.dry_run)
