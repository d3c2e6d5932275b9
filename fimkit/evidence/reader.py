"""Reads the store without ever writing to it, or waiting for whoever does: rows of a table as text, and how the store is doing."""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote_from_bytes

from fimkit.evidence.cells import CELLS, Cell
from fimkit.evidence.chain_proof import load_proofs, load_segment, row_ids_of
from fimkit.evidence.chain_rows import has_chain, last_head
from fimkit.evidence.chain_verify import ChainVerdict, verify_chain
from fimkit.evidence.change_columns import ChangeColumns, past_change_columns
from fimkit.evidence.changes_rows import load_changes_about, load_changes_of
from fimkit.evidence.connection import open_patiently, store_path
from fimkit.evidence.coverage_rows import has_ledger, load_gaps
from fimkit.evidence.damage import read_errors
from fimkit.evidence.finding_life import FindingRow
from fimkit.evidence.findings_rows import find_by_prefix
from fimkit.evidence.folder import check_private_file, check_state_dir, readers_trust
from fimkit.evidence.history_rows import Acceptance, HistoryRow, load_acceptances, load_history
from fimkit.evidence.incident_rows import IncidentRow, load_incidents
from fimkit.evidence.log_rows import LAST_CHECK, load_notes
from fimkit.evidence.past_rows import Span, past_baseline, past_changes, past_findings
from fimkit.evidence.schema import MIGRATIONS, schema_version
from fimkit.evidence.schema_strangers import check_tables
from fimkit.evidence.search import Condition, render_condition
from fimkit.evidence.stored_order import (
    OrderedFinding,
    load_findings_after,
    load_id_at,
    load_ids_after,
    load_last_place,
    load_replaced,
)
from fimkit.model.chain import Head
from fimkit.model.changes import Change, Note
from fimkit.model.coverage import Gap
from fimkit.model.errors import HostError, StoreError
from fimkit.model.paths import render_path
from fimkit.model.states import FileState

__all__ = ["OLDEST_SCHEMA", "Reader", "StoreStatus", "open_reader"]

OLDEST_SCHEMA = 3
"""The first schema with all that is read here: after an update of fimkit, the store is read before a check migrates it."""

_BUSY_S = 2.0
_MMAP_BYTES = 1 << 30
_STEPS = 200_000  # of SQLite's machine between two looks at the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """How the store is doing. Times are nanoseconds; ``None`` is not known or none. ``open`` counts findings by severity."""

    schema: int
    last_check_ns: int | None = None
    open: Mapping[str, int] = field(default_factory=dict)
    baseline_rows: int | None = None
    baseline_ns: int | None = None
    baseline_who: str | None = None
    accepted_ns: int | None = None
    first_change_ns: int | None = None
    last_change_ns: int | None = None
    bad_lines: int = 0
    audit_enabled: bool | None = None
    audit_ns: int | None = None
    records_lost_ns: int | None = None


