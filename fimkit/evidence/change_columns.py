"""The changes of the store as columns of plain values, some thousands of rows at a time: for frames of millions."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from fimkit.evidence.past_rows import Span, where_changes
from fimkit.evidence.values import int_out, text_out

__all__ = ["ChangeColumns", "past_change_columns"]

_ROWS = 20_000
_MOST_PROCESSES = 100_000  # kept; a host where each change is another process's must not fill the memory
_MOST_VALUES = 500  # in one statement; SQLite before 3.32 takes 999
_NAMES = frozenset({"path", "exe", "comm"})
_WORDS = frozenset({"source", "action", "cookie", "error", "sha256", "node", "syscall", "event", "user", "cmdline", "tty"})
_FLAGS = frozenset({"path_sure", "hash_late", "cmdline_verified"})
_CHANGE = (
    "time_ns", "source", "action", "path", "path_sure", "process", "syscall", "event", "serial", "item", "error", "dev", "inode",
    "parent_dev", "parent_inode", "mode", "new_mode", "uid", "gid", "size", "sha256", "hash_late", "cookie", "last_ns", "node",
    "mtime_ns", "actor_time_ns",
)  # fmt: skip
_PROCESS = ("auid", "uid", "euid", "user", "pid", "ppid", "exe", "comm", "cmdline", "cmdline_verified", "tty", "ses")
_ABSENT = tuple(False if name in _FLAGS else None for name in _PROCESS)
"""A process whose row is gone: nothing is known of it any more, as :func:`fimkit.evidence.changes_rows.decode_change` has it."""

Column = Sequence[Any]


class ChangeColumns(NamedTuple):
    """Some changes, in the order of time, serial and item.

    ``changes`` has a column each for what :class:`fimkit.model.changes.Change` has, under its names, with ``syscall``, ``event``
    and ``actor_time_ns`` of the actor (the last one nothing where it is the change's); the actor's other fields are columns of
    ``processes``, a row for each of the processes that are met here, and ``process`` is the number of that row, -1 where nobody is
    named. Names are bytes.
    """

    changes: dict[str, Column]
    process: list[int]
    processes: dict[str, Column]


def _decoded(name: str, values: Column) -> Column:
    """Read a column as :mod:`fimkit.evidence.values` wrote it; nearly always it is fit as it is."""
    if name in _NAMES:
        return values
    kinds = set(map(type, values))
    if name in _FLAGS:
        return [None if value is None else bool(value) for value in values]
    if name in _WORDS:
        return list(map(text_out, values)) if bytes in kinds else values
    return list(map(int_out, values)) if str in kinds else values


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, Column]:
    whole: list[Column] = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return {name: _decoded(name, values) for name, values in zip(names, whole, strict=True)}


class _Processes:
    """The rows of processes by their numbers, each read once as long as there are not too many."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[int, tuple[Any, ...]] = {}

    def of(self, numbers: Sequence[int]) -> list[tuple[Any, ...]]:
        if len(self._known) > _MOST_PROCESSES:
            self._known.clear()
        missing = [number for number in numbers if number not in self._known]
        for start in range(0, len(missing), _MOST_VALUES):
            some = missing[start : start + _MOST_VALUES]
            query = f"SELECT id, {', '.join(_PROCESS)} FROM processes WHERE id IN ({', '.join('?' * len(some))})"
            self._known.update((number, tuple(rest)) for number, *rest in self._connection.execute(query, some))
        return [self._known.get(number, _ABSENT) for number in numbers]


def past_change_columns(connection: sqlite3.Connection, span: Span) -> Iterator[ChangeColumns]:
    """Read changes, in the order of time, serial and item, some thousands at a time."""
    where, values = where_changes(span)
    query = f"SELECT {', '.join(f'c.{name}' for name in _CHANGE)} FROM changes c{where}"
    cursor = connection.execute(f"{query} ORDER BY c.time_ns, c.serial, c.item, c.identity", values)
    known = _Processes(connection)
    while rows := cursor.fetchmany(_ROWS):
        changes = _columns(_CHANGE, rows)
        numbers = changes.pop("process")
        met = {number: place for place, number in enumerate(dict.fromkeys(number for number in numbers if number is not None))}
        yield ChangeColumns(
            changes=changes, process=[-1 if number is None else met[number] for number in numbers],
            processes=_columns(_PROCESS, known.of(list(met))),
        )  # fmt: skip
