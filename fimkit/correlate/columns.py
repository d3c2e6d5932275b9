"""A ledger's rows as columns of numbers, with each file's number as ``stat`` would have it. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import IntFlag
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from fimkit.correlate.frames import in_order
from fimkit.correlate.ledger import ROW, ROW_FIELDS, ChangeLedger
from fimkit.model.changes import Action, Source
from fimkit.model.states import FileKey, FileState

__all__ = ["Bools", "Columns", "Mark", "Numbers", "OsqueryRows", "look_up", "make_columns"]

Numbers = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
Marks = npt.NDArray[np.uint8]
States = Mapping[bytes, FileState]
T = TypeVar("T", bound=np.generic)

_DTYPE = np.dtype([(name, np.int64 if place < 2 else np.int32) for place, name in enumerate(ROW_FIELDS)])
_FORMAT_MASK, _FOLDER_BITS = 0o170000, 0o040000
_FOLDER_ARRIVALS = (Action.BORN, Action.MOVED_TO)
_DEPARTURES = (Action.UNLINKED, Action.MOVED_FROM)
_PART_ROWS = 1 << 15
"""So many rows stay in the processor's cache while all is taken from them: memory is read once, and not once a column."""
_ALL = slice(None)
assert _DTYPE.itemsize == ROW.size


class Mark(IntFlag):
    """What is asked of every row, a bit each; few rows have another one than ``AUDIT``."""

    AUDIT = 1
    DEPARTURE = 2
    DENIED = 4
    LOST = 8
    FOLDER_ARRIVAL = 16
    """Audit's, of a folder that was made or renamed."""

    @classmethod
    def of(cls, plain: tuple[Any, ...]) -> Self:
        """Give the marks of what is plain of a row."""
        source, action, _, mode = plain[:4]
        found = cls(0)
        if source is Source.AUDIT:
            found |= cls.AUDIT
            if action in _FOLDER_ARRIVALS and ((mode or 0) & _FORMAT_MASK) == _FOLDER_BITS:
                found |= cls.FOLDER_ARRIVAL
        if action in _DEPARTURES:
            found |= cls.DEPARTURE
        if action is Action.DENIED:
            found |= cls.DENIED
        return found | cls.LOST if action is Action.LOST else found


class OsqueryRows(NamedTuple):
    """Where osquery's rows are, and what decides about them."""

    rows: npt.NDArray[np.intp]
    path: Numbers
    cookie: Numbers
    actor: Numbers


class Columns(NamedTuple):
    """One value a row: what is asked of every row as columns of their own, the rest where the ledger has it.

    ``key``, ``parent`` and ``path`` are -1 for none. ``rare`` are the rows with a rare mark, ``span`` has the first and the last
    time of audit's rows. ``devices`` is what ``stat`` calls those that records call otherwise, ``numbers`` gives a file's number by
    device and inode, and ``deciding`` the rows that the devices were told by.
    """

    rows: npt.NDArray[np.void]
    key: Numbers
    parent: Numbers
    path: Numbers
    marks: Marks
    rare: npt.NDArray[np.intp]
    osquery: OsqueryRows
    span: tuple[int, int] | None
    devices: Mapping[int, int]
    numbers: Mapping[tuple[int, int], int]
    deciding: Sequence[int]

    def parts(self) -> Iterator[slice]:
        """Divide the rows into parts for which what is worked out on the way stays in the processor's cache."""
        return _parts(len(self.rows))

    def audit(self, part: slice = _ALL) -> Bools:
        """Tell which rows are audit's, of some or of all."""
        return _with_mark(self.marks[part], Mark.AUDIT)

    def rows_with(self, mark: Mark) -> npt.NDArray[np.intp]:
        """Give the rows with a mark that few have: any but :attr:`Mark.AUDIT`."""
        return self.rare[_with_mark(self.marks[self.rare], mark)]

    def at(self, rows: npt.NDArray[np.intp]) -> Bools:
        """Give some rows as a mask."""
        found: Bools = np.zeros(len(self.rows), dtype=bool)
        found[rows] = True
        return found

    def number_of(self, state: FileState | None) -> int:
        """Give the number of a state's file; -1 where no row concerns it."""
        if state is None or state.dev is None or state.inode is None:
            return -1
        return self.numbers.get((state.dev, state.inode), -1)

    def inodes_of(self, files: Bools) -> set[int]:
        """Give the inodes of some files, by number: for a quick look, for devices are left out."""
        keys = list(self.numbers)  # in the order of their numbers, both the ledger's own and the renumbered
        return {keys[number][1] for number in np.flatnonzero(files[: len(keys)]).tolist()}


def make_columns(ledger: ChangeLedger, before: States, after: States, known: Collection[int | None]) -> Columns:
    """Read the columns of a ledger.

    Args:
        ledger: Of one host, any order.
        before: The earlier snapshot by path: it tells what devices are called.
        after: The later one.
        known: The devices of both.
    """
    rows = np.frombuffer(ledger.rows, dtype=_DTYPE)
    read = _read(rows, ledger.tables.plain.values)
    key, parent, path = read.key, read.parent, read.path
    devices, deciding = _device_names(ledger, before, after, key, path, known)
    numbers: dict[tuple[int, int], int] = ledger.tables.keys.numbers
    if devices:
        numbers, true_keys = _renumber(ledger, devices)
        key, parent = look_up(true_keys, key), look_up(true_keys, parent)
    return Columns(
        rows=rows,
        key=key,
        parent=parent,
        path=path,
        marks=read.marks,
        rare=read.rare,
        osquery=read.osquery,
        span=read.span,
        devices=devices,
        numbers=numbers,
        deciding=deciding,
    )


