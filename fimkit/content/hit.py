"""What a rule found in a file. Pure."""

from typing import NamedTuple

from fimkit.model.paths import render_path, render_terminal

__all__ = ["DEFAULT_SEVERITY", "SEVERITIES", "ContentHit", "line_text"]

SEVERITIES = ("info", "suspect", "critical")
"""What a rule may claim of itself, the mildest first."""

DEFAULT_SEVERITY = "suspect"

_TEXT_BYTES = 160
_BEFORE_BYTES = 48


class ContentHit(NamedTuple):
    """One place in one file that one rule matches.

    ``line`` counts from 1 and is 0 where nobody knows (behind what was left out of a large file); ``text`` is printable as it is.
    """

    path: bytes
    rule: str
    severity: str
    description: str
    attack: str
    line: int
    offset: int
    text: str
    kind: str


def line_text(content: bytes, start: int, end: int) -> str:
    r"""Show the line that a match begins on: cut to what stands around it, and safe for a terminal and a letter.

    >>> line_text(b"<?php\n\techo 1;\x1b[2J\n", 7, 11)
    'echo 1;%1B[2J'
    >>> line_text(b"a" * 5000, 1000, 1002) == "…" + "a" * 160 + "…"
    True
    """
    first = max(content.rfind(b"\n", max(start - _BEFORE_BYTES, 0), start) + 1, start - _BEFORE_BYTES, 0)
    last = content.find(b"\n", start, first + _TEXT_BYTES)
    is_whole = last >= 0 or len(content) <= first + _TEXT_BYTES
    last = last if last >= 0 else min(len(content), first + _TEXT_BYTES)
    before = "…" if first and content[first - 1 : first] != b"\n" else ""
    shown = content[first:last].replace(b"\t", b" ").strip()
    return before + render_terminal(render_path(shown)) + ("" if is_whole else "…")
