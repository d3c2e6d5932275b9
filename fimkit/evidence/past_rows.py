"""What is read back of the store, a row at a time, by time and place: for frames and exports, however many rows there are."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fimkit.evidence.baseline_rows import load_below
from fimkit.evidence.changes_rows import SELECT_CHANGES, decode_change
from fimkit.evidence.finding_life import FindingRow
from fimkit.evidence.findings_rows import SELECT_FINDINGS, decode_finding
from fimkit.evidence.values import STATE_COLUMNS, decode_state, int_in
from fimkit.model.changes import Change
from fimkit.model.states import FileState

__all__ = ["Span", "past_baseline", "past_changes", "past_findings", "where_changes"]

_DAY_NS = 86_400_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which rows are wanted: from a time on, before a time, of a path and what lies below it. ``None`` leaves nothing out.

    ``severities`` (some of them), ``status`` and ``tier`` are words, and of findings alone. They spare the reading of what is not
    meant; who must be sure looks again, for not every source knows them.
    """

    since_ns: int | None = None
    until_ns: int | None = None
    below: bytes | None = None
    severities: tuple[str, ...] | None = None
    status: str | None = None
    tier: str | None = None


def _below(column: str, folder: bytes | None) -> tuple[list[str], list[Any]]:
    if folder is None:
        return [], []
    start = folder.rstrip(b"/") + b"/"
    return [f"({column} = ? OR ({column} >= ? AND {column} < ?))"], [folder, start, start[:-1] + b"0"]  # "0" follows "/"


def past_findings(connection: sqlite3.Connection, span: Span, *, only_open: bool) -> Iterator[FindingRow]:
    """Read findings, in the order in which they were stored.

    Args:
        connection: The store.
        span: ``since_ns`` asks for what was last seen then or later, ``until_ns`` for what was first seen before; ``below`` for
            what was there, or was moved there.
        only_open: Leave out what was accepted, undone or superseded.
    """
    where, values = _below("path", span.below)
    if span.below is not None:
        moved, more = _below("moved_to", span.below)
        where, values = [f"({where[0]} OR {moved[0]})"], [*values, *more]
    if span.since_ns is not None:
        # What is closed was seen before it was closed: so two small indexes answer, and no row is read for nothing. A day of slack
        # is for clocks that were set.
        is_open, since = "(status = 'open' AND last_seen_ns >= ?)", int_in(span.since_ns)
        where.append(is_open if only_open else f"({is_open} OR (status <> 'open' AND closed_ns >= ? AND last_seen_ns >= ?))")
        values += [since] if only_open else [since, int_in(span.since_ns - _DAY_NS), since]
    if span.until_ns is not None:
        where.append("first_seen_ns < ?")
        values.append(int_in(span.until_ns))
    if only_open:
        where.append("status = 'open'")
    for column, words in (("severity", span.severities), ("status", None if span.status is None else (span.status,))):
        if words is not None:
            where.append(f"{column} IN ({', '.join('?' * len(words))})")
            values += words
    if span.tier is not None:  # it has no column: its text in the body is, at least, in every row that is meant
        where.append("instr(body, ?) > 0")
        values.append(f'"tier":{json.dumps(span.tier)}')
    # With the plus the rows are not walked in the order of their key for the sake of the order alone.
    order = "row_id" if span.since_ns is None else "+row_id"
    query = SELECT_FINDINGS + (f" WHERE {' AND '.join(where)}" if where else "") + f" ORDER BY {order}"
    yield from map(decode_finding, connection.execute(query, values))


def where_changes(span: Span) -> tuple[str, list[Any]]:
    """Give the condition on ``changes c`` that a span is, with its values; empty where all are meant."""
    where, values = _below("c.path", span.below)
    if span.since_ns is not None:
        where.append("c.time_ns >= ?")
        values.append(int_in(span.since_ns))
    if span.until_ns is not None:
        where.append("c.time_ns < ?")
        values.append(int_in(span.until_ns))
    return (f" WHERE {' AND '.join(where)}" if where else ""), values


def past_changes(connection: sqlite3.Connection, span: Span) -> Iterator[Change]:
    """Read changes, in the order of time, serial and item."""
    where, values = where_changes(span)
    query = SELECT_CHANGES + where
    yield from map(decode_change, connection.execute(f"{query} ORDER BY c.time_ns, c.serial, c.item, c.identity", values))


def past_baseline(connection: sqlite3.Connection, below: bytes | None) -> Iterator[FileState]:
    """Read the accepted states, sorted by path."""
    if below is not None:
        yield from load_below(connection, below).values()
        return
    yield from map(decode_state, connection.execute(f"SELECT {', '.join(STATE_COLUMNS)} FROM baseline ORDER BY path"))
