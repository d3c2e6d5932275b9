"""The baseline as a mapping whose rows stay in the store: what is in memory is bounded, however many there are.

The paths in their order are cut into pieces of some hundred rows. Of each piece its first path is remembered, and the rows of those
last asked for: a scan goes nearly in the order of paths, so that nearly every piece is read once.
"""

import itertools
import json
import sqlite3
from bisect import bisect_right
from collections.abc import Collection, ItemsView, Iterable, Iterator, ValuesView
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

from fimkit.evidence.connection import connect_reading, store_path
from fimkit.evidence.damage import read_errors
from fimkit.evidence.values import STATE_COLUMNS, decode_state, int_in, int_out
from fimkit.model.errors import StoreError
from fimkit.model.state_index import IndexedStates
from fimkit.model.states import FileState

__all__ = ["PIECE", "KnownStates", "Row", "open_known_states"]

Row = tuple[Any, ...]
"""A baseline's row as SQLite gives it."""

PIECE = 256
_MOST_ROWS = 4096
_PIECES_AT_ONCE = 32
_CACHE_KIB = 8 * 1024
_path_of = itemgetter(0)
_COLUMNS = ", ".join(STATE_COLUMNS)


def open_known_states(state_dir: bytes) -> "KnownStates":
    """Open the baseline of a state folder for reading, beside whoever has the store open.

    Raises:
        StoreError: If there is no store, or it is damaged.
        HostError: If it may not be read.
    """
    connection = connect_reading(state_dir)
    try:
        connection.execute("COMMIT")  # what is read stays the same by the caller's lock, and checkpoints must not wait for this
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return KnownStates(connection, store_path(state_dir))
    except BaseException:
        connection.close()
        raise


