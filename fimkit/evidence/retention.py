"""How long and how much evidence is kept: what goes first, and words for all that went.

By age: closed findings, passing ones that are old, changes, notes and bad lines. By size, as long as the store is too big, the
oldest first: closed findings that are not critical, changes, bad lines, open findings of severity info, closed critical findings,
the old states of accepted paths. Never: an open critical finding, a change that an open finding names as evidence, the baseline,
the positions in logs, who accepted what when and why, the incidents.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from fimkit.evidence.canary_rows import drop_canaries
from fimkit.model.time import render_time

__all__ = ["drop_old", "drop_surplus", "oldest_ns", "shrink_file", "used_bytes"]

_DAY_NS = 86_400 * 1_000_000_000
_MIB = 1024 * 1024
_CHAIN_SHARE = 32  # a part of the limit is left for the links that say what went


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """One kind of rows that may go. ``key`` finds the rows to delete, ``age`` tells how old one is."""

    words: str
    table: str
    key: str
    age: str
    where: str


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
    return _Kind(words=words, table=kind.table, key=kind.key, age=kind.age, where=f"{kind.where} AND {condition}")


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


def _name_evidence(connection: sqlite3.Connection) -> None:
    """List the events and paths that open findings stand on."""
    for table, column in (("named_events", "event"), ("named_paths", "path")):
        connection.execute(f"CREATE TABLE IF NOT EXISTS temp.{table} ({column} PRIMARY KEY) WITHOUT ROWID")
        connection.execute(f"DELETE FROM temp.{table}")
    for path, moved_to, body in connection.execute("SELECT path, moved_to, body FROM findings WHERE status = 'open'"):
        events = json.loads(body).get("evidence", ())
        connection.executemany("INSERT OR IGNORE INTO temp.named_events VALUES (?)", ((event,) for event in events))
        connection.executemany("INSERT OR IGNORE INTO temp.named_paths VALUES (?)", ((name,) for name in (path, moved_to) if name))


def _drop_orphans(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM processes WHERE NOT EXISTS (SELECT 1 FROM changes WHERE changes.process = processes.id)")


def drop_old(connection: sqlite3.Connection, *, keep_days: int, now_ns: int) -> Iterator[str]:
    """Drop what is older than ``keep_days``, in the caller's transaction, and say what."""
    before_ns = now_ns - keep_days * _DAY_NS
    for kind in _BY_AGE:
        if kind is _CHANGES:  # after the findings: a try that went leaves no records behind that it would be found in again
            _name_evidence(connection)
        dropped = connection.execute(f"DELETE FROM {kind.table} WHERE {kind.where} AND {kind.age} < ?", (before_ns,)).rowcount
        if dropped:
            yield f"dropped {dropped} {kind.words}, older than {keep_days} days (before {render_time(before_ns)})"
    _drop_orphans(connection)
    drop_canaries(connection, before_ns=before_ns)  # after the changes that they explain; no evidence, so not told


def _drop_some(connection: sqlite3.Connection, kind: _Kind, limit_bytes: int) -> int:
    """Drop rows of one kind, the oldest first, until the store is small enough or none is left."""
    count = int(connection.execute(f"SELECT count(*) FROM {kind.table} WHERE {kind.where}").fetchone()[0])
    step, dropped = max(100, count // 20), 0
    while used_bytes(connection) > limit_bytes:
        if kind is _HISTORY:
            connection.execute("UPDATE acceptances SET complete = 0 WHERE id <= (SELECT acceptance FROM history ORDER BY acceptance"
                               " LIMIT 1 OFFSET min(?, (SELECT count(*) FROM history) - 1))", (step - 1,))  # fmt: skip
        some = connection.execute(
            f"DELETE FROM {kind.table} WHERE ({kind.key}) IN (SELECT {kind.key} FROM {kind.table} WHERE {kind.where}"
            f" ORDER BY {kind.age} LIMIT ?)",
            (step,),
        ).rowcount
        if kind is _CHANGES:
            _drop_orphans(connection)
        dropped += some
        if not some:
            break
    return dropped


def drop_surplus(connection: sqlite3.Connection, *, max_mb: int) -> Iterator[str]:
    """Drop the least needed rows until the store fits in ``max_mb``, in the caller's transaction, and say what."""
    limit_bytes = max_mb * _MIB
    if used_bytes(connection) <= limit_bytes:
        return
    _name_evidence(connection)
    for kind in _BY_SIZE:
        dropped = _drop_some(connection, kind, limit_bytes - limit_bytes // _CHAIN_SHARE)
        if dropped:
            yield f"dropped the {dropped} oldest {kind.words}, to keep the store within {max_mb} MB"
    used = used_bytes(connection)
    if used > limit_bytes:
        yield (
            f"the store still takes {-(-used // _MIB)} MB of {max_mb} MB: the baseline, the open findings and what they stand on"
            " are never dropped; accept findings, or raise store.max_mb"
        )


def oldest_ns(connection: sqlite3.Connection, keep_days: int, now_ns: int) -> int:
    """Give the time before which there is little left: the age limit's, or that of the oldest change where size goes first."""
    first = connection.execute("SELECT time_ns FROM changes ORDER BY time_ns LIMIT 1").fetchone()
    limit_ns = now_ns - keep_days * _DAY_NS
    return limit_ns if first is None or not isinstance(first[0], int) else min(now_ns, max(limit_ns, first[0]))


def shrink_file(connection: sqlite3.Connection) -> None:
    """Give the free pages back to the file system; outside of a transaction."""
    connection.executescript("PRAGMA incremental_vacuum")  # execute() would stop after its first page
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
