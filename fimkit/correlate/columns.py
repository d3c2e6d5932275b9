"""A ledger's rows as columns of numbers, with each file's number as ``stat`` would have it. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

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
assert _DTYPE.itemsize == ROW.size


class Columns(NamedTuple):
    """One value a row; ``key``, ``parent``, ``path`` and ``cookie`` are -1 for none.

    ``audit``, ``folder`` (it is about one) and ``witness`` (osquery names a process) say what a row is. ``kinds`` has for each row
    the place of its action in :data:`ACTIONS`. ``devices`` is what ``stat`` calls those that records call otherwise, ``numbers``
    gives a file's number by device and inode, and ``deciding`` the rows that the devices were told by.
    """

    time_ns: npt.NDArray[np.int64]
    key: Numbers
    parent: Numbers
    path: Numbers
    cookie: Numbers
    audit: Bools
    folder: Bools
    witness: Bools
    kinds: npt.NDArray[np.int8]
    devices: Mapping[int, int]
    numbers: Mapping[tuple[int, int], int]
    deciding: Sequence[int]

    def is_any(self, actions: Sequence[Action]) -> Bools:
        """Tell which rows have one of some actions."""
        table = np.array([action in actions for action in Action])
        found: Bools = table[self.kinds]
        return found

    def number_of(self, state: FileState | None) -> int:
        """Give the number of a state's file; -1 where no row concerns it."""
        if state is None or state.dev is None or state.inode is None:
            return -1
        return self.numbers.get((state.dev, state.inode), -1)


def make_columns(ledger: ChangeLedger, before: States, after: States) -> Columns:
    """Read the columns of a ledger.

    Args:
        ledger: Of one host, any order.
        before: The earlier snapshot by path: it tells what devices are called.
        after: The later one.
    """
    rows = np.frombuffer(ledger.rows, dtype=_DTYPE)
    time_ns, key, parent, path, plain, cookie = (
        np.ascontiguousarray(rows[name]) for name in ("time_ns", "key", "parent", "path", "plain", "cookie")
    )
    witness = rows["actor"] != -1
    table = ledger.tables.plain.values
    audit = np.array([one[0] is Source.AUDIT for one in table], dtype=bool)[plain]
    kinds = {action: place for place, action in enumerate(Action)}
    devices, deciding = _device_names(ledger, before, after, key, path)
    numbers: dict[tuple[int, int], int] = ledger.tables.keys.numbers
    if devices:
        numbers, true_number = _renumber(ledger, devices)
        key, parent = true_number[key], true_number[parent]
    return Columns(
        time_ns=time_ns,
        key=key,
        parent=parent,
        path=path,
        cookie=cookie,
        audit=audit,
        folder=np.array([((one[3] or 0) & _FORMAT_MASK) == _FOLDER_BITS for one in table], dtype=bool)[plain],
        witness=~audit & witness,
        kinds=np.array([kinds[one[1]] for one in table], dtype=np.int8)[plain],
        devices=devices,
        numbers=numbers,
        deciding=deciding,
    )


def _device_names(
    ledger: ChangeLedger, before: States, after: States, key: Numbers, path: Numbers
) -> tuple[dict[int, int], list[int]]:
    """Find devices that the records call otherwise than ``stat`` does, each by the first row that shows it.

    Returns:
        The names, and those rows.
    """
    keys, paths = ledger.tables.keys.values, ledger.tables.paths.values
    known = {state.dev for states in (before, after) for state in states.values()}
    strange = np.array([dev not in known for dev, _ in keys] + [False], dtype=bool)
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
