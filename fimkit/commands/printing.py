"""What several verbs print: findings as a table or as JSON lines, words on standard error."""

import argparse
import shutil
import sys
from collections.abc import Iterable, Sequence

from fimkit.model.findings import Finding
from fimkit.model.json_form import render_finding
from fimkit.model.json_text import render_json_line
from fimkit.model.paths import render_terminal
from fimkit.report.text import render_findings

__all__ = ["add_json", "print_findings", "print_json", "print_words", "terminal_width"]

_NARROWEST, _WIDEST = 80, 132
_MOST_WORDS = 20


def add_json(parser: argparse.ArgumentParser) -> None:
    """Declare ``--json``."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output, and nothing else there")


def terminal_width() -> int:
    """Give the columns to write for: 80, or what a wider terminal has."""
    return min(max(shutil.get_terminal_size((_NARROWEST, 24)).columns, _NARROWEST), _WIDEST) if sys.stdout.isatty() else _NARROWEST


def print_json(rows: Iterable[object]) -> None:
    """Print one object a line."""
    for row in rows:
        sys.stdout.write(render_json_line(row) + "\n")


def print_findings(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print findings, the most severe first."""
    if as_json:
        print_json(map(render_finding, findings))
        return
    for line in render_findings(findings, width=terminal_width()):
        print(line)


def print_words(words: Sequence[str]) -> None:
    """Say something on standard error, at most twenty lines of it and how many there are more."""
    for word in words[:_MOST_WORDS]:
        print(f"fimkit: {render_terminal(word)}", file=sys.stderr)
    if len(words) > _MOST_WORDS:
        print(f"fimkit: and {len(words) - _MOST_WORDS} more like these", file=sys.stderr)
