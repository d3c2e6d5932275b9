"""Baselines, differences and the history as lines that a person can read in 80 columns. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from fimkit.evidence.baseline_rows import BaselineMeta
from fimkit.evidence.history_rows import HistoryRow
from fimkit.model.changes import StateDiff
from fimkit.model.paths import render_path, render_terminal
from fimkit.model.states import FileState, FileType
from fimkit.model.time import render_time
from fimkit.report.text import display_width, fit, fit_head
from fimkit.verbs.baseline import kind_of
from fimkit.verbs.pins import Collected

if TYPE_CHECKING:
    from fimkit.verbs.accept import Item

__all__ = ["render_diffs", "render_history", "render_items", "render_meta", "render_pinned", "render_states"]

_WIDTH = 80
_LETTERS = {
    FileType.FILE: "-", FileType.DIRECTORY: "d", FileType.SYMLINK: "l", FileType.BLOCK: "b", FileType.CHAR: "c", FileType.FIFO: "p",
    FileType.SOCKET: "s",
}  # fmt: skip
"""As ``ls -l`` has them."""


def _path(path: bytes) -> str:
    return render_terminal(render_path(path))


def _row(columns: str, path: str) -> Iterator[str]:
    """Give a row that ends in a path; one that is too long stands on a line of its own, whole if 80 columns can hold it."""
    room = _WIDTH - display_width(columns) - 1
    if display_width(path) <= room:
        yield f"{columns} {path}"
        return
    yield columns.rstrip()
    yield "  " + fit(path, _WIDTH - 2)


def _known(value: object) -> str:
    return "?" if value is None else str(value)


def _columns(state: FileState) -> str:
    mode = "????" if state.mode is None else f"{state.mode:04o}"
    owner = f"{_known(state.uid)}:{_known(state.gid)}"
    content = state.sha256[:12] if state.sha256 else "?" if state.type is FileType.FILE else ""
    return f"{_LETTERS[state.type]} {mode} {owner:<11} {_known(state.size):>12} {content:<12}"


def render_states(states: Iterable[FileState]) -> Iterator[str]:
    """Write rows of a baseline: type, mode, owner, size, the beginning of the hash, and the path."""
    yield "T MODE OWNER               SIZE SHA256       PATH"
    for state in states:
        arrow = "" if state.target is None else f" -> {_path(state.target)}"
        yield from _row(_columns(state), _path(state.path) + arrow)
        if state.problem is not None:
            yield fit_head(f"  ! {render_terminal(state.problem)}", _WIDTH)


def _seconds(time_ns: int) -> str:
    return render_time(time_ns // 10**9 * 10**9)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def render_meta(meta: BaselineMeta, *, at: str | None) -> Iterator[str]:
    """Write whose baseline it is."""
    problems = f", {meta.problems:,} with a problem" if meta.problems else ""
    made = f"Baseline of {_seconds(meta.time_ns)} by {render_terminal(meta.who)}"
    yield fit_head(f"{made}, {_count(meta.count, 'path')}{problems}", _WIDTH)
    if meta.why:
        yield fit_head(f"Why: {render_terminal(meta.why)}", _WIDTH)
    if meta.accepts and meta.accepted_ns is not None:
        yield f"Accepted since: {_count(meta.accepts, 'time')}, last {_seconds(meta.accepted_ns)}"
    for note in meta.notes:
        yield fit_head(f"  ! {render_terminal(note)}", _WIDTH)
    if at is not None:
        yield f"As it was at {render_terminal(at)}:"


def render_pinned(collected: Collected, *, pinned: bool) -> str:
    """Write how much packages are believed by."""
    pins = collected.pins
    words = "pinned" if pinned else "would be pinned"
    return f"{_count(len(pins.keys), 'key')} of packages and {_count(len(pins.packages), 'installed version')} {words}"


def render_diffs(diffs: Sequence[StateDiff]) -> Iterator[str]:
    """Write differences: what, the attributes, the path."""
    if not diffs:
        yield "nothing differs"
        return
    yield f"{'KIND':<11}{'CHANGED':<24} PATH"
    for diff in diffs:
        names = " ".join(name.removesuffix("_ns") for name in diff.changed)
        yield from _row(f"{kind_of(diff).value:<11}{fit_head(names, 24):<24}", _path(diff.path))
    yield f"{_count(len(diffs), 'path')} differ{'s' if len(diffs) == 1 else ''}"


def render_items(items: Sequence["Item"]) -> Iterator[str]:
    """Write what is accepted: what, and the path, with the new one of a move."""
    for item in items:
        target = "" if item.moved_to is None else f" -> {_path(item.moved_to)}"
        yield from _row(f"{item.kind.value:<11}", _path(item.path) + target)


def render_history(rows: Iterable[HistoryRow]) -> Iterator[str]:
    """Write what was accepted: a heading for each time, then the paths with what they were and became."""
    last = 0
    for row in rows:
        made = row.acceptance
        if made.id != last:
            last = made.id
            what = "new baseline" if made.kind == "create" else "accepted"
            yield fit_head(f"{_seconds(made.time_ns)} {what} by {render_terminal(made.who)}", _WIDTH)
            if made.why:
                yield fit_head(f"  why: {render_terminal(made.why)}", _WIDTH)
        yield "  " + fit(_path(row.path), _WIDTH - 2)
        for word, state in (("was", row.before), ("is", row.after)):
            yield f"    {word:<4}" + ("absent" if state is None else _columns(state).rstrip())
    if not last:
        yield "nothing was accepted since the first baseline"
