"""`fimkit install`: the audit rules in place, in files and in the kernel, and the pack for osquery."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from fimkit.model.config import Config
from fimkit.model.config_text import load_config, load_foreign_config
from fimkit.model.paths import render_terminal
from fimkit.verbs.install import InstallReport, install
from fimkit.verbs.osquery_files import print_pack

__all__ = ["add_arguments", "add_place_arguments", "print_report", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--dry-run``, ``--root``, ``--extension`` and ``--print-pack``."""
    add_place_arguments(parser)
    parser.add_argument("--extension", action="store_true", help="also have osqueryd start fimkit's extension, with its tables")
    parser.add_argument("--print-pack", action="store_true", help="change nothing; print the osquery pack for a fleet manager")


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``install`` and ``uninstall`` share."""
    parser.add_argument("--dry-run", action="store_true", help="change nothing; print the diff of files and kernel")
    parser.add_argument("--root", metavar="DIR", help="the files of the host below DIR only; this kernel is left alone")


def run(arguments: argparse.Namespace) -> int:
    """Install.

    Returns:
        0, or 3 if the host refused a part.
    """
    load = load_config if arguments.root is None else load_foreign_config
    config = load(arguments.config)
    if arguments.print_pack:
        return _print_pack(config, arguments)
    extension = _host_path(arguments.config, arguments.root) if arguments.extension else None
    hook = _host_path(arguments.config, arguments.root) if config.packages.hook else None
    report = install(config, dry_run=arguments.dry_run, root=arguments.root, extension=extension, hook=hook)
    return print_report(report, dry_run=arguments.dry_run)


def _host_path(path: str, root: str | None) -> str:
    """Name a file as the host below ``root`` does; one that lies elsewhere is named as it is here."""
    whole = Path(path).absolute()
    base = Path(root or "/").absolute()
    return f"/{whole.relative_to(base)}" if whole.is_relative_to(base) else str(whole)


def _print_pack(config: Config, arguments: argparse.Namespace) -> int:
    pack, words = print_pack(config, root=arguments.root)
    sys.stdout.write(pack.decode("ascii"))  # JSON in ASCII: nothing in it can deceive a terminal
    _say(words)
    return 0


def _say(words: Iterable[str]) -> None:
    for sentence in words:
        print(f"fimkit: {render_terminal(sentence)}", file=sys.stderr)


def print_report(report: InstallReport, *, dry_run: bool) -> int:
    """Print the diff of a dry run on standard output, the words on standard error; give the exit status."""
    if dry_run:
        sys.stdout.write("".join(render_terminal(line) + "\n" for line in report.diff.split("\n")[:-1]))
    _say(report.words)
    if report.refused is not None:
        _say([report.refused])
    return 0 if dry_run or report.refused is None else 3
