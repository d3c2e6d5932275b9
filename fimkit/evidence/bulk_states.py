"""Writes states into a table by the million.

What a row costs is the way through Python's module, and not the disk: a statement for each, and a search for an adapter for every
``bytes`` and ``None``, which a ``bytearray`` is spared. So a statement takes sixteen rows, what nearly all files have in common
stands in its text, and a million rows take a third of the time of ``executemany``.
"""

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fimkit.evidence.values import FOLDER_ROW, PLAIN_ROW, STATE_COLUMNS, encode_plain, encode_state
from fimkit.model.states import FileState

__all__ = ["insert_states"]

_AT_ONCE = 16  # more gain nothing
_BATCH = 512
_ANY_ROW = f"({', '.join('?' * len(STATE_COLUMNS))})"


def insert_states(connection: sqlite3.Connection, table: str, states: Iterable[FileState]) -> None:
    """Insert states, in the caller's transaction; of a path that comes twice the last counts.

    Args:
        connection: In a transaction.
        table: A table of states.
        states: In any order; sorted is fastest.
    """
    # FAIL leaves what was written until then, and so needs no journal of its own for each statement; REPLACE would.
    plain, folder, other = (_Rows(connection, f"INSERT OR FAIL INTO {table}", row) for row in (PLAIN_ROW, FOLDER_ROW, _ANY_ROW))
    for batch in _batches(states):
        try:
            folders: list[Any] = []
            others: list[FileState] = []
            plain.insert(encode_plain(batch, folders, others))
            folder.insert(folders)
            other.insert([value for state in others for value in _adapted(encode_state(state))])
        except sqlite3.IntegrityError:  # a path was there already
            connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES {_ANY_ROW}", map(encode_state, batch))


def _batches(states: Iterable[FileState]) -> Iterator[list[FileState]]:
    rest = iter(states)
    while batch := list(itertools.islice(rest, _BATCH)):
        yield batch


def _adapted(row: tuple[Any, ...]) -> Iterator[Any]:
    return (bytearray(value) if value.__class__ is bytes else value for value in row)


class _Rows:
    """The statements for rows of one shape."""

    def __init__(self, connection: sqlite3.Connection, insert: str, row: str) -> None:
        self._connection = connection
        self._width = row.count("?")
        self._one = f"{insert} VALUES {row}"
        self._many = f"{insert} VALUES {', '.join([row] * _AT_ONCE)}"

    def insert(self, values: Sequence[Any]) -> None:
        """Insert rows whose values stand one behind the other."""
        step = self._width * _AT_ONCE
        whole = len(values) - len(values) % step
        if whole:
            self._connection.executemany(self._many, (values[start : start + step] for start in range(0, whole, step)))
        if whole < len(values):
            rows = (values[start : start + self._width] for start in range(whole, len(values), self._width))
            self._connection.executemany(self._one, rows)
