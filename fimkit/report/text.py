"""Findings as a table for a terminal: most severe first, within the width, every name escaped. Pure."""

import textwrap
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

from fimkit.model.changes import Actor
from fimkit.model.findings import Attribution, Finding, Kind, Severity
from fimkit.model.paths import render_path, render_terminal
from fimkit.model.states import TIMES_ONLY, FileState

__all__ = ["display_width", "fit", "fit_head", "render_findings", "render_summary"]

_SEVERITY, _KIND, _SURE = 9, 11, 13
_INDENT = "  "
_REASONS = 3


def display_width(text: str) -> int:
    """Count the columns that text takes on a terminal.

    >>> display_width("abc"), display_width("설정"), display_width("e\u0301")
    (3, 4, 1)
    """
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _cut(text: str, width: int) -> str:
    while display_width(text) > width:
        text = text[:-1]
    return text


def fit(text: str, width: int) -> str:
    """Shorten text in the middle so that it takes at most ``width`` columns: the end of a path tells most.

    >>> fit("/srv/www/html/index.php", 14)
    '/srv/…ndex.php'
    """
    if display_width(text) <= width:
        return text
    tail = _cut(text[::-1], (width - 1) * 2 // 3)[::-1]
    return _cut(text, width - 1 - display_width(tail)) + "…" + tail


def fit_head(text: str, width: int) -> str:
    """Shorten text at its end: the beginning of a command tells most.

    >>> fit_head("/bin/sh -c 'wget http://192.0.2.1/'", 14)
    "/bin/sh -c 'w…"
    """
    return text if display_width(text) <= width else _cut(text, width - 1) + "…"


def _pad(text: str, width: int) -> str:
    return text + " " * (width - display_width(text))


def _path(path: bytes) -> str:
    return render_terminal(render_path(path))


def render_findings(findings: Sequence[Finding], *, width: int = 80) -> Iterator[str]:
    """Write findings as lines.

    Args:
        findings: In any order.
        width: Columns of the terminal, at least 60.

    Yields:
        A heading, then for each finding one line with severity, kind, path and attribution, and below it what changed, who did
        it and why it is judged so. ``cmd?`` is a command line that is not verified.
    """
    if not findings:
        return
    room = width - _SEVERITY - _KIND - _SURE
    yield _pad("SEVERITY", _SEVERITY) + _pad("KIND", _KIND) + _pad("PATH", room) + "ATTRIBUTION"
    for finding in sorted(findings, key=lambda one: (-one.severity.rank, one.path, one.id)):
        yield from _render_one(finding, room, width)


def _render_one(finding: Finding, room: int, width: int) -> Iterator[str]:
    path = _path(finding.path)
    start = _pad(finding.severity.value, _SEVERITY) + _pad(finding.kind.value, _KIND)
    if display_width(path) < room:
        yield start + _pad(path, room) + finding.attribution.value
    else:
        yield start + _pad("", room) + finding.attribution.value
        yield _INDENT + fit(path, width - len(_INDENT))
    for line in _what(finding):
        yield _INDENT + fit(line, width - len(_INDENT))
    for line in _who(finding):
        yield _INDENT + fit_head(line, width - len(_INDENT))
    for reason in finding.reasons[:_REASONS]:
        yield from textwrap.wrap(
            render_terminal(reason),
            width - len(_INDENT),
            initial_indent=_INDENT + "- ",
            subsequent_indent=_INDENT + "  ",
            break_on_hyphens=False,
        )


def _what(finding: Finding) -> Iterator[str]:
    before, after = finding.before, finding.after
    if finding.moved_to is not None:
        yield f"to     {_path(finding.moved_to)}"
    if finding.kind is Kind.CREATED and after is not None:
        yield f"new    {_describe(after)}"
    elif finding.kind is Kind.DELETED and before is not None:
        yield f"was    {_describe(before)}"
    elif before is not None and after is not None and finding.changed:
        shown = [name for name in finding.changed if name not in TIMES_ONLY] or list(finding.changed)
        yield "what   " + ", ".join(_difference(name, before, after) for name in shown)


def _describe(state: FileState) -> str:
    parts = [state.type.value]
    if state.sha256 is not None:
        parts.append(f"sha256 {state.sha256[:12]}")
    if state.target is not None:
        parts.append(f"to {_path(state.target)}")
    if state.mode is not None:
        parts.append(f"mode {state.mode:04o}")
    if state.uid is not None:
        parts.append(f"owner {state.uid}:{state.gid}")
    return ", ".join(parts)


def _difference(name: str, before: FileState, after: FileState) -> str:
    old, new = getattr(before, name), getattr(after, name)
    if name in ("mtime_ns", "ctime_ns", "xattrs"):
        return name.removesuffix("_ns")
    if name == "sha256":
        return f"sha256 {old[:12]} → {new[:12]}"
    if name == "mode":
        return f"mode {old:04o} → {new:04o}"
    if name == "target":
        return f"target {_path(old)} → {_path(new)}"
    return f"{name} {old} → {new}"


def _who(finding: Finding) -> Iterator[str]:
    for actor in finding.actors[:3]:
        yield f"who    {_actor(actor)}"
        if actor.cmdline:
            yield f"{'cmd ' if actor.cmdline_verified else 'cmd?'}   {render_terminal(actor.cmdline)}"
    if len(finding.actors) > 3:
        yield f"       and {len(finding.actors) - 3} more"


def _actor(actor: Actor) -> str:
    login = "no login" if actor.auid is None else f"auid {actor.auid}"
    if actor.auid is not None and actor.user is not None:
        login = f"{actor.user} ({login})"
    program = "?" if actor.exe is None else _path(actor.exe)
    return f"{login}, uid {actor.uid}, pid {actor.pid}, {program}"


def render_summary(findings: Sequence[Finding]) -> str:
    """Count findings by severity, the most severe first.

    >>> render_summary([])
    'no findings'
    """
    if not findings:
        return "no findings"
    counts = Counter(finding.severity for finding in findings)
    parts = [f"{counts[severity]} {severity.value}" for severity in reversed(list(Severity)) if counts[severity]]
    unsure = sum(finding.attribution is not Attribution.EXACT for finding in findings)
    words = f"{len(findings)} finding{'s' if len(findings) != 1 else ''}: {', '.join(parts)}"
    return words + (f"; {unsure} not attributed for sure" if unsure else "")
