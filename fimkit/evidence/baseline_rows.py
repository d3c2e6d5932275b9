"""The accepted baseline, one row a path."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fimkit.evidence.bulk_states import insert_states
from fimkit.evidence.history_rows import add_acceptance, keep_state, keep_table_differences, load_acceptances, set_paths, take_back
from fimkit.evidence.schema import STATE_TABLE
from fimkit.evidence.values import STATE_COLUMNS, decode_state, encode_state
from fimkit.model.collector import without_collector
from fimkit.model.errors import StoreError
from fimkit.model.states import FileState

__all__ = [
    "BaselineMeta",
    "accept_states",
    "load_baseline",
    "load_baseline_at",
    "load_below",
    "load_meta",
    "load_row",
    "replace_baseline",
]

_INSERT = f"INSERT OR REPLACE INTO baseline VALUES ({', '.join('?' * len(STATE_COLUMNS))})"
_SELECT = f"SELECT {', '.join(STATE_COLUMNS)} FROM baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineMeta:
    """The baseline as a whole.

    ``count`` and ``problems`` are of the rows as they are now; ``notes`` are the scan's problems that have no row. ``accepts``
    is how often paths were accepted since, the last time at ``accepted_ns``.
    """

    id: int
    time_ns: int
    who: str
    why: str
    count: int
    problems: int
    notes: tuple[str, ...]
    accepts: int
    accepted_ns: int | None


def replace_baseline(
    connection: sqlite3.Connection, states: Iterable[FileState], *, who: str, why: str, time_ns: int, notes: Sequence[str]
) -> tuple[int, int]:
    """Put a new baseline in the old one's place; where they differ, the history gets both.

    Args:
        connection: In a transaction, which is the caller's.
        states: Every path once, in any order (sorted is fastest), stored as they come. Of a path that comes twice the last counts.
        who: The name.
        why: The reason.
        time_ns: When.
        notes: Problems of the scan that have no row; read after the last of ``states``.

    Returns:
        The acceptance's id, and the number of rows.
    """
    first = connection.execute("SELECT NOT EXISTS (SELECT 1 FROM acceptances)").fetchone()[0]
    connection.execute(f"CREATE TABLE baseline_next {STATE_TABLE}")
    insert_states(connection, "baseline_next", states)
    acceptance = add_acceptance(connection, "create", who=who, why=why, time_ns=time_ns, notes=notes)
    if not first:
        keep_table_differences(connection, acceptance, before="baseline", after="baseline_next")
    connection.execute("DROP TABLE baseline")
    connection.execute("ALTER TABLE baseline_next RENAME TO baseline")
    count = int(connection.execute("SELECT count(*) FROM baseline").fetchone()[0])
    set_paths(connection, acceptance, count)
    return acceptance, count


def accept_states(
    connection: sqlite3.Connection, pairs: Sequence[tuple[bytes, FileState | None]], *, who: str, why: str, time_ns: int
) -> int:
    """Take the states of some paths into the baseline (``None``: the path is to be absent); the history gets the old ones.

    Returns:
        The acceptance's id.

    Raises:
        StoreError: If there is no baseline yet.
    """
    if not connection.execute("SELECT 1 FROM acceptances LIMIT 1").fetchone():
        raise StoreError("there is no baseline yet that anything could be accepted into")
    acceptance = add_acceptance(connection, "accept", who=who, why=why, time_ns=time_ns, notes=())
    changed = 0
    for path, wanted in dict(pairs).items():
        after = None if wanted is None else wanted._replace(path=path)
        before = load_row(connection, path)
        if before == after:
            continue
        changed += 1
        keep_state(connection, acceptance, before=before, after=after)
        if after is None:
            connection.execute("DELETE FROM baseline WHERE path = ?", (path,))
        else:
            connection.execute(_INSERT, encode_state(after))
    set_paths(connection, acceptance, changed)
    return acceptance


def load_baseline(connection: sqlite3.Connection) -> dict[bytes, FileState]:
    """Load every row, sorted by path."""
    with without_collector():
        return {row[0]: decode_state(row) for row in connection.execute(f"{_SELECT} ORDER BY path")}


def load_below(connection: sqlite3.Connection, path: bytes) -> dict[bytes, FileState]:
    """Load the rows at and below a path, sorted by path, without reading the others."""
    start = path.rstrip(b"/") + b"/"
    rows = connection.execute(
        f"{_SELECT} WHERE path = ? OR (path >= ? AND path < ?) ORDER BY path", (path, start, start[:-1] + b"0")  # "0" follows "/"
    )
    return {row[0]: decode_state(row) for row in rows}


def load_baseline_at(connection: sqlite3.Connection, time_ns: int) -> dict[bytes, FileState]:
    """Load the baseline as it stood at a time, sorted by path.

    Raises:
        UsageError: If there was none yet.
        StoreError: If what is needed of the history was dropped.
    """
    states = load_baseline(connection)
    take_back(connection, states, time_ns)
    return dict(sorted(states.items()))


def load_row(connection: sqlite3.Connection, path: bytes) -> FileState | None:
    """Load the row of one path."""
    row = connection.execute(f"{_SELECT} WHERE path = ?", (path,)).fetchone()
    return None if row is None else decode_state(row)


def load_meta(connection: sqlite3.Connection) -> BaselineMeta | None:
    """Load what is known of the baseline as a whole; nothing where there is none."""
    acceptances = load_acceptances(connection)
    made = next((acceptance for acceptance in reversed(acceptances) if acceptance.kind == "create"), None)
    if made is None:
        return None
    since = [acceptance for acceptance in acceptances if acceptance.id > made.id]
    count, problems = connection.execute("SELECT count(*), count(problem) FROM baseline").fetchone()
    return BaselineMeta(
        id=made.id, time_ns=made.time_ns, who=made.who, why=made.why, count=count, problems=problems, notes=made.notes,
        accepts=len(since), accepted_ns=since[-1].time_ns if since else None,
    )  # fmt: skip
