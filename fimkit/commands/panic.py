"""`fimkit panic`: arm, disarm, try, trigger and undo what happens when something changes that must never change."""

import argparse
import queue
import sys
import threading
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from fimkit.commands.actions import add_action
from fimkit.commands.printing import add_json, print_json, terminal_width
from fimkit.model.config_text import load_config
from fimkit.model.errors import UsageError
from fimkit.model.paths import render_terminal
from fimkit.verbs.caller import load_caller

if TYPE_CHECKING:  # at run time only when it is needed
    from fimkit.verbs.panic_order import PanicReport

__all__ = ["add_arguments", "run"]

_TOLD_S = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions, each with its own arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_json(add_action(actions, "status", "armed or not, and what would happen now"))
    arm = add_action(actions, "arm", "check everything, show the plan, ask, and be ready to cut")
    arm.add_argument("--yes", action="store_true", help="do not ask; what would keep a panic from working still stops it")
    add_action(actions, "disarm", "be ready no longer; the panic recipients are told")
    test = add_action(actions, "test", "everything but the cut, for real, each step with its time")
    test.add_argument("--nomail", action="store_true", help="write the mail and the other news, and send none")
    trigger = add_action(actions, "trigger", "panic now, on an armed host")
    trigger.add_argument("--reason", required=True, metavar="TEXT", help="why: it is in the record, the mail and the evidence")
    trigger.add_argument("--nomail", action="store_true", help="write the mail and the other news, and send none")
    trigger.add_argument("--nokill", action="store_true", help="everything but the cut")
    add_action(actions, "restore", "put the network back as it was before the cut")
    helper = add_action(actions, "helper", "the resident that cuts: what fimkit-panic.service runs")
    helper.add_argument("--confined", action="store_true", help="only in a network made for a trial, never the machine's own")


def run(arguments: argparse.Namespace) -> int:
    """Do one action.

    Returns:
        0; of `status`, 1 while a panic goes on or the host is cut off; of `arm`, 1 if the answer is no; 3 where something did not
        work.
    """
    actions = {
        "status": _status, "arm": _arm, "disarm": _disarm, "test": _test, "trigger": _trigger, "restore": _restore,
        "helper": _helper,
    }
    return actions[arguments.action](arguments)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(render_terminal(line))


def _say(words: str) -> None:
    print(f"fimkit: {render_terminal(words)}", file=sys.stderr, flush=True)


def _status(arguments: argparse.Namespace) -> int:
    from fimkit.commands.panic_text import render_status
    from fimkit.verbs.panic_status import load_panic_status, render_panic_status

    status = load_panic_status(load_config(arguments.config))
    if arguments.json:
        print_json([render_panic_status(status)])
    else:
        _print(render_status(status))
    if status.view.phase is None:
        return 3
    return 1 if status.cut_off else 0


def _arm(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config)
    asks = not arguments.yes
    if asks and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("there is no terminal to ask on: fimkit panic arm --yes arms without a question")
    from fimkit.commands.panic_text import render_arming
    from fimkit.verbs.panic_arm import arm, prepare_arming, reach_helper

    helper, said = reach_helper(config)
    with helper or nullcontext():
        _say("trying the helper, the mail servers and all else that a panic needs")
        arming = prepare_arming(config, helper, said)
        _print(render_arming(arming, width=terminal_width()))
        sys.stdout.flush()
        if asks and not arming.problems and not _agrees("Arm this host? [y/N] "):
            print("not armed")
            return 1
        arm(arming, helper, by=load_caller())
    seen = f"; open findings that count as seen: {len(arming.seen)}" if arming.seen else ""
    print(render_terminal(f"armed: {config.host.name}{seen}"))
    return 0


def _agrees(question: str) -> bool:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _disarm(arguments: argparse.Namespace) -> int:
    from fimkit.verbs.panic import disarm

    notice = disarm(load_config(arguments.config), by=load_caller())
    if notice is None:
        print("this host was not armed")
        return 0
    print("disarmed")
    _say(f"notice to the panic recipients: {notice}")
    return 0


class _Teller:
    """Prints what a panic says as it goes on, from a thread of its own: a terminal that takes nothing holds up no cut."""

    def __init__(self) -> None:
        self._words: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._print, name="fimkit teller", daemon=True)
        self._thread.start()

    def tell(self, words: str) -> None:
        self._words.put(words)

    def finish(self) -> None:
        """Wait for what is not printed yet, but not for long."""
        self._words.put(None)
        self._thread.join(_TOLD_S)

    def _print(self) -> None:
        while (words := self._words.get()) is not None:
            with suppress(OSError, ValueError):  # the terminal may be gone with the network
                _say(words)


def _print_report(report: "PanicReport", teller: _Teller) -> int:
    """Print what came of it; that nobody can read it any more changes nothing of that."""
    from fimkit.commands.panic_text import render_report

    teller.finish()
    with suppress(OSError):
        _print(render_report(report))
        sys.stdout.flush()
    return 0 if report.complete else 3


def _test(arguments: argparse.Namespace) -> int:
    from fimkit.commands.panic_text import failed_steps, render_order
    from fimkit.verbs.panic import take_runners_rights, try_panic
    from fimkit.verbs.panic_arm import reach_helper
    from fimkit.verbs.panic_killswitch import check_killswitch
    from fimkit.verbs.panic_view import load_panic_view

    config = load_config(arguments.config)
    helper, said = reach_helper(config)
    with helper or nullcontext():
        view = load_panic_view(config, helper)
    _print(render_order(view.config, view.plan))
    print("This is a test: everything but the cut" + (", by what was frozen at arming." if view.armed else "."))
    sys.stdout.flush()
    for one in (*said, *check_killswitch(view.config)):
        _say(f"{one.problem} Remedy: {one.remedy}")
    take_runners_rights()
    teller = _Teller()
    report = try_panic(view, by=load_caller(), nomail=arguments.nomail, tell=teller.tell)
    status = _print_report(report, teller)
    failed = [f"step {name} did not work" for name in failed_steps(report)]
    if view.hello is None or not view.hello.can_cut:
        failed.append(f"in a panic nothing would be cut: {view.helper_problem or 'no helper that may cut is to be had'}")
    for words in failed:
        _say(words)
    return 3 if failed else status


def _trigger(arguments: argparse.Namespace) -> int:
    from fimkit.verbs.panic import trigger

    teller = _Teller()
    done = trigger(
        load_config(arguments.config), arguments.reason, by=load_caller(), nomail=arguments.nomail, nokill=arguments.nokill,
        tell=teller.tell,
    )
    if done.report is None:
        print(f"a panic goes on already: the reason is added to incident {done.incident}")
        return 0
    return _print_report(done.report, teller)


def _restore(arguments: argparse.Namespace) -> int:
    from fimkit.verbs.panic import restore
    from fimkit.verbs.panic_helper import find_state_dir

    done = restore(find_state_dir(arguments.config, _say), by=load_caller())
    if done is None:
        print("nothing is cut off here: there is nothing to put back")
        return 0
    _print(done.words)
    print("restored" if done.complete else "restored, but NOT WHOLLY: what is missing is said above; it can be asked for again")
    print("This host is not armed any more: fimkit panic arm")
    return 0 if done.complete else 3


def _helper(arguments: argparse.Namespace) -> int:
    from fimkit.panic.helper import serve
    from fimkit.verbs import notify_systemd
    from fimkit.verbs.panic_helper import find_state_dir

    def ready() -> None:
        notify_systemd.ready("there to cut, if it is asked to")

    return serve(find_state_dir(arguments.config, _say), confined=arguments.confined, ready=ready)
