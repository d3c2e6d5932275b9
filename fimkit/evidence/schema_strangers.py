"""What is in a store's schema that fimkit did not put there: a trigger in it would run with whatever is written.

A trigger, a view or an index more is taken out, and linked into the evidence chain: a trigger can drop a finding as it is stored,
and a unique index can refuse it. What is missing, or another one, cannot be mended so: such a store is refused.
"""

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fimkit.evidence.schema import MIGRATIONS, migrate
from fimkit.model.errors import StoreError, clip

__all__ = ["Stranger", "check_tables", "drop_stranger", "find_altered", "find_strangers"]

_NAMED = 10
_REMOVABLE = frozenset({"trigger", "view", "index"})
_STATISTICS = re.compile(r"sqlite_stat[0-9]")  # ANALYZE makes them; they change no answer
_LAYOUT = re.compile(r'[\s"]+')  # renaming a table quotes its name

_Place = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """One entry of the schema: its type and name, and words for it, fit to be shown."""

    type: str
    name: str
    words: str


def find_strangers(connection: sqlite3.Connection) -> list[Stranger]:
    """List the triggers, views and indexes that fimkit did not make."""
    expected = _expected(_version(connection))
    return [
        Stranger(type=place[0], name=place[1], words=f"the {_name(place)} ({clip(sql, 200)})")
        for place, sql in _entries(connection).items()
        if place[0] in _REMOVABLE and place not in expected
    ]


def drop_stranger(connection: sqlite3.Connection, stranger: Stranger) -> None:
    """Take one out, in the caller's transaction."""
    name = stranger.name.replace('"', '""')
    connection.execute(f'DROP {stranger.type.upper()} main."{name}"')


def check_tables(connection: sqlite3.Connection) -> None:
    """See that a store has the tables and indexes that fimkit makes, and no other tables.

    Raises:
        StoreError: If it has not; the words name them.
    """
    wrong = find_altered(connection)
    if wrong:
        words = f"its tables were altered past fimkit: {'; '.join(wrong[:_NAMED])}"
        raise StoreError(f"{words}; keep it aside, then restore a backup, or make a new baseline (fimkit evidence set-aside)")


def find_altered(connection: sqlite3.Connection) -> list[str]:
    """List the tables and indexes that are missing or other ones, and the tables more."""
    entries = {place: _layout(sql) for place, sql in _entries(connection).items()}
    expected = _expected(_version(connection))
    wrong = [f"the {_name(place)} is missing" for place in sorted(expected.keys() - entries.keys())]
    for place in sorted(entries.keys()):
        if place in expected and entries[place] != expected[place]:
            wrong.append(f"the {_name(place)} is another one")
        elif place not in expected and place[0] not in _REMOVABLE:
            wrong.append(f"the {_name(place)} was put in")
    return wrong


def _entries(connection: sqlite3.Connection) -> Mapping[_Place, str]:
    rows = connection.execute("SELECT CAST(type AS BLOB), CAST(name AS BLOB), CAST(sql AS BLOB) FROM main.sqlite_master")
    entries = {}
    for row in rows:
        type_, name, sql = ((cell or b"").decode("utf-8", "surrogateescape") for cell in row)
        if not (type_ == "table" and _STATISTICS.fullmatch(name)):
            entries[type_, name] = sql
    return entries


@cache
def _expected(version: int) -> Mapping[_Place, str]:
    """Give the schema of a version as fimkit makes it, without its layout."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(connection, MIGRATIONS[:version])
        return {place: _layout(sql) for place, sql in _entries(connection).items()}
    finally:
        connection.close()


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _layout(sql: str) -> str:
    return _LAYOUT.sub("", sql)


def _name(place: _Place) -> str:
    return f"{place[0] if place[0] in (*_REMOVABLE, 'table') else clip(place[0], 20)} {clip(place[1], 60)}"
