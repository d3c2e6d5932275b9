"""The seals of a store, and the one canonical form in which its rows are sealed: a JSON array a row, in path order.

SQLite makes the lines itself: a million cost a fifth more than reading the rows does. Bytes are ``"x…"`` in hex, and a text that
could be taken for one of these is ``"t…"``, so no two rows have one line.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator

from fimkit.evidence.values import STATE_COLUMNS, text_in
from fimkit.model.errors import SealError

__all__ = [
    "add_seal", "digest_acceptances", "digest_lines", "load_dropped_since", "load_lines", "load_passed_lines", "load_seals",
]  # fmt: skip

_TOLD_APART = frozenset({"path", "sha256", "target", "problem"})
_BATCH = 1000


def _cell(name: str) -> str:
    if name in _TOLD_APART:
        return f"CASE typeof({name}) WHEN 'blob' THEN 'x' || hex({name}) WHEN 'text' THEN 't' || {name} ELSE {name} END"
    return f"iif(typeof({name}) = 'blob', 'x' || hex({name}), {name})"


# As a blob: a text that is no UTF-8, which only somebody else's hand can have put there, must not end the reading.
_LINE = f"CAST(json_array({', '.join(map(_cell, STATE_COLUMNS))}) AS BLOB)"


def load_lines(connection: sqlite3.Connection) -> Iterator[list[bytes]]:
    """Read the baseline's canonical lines in path order, some at a time."""
    cursor = connection.execute(f"SELECT {_LINE} FROM baseline ORDER BY path")
    while rows := cursor.fetchmany(_BATCH):
        yield [line for (line,) in rows]


def digest_lines(batches: Iterable[list[bytes]]) -> tuple[str, int]:
    """Hash lines, each with its newline; gives the digest and the number of lines.

    >>> digest_lines([[b"a"], [b"b"]]) == (hashlib.sha256(b"a" + bytes([10]) + b"b" + bytes([10])).hexdigest(), 2)
    True
    """
    digest, count = hashlib.sha256(), 0
    for lines in batches:
        digest.update(b"\n".join((*lines, b"")))
        count += len(lines)
    return digest.hexdigest(), count


def load_passed_lines(connection: sqlite3.Connection, acceptance: int) -> Iterator[tuple[int, int, bytes]]:
    """Read what later acceptances made of the rows: acceptance, side (0 before, 1 after) and line; by path, then in time."""
    yield from connection.execute(
        f"SELECT acceptance, side, {_LINE} FROM history WHERE acceptance > ? ORDER BY path, acceptance, side", (acceptance,)
    )


def load_dropped_since(connection: sqlite3.Connection, acceptance: int) -> list[int]:
    """List the later acceptances whose old states were dropped, at least in part, to keep the store within its limit.

    That they were is marked in a column which the evidence chain does not hash: one that still has all its states lost none.
    """
    kept = "(SELECT count(DISTINCT path) FROM history WHERE acceptance = acceptances.id)"
    query = f"SELECT id FROM acceptances WHERE id > ? AND NOT complete AND paths > {kept} ORDER BY id"
    return [row[0] for row in connection.execute(query, (acceptance,))]


def digest_acceptances(connection: sqlite3.Connection, last: int) -> str:
    """Hash who took what as good, up to one acceptance; they are never dropped."""
    digest = hashlib.sha256()
    cells = "CAST(json_array(id, kind, time_ns, hex(who), hex(why)) AS BLOB)"
    for (line,) in connection.execute(f"SELECT {cells} FROM acceptances WHERE id <= ? ORDER BY id", (last,)):
        digest.update(line + b"\n")
    return digest.hexdigest()


def add_seal(connection: sqlite3.Connection, number: int, *, time_ns: int, key: str, body: str) -> None:
    """Store a seal, in the caller's transaction; a number is used once.

    Raises:
        SealError: If the number is not above every earlier one.
    """
    last = connection.execute("SELECT max(number) FROM seals").fetchone()[0]
    if last is not None and number <= last:
        raise SealError(f"it has the number {number}, and the store knows a seal of number {last}: make a new one")
    connection.execute(
        "INSERT INTO seals (number, time_ns, key, body) VALUES (?, ?, ?, ?)", (number, time_ns, key, text_in(body))
    )


def load_seals(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    """Load number and file text of every seal, the oldest first. What is no text is text all the same, and will be no seal."""
    rows = connection.execute("SELECT number, CAST(body AS BLOB) FROM seals ORDER BY number").fetchall()
    return [(number, (body or b"").decode("utf-8", "replace")) for number, body in rows]
