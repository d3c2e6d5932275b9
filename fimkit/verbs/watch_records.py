"""Reads what the sources say while it is said: the kernel's records, osquery's results as they are written, or a growing audit log.

A source gives :class:`Heard`. Records that were lost make a *blind interval*: from the last record before to the first one after.
"""

import contextlib
import os
import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fimkit.audit.changes import AuditChanges
from fimkit.audit.drain import Drain, Loss
from fimkit.audit.kernel import AuditKernel
from fimkit.audit.logfile import LogCursor, find_rotations
from fimkit.audit.parser import EventAssembler
from fimkit.model.changes import Change, Note, NoteKind, Source
from fimkit.model.coverage import Gap, Sense
from fimkit.model.errors import HostError
from fimkit.model.records import AuditEvent, BadLine
from fimkit.model.states import FileState
from fimkit.model.time import render_time
from fimkit.verbs.coverage_judge import gaps_of_gathered
from fimkit.verbs.gather import Gathered, gather_audit, gather_osquery, mend_osquery, name_user

__all__ = ["AuditLogTail", "Blind", "Heard", "KernelLost", "KernelRecords", "OsqueryTail", "render_blind"]

_FILE = "kernel"
_MOST_BYTES = 1 << 19
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind:
    """A time in which a source did not tell all. ``lost`` is what it counted, which need not be records."""

    from_ns: int
    to_ns: int
    lost: int
    source: str

    @property
    def words(self) -> str:
        """Say it in a sentence."""
        when = f"between {render_time(self.from_ns)} and {render_time(self.to_ns)}"
        if not self.lost:
            return f"nothing was recorded {when}: {self.source}"
        return f"{self.source} lost records {when} (it counted {self.lost})"

    def note(self) -> Note:
        """Give it as what a source says of itself."""
        return Note(source=Source.AUDIT, kind=NoteKind.RECORDS_LOST, time_ns=self.to_ns, text=self.words)


def render_blind(blind: Blind) -> dict[str, Any]:
    """Give it as an object for JSON."""
    return {
        "blind": {"from": render_time(blind.from_ns), "to": render_time(blind.to_ns), "lost": blind.lost, "source": blind.source}
    }


@dataclass(slots=True)
class Heard:
    """What a source said since it was last asked.

    ``uncounted`` are the bad lines, by file, that there were beside those that are kept; ``gaps`` is what a reading came upon.
    """

    changes: list[Change] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    blind: list[Blind] = field(default_factory=list)
    bad_lines: list[BadLine] = field(default_factory=list)
    uncounted: Counter[str] = field(default_factory=Counter)
    gaps: list[Gap] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    cursor: LogCursor | None = None
    ended: bool = False


class _Known:
    """The events that were taken, so that the log's telling of them again costs next to nothing, minutes of a storm later too.

    The kernel counts its events up, so four bytes at the serial's place are enough: its time within three days, and how many
    names it had.
    What lies well before what the log tells of is dropped, and so is the oldest where the log is not read for long.
    """

    def __init__(self, most_blocks: int = 64) -> None:
        self._most_blocks = most_blocks
        self._blocks: dict[int, array[int]] = {}

    def __len__(self) -> int:
        """Give how many blocks of serials are held."""
        return len(self._blocks)

    def add(self, event: AuditEvent) -> None:
        number, place = divmod(event.event_id.serial, _BLOCK)
        block = self._blocks.get(number)
        if block is None:
            if len(self._blocks) >= self._most_blocks:
                del self._blocks[next(iter(self._blocks))]
            block = self._blocks[number] = array("I", bytes(4 * _BLOCK))
        block[place] = _mark(event)

    def has(self, event: AuditEvent) -> bool:
        """Tell whether the same event was taken, with as many names: one of which records were missing is none."""
        number, place = divmod(event.event_id.serial, _BLOCK)
        block = self._blocks.get(number)
        return block is not None and block[place] == _mark(event)

    def drop_before(self, serial: int) -> None:
        """Drop what lies more than a block before a serial: records of several cores come in no strict order."""
        oldest = serial // _BLOCK - 1
        while self._blocks and (first := next(iter(self._blocks))) < oldest:
            del self._blocks[first]


def _mark(event: AuditEvent) -> int:
    """Give what an event is known again by at its serial; never 0."""
    return (event.event_id.time_ms & 0xFFFFFFF) << 4 | 1 + min(len(event.items), 14)


