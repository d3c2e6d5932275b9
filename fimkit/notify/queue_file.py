"""The file of the state folder that keeps what is to be told, and what is muted: SQLite, private, migrated when opened."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from fimkit.evidence.folder import check_private_file, make_state_dir
from fimkit.evidence.full_disk import noting_full
from fimkit.model.errors import HostError, StoreError
from fimkit.model.paths import render_path

__all__ = ["QueueFile", "queue_exists", "queue_path"]

_NAME = b"outbox.sqlite3"
_BUSY_MS = 5000
_FIRST = (
    "CREATE TABLE waiting (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, added_ns INTEGER NOT NULL, finding TEXT NOT NULL)",
    "CREATE TABLE letters (number INTEGER PRIMARY KEY, message BLOB NOT NULL, made_ns INTEGER NOT NULL,"
    " tries INTEGER NOT NULL, next_ns INTEGER NOT NULL)",
    "CREATE TABLE recipients (letter INTEGER NOT NULL REFERENCES letters ON DELETE CASCADE, address TEXT NOT NULL, reason TEXT,"
    " PRIMARY KEY (letter, address))",
    "CREATE TABLE failures (time_ns INTEGER NOT NULL, address TEXT NOT NULL, reason TEXT NOT NULL)",
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
)
_SECOND = (
    # The way to people that a finding takes, and whether the channels beside mail know it: a mail server may be down for longer.
    "ALTER TABLE waiting ADD COLUMN lane TEXT NOT NULL DEFAULT 'general'",
    "ALTER TABLE waiting ADD COLUMN channels_know INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX waiting_lane ON waiting (lane, number)",
    # The channel that a letter is for; none is mail.
    "ALTER TABLE letters ADD COLUMN channel TEXT",
    "CREATE INDEX recipients_address ON recipients (address, letter)",
    "CREATE TABLE mutes (number INTEGER PRIMARY KEY AUTOINCREMENT, by TEXT NOT NULL, what TEXT NOT NULL, until_ns INTEGER NOT NULL,"
    " reason TEXT NOT NULL, who TEXT NOT NULL, made_ns INTEGER NOT NULL)",
    # What was told lately: a process that was killed before it noted so takes the same finding to the queue again.
    "CREATE TABLE told (id TEXT PRIMARY KEY, time_ns INTEGER NOT NULL)",
    # What was muted since a mail last said so.
    "CREATE TABLE muted (number INTEGER PRIMARY KEY, words TEXT NOT NULL, count INTEGER NOT NULL, first_ns INTEGER NOT NULL)",
)
_MIGRATIONS = (_FIRST, _SECOND)


def queue_path(state_dir: bytes) -> bytes:
    """Give the file's name."""
    return state_dir.rstrip(b"/") + b"/" + _NAME


def queue_exists(state_dir: bytes) -> bool:
    """Tell whether anything was ever queued or muted here; opening would make the file."""
    return os.path.lexists(queue_path(state_dir))


class QueueFile:
    """The open file; a context manager. Several processes may use it; one thread at a time each object."""

    def __init__(self, state_dir: bytes) -> None:
        """Open it, and make it where it is missing.

        Every method raises these too.

        Raises:
            HostError: If the folder or file is not this user's alone, is locked for long, or the disk is full.
            StoreError: If the file is damaged, or of a later version.
        """
        make_state_dir(state_dir)
        path = queue_path(state_dir)
        check_private_file(path)
        self._name, self._folder = render_path(path), state_dir
        with self._told():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            self._database = sqlite3.connect(os.fsdecode(path), isolation_level=None, check_same_thread=False)
        try:
            with self._told():
                for words in (f"busy_timeout={_BUSY_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                    self._database.execute(f"PRAGMA {words}")
            self._migrate()
        except BaseException:
            self._database.close()
            raise

    def _migrate(self) -> None:
        with self._told():
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version == len(_MIGRATIONS):
            return
        with self._transaction():
            (version,) = self._database.execute("PRAGMA user_version").fetchone()  # another process may have been faster
            if version > len(_MIGRATIONS):
                raise StoreError(f"the outbox is of version {version}, and this fimkit knows {len(_MIGRATIONS)}")
            for statement in (one for step in _MIGRATIONS[version:] for one in step):
                self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version={len(_MIGRATIONS)}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what SQLite and the system say into our errors."""
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:  # busy, a full disk, no right: the host's doing
            raise HostError(f"the outbox {self._name} cannot be used: {error}") from error
        except sqlite3.Error as error:
            raise StoreError(f"the outbox {self._name} is damaged: {error}; keep it aside, and it is made anew") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with noting_full(self._folder), self._told():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _rows(self, sql: str, *values: object) -> list[Any]:
        with self._told():
            return self._database.execute(sql, values).fetchall()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self._database.close()

    def facts(self) -> dict[str, int]:
        """Give what is remembered by name: when the last mail was made, the alerts of this hour, since when mail is down."""
        return {str(name): int(value) for name, value in self._rows("SELECT name, value FROM facts")}

    def _set_fact(self, name: str, value: int | None) -> None:
        if value is None:
            self._database.execute("DELETE FROM facts WHERE name = ?", (name,))
        else:
            self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))
