"""`fimkit report`: findings for people, as one HTML file with everything in it."""

import argparse
import time
from pathlib import Path

from fimkit.commands.printing import print_words
from fimkit.model.config_text import load_config
from fimkit.model.paths import render_terminal

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the file and the time."""
    parser.add_argument("--html", metavar="FILE", type=Path, required=True, help="where to; what is there is replaced, mode 0600")
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="what was seen since then, settled findings too: RFC 3339, a date, or e.g. 24h; by default all that is open",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write it.

    Returns:
        1 while any finding in it is open, else 0.
    """
    config = load_config(arguments.config)
    from fimkit.report.html_verdict import open_findings, render_verdict
    from fimkit.verbs.report import report_store
    from fimkit.verbs.since import parse_since

    now_ns = time.time_ns()
    since_ns = None if arguments.since is None else parse_since(arguments.since, now_ns=now_ns)
    data = report_store(config, arguments.html, since_ns=since_ns, now_ns=now_ns)
    print(f"written: {render_terminal(str(arguments.html))}")
    print_words([render_verdict(data)])
    return 1 if open_findings(data) else 0