class KernelRecords:
    """The kernel's live records, through the process that drains them."""

    def __init__(self, drain: Drain) -> None:
        """Take the running drain."""
        self.drain = drain
        self.events = 0
        self.newest_ns = time.time_ns()
        self._bad: list[BadLine] = []
        self._assembler = EventAssembler(on_bad=self._bad.append)
        self._changes = AuditChanges(name_user)
        self._known = _Known()
        self._lost_since: tuple[int, int, str] | None = None

    def fileno(self) -> int:
        """The descriptor that becomes readable."""
        return self.drain.fileno()

    @property
    def lag_s(self) -> float:
        """How old the newest record is that was taken, while others wait."""
        return max(0.0, (time.time_ns() - self.newest_ns) / 1e9) if self.drain.backlog_bytes > _MOST_BYTES else 0.0

    def is_news(self, event: AuditEvent) -> bool:
        """Tell whether an event that the log tells of may be another than those that were taken of late."""
        self._known.drop_before(event.event_id.serial)
        return not self._known.has(event)

    def hear(self) -> Heard:
        """Take what has come, at most half a megabyte of it, so that the rest gets its turn."""
        drained = self.drain.read(_MOST_BYTES)
        heard = Heard(ended=drained.ended)
        if drained.lines:
            self._read(self._assembler.push(b"".join(drained.lines), file=_FILE), heard)
        # Without end marks: an event with its last record is whole. What is not waits for the rest, as in a log that grows;
        # and while more is there, by the records' own clock: in a storm all of them are old, and their rest is on its way.
        now_ms = None if drained.lines else time.time_ns() // 1_000_000
        rest = self._assembler.flush() if drained.ended else self._assembler.settle(now_ms=now_ms)
        self._read(rest, heard)
        for loss in drained.losses:
            self._lose(loss)
        if self._lost_since is not None and (drained.ended or not drained.losses):
            from_ns, lost, source = self._lost_since
            heard.blind.append(Blind(from_ns=from_ns, to_ns=max(self.newest_ns, from_ns), lost=lost, source=source))
            self._lost_since = None
        heard.bad_lines += self._bad
        self._bad.clear()
        return heard

    def _read(self, events: list[AuditEvent], heard: Heard) -> None:
        for event in events:
            self.events += 1
            self.newest_ns = max(self.newest_ns, event.event_id.time_ms * 1_000_000)
            self._known.add(event)
            heard.changes += self._changes.changes_of(event)
            heard.notes += self._changes.notes_of(event)

    def _lose(self, loss: Loss) -> None:
        from_ns, lost, _ = self._lost_since or (min(self.newest_ns, loss.time_ns), 0, "")
        self.newest_ns = max(self.newest_ns, loss.time_ns)
        self._lost_since = from_ns, lost + loss.times, loss.source


class KernelLost:
    """The kernel's own count of records that it dropped; what it refuses to say is words, once."""

    def __init__(self, open_kernel: Callable[[], AuditKernel] = AuditKernel) -> None:
        """Ask for the first time."""
        self._open_kernel = open_kernel
        self.trouble = ""
        self._asked_ns = time.time_ns()
        self.lost = self._ask() or 0

    def _ask(self) -> int | None:
        try:
            with self._open_kernel() as kernel:
                return kernel.status().lost
        except HostError as error:
            self.trouble = str(error)
            return None

    def take(self, now: int | None) -> Blind | None:
        """Take the count as it was asked for just now; one that has grown is a blind interval since the last time."""
        if self.trouble or now is None:
            return None
        was, was_ns = self.lost, self._asked_ns
        self.lost, self._asked_ns = now, time.time_ns()
        return Blind(from_ns=was_ns, to_ns=self._asked_ns, lost=now - was, source="the kernel") if now > was else None


class _Grown:
    """Tells whether a log is another than when it was read last."""

    def __init__(self, log: bytes) -> None:
        self._log = log
        self._seen: tuple[int, int] | None = None

    def has(self) -> bool:
        try:
            status = os.stat(self._log)
        except OSError:
            return False
        seen = status.st_ino, status.st_size
        grown = seen != self._seen
        self._seen = seen
        return grown

    def by(self) -> int:
        """Give how many bytes came since :meth:`has` was last asked; all, where it is another file by now."""
        try:
            status = os.stat(self._log)
        except OSError:
            return 0
        inode, size = self._seen or (0, 0)
        return status.st_size - size if inode == status.st_ino and size <= status.st_size else status.st_size


