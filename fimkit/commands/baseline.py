"""`fimkit baseline`: take, show, compare and accept the known good state."""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence

from fimkit.commands.actions import add_action
from fimkit.commands.baseline_seal import SEAL_ACTIONS, add_seal_actions
from fimkit.commands.baseline_text import render_diffs, render_history, render_items, render_meta, render_pinned, render_states
from fimkit.commands.progress import Progress
from fimkit.commands.scan_options import add_scan_options, limited
from fimkit.model.config import Config
from fimkit.model.config_text import load_config
from fimkit.model.errors import UsageError, clip
from fimkit.model.findings import Verdict
from fimkit.model.json_form import render_state
from fimkit.model.paths import join_path, parse_path, render_path, render_terminal
from fimkit.model.time import parse_time, render_time
from fimkit.packages.at_work import MANAGERS
from fimkit.verbs.baseline import (
    Created,
    compare_with_baseline,
    create_baseline,
    kind_of,
    recreate_baseline,
    save_snapshot,
    show_baseline,
    show_history,
)
from fimkit.verbs.caller import load_caller

__all__ = ["add_arguments", "run"]

_MOST_WORDS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions, each with its own arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = add_action(actions, "create", "scan what is configured, and take it as good")
    create.add_argument("--reason", default="", metavar="TEXT", help="why, for those who ask later")
    create.add_argument("--force", action="store_true", help="in place of an existing baseline, which stays in the history")
    create.add_argument("--output", metavar="FILE", help="write a snapshot to FILE (.jsonl, .gz, .zst) instead; nothing is stored")
    add_scan_options(create)
    show = add_action(actions, "show", "print its rows")
    show.add_argument("path", nargs="*", metavar="PATH", help="only what is at and below PATH")
    show.add_argument("--json", action="store_true", help="one object a line: a snapshot, or the history's rows")
    when = show.add_mutually_exclusive_group()
    when.add_argument("--at", metavar="TIME", help="as it was at this time (RFC 3339; UTC where no zone is said)")
    when.add_argument("--history", action="store_true", help="what was accepted, by whom, when and why")
    diff = add_action(actions, "diff", "rescan, and print what differs")
    diff.add_argument("--json", action="store_true", help="one object a line: path, kind, changed, before, after")
    diff.add_argument("--quick", action="store_true", help="do not read a file whose times and size are those of the baseline")
    add_scan_options(diff)
    take = add_action(actions, "accept", "take findings and differences in, after another look at them")
    take.add_argument("path", nargs="*", metavar="PATH", help="what is at and below PATH; default: every open finding")
    take.add_argument("--reason", default="", metavar="TEXT", help="why, for those who ask later")
    take.add_argument("--yes", action="store_true", help="do not ask on a terminal")
    take.add_argument("--expected", action="store_true", help="only findings that signed packages prove: an upgrade, all at once")
    take.add_argument(
        "--hook", choices=MANAGERS, help="with --expected: a package manager calls; it is done when that is through"
    )
    pin = add_action(actions, "pin", "trust for packages what apt and rpm trust now, in the same baseline")
    pin.add_argument("--dry-run", action="store_true", help="only show which keys would come and go")
    add_seal_actions(actions)


def run(arguments: argparse.Namespace) -> int:
    """Do one action.

    Returns:
        0, or 1 if `diff` or `verify` found differences or `accept` left something open.
    """
    actions = {"create": _create, "show": _show, "diff": _diff, "accept": _accept, "pin": _pin, **SEAL_ACTIONS}
    return actions[arguments.action](arguments)


def _say(words: str) -> None:
    print(f"fimkit: {render_terminal(words)}", file=sys.stderr)


def _say_all(lines: Sequence[str]) -> None:
    for words in lines[:_MOST_WORDS]:
        _say(words)
    if len(lines) > _MOST_WORDS:
        _say(f"and {len(lines) - _MOST_WORDS} more like these")


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _print_json(rows: Iterable[object]) -> None:
    for row in rows:
        print(json.dumps(row))


def _paths(words: Sequence[str]) -> list[bytes]:
    """Read paths as the shell gives them, or, where there is nothing of that name, as fimkit prints them."""
    paths = []
    for word in words:
        literal = join_path(os.getcwdb(), os.fsencode(word))
        paths.append(literal if os.path.lexists(literal) or "%" not in word else join_path(os.getcwdb(), parse_path(word)))
    return paths


def _create(arguments: argparse.Namespace) -> int:
    if arguments.output is not None and arguments.force:
        raise UsageError("--output writes a file and stores nothing; --force has no meaning with it")
    config = limited(load_config(arguments.config), arguments)
    with Progress("Scanning") as progress:
        if arguments.output is not None:
            done, where = save_snapshot(config, arguments.output, on_progress=progress.show), f"written to {arguments.output}"
        else:
            take, who = recreate_baseline if arguments.force else create_baseline, load_caller()
            done = take(config, who=who, why=arguments.reason, on_progress=progress.show)
            where = f"stored in {render_path(config.host.state_dir)}"
    _tell_created(done, where)
    if arguments.force:
        from fimkit.verbs.accept_notice import notify_recreated

        _say_notice(notify_recreated(config, done.count, who=who, why=arguments.reason))
    return 0


def _say_notice(words: str | None) -> None:
    if words is not None:
        _say(f"this host is armed: {words}")


