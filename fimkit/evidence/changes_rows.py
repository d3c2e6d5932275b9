"""The claims of audit and osquery, each once, however often its log is read."""

import hashlib
import itertools
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fimkit.evidence.chain_rows import add_batch, next_seq
from fimkit.evidence.chain_subjects import CHANGE_COLUMNS, PROCESS_COLUMNS, change_tag, process_tag
from fimkit.evidence.values import int_in, int_out, text_in, text_out
from fimkit.model.changes import Action, Actor, Change, Source, place_of

__all__ = [
    "SELECT_CHANGES", "add_changes", "count_by_folder", "decode_change", "load_changes", "load_changes_about",
    "load_changes_by", "load_changes_of",
]  # fmt: skip

_CHUNK = 2000
_MOST_PROCESSES = 20_000
"""Remembered while changes are stored: of a busy host's log each takes a kilobyte."""
_AUDIT_EVENT = re.compile(r"(\d{1,12})\.(\d{3}):\d+")
_COLUMNS = CHANGE_COLUMNS[:-1]
_PROCESS = CHANGE_COLUMNS.index("process")
_INSERT = f"INSERT OR IGNORE INTO changes ({', '.join(CHANGE_COLUMNS)}) VALUES ({', '.join('?' * len(CHANGE_COLUMNS))})"
_INSERT_PROCESS = (
    f"INSERT OR IGNORE INTO processes (digest, {', '.join(PROCESS_COLUMNS)}) VALUES (?{', ?' * len(PROCESS_COLUMNS)})"
)
SELECT_CHANGES = (
    f"SELECT {', '.join(f'c.{name}' for name in _COLUMNS)}, {', '.join(f'p.{name}' for name in PROCESS_COLUMNS)}"
    " FROM changes c LEFT JOIN processes p ON p.id = c.process"
)
_SOURCES = {str(source): source for source in Source}
_ACTIONS = {str(action): action for action in Action}
_word = str.__str__


def _digest(*parts: object) -> bytes:
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _identity(change: Change) -> bytes:
    """Name a claim: an audit event's item is one for ever; osquery's rows have no number of their own, so all they say counts.

    What fimkit added later (a hash) is none of the claim, and who did it is a part of it.
    """
    if change.source is Source.OSQUERY:
        sha256 = None if change.hash_late else change.sha256
        who = () if change.actor is None else (change.actor.event, change.actor.pid)
        return _digest(
            "osquery", change.node, _word(change.action), change.path, change.cookie, change.inode, sha256, change.size,
            change.new_mode, change.uid, change.gid, change.mtime_ns, *who,
        )  # fmt: skip
    return _digest(
        _word(change.source), change.node, change.serial, change.item, _word(change.action), change.path, change.inode,
        change.cookie,
    )  # fmt: skip


def _event(change: Change) -> str | None:
    """Name the event as a finding's ``evidence`` does."""
    if change.actor is not None:
        return change.actor.event
    if change.source is not Source.AUDIT:
        return None
    seconds, rest = divmod(change.time_ns, 1_000_000_000)
    return f"{seconds}.{rest // 1_000_000:03d}:{change.serial}"


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Make a row fit that SQLite did not take: a number over 64 bits, a text that is no UTF-8."""
    return tuple(
        int_in(value) if isinstance(value, int) else text_in(value) if isinstance(value, str) else value for value in row
    )


class _Processes:
    """The ids of processes, looked up once in a call; again where there are very many."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.ids: dict[tuple[Any, ...], int] = {}
        self.tags: dict[int | None, bytes] = {None: b""}

    def make_room(self) -> None:
        """Forget all where that is much; between two batches alone, for a batch needs the tags of all its own."""
        if len(self.ids) > _MOST_PROCESSES:
            self.ids.clear()
            self.tags = {None: b""}

    def id_of(self, actor: Actor | None) -> int | None:
        if actor is None:
            return None
        row = (
            actor.auid, actor.uid, actor.euid, actor.user, actor.pid, actor.ppid, actor.exe, actor.comm, actor.cmdline,
            actor.cmdline_verified, actor.tty, actor.ses,
        )  # fmt: skip
        number = self.ids.get(row)
        if number is None:
            digest, plain = _digest(row), _plain(row)
            self.connection.execute(_INSERT_PROCESS, (digest, *plain))
            number = int(self.connection.execute("SELECT id FROM processes WHERE digest = ?", (digest,)).fetchone()[0])
            self.ids[row], self.tags[number] = number, process_tag(plain)
        return number


def _encode(change: Change, process: int | None, batch: int) -> tuple[Any, ...]:
    actor = change.actor
    return (
        change.time_ns, _identity(change), _word(change.source), _word(change.action), change.serial, change.item, change.path,
        int(change.path_sure), change.dev, change.inode, change.parent_dev, change.parent_inode, change.mode, change.new_mode,
        change.cookie, change.error, change.sha256, change.uid, change.gid, change.size, change.mtime_ns, change.node, process,
        None if actor is None else actor.syscall, None if actor is None or actor.time_ns == change.time_ns else actor.time_ns,
        _event(change), int(change.hash_late), change.last_ns, batch,
    )  # fmt: skip


def add_changes(connection: sqlite3.Connection, changes: Iterable[Change]) -> int:
    """Store changes that are not stored yet, in the caller's transaction.

    Returns:
        How many were new.
    """
    processes = _Processes(connection)
    stream, added = iter(changes), 0
    while chunk := list(itertools.islice(stream, _CHUNK)):
        added += _add_batch(connection, chunk, processes)
        processes.make_room()
    return added


