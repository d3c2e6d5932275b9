"""`fimkit check`: what changed since the last look, and who did it. For cron and timers."""

import argparse
import sys
import time
from pathlib import Path

from fimkit.commands.panic_options import add_panic_options
from fimkit.commands.printing import add_json, print_findings, print_words
from fimkit.commands.progress import Progress
from fimkit.commands.scan_options import add_scan_options, limited
from fimkit.model.config_text import load_config
from fimkit.model.coverage import say_gaps
from fimkit.model.errors import UsageError
from fimkit.verbs.since import parse_since

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    add_json(parser)
    parser.add_argument(
        "--audit-log",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="read this log in place of the host's own; may be repeated",
    )
    parser.add_argument(
        "--osquery-log",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="read this log in place of the host's own; may be repeated",
    )
    parser.add_argument(
        "--since", metavar="TIME", help="leave out tries and passing files recorded before: RFC 3339, a date, or how long ago (24h)"
    )
    parser.add_argument("--quick", action="store_true", help="do not read files whose times, size and inode are the baseline's")
    parser.add_argument(
        "--require-seal",
        action="store_true",
        help="a baseline without a seal, and what was accepted since it was sealed, are findings; as [seal] require",
    )
    add_scan_options(parser)
    add_panic_options(parser)
    parser.add_argument("--all", action="store_true", help="print what is still open too, not only what is new")


def run(arguments: argparse.Namespace) -> int:
    """Check and print.

    Returns:
        1 while any finding is open, else 0.
    """
    since_ns = None if arguments.since is None else parse_since(arguments.since, now_ns=time.time_ns())
    missing = [f"{path}: no such file" for path in (*arguments.audit_log, *arguments.osquery_log) if not path.is_file()]
    if missing:
        raise UsageError("; ".join(missing))
    config = limited(load_config(arguments.config), arguments)
    from fimkit.report.text import render_summary
    from fimkit.verbs.check import CheckOptions, check, mark_told

    with Progress("scanning") as progress:
        found = check(
            config,
            CheckOptions(
                audit_logs=tuple(arguments.audit_log),
                osquery_logs=tuple(arguments.osquery_log),
                since_ns=since_ns,
                quick=arguments.quick,
                require_seal=arguments.require_seal,
                nomail=arguments.nomail,
                nokill=arguments.nokill,
                on_progress=progress.show,
            ),
        )
    print_findings(found.open if arguments.all else found.new, as_json=arguments.json)
    sys.stdout.flush()
    mark_told(config, found.new)  # only what has left this process: whoever is killed before tells it again
    print_words(found.words)
    stream = sys.stderr if arguments.json else sys.stdout
    unseen = say_gaps(found.gaps)
    print(f"new: {render_summary(found.new)}" + (f"; {unseen}" if unseen else ""), file=stream)
    if found.known:
        print(f"still open: {render_summary(found.known)}" + ("" if arguments.all else "; --all shows them"), file=stream)
    if found.gone:
        print(f"no longer there: {len(found.gone)}", file=stream)
    return 1 if found.open else 0
