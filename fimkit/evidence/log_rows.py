"""What is known of the logs themselves: where reading stopped, what they say of auditing, and the lines that could not be read."""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fimkit.evidence.values import int_in, int_out, text_in, text_out
from fimkit.model.changes import Note, NoteKind, Source
from fimkit.model.records import BadLine

__all__ = [
    "KEPT_PER_FILE",
    "LAST_CHECK",
    "add_bad_lines",
    "add_notes",
    "count_bad_lines",
    "load_bad_lines",
    "load_cursor",
    "load_notes",
    "save_cursor",
]

LAST_CHECK = ("check", b"")
"""The cursor that says when a check last looked at the host: ``seen_ns``."""

KEPT_PER_FILE = 1000
"""How many bad lines of one file are kept with their text; all are counted. A broken log must not fill the disk."""


def load_cursor(connection: sqlite3.Connection, source: str, file: bytes) -> dict[str, Any] | None:
    """Load where the reading of a log stopped."""
    row = connection.execute("SELECT body FROM cursors WHERE source = ? AND file = ?", (source, file)).fetchone()
    return None if row is None else dict(json.loads(row[0]))


def save_cursor(connection: sqlite3.Connection, source: str, file: bytes, cursor: Mapping[str, Any]) -> None:
    """Save where the reading of a log stopped."""
    connection.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (source, file, json.dumps(dict(cursor))))


def add_notes(connection: sqlite3.Connection, notes: Iterable[Note]) -> None:
    """Store notes, each once."""
    connection.executemany(
        "INSERT OR IGNORE INTO notes VALUES (?, ?, ?, ?)",
        ((int_in(note.time_ns), note.source.value, note.kind.value, text_in(note.text)) for note in notes),
    )


def load_notes(connection: sqlite3.Connection, since_ns: int | None) -> Iterator[Note]:
    """Load notes from a time on (all without one), in the order of time."""
    where, values = ("", ()) if since_ns is None else ("WHERE time_ns >= ?", (int_in(since_ns),))
    for time_ns, source, kind, text in connection.execute(f"SELECT * FROM notes {where} ORDER BY time_ns", values):
        yield Note(source=Source(source), kind=NoteKind(kind), time_ns=int_out(time_ns) or 0, text=text_out(text) or "")


def add_bad_lines(
    connection: sqlite3.Connection, bad: Iterable[BadLine], *, time_ns: int, uncounted: Mapping[str, int]
) -> None:
    """Store lines that could not be read.

    Args:
        connection: In a transaction.
        bad: The lines.
        time_ns: When they were met.
        uncounted: By file, how many more there were that the reader did not keep.
    """
    found: dict[bytes, list[BadLine]] = {}
    for line in bad:
        found.setdefault(os.fsencode(line.file), []).append(line)
    more = {os.fsencode(file): count for file, count in uncounted.items()}
    for file in {**found, **more}:
        lines = found.get(file, [])
        connection.execute(
            "INSERT INTO bad_files VALUES (?, ?, ?) ON CONFLICT (file) DO UPDATE SET lines = lines + excluded.lines,"
            " last_ns = excluded.last_ns",
            (file, len(lines) + more.get(file, 0), time_ns),
        )
        kept = connection.execute("SELECT count(*) FROM bad_lines WHERE file = ?", (file,)).fetchone()[0]
        connection.executemany(
            "INSERT INTO bad_lines (file, line, text, error, time_ns) VALUES (?, ?, ?, ?, ?)",
            ((file, line.line, line.text, text_in(line.error), time_ns) for line in lines[: max(0, KEPT_PER_FILE - kept)]),
        )


def count_bad_lines(connection: sqlite3.Connection) -> dict[str, int]:
    """Count the bad lines ever met, by file."""
    return {os.fsdecode(file): lines for file, lines in connection.execute("SELECT file, lines FROM bad_files ORDER BY file")}


def load_bad_lines(connection: sqlite3.Connection) -> Iterator[BadLine]:
    """Load the bad lines that are kept with their text, in the order in which they were met."""
    for file, line, text, error in connection.execute("SELECT file, line, text, error FROM bad_lines ORDER BY row_id"):
        yield BadLine(file=os.fsdecode(file), line=line, text=text, error=text_out(error) or "")
