"""Findings, events and baselines as pandas frames, and findings back from a frame. Pure.

With :mod:`fimkit.report.change_frames` the only module that turns them into rows. Values that no column can hold (a number over 64
bits, a year after 2262: both are anybody's to write into a file) become ``<NA>`` or ``NaT``, are counted, and are named in
``frame.attrs["notes"]``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import pandas as pd

from fimkit.model.changes import Actor, Change
from fimkit.model.coverage import Gap
from fimkit.model.errors import UsageError
from fimkit.model.findings import Finding, Tier
from fimkit.model.json_form import parse_finding, render_actor, render_state
from fimkit.model.paths import join_path, render_path, render_terminal
from fimkit.model.records import AuditEvent, NameType
from fimkit.model.states import FileState
from fimkit.model.time import render_time
from fimkit.report.columns import Lost, clean_text, column_of, render_lost, render_octal
from fimkit.report.frame_html import render_frame
from fimkit.report.frame_schema import BASELINE, COVERAGE, EVENTS, FINDINGS, Schema

__all__ = [
    "EventRow",
    "Frame",
    "baseline_frame",
    "coverage_frame",
    "event_of_change",
    "event_of_record",
    "events_frame",
    "findings_frame",
    "findings_of",
]

_WHO = ("auid", "uid", "euid", "user", "pid", "ppid", "exe", "comm", "cmdline", "cmdline_verified", "tty", "ses", "syscall")
_NOBODY: tuple[None, ...] = (None,) * len(_WHO)
_ACTOR_TEXTS = ("user", "cmdline", "tty", "syscall", "event")
_MARK_TEXTS = ("rule", "severity", "text", "attack")


class Frame(pd.DataFrame):
    """A pandas frame that a notebook shows with the columns that matter, and with every name escaped."""

    @property
    def _constructor(self) -> Callable[..., "Frame"]:
        return Frame

    def _repr_html_(self) -> str:
        return render_frame(self)

    def __repr__(self) -> str:
        """Write it for a terminal, which obeys what a name or a command line of a host may say to it."""
        return "\n".join(map(render_terminal, super().__repr__().split("\n")))


class EventRow(NamedTuple):
    """One event on its way into a frame. ``paths`` are absolute where that can be known."""

    host: str
    time_ns: int
    event: str
    types: str | None
    success: bool | None
    exit: int | None
    error: str | None
    key: bytes | None
    paths: tuple[bytes, ...]
    cwd: bytes | None
    actor: Actor | None


def _frame(schema: Schema, rows: Sequence[tuple[Any, ...]], *, order: Sequence[str]) -> Frame:
    """Make a frame of rows in the schema's order of columns, sorted by ``order``."""
    lost = Lost()
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(schema.fields)
    frame = Frame({field.name: column_of(column, field, lost) for field, column in zip(schema.fields, columns, strict=True)})
    frame = frame.sort_values(list(order), kind="stable", ignore_index=True)
    frame.attrs["schema"], frame.attrs["notes"] = schema.name, render_lost(lost)
    return frame


def _who(actor: Actor | None) -> tuple[Any, ...]:
    return _NOBODY if actor is None else tuple(getattr(actor, name) for name in _WHO)


