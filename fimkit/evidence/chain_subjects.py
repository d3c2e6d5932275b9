"""What the links of the evidence chain are about, and how the rows of each are hashed.

A *single* is one row: a finding, an acceptance, an incident, a ticket, a seal, what packages are trusted by, a gap in what was
seen. A *lot* is many rows that were stored together: the changes of a batch, the states that one acceptance changed. Of a lot's
rows the chain keeps short hashes, so that the one that differs is named. When a finding or a gap was last seen, and when a finding
was shown, moves with every look, and is in no hash.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fimkit.evidence.values import STATE_COLUMNS
from fimkit.model.chain import digest_row

__all__ = [
    "ALTERED", "BEGIN", "CHANGE_COLUMNS", "CHECKPOINT", "LOTS", "PROCESS_COLUMNS", "SINGLES", "STRANGER", "TAG_BYTES", "Lot",
    "Single", "change_tag", "process_tag", "read_lot", "read_single", "split_tags",
]  # fmt: skip

BEGIN, CHECKPOINT, ALTERED, STRANGER = "begin", "checkpoint", "altered", "stranger"
"""The links about the chain itself; of the last kinds are what was found altered when fimkit was to write it anew, and what
somebody had put into the store's schema, and was taken out."""

TAG_BYTES = 16

CHANGE_COLUMNS = (
    "time_ns", "identity", "source", "action", "serial", "item", "path", "path_sure", "dev", "inode", "parent_dev", "parent_inode",
    "mode", "new_mode", "cookie", "error", "sha256", "uid", "gid", "size", "mtime_ns", "node", "process", "syscall",
    "actor_time_ns", "event", "hash_late", "last_ns", "batch",
)  # fmt: skip
"""As they are stored, with the batch that a change came in."""

PROCESS_COLUMNS = (
    "auid", "uid", "euid", "user", "pid", "ppid", "exe", "comm", "cmdline", "cmdline_verified", "tty", "ses",
)  # fmt: skip

_FINDING = (
    "row_id", "id", "host", "path", "moved_to", "kind", "severity", "severity_rank", "status", "first_seen_ns", "closed_ns",
    "acceptance", "superseded_by", "body",
)  # fmt: skip
_ACCEPTANCE = ("id", "kind", "time_ns", "who", "why", "paths", "notes")
_INCIDENT = ("id", "host", "cause", "triggered_ns", "updated_ns", "phase", "folder", "steps")
_TICKET = (
    "id", "who", "auid", "announced_ns", "from_ns", "until_ns", "reason", "body", "cancelled_ns", "cancelled_by",
)  # fmt: skip
_SEAL = ("number", "time_ns", "key", "body")
_PINS = ("one", "who", "time_ns", "body")
_GAP = ("row_id", "source", "cause", "path", "from_ns", "to_ns", "words", "lost", "evidence")
_HISTORY = ("acceptance", "side", *STATE_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """A kind of links about one row each: ``key`` is its subject, ``columns`` what is hashed, from version ``since`` of a store on.

    Of some kinds there are ``few``: all are looked at in every check.
    """

    table: str
    key: str
    columns: tuple[str, ...]
    since: int = 9
    few: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """A kind of links about many rows: those whose ``key`` is the subject."""

    table: str
    key: str
    query: str


SINGLES = {
    "finding": Single(table="findings", key="row_id", columns=_FINDING),
    "acceptance": Single(table="acceptances", key="id", columns=_ACCEPTANCE, few=True),
    "incident": Single(table="incidents", key="id", columns=_INCIDENT, few=True),
    "ticket": Single(table="tickets", key="id", columns=_TICKET, since=10, few=True),
    "seal": Single(table="seals", key="number", columns=_SEAL, since=12, few=True),
    "pins": Single(table="package_pins", key="one", columns=_PINS, since=12, few=True),
    "gap": Single(table="coverage", key="row_id", columns=_GAP, since=12),
}
_CHANGES = (
    f"SELECT {', '.join(f'c.{name}' for name in CHANGE_COLUMNS)}, {', '.join(f'p.{name}' for name in PROCESS_COLUMNS)}"
    " FROM changes c LEFT JOIN processes p ON p.id = c.process WHERE c.batch = ?"
)
_STATES = f"SELECT {', '.join(_HISTORY)} FROM history WHERE acceptance = ?"
LOTS = {
    "changes": Lot(table="changes", key="batch", query=_CHANGES),
    "history": Lot(table="history", key="acceptance", query=_STATES),
}


def process_tag(row: Sequence[object]) -> bytes:
    """Hash a process's row of :data:`PROCESS_COLUMNS`, as it is stored."""
    return digest_row([int(value) if isinstance(value, bool) else value for value in row])[:TAG_BYTES]


def change_tag(row: tuple[Any, ...], process: bytes) -> bytes:
    """Hash a change's row of :data:`CHANGE_COLUMNS` together with its process's: who did it is part of what was recorded."""
    return hashlib.sha256(ascii(row).encode() + process).digest()[:TAG_BYTES]


def read_single(connection: sqlite3.Connection, kind: str, subject: object) -> bytes | None:
    """Hash the row of a subject as it is now; nothing where there is none."""
    single = SINGLES[kind]
    query = f"SELECT {', '.join(single.columns)} FROM {single.table} WHERE {single.key} = ?"
    row = connection.execute(query, (subject,)).fetchone()
    return None if row is None else digest_row(row)


def read_lot(connection: sqlite3.Connection, kind: str, subject: object) -> Iterator[tuple[bytes, tuple[Any, ...]]]:
    """Hash the rows of a lot as they are now: the short hash of each, and the row."""
    lot = LOTS[kind]
    width = len(CHANGE_COLUMNS)
    processes: dict[object, bytes] = {None: b""}
    for row in connection.execute(lot.query, (subject,)):
        if kind != "changes":
            yield digest_row(row)[:TAG_BYTES], row
            continue
        change, number = row[:width], row[22]
        if number not in processes:
            processes[number] = process_tag(row[width:])
        yield change_tag(change, processes[number]), change


def split_tags(parts: bytes | None) -> list[bytes]:
    """Part a lot's short hashes."""
    text = parts or b""
    return [text[place : place + TAG_BYTES] for place in range(0, len(text), TAG_BYTES)]
