"""Which of the recorded changes of some names and files can decide who did something to them: few of very many.

A file that is written each second has a history of millions of rows, and a watch asks for it again and again. What came of the
older rows is remembered, and only what is younger is read: as long as the index says that no row came or went among the older ones.
"""

import marshal
import sqlite3
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import starmap
from typing import Any, NamedTuple, Self

from fimkit.evidence.changes_rows import SELECT_CHANGES, decode_change
from fimkit.evidence.values import int_in
from fimkit.model.changes import NAMINGS, Change, left_out, place_of
from fimkit.model.states import FileKey

__all__ = ["MOST_WEIGHING", "Weighing"]

MOST_WEIGHING = 300
"""So many changes of one name or file are loaded to judge it: the first ones, and three times as many of the last."""

_KIND = "process, syscall, path, path_sure, dev, inode, parent_dev, parent_inode"
_ROWS = f"""SELECT time_ns, identity, serial, item, action, {_KIND} FROM changes
    WHERE {{}} = ? AND time_ns >= ? ORDER BY time_ns, serial, item"""
_PRINT = "SELECT count(*), coalesce(sum(time_ns & 4294967295), 0) FROM changes WHERE {} = ? AND time_ns >= ? AND time_ns < ?"
"""Of what is remembered: the indexes have all that it reads."""
_LOW_BITS = 0xFFFFFFFF
_BY_KEY = f"{SELECT_CHANGES} WHERE c.time_ns = ? AND c.identity = ?"
_DEV = _KIND.split(", ").index("dev")

_LATE_NS = 60_000_000_000
"""What is younger than this is read each time: osquery's rows come later than audit's."""
_MANY_ROWS = 24
"""A shorter history is read as quickly as it is remembered."""
_MOST_BYTES = 16 << 20
"""Of all that is remembered; a file that one process writes again and again takes 400 of them, and so does its name."""

_Place = tuple[Any, ...]
"""What a row is found by: time, identity, serial, item."""


class _Found(NamedTuple):
    """A change that weighs, as far as it is read at first; ``end_ns`` is of the last one that it stands for."""

    key: tuple[int, bytes]
    place: tuple[int, int, int]
    action: str
    dev: int | str | None
    end_ns: int


def _found(place: _Place, action: str, dev: int | str | None, until: _Place | None = None) -> _Found:
    time_ns, identity, serial, item = place
    return _Found((time_ns, identity), (int(time_ns), int(serial), int(item)), action, dev, int((until or place)[0]))


class _Openings:
    """The openings of a kind, one after the other: the first one, what stands for those between, and the last ones."""

    __slots__ = ("first", "last", "middle")

    def __init__(self, first: _Place) -> None:
        self.first = first
        self.middle: tuple[_Place, _Place] | None = None
        self.last: list[_Place] = []

    def take(self, place: _Place, ends: int) -> None:
        self.last.append(place)
        if len(self.last) > ends:
            gone = self.last.pop(0)
            self.middle = (gone if self.middle is None else self.middle[0], gone)

    def found(self, dev: int | str | None) -> Iterator[_Found]:
        yield _found(self.first, "opened", dev)
        if self.middle is not None:
            yield _found(self.middle[0], "opened", dev, self.middle[1])
        yield from (_found(place, "opened", dev) for place in self.last)


