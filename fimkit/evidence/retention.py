"""How long and how much evidence is kept: what goes first, and words for all that went.

By age: closed findings, passing ones that are old, changes, notes and bad lines. By size, as long as the store is too big, the
oldest first: closed findings that are not critical, changes, bad lines, open findings of severity info, closed critical findings,
the old states of accepted paths. Never: an open critical finding, a change that an open finding names as evidence, the baseline,
the positions in logs, who accepted what when and why, the incidents.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace

from fimkit.evidence import chain_rows
from fimkit.evidence.canary_rows import drop_canaries
from fimkit.evidence.limiting import MIB, Gone

__all__ = ["drop", "give_back", "shrink_file", "used_bytes"]

_MANY_FREE = 4  # a part of all pages
_LOT_PARTS = 20
_MOST_PARTS = 20
_NAMED_PARTS = 100
_CHAIN_SHARE = 32  # a part of the limit is left for the links that say what went


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """One kind of rows that may go. ``key`` finds the rows to delete, ``age`` tells how old one is, ``old`` which are too old."""

    words: str
    table: str
    key: str
    age: str
    where: str
    old: str = "1"


# Of openings by the same process a finding names the first and the last ones: those between say nothing more.
_UNNAMED = (
    "(event IS NULL OR event NOT IN (SELECT event FROM temp.named_events))"
    " AND (path IS NULL OR path NOT IN (SELECT path FROM temp.named_paths) OR (event IS NOT NULL AND action = 'opened'))"
)
_CLOSED = _Kind(words="closed findings", table="findings", key="row_id", age="closed_ns", where="status <> 'open'")
_CHANGES = _Kind(
    words="changes that no open finding stands on", table="changes", key="time_ns, identity", age="time_ns", where=_UNNAMED
)  # fmt: skip
_BAD_LINES = _Kind(words="texts of bad lines", table="bad_lines", key="row_id", age="time_ns", where="1")
_PASSED = _Kind(
    words="open denied tries and passing files", table="findings", key="row_id", age="last_seen_ns",
    where="status = 'open' AND kind IN ('attempted', 'transient') AND severity <> 'critical'",
)  # fmt: skip
# The last note of a kind says how auditing stands today, however old it is.
_NOTES = _Kind(
    words="notes of the sources", table="notes", key="time_ns, source, kind, text", age="time_ns",
    where="time_ns < (SELECT max(time_ns) FROM notes n WHERE n.source = notes.source AND n.kind = notes.kind)",
)  # fmt: skip
_GAPS = _Kind(words="gaps in what was seen", table="coverage", key="row_id", age="to_ns", where="to_ns IS NOT NULL")
_HISTORY = _Kind(words="old states of accepted paths", table="history", key="acceptance, path, side", age="acceptance", where="1")

_BY_AGE = (_CLOSED, _PASSED, _CHANGES, _NOTES, _GAPS, _BAD_LINES)


def _where(kind: _Kind, words: str, condition: str) -> _Kind:
    return replace(kind, words=words, where=f"{kind.where} AND {condition}")


_SETTLED = "status = 'accepted' AND kind IN ('attempted', 'transient')"  # what keeps them from being found again

_BY_SIZE = (
    _where(_CLOSED, "closed findings that were not critical", f"severity <> 'critical' AND NOT ({_SETTLED})"),
    _CHANGES,
    _BAD_LINES,
    _where(_CLOSED, "accepted tries and passing files", f"severity <> 'critical' AND {_SETTLED}"),
    _Kind(words="open findings of severity info", table="findings", key="row_id", age="first_seen_ns",
          where="status = 'open' AND severity = 'info'"),
    _where(_CLOSED, "closed critical findings", "severity = 'critical'"),
    _HISTORY,
)  # fmt: skip


def used_bytes(connection: sqlite3.Connection) -> int:
    """Measure what the rows take, free pages aside."""
    names = ("page_count", "freelist_count", "page_size")
    pages, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return int((pages - free) * size)


class _Named:
    """The events and paths that open findings stand on, in tables of this connection's own.

    There may be very many findings: they are read in parts. What was stored or altered since, also by another process, the evidence
    chain tells, in which each writing of a finding is a link.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._link = 0

    def read(self, rows: int) -> Iterator[None]:
        """Name all that there is, so many findings in a part."""
        connection = self._connection
        for table, column in (("named_events", "event"), ("named_paths", "path")):
            connection.execute(f"CREATE TABLE IF NOT EXISTS temp.{table} ({column} PRIMARY KEY) WITHOUT ROWID")
            connection.execute(f"DELETE FROM temp.{table}")
        self._link = self._last_link()
        row_id = 0
        while True:
            some = connection.execute(
                "SELECT row_id, path, moved_to, body FROM findings WHERE status = 'open' AND row_id > ? ORDER BY row_id LIMIT ?",
                (row_id, rows),
            ).fetchall()
            self._add(found[1:] for found in some)
            if len(some) < rows:
                return
            row_id = some[-1][0]
            yield

    def refresh(self) -> None:
        """Name what was stored since, in the transaction in which something is to go."""
        self._add(
            self._connection.execute(
                "SELECT path, moved_to, body FROM findings WHERE status = 'open' AND row_id IN"
                " (SELECT subject FROM chain WHERE kind = 'finding' AND seq > ?)", (self._link,)
            ).fetchall()
        )  # fmt: skip
        self._link = self._last_link()

    def _last_link(self) -> int:
        return int(self._connection.execute("SELECT coalesce(max(seq), 0) FROM chain").fetchone()[0])

    def _add(self, findings: Iterable[tuple[bytes, bytes | None, str]]) -> None:
        for path, moved_to, body in findings:
            events = json.loads(body).get("evidence", ())
            self._connection.executemany("INSERT OR IGNORE INTO temp.named_events VALUES (?)", ((event,) for event in events))
            names = ((name,) for name in (path, moved_to) if name)
            self._connection.executemany("INSERT OR IGNORE INTO temp.named_paths VALUES (?)", names)


