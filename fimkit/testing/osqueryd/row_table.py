"""A virtual table made of a function that gives rows, and a short way to write its columns. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fimkit.testing.osqueryd.sql import Asked, Column

__all__ = ["RowTable", "columns_of"]


def columns_of(text: str) -> tuple[Column, ...]:
    """Read columns: ``name`` is TEXT, ``name:i`` INTEGER, ``:b`` BIGINT, ``:d`` DOUBLE; a last ``-`` hides it, ``!`` requires it.

    >>> [(column.name, column.type, column.hidden, column.required) for column in columns_of("pid:b eid- path!")]
    [('pid', 'BIGINT', False, False), ('eid', 'TEXT', True, False), ('path', 'TEXT', False, True)]
    """
    types = {"": "TEXT", "i": "INTEGER", "b": "BIGINT", "d": "DOUBLE"}
    found = []
    for word in text.split():
        name, _, kind = word.rstrip("-!").partition(":")
        found.append(Column(name, types[kind], word.endswith("-"), word.endswith("!")))
    return tuple(found)


class RowTable:
    """A table whose rows one function makes."""

    def __init__(
        self, name: str, columns: str, rows: Callable[[Asked], Iterable[Mapping[str, Any]]], *, evented: bool = False
    ) -> None:
        """Take a name, columns as :func:`columns_of` reads them, the function, and whether rows are events that come once."""
        self.name, self.evented = name, evented
        self.columns: Sequence[Column] = columns_of(columns)
        self._rows = rows

    def connect(self) -> None:
        """Always there."""

    def generate(self, asked: Asked) -> Iterable[Mapping[str, Any]]:
        """Make the rows."""
        return self._rows(asked)
