"""`fimkit expect`: announce a change before it comes; what comes just so is expected, what departs from it is a finding."""

import argparse
import sys
import time

from fimkit.commands.actions import add_action
from fimkit.commands.printing import add_json, print_json, print_words
from fimkit.model.config_text import load_config
from fimkit.model.errors import UsageError
from fimkit.model.paths import render_terminal
from fimkit.verbs.caller import load_caller, load_login
from fimkit.verbs.expect import (
    ANNOUNCED_KINDS,
    Announcement,
    announce,
    cancel,
    find_doubts,
    list_tickets,
    plan_ticket,
    render_row,
    render_ticket,
)

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the terms of a ticket, and the actions on those that there are."""
    parser.add_argument(
        "--path", metavar="PATTERN", nargs="+", action="extend", default=[],
        help="on the whole path, or on the name when without a slash, and all below it; of several, each is to come",
    )  # fmt: skip
    parser.add_argument(
        "--by", metavar="WHO", action="append", default=[],
        help="a login's name or id, which stays through su and sudo, or a program's path; of several, any",
    )  # fmt: skip
    parser.add_argument("--until", metavar="TIME", help="RFC 3339, a date (its beginning), or in how long: 2h, 7d; within 30 days")
    parser.add_argument("--from", dest="begin", metavar="TIME", help="not before then; default: now")
    parser.add_argument(
        "--sha256", metavar="HEX", nargs="+", action="extend", default=[], help="of the files' bytes; of several, any"
    )
    parser.add_argument(
        "--kind", choices=[kind.value for kind in ANNOUNCED_KINDS], action="append", default=[], help="what is to come; repeatable"
    )
    parser.add_argument("--reason", metavar="TEXT", help="why, for those who ask later")
    parser.add_argument("--yes", action="store_true", help="for a whole critical tree too, and for more than 30 days")
    add_json(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = add_action(actions, "list", "those that hold, and that ended within a month")
    listing.add_argument("--all", action="store_true", help="older ones too")
    add_json(listing)
    add_action(actions, "cancel", "end one now").add_argument("id", type=int, metavar="ID")


def run(arguments: argparse.Namespace) -> int:
    """Do one action.

    Returns:
        0.
    """
    actions = {None: _announce, "list": _list, "cancel": _cancel}
    return actions[arguments.action](arguments)


def _announce(arguments: argparse.Namespace) -> int:
    missing = [f"--{name}" for name in ("path", "by", "until", "reason") if not getattr(arguments, name)]
    if missing:
        raise UsageError(f"expected {', '.join(missing)} too, or the action list or cancel")
    config, now_ns = load_config(arguments.config), time.time_ns()
    announcement = Announcement(
        paths=tuple(arguments.path), by=tuple(arguments.by), until=arguments.until, begin=arguments.begin,
        sha256=tuple(arguments.sha256), kinds=tuple(arguments.kind), reason=arguments.reason,
    )  # fmt: skip
    ticket = plan_ticket(announcement, now_ns=now_ns, who=load_caller(), auid=load_login())
    doubts = [] if arguments.yes else find_doubts(config, ticket)
    if doubts and not _agrees(doubts):
        raise UsageError(f"{'; '.join(doubts)}; --yes says that it is meant so")
    told = announce(config, ticket)
    if arguments.json:
        print_json([render_row(told.ticket, (), now_ns=now_ns)])
    else:
        print(render_terminal(f"ticket {told.ticket.number}: {render_ticket(told.ticket)}"))
    print_words(told.words)
    return 0


def _agrees(doubts: list[str]) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print_words(doubts)
    print("Announce it all the same? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _list(arguments: argparse.Namespace) -> int:
    tickets, now_ns = list_tickets(load_config(arguments.config), every=arguments.all), time.time_ns()
    rows = [render_row(ticket, ends, now_ns=now_ns) for ticket, ends in tickets]
    if arguments.json:
        print_json(rows)
        return 0
    for (ticket, _), row in zip(tickets, rows, strict=True):
        print(render_terminal(f"{ticket.number:>4}  {row['state']:<9}  {render_ticket(ticket)} (announced by {ticket.who})"))
        for path in row["overdue"]:
            print(render_terminal(f"      never came: {path}"))
    if not rows:
        print("nothing is announced")
    return 0


def _cancel(arguments: argparse.Namespace) -> int:
    told = cancel(load_config(arguments.config), arguments.id)
    print(render_terminal(f"ticket {told.ticket.number} is cancelled: {render_ticket(told.ticket)}"))
    print_words(told.words)
    return 0
