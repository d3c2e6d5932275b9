"""The findings in the order in which they were stored, for those who take each one once: exporters and shippers."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from fimkit.evidence.finding_life import FindingRow
from fimkit.evidence.findings_rows import SELECT_FINDINGS, decode_finding

__all__ = ["OrderedFinding", "load_findings_after", "load_id_at", "load_ids_after", "load_last_place", "load_replaced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedFinding:
    """A finding at its place in the store's order.

    ``place`` grows with each finding that is opened and is never given again. ``was_told`` says that a check or watch has shown it.
    """

    place: int
    row: FindingRow
    was_told: bool


def load_findings_after(connection: sqlite3.Connection, place: int, *, most: int) -> list[OrderedFinding]:
    """Load the findings behind a place, open or not, at most so many, in the order in which they were stored."""
    query = SELECT_FINDINGS.replace(" FROM ", ", row_id, told_ns FROM ", 1)
    rows = connection.execute(f"{query} WHERE row_id > ? ORDER BY row_id LIMIT ?", (place, most))
    return [OrderedFinding(place=int(row[-2]), row=decode_finding(row[:-2]), was_told=row[-1] is not None) for row in rows]


def load_last_place(connection: sqlite3.Connection) -> int:
    """Give the last place that was ever taken; 0 where there never was a finding."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'findings'").fetchone()
    return 0 if row is None else int(row[0])


def load_id_at(connection: sqlite3.Connection, place: int) -> str | None:
    """Load the id of the finding at a place; nothing where it was dropped meanwhile."""
    row = connection.execute("SELECT id FROM findings WHERE row_id = ?", (place,)).fetchone()
    return None if row is None else str(row[0])


def load_ids_after(connection: sqlite3.Connection, place: int) -> list[tuple[int, str]]:
    """Load place and id of every finding behind a place, in the order in which they were stored."""
    return [(int(at), str(number)) for at, number in connection.execute(
        "SELECT row_id, id FROM findings WHERE row_id > ? ORDER BY row_id", (place,)
    )]  # fmt: skip


def load_replaced(connection: sqlite3.Connection, ids: Iterable[str] | None) -> dict[str, tuple[str, ...]]:
    """Load which earlier findings each of some findings (``None``: all) took the place of: ids, in the order of their closing."""
    wanted = None if ids is None else set(ids)
    found: dict[str, list[str]] = {}
    rows = connection.execute(
        "SELECT superseded_by, id FROM findings WHERE status = 'superseded' AND superseded_by NOT NULL ORDER BY closed_ns, row_id"
    )
    for by, number in rows:
        if wanted is None or by in wanted:
            found.setdefault(by, []).append(number)
    return {by: tuple(dict.fromkeys(numbers)) for by, numbers in found.items()}
