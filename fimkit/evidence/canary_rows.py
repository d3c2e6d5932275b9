"""The canaries of `selftest`: where one is or was, whose it is, and when; written down before the file is made."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Canary", "add_canaries", "close_canaries", "drop_canaries", "load_canaries"]

_LATE_NS = 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """One name of a canary. The two names of one (it is renamed) share a token; each name has random bits of its own.

    ``pid`` made it, or removed it for one that was killed; ``gone_ns`` is ``None`` as long as the file may be there.
    """

    path: bytes
    token: str
    pid: int
    planted_ns: int
    gone_ns: int | None = None


def add_canaries(connection: sqlite3.Connection, canaries: Iterable[Canary]) -> None:
    """Store names before there is a file of them, in the caller's transaction; the same again is no error."""
    connection.executemany(
        "INSERT OR REPLACE INTO canaries (path, token, pid, planted_ns, gone_ns) VALUES (?, ?, ?, ?, ?)",
        ((row.path, row.token, row.pid, row.planted_ns, row.gone_ns) for row in canaries),
    )


def close_canaries(connection: sqlite3.Connection, gone: Iterable[tuple[bytes, str, int]]) -> None:
    """Note that names are gone: path, token and the time of each. What is found there later is not the canary."""
    connection.executemany(
        "UPDATE canaries SET gone_ns = ? WHERE path = ? AND token = ? AND gone_ns IS NULL",
        ((gone_ns, path, token) for path, token, gone_ns in gone),
    )


def load_canaries(connection: sqlite3.Connection) -> list[Canary]:
    """Load all of them, by path, token and time."""
    rows = connection.execute(
        "SELECT path, token, pid, planted_ns, gone_ns FROM canaries ORDER BY path, token, planted_ns, pid"
    )
    return [
        Canary(path=path, token=token, pid=pid, planted_ns=planted_ns, gone_ns=gone_ns)
        for path, token, pid, planted_ns, gone_ns in rows
    ]


def drop_canaries(connection: sqlite3.Connection, *, before_ns: int) -> int:
    """Drop those that were gone before a time, and that no stored change tells of: it would be taken for a stranger's else.

    Returns:
        How many went.
    """
    return connection.execute(
        "DELETE FROM canaries WHERE gone_ns < ? AND NOT EXISTS (SELECT 1 FROM changes WHERE"
        " changes.time_ns BETWEEN canaries.planted_ns - ? AND canaries.gone_ns + ? AND changes.path = canaries.path)",
        (before_ns, _LATE_NS, _LATE_NS),
    ).rowcount
