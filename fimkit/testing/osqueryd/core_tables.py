"""The tables in which osqueryd tells of itself: its flags, events, schedule, packs, extensions and registry."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fimkit.testing.osqueryd.sql import Asked, Column, Table

__all__ = ["RowTable", "columns_of"]


def columns_of(text: str) -> tuple[Column, ...]:
    """Read columns: ``name`` is TEXT, ``name:i`` INTEGER, ``:b`` BIGINT, ``:u`` UNSIGNED BIGINT, ``:d`` DOUBLE; a last ``-`` hides it.

    >>> columns_of("path pid:b eid-")
    (Column(name='path', type='TEXT', hidden=False), Column(name='pid', type='BIGINT', hidden=False), Column(name='eid', type='TEXT', hidden=True))
    """
    types = {"": "TEXT", "i": "INTEGER", "b": "BIGINT", "u": "UNSIGNED BIGINT", "d": "DOUBLE"}
    found = []
    for word in text.split():
        name, _, kind = word.removesuffix("-").partition(":")
        found.append(Column(name, types[kind], word.endswith("-")))
    return tuple(found)


class RowTable(Table):
    """A table whose rows one function makes."""

    def __init__(self, name: str, columns: str, rows: Callable[[Asked], Iterable[Mapping[str, Any]]]) -> None:
        """Take a name, columns as :func:`columns_of` reads them, and the function."""
        self._name, self._columns, self._rows = name, columns_of(columns), rows

    @property
    def name(self) -> str:
        """Its name in SQL."""
        return self._name

    @property
    def columns(self) -> Sequence[Column]:
        """Its columns."""
        return self._columns

    def connect(self) -> None:
        """Always there."""

    def generate(self, asked: Asked) -> Iterable[Mapping[str, Any]]:
        """Make the rows."""
        return self._rows(asked)
