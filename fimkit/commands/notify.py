"""`fimkit notify`: try the ways to people, see what waits for them, and mute for a time."""

import argparse
import time
from collections.abc import Iterator

from fimkit.commands.actions import add_action
from fimkit.commands.printing import add_json, print_json, print_words
from fimkit.model.channels import Gets
from fimkit.model.config_text import load_config
from fimkit.model.errors import UsageError, clip
from fimkit.model.paths import render_terminal
from fimkit.model.time import parse_time, render_time
from fimkit.verbs.caller import load_caller

__all__ = ["add_arguments", "run"]

_MOST_FAILURES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions, each with its own arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    trial = add_action(actions, "test", "one message through every configured server and channel")
    trial.add_argument("--to", choices=[one.value for one in Gets], default=Gets.GENERAL.value, help="whose ways; default: general")
    add_json(trial)
    add_json(add_action(actions, "queue", "what waits, since when, the next try and the last error"))
    mutes = add_action(actions, "mute", "what is not mailed for a time, and is stored all the same")
    kinds = mutes.add_subparsers(dest="mute", metavar="ACTION", required=True)
    add = add_action(kinds, "add", "with an end and a reason")
    what = add.add_mutually_exclusive_group(required=True)
    what.add_argument("--path", metavar="PATTERN", help="on the name, or on the whole path when with a slash, and all below it")
    what.add_argument("--rule", metavar="RULE", help="a content rule; a finding that others hit too, or a critical one, is told")
    what.add_argument("--sha256", metavar="HASH", help="of the file as it is now")
    add.add_argument("--until", metavar="DATE", required=True, help="RFC 3339 or a date (its beginning, in UTC); within a year")
    add.add_argument("--reason", metavar="TEXT", required=True, help="why, for those who ask later")
    add_json(add_action(kinds, "list", "those that hold, and that ended within a month"))
    add_action(kinds, "remove", "end one now").add_argument("id", type=int, metavar="ID")


def run(arguments: argparse.Namespace) -> int:
    """Do one action.

    Returns:
        0, or 3 if `test` was not taken everywhere.
    """
    actions = {"test": _test, "queue": _queue, "mute": _mute}
    return actions[arguments.action](arguments)


def _test(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config)
    from fimkit.verbs.notify import render_tried, say_untried, try_everybody

    tried = try_everybody(config, Gets(arguments.to))
    if arguments.json:
        print_json(map(render_tried, tried))
    else:
        for one in tried:
            print(render_terminal(f"{'taken' if one.taken else 'FAILED'}  {one.name}  {one.words}"))
    print_words(say_untried(config, Gets(arguments.to)))
    return 0 if all(one.taken for one in tried) else 3


def _queue(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config)
    from fimkit.verbs.notify import load_queue, render_queue

    state = load_queue(config)
    rows = render_queue(state)
    if arguments.json:
        print_json(rows)
        return 0
    if state.down_ns is not None:
        print(f"no mail server has been reached since {render_time(state.down_ns)}")
    for line in _queue_lines(rows):
        print(render_terminal(line))
    return 0


def _queue_lines(rows: list[dict[str, object]]) -> Iterator[str]:
    from fimkit.notify.digest_text import render_count

    if not any(row["what"] == "letter" or row.get("findings") for row in rows):
        yield "nothing waits"
    for row in rows:
        if row["what"] == "lane" and row["findings"]:
            waits = render_count(int(str(row["findings"])), "finding waits", "findings wait")
            yield f"{waits} for the next mail ({row['lane']}), the oldest since {row['oldest']}"
        if row["what"] == "letter":
            who = ", ".join(map(str, row["waits_for"]))  # type: ignore[call-overload]
            tries = render_count(int(str(row["tries"])), "try", "tries")
            yield f"letter of {row['made']} by {row['by']} for {who}: {tries}, the next {row['next_try']}"
            if row["last_error"]:
                yield f"  {row['last_error']}"
    failures = [row for row in rows if row["what"] == "given up"]
    for row in failures[-_MOST_FAILURES:]:
        yield f"given up at {row['time']} for {row['recipient']}: {row['reason']}"
    if len(failures) > _MOST_FAILURES:
        yield f"and {len(failures) - _MOST_FAILURES} given up before these"


def _mute(arguments: argparse.Namespace) -> int:
    actions = {"add": _mute_add, "list": _mute_list, "remove": _mute_remove}
    return actions[arguments.mute](arguments)


def _until(text: str) -> int:
    try:
        return parse_time(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{clip(text)} is no time, expected a date such as 2026-12-31, or RFC 3339") from None


def _mute_add(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config)
    from fimkit.notify.mutes import MuteBy
    from fimkit.verbs.notify import add_mute

    by = next(one for one in MuteBy if getattr(arguments, one.value) is not None)
    what, until_ns = getattr(arguments, by.value), _until(arguments.until)
    mute = add_mute(config, by, what, until_ns=until_ns, reason=arguments.reason, who=load_caller())
    print(render_terminal(f"mute {mute.number} on {by.value} {what} until {render_time(until_ns)}: {mute.reason}"))
    return 0


def _mute_list(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config)
    from fimkit.verbs.notify import list_mutes, render_mute_row

    rows = [render_mute_row(mute, now_ns=time.time_ns()) for mute in list_mutes(config)]
    if arguments.json:
        print_json(rows)
        return 0
    if not rows:
        print("nothing is muted")
    for row in rows:
        end = "ended" if row["ended"] else "until"
        words = f"{row['id']:>4}  {end} {row['until']}  {row['by']} {row['what']}  by {row['who']}: {row['reason']}"
        print(render_terminal(words))
    return 0


def _mute_remove(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config)
    from fimkit.verbs.notify import remove_mute

    mute = remove_mute(config, arguments.id)
    print(render_terminal(f"mute {mute.number} on {mute.by.value} {mute.what} is gone: it is mailed again"))
    return 0