def drop(connection: sqlite3.Connection, gone: Gone, *, rows: int) -> Generator[None, None, None]:
    """Drop what is too old, then what is too much, in parts: who else writes to the store waits for none of them long.

    Each part is for a transaction of the caller's, and is over with a ``None``; after an error the rest is given up.

    Args:
        connection: The store.
        gone: Has the limits, and takes up what went.
        rows: About so many go in a part.
    """
    named = _Named(connection)
    before_ns = gone.before_ns
    for kind in _BY_AGE:  # changes after the findings: a try that went leaves no records behind that it would be found in again
        old = replace(kind, old=f"{kind.age} < {before_ns:d}")
        yield from _drop_kind(connection, named, old, gone.aged, rows=rows)
    limit_bytes = gone.max_mb * MIB
    if used_bytes(connection) > limit_bytes:
        yield from _drop_surplus(
            connection, named, gone.surplus, rows=rows, enough_bytes=limit_bytes - limit_bytes // _CHAIN_SHARE
        )
        used = used_bytes(connection)
        gone.still_bytes = used if used > limit_bytes else None
    if gone.aged or gone.surplus:
        yield from _drop_orphans(connection, rows)
    drop_canaries(connection, before_ns=before_ns)  # after the changes that they explain; no evidence, so not told
    if gone.aged or gone.surplus:  # the links of what went go with it, as far back as all that is left is younger
        chain_rows.link_touched(connection)
        head = chain_rows.last_head(connection)
        last_seq, oldest_ns = 0 if head is None else head.seq, _oldest_ns(connection, gone)
        while chain_rows.prune_chain(connection, before_ns=oldest_ns, last_seq=last_seq, most=rows):
            yield


def _drop_surplus(
    connection: sqlite3.Connection, named: _Named, gone: Counter[str], *, rows: int, enough_bytes: int
) -> Iterator[None]:
    """Drop one kind after the other, until the store is small enough.

    A storm brings more of the kinds that were done with meanwhile: after some parts of a later one it begins with the first again.
    """
    is_over = False
    while not is_over and used_bytes(connection) > enough_bytes:
        for kind in _BY_SIZE:
            most = None if kind is _BY_SIZE[0] else _MOST_PARTS
            is_over = yield from _drop_kind(connection, named, kind, gone, rows=rows, enough_bytes=enough_bytes, most_parts=most)
            if not is_over:
                break


