"""`fimkit demo`: eight tamperings on a throw-away tree under real audit, found and attributed."""

import argparse
import sys
from pathlib import Path

from fimkit.commands.printing import add_json, print_findings, print_words
from fimkit.model.paths import render_terminal

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    add_json(parser)
    parser.add_argument("--keep", metavar="DIR", type=Path, help="copy the records there, to try `fimkit investigate` on")


def run(arguments: argparse.Namespace) -> int:
    """Demonstrate.

    Returns:
        0 if every tampering was found with its actor, else 1.
    """
    from fimkit.report.text import render_summary
    from fimkit.verbs.demo import demonstrate  # pandas: only when it is needed

    done = demonstrate(keep=arguments.keep, tell=_tell)
    print_findings(done.found.findings, as_json=arguments.json)
    print_words(done.found.problems)
    _tell(render_summary(done.found.findings))
    for step in done.missing:
        _tell(f"not found: {step.words} ({step.path})")
    return 1 if done.missing else 0


def _tell(words: str) -> None:
    print(render_terminal(words), file=sys.stderr)