class KnownStates(IndexedStates):
    """The states of the baseline, sorted by path. Nobody may change the baseline meanwhile: that ends in an error.

    Raises:
        StoreError: From any method, if the baseline was changed, or the file is damaged.
        HostError: From any method, if the host refuses.
    """

    def __init__(self, connection: sqlite3.Connection, path: bytes) -> None:
        """Take a connection of its own, and learn where the pieces begin."""
        self._connection, self._path = connection, path
        # Those of the last pieces, and of the ones before: when there are too many, the older half goes at once.
        self.young: dict[bytes, tuple[Row, int]] = {}
        self._old: dict[bytes, tuple[Row, int]] = {}
        self._young_pieces: set[int] = set()
        self._old_pieces: set[int] = set()
        self._acceptance: int | None = None
        self._folders: list[FileState] | None = None
        with self._reading():
            self._starts = [b""]
            self._count = int(connection.execute("SELECT count(*) FROM baseline").fetchone()[0])
            for _ in range(PIECE, self._count, PIECE):
                self._starts.append(self._next_start(self._starts[-1]))

    def _next_start(self, start: bytes) -> bytes:
        # Skipped within SQLite: fifty times as fast as reading the paths.
        skip = f"SELECT path FROM baseline WHERE path >= ? ORDER BY path LIMIT 1 OFFSET {PIECE}"
        row = self._connection.execute(skip, (start,)).fetchone()
        if row is None or not isinstance(row[0], bytes):
            raise StoreError("the baseline has a path that is none: it was not fimkit that wrote it")
        return row[0]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """See one state of the store, whose baseline is the one that this began with."""
        with read_errors(self._path):
            self._connection.execute("BEGIN")
            try:
                last = self._connection.execute("SELECT max(id) FROM acceptances").fetchone()[0] or 0
                if self._acceptance is None:
                    self._acceptance = last
                if last != self._acceptance:
                    raise StoreError("the baseline was changed while it was compared with; try again")
                yield
            finally:
                self._connection.execute("ROLLBACK")

    # One path.

    def find(self, path: bytes) -> tuple[Row, int] | None:
        """Give the row of a path, and its place among all rows."""
        found = self.young.get(path) or self._old.get(path)
        if found is not None:
            return found
        piece = bisect_right(self._starts, path) - 1
        if piece in self._young_pieces or piece in self._old_pieces:
            return None
        self._keep(piece)
        return self.young.get(path)

    def load_for(self, states: Iterable[FileState]) -> None:
        """Read the pieces that states of the same paths would be in, for :attr:`young`."""
        for state in states:
            if state[0] not in self.young:
                self.find(state[0])

    def _keep(self, piece: int) -> None:
        if len(self.young) >= _MOST_ROWS:
            self._old, self._old_pieces = self.young, self._young_pieces
            self.young, self._young_pieces = {}, set()
        rows = self._load(piece)
        self.young.update(zip(map(_path_of, rows), zip(rows, itertools.count(piece * PIECE)), strict=False))
        self._young_pieces.add(piece)

    def _load(self, piece: int) -> list[Row]:
        """Read the rows of one piece."""
        until = self._starts[piece + 1 : piece + 2]
        where = "path >= ? AND path < ?" if until else "path >= ?"
        with self._reading():
            query = f"SELECT {_COLUMNS} FROM baseline WHERE {where} ORDER BY path"
            rows = self._connection.execute(query, (self._starts[piece], *until)).fetchall()
        if len(rows) != min(PIECE, self._count - piece * PIECE):
            raise StoreError("the baseline was changed while it was compared with, and not by fimkit")
        return rows

    def __getitem__(self, path: bytes) -> FileState:
        found = self.find(path)
        if found is None:
            raise KeyError(path)
        return self.decode(found[0])

    def decode(self, row: Row) -> FileState:
        """Give the state that a row is of."""
        try:
            return decode_state(row)
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
            with read_errors(self._path):  # for every row it would cost as much as the decoding
                return decode_state(row)

    def __contains__(self, path: object) -> bool:
        return isinstance(path, bytes) and self.find(path) is not None

    # All of them, each time read anew.

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        return (row[0] for row in self.rows())

    def rows(self) -> Iterator[Row]:
        """Read every row, sorted by path."""
        return itertools.chain.from_iterable(map(self._load, range(len(self._starts))))

    def rows_at(self, places: Iterable[int]) -> Iterator[Row]:
        """Read the rows at some places, in ascending order."""
        for piece, some in itertools.groupby(places, key=lambda place: place // PIECE):
            rows = self._load(piece)
            yield from (rows[place % PIECE] for place in some)

    def values(self) -> ValuesView[FileState]:
        """Give the states, each read when its turn comes."""
        return _Values(self)

    def items(self) -> ItemsView[bytes, FileState]:
        """Give paths and states, each read when its turn comes."""
        return _Items(self)

    # Some of them.

    def _select(self, columns: str, where: str, *values: object) -> Iterator[Row]:
        """Read what some rows have, sorted by path, some thousand rows at a time: nothing is held open between them."""
        query = f"SELECT {columns} FROM baseline WHERE {where} AND path >= ?{{}} ORDER BY path"
        for piece in range(0, len(self._starts), _PIECES_AT_ONCE):
            until = self._starts[piece + _PIECES_AT_ONCE : piece + _PIECES_AT_ONCE + 1]
            with self._reading():
                asked = query.format(" AND path < ?" if until else "")
                rows = self._connection.execute(asked, (*values, self._starts[piece], *until)).fetchall()
            yield from rows

    def below(self, path: bytes) -> Iterator[FileState]:
        """Give the states at and below a path."""
        start = path.rstrip(b"/") + b"/"
        where = "(path = ? OR (path >= ? AND path < ?))"
        return map(self.decode, self._select(_COLUMNS, where, path, start, start[:-1] + b"0"))  # "0" follows "/"

    def folders(self) -> Iterator[FileState]:
        """Give the states of folders: kept from then on, for both sides of a comparison have nearly all of them."""
        if self._folders is None:
            self._folders = list(map(self.decode, self._select(_COLUMNS, "type = 'directory'")))
        return iter(self._folders)

    def devices(self) -> set[int | None]:
        """Give the devices that the states are on."""
        with self._reading():
            return {int_out(dev) for (dev,) in self._connection.execute("SELECT DISTINCT dev FROM baseline")}

    def with_inodes(self, inodes: Collection[int]) -> Iterator[FileState]:
        """Give the states whose inode is one of some, on whichever device."""
        if not inodes:
            return iter(())
        wanted = json.dumps([int_in(inode) for inode in inodes])
        return map(self.decode, self._select(_COLUMNS, "inode IN (SELECT value FROM json_each(?))", wanted))

    def file_keys(self) -> Iterator[tuple[int, int]]:
        """Give device and inode of every state that has both."""
        for dev, inode in self._select("dev, inode", "dev IS NOT NULL AND inode IS NOT NULL"):
            yield (int_out(dev) or 0, int_out(inode) or 0) if str in (dev.__class__, inode.__class__) else (dev, inode)

    def troubled(self) -> Iterator[FileState]:
        """Give the states with a problem."""
        return map(self.decode, self._select(_COLUMNS, "problem IS NOT NULL"))


class _Values(ValuesView[FileState]):
    def __init__(self, states: KnownStates) -> None:
        self._mapping = states
        self._states = states

    def __iter__(self) -> Iterator[FileState]:
        return map(self._states.decode, self._states.rows())


class _Items(ItemsView[bytes, FileState]):
    def __init__(self, states: KnownStates) -> None:
        self._mapping = states
        self._states = states

    def __iter__(self) -> Iterator[tuple[bytes, FileState]]:
        return ((state.path, state) for state in self._states.values())