def _clean(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Make the text of an object fit for Arrow and for pages; ``names`` are the fields whose text nobody has escaped yet."""
    for name in names:
        value = row.get(name)
        if value.__class__ is str and not value.isascii():
            row[name] = clean_text(value)
    return row


def _state(state: FileState | None) -> dict[str, Any] | None:
    if state is None:
        return None
    row = _clean(render_state(state), ("sha256", "problem"))
    if row["xattrs"]:
        row["xattrs"] = {str(clean_text(name)): value for name, value in row["xattrs"].items()}
    return row


def _finding_row(finding: Finding, status: str, closed_ns: int | None) -> tuple[Any, ...]:
    head = finding.actors[0] if finding.actors else None
    before, after = finding.before, finding.after
    known = after if after is not None else before
    return (
        finding.id, finding.host, finding.path, finding.moved_to, finding.kind.value, finding.tier.value, finding.severity.value,
        finding.verdict.value, status, finding.attribution.value, finding.first_seen_ns, finding.last_seen_ns, closed_ns,
        *_who(head), None if head is None else head.event, None if head is None else head.time_ns,
        None if known is None else known.sha256, None if before is None else before.sha256, finding.changed, finding.reasons,
        tuple(source.value for source in finding.sources), finding.evidence,
        _state(before), _state(after),
        None if finding.content is None else tuple(_clean(asdict(mark), _MARK_TEXTS) for mark in finding.content),
        tuple(_clean(render_actor(actor), _ACTOR_TEXTS) for actor in finding.actors),
    )  # fmt: skip


def findings_frame(rows: Iterable[tuple[Finding, str, int | None]]) -> Frame:
    """Make the FINDINGS frame.

    Args:
        rows: Each finding with its status and when it was closed.

    Returns:
        The columns of :data:`fimkit.report.frame_schema.FINDINGS`, a row a finding, by ``first_seen``, ``path``, ``id``.

    >>> findings_frame([]).shape[0]
    0
    """
    return _frame(FINDINGS, [_finding_row(*row) for row in rows], order=("first_seen", "path", "id"))


def event_of_record(host: str, event: AuditEvent, actor: Actor | None) -> EventRow:
    """Give a record's event as a row; ``actor`` is who made it, as :class:`fimkit.audit.changes.AuditChanges` says."""
    named = (item.name for item in event.items if item.name is not None and item.nametype is not NameType.PARENT)
    paths = tuple(join_path(event.cwd, name) if event.cwd is not None else name for name in named)
    seconds, millis = divmod(event.event_id.time_ms, 1000)
    return EventRow(
        host, event.event_id.time_ms * 1_000_000, f"{seconds}.{millis:03d}:{event.event_id.serial}", " ".join(event.types),
        event.success, event.exit, None, event.key, paths, event.cwd, actor,
    )  # fmt: skip


def event_of_change(host: str, changes: Sequence[Change]) -> EventRow:
    """Give the changes of one event as its row."""
    first = changes[0]
    paths = tuple(dict.fromkeys(change.path for change in changes if change.path is not None))
    event = "" if first.actor is None else first.actor.event
    error = next((change.error for change in changes if change.error is not None), None)
    return EventRow(host, first.time_ns, event, None, error is None, None, error, None, paths, None, first.actor)


def _event_row(row: EventRow) -> tuple[Any, ...]:
    paths = tuple(map(render_path, row.paths))
    return (
        row.host, row.time_ns, row.event, row.types, row.success, row.exit, row.error, row.key, paths[-1] if paths else None,
        paths, row.cwd, *_who(row.actor),
    )  # fmt: skip


def events_frame(rows: Iterable[EventRow]) -> Frame:
    """Make the EVENTS frame: the columns of :data:`fimkit.report.frame_schema.EVENTS`, by ``time`` and ``event``."""
    return _frame(EVENTS, [_event_row(row) for row in rows], order=("time", "event"))


def _state_row(host: str, tier: Tier | None, state: FileState) -> tuple[Any, ...]:
    xattrs = None if state.xattrs is None else {str(clean_text(name)): render_path(value) for name, value in state.xattrs.items()}
    return (
        host, state.path, None if tier is None else tier.value, state.type.value, render_octal(state.mode), state.uid, state.gid,
        state.size, state.inode, state.dev, state.nlink, state.mtime_ns, state.ctime_ns,
        state.sha256, state.target, xattrs, state.problem,
    )  # fmt: skip


def baseline_frame(rows: Iterable[tuple[str, Tier | None, FileState]]) -> Frame:
    """Make the BASELINE frame.

    Args:
        rows: Each state with its host, and the tier of its path where that is known.

    Returns:
        The columns of :data:`fimkit.report.frame_schema.BASELINE`, a row a path, by ``host`` and ``path``.
    """
    return _frame(BASELINE, [_state_row(*row) for row in rows], order=("host", "path"))


def coverage_frame(rows: Iterable[tuple[str, Gap]]) -> Frame:
    """Make the COVERAGE frame.

    Args:
        rows: Each gap with its host.

    Returns:
        The columns of :data:`fimkit.report.frame_schema.COVERAGE`, a row a gap, by ``from``, ``host`` and ``source``.
    """
    cells = [
        (host, gap.from_ns, gap.to_ns, gap.source.value, gap.cause.value, gap.path, gap.words, gap.lost, gap.evidence)
        for host, gap in rows
    ]
    return _frame(COVERAGE, cells, order=("from", "host", "source"))


_BODY = ("id", "host", "path", "moved_to", "kind", "tier", "severity", "verdict", "attribution")


def _stamp(value: Any) -> str:
    return render_time(0 if pd.isna(value) else int(value.value))


def findings_of(frame: pd.DataFrame) -> list[Finding]:
    """Give the findings of a FINDINGS frame, in its order; rows may have been left out, columns may not.

    Raises:
        UsageError: If columns are missing.
    """
    missing = [name for name in FINDINGS.names if name not in frame.columns]
    if missing:
        raise UsageError(f"this is no whole findings frame: {', '.join(missing)} missing")
    return [parse_finding(_body_of(row)) for row in frame.to_dict("records")]


def _body_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    plain = {name: None if pd.isna(row[name]) else row[name] for name in _BODY}
    lists = {name: list(row[name]) for name in ("changed", "reasons", "sources", "evidence", "actors")}
    content = list(row["content"]) if isinstance(row["content"], tuple | list) else None
    sides = {side: row[side] if isinstance(row[side], dict) else None for side in ("before", "after")}
    times = {name: _stamp(row[name]) for name in ("first_seen", "last_seen")}
    return {**plain, **lists, **sides, **times, "content": content}
