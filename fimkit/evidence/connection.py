"""Opening the store's SQLite file: private, durable, and with words for what SQLite says.

Whom the folder is shared with reads without any right to write: SQLite then needs the files -wal and -shm to be there, takes its
locks on them with a right to read alone, and keeps checkpoints away from what it reads. So they are made anew when SQLite, closing,
has removed them. A reader that never ends lets the -wal file grow; it cannot change a byte.
"""

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn
from urllib.parse import quote_from_bytes

from fimkit.evidence.chain_rows import adopt_rows
from fimkit.evidence.folder import check_private_file, check_state_dir, file_access, make_state_dir, readers_trust
from fimkit.evidence.schema import MIGRATIONS, migrate, schema_version
from fimkit.evidence.schema_strangers import check_tables, find_altered
from fimkit.model.errors import FimkitError, HostError, StoreError
from fimkit.model.paths import render_path

__all__ = [
    "connect", "connect_reading", "disconnect", "find_altered_tables", "open_patiently", "store_path", "translated_errors",
    "write_transaction",
]  # fmt: skip

_BUSY_S = 10.0
_BESIDE_S = 2.0
_CACHE_KIB = 64 * 1024
_WAL_BYTES = 64 * 1024 * 1024
_CHECKPOINT_PAGES = 4000
"""In a storm one page is written again and again: it goes from the log into the file once for all of that. Some 32 MB of log."""
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
            " (fimkit evidence set-aside)"
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


def _store_files(path: bytes) -> tuple[bytes, bytes, bytes]:
    return path, path + b"-wal", path + b"-shm"


def _share(path: bytes) -> None:
    """Give the store's files the folder's group and their mode, or take them back from it.

    By name, and not by a descriptor: closing one would let go of the locks that SQLite holds in this process.
    """
    mode, group = file_access(os.path.dirname(path))
    for name in _store_files(path):
        with suppress(FileNotFoundError):
            seen = os.lstat(name)
            try:
                if group not in (-1, seen.st_gid):
                    os.chown(name, -1, group, follow_symlinks=False)
                if stat.S_IMODE(seen.st_mode) != mode:
                    os.chmod(name, mode)
            except PermissionError as error:
                raise HostError(f"cannot share {render_path(name)} with the folder's group {group}: {error.strerror}") from error


def disconnect(connection: sqlite3.Connection, path: bytes) -> None:
    """Close the store, so that those whom its folder is shared with can go on reading it."""
    connection.close()
    with suppress(OSError):  # a full disk, a folder removed meanwhile: the next writer's closing does it
        mode, group = file_access(os.path.dirname(path))
        if group == -1 or not os.path.exists(path) or os.lstat(path).st_uid != os.geteuid():
            return
        for name in _store_files(path)[1:]:
            with suppress(FileExistsError):
                os.mknod(name, stat.S_IFREG | 0o600)
                os.chown(name, -1, group)
                os.chmod(name, mode)


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
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")


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
    if not os.path.lexists(state_dir):
        raise _no_store(state_dir)
    check_state_dir(state_dir)
    if not os.path.lexists(path):
        raise _no_store(state_dir)
    for name in _store_files(path):
        check_private_file(name)
    _share(path)
    with translated_errors(path):
        connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        try:
            _set_up(connection)
            schema_version(connection)  # before anything is written: a stranger's database stays as it is
            _use_wal(connection)
            migrate(connection, take_in=adopt_rows)
            check_tables(connection)
        except StoreError as error:
            connection.close()
            raise StoreError(f"the evidence store {render_path(path)} cannot be used: {error}") from error
        except BaseException:
            connection.close()
            raise
    return connection


def connect_reading(state_dir: bytes) -> sqlite3.Connection:
    """Open the store of a state folder that another user shares, for reading alone.

    Raises:
        StoreError: If there is none, or it is damaged, another program's, or not of this program's schema.
        HostError: If folder or file could have been tampered with, or may not be read.
    """
    path = store_path(state_dir)
    check_state_dir(state_dir, owners=readers_trust())
    if not os.access(path, os.R_OK):
        _refuse_reading(state_dir, path)
    for name in _store_files(path):
        check_private_file(name, owners=readers_trust())
    with translated_errors(path):
        connection = open_patiently(lambda: _open_reading(path))
        try:
            version = schema_version(connection)
            if version != len(MIGRATIONS):
                which = "a later" if version > len(MIGRATIONS) else "an earlier"
                raise StoreError(f"it is of {which} fimkit (schema {version}, this one's is {len(MIGRATIONS)})")
            check_tables(connection)
        except StoreError as error:
            connection.close()
            raise StoreError(f"the evidence store {render_path(path)} cannot be used: {error}") from error
        except BaseException:
            connection.close()
            raise
    return connection


def _refuse_reading(state_dir: bytes, path: bytes) -> NoReturn:
    if os.access(state_dir, os.X_OK) and not os.path.lexists(path):
        raise _no_store(state_dir)
    words = "its owner and the group that the folder is shared with may"
    raise HostError(f"this user may not read the evidence store in {render_path(state_dir)}; {words}")


def _no_store(state_dir: bytes) -> StoreError:
    return StoreError(f"there is no evidence store in {render_path(state_dir)} yet; 'fimkit baseline create' makes one")


def _open_reading(path: bytes) -> sqlite3.Connection:
    """Open, and begin: all that is read until the end is of one moment."""
    connection = sqlite3.connect(f"file:{quote_from_bytes(path)}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def open_patiently(connect: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
    """Try again for a moment: between a writer's closing and the new -wal and -shm files, who may not write cannot read."""
    until = time.monotonic() + _BESIDE_S
    while True:
        try:
            return connect()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def find_altered_tables(state_dir: bytes) -> list[str]:
    """Say what a store's tables have that fimkit did not make so; nothing of one that is a later fimkit's.

    Raises:
        StoreError: If it is damaged, or another program's.
        HostError: If the file could have been tampered with, or cannot be opened.
    """
    path = store_path(state_dir)
    check_private_file(path)
    with translated_errors(path):
        connection = open_patiently(lambda: _open_reading(path))
        try:
            return find_altered(connection) if 0 < schema_version(connection) <= len(MIGRATIONS) else []
        finally:
            connection.close()


@contextmanager
def write_transaction(
    connection: sqlite3.Connection, before_commit: Callable[[sqlite3.Connection], None] | None = None
) -> Iterator[None]:
    """Make all writes inside one commit, or none. One inside another is part of the outer one; ``before_commit`` ends it."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        if before_commit is not None:
            before_commit(connection)
        connection.execute("COMMIT")
        # Sets the mark that others read up to: after the first commit to an empty -wal file, who may not write -shm finds none.
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except BaseException:
        if connection.in_transaction:  # SQLite rolls some errors back by itself
            connection.execute("ROLLBACK")
        raise