class _History:
    """The changes of one name or file until a time, in their order: of openings of a kind one stands for all in the middle."""

    __slots__ = ("_found", "_openings", "low_bits", "rows", "until_ns")

    def __init__(self) -> None:
        self.rows = self.low_bits = self.until_ns = 0
        self._found: list[_Found] = []
        self._openings: dict[tuple[Any, ...], _Openings] = {}

    def pack(self) -> bytes:
        """Give it as bytes: as objects it takes five times as much."""
        openings = [(kind, one.first, one.middle, one.last) for kind, one in self._openings.items()]
        return marshal.dumps((self.rows, self.low_bits, self.until_ns, [tuple(one) for one in self._found], openings))

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Make one again of what :meth:`pack` gave."""
        history = cls()
        history.rows, history.low_bits, history.until_ns, found, openings = marshal.loads(packed)
        history._found = list(starmap(_Found, found))
        for kind, first, middle, last in openings:
            one = history._openings[kind] = _Openings(first)
            one.middle, one.last = middle, last
        return history

    def take(self, row: tuple[Any, ...], ends: int) -> None:
        """Take one more row in."""
        self.rows += 1
        self.low_bits += row[0] & _LOW_BITS if isinstance(row[0], int) else 0
        place, action, kind = row[:4], row[4], row[5:]
        if action == "opened" and kind[0] is not None:
            one = self._openings.get(kind)
            if one is None:
                self._openings[kind] = _Openings(place)
            else:
                one.take(place, ends)
        elif action != "lost":  # such a one is of a folder
            if action in NAMINGS:  # the number may be another file's from here on
                self._found += self._found_openings()
                self._openings.clear()
            self._found.append(_found(place, action, kind[_DEV]))

    def _found_openings(self) -> list[_Found]:
        return [found for kind, one in self._openings.items() for found in one.found(kind[_DEV])]

    def found(self) -> list[_Found]:
        """Give what weighs of it, in order."""
        return sorted([*self._found, *self._found_openings()], key=lambda one: one.place)


class Weighing:
    """Loads what weighs, and remembers of long histories what came of the older rows."""

    def __init__(self) -> None:
        """Begin with nothing remembered."""
        self._packed: dict[tuple[object, ...], bytes] = {}
        self._bytes = 0

    def load(
        self, connection: sqlite3.Connection, paths: Collection[bytes], inodes: Collection[int], since_ns: int, *, ends: int
    ) -> list[Change]:
        """Load those changes whose text is a path, or whose file has an inode's number, that can decide who did something to it.

        Of the openings of one file by one process, as long as it has its names, these are the first and the last ``ends``, and one
        that stands for all the others. Where one name or file has more than :data:`MOST_WEIGHING` even so, those in the middle are
        left out, and of a file :func:`fimkit.model.changes.left_out` stands for them. Calls without their files' names are not
        loaded: they are of folders.

        Args:
            connection: The store, in a transaction: what is read must be of one moment.
            paths: As the records have them.
            inodes: On whichever device.
            since_ns: The time of the first ones.
            ends: So many of the last openings.

        Returns:
            The changes, in the order of time, serial and item, and then what stands for those that are left out.
        """
        ends_ns: dict[tuple[int, bytes], int] = {}
        gaps: list[Change] = []
        for column, values in (("path", paths), ("inode", inodes)):
            for value in values:
                found = self._history(connection, column, value, since_ns, ends)
                if len(found) > MOST_WEIGHING:
                    first, last = MOST_WEIGHING // 4, MOST_WEIGHING - MOST_WEIGHING // 4
                    middle = found[first:-last]
                    named: list[_Found] = []
                    if isinstance(value, int):  # how many names it got decides when it ends
                        named = [one for one in middle if one.action in NAMINGS][-MOST_WEIGHING:]
                        gaps += _gaps(value, set(middle).difference(named))
                    found = [*found[:first], *named, *found[-last:]]
                for one in found:
                    ends_ns[one.key] = max(one.end_ns, ends_ns.get(one.key, one.end_ns))
        rows = [(connection.execute(_BY_KEY, key).fetchone(), end_ns) for key, end_ns in ends_ns.items()]
        if any(row is None for row, _ in rows):  # another row of the same time took its place
            self._packed.clear()
            self._bytes = 0
            return self.load(connection, paths, inodes, since_ns, ends=ends)
        return [*sorted(starmap(_decode, rows), key=place_of), *gaps]

    def _history(self, connection: sqlite3.Connection, column: str, value: bytes | int, since_ns: int, ends: int) -> list[_Found]:
        plain, since = int_in(value) if isinstance(value, int) else value, int_in(since_ns)
        asked = (column, plain, since, ends)
        remembered = self._recall(connection, asked)
        history = remembered or _History()
        young: deque[tuple[Any, ...]] = deque()
        for row in connection.execute(_ROWS.format(column), (plain, remembered.until_ns if remembered else since)):
            young.append(row)
            if isinstance(row[0], int):
                history.until_ns = max(history.until_ns, row[0] - _LATE_NS)
                while young and young[0][0] < history.until_ns:
                    history.take(young.popleft(), ends)
        if history.rows + len(young) >= _MANY_ROWS:
            self._remember(asked, history.pack())
        for row in young:
            history.take(row, ends)
        return history.found()

    def _recall(self, connection: sqlite3.Connection, asked: tuple[Any, ...]) -> _History | None:
        """Give what is remembered; nothing, where that is not what is there now."""
        packed = self._packed.pop(asked, None)
        if packed is None:
            return None
        self._bytes -= len(packed)
        history = _History.unpack(packed)
        column, plain, since, _ = asked
        now = connection.execute(_PRINT.format(column), (plain, since, history.until_ns)).fetchone()
        return history if tuple(now) == (history.rows, history.low_bits) else None

    def _remember(self, asked: tuple[Any, ...], packed: bytes) -> None:
        self._packed[asked] = packed
        self._bytes += len(packed)
        while self._bytes > _MOST_BYTES:
            self._bytes -= len(self._packed.pop(next(iter(self._packed))))


def _gaps(inode: int, gone: Iterable[_Found]) -> list[Change]:
    """Give what stands for those that are left out, of each file with that number."""
    times: dict[int, list[int]] = defaultdict(list)
    for one in gone:
        if one.dev is not None:
            times[int(one.dev)] += one.place[0], one.end_ns
    return [left_out(min(those), max(those), FileKey(dev, inode)) for dev, those in sorted(times.items())]


def _decode(row: tuple[Any, ...], end_ns: int) -> Change:
    """Give the change of a row, with the time of the last one that it stands for."""
    change = decode_change(row)
    return change if end_ns == change.time_ns else replace(change, last_ns=end_ns)
