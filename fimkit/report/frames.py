"""Findings, changes, events and baselines as pandas frames, and findings back from a frame. Pure.

The only module that turns them into rows. Values that no column can hold (a number over 64 bits, a year after 2262: both are
anybody's to write into a file) become ``<NA>`` or ``NaT``, are counted, and are named in ``frame.attrs["notes"]``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fimkit.model.changes import Actor, Change
from fimkit.model.errors import UsageError
from fimkit.model.findings import Finding, Tier
from fimkit.model.json_form import parse_finding, render_actor, render_state
from fimkit.model.paths import join_path, render_path
from fimkit.model.records import AuditEvent, NameType
from fimkit.model.states import FileState
from fimkit.model.time import render_time
from fimkit.report.frame_html import render_frame
from fimkit.report.frame_schema import BASELINE, CHANGES, EVENTS, FINDINGS, KINDS, ORDERED, TIME, Field, Schema

__all__ = [
    "EventRow",
    "Frame",
    "baseline_frame",
    "changes_frame",
    "event_of_change",
    "event_of_record",
    "events_frame",
    "findings_frame",
    "findings_of",
    "join_frames",
]

_MOST_NS = (1 << 63) - 1
_RANGE = {"Int64": (-_MOST_NS, _MOST_NS), "UInt64": (0, (1 << 64) - 1)}
_WHO = ("auid", "uid", "euid", "user", "pid", "ppid", "exe", "comm", "cmdline", "cmdline_verified", "tty", "ses", "syscall")
_NOBODY: tuple[None, ...] = (None,) * len(_WHO)


class Frame(pd.DataFrame):
    """A pandas frame that a notebook shows with the columns that matter, and with every name escaped."""

    @property
    def _constructor(self) -> Callable[..., "Frame"]:
        return Frame

    def _repr_html_(self) -> str:
        return render_frame(self)


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


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        # Half a surrogate pair (a byte that was no UTF-8) is nothing that Arrow or a page could hold.
        return value if value is None or value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    return render_path(value) if isinstance(value, bytes) else str(value)


def _numbers(values: Sequence[Any], field: Field, notes: list[str]) -> Any:
    low, high = _RANGE[field.dtype]
    missing = np.array([value is None or not low <= value <= high for value in values], dtype=bool)
    lost = int(missing.sum()) - sum(value is None for value in values)
    if lost:
        notes.append(f"{field.name}: {lost} numbers of more than 64 bits are left out")
    whole = np.array([0 if skip else value for value, skip in zip(values, missing, strict=True)], dtype=field.dtype.lower())
    return pd.arrays.IntegerArray(whole, missing)


def _times(values: Sequence[Any], field: Field, notes: list[str]) -> Any:
    missing = [value is None or not -_MOST_NS < value <= _MOST_NS for value in values]
    lost = sum(missing) - sum(value is None for value in values)
    if lost:
        notes.append(f"{field.name}: {lost} times before 1678 or after 2261 are left out")
    whole = np.array([0 if skip else value for value, skip in zip(values, missing, strict=True)], dtype="int64")
    stamps = whole.view("datetime64[ns]").copy()
    stamps[np.array(missing, dtype=bool)] = np.datetime64("NaT")
    return pd.DatetimeIndex(stamps).tz_localize("UTC")


def _column(values: Sequence[Any], field: Field, notes: list[str]) -> Any:
    if field.dtype in _RANGE:
        return _numbers(values, field, notes)
    if field.dtype == TIME:
        return _times(values, field, notes)
    if field.dtype == "category":
        words = ORDERED.get(field.name) or KINDS[field.name]
        return pd.Categorical(values, categories=list(words), ordered=field.name in ORDERED)
    if field.dtype == "boolean":
        return pd.array(list(values), dtype="boolean")
    if field.dtype == "object":
        held = np.empty(len(values), dtype=object)
        held[:] = values
        return held
    return pd.array([_text(value) for value in values], dtype="str")


def _frame(schema: Schema, rows: Sequence[tuple[Any, ...]], *, order: Sequence[str]) -> Frame:
    """Make a frame of rows in the schema's order of columns, sorted by ``order``."""
    notes: list[str] = []
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(schema.fields)
    frame = Frame({field.name: _column(column, field, notes) for field, column in zip(schema.fields, columns, strict=True)})
    frame = frame.sort_values(list(order), kind="stable", ignore_index=True)
    frame.attrs["schema"], frame.attrs["notes"] = schema.name, notes
    return frame


def _who(actor: Actor | None) -> tuple[Any, ...]:
    return _NOBODY if actor is None else tuple(getattr(actor, name) for name in _WHO)


def _clean(value: Any) -> Any:
    """Make the text in a JSON object fit for Arrow and for pages, as :func:`_text` does."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {str(_text(name)): _clean(inner) for name, inner in value.items()}
    return [_clean(inner) for inner in value] if isinstance(value, list) else value


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
        None if before is None else _clean(render_state(before)), None if after is None else _clean(render_state(after)),
        None if finding.content is None else tuple(_clean(asdict(mark)) for mark in finding.content),
        tuple(_clean(render_actor(actor)) for actor in finding.actors),
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


def _octal(mode: int | None) -> str | None:
    return None if mode is None else f"{mode:04o}"


def _change_row(host: str, tier: Tier | None, change: Change) -> tuple[Any, ...]:
    return (
        host, change.time_ns, change.source.value, change.action.value, change.path, change.path_sure,
        None if tier is None else tier.value, *_who(change.actor), None if change.actor is None else change.actor.event,
        change.serial, change.item, change.error, change.dev, change.inode, change.parent_dev, change.parent_inode,
        _octal(change.mode), _octal(change.new_mode), change.uid, change.gid, change.size, change.sha256, change.hash_late,
        change.cookie, change.last_ns, change.node,
    )  # fmt: skip


def changes_frame(rows: Iterable[tuple[str, Tier | None, Change]]) -> Frame:
    """Make the CHANGES frame.

    Args:
        rows: Each change with its host, and the tier of its path where that is known.

    Returns:
        The columns of :data:`fimkit.report.frame_schema.CHANGES`, a row a change, by ``time``, ``serial``, ``item``.
    """
    return _frame(CHANGES, [_change_row(*row) for row in rows], order=("time", "serial", "item"))


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
    xattrs = None if state.xattrs is None else {str(_text(name)): render_path(value) for name, value in state.xattrs.items()}
    return (
        host, state.path, None if tier is None else tier.value, state.type.value, _octal(state.mode), state.uid, state.gid,
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


def join_frames(frames: Sequence[Frame], order: Sequence[str]) -> Frame:
    """Put frames of one kind below each other, sorted by ``order``, with the notes of all."""
    whole = Frame(pd.concat(frames, ignore_index=True).sort_values(list(order), kind="stable", ignore_index=True))
    whole.attrs["schema"] = frames[0].attrs["schema"]
    whole.attrs["notes"] = [note for frame in frames for note in frame.attrs["notes"]]
    return whole


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
