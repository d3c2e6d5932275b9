"""The evidence chain as it is written: every commit's links, from the first row of a store on.

What a commit touches is noted by triggers of this connection alone, which no other program fires: whatever writes through fimkit
is in the chain, and whatever writes past it shows. Changes come by hundreds of thousands, so they are linked by the batch, in the
statement that stores them.
"""

import itertools
import json
import secrets
import sqlite3
import time
from collections.abc import Collection, Iterable
from hashlib import sha256
from typing import Any

from fimkit.evidence.chain_dropped import load_dropped
from fimkit.evidence.chain_subjects import (
    ALTERED,
    BEGIN,
    CHECKPOINT,
    LOTS,
    SINGLES,
    STRANGER,
    Single,
    read_lot,
    read_single,
    split_tags,
)
from fimkit.model.chain import NO_LINK, Head, digest_row, next_link

__all__ = [
    "add_batch", "add_stranger", "adopt_rows", "begin_chain", "has_chain", "is_as_linked", "last_head", "link_touched", "next_seq",
    "prune_chain", "watch_rows",
]  # fmt: skip

_ADOPTED_ROWS = 2000
_INSERT = "INSERT INTO chain (seq, time_ns, kind, subject, rows, digest, link, parts) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_TOUCHED = """CREATE TEMP TABLE touched (
    place INTEGER PRIMARY KEY, kind TEXT NOT NULL, subject NOT NULL, gone INTEGER NOT NULL, was BLOB, UNIQUE (kind, subject))"""
_NOTE = "INSERT INTO touched (kind, subject, gone) VALUES ('{kind}', {row}.{key}, {gone}) ON CONFLICT (kind, subject)"


def watch_rows(connection: sqlite3.Connection) -> None:
    """Have this connection note which subjects a commit touches."""
    connection.execute(_TOUCHED)
    connection.create_function("fimkit_digest", -1, lambda *row: digest_row(row), deterministic=True)
    for kind, single in SINGLES.items():
        written = _NOTE.format(kind=kind, row="NEW", key=single.key, gone=0) + " DO NOTHING"
        columns = ", ".join(name for name in single.columns if name != single.key)
        _trigger(connection, f"{kind}_new", f"INSERT ON main.{single.table}", written)
        was = f"fimkit_digest({', '.join(f'OLD.{name}' for name in single.columns)})"
        kept = f"INSERT INTO touched (kind, subject, gone, was) VALUES ('{kind}', OLD.{single.key}, 0, {was})"
        _trigger(connection, f"{kind}_set", f"UPDATE OF {columns} ON main.{single.table}", f"{kept} ON CONFLICT DO NOTHING")
        gone = _NOTE.format(kind=kind, row="OLD", key=single.key, gone=1) + " DO UPDATE SET gone = gone + 1"
        _trigger(connection, f"{kind}_gone", f"DELETE ON main.{single.table}", gone)
    for kind, lot in LOTS.items():
        gone = _NOTE.format(kind=kind, row="OLD", key=lot.key, gone=1) + " DO UPDATE SET gone = gone + 1"
        _trigger(connection, f"{kind}_gone", f"DELETE ON main.{lot.table} WHEN OLD.{lot.key} IS NOT NULL", gone)
    written = _NOTE.format(kind="history", row="NEW", key="acceptance", gone=0) + " DO NOTHING"
    _trigger(connection, "history_new", "INSERT ON main.history", written)


def _trigger(connection: sqlite3.Connection, name: str, event: str, statement: str) -> None:
    when, _, condition = event.partition(" WHEN ")
    where = f" WHEN {condition}" if condition else ""
    connection.execute(f"CREATE TEMP TRIGGER fimkit_{name} AFTER {when}{where} BEGIN {statement}; END")


def has_chain(connection: sqlite3.Connection) -> bool:
    """Tell whether the store is of a schema with a chain, and it was begun."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'chain'").fetchone():
        return False
    return connection.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'chain'").fetchone() is not None


def last_head(connection: sqlite3.Connection) -> Head | None:
    """Read the last link; nothing in a store without any."""
    row = connection.execute("SELECT seq, link FROM chain ORDER BY seq DESC LIMIT 1").fetchone()
    return None if row is None else Head(int(row[0]), bytes(row[1]))


