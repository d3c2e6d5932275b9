"""What proves to another host that rows were stored as they are: their links, all that came after, and the text that was hashed."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fimkit.evidence.chain_subjects import CHANGE_COLUMNS, LOTS, SINGLES
from fimkit.model.changes import Change
from fimkit.model.paths import render_path

__all__ = ["load_proofs", "load_segment", "row_ids_of"]


def row_ids_of(connection: sqlite3.Connection, finding_id: str) -> list[int]:
    """List the rows of a finding: one for each time that it was open."""
    return [int(number) for (number,) in connection.execute("SELECT row_id FROM findings WHERE id = ? ORDER BY 1", (finding_id,))]


def load_segment(connection: sqlite3.Connection, first: int | None) -> Iterator[dict[str, Any]]:
    """Load the links from one on to the head, with the hash before the first of them; from the last one, without a number."""
    columns = "seq, time_ns, kind, subject, rows, digest, link"
    low = connection.execute("SELECT max(seq) FROM chain").fetchone()[0] if first is None else first
    before = connection.execute("SELECT link FROM chain WHERE seq = ?", (low - 1,)).fetchone()
    parts = connection.execute("SELECT parts FROM chain WHERE kind = 'checkpoint' ORDER BY seq DESC LIMIT 1").fetchone()
    yield {
        "before": None if before is None else before[0].hex(),
        "checkpoint": None if parts is None or parts[0] is None else parts[0].decode("ascii", "backslashreplace"),
    }
    for seq, time_ns, kind, subject, rows, digest, link in connection.execute(
        f"SELECT {columns} FROM chain WHERE seq >= ? ORDER BY seq", (low,)
    ):
        about = {"bytes": render_path(subject)} if isinstance(subject, bytes) else subject
        yield {
            "seq": seq, "time_ns": time_ns, "kind": kind, "subject": about, "rows": rows, "digest": digest.hex(), "link": link.hex()
        }


def load_proofs(
    connection: sqlite3.Connection, subjects: Iterable[tuple[str, object]], changes: Sequence[Change]
) -> Iterator[dict[str, Any]]:
    """Load, of each single row its last link and its text, and of each change the list of its batch and its text."""
    for kind, subject in subjects:
        single = SINGLES[kind]
        query = f"SELECT {', '.join(single.columns)} FROM {single.table} WHERE {single.key} = ?"
        row, seq = connection.execute(query, (subject,)).fetchone(), _last(connection, kind, subject)
        if row is not None and seq is not None:
            yield {"seq": seq, "kind": kind, "columns": list(single.columns), "row": ascii(row)}
    places = {(change.time_ns, change.serial, change.item) for change in changes if change.source.value == "audit"}
    batches: set[int] = set()
    width = len(CHANGE_COLUMNS)
    for time_ns, serial, item in sorted(places):
        where = "c.time_ns = ? AND c.serial = ? AND c.item = ? AND c.batch IS NOT NULL"
        query = LOTS["changes"].query.replace("c.batch = ?", where)
        for row in connection.execute(query, (time_ns, serial, item)).fetchall():
            batch = row[width - 1]
            seq = _last(connection, "changes", batch)
            if seq is None:
                continue
            if batch not in batches:
                batches.add(batch)
                parts = connection.execute("SELECT parts FROM chain WHERE seq = ?", (seq,)).fetchone()[0]
                yield {"seq": seq, "kind": "changes", "parts": parts.hex()}
            process = None if row[22] is None else ascii(row[width:])
            yield {"seq": seq, "kind": "changes", "columns": list(CHANGE_COLUMNS), "row": ascii(row[:width]), "process": process}


def _last(connection: sqlite3.Connection, kind: str, subject: object) -> int | None:
    row = connection.execute("SELECT max(seq) FROM chain WHERE kind = ? AND subject = ?", (kind, subject)).fetchone()
    return None if row is None or row[0] is None else int(row[0])
