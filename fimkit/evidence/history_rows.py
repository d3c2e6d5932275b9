"""Who took which states as good, when and why, and what each path was before."""

import itertools
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fimkit.evidence.values import STATE_COLUMNS, decode_state, encode_state, text_in, text_out
from fimkit.model.errors import StoreError, UsageError
from fimkit.model.states import FileState
from fimkit.model.time import render_time

__all__ = [
    "Acceptance",
    "HistoryRow",
    "add_acceptance",
    "keep_state",
    "keep_table_differences",
    "load_acceptances",
    "load_history",
    "set_paths",
    "take_back",
]

_COLUMNS = ", ".join(STATE_COLUMNS)
_KEEP = f"INSERT INTO history (acceptance, side, {_COLUMNS}) VALUES (?, ?, {', '.join('?' * len(STATE_COLUMNS))})"
_BEFORE, _AFTER = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """One taking of states as good: a whole baseline (kind ``create``) or some paths (``accept``), with a name and a reason.

    ``paths`` is how many rows a baseline had, or how many the acceptance changed. ``notes`` are a scan's problems without a row.
    """

    id: int
    kind: str
    time_ns: int
    who: str
    why: str
    paths: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """What one acceptance made of one path. ``None`` is an absent path."""

    acceptance: Acceptance
    path: bytes
    before: FileState | None
    after: FileState | None


def add_acceptance(connection: sqlite3.Connection, kind: str, *, who: str, why: str, time_ns: int, notes: Sequence[str]) -> int:
    """Write down who took something as good, and give the id."""
    cursor = connection.execute(
        "INSERT INTO acceptances (kind, time_ns, who, why, notes) VALUES (?, ?, ?, ?, ?)",
        (kind, time_ns, text_in(who), text_in(why), json.dumps(list(notes))),
    )
    return int(cursor.lastrowid or 0)


def set_paths(connection: sqlite3.Connection, acceptance: int, paths: int) -> None:
    """Write down how many paths it was, once that is known."""
    connection.execute("UPDATE acceptances SET paths = ? WHERE id = ?", (paths, acceptance))


def keep_state(connection: sqlite3.Connection, acceptance: int, *, before: FileState | None, after: FileState | None) -> None:
    """Keep what an acceptance made of one path."""
    for side, state in ((_BEFORE, before), (_AFTER, after)):
        if state is not None:
            connection.execute(_KEEP, (acceptance, side, *encode_state(state)))


def keep_table_differences(connection: sqlite3.Connection, acceptance: int, *, before: str, after: str) -> None:
    """Keep every row that one table of states has and the other has not, or has otherwise; both are walked in their order."""
    for side, mine, other in ((_BEFORE, before, after), (_AFTER, after, before)):
        left = ", ".join(f"{mine}.{name}" for name in STATE_COLUMNS)
        right = ", ".join(f"{other}.{name}" for name in STATE_COLUMNS)
        connection.execute(
            f"INSERT INTO history (acceptance, side, {_COLUMNS}) SELECT ?, ?, {left} FROM {mine}"
            f" LEFT JOIN {other} ON {other}.path = {mine}.path WHERE ({left}) IS NOT ({right})",
            (acceptance, side),
        )


def load_acceptances(connection: sqlite3.Connection) -> list[Acceptance]:
    """Load all of them, in the order in which they were made."""
    rows = connection.execute("SELECT id, kind, time_ns, who, why, paths, notes FROM acceptances ORDER BY id")
    return [
        Acceptance(
            id=number, kind=kind, time_ns=time_ns, who=text_out(who) or "", why=text_out(why) or "", paths=paths,
            notes=tuple(json.loads(notes)),
        )
        for number, kind, time_ns, who, why, paths, notes in rows
    ]  # fmt: skip


def _pair(rows: Iterator[tuple[Any, ...]]) -> tuple[FileState | None, FileState | None]:
    states = {row[1]: decode_state(row[2:]) for row in rows}
    return states.get(_BEFORE), states.get(_AFTER)


def load_history(connection: sqlite3.Connection, path: bytes | None) -> Iterator[HistoryRow]:
    """Load what acceptances made of one path, or of all, the oldest first; a first baseline's own rows are not in it."""
    acceptances = {acceptance.id: acceptance for acceptance in load_acceptances(connection)}
    where, values = ("", ()) if path is None else ("WHERE path = ?", (path,))
    rows = connection.execute(f"SELECT acceptance, side, {_COLUMNS} FROM history {where} ORDER BY acceptance, path, side", values)
    for (number, name), both in itertools.groupby(rows, key=lambda row: (row[0], row[2])):
        before, after = _pair(both)
        yield HistoryRow(acceptance=acceptances[number], path=name, before=before, after=after)


def take_back(connection: sqlite3.Connection, states: dict[bytes, FileState], time_ns: int) -> None:
    """Turn today's baseline into the one that stood at a time: every later acceptance is taken back, the newest first.

    Raises:
        UsageError: If there was none yet.
        StoreError: If what is needed of the history was dropped.
    """
    last = connection.execute("SELECT max(id) FROM acceptances WHERE time_ns <= ?", (time_ns,)).fetchone()[0]
    if last is None:
        raise UsageError(f"there was no baseline yet at {render_time(time_ns)}")
    if connection.execute("SELECT 1 FROM acceptances WHERE id > ? AND NOT complete", (last,)).fetchone():
        raise StoreError(f"the old states of {render_time(time_ns)} were dropped to keep the store within its limit")
    later = connection.execute(
        f"SELECT acceptance, side, {_COLUMNS} FROM history WHERE acceptance > ? ORDER BY acceptance DESC, path, side", (last,)
    )
    for (_, path), both in itertools.groupby(later, key=lambda row: (row[0], row[2])):
        before, _ = _pair(both)
        if before is None:
            states.pop(path, None)
        else:
            states[path] = before
