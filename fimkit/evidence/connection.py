"""Opening the store's SQLite file: private, durable, and with words for what SQLite says."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fimkit.evidence.folder import check_private_file, check_state_dir, make_state_dir
from fimkit.evidence.schema import migrate, schema_version
from fimkit.model.errors import FimkitError, HostError, StoreError
from fimkit.model.paths import render_path

__all__ = ["connect", "store_path", "translated_errors", "write_transaction"]

_BUSY_S = 10.0
_CACHE_KIB = 64 * 1024
_WAL_BYTES = 64 * 1024 * 1024
# What the host did to us, against what is wrong with the file. Source: sqlite.org/rescode.html.
_HOST_CODES = frozenset({
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_INTERRUPT,
})  # fmt: skip
_DAMAGE_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def store_path(state_dir: bytes) -> bytes:
    """Name the file of a state folder's store.

    >>> store_path(b"/var/lib/fimkit")
    b'/var/lib/fimkit/fimkit.sqlite'
    """
    return os.path.join(state_dir, b"fimkit.sqlite")


def _words(error: sqlite3.Error, path: bytes) -> FimkitError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    where = render_path(path)
    if code in _DAMAGE_CODES:
        return StoreError(
            f"the evidence store {where} is damaged ({error}); keep it aside, then restore a backup, or make a new baseline"
        )
    if code in _HOST_CODES:
        return HostError(f"the evidence store {where} cannot be used: {error}")
    return StoreError(f"the evidence store {where}: {error}")


@contextmanager
def translated_errors(path: bytes) -> Iterator[None]:
    """Turn SQLite's errors into ours.

    Raises:
        StoreError: If the file is damaged.
        HostError: If it is locked, the disk is full, or the host refuses in another way.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _words(error, path) from error


def _make_file(path: bytes) -> None:
    """Make the empty file with its mode: SQLite gives the same to the files -wal and -shm beside it."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise HostError(f"cannot make the evidence store {render_path(path)}: {error.strerror}") from error


def _use_wal(connection: sqlite3.Connection) -> None:
    """Go over to the write-ahead log. SQLite does not wait for another process that does the same at this moment."""
    until = time.monotonic() + _BUSY_S
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _set_up(connection: sqlite3.Connection) -> None:
    if not connection.execute("PRAGMA page_count").fetchone()[0]:  # later they are of no effect, and still a write
        connection.execute("PRAGMA page_size = 8192")  # a sixth faster than 4096
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA temp_store = MEMORY")  # else passing files in /tmp, which may be a watched folder
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")


def connect(state_dir: bytes, *, create: bool) -> sqlite3.Connection:
    """Open the store of a state folder, at this program's schema.

    Args:
        state_dir: The folder.
        create: Make folder and file where they are missing.

    Raises:
        StoreError: If there is none, or it is damaged, another program's, or of a later version.
        HostError: If folder or file could have been tampered with, or cannot be opened.
    """
    path = store_path(state_dir)
    if create:
        make_state_dir(state_dir)
        _make_file(path)
    missing = StoreError(f"there is no evidence store in {render_path(state_dir)} yet; 'fimkit baseline create' makes one")
    if not os.path.lexists(state_dir):
        raise missing
    check_state_dir(state_dir)
    if not os.path.lexists(path):
        raise missing
    for name in (path, path + b"-wal", path + b"-shm"):
        check_private_file(name)
    with translated_errors(path):
        connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        try:
            _set_up(connection)
            schema_version(connection)  # before anything is written: a stranger's database stays as it is
            _use_wal(connection)
            migrate(connection)
        except StoreError as error:
            connection.close()
            raise StoreError(f"the evidence store {render_path(path)} cannot be used: {error}") from error
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def write_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Make all writes inside one commit, or none. One inside another is part of the outer one."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite rolls some errors back by itself
            connection.execute("ROLLBACK")
        raise