def next_seq(connection: sqlite3.Connection) -> int:
    """Give the number of the next link, which a batch of changes is called by."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'chain'").fetchone()
    return 1 if row is None else int(row[0]) + 1


def add_stranger(connection: sqlite3.Connection, words: str) -> None:
    """Link that something was in the store that fimkit did not put there, in the transaction that takes it out."""
    _append(connection, STRANGER, words, rows=0, digest=sha256(words.encode("utf-8", "surrogatepass")).digest())


def _append(
    connection: sqlite3.Connection, kind: str, subject: object, *, rows: int, digest: bytes, parts: bytes | None = None
) -> int:
    head = last_head(connection)
    # A chain that was cut goes on from what is left, under the next number: the gap shows for ever.
    seq, time_ns = next_seq(connection), time.time_ns()
    link = next_link(NO_LINK if head is None else head.link, (seq, time_ns, kind, subject, rows, digest))
    connection.execute(_INSERT, (seq, time_ns, kind, subject, rows, digest, link, parts))
    return seq


def add_batch(connection: sqlite3.Connection, tags: Collection[bytes]) -> int:
    """Link a batch of changes that was just stored under :func:`next_seq`'s number, in the caller's transaction."""
    parts = b"".join(tags)
    return _append(connection, "changes", next_seq(connection), rows=len(tags), digest=sha256(parts).digest(), parts=parts)


def link_touched(connection: sqlite3.Connection) -> None:
    """Link what the transaction has touched, before it is committed."""
    touched = connection.execute("SELECT kind, subject, gone, was FROM temp.touched ORDER BY place").fetchall()
    if not touched:
        return
    connection.execute("DELETE FROM temp.touched")
    dropped: dict[str, list[Any]] = {}
    rows_gone: dict[str, int] = {}
    for kind, subject, gone, was in touched:
        if was is not None:
            _note_altered(connection, kind, subject, was)
        rows_gone[kind] = rows_gone.get(kind, 0) + gone
        if not (_link_lot(connection, kind, subject, gone) if kind in LOTS else _link_single(connection, kind, subject)):
            dropped.setdefault(kind, []).append(subject)
    if dropped or any(rows_gone.values()):
        _checkpoint(connection, {"dropped": {kind: _ranges(some) for kind, some in dropped.items()}, "rows": rows_gone})


def _note_altered(connection: sqlite3.Connection, kind: str, subject: object, was: bytes) -> None:
    """Link that a row was not what its last link said when it was written anew: that would hide it."""
    if _last_digest(connection, kind, subject) != was:
        _append(connection, ALTERED, f"{kind} {subject}", rows=0, digest=was)


def is_as_linked(connection: sqlite3.Connection, kind: str, subject: object) -> bool:
    """Tell whether a single row is what its last link says; none without a link is."""
    return read_single(connection, kind, subject) == _last_digest(connection, kind, subject)


def _last_digest(connection: sqlite3.Connection, kind: str, subject: object) -> object:
    last = "SELECT digest FROM chain WHERE kind = ? AND subject = ? ORDER BY seq DESC LIMIT 1"
    row = connection.execute(last, (kind, subject)).fetchone()
    return None if row is None else row[0]


def _link_single(connection: sqlite3.Connection, kind: str, subject: object) -> bool:
    digest = read_single(connection, kind, subject)
    if digest is not None and digest != _last_digest(connection, kind, subject):  # a gap that lasts is written at every look
        _append(connection, kind, subject, rows=1, digest=digest)
    return digest is not None


def _link_lot(connection: sqlite3.Connection, kind: str, subject: object, gone: int) -> bool:
    """Link what a lot has now. Of one that lost rows, what was in it before goes on: what was altered still shows."""
    now = [tag for tag, _ in read_lot(connection, kind, subject)]
    if gone:
        row = connection.execute(
            "SELECT rows, parts FROM chain WHERE kind = ? AND subject = ? ORDER BY seq DESC LIMIT 1", (kind, subject)
        ).fetchone()
        rows, was = (len(now), now) if row is None else (int(row[0]) - gone, split_tags(row[1]))
        held = set(now)
        now = [tag for tag in was if tag in held]
    else:
        rows = len(now)
    if rows > 0:
        parts = b"".join(now)
        _append(connection, kind, subject, rows=rows, digest=sha256(parts).digest(), parts=parts)
    return rows > 0


def _ranges(subjects: Iterable[Any]) -> list[Any]:
    """Join numbers that follow each other; names stay."""
    some = list(subjects)
    numbers = sorted(one for one in some if isinstance(one, int))
    runs = itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    joined = [[one for _, one in run] for _, run in runs]
    return [[run[0], run[-1]] for run in joined] + [[str(one), str(one)] for one in some if not isinstance(one, int)]


def _checkpoint(connection: sqlite3.Connection, words: dict[str, Any]) -> None:
    parts = json.dumps(words, separators=(",", ":")).encode("ascii")
    _append(connection, CHECKPOINT, "", rows=0, digest=sha256(parts).digest(), parts=parts)


def begin_chain(connection: sqlite3.Connection) -> None:
    """Begin the chain of a store that never had one, and take in all that it holds."""
    if has_chain(connection):
        return
    _append(connection, BEGIN, secrets.token_hex(16), rows=0, digest=bytes(32))
    for kind, single in SINGLES.items():
        for (subject,) in _subjects(connection, single):
            _link_single(connection, kind, subject)
    for (subject,) in connection.execute("SELECT DISTINCT acceptance FROM history ORDER BY 1").fetchall():
        _link_lot(connection, "history", subject, 0)
    _adopt_changes(connection)


def adopt_rows(connection: sqlite3.Connection, was: int) -> None:
    """Link what is stored of the kinds that came into the chain after a store's version, as it is brought forward."""
    if not has_chain(connection):
        return  # :func:`begin_chain` takes all in
    for kind, single in SINGLES.items():
        if was < single.since:
            for (subject,) in _subjects(connection, single):
                if _last_digest(connection, kind, subject) is None:  # a version that was set back makes nothing good
                    _link_single(connection, kind, subject)


