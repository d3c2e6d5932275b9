"""The coverage ledger: the times in which a source did not tell all, open as long as that lasts."""

import json
import sqlite3
from collections.abc import Collection, Iterable
from typing import Any

from fimkit.evidence.values import int_in, int_out, text_in, text_out
from fimkit.model.coverage import Cause, Gap, Sense

__all__ = ["add_gaps", "has_ledger", "load_gaps", "settle_gaps"]

_COLUMNS = "from_ns, to_ns, source, cause, path, words, lost, evidence, seen_ns"
_MOST_EVIDENCE = 100


def add_gaps(connection: sqlite3.Connection, gaps: Iterable[Gap]) -> None:
    """Store gaps that are over, in the caller's transaction; one that is given again is the same, and may have grown."""
    connection.executemany(
        f"INSERT INTO coverage ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (source, cause, path, from_ns) DO UPDATE SET to_ns = max(to_ns, excluded.to_ns), words = excluded.words,"
        " lost = coalesce(max(lost, excluded.lost), lost, excluded.lost), evidence = excluded.evidence, seen_ns = excluded.seen_ns",
        (_row(gap) for gap in gaps if gap.to_ns is not None),
    )


def settle_gaps(
    connection: sqlite3.Connection, gaps: Iterable[Gap], *, judged: Collection[tuple[Sense, Cause]], now_ns: int
) -> None:
    """Bring what lasts up to date, in the caller's transaction: what is new is opened, what is no more is closed.

    Args:
        connection: Of the store.
        gaps: All that lasts now, of the kinds that were judged.
        judged: The kinds; the open gaps of others stay as they are.
        now_ns: When it was judged.
    """
    now = {(gap.source, gap.cause, gap.path or b""): gap for gap in gaps}
    rows = connection.execute("SELECT row_id, source, cause, path, from_ns FROM coverage WHERE to_ns IS NULL").fetchall()
    for row_id, source, cause, path, from_ns in rows:
        kind = _kind(source, cause)
        gap = None if kind is None else now.pop((*kind, path), None)
        if gap is not None:
            connection.execute(
                "UPDATE coverage SET words = ?, lost = ?, evidence = ?, seen_ns = ? WHERE row_id = ?",
                (text_in(gap.words), int_in(gap.lost), _evidence(gap), int_in(now_ns), row_id),
            )
        elif kind in judged:
            end_ns = max(now_ns, int_out(from_ns) or 0)  # the clock may have been set back meanwhile
            values = int_in(end_ns), int_in(now_ns), row_id
            connection.execute("UPDATE coverage SET to_ns = ?, seen_ns = ? WHERE row_id = ?", values)
    connection.executemany(
        f"INSERT INTO coverage ({_COLUMNS}) VALUES (?, NULL, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (source, cause, path, from_ns)"
        " DO UPDATE SET to_ns = NULL, words = excluded.words, seen_ns = excluded.seen_ns",
        ((row[0], *row[2:8], int_in(now_ns)) for row in map(_row, now.values())),
    )


def load_gaps(connection: sqlite3.Connection, *, since_ns: int | None = None) -> list[Gap]:
    """Load the gaps that lasted into a time, or all, in the order of their beginning; a cause of a later fimkit is left out."""
    where, values = ("", ()) if since_ns is None else ("WHERE to_ns IS NULL OR to_ns >= ?", (int_in(since_ns),))
    rows = connection.execute(f"SELECT {_COLUMNS} FROM coverage {where} ORDER BY from_ns, row_id", values)
    return [gap for row in rows if (gap := _gap(row)) is not None]


def has_ledger(connection: sqlite3.Connection) -> bool:
    """Tell whether the store is of a fimkit that kept one."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'coverage'").fetchone() is not None


def _kind(source: str, cause: str) -> tuple[Sense, Cause] | None:
    try:
        return Sense(source), Cause(cause)
    except ValueError:
        return None


def _evidence(gap: Gap) -> str:
    return json.dumps(gap.evidence[:_MOST_EVIDENCE])


def _row(gap: Gap) -> tuple[Any, ...]:
    return (
        int_in(gap.from_ns), int_in(gap.to_ns), gap.source.value, gap.cause.value, gap.path or b"", text_in(gap.words),
        int_in(gap.lost), _evidence(gap), int_in(gap.seen_ns or gap.until(gap.from_ns)),
    )  # fmt: skip


def _gap(row: tuple[Any, ...]) -> Gap | None:
    from_ns, to_ns, source, cause, path, words, lost, evidence, seen_ns = row
    kind = _kind(source, cause)
    if kind is None:
        return None
    try:
        events = tuple(map(str, json.loads(evidence)))
    except (TypeError, ValueError):
        events = ()
    return Gap(
        from_ns=int_out(from_ns) or 0, to_ns=int_out(to_ns), source=kind[0], cause=kind[1], words=text_out(words) or "",
        path=path or None, lost=int_out(lost), evidence=events, seen_ns=int_out(seen_ns) or 0,
    )  # fmt: skip