def _add_batch(connection: sqlite3.Connection, chunk: Sequence[Change], processes: _Processes) -> int:
    """Store some changes, and link those that are new as one batch of the evidence chain."""
    batch = next_seq(connection)
    rows = [_encode(change, processes.id_of(change.actor), batch) for change in chunk]
    before = connection.total_changes
    try:
        connection.executemany(_INSERT, rows)
    except (OverflowError, UnicodeEncodeError):
        rows = list(map(_plain, rows))
        connection.executemany(_INSERT, rows)
    added = connection.total_changes - before
    if not added:
        return 0
    if added < len(rows):  # some were stored before; of two that are one, the first counts
        stored = set(connection.execute("SELECT time_ns, identity FROM changes WHERE batch = ?", (batch,)))
        rows = list({row[:2]: row for row in reversed(rows) if row[:2] in stored}.values())
    add_batch(connection, [change_tag(row, processes.tags[row[_PROCESS]]) for row in rows])
    return added


def decode_change(row: tuple[Any, ...]) -> Change:
    """Read a row of :data:`SELECT_CHANGES`."""
    (time_ns, _, source, action, serial, item, path, path_sure, dev, inode, parent_dev, parent_inode, mode, new_mode, cookie, error,
     sha256, uid, gid, size, mtime_ns, node, process, syscall, actor_time_ns, event, hash_late, last_ns, *who) = row  # fmt: skip
    when = int(time_ns)
    actor = None
    if process is not None:
        auid, who_uid, euid, user, pid, ppid, exe, comm, cmdline, verified, tty, ses = who
        actor = Actor(
            auid=int_out(auid), uid=int_out(who_uid), euid=int_out(euid), user=text_out(user), pid=int_out(pid), ppid=int_out(ppid),
            exe=exe, comm=comm, cmdline=text_out(cmdline), cmdline_verified=bool(verified), tty=text_out(tty), ses=int_out(ses),
            syscall=text_out(syscall), time_ns=when if actor_time_ns is None else int(actor_time_ns), event=text_out(event) or "",
        )  # fmt: skip
    return Change(
        source=_SOURCES[source], action=_ACTIONS[action], time_ns=when, serial=int(serial), item=int(item), path=path,
        path_sure=bool(path_sure), dev=int_out(dev), inode=int_out(inode), parent_dev=int_out(parent_dev),
        parent_inode=int_out(parent_inode), mode=int_out(mode), new_mode=int_out(new_mode), actor=actor, cookie=text_out(cookie),
        error=text_out(error), sha256=text_out(sha256), uid=int_out(uid), gid=int_out(gid), size=int_out(size),
        mtime_ns=int_out(mtime_ns), node=text_out(node), hash_late=bool(hash_late), last_ns=int_out(last_ns),
    )  # fmt: skip


def load_changes(connection: sqlite3.Connection, since_ns: int | None) -> Iterator[Change]:
    """Load changes from a time on (all without one), in the order of time, serial and item."""
    where, values = ("", ()) if since_ns is None else (" WHERE c.time_ns >= ?", (int_in(since_ns),))
    rows = connection.execute(f"{SELECT_CHANGES}{where} ORDER BY c.time_ns, c.serial, c.item, c.identity", values)
    return map(decode_change, rows)


def load_changes_about(
    connection: sqlite3.Connection, paths: Iterable[bytes], inodes: Iterable[int], since_ns: int
) -> list[Change]:
    """Load the changes from a time on whose text is one of some paths, or whose file has one of some inode numbers."""
    found: dict[bytes, tuple[Any, ...]] = {}
    for column, values in (("path", paths), ("inode", map(int_in, inodes))):
        query = f"{SELECT_CHANGES} WHERE c.{column} = ? AND c.time_ns >= ?"
        for value in values:
            found.update((row[1], row) for row in connection.execute(query, (value, int_in(since_ns))))
    return sorted(map(decode_change, found.values()), key=place_of)


def load_changes_of(connection: sqlite3.Connection, events: Iterable[str]) -> list[Change]:
    """Load the changes of some audit events, as a finding's ``evidence`` names them; names of another form have none.

    An event's name begins with its time, which the rows are in the order of: no walk through the table.
    """
    found: dict[bytes, tuple[Any, ...]] = {}
    for event in events:
        stamp = _AUDIT_EVENT.fullmatch(event)
        if stamp is not None:
            time_ns = int(stamp[1]) * 1_000_000_000 + int(stamp[2]) * 1_000_000
            rows = connection.execute(f"{SELECT_CHANGES} WHERE c.time_ns = ? AND c.event = ?", (int_in(time_ns), event))
            found.update((row[1], row) for row in rows)
    return sorted(map(decode_change, found.values()), key=place_of)


def load_changes_by(
    connection: sqlite3.Connection, uid: int | None, *, since_ns: int, until_ns: int, most: int
) -> Iterator[Change]:
    """Load what processes of one user did between two times, at most so many, in the order of time."""
    query = f"{SELECT_CHANGES} WHERE c.time_ns BETWEEN ? AND ? AND p.uid IS ? ORDER BY c.time_ns, c.serial, c.item LIMIT ?"
    values = (int_in(since_ns), int_in(until_ns), None if uid is None else int_in(uid), most)
    return map(decode_change, connection.execute(query, values))


def count_by_folder(connection: sqlite3.Connection, since_ns: int) -> dict[bytes, int]:
    """Count the changes of paths from a time on by the folder that the path lies in."""
    counts: dict[bytes, int] = {}
    query = "SELECT path, count(*) FROM changes WHERE time_ns >= ? AND path IS NOT NULL GROUP BY path"
    for path, count in connection.execute(query, (int_in(since_ns),)):
        folder = path.rpartition(b"/")[0]
        counts[folder] = counts.get(folder, 0) + int(count)
    return counts