def _subjects(connection: sqlite3.Connection, single: Single) -> list[tuple[Any]]:
    return connection.execute(f"SELECT {single.key} FROM {single.table} ORDER BY {single.key}").fetchall()


def _adopt_changes(connection: sqlite3.Connection) -> None:
    while True:
        batch = next_seq(connection)
        count = connection.execute(
            "UPDATE changes SET batch = ? WHERE (time_ns, identity) IN (SELECT time_ns, identity FROM changes WHERE batch IS NULL"
            " LIMIT ?)",
            (batch, _ADOPTED_ROWS),
        ).rowcount
        if not count:
            return
        add_batch(connection, [tag for tag, _ in read_lot(connection, "changes", batch)])


def prune_chain(connection: sqlite3.Connection, *, before_ns: int, last_seq: int | None = None, most: int = 1 << 62) -> int:
    """Drop the links from before a time, in the caller's transaction; what is still there of theirs is linked anew, unlooked at.

    A checkpoint says where the chain begins from then on, and with which hash, so that verifying goes on.

    Args:
        connection: The store.
        before_ns: Links that are younger stay.
        last_seq: Those after this number stay too.
        most: The links of so many numbers go, the oldest; the others another time.

    Returns:
        How many links went.
    """
    last = connection.execute(
        "SELECT seq, link FROM chain WHERE seq < (SELECT coalesce(min(seq), (SELECT max(seq) FROM chain)) FROM chain"
        " WHERE time_ns >= ?) AND seq <= coalesce(?, seq) AND seq - ? < (SELECT min(seq) FROM chain) ORDER BY seq DESC LIMIT 1",
        (before_ns, last_seq, most),
    ).fetchone()
    if last is None:
        return 0
    seq, link = int(last[0]), bytes(last[1])
    dropped = load_dropped(connection)
    live = connection.execute(
        "SELECT kind, subject, rows, digest, parts FROM chain c WHERE seq <= ? AND kind NOT IN (?, ?, ?, ?) AND NOT EXISTS"
        " (SELECT 1 FROM chain d WHERE d.kind = c.kind AND d.subject = c.subject AND d.seq > c.seq) ORDER BY seq",
        (seq, BEGIN, CHECKPOINT, ALTERED, STRANGER),
    ).fetchall()
    for kind, subject, rows, digest, parts in live:
        if not dropped.has(kind, subject):
            _append(connection, kind, subject, rows=rows, digest=digest, parts=parts)
    count = connection.execute("DELETE FROM chain WHERE seq <= ?", (seq,)).rowcount
    _checkpoint(connection, {"first": seq + 1, "before": link.hex(), "links": count})
    return count
