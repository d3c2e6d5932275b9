"""`fimkit panic`: arm, disarm, try, trigger and undo what happens when something changes that must never change."""

import argparse

from fimkit.commands.printing import add_json
from fimkit.model.errors import UsageError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions, each with its own arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_json(actions.add_parser("status", help="armed or not, and what would happen now", allow_abbrev=False))
    arm = actions.add_parser("arm", help="check everything, show the plan, ask, and be ready to cut this host off", allow_abbrev=False)
    arm.add_argument("--yes", action="store_true", help="do not ask; what would keep a panic from working still stops it")
    actions.add_parser("disarm", help="be ready no longer; the panic recipients are told", allow_abbrev=False)
    test = actions.add_parser("test", help="everything but the cut, for real: the plan, each step with its time", allow_abbrev=False)
    test.add_argument("--nomail", action="store_true", help="write the mail and the other news, and send none")
    trigger = actions.add_parser("trigger", help="panic now, on an armed host", allow_abbrev=False)
    trigger.add_argument("--reason", required=True, metavar="TEXT", help="why: it is in the record, the mail and the evidence")
    trigger.add_argument("--nomail", action="store_true", help="write the mail and the other news, and send none")
    trigger.add_argument("--nokill", action="store_true", help="everything but the cut")
    actions.add_parser("restore", help="put the network back as it was before the cut", allow_abbrev=False)
    helper = actions.add_parser("helper", help="the resident that cuts: what fimkit-panic.service runs", allow_abbrev=False)
    helper.add_argument("--confined", action="store_true", help="only in a network namespace made for a trial, never the machine's own")


def run(arguments: argparse.Namespace) -> int:
    """Do one action.

    Returns:
        0; of `status`, 1 while a panic is under way or the host is cut off; 3 where something did not work.
    """
    raise UsageError(f"panic {arguments.action} is not to be had yet")
