"""The options by which several verbs choose among the findings of the store."""

import argparse
import os
import time

from fimkit.model.findings import Kind, Severity, Tier
from fimkit.report.selection import NO_LOGIN, PathPattern, Selection
from fimkit.verbs.since import parse_since

__all__ = ["add_finding_options", "selection_of", "since_of"]


def add_finding_options(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument("--since", metavar="TIME", help="seen since then: RFC 3339, a date, or how long ago (24h, 7d)")
    parser.add_argument("--severity", choices=[one.value for one in Severity], help="of this severity and above")
    parser.add_argument("--tier", choices=[one.value for one in Tier], action="append", default=[], help="of this tier; repeatable")
    parser.add_argument("--kind", choices=[one.value for one in Kind], action="append", default=[], help="of this kind; repeatable")
    parser.add_argument(
        "--path", metavar="PATH", action="append", default=[],
        help="at and below PATH, written as the shell or fimkit does; or a pattern on the whole path, as in '*.php'; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--who", metavar="WHO", action="append", default=[],
        help=f"by this user, login id, user id or program, or {NO_LOGIN}; repeatable",
    )  # fmt: skip
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--open", action="store_true", help="what is still so (the default)")
    which.add_argument("--all", action="store_true", help="what was accepted, undone or superseded too, as long as it is kept")


def selection_of(arguments: argparse.Namespace) -> Selection:
    """Read which findings are meant."""
    return Selection(
        severity=None if arguments.severity is None else Severity(arguments.severity),
        tiers=tuple(map(Tier, arguments.tier)),
        kinds=tuple(map(Kind, arguments.kind)),
        paths=tuple(map(_pattern, arguments.path)),
        who=tuple(arguments.who),
    )


def _pattern(word: str) -> PathPattern:
    """A relative name is one of the folder that one is in; a pattern is taken as it is."""
    is_name = not any(char in word for char in "*?[")
    return PathPattern(os.path.abspath(word) if is_name else word)


def since_of(arguments: argparse.Namespace) -> int | None:
    """Read from when on findings are meant.

    Raises:
        UsageError: If it is no time.
    """
    return None if arguments.since is None else parse_since(arguments.since, now_ns=time.time_ns())
