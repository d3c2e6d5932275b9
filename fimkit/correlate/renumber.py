"""A ledger's rows from another process, numbered anew where they arrive. Pure."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from fimkit.correlate.ledger import ROW, ROW_FIELDS, ChangeLedger, ChangeTables
from fimkit.correlate.ledger_parts import PackedTables
from fimkit.model.changes import Action, Source

__all__ = ["Renumbering"]

Process = tuple[Any, ...]
_DTYPE = np.dtype([(name, np.int64 if place < 2 else np.int32) for place, name in enumerate(ROW_FIELDS)])
assert _DTYPE.itemsize == ROW.size


class Renumbering:
    """Takes the tables of a ledger that came from elsewhere into those here, in their order, and its rows after them.

    Args:
        tables: Those here.
        packed: Those of the rows that come.
        of_process: What a process is to be here.
    """

    def __init__(self, tables: ChangeTables, packed: PackedTables, of_process: Callable[[Process], Process]) -> None:
        """Give all values their numbers here."""
        paths, keys, plain, processes, cookies = packed
        key = _numbers(map(tables.keys.number, keys), -1)
        self._columns = {
            "path": _numbers(map(tables.path_number, paths), -1),
            "key": key,
            "parent": key,
            "plain": _numbers((tables.plain.number((Source(one[0]), Action(one[1]), *one[2:])) for one in plain), -1),
            "actor": _numbers(map(tables.processes.number, map(of_process, processes)), -1),
            "cookie": _numbers(map(tables.cookies.number, cookies), -2, -1),  # derived of the row itself; none
        }

    def add_rows(self, ledger: ChangeLedger, rows: bytes | bytearray) -> None:
        """Put rows behind those of a ledger over the tables here."""
        table = np.frombuffer(rows, dtype=_DTYPE).copy()
        for name, numbers in self._columns.items():
            table[name] = numbers[table[name]]
        ledger.rows += table.tobytes()


def _numbers(numbers: Iterable[int], *nothing: int) -> npt.NDArray[np.int32]:
    """Make a table of numbers whose last ones, where -1 and -2 lead to, are those that stand for nothing."""
    return np.array([*numbers, *nothing], dtype=np.int32)
