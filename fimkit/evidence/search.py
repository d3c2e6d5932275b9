"""Conditions on the rows of the store, turned into SQL that its indexes can serve.

A condition leaves out only rows that cannot be meant; more may come than are meant. Names are bytes in the store and text outside:
a pattern is for the text. The store is asked in between, which spellings of a name there are.
"""

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple

from fimkit.model.paths import parse_path

__all__ = ["Condition", "Place", "Storage", "glob_prefix", "like_prefix", "render_condition"]

_MAX = (1 << 63) - 1
_SECOND_NS = 1_000_000_000
_MOST_SPELLINGS = 32
_MOST_VALUES = 500  # of an IN: more are left to the caller
_ODD = "*[^ -$&-~]*"  # a name with anything but plain characters: its text is another than its bytes


class Storage(Enum):
    """How a column keeps its values."""

    NAME = auto()     # bytes
    TEXT = auto()
    DIGEST = auto()   # bytes; text if it is no lower-case hex
    NUMBER = auto()   # an integer; text if it does not fit
    OCTAL = auto()    # an integer that is octal text outside
    TIME_NS = auto()  # nanoseconds that are seconds outside
    CLAIM = auto()    # a change's key: its time, a dash and its identity outside


class Place(NamedTuple):
    """Where a column is kept: its table, its SQL name, and how; ``indexed`` if an index or key begins with it."""

    table: str
    name: str
    storage: Storage
    indexed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is asked of one column; all of it holds at once. ``likes`` and ``globs`` are SQLite's patterns."""

    texts: frozenset[str] | None = None
    numbers: frozenset[int] | None = None
    low: int | None = None
    high: int | None = None
    likes: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()


class _Sql(NamedTuple):
    """A piece of SQL and its values."""

    text: str
    values: tuple[Any, ...]


def like_prefix(pattern: str) -> str:
    """Give what a text must begin with, in either case, to match a LIKE pattern: plain ASCII only.

    >>> like_prefix("/usr/%.so"), like_prefix("%x"), like_prefix("/sr_/%")
    ('/usr/', '', '/sr')
    """
    found = re.match(r"[ -$&-^`-~]*", pattern)
    return "" if found is None else found[0]


def glob_prefix(pattern: str) -> bytes:
    r"""Give what a name must begin with, for its text to match a GLOB pattern.

    >>> glob_prefix("/usr/*.so"), glob_prefix("/a%0Ab*"), glob_prefix("/a%0*"), glob_prefix("/[ab]*")
    (b'/usr/', b'/a\nb', b'/a', b'/')
    """
    plain = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    half = re.search(r"%(?![0-9A-Fa-f]{2})", plain)
    return parse_path(plain[: half.start()] if half else plain)


def _after(prefix: bytes) -> bytes | None:
    """Give the first name behind all that begin so; nothing if there can be none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def _begins(column: str, prefix: bytes) -> _Sql:
    end = _after(prefix)
    if end is None:
        return _Sql(f"{column} >= ?", (prefix,))
    return _Sql(f"{column} >= ? AND {column} < ?", (prefix, end))


def _spellings(connection: sqlite3.Connection, place: Place, prefix: str) -> list[bytes]:
    """Give the beginnings, in either case of each letter, that names in the store have, as long as they are few."""
    found = [b""]
    for char in prefix:
        longer = [was + byte for was in found for byte in dict.fromkeys((char.lower().encode(), char.upper().encode()))]
        if char.isalpha():
            longer = [name for name in longer if _exists(connection, place, name)]
        if len(longer) > _MOST_SPELLINGS:
            break
        found = longer
    return found


def _exists(connection: sqlite3.Connection, place: Place, prefix: bytes) -> bool:
    sql = _begins(place.name, prefix)
    return connection.execute(f"SELECT 1 FROM {place.table} WHERE {sql.text} LIMIT 1", sql.values).fetchone() is not None


def _any(pieces: Sequence[_Sql]) -> _Sql:
    if not pieces:
        return _Sql("0", ())
    return _Sql(f"({' OR '.join(piece.text for piece in pieces)})", tuple(value for piece in pieces for value in piece.values))


def _one_of(column: str, values: Sequence[Any]) -> _Sql:
    if len(values) > _MOST_VALUES:
        return _Sql("1", ())
    return _Sql(f"{column} IN ({', '.join('?' * len(values))})", tuple(values))


def _name(connection: sqlite3.Connection, place: Place, condition: Condition) -> list[_Sql]:
    sql = [] if condition.texts is None else [_one_of(place.name, [parse_path(text) for text in sorted(condition.texts)])]
    for pattern in condition.likes:
        prefix = like_prefix(pattern) if place.indexed else ""
        if prefix:
            sql.append(_any([_begins(place.name, name) for name in _spellings(connection, place, prefix)]))
        if not prefix or pattern != prefix + "%":
            sql.append(_as_text(place.name, "LIKE", pattern))
    for pattern in condition.globs:
        start = glob_prefix(pattern)
        if start:
            sql.append(_begins(place.name, start))
        sql.append(_as_text(place.name, "GLOB", pattern))
    return sql


def _as_text(column: str, operator: str, pattern: str) -> _Sql:
    """Match the bytes as text, which a plain name's text is; one that is not plain may match too."""
    text = f"CAST({column} AS TEXT)"
    return _Sql(f"({text} {operator} ? OR {text} GLOB ?)", (pattern, _ODD))


