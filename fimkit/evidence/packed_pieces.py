"""Reads pieces of the baseline: packed by SQLite itself where ``_rows.c`` was built, else row by row; both find the same (tested).

``_rows.c`` is built with the package where there is a compiler, and is both a module of Python and an extension of SQLite, which is
loaded into a connection that reads the baseline. A module that was built of other sources than this file's is not used.
"""

import sqlite3
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

from fimkit.evidence.row_pieces import RowPiece
from fimkit.evidence.values import STATE_COLUMNS

if TYPE_CHECKING:
    from fimkit.evidence._rows import PackedPiece

__all__ = ["REVISION", "Piece", "ReadPiece", "load_packing", "piece_reader", "read_packed", "read_rows", "why_python"]

REVISION = 3
"""Of ``_rows.c``, which says the same of itself: raised with every change there (tested by its digest)."""

Piece: TypeAlias = "RowPiece | PackedPiece"
"""Some rows that follow each other; :class:`RowPiece` says what can be asked of it."""

ReadPiece = Callable[[int, bytes, bytes | None], Piece]
"""Reads the piece at a place, from a path until before another one, or to the end."""

_COLUMNS = ", ".join(STATE_COLUMNS)
_FROM = "FROM baseline WHERE path >= ?"
_UNTIL = " AND path < ?"


def read_rows(connection: sqlite3.Connection, place: int, start: bytes, end: bytes | None) -> RowPiece:
    """Read a piece as rows."""
    query = f"SELECT {_COLUMNS} {_FROM}{_UNTIL if end is not None else ''} ORDER BY path"
    rows = connection.execute(query, (start,) if end is None else (start, end)).fetchall()
    return RowPiece(rows, place=place, start=start, end=end)


def read_packed(connection: sqlite3.Connection, place: int, start: bytes, end: bytes | None) -> Piece:
    """Read a piece as bytes, by a connection that :func:`load_packing` was called for."""
    from fimkit.evidence._rows import PackedPiece

    # The table is kept in the order of paths and read along it; rows in another order would be an error, and never a wrong answer.
    query = f"SELECT fimkit_pack({_COLUMNS}) {_FROM}{_UNTIL if end is not None else ''}"
    try:
        packed = connection.execute(query, (start,) if end is None else (start, end)).fetchone()[0]
    except sqlite3.DataError:  # rows of many megabytes: together they are more than one value may be
        return read_rows(connection, place, start, end)
    return PackedPiece(packed, place=place, start=start, end=end)


def load_packing(connection: sqlite3.Connection) -> None:
    """Have a connection pack rows.

    Raises:
        ImportError: If that cannot be done here.
    """
    try:
        built = import_module("fimkit.evidence._rows")
    except ModuleNotFoundError as error:
        raise ImportError("it was not built (no C compiler, or no headers of this Python, when it was installed)") from error
    except ImportError as error:
        raise ImportError(f"it cannot be used here ({error})") from error
    revision = getattr(built, "REVISION", None)
    if revision != REVISION:
        raise ImportError(f"it was built of other sources (revision {revision}, not {REVISION}): install again")
    try:
        connection.enable_load_extension(True)
        try:
            connection.load_extension(str(built.__file__))
        finally:
            connection.enable_load_extension(False)  # what is read later has no say in what is loaded
    except (AttributeError, UnicodeEncodeError, sqlite3.Error) as error:
        raise ImportError(f"the SQLite of this Python loads no extension ({error})") from error


def why_python() -> str | None:
    """Say why the compiled way is not used; ``None``: it is."""
    connection = sqlite3.connect(":memory:")
    try:
        load_packing(connection)
    except ImportError as error:
        return str(error)
    finally:
        connection.close()
    return None


def piece_reader(connection: sqlite3.Connection) -> ReadPiece:
    """Give the quickest way that is here to read pieces by a connection."""
    try:
        load_packing(connection)
    except ImportError:
        return partial(read_rows, connection)
    return partial(read_packed, connection)