class Reader:
    """An open store, for reading; a context manager.

    What is read inside is of one moment, whatever others write meanwhile.

    Raises:
        StoreError: From any method, if the file turns out to be damaged.
        HostError: From any method, if the host refuses, or the time is over.
    """

    def __init__(self, connection: sqlite3.Connection, path: bytes) -> None:
        """Take an open connection; :func:`open_reader` makes one."""
        self._connection = connection
        self.path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def rows(
        self, table: str, columns: Sequence[str], conditions: Mapping[str, Condition]
    ) -> Iterator[tuple[str | None, ...]]:
        """Read rows as text.

        Args:
            table: One of :data:`fimkit.evidence.cells.CELLS`.
            columns: The columns of an answer, in the wanted order.
            conditions: By column; they leave out what an index can, and let in what they cannot tell.

        Returns:
            A tuple a row, as it comes.
        """
        source = CELLS[table]
        cells = [source.cells[name] for name in columns]
        wheres, values, joins = [], list[Any](), any(cell.sql.startswith(source.joined or "\0") for cell in cells)
        with read_errors(self.path):
            for name, condition in conditions.items():
                place = source.cells[name].place
                if place is not None:
                    text, some = render_condition(self._connection, place, condition)
                    wheres += [_via_processes(text) if place.table == "processes p" else text] if text else []
                    values += some
            sql = list(dict.fromkeys(cell.sql for cell in cells)) or ["NULL"]
            query = f"SELECT {', '.join(sql)} FROM {source.tables} {source.join if joins else ''}"
            if wheres:
                query += f" WHERE {' AND '.join(wheres)}"
            yield from _texts(self._connection.execute(query, values), cells, sql)

    def findings(self, span: Span, *, only_open: bool) -> Iterator[FindingRow]:
        """Read findings; see :func:`fimkit.evidence.past_rows.past_findings`."""
        with read_errors(self.path):
            yield from past_findings(self._connection, span, only_open=only_open)

    def head(self) -> Head | None:
        """Give the last link of the evidence chain; nothing in a store from before there was one."""
        with read_errors(self.path):
            return last_head(self._connection) if has_chain(self._connection) else None

    def verify_chain(self, *, after: Head | None = None, heads: Sequence[Head] = ()) -> ChainVerdict:
        """Hold the store against its chain; see :func:`fimkit.evidence.chain_verify.verify_chain`."""
        with read_errors(self.path):
            return verify_chain(self._connection, after=after, heads=heads)

    def chain_proof(
        self, finding_ids: Iterable[str], acceptances: Iterable[int], changes: Sequence[Change], incidents: Iterable[str]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Read what proves to another host that these were stored as they are.

        Returns:
            The links from the first one about any of them to the head, and the texts that were hashed; both as JSON objects.
        """
        with read_errors(self.path):
            if not has_chain(self._connection):
                return [], []
            rows = [("finding", number) for one in finding_ids for number in row_ids_of(self._connection, one)]
            subjects = [*rows, *(("acceptance", one) for one in acceptances), *(("incident", one) for one in incidents)]
            proofs = list(load_proofs(self._connection, subjects, changes))
            first = min((int(proof["seq"]) for proof in proofs), default=None)
            return list(load_segment(self._connection, first)), proofs

    def history(self, path: bytes) -> list[HistoryRow]:
        """Read what acceptances made of one path, the oldest first."""
        with read_errors(self.path):
            return list(load_history(self._connection, path))

    def incidents(self) -> list[IncidentRow]:
        """Read every incident of this host, in the order of time."""
        with read_errors(self.path):
            return load_incidents(self._connection)

    def finding(self, id_prefix: str) -> FindingRow | None:
        """Find the one finding whose id begins so: the open one, else the last that was closed.

        Raises:
            UsageError: If several ids begin so.
        """
        with read_errors(self.path):
            return find_by_prefix(self._connection, id_prefix)

    def findings_after(self, place: int, *, most: int) -> list[OrderedFinding]:
        """Read the findings that were stored after the one at ``place`` (0: all), open or not, at most so many."""
        with read_errors(self.path):
            return load_findings_after(self._connection, place, most=most)

    def last_place(self) -> int:
        """Give the last place that a finding ever had in this store."""
        with read_errors(self.path):
            return load_last_place(self._connection)

    def id_at(self, place: int) -> str | None:
        """Read the id of the finding at a place; nothing where it was dropped meanwhile."""
        with read_errors(self.path):
            return load_id_at(self._connection, place)

    def ids_after(self, place: int) -> list[tuple[int, str]]:
        """Read place and id of every finding that was stored after the one at ``place``, in that order."""
        with read_errors(self.path):
            return load_ids_after(self._connection, place)

    def replaced(self, finding_ids: Iterable[str] | None) -> dict[str, tuple[str, ...]]:
        """Read, by finding (``None``: all), the ids of those that it took the place of."""
        with read_errors(self.path):
            return load_replaced(self._connection, finding_ids)

    def acceptances(self) -> dict[int, Acceptance]:
        """Read who took what as good, by number."""
        with read_errors(self.path):
            return {one.id: one for one in load_acceptances(self._connection)}

    def changes_of(self, events: Iterable[str]) -> list[Change]:
        """Read the changes of some audit events, as findings' ``evidence`` names them, in the order of time, serial and item."""
        with read_errors(self.path):
            return load_changes_of(self._connection, events)

    def changes_about(self, paths: Iterable[bytes], inodes: Iterable[int], *, since_ns: int) -> list[Change]:
        """Read the changes from a time on of some paths by their text, and of some files by their inodes' numbers."""
        with read_errors(self.path):
            return load_changes_about(self._connection, paths, inodes, since_ns)

    def changes(self, span: Span) -> Iterator[Change]:
        """Read changes, in the order of time, serial and item."""
        with read_errors(self.path):
            yield from past_changes(self._connection, span)

    def change_columns(self, span: Span) -> Iterator[ChangeColumns]:
        """Read changes as columns; see :func:`fimkit.evidence.change_columns.past_change_columns`."""
        with read_errors(self.path):
            yield from past_change_columns(self._connection, span)

    def baseline(self, below: bytes | None = None) -> Iterator[FileState]:
        """Read the accepted states at and below a path, or all of them, sorted by path."""
        with read_errors(self.path):
            yield from past_baseline(self._connection, below)

    def gaps(self) -> list[Gap]:
        """Read the times in which a source did not tell all; empty in a store from before the ledger."""
        with read_errors(self.path):
            return load_gaps(self._connection) if has_ledger(self._connection) else []

    def notes(self) -> list[Note]:
        """Read what the sources said of themselves, in the order of time."""
        with read_errors(self.path):
            return list(load_notes(self._connection, None))

    def has_cursor(self, source: str) -> bool:
        """Tell whether a log of this source was ever read."""
        with read_errors(self.path):
            return self._connection.execute("SELECT 1 FROM cursors WHERE source = ?", (source,)).fetchone() is not None

    def status(self, *, count_baseline: bool = True) -> StoreStatus:
        """Tell how the store is doing.

        Args:
            count_baseline: Whether to count the baseline's rows, which takes longest.
        """
        with read_errors(self.path):
            return StoreStatus(schema=schema_version(self._connection), **_status(self._connection, count_baseline))


def _via_processes(text: str) -> str:
    """A process's number is what the changes have an index on."""
    return f"c.process IN (SELECT p.id FROM processes p WHERE {text})"


def _texts(rows: sqlite3.Cursor, cells: Sequence[Cell], sql: Sequence[str]) -> Iterator[tuple[str | None, ...]]:
    """Make text of values; a finding's body is read once a row."""
    body = sql.index("f.body") if "f.body" in sql else None
    makers: list[tuple[int, Callable[[Any], str | None]]] = [(sql.index(cell.sql), cell.text) for cell in cells]
    for row in rows:
        if body is not None:
            row = (*row[:body], json.loads(row[body]), *row[body + 1 :])
        yield tuple([None if (value := row[place]) is None else text(value) for place, text in makers])


def _status(connection: sqlite3.Connection, count_baseline: bool) -> dict[str, Any]:
    def one(query: str, *values: Any) -> Any:
        row = connection.execute(query, values).fetchone()
        return None if row is None else row[0]

    def number(query: str, *values: Any) -> int | None:
        value = one(query, *values)
        return None if value is None else int(value)

    notes = dict(connection.execute("SELECT kind, max(time_ns) FROM notes WHERE source = 'audit' GROUP BY kind").fetchall())
    enabled, disabled = notes.get("audit_enabled"), notes.get("audit_disabled")
    open_counts = connection.execute("SELECT severity, count(*) FROM findings WHERE status = 'open' GROUP BY severity")
    cursor = one("SELECT body FROM cursors WHERE source = ? AND file = ?", *LAST_CHECK)
    made = connection.execute("SELECT time_ns, who FROM acceptances WHERE kind = 'create' ORDER BY id DESC LIMIT 1").fetchone()
    return {
        "last_check_ns": None if cursor is None else int(json.loads(cursor)["seen_ns"]),
        "open": dict(open_counts.fetchall()),
        "baseline_rows": number("SELECT count(*) FROM baseline") if count_baseline else None,
        "baseline_ns": None if made is None else int(made[0]),
        "baseline_who": None if made is None else str(made[1]),
        "accepted_ns": number("SELECT time_ns FROM acceptances WHERE kind = 'accept' ORDER BY id DESC LIMIT 1"),
        "first_change_ns": number("SELECT time_ns FROM changes ORDER BY time_ns LIMIT 1"),
        "last_change_ns": number("SELECT time_ns FROM changes ORDER BY time_ns DESC LIMIT 1"),
        "bad_lines": number("SELECT coalesce(sum(lines), 0) FROM bad_files"),
        "audit_enabled": None if enabled is None and disabled is None else int(enabled or 0) >= int(disabled or 0),
        "audit_ns": max((int(stamp) for stamp in (enabled, disabled) if stamp is not None), default=None),
        "records_lost_ns": None if "records_lost" not in notes else int(notes["records_lost"]),
    }


def _connect(path: bytes, deadline_s: float) -> sqlite3.Connection:
    """Open for reading only. Not ``immutable``: others write meanwhile."""
    connection = sqlite3.connect(
        f"file:{quote_from_bytes(path)}?mode=ro", uri=True, timeout=min(_BUSY_S, deadline_s), isolation_level=None
    )
    until = time.monotonic() + deadline_s
    connection.set_progress_handler(lambda: int(time.monotonic() > until), _STEPS)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA mmap_size = {_MMAP_BYTES}")
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(state_dir: bytes, *, deadline_s: float = 60.0) -> Reader:
    """Open the store of a state folder for reading, as it is at this moment.

    Args:
        state_dir: The folder.
        deadline_s: After this time whatever is being read ends as HostError.

    Raises:
        StoreError: If there is none, or it is damaged, another program's, or of a later schema than this program's,
            or of one before :data:`OLDEST_SCHEMA`.
        HostError: If folder or file could have been tampered with, or cannot be opened.
    """
    path = store_path(state_dir)
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(
            f"there is no evidence store in {render_path(state_dir)} yet; 'fimkit baseline create' makes one"
        ) from None
    except OSError as error:  # a folder that this user may not enter says nothing of what is in it
        raise HostError(f"the evidence store in {render_path(state_dir)} cannot be opened: {error.strerror}") from error
    check_state_dir(state_dir, owners=readers_trust())
    for name in (path, path + b"-wal", path + b"-shm"):
        check_private_file(name, owners=readers_trust())
    with read_errors(path):
        connection = open_patiently(lambda: _connect(path, deadline_s))
        try:
            _check_schema(schema_version(connection), path)
            check_tables(connection)
        except BaseException:
            connection.close()
            raise
    return Reader(connection, path)


def _check_schema(version: int, path: bytes) -> None:
    known = len(MIGRATIONS)
    if not version:
        words = "is empty, or just being made; if nobody is: keep it aside, then restore a backup, or make a new baseline"
        raise StoreError(f"the evidence store {render_path(path)} {words}")
    if version > known:
        raise StoreError(f"the evidence store {render_path(path)} is of a later fimkit (schema {version}, known {known})")
    if version < OLDEST_SCHEMA:
        raise StoreError(f"the evidence store {render_path(path)} is of an earlier fimkit (schema {version}, now {known});"
                         " the next 'fimkit check' brings it up to date")  # fmt: skip
