"""`fimkit selftest`: a canary in each watched root, and which source saw it, after how long, and what that means."""

import argparse
import sys

from fimkit.commands.printing import add_json, print_json, print_words, terminal_width
from fimkit.commands.selftest_text import render_selftest
from fimkit.model.config_text import load_config
from fimkit.model.errors import UsageError
from fimkit.model.paths import render_terminal

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    add_json(parser)
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=float,
        help="wait at most so many seconds for any source; default: as long as osquery's interval asks for",
    )


def run(arguments: argparse.Namespace) -> int:
    """Test and print.

    Returns:
        0 if every root that can be tried was seen by every source, else 1.
    """
    if arguments.timeout is not None and not 0 < arguments.timeout < float("inf"):
        raise UsageError(f"--timeout {arguments.timeout}: expected seconds, more than 0")
    config = load_config(arguments.config)
    from fimkit.verbs.selftest import selftest
    from fimkit.verbs.selftest_report import render_root

    found = selftest(config, timeout_s=arguments.timeout, tell=_tell)
    if arguments.json:
        print_json(map(render_root, found.roots))
    else:
        for line in render_selftest(found.roots, width=terminal_width()):
            print(line)
    print_words(found.words)
    return 0 if found.ok else 1


def _tell(words: str) -> None:
    print(f"fimkit: {render_terminal(words)}", file=sys.stderr)