def _drop_kind(
    connection: sqlite3.Connection,
    named: _Named,
    kind: _Kind,
    gone: Counter[str],
    *,
    rows: int,
    enough_bytes: int | None = None,
    most_parts: int | None = None,
) -> Generator[None, None, bool]:
    """Drop the rows of one kind, the oldest first: all, or until the store is small enough, or so many parts.

    Returns:
        Whether no more of the kind may go, or need to.
    """
    needs_names = kind.table == _CHANGES.table
    if needs_names:
        if connection.execute(f"SELECT 1 FROM {kind.table} WHERE {kind.old} LIMIT 1").fetchone() is None:
            return True
        yield from named.read(rows)
        rows = max(rows, _oldest_lot(connection) // _LOT_PARTS)
    since = "1"  # what is older and still there is to stay: it is not looked at again for each part
    parts = 0
    while enough_bytes is None or used_bytes(connection) > enough_bytes:
        if parts == most_parts:
            return False
        parts += 1
        if needs_names and parts % _NAMED_PARTS == 0:  # of a storm's findings most are open no more
            yield from named.read(rows)
        if needs_names:
            named.refresh()
        if kind.table == _HISTORY.table:
            connection.execute("UPDATE acceptances SET complete = 0 WHERE id <= (SELECT acceptance FROM history ORDER BY acceptance"
                               " LIMIT 1 OFFSET min(?, (SELECT count(*) FROM history) - 1))", (rows - 1,))  # fmt: skip
        some = connection.execute(
            f"DELETE FROM {kind.table} WHERE ({kind.key}) IN (SELECT {kind.key} FROM {kind.table} WHERE {kind.where}"
            f" AND {kind.old} AND {since} ORDER BY {kind.age} LIMIT ?) RETURNING {kind.age}",
            (rows,),
        ).fetchall()
        if some:
            gone[kind.words] += len(some)
        if len(some) < rows:
            return True
        ages = [age for (age,) in some if isinstance(age, int)]
        since = f"{kind.age} >= {max(ages)}" if ages else "1"
        yield
    return True


def _oldest_lot(connection: sqlite3.Connection) -> int:
    """Give how many changes were stored at once with the oldest one: with each part of these that goes the rest is linked anew."""
    lot = "SELECT max(rows) FROM chain WHERE kind = 'changes' AND subject = (SELECT batch FROM changes ORDER BY time_ns LIMIT 1)"
    return int(connection.execute(lot).fetchone()[0] or 0)


def _drop_orphans(connection: sqlite3.Connection, rows: int) -> Iterator[None]:
    """Drop the processes of which no change is left."""
    part = "SELECT max(id) FROM (SELECT id FROM processes WHERE id > ? ORDER BY id LIMIT ?)"
    last = 0
    while (until := connection.execute(part, (last, rows)).fetchone()[0]) is not None:
        connection.execute(
            "DELETE FROM processes WHERE id > ? AND id <= ?"
            " AND NOT EXISTS (SELECT 1 FROM changes WHERE changes.process = processes.id)",
            (last, until),
        )
        last = until
        yield


def _oldest_ns(connection: sqlite3.Connection, gone: Gone) -> int:
    """Give the time before which there is little left: the age limit's, or that of the oldest change where size goes first."""
    first = connection.execute("SELECT time_ns FROM changes ORDER BY time_ns LIMIT 1").fetchone()
    before_ns = gone.before_ns
    return before_ns if first is None or not isinstance(first[0], int) else min(gone.now_ns, max(before_ns, first[0]))


def give_back(connection: sqlite3.Connection, most_pages: int) -> bool:
    """Give some free pages back to the file system where many are free, outside of a transaction, and tell whether that was done.

    What little is free is soon in use again.
    """
    pages, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    if free < pages // _MANY_FREE:
        return False
    connection.executescript(f"PRAGMA incremental_vacuum({most_pages:d})")  # execute() would stop after its first page
    return True


def shrink_file(connection: sqlite3.Connection) -> None:
    """Give all free pages back to the file system, outside of a transaction."""
    connection.executescript("PRAGMA incremental_vacuum")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
