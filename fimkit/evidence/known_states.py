"""The baseline as a mapping whose rows stay in the store: what is in memory is bounded, however many there are.

The paths in their order are cut into pieces of some hundred rows. Of each piece its first path is remembered, and of those last
asked for the rows: a scan goes nearly in the order of paths, so that nearly every piece is read once.
"""

import itertools
import json
import sqlite3
from bisect import bisect_right
from collections.abc import Collection, ItemsView, Iterable, Iterator, ValuesView
from contextlib import contextmanager
from typing import Any

from fimkit.evidence.connection import connect_reading, store_path
from fimkit.evidence.damage import UNREADABLE, read_errors
from fimkit.evidence.packed_pieces import Piece, ReadPiece, piece_reader
from fimkit.evidence.row_pieces import Row, RowPiece
from fimkit.evidence.values import STATE_COLUMNS, decode_state, int_in, int_out
from fimkit.model.errors import StoreError
from fimkit.model.state_index import IndexedStates
from fimkit.model.states import FileState

__all__ = ["PIECE", "KnownStates", "open_known_states"]

PIECE = 256
_MOST_PIECES = 16
_PIECES_AT_ONCE = 32
_CACHE_KIB = 8 * 1024
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

    def __init__(self, connection: sqlite3.Connection, path: bytes, read: ReadPiece | None = None) -> None:
        """Take a connection of its own, and learn where the pieces begin.

        Args:
            connection: To the store.
            path: The store's file, for words.
            read: How a piece is read; the quickest way that is here, if none is given.
        """
        self._connection, self._path = connection, path
        self._read = read or piece_reader(connection)
        # The last pieces, and the ones before: when there are too many, the older half goes at once.
        self._young: dict[int, Piece] = {}
        self._old: dict[int, Piece] = {}
        self._last: Piece = RowPiece([], place=0, start=b"", end=b"")  # of no path
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

    def piece_of(self, path: bytes) -> Piece:
        """Give the piece that a path would be in."""
        if self._last.spans(path):
            return self._last
        number = bisect_right(self._starts, path) - 1
        piece = self._young.get(number) or self._old.get(number)
        if piece is None:
            if len(self._young) >= _MOST_PIECES:
                self._old, self._young = self._young, {}
            piece = self._young[number] = self._load(number)
        self._last = piece
        return piece

    def _load(self, number: int) -> Piece:
        """Read one piece."""
        start, place = self._starts[number], number * PIECE
        end = self._starts[number + 1] if number + 1 < len(self._starts) else None
        with self._reading():
            piece = self._read(place, start, end)
        if len(piece) != min(PIECE, self._count - place):
            raise StoreError("the baseline was changed while it was compared with, and not by fimkit")
        return piece

    def place_of(self, path: bytes) -> int | None:
        """Give the place of a path among all."""
        return self.piece_of(path).place_of(path)

    def find(self, path: bytes) -> FileState | None:
        """Give the state of a path."""
        piece = self.piece_of(path)
        try:
            return piece.state_of(path)
        except UNREADABLE:
            with read_errors(self._path):  # for every path it would cost as much as the decoding
                return piece.state_of(path)

    def __getitem__(self, path: bytes) -> FileState:
        state = self.find(path)
        if state is None:
            raise KeyError(path)
        return state

    def get(self, path: bytes, default: Any = None) -> Any:
        """Give the state of a path, or something else where it has none, without an error made for it."""
        state = self.find(path)
        return default if state is None else state

    def __contains__(self, path: object) -> bool:
        return isinstance(path, bytes) and self.place_of(path) is not None

    # All of them, each time read anew.

    def __len__(self) -> int:
        return self._count

    def _pieces(self) -> Iterator[Piece]:
        return map(self._load, range(len(self._starts)))

    def __iter__(self) -> Iterator[bytes]:
        return itertools.chain.from_iterable(piece.paths() for piece in self._pieces())

    def states(self) -> Iterator[FileState]:
        """Read every state, sorted by path."""
        for piece in self._pieces():
            with read_errors(self._path):
                states = piece.states()
            yield from states

    def states_at(self, places: Iterable[int]) -> Iterator[FileState]:
        """Read the states at some places, in ascending order."""
        for number, some in itertools.groupby(places, key=lambda place: place // PIECE):
            piece = self._load(number)
            with read_errors(self._path):
                states = list(map(piece.state_at, some))
            yield from states

    def values(self) -> ValuesView[FileState]:
        """Give the states, each read when its turn comes."""
        return _Values(self)

    def items(self) -> ItemsView[bytes, FileState]:
        """Give paths and states, each read when its turn comes."""
        return _Items(self)

    # Some of them.

    def _decode(self, row: Row) -> FileState:
        try:
            return decode_state(row)
        except UNREADABLE:
            with read_errors(self._path):
                return decode_state(row)

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
        return map(self._decode, self._select(_COLUMNS, where, path, start, start[:-1] + b"0"))  # "0" follows "/"

    def folders(self) -> Iterator[FileState]:
        """Give the states of folders: kept from then on, for both sides of a comparison have nearly all of them."""
        if self._folders is None:
            self._folders = list(map(self._decode, self._select(_COLUMNS, "type = 'directory'")))
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
        return map(self._decode, self._select(_COLUMNS, "inode IN (SELECT value FROM json_each(?))", wanted))

    def file_keys(self) -> Iterator[tuple[int, int]]:
        """Give device and inode of every state that has both."""
        for dev, inode in self._select("dev, inode", "dev IS NOT NULL AND inode IS NOT NULL"):
            yield (int_out(dev) or 0, int_out(inode) or 0) if str in (dev.__class__, inode.__class__) else (dev, inode)

    def troubled(self) -> Iterator[FileState]:
        """Give the states with a problem."""
        return map(self._decode, self._select(_COLUMNS, "problem IS NOT NULL"))


class _Values(ValuesView[FileState]):
    def __init__(self, states: KnownStates) -> None:
        self._mapping = states
        self._states = states

    def __iter__(self) -> Iterator[FileState]:
        return self._states.states()


class _Items(ItemsView[bytes, FileState]):
    def __init__(self, states: KnownStates) -> None:
        self._mapping = states
        self._states = states

    def __iter__(self) -> Iterator[tuple[bytes, FileState]]:
        return ((state.path, state) for state in self._states.values())