def _text(place: Place, condition: Condition) -> list[_Sql]:
    sql = [] if condition.texts is None else [_one_of(place.name, sorted(condition.texts))]
    sql += [_Sql(f"{place.name} LIKE ?", (pattern,)) for pattern in condition.likes]
    return sql + [_Sql(f"{place.name} GLOB ?", (pattern,)) for pattern in condition.globs]


def _digest(place: Place, condition: Condition) -> list[_Sql]:
    if condition.texts is None:
        return []
    values: list[bytes | str] = []
    for text in sorted(condition.texts):
        values.append(text)
        if re.fullmatch(r"(?:[0-9a-f]{2})+", text):
            values.append(bytes.fromhex(text))
    return [_one_of(place.name, values)]


def _fits(number: int) -> int:
    return max(-_MAX - 1, min(number, _MAX))


def _number(place: Place, condition: Condition) -> list[_Sql]:
    sql = [] if condition.numbers is None else [_one_of(place.name, sorted(map(_fits, condition.numbers)))]
    if condition.low is not None:
        sql.append(_Sql(f"{place.name} >= ?", (_fits(condition.low),)))
    if condition.high is not None:
        sql.append(_Sql(f"{place.name} <= ?", (_fits(condition.high),)))
    return sql


def _octal(place: Place, condition: Condition) -> list[_Sql]:
    if condition.texts is None:
        return []
    return [_one_of(place.name, sorted(int(text, 8) for text in condition.texts if re.fullmatch(r"[0-7]{1,12}", text)))]


def _time(connection: sqlite3.Connection, place: Place, condition: Condition) -> list[_Sql]:
    # A time that does not fit into SQLite's integers is text, which is out of order here.
    if place.indexed and connection.execute(f"SELECT 1 FROM {place.table} WHERE {place.name} >= '' LIMIT 1").fetchone():
        return []
    low, high = condition.low, condition.high
    if condition.numbers is not None:
        low = min(condition.numbers) if low is None else max(low, min(condition.numbers))
        high = max(condition.numbers) if high is None else min(high, max(condition.numbers))
    return _number(place, Condition(
        low=None if low is None else low * _SECOND_NS, high=None if high is None else (high + 1) * _SECOND_NS - 1,
    ))  # fmt: skip


def _claim(place: Place, condition: Condition) -> list[_Sql]:
    if condition.texts is None:
        return []
    keys = [found for text in sorted(condition.texts) if (found := re.fullmatch(r"(-?[0-9]+)-((?:[0-9a-f]{2})*)", text))]
    pieces = (_Sql(f"({place.name}) = (?, ?)", (_fitting(key[1]), bytes.fromhex(key[2]))) for key in keys[:_MOST_VALUES])
    return [_any(list(pieces))] if len(keys) <= _MOST_VALUES else []


def _fitting(number: str) -> int | str:
    return int(number) if -_MAX - 1 <= int(number) <= _MAX else number


def render_condition(connection: sqlite3.Connection, place: Place, condition: Condition) -> tuple[str, tuple[Any, ...]]:
    """Turn a condition into SQL.

    Args:
        connection: The store, asked for the spellings of names.
        place: The column.
        condition: What is asked of it.

    Returns:
        An expression, and its values; an empty one leaves nothing out.
    """
    match place.storage:
        case Storage.NAME:
            pieces = _name(connection, place, condition)
        case Storage.TEXT:
            pieces = _text(place, condition)
        case Storage.DIGEST:
            pieces = _digest(place, condition)
        case Storage.NUMBER:
            pieces = _number(place, condition)
        case Storage.OCTAL:
            pieces = _octal(place, condition)
        case Storage.TIME_NS:
            pieces = _time(connection, place, condition)
        case Storage.CLAIM:
            pieces = _claim(place, condition)
    return " AND ".join(piece.text for piece in pieces), tuple(value for piece in pieces for value in piece.values)
