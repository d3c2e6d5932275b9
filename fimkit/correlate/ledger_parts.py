"""Ledgers that go from one process to another: what their rows have numbers for, as plain values. Pure."""

from typing import Any

from fimkit.correlate.ledger import ChangeLedger, ChangeTables

__all__ = ["PackedTables", "is_packable", "pack_tables"]

PackedTables = tuple[list[bytes], list[tuple[int, int]], list[tuple[Any, ...]], list[tuple[Any, ...]], list[str]]
"""Paths, keys, what is plain, processes, cookies: values that marshal takes, in the order of their numbers."""


def is_packable(ledger: ChangeLedger) -> bool:
    """Tell whether rows and tables are all there is of a ledger; what no kernel writes is kept beside them."""
    tables = ledger.tables
    return not (ledger.whole or tables.actors or tables.more)


def pack_tables(tables: ChangeTables) -> PackedTables:
    """Give what the rows have numbers for."""
    plain = [(values[0].value, values[1].value, *values[2:]) for values in tables.plain.values]
    return tables.paths.values, tables.keys.values, plain, tables.processes.values, tables.cookies.values
