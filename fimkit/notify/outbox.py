"""What waits to be mailed, in a file of the state folder: findings for the next digest, and letters until somebody takes them.

A letter is made and its findings leave the queue in one transaction, and each recipient leaves the letter as soon as a server has
taken it for them: a kill at any moment loses nothing. One that hits between a server's word and ours sends a letter again, with
the same Message-ID.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from fimkit.evidence.folder import check_private_file, make_state_dir
from fimkit.model.errors import HostError, StoreError
from fimkit.model.findings import Finding
from fimkit.model.json_form import parse_finding, render_finding
from fimkit.model.paths import render_path
from fimkit.notify.digest import pause_s

__all__ = ["Failure", "Outbox", "QueuedLetter", "Waiting"]

_NAME = b"outbox.sqlite3"
_VERSION = 1
_MOST_WAITING = 10_000
_MOST_TRIES = 60  # with growing pauses: more than two days
_LEASE_S = 600  # far beyond a deadline: whoever took a letter then was killed
_NS = 1_000_000_000
_BUSY_MS = 5000
_TABLES = """
CREATE TABLE waiting (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, added_ns INTEGER NOT NULL, finding TEXT NOT NULL) STRICT;
CREATE TABLE letters (number INTEGER PRIMARY KEY, message BLOB NOT NULL, made_ns INTEGER NOT NULL, tries INTEGER NOT NULL,
                      next_ns INTEGER NOT NULL) STRICT;
CREATE TABLE recipients (letter INTEGER NOT NULL REFERENCES letters ON DELETE CASCADE, address TEXT NOT NULL, reason TEXT,
                         PRIMARY KEY (letter, address)) STRICT;
CREATE TABLE failures (time_ns INTEGER NOT NULL, address TEXT NOT NULL, reason TEXT NOT NULL) STRICT;
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What the next digest is made of. ``folded`` came beyond what is kept one by one."""

    findings: tuple[Finding, ...]
    numbers: tuple[int, ...]
    folded: int
    oldest_ns: int | None
    last_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedLetter:
    """A letter, ready to be sent, and who has not got it yet."""

    number: int
    message: bytes
    recipients: tuple[str, ...]
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A letter that somebody will not get any more, and why."""

    time_ns: int
    address: str
    reason: str


class _Overtaken(Exception):
    """Another process was faster: the transaction is undone."""