def look_up(values: npt.NDArray[T], numbers: Numbers) -> npt.NDArray[T]:
    """Give each number's value; -1 is the last one's."""
    found = np.empty(len(numbers), dtype=values.dtype)
    for part in _parts(len(numbers)):
        found[part] = values[numbers[part]]
    return found


def _with_mark(marks: Marks, mark: Mark) -> Bools:
    found: Bools = (marks & np.uint8(mark)) != np.uint8(0)  # a plain number would make words of all bytes first
    return found


def _parts(count: int) -> Iterator[slice]:
    return (slice(first, min(first + _PART_ROWS, count)) for first in range(0, count, _PART_ROWS))


class _Read(NamedTuple):
    key: Numbers
    parent: Numbers
    path: Numbers
    marks: Marks
    rare: npt.NDArray[np.intp]
    osquery: OsqueryRows
    span: tuple[int, int] | None


def _read(rows: npt.NDArray[np.void], table: Sequence[tuple[Any, ...]]) -> _Read:
    """Take from all rows, in one walk along them, what is asked of every one."""
    key, parent, path = (np.empty(len(rows), dtype=np.int32) for _ in range(3))
    marks: Marks = np.empty(len(rows), dtype=np.uint8)
    marks_of: Marks = np.array([Mark.of(plain) for plain in table], dtype=np.uint8)
    osquery = [OsqueryRows(np.zeros(0, dtype=np.intp), *(np.zeros(0, dtype=np.int32) for _ in range(3)))]
    rare, spans = [np.zeros(0, dtype=np.intp)], list[tuple[int, int]]()
    for part in _parts(len(rows)):
        some = rows[part]
        key[part], parent[part], path[part] = some["key"], some["parent"], some["path"]
        marks[part] = marks_of[some["plain"]]
        rare.append(np.flatnonzero(marks[part] > np.uint8(Mark.AUDIT)) + part.start)
        audit = _with_mark(marks[part], Mark.AUDIT)
        count = np.count_nonzero(audit)
        if count:
            times = some["time_ns"] if count == len(some) else some["time_ns"][audit]
            spans.append((int(times.min()), int(times.max())))
        if count < len(some):
            own = np.flatnonzero(~audit)
            osquery.append(OsqueryRows(own + part.start, path[part][own], some["cookie"][own], some["actor"][own]))
    span = (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None
    told = OsqueryRows(*map(np.concatenate, zip(*osquery, strict=True)))
    return _Read(key, parent, path, marks, np.concatenate(rare), told, span)


def _device_names(
    ledger: ChangeLedger, before: States, after: States, key: Numbers, path: Numbers, known: Collection[int | None]
) -> tuple[dict[int, int], list[int]]:
    """Find devices that the records call otherwise than ``stat`` does, each by the first row that shows it.

    Returns:
        The names, and those rows.
    """
    keys, paths = ledger.tables.keys.values, ledger.tables.paths.values
    unknown = {dev for dev, _ in keys}.difference(known)
    if not unknown:
        return {}, []
    strange = np.array([dev in unknown for dev, _ in keys] + [False], dtype=bool)
    rows = np.flatnonzero(strange[key] & (path >= 0))
    pairs, first = np.unique(key[rows].astype(np.int64) << 32 | path[rows], return_inverse=True)
    told: dict[int, int] = {}
    for place, pair in enumerate(pairs.tolist()):
        dev, inode = keys[pair >> 32]
        state = after.get(paths[pair & 0xFFFFFFFF]) or before.get(paths[pair & 0xFFFFFFFF])
        if state is not None and state.dev is not None and state.inode == inode:
            told[place] = dev
    names: dict[int, int] = {}
    deciding: list[int] = []
    for dev in set(told.values()):
        places = np.zeros(len(pairs), dtype=bool)
        places[[place for place, other in told.items() if other == dev]] = True
        own = rows[places[first]]
        row = _first_of(ledger, own)
        change = ledger[row]
        assert change.path is not None
        state = after.get(change.path) or before.get(change.path)
        assert state is not None
        assert state.dev is not None
        names[dev] = state.dev
        deciding.append(row)
    return names, deciding


def _first_of(ledger: ChangeLedger, rows: npt.NDArray[np.int64]) -> int:
    """Find which of some rows is the first in the total order."""
    table = np.frombuffer(ledger.rows, dtype=_DTYPE)
    for name in ("time_ns", "serial", "item"):
        values = table[name][rows]
        rows = rows[values == values.min()]
    some = {ledger[row]: row for row in rows[:1000].tolist()}
    first: int = some[in_order(some)[0]]
    return first


def _renumber(ledger: ChangeLedger, devices: Mapping[int, int]) -> tuple[dict[tuple[int, int], int], Numbers]:
    """Give files the numbers of their true devices: the numbers by file, and the true one of each (the last of them is of none)."""
    numbers: dict[tuple[int, int], int] = {}
    true = []
    for dev, inode in ledger.tables.keys.values:
        true.append(numbers.setdefault(FileKey(devices.get(dev, dev), inode), len(numbers)))
    return numbers, np.array([*true, -1], dtype=np.int32)