class _Ledger:
    """What the readings of one log came upon, each since the reading before it."""

    def __init__(self, sense: Sense) -> None:
        self._sense = sense
        self._read_ns = time.time_ns()
        self._ends: list[Note] = []
        self._said: frozenset[str] = frozenset()

    def heard(self, gathered: Gathered, cursor: LogCursor | None) -> Heard:
        now_ns = time.time_ns()
        ends = [note for note in gathered.notes if note.kind is NoteKind.LOG_ENDED]
        self._ends = ends or self._ends[-1:]  # the start that follows may be in the next reading
        gaps = gaps_of_gathered(self._sense, gathered, last_ns=self._read_ns, now_ns=now_ns, notes=self._ends)
        self._read_ns = now_ns
        words = [one for one in gathered.problems if one not in self._said]  # what lasts is said once
        self._said = frozenset(gathered.problems)
        return Heard(
            changes=list(gathered.changes), notes=gathered.notes, bad_lines=gathered.bad_lines, uncounted=gathered.uncounted,
            gaps=gaps, words=words, cursor=cursor,
        )  # fmt: skip


class AuditLogTail:
    """auditd's log as it grows, where the kernel's records cannot be had; and its whole rest, where some were lost."""

    def __init__(self, log: bytes, host: str, cursor: LogCursor | None) -> None:
        """Begin where an earlier reading stopped."""
        self.log, self.cursor = log, cursor
        self._host = host
        self._grown = _Grown(log)
        self._ledger = _Ledger(Sense.AUDIT)
        self._pending = self.has_more = False

    @property
    def unread_bytes(self) -> int:
        """How much was written since the last reading; unknown, and so everything, where it is another file by now."""
        return max(self._grown.by(), _MOST_BYTES if self.has_more else 0)

    @property
    def left_bytes(self) -> int:
        """How much of the log that is written now was not read; all of it, where another one was read last."""
        if not self.has_more:
            return 0
        with contextlib.suppress(OSError):
            status, cursor = os.stat(self.log), self.cursor
            is_same = cursor is not None and (cursor.dev, cursor.inode) == (status.st_dev, status.st_ino)
            return max(1, status.st_size - (cursor.offset if cursor is not None and is_same else 0))
        return 1

    def hear(self, wanted: Callable[[Change], bool], worth: Callable[[AuditEvent], bool] | None = None) -> Heard:
        """Read what is new, if anything is; at most so much that the rest gets its turn: ``has_more`` then.

        Args:
            wanted: Tells which changes matter.
            worth: False for an event that is known already.
        """
        if not self._grown.has() and not self._pending and not self.has_more:
            return Heard()
        gathered = gather_audit(
            find_rotations(self.log), wanted=wanted, worth=worth, cursor=self.cursor, host=self._host, live=True, user_of=name_user,
            most_bytes=_MOST_BYTES,
        )  # fmt: skip
        self.has_more = gathered.has_more
        self._pending = gathered.cursor is not None and bool(gathered.cursor.pending)
        self.cursor = gathered.cursor or self.cursor
        return self._ledger.heard(gathered, self.cursor)


class OsqueryTail:
    """osquery's results as they are written."""

    def __init__(self, log: bytes, host: str, cursor: LogCursor | None) -> None:
        """Begin where an earlier reading stopped."""
        self.log, self.cursor = log, cursor
        self.rows = 0
        self._host = host
        self._grown = _Grown(log)
        self._ledger = _Ledger(Sense.OSQUERY)

    def hear(
        self,
        wanted: Callable[[Change], bool],
        before: Mapping[bytes, FileState],
        after: Mapping[bytes, FileState],
        earlier: Callable[[], list[Change]],
    ) -> Heard:
        """Read what is new, if anything is.

        Args:
            wanted: Tells which changes matter.
            before: The baseline.
            after: The present: what osquery did not hash is hashed now.
            earlier: Gives osquery's earlier rows, whose renames still count.
        """
        if not self._grown.has():
            return Heard()
        gathered = gather_osquery(
            find_rotations(self.log), wanted=wanted, host=self._host, cursor=self.cursor, live=True, user_of=name_user,
            is_known=lambda path: path in before or path in after,
        )  # fmt: skip
        if gathered.changes:
            mend_osquery(gathered, before=before, after=after, earlier=earlier(), own=True)
        self.rows += len(gathered.changes)
        self.cursor = gathered.cursor or self.cursor
        return self._ledger.heard(gathered, self.cursor)
