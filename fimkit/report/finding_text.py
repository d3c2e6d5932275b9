"""One finding whole, for a terminal: what, before and after, who, why, what it stands on. Pure.

Every name is escaped and nothing is shortened: long lines are the terminal's to fold.
"""

from collections.abc import Iterator, Sequence

from fimkit.model.changes import Actor, Change
from fimkit.model.findings import Finding
from fimkit.model.json_form import render_state
from fimkit.model.paths import render_path, render_terminal
from fimkit.model.states import FileState
from fimkit.report.color import Palette
from fimkit.report.export_rows import ExportRow, safe_text, safe_time
from fimkit.report.export_words import render_sentence

__all__ = ["render_whole"]

_LABEL = 12
_BETWEEN = b"\x1d"


def render_whole(
    row: ExportRow,
    changes: Sequence[Change],
    records: Sequence[tuple[str, bytes]],
    *,
    diff: str | None = None,
    palette: Palette,
) -> Iterator[str]:
    """Write a finding as lines.

    Args:
        row: The finding and its life.
        changes: What audit and osquery claim of it.
        records: Raw records, each with the name of its file.
        diff: The unified diff of what the file said.
        palette: Paints.
    """
    finding = row.finding
    yield palette.severity(finding.severity, render_sentence(finding))
    yield from _facts(row)
    if finding.before is not None or finding.after is not None:
        yield from ("", palette.bold("Before and after"))
        yield from _states(finding.before, finding.after, palette)
    if diff is not None:
        yield from ("", palette.bold("Text"))
        yield from _diff_lines(diff, palette)
    yield from ("", palette.bold("Who"))
    yield from _actors(finding)
    for title, lines in (("Why", finding.reasons), ("Claims", [_claim(change) for change in changes])):
        if lines:
            yield from ("", palette.bold(title))
            yield from (f"  - {_safe(line)}" for line in lines)
    if records:
        yield from ("", palette.bold("Records"))
        yield from _records(records, palette)


def _safe(text: str) -> str:
    return render_terminal(safe_text(text))


def _fact(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{_safe(text)}"


def _facts(row: ExportRow) -> Iterator[str]:
    finding = row.finding
    yield _fact("id", finding.id)
    yield _fact("host", finding.host)
    yield _fact("path", render_path(finding.path))
    if finding.moved_to is not None:
        yield _fact("moved to", render_path(finding.moved_to))
    yield _fact("kind", finding.kind.value + (f": {' '.join(finding.changed)}" if finding.changed else ""))
    yield _fact("tier", finding.tier.value)
    yield _fact("verdict", finding.verdict.value)
    yield _fact("attribution", finding.attribution.value)
    yield _fact("seen by", " ".join(source.value for source in finding.sources))
    yield _fact("first seen", safe_time(finding.first_seen_ns) or "")
    yield _fact("last seen", safe_time(finding.last_seen_ns) or "")
    yield _fact("status", row.status + (f" since {safe_time(row.closed_ns)}" if row.closed_ns is not None else ""))
    if row.accepted_by is not None:
        yield _fact("accepted by", row.accepted_by + (f": {row.accept_reason}" if row.accept_reason else ""))
    if row.superseded_by is not None:
        yield _fact("replaced by", row.superseded_by)
    if row.replaces:
        yield _fact("replaces", " ".join(row.replaces))


def _states(before: FileState | None, after: FileState | None, palette: Palette) -> Iterator[str]:
    old = {} if before is None else render_state(before)
    new = {} if after is None else render_state(after)
    for name in dict.fromkeys((*old, *new)):
        was, now = (_word(state, name) for state in (old, new))
        if was == now:
            if was:
                yield _fact(name, was)
            continue
        if before is not None:
            yield palette.old(f"- {name:<{_LABEL}}{was or '(not known)'}")
        if after is not None:
            yield palette.new(f"+ {name:<{_LABEL}}{now or '(not known)'}")


def _word(state: dict[str, object], name: str) -> str:
    value = state.get(name)
    if name.endswith("_ns") and isinstance(value, int):
        time = safe_time(value)
        return str(value) if time is None else f"{value} ({time})"
    if isinstance(value, dict):
        return _safe(" ".join(f"{key}={inner}" for key, inner in sorted(value.items())) or "none")
    return "" if value is None else _safe(str(value))


def _diff_lines(diff: str, palette: Palette) -> Iterator[str]:
    for line in diff.split("\n")[: -1 if diff.endswith("\n") else None]:
        shown = "  " + _safe(line)
        yield palette.old(shown) if line.startswith("-") else palette.new(shown) if line.startswith("+") else shown


def _actors(finding: Finding) -> Iterator[str]:
    if not finding.actors:
        yield "  nobody who is known"
    for actor in finding.actors:
        yield from _actor(actor)


def _actor(actor: Actor) -> Iterator[str]:
    login = "no login" if actor.auid is None else f"auid {actor.auid}" + (f" ({actor.user})" if actor.user else "")
    session = "" if actor.ses is None else f", session {actor.ses}"
    terminal = "" if actor.tty is None else f", {actor.tty}"
    yield f"  - {_safe(f'{login}, uid {actor.uid}, euid {actor.euid}{session}{terminal}')}"
    program = "?" if actor.exe is None else render_path(actor.exe)
    yield f"    {_safe(f'pid {actor.pid} of {actor.ppid}, {program}')}"
    if actor.cmdline:
        yield f"    {_safe(actor.cmdline)}{'' if actor.cmdline_verified else '  (not verified)'}"
    yield f"    {_safe(f'{actor.syscall or chr(63)} at {safe_time(actor.time_ns)}, event {actor.event}')}"


def _claim(change: Change) -> str:
    where = "" if change.path is None else f" {render_path(change.path)}"
    inode = "" if change.inode is None else f", inode {change.inode}"
    error = "" if change.error is None else f", {change.error}"
    who = "" if change.actor is None else f", pid {change.actor.pid}, event {change.actor.event}"
    return f"{safe_time(change.time_ns)} {change.source.value}: {change.action.value}{where}{inode}{error}{who}"


def _records(records: Sequence[tuple[str, bytes]], palette: Palette) -> Iterator[str]:
    """A record as auditd wrote it, its separators between plain and enriched fields as spaces."""
    shown = ""
    for file, line in records:
        if file != shown:
            yield palette.dim(f"  {_safe(file)}")
            shown = file
        yield "  " + render_terminal(render_path(line.replace(_BETWEEN, b" ")))
