"""`fimkit install`: the audit rules in place, in files and in the kernel."""

import argparse
import sys

from fimkit.model.config_text import load_config, load_foreign_config
from fimkit.model.paths import render_terminal
from fimkit.verbs.install import InstallReport, install

__all__ = ["add_arguments", "add_place_arguments", "print_report", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--dry-run`` and ``--root``."""
    add_place_arguments(parser)


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``install`` and ``uninstall`` share."""
    parser.add_argument("--dry-run", action="store_true", help="change nothing; print the diff of file and kernel")
    parser.add_argument("--root", metavar="DIR", help="the files of the host below DIR only; this kernel is left alone")


def run(arguments: argparse.Namespace) -> int:
    """Install.

    Returns:
        0, or 3 if the host refused a part.
    """
    load = load_config if arguments.root is None else load_foreign_config
    return print_report(install(load(arguments.config), dry_run=arguments.dry_run, root=arguments.root), dry_run=arguments.dry_run)


def print_report(report: InstallReport, *, dry_run: bool) -> int:
    """Print the diff of a dry run on standard output, the words on standard error; give the exit status."""
    if dry_run:
        sys.stdout.write("".join(render_terminal(line) + "\n" for line in report.diff.split("\n")[:-1]))
    for words in report.words:
        print(f"fimkit: {render_terminal(words)}", file=sys.stderr)
    if report.refused is not None:
        print(f"fimkit: {render_terminal(report.refused)}", file=sys.stderr)
    return 0 if dry_run or report.refused is None else 3
