"""A ledger's rows as columns of numbers, with each file's number as ``stat`` would have it. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fimkit.correlate.frames import in_order
from fimkit.correlate.ledger import ROW, ROW_FIELDS, ChangeLedger
from fimkit.model.changes import Action, Source
from fimkit.model.states import FileKey, FileState

__all__ = ["Bools", "Columns", "Numbers", "make_columns"]

Numbers = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
States = Mapping[bytes, FileState]

_DTYPE = np.dtype([(name, np.int64 if place < 2 else np.int32) for place, name in enumerate(ROW_FIELDS)])
_FORMAT_MASK, _FOLDER_BITS = 0o170000, 0o040000
_PART_ROWS = 1 << 17
assert _DTYPE.itemsize == ROW.size


class Columns(NamedTuple):
    """One value a row: what is asked of every row as columns of their own, the rest where the ledger has it.

    ``key`` and ``path`` are -1 for none. ``audit`` tells which rows are audit's, ``plain`` is the number of what is plain of a row,
    in ``table``. ``devices`` is what ``stat`` calls those that records call otherwise, ``true_keys`` then the number that a key
    stands for, ``numbers`` gives a file's number by device and inode, and ``deciding`` the rows that the devices were told by.
    """

    rows: npt.NDArray[np.void]
    key: Numbers
    path: Numbers
    audit: Bools
    plain: Numbers
    table: Sequence[tuple[Any, ...]]
    devices: Mapping[int, int]
    true_keys: Numbers | None
    numbers: Mapping[tuple[int, int], int]
    deciding: Sequence[int]

    def parents(self, part: slice) -> Numbers:
        """Give the numbers of the folders of some rows; -1 for none."""
        told = self.rows["parent"][part]
        return told if self.true_keys is None else self.true_keys[told]

    def parts(self) -> Iterator[slice]:
        """Divide the rows into parts for which what is worked out on the way stays in the processor's cache."""
        return (slice(first, first + _PART_ROWS) for first in range(0, len(self.rows), _PART_ROWS))

    def audit_span(self) -> tuple[int, int] | None:
        """Give the first and the last time of audit's rows."""
        spans = []
        for part in self.parts():
            times = self.rows["time_ns"][part][self.audit[part]]
            if len(times):
                spans.append((int(times.min()), int(times.max())))
        return (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None

    def is_any(self, actions: Sequence[Action]) -> Bools:
        """Tell which rows have one of some actions."""
        return self._rows_of([one[1] in actions for one in self.table])

    def is_told_folder(self, actions: Sequence[Action]) -> Bools:
        """Tell which rows are audit's, about a folder, with one of some actions."""
        return self._rows_of(
            [
                one[0] is Source.AUDIT and one[1] in actions and ((one[3] or 0) & _FORMAT_MASK) == _FOLDER_BITS
                for one in self.table
            ]
        )

    def at(self, rows: npt.NDArray[np.intp]) -> Bools:
        """Give some rows as a mask."""
        found: Bools = np.zeros(len(self.rows), dtype=bool)
        found[rows] = True
        return found

    def _rows_of(self, wanted: Sequence[bool]) -> Bools:
        if not any(wanted):
            return np.zeros(len(self.plain), dtype=bool)
        found: Bools = np.array(wanted, dtype=bool)[self.plain]
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
    key, path, plain = (np.ascontiguousarray(rows[name]) for name in ("key", "path", "plain"))
    table = ledger.tables.plain.values
    devices, deciding = _device_names(ledger, before, after, key, path, known)
    numbers: dict[tuple[int, int], int] = ledger.tables.keys.numbers
    true_keys = None
    if devices:
        numbers, true_keys = _renumber(ledger, devices)
        key = true_keys[key]
    return Columns(
        rows=rows,
        key=key,
        path=path,
        audit=np.array([one[0] is Source.AUDIT for one in table], dtype=bool)[plain],
        plain=plain,
        table=table,
        devices=devices,
        true_keys=true_keys,
        numbers=numbers,
        deciding=deciding,
    )


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
