"""A piece of the baseline: its rows as SQLite gives them, and what of a scan is as they say. Pure.

This is the reference; what :mod:`fimkit.evidence.packed_pieces` reads does the same without an object for each value.
"""

import itertools
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from fimkit.evidence.values import decode_state
from fimkit.model.states import FileState

__all__ = ["Row", "RowPiece"]

Row = tuple[Any, ...]
"""A baseline's row as SQLite gives it."""

_NONE: dict[str, bytes] = {}
_path_of = itemgetter(0)


class RowPiece:
    """Some rows that follow each other, sorted by path: all those from one path until before another one.

    What decodes a row raises what a damaged one makes of it; see :func:`fimkit.evidence.damage.read_errors`.
    """

    def __init__(self, rows: Sequence[Row], *, place: int, start: bytes, end: bytes | None) -> None:
        """Take the rows from ``start`` until before ``end``, and the place of the first among all."""
        self._rows, self._place = rows, place
        self._start, self._end = start, end
        self._by_path = dict(zip(map(_path_of, rows), zip(rows, itertools.count(place)), strict=False))

    def __len__(self) -> int:
        return len(self._rows)

    def spans(self, path: bytes, /) -> bool:
        """Tell whether the piece would have the row of a path."""
        return self._start <= path and (self._end is None or path < self._end)

    def place_of(self, path: bytes, /) -> int | None:
        """Give the place of a path's row among all rows."""
        found = self._by_path.get(path)
        return None if found is None else found[1]

    def state_of(self, path: bytes, /) -> FileState | None:
        """Give the state of a path."""
        found = self._by_path.get(path)
        return None if found is None else decode_state(found[0])

    def state_at(self, place: int, /) -> FileState:
        """Give the state at a place among all rows."""
        return decode_state(self._rows[place - self._place])

    def paths(self) -> list[bytes]:
        """Give the paths, sorted."""
        return [row[0] for row in self._rows]

    def states(self) -> list[FileState]:
        """Give the states, sorted by path."""
        return list(map(decode_state, self._rows))

    def mark_same(self, states: Sequence[FileState], marks: bytearray, others: list[FileState], /) -> list[FileState]:
        """Mark the places of rows that say of their path what a state says.

        Args:
            states: As a scan gives them.
            marks: By place; one is set for each that is the same.
            others: Gets the states of this piece that are not surely the same: another one, one without a row, or one that is
                seldom (with a problem, with extended attributes). Of these the decoded row is to be asked.

        Returns:
            The states whose rows are in other pieces.
        """
        beyond: list[FileState] = []
        for state in states:
            found = self._by_path.get(state[0])
            if found is None:
                (others if self.spans(state[0]) else beyond).append(state)
                continue
            row, place = found
            digest = row[11]
            if (
                row[2:11] == state[2:11]
                and (digest.hex() if digest.__class__ is bytes else digest) == state[11]
                and row[13] == "{}"
                and state[13] == _NONE
                and row[1] == state[1]
                and row[12] == state[12]
                and row[14] is None is state[14]
            ):
                marks[place] = 1
            else:
                others.append(state)
        return beyond