def _tell_created(done: Created, where: str) -> None:
    _say_all(done.problems)
    about = f", {len(done.problems)} with something that could not be known" if done.problems else ""
    print(render_terminal(f"{done.count} paths {where}{about}"))
    if done.pinned is not None:
        _say_all(done.pinned.problems)
        print(render_pinned(done.pinned, pinned=True))


def _show(arguments: argparse.Namespace) -> int:
    config, paths = load_config(arguments.config), _paths(arguments.path)
    if arguments.history:
        rows = show_history(config, paths)
        if arguments.json:
            _print_json(
                {
                    "acceptance": row.acceptance.id, "kind": row.acceptance.kind, "time": render_time(row.acceptance.time_ns),
                    "who": row.acceptance.who, "why": row.acceptance.why, "path": render_path(row.path),
                    "before": None if row.before is None else render_state(row.before),
                    "after": None if row.after is None else render_state(row.after),
                }
                for row in rows
            )  # fmt: skip
        else:
            _print_lines(render_history(rows))
        return 0
    shown = show_baseline(config, paths, at_ns=None if arguments.at is None else _time(arguments.at))
    if arguments.json:
        _print_json(map(render_state, shown.states))
    else:
        _print_lines(render_meta(shown.meta, at=arguments.at))
        _print_lines(render_states(shown.states))
    return 0


def _time(text: str) -> int:
    try:
        return parse_time(text)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--at {clip(text)} is no time; expected one like 2026-11-22T03:49:01Z or 2026-11-22") from error


def _diff(arguments: argparse.Namespace) -> int:
    config = limited(load_config(arguments.config), arguments)
    with Progress("Scanning") as progress:
        compared = compare_with_baseline(config, quick=arguments.quick, on_progress=progress.show)
    _say_all(compared.problems)
    if arguments.json:
        _print_json(
            {
                "path": render_path(diff.path), "kind": kind_of(diff).value, "changed": list(diff.changed),
                "before": None if diff.before is None else render_state(diff.before),
                "after": None if diff.after is None else render_state(diff.after),
            }
            for diff in compared.diffs
        )  # fmt: skip
    else:
        _print_lines(render_diffs(compared.diffs))
    return 1 if compared.diffs else 0


def _accept(arguments: argparse.Namespace) -> int:
    from fimkit.verbs.accept import PROVED, accept, plan_acceptance  # twice what a first scan needs

    config, paths = load_config(arguments.config), _paths(arguments.path)
    if arguments.hook is not None:
        return _hand_over(config, arguments)
    asks = not arguments.yes and sys.stdin.isatty() and sys.stderr.isatty()
    verdict = Verdict.EXPECTED if arguments.expected else None
    reason, agreed = arguments.reason or (PROVED if arguments.expected else ""), None
    with Progress("Looking again") as progress:
        if asks:
            agreed = plan_acceptance(config, paths, verdict=verdict, on_progress=progress.show)
    if agreed is not None:
        _say_all(agreed.refused)
        if verdict is not None and not agreed.items and not agreed.refused:
            print("0 accepted")
            return 0
        if not agreed.items or not _agrees(list(render_items(agreed.items)), len(agreed.items)):
            print("nothing accepted")
            return 1
        reason = reason or _ask("Why? ")
    with Progress("Looking again") as progress:
        done = accept(
            config, paths, who=load_caller(), why=reason, verdict=verdict, agreed=agreed, on_progress=progress.show
        )
    if agreed is None:
        _print_lines(render_items(done.items))
    _say_all([words for words in done.refused if agreed is None or words not in agreed.refused])
    print(f"{len(done.items)} accepted" + (f", {len(done.refused)} not" if done.refused else ""))
    _say_all(done.words)
    _say_notice(done.notice)
    return 1 if done.refused else 0


def _hand_over(config: Config, arguments: argparse.Namespace) -> int:
    if not arguments.expected or arguments.path:
        raise UsageError("--hook takes what is proved, wherever it is: it needs --expected, and no PATH")
    from fimkit.verbs.package_hook import hand_over  # with all that a check is made of

    _say(hand_over(config, arguments.config, arguments.hook, caller=load_caller()))
    return 0


def _pin(arguments: argparse.Namespace) -> int:
    from fimkit.verbs.accept_notice import notify_pinned
    from fimkit.verbs.pin import pin_packages, plan_pins

    config = load_config(arguments.config)
    who = load_caller()
    done = plan_pins(config) if arguments.dry_run else pin_packages(config, who=who)
    _say_all(done.collected.problems)
    for sign, keys in (("-", done.dropped), ("+", done.added)):
        for key in keys:
            print(render_terminal(f"{sign} {key.fingerprint} {render_path(key.file)}"))
    print(render_pinned(done.collected, pinned=not arguments.dry_run))
    if not arguments.dry_run:
        added, dropped = ([key.fingerprint for key in keys] for keys in (done.added, done.dropped))
        _say_notice(notify_pinned(config, added, dropped, who=who))
    return 0


def _agrees(lines: Sequence[str], count: int) -> bool:
    for line in lines:
        print(line, file=sys.stderr)
    return _ask(f"Take {'this' if count == 1 else f'these {count}'} into the baseline? [y/N] ").lower() in ("y", "yes")


def _ask(question: str) -> str:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