class Outbox:
    """The queue; a context manager. Several processes may use it."""

    def __init__(self, state_dir: bytes) -> None:
        """Open it, and make it where it is missing.

        Every method raises these too.

        Raises:
            HostError: If the folder or file is not this user's alone, is locked for long, or the disk is full.
            StoreError: If the file is damaged, or of a later version.
        """
        make_state_dir(state_dir)
        path = state_dir.rstrip(b"/") + b"/" + _NAME
        check_private_file(path)
        self._name = render_path(path)
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
        with self._transaction():
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise StoreError(f"the outbox is of version {version}, and this fimkit knows {_VERSION}")
            if version == 0:
                for statement in filter(str.strip, _TABLES.split(";")):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version={_VERSION}")

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
        with self._told():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _rows(self, sql: str, *values: int) -> list[Any]:
        with self._told():
            return self._database.execute(sql, values).fetchall()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self._database.close()

    def _fact(self, name: str) -> int | None:
        return {str(key): int(value) for key, value in self._rows("SELECT name, value FROM facts")}.get(name)

    def _set_fact(self, name: str, value: int) -> None:
        self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def add(self, findings: Sequence[Finding], *, now_ns: int) -> None:
        """Let findings wait for the next digest; on the disk when this returns.

        Args:
            findings: One that waits already is replaced, and keeps its place.
            now_ns: When they came.
        """
        sql = "INSERT INTO waiting (id, added_ns, finding) VALUES (?, ?, ?)"
        sql += " ON CONFLICT (id) DO UPDATE SET finding = excluded.finding"
        with self._transaction():
            (count,) = self._database.execute("SELECT count(*) FROM waiting").fetchone()
            kept = findings[: max(0, _MOST_WAITING - count)]
            self._database.executemany(sql, [(one.id, now_ns, json.dumps(render_finding(one))) for one in kept])
            if len(kept) < len(findings):
                self._set_fact("folded", (self._fact("folded") or 0) + len(findings) - len(kept))

    def waiting(self) -> Waiting:
        """Give what waits, the oldest first."""
        rows = self._rows("SELECT number, added_ns, finding FROM waiting ORDER BY number")
        return Waiting(
            findings=tuple(parse_finding(json.loads(text)) for _, _, text in rows),
            numbers=tuple(number for number, _, _ in rows),
            folded=self._fact("folded") or 0,
            oldest_ns=rows[0][1] if rows else None,
            last_ns=self._fact("last_ns"),
        )

    def seal(self, letters: Sequence[tuple[bytes, Sequence[str]]], waiting: Waiting, *, now_ns: int) -> bool:
        """Put letters into the queue and take out, in one step, the findings that they tell.

        Args:
            letters: Each a whole message, and who gets it.
            waiting: What they were made of.
            now_ns: When they were made.

        Returns:
            Whether it was done; false where another process has told some of them in the meantime, and then nothing was.
        """
        try:
            self._seal(letters, waiting, now_ns)
        except _Overtaken:
            return False
        return True

    def _seal(self, letters: Sequence[tuple[bytes, Sequence[str]]], waiting: Waiting, now_ns: int) -> None:
        with self._transaction():
            deleted = self._database.executemany("DELETE FROM waiting WHERE number = ?", [(one,) for one in waiting.numbers])
            if waiting.numbers and deleted.rowcount != len(waiting.numbers):
                raise _Overtaken
            for message, recipients in letters:
                cursor = self._database.execute("INSERT INTO letters VALUES (NULL, ?, ?, 0, ?)", (message, now_ns, now_ns))
                rows = [(cursor.lastrowid, address) for address in dict.fromkeys(recipients)]
                self._database.executemany("INSERT INTO recipients VALUES (?, ?, NULL)", rows)
            self._set_fact("folded", max(0, (self._fact("folded") or 0) - waiting.folded))
            self._set_fact("last_ns", now_ns)

    def take_letter(self, *, now_ns: int) -> QueuedLetter | None:
        """Give the oldest letter whose time has come, to this caller alone; it comes again if it is not settled in ten minutes."""
        with self._transaction():
            rows = self._rows("SELECT number, message, tries FROM letters WHERE next_ns <= ? ORDER BY number LIMIT 1", now_ns)
            if not rows:
                return None
            number, message, tries = rows[0]
            self._database.execute("UPDATE letters SET next_ns = ? WHERE number = ?", (now_ns + _LEASE_S * _NS, number))
            return QueuedLetter(number=number, message=message, recipients=self._recipients(number), tries=tries)

    def _recipients(self, letter: int) -> tuple[str, ...]:
        rows = self._rows("SELECT address FROM recipients WHERE letter = ? ORDER BY rowid", letter)
        return tuple(address for (address,) in rows)

    def settle(self, letter: QueuedLetter, *, taken: Sequence[str], refused: Mapping[str, str], now_ns: int) -> None:
        """Note what came of sending a letter; whoever has not got it is tried again later, and after some days no more.

        Args:
            letter: From :meth:`take_letter`.
            taken: Who has it now.
            refused: Who has not, with why.
            now_ns: When it was tried.
        """
        tries = letter.tries + 1
        with self._transaction():
            delete = "DELETE FROM recipients WHERE letter = ? AND address = ?"
            self._database.executemany(delete, [(letter.number, address) for address in taken])
            if tries >= _MOST_TRIES:
                rows = [(now_ns, address, refused.get(address, "not tried")) for address in self._recipients(letter.number)]
                self._database.executemany("INSERT INTO failures VALUES (?, ?, ?)", rows)
                self._database.execute("DELETE FROM recipients WHERE letter = ?", (letter.number,))
            for address, reason in refused.items():
                self._database.execute(
                    "UPDATE recipients SET reason = ? WHERE letter = ? AND address = ?", (reason, letter.number, address)
                )
            self._database.execute(
                "UPDATE letters SET tries = ?, next_ns = ? WHERE number = ?", (tries, now_ns + pause_s(tries) * _NS, letter.number)
            )
            self._database.execute("DELETE FROM letters WHERE number NOT IN (SELECT letter FROM recipients)")

    def failures(self) -> tuple[Failure, ...]:
        """Give the letters that were given up, the oldest first."""
        rows = self._rows("SELECT time_ns, address, reason FROM failures ORDER BY time_ns, rowid")
        return tuple(Failure(time_ns=time_ns, address=address, reason=reason) for time_ns, address, reason in rows)
