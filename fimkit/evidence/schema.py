"""The tables of the evidence store, and the way from every earlier version to this one.

No ``STRICT``: it needs SQLite 3.37, and Red Hat 9 has 3.34. Columns without a type keep what they are given; see
:mod:`fimkit.evidence.values`. Tables whose key is their order are WITHOUT ROWID: the key is not stored twice.
"""

import sqlite3
from collections.abc import Callable, Sequence

from fimkit.model.errors import StoreError

__all__ = ["APPLICATION_ID", "MIGRATIONS", "STATE_TABLE", "migrate", "schema_version"]

APPLICATION_ID = 0x66696D6B  # "fimk"

STATE_TABLE = """(
    path BLOB PRIMARY KEY, type TEXT NOT NULL, mode INTEGER, uid INTEGER, gid INTEGER, size, inode, dev, nlink,
    mtime_ns, ctime_ns, sha256, target BLOB, xattrs TEXT, problem
) WITHOUT ROWID"""

_FIRST = (
    f"CREATE TABLE baseline {STATE_TABLE}",
    # Every taking of a state as good, with a name and a reason: a whole baseline, or some paths.
    """CREATE TABLE acceptances (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL CHECK (kind IN ('create', 'accept')), time_ns INTEGER NOT NULL,
        who NOT NULL, why NOT NULL, paths INTEGER NOT NULL DEFAULT 0, notes TEXT NOT NULL DEFAULT '[]',
        complete INTEGER NOT NULL DEFAULT 1)""",
    # The states before (side 0) and after (side 1) an acceptance; a missing side is an absent path.
    """CREATE TABLE history (
        acceptance INTEGER NOT NULL REFERENCES acceptances (id), side INTEGER NOT NULL CHECK (side IN (0, 1)),
        path BLOB NOT NULL, type TEXT NOT NULL, mode INTEGER, uid INTEGER, gid INTEGER, size, inode, dev, nlink,
        mtime_ns, ctime_ns, sha256, target BLOB, xattrs TEXT, problem,
        PRIMARY KEY (acceptance, path, side)) WITHOUT ROWID""",
    "CREATE INDEX history_path ON history (path)",
    """CREATE TABLE findings (
        row_id INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, host TEXT NOT NULL, path BLOB NOT NULL, moved_to BLOB,
        kind TEXT NOT NULL, severity TEXT NOT NULL, severity_rank INTEGER NOT NULL, status TEXT NOT NULL DEFAULT 'open',
        first_seen_ns INTEGER NOT NULL, last_seen_ns INTEGER NOT NULL, closed_ns INTEGER,
        acceptance INTEGER REFERENCES acceptances (id), superseded_by TEXT, body TEXT NOT NULL)""",
    "CREATE UNIQUE INDEX findings_open_id ON findings (id) WHERE status = 'open'",
    "CREATE INDEX findings_open_path ON findings (path) WHERE status = 'open'",
    "CREATE INDEX findings_id ON findings (id)",
    "CREATE INDEX findings_closed ON findings (closed_ns) WHERE status <> 'open'",
    # Most changes of a burst are one process's: it is stored once.
    """CREATE TABLE processes (
        id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, auid, uid, euid, user, pid, ppid, exe BLOB, comm BLOB, cmdline,
        cmdline_verified INTEGER NOT NULL, tty, ses)""",
    # The key begins with the time, so that new rows go to the end and old ones are dropped from the front.
    """CREATE TABLE changes (
        time_ns NOT NULL, identity BLOB NOT NULL, source TEXT NOT NULL, action TEXT NOT NULL, serial NOT NULL, item NOT NULL,
        path BLOB, path_sure INTEGER NOT NULL, dev, inode, parent_dev, parent_inode, mode, new_mode, cookie, error, sha256,
        uid, gid, size, mtime_ns, node, process INTEGER REFERENCES processes (id), syscall, actor_time_ns, event,
        PRIMARY KEY (time_ns, identity)) WITHOUT ROWID""",
    "CREATE INDEX changes_process ON changes (process)",
    """CREATE TABLE notes (
        time_ns NOT NULL, source TEXT NOT NULL, kind TEXT NOT NULL, text NOT NULL,
        PRIMARY KEY (time_ns, source, kind, text)) WITHOUT ROWID""",
    """CREATE TABLE cursors (
        source TEXT NOT NULL, file BLOB NOT NULL, body TEXT NOT NULL, PRIMARY KEY (source, file)) WITHOUT ROWID""",
    "CREATE TABLE bad_files (file BLOB PRIMARY KEY, lines INTEGER NOT NULL, last_ns INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE bad_lines (
        row_id INTEGER PRIMARY KEY AUTOINCREMENT, file BLOB NOT NULL REFERENCES bad_files (file), line INTEGER NOT NULL,
        text BLOB NOT NULL, error NOT NULL, time_ns INTEGER NOT NULL)""",
    "CREATE INDEX bad_lines_file ON bad_lines (file)",
    f"PRAGMA application_id = {APPLICATION_ID}",
)

_SECOND = (
    # When a finding was last printed: one that a killed or cut off check stored and never showed is still to be told.
    "ALTER TABLE findings ADD COLUMN told_ns INTEGER",
    "UPDATE findings SET told_ns = last_seen_ns",
)

_THIRD = (
    # Whether the hash was taken later than osquery looked, by fimkit itself.
    "ALTER TABLE changes ADD COLUMN hash_late INTEGER NOT NULL DEFAULT 0",
    # When the last of several rows of osquery that say the same was stamped: they are stored as one, with the first one's time.
    "ALTER TABLE changes ADD COLUMN last_ns",
    # The files that `selftest` plants: written down before they are made, so that none of them is ever taken for a change. A
    # second process at a path is the next selftest, which cleans up after one that was killed.
    """CREATE TABLE canaries (
        path BLOB NOT NULL, token TEXT NOT NULL, pid INTEGER NOT NULL, planted_ns INTEGER NOT NULL, gone_ns INTEGER,
        PRIMARY KEY (path, token, pid)) WITHOUT ROWID""",
)

_FOURTH = (
    # What queries ask for, where a walk through all rows would be long: the life of one path, and the newest of a severity.
    "CREATE INDEX changes_path ON changes (path) WHERE path IS NOT NULL",
    "CREATE INDEX findings_path ON findings (path)",
    "CREATE INDEX findings_severity ON findings (severity, first_seen_ns)",
)

_FIFTH = (
    # What was recorded of one file, for a watch that has forgotten it.
    "CREATE INDEX changes_inode ON changes (inode) WHERE inode IS NOT NULL",
)

_SIXTH = (
    # Whose signatures packages are believed by, and which were installed, as a person took it to be good: one row, or none.
    """CREATE TABLE package_pins (
        one INTEGER PRIMARY KEY CHECK (one = 1), who NOT NULL, time_ns INTEGER NOT NULL, body TEXT NOT NULL)""",
)

_SEVENTH = (
    # The panics of this host: a row from the first moment of each.
    """CREATE TABLE incidents (
        id NOT NULL PRIMARY KEY, host NOT NULL, cause NOT NULL, triggered_ns NOT NULL, updated_ns NOT NULL, phase NOT NULL,
        folder BLOB NOT NULL, steps TEXT NOT NULL) WITHOUT ROWID""",
)

_SEALS = (
    # Every seal that was ever taken: none of an earlier number is taken again.
    """CREATE TABLE seals (
        number INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, key TEXT NOT NULL, body NOT NULL)""",
)

_CHAIN = (
    # Every finding's version, batch of changes, acceptance and incident, as it was stored: a link has the hash of the one before.
    # The last link of a subject says what it is now; ``parts`` are the short hashes of a batch's rows, or a checkpoint's words.
    """CREATE TABLE chain (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL, kind TEXT NOT NULL, subject NOT NULL,
        rows INTEGER NOT NULL, digest BLOB NOT NULL, link BLOB NOT NULL, parts BLOB)""",
    "CREATE INDEX chain_subject ON chain (kind, subject, seq)",
    "ALTER TABLE changes ADD COLUMN batch INTEGER",
    "CREATE INDEX changes_batch ON changes (batch)",
    # What frames ask for: the open findings of a time, and what was moved to a place.
    "CREATE INDEX findings_open_seen ON findings (last_seen_ns) WHERE status = 'open'",
    "CREATE INDEX findings_moved_to ON findings (moved_to) WHERE moved_to IS NOT NULL",
)

_TICKETS = (
    # Changes that somebody announced, and of each path of one: a finding that matched it, or that none came in time.
    """CREATE TABLE tickets (
        id INTEGER PRIMARY KEY AUTOINCREMENT, who NOT NULL, auid INTEGER, announced_ns NOT NULL, from_ns NOT NULL,
        until_ns NOT NULL, reason NOT NULL, body TEXT NOT NULL, cancelled_ns, cancelled_by)""",
    """CREATE TABLE ticket_ends (
        ticket INTEGER NOT NULL REFERENCES tickets (id), pattern NOT NULL, event TEXT NOT NULL, finding TEXT NOT NULL,
        time_ns NOT NULL, PRIMARY KEY (ticket, pattern, event, finding)) WITHOUT ROWID""",
)

_COVERAGE = (
    # The times in which a source did not tell all: open (no ``to_ns``) as long as that lasts, one of a kind and a path at a time.
    """CREATE TABLE coverage (
        row_id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, cause TEXT NOT NULL, path BLOB NOT NULL DEFAULT x'',
        from_ns NOT NULL, to_ns, words NOT NULL, lost, evidence TEXT NOT NULL DEFAULT '[]', seen_ns NOT NULL,
        UNIQUE (source, cause, path, from_ns))""",
    "CREATE UNIQUE INDEX coverage_open ON coverage (source, cause, path) WHERE to_ns IS NULL",
)

# Seals, pins and gaps come into the evidence chain: no table changes, and what is stored of them is linked on the way.
_MORE_LINKS: tuple[str, ...] = ()

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    _FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH, _SIXTH, _SEVENTH, _SEALS, _CHAIN, _TICKETS, _COVERAGE, _MORE_LINKS,
)
"""The statements that lead from version n to n + 1, for n from 0. Never edit one that was released: append."""


def schema_version(connection: sqlite3.Connection) -> int:
    """Read the version of a store; 0 is an empty file.

    Raises:
        StoreError: If the file is some other program's database.
    """
    version, application, tables = _identity(connection)
    if application != APPLICATION_ID and (version or tables or application):
        raise StoreError(f"it is another program's database (application id {application:#x}, expected {APPLICATION_ID:#x})")
    return version


def _identity(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Read version, application id and number of tables as of one moment: another process may just be making the store."""
    alone = not connection.in_transaction
    if alone:
        connection.execute("BEGIN")
    try:
        queries = ("PRAGMA user_version", "PRAGMA application_id", "SELECT count(*) FROM sqlite_master")
        version, application, tables = (int(connection.execute(query).fetchone()[0]) for query in queries)
    finally:
        if alone and connection.in_transaction:
            connection.execute("COMMIT")
    return version, application, tables


def migrate(
    connection: sqlite3.Connection,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
    *,
    take_in: Callable[[sqlite3.Connection, int], None] | None = None,
) -> int:
    """Bring a store to the last version, in one transaction.

    Args:
        connection: The store.
        migrations: The statements of each version.
        take_in: Called with the version that the store had, before the transaction is committed.

    Returns:
        The version that it had.

    Raises:
        StoreError: If it is of a later version than this program knows, or another program's.
    """
    was = schema_version(connection)
    if was < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            now = schema_version(connection)  # read again: another process may have been faster
            for number, statements in enumerate(migrations):
                if number >= now:
                    for statement in statements:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {number + 1}")
            if take_in is not None:
                take_in(connection, now)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    elif was > len(migrations):
        raise StoreError(f"it was written by a later fimkit (schema {was}, this one knows up to {len(migrations)}); update fimkit")
    return was
