"""Reads a log with its rotations: streaming, in bounded memory, from where an earlier reading stopped.

A line ends at the newline only. Of a log that is still written (``live``) an incomplete last line is left for the next time, and so
are the records of an event that may still be half written; the cursor has both. As long as the newest file is empty, the one before
it may be the one that is written: logrotate turns a log before its daemon is told. Of any other file everything is given out, and a
last line without its newline is kept as a bad one: it may be cut in the middle of a number.

Through rotation the cursor finds its file again by its first bytes, whatever its name, inode or compression have become since:
``audit.log.1`` is a rename, ``.2.gz`` another inode, and logrotate's copytruncate leaves the inode to other content.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from fimkit.audit.compiled import Way
from fimkit.audit.draft import RawLine
from fimkit.audit.logpart import READ_ERRORS, LogPart, fingerprint
from fimkit.audit.parser import Counters, EventAssembler
from fimkit.audit.rotations import find_rotations, is_turn_missing, name_log
from fimkit.model.paths import render_path
from fimkit.model.records import AuditEvent, BadLine

__all__ = [
    "EventLoad", "LineLoad", "LogCursor", "LogReader", "Piece", "find_rotations", "load_events", "load_lines", "read_log",
    "read_records",
]  # fmt: skip

CHUNK_BYTES = 1 << 16
MAX_RECORD_BYTES = 1 << 20
"""auditd's lines end below 20 KiB; a longer one than this is no record."""
MAX_LINE_BYTES = 1 << 24
"""For other logs: osquery writes a whole snapshot on one line."""

_MOST_ROTATIONS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCursor:
    """Where a reading stopped, in plain values that JSON keeps.

    ``fingerprint`` is of the file's first ``head_bytes``; ``offset`` is in its (uncompressed) bytes, ``line`` the number of the
    line that begins there. ``pending`` are the lines of events that were still open: file, line, and the bytes as Latin-1 text.
    ``serials`` is the state of a :class:`fimkit.audit.serials.SerialTrack`, for who follows the kernel's numbers.
    """

    dev: int
    inode: int
    offset: int
    line: int
    fingerprint: str
    head_bytes: int
    pending: tuple[tuple[str, int, str], ...] = ()
    serials: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        """JSON knows lists only."""
        object.__setattr__(self, "pending", tuple((file, line, text) for file, line, text in self.pending))
        object.__setattr__(self, "serials", tuple(map(tuple, self.serials)))


class Piece(NamedTuple):
    """Whole lines of one file; ``line`` is the first one's number."""

    file: str
    line: int
    lines: bytes


class LogReader:
    """The pieces of a log, in order. ``problems`` says in words what could not be read; ``cursor`` is where it stands.

    ``lost`` are those of the problems by which text is gone that was never read: a rotation too fast, a file cut or replaced.

    Counting lines is not free: who has counted those of the last piece may set ``lines_taken``. ``given`` is where the last piece
    begins: device, inode, and place in the file.
    """

    def __init__(
        self, paths: Iterable[bytes | Path], *, cursor: LogCursor | None, live: bool, max_line_bytes: int, cut_before: bytes
    ) -> None:
        """Use :func:`read_log`. Nothing is opened yet."""
        self.problems: list[str] = []
        self.lost: list[str] = []
        self.lines_taken: int | None = None
        self.given = (0, 0, 0)
        self._cursor = cursor
        self._place: tuple[LogPart, int, int] | None = None
        self._unread: dict[Path, str] = {}
        self._paths = [path if isinstance(path, Path) else Path(os.fsdecode(path)) for path in paths]
        self._log = name_log(self._paths) if self._paths else None
        self._live = live
        self._max_line_bytes = max_line_bytes
        self._cut_before = b"\n" + cut_before

    @property
    def cursor(self) -> LogCursor | None:
        """Where the reading stands: behind the last piece that was given."""
        if self._place is None:
            return self._cursor
        part, offset, line = self._place
        return LogCursor(
            dev=part.dev,
            inode=part.inode,
            offset=offset,
            line=line,
            fingerprint=fingerprint(part.head),
            head_bytes=len(part.head),
        )

    @contextmanager
    def open_places(self) -> Iterator[list[tuple[LogPart, int, int]]]:
        """Give the files that are to be read, open, with the offset and the line number to begin at; none is read by this."""
        parts = self._open_all(self._paths)
        try:
            yield self._resume(parts)
        finally:
            for part in parts:
                part.close()

    def __iter__(self) -> Iterator[Piece | BadLine]:
        """Read to the end; a live log's rotation in the meantime is followed."""
        paths = self._paths
        for _ in range(_MOST_ROTATIONS):
            parts = self._open_all(paths)
            try:
                yield from self._read_all(self._resume(parts))
                if not self._live or self._log is None or not parts or self._is_unmoved(parts[-1]):
                    return
                paths = find_rotations(self._log)
            finally:
                for part in parts:
                    part.close()
        self.problems.append(f"the log rotated {_MOST_ROTATIONS} times while it was read; the rest is left for the next time")

    def _is_unmoved(self, part: LogPart) -> bool:
        offset = self._place[1] if self._place is not None and self._place[0] is part else 0
        return part.is_at(part.path) and (part.compressed or (part.size_bytes or 0) >= offset) and part.has_its_head()

    def _open_all(self, paths: list[Path]) -> list[LogPart]:
        """Open all files so that later renames do no harm; again, if a live log rotated in between."""
        for tries_left in (3, 2, 1, 0):
            parts: list[LogPart] = []
            self._unread = {}
            for path in reversed(paths):
                try:
                    parts.insert(0, LogPart.of_host(path) if self._live else LogPart(path))
                except OSError as error:
                    self._unread[path] = f"{render_path(os.fsencode(path))} cannot be read: {error.strerror or error}"
            now = find_rotations(self._log) if self._live and tries_left and self._log is not None else paths
            if now == paths and (not self._live or all(part.is_at(part.path) for part in parts)):
                break
            if tries_left:
                for part in parts:
                    part.close()
                paths = now
        self._paths = paths
        self.problems += self._unread.values()
        return self._without_copies(parts)

    def _without_copies(self, parts: list[LogPart]) -> list[LogPart]:
        """Of files that begin alike keep one: compressing, and copytruncate, leave two for a moment, one of them hardly begun."""
        kept: list[LogPart] = []
        for part in parts:
            place = next((place for place, other in enumerate(kept) if _begin_alike(part, other)), None)
            if place is None:
                kept.append(part)
                continue
            other = kept[place]
            better, worse = (part, other) if _rank(part) >= _rank(other) else (other, part)
            self.problems.append(f"{worse.label} begins as {better.label} does: taken for its copy, and not read")
            worse.close()
            kept[place] = better
        return [part for part in parts if part in kept]

    def _resume(self, parts: list[LogPart]) -> list[tuple[LogPart, int, int]]:
        """Give each file to read, with the offset and the line number to begin at."""
        cursor = self.cursor
        if cursor is None:
            return [(part, 0, 1) for part in parts]
        alike = [number for number, part in enumerate(parts) if _is_of(part, cursor)]
        if not alike and self._live and self._unread:
            return self._resume_behind_unread(parts, cursor)
        if not alike:
            if parts:
                self._lose(
                    f"the file that was read last (inode {cursor.inode}) is gone: what it got after byte {cursor.offset} was not "
                    "seen; all that is there was read from its start"
                )
            return [(part, 0, 1) for part in parts]
        same = [number for number in alike if (parts[number].dev, parts[number].inode) == (cursor.dev, cursor.inode)]
        first = (same or alike)[-1]
        begin = (parts[first], cursor.offset, cursor.line)
        size = parts[first].size_bytes
        if size is not None and size < cursor.offset and self._live and not parts[first].has_its_head():
            return []  # emptied since it was opened: its copy is found by the next look at the folder
        if size is not None and size < cursor.offset:
            self._lose(
                f"{parts[first].label} is shorter ({size} bytes) than when it was read last ({cursor.offset}): read from its start"
            )
            begin = (parts[first], 0, 1)
        if self._live and self._log is not None:
            self._lose_between(self._log, parts[first:])
        return [begin, *((part, 0, 1) for part in parts[first + 1 :])]

    def _resume_behind_unread(self, parts: list[LogPart], cursor: LogCursor) -> list[tuple[LogPart, int, int]]:
        """Where the file that was read last may be one that cannot be opened, only newer ones are read: older ones were."""
        last = max(self._paths.index(path) for path in self._unread)
        newer = [part for part in parts if self._paths.index(part.path) > last]
        if newer:
            words = self._unread[self._paths[last]]
            self._lose(f"{words}; what the log got after byte {cursor.offset} of the file that was read last was not seen")
        return [(part, 0, 1) for part in newer]

    def _lose_between(self, log: Path, parts: list[LogPart]) -> None:
        """Say what is lost between files that are read: one that cannot be opened, or is not there any more."""
        for older, newer in pairwise(parts):
            between = self._paths[self._paths.index(older.path) + 1 : self._paths.index(newer.path)]
            for path in between:
                if path in self._unread:
                    self._lose(f"{self._unread[path]}; what is in it was not seen")
            if is_turn_missing(log, older.path, newer.path) and not any(path in self._unread for path in between):
                self._lose(f"what was between {older.label} and {newer.label} is gone: it was not seen")

    def _lose(self, words: str) -> None:
        self.problems.append(words)
        self.lost.append(words)

    def _read_all(self, places: Sequence[tuple[LogPart, int, int]]) -> Iterator[Piece | BadLine]:
        for number, (part, offset, line) in enumerate(places):
            try:
                if offset and not part.skip(offset):
                    self._lose(f"{part.label} ends before byte {offset}, where it was left")
                    continue
                is_written = self._live and not any(later.head for later, _, _ in places[number + 1 :])
                yield from self._read_part(part, offset, line, leave_rest=is_written)
            except READ_ERRORS as error:
                self.problems.append(f"{part.label} cannot be read to its end: {error}")

    def _read_part(self, part: LogPart, offset: int, line: int, *, leave_rest: bool) -> Iterator[Piece | BadLine]:
        rest, too_long = b"", False
        waiting: list[bytes] = []  # the middle of a long line: joined once, when its end is there
        held = 0
        told = len(self.problems)
        self._move(part, offset, line)
        for chunk in self._chunks(part):
            if self._live and not part.has_its_head():
                return  # emptied and begun anew meanwhile: from the cursor on, the rest is in its copy
            if too_long:  # the rest of a line that was given up
                end = chunk.find(b"\n") + 1
                offset, line, too_long = offset + (end or len(chunk)), line + (end > 0), not end
                chunk = chunk[end:] if end else b""
            if rest and b"\n" not in chunk and held <= self._max_line_bytes:
                waiting.append(chunk)
                held += len(chunk)
                continue
            data = b"".join((rest, *waiting, chunk))
            waiting, held = [], 0
            end = data.rfind(self._cut_before) + 1 or (data.rfind(b"\n") + 1 if len(data) > 4 * CHUNK_BYTES else 0)
            piece, rest, data = data[:end], data[end:], b""
            if end:
                self.given = part.dev, part.inode, offset
                yield Piece(part.label, line, piece)
                offset, line = offset + end, line + self._count(piece)
                self._move(part, offset, line)
            if len(rest) > self._max_line_bytes:
                yield BadLine(part.label, line, rest[:4096], f"no end of line in {self._max_line_bytes} bytes")
                offset, rest, too_long = offset + len(rest), b"", True
        rest = b"".join((rest, *waiting))
        end = rest.rfind(b"\n") + 1
        if end:
            piece = rest[:end]
            self.given = part.dev, part.inode, offset
            yield Piece(part.label, line, piece)
            offset, line, rest = offset + end, line + self._count(piece), rest[end:]
            self._move(part, offset, line)
        if rest and not leave_rest:
            yield BadLine(part.label, line, rest[:4096], "no newline at its end: the line may be cut short")
            if len(self.problems) == told:  # a damaged file may be one that is still being packed: its rest comes later
                self._move(part, offset + len(rest), line)

    def _chunks(self, part: LogPart) -> Iterator[bytes]:
        """Read on to the end, or to where the file is damaged: what came before that counts."""
        try:
            while chunk := part.read(CHUNK_BYTES):
                yield chunk
        except READ_ERRORS as error:
            self.problems.append(f"{part.label} cannot be read to its end: {error}")

    def _count(self, lines: bytes) -> int:
        taken, self.lines_taken = self.lines_taken, None
        return lines.count(b"\n") if taken is None else taken

    def _move(self, part: LogPart, offset: int, line: int) -> None:
        # A file without one whole line has nothing to be known by: the cursor stays at the end of the one before it.
        if offset:
            self._place = (part, offset, line)


def _begin_alike(one: LogPart, other: LogPart) -> bool:
    """Tell whether one is the other's copy, if hardly begun; less than a line says nothing, but where it was packed so far."""
    short, long = sorted((one, other), key=lambda part: len(part.head))
    names = len(short.head) == len(long.head) or b"\n" in short.head or short.compressed
    return names and short.head != b"" and long.head.startswith(short.head)


def _rank(part: LogPart) -> tuple[bool, int]:
    return (not part.compressed, part.size_bytes or 0)


def _is_of(part: LogPart, cursor: LogCursor) -> bool:
    return len(part.head) >= cursor.head_bytes and fingerprint(part.head[: cursor.head_bytes]) == cursor.fingerprint


def read_log(
    paths: Iterable[bytes | Path],
    *,
    cursor: LogCursor | None = None,
    live: bool = False,
    max_line_bytes: int = MAX_LINE_BYTES,
    cut_before: bytes = b"",
) -> LogReader:
    """Read files as one log.

    Args:
        paths: The files, the oldest first; of a live log with its rotations, as :func:`find_rotations` gives them.
        cursor: Where an earlier reading stopped; ``None`` reads all.
        live: The last file is still written: an incomplete last line is left, a rotation is followed.
        max_line_bytes: A longer line is given up, and said to be bad.
        cut_before: Pieces are cut before lines that begin so, where there are such lines.

    Returns:
        Pieces of whole lines, and bad lines, when iterated.
    """
    return LogReader(paths, cursor=cursor, live=live, max_line_bytes=max_line_bytes, cut_before=cut_before)


class EventLoad:
    """The events of a log, when iterated; then ``cursor`` is where it stopped, and ``has_more`` says whether that was early."""

    def __init__(
        self,
        reader: LogReader,
        *,
        cursor: LogCursor | None,
        live: bool,
        now_ms: int | None,
        on_bad: Callable[[BadLine], None] | None,
        way: Way | None,
        most_bytes: int | None = None,
    ) -> None:
        """Use :func:`load_events`."""
        self.cursor: LogCursor | None = None
        self.has_more = False
        self._most_bytes = most_bytes
        self._reader = reader
        self._pending = cursor.pending if cursor is not None else ()
        self._live = live
        self._now_ms = now_ms
        self._assembler = EventAssembler(on_bad=on_bad, way=way)

    @property
    def bad(self) -> list[BadLine]:
        """Lines that could not be read; at most :data:`fimkit.audit.parser.MAX_BAD_KEPT` are kept, ``counters`` has them all."""
        return self._assembler.bad

    @property
    def counters(self) -> Counters:
        """What went through."""
        return self._assembler.counters

    @property
    def problems(self) -> list[str]:
        """What could not be read, in words."""
        return self._reader.problems + self.counters.left_out_words

    @property
    def lost(self) -> list[str]:
        """Those of the problems by which text is gone that was never read."""
        return list(self._reader.lost)

    def __iter__(self) -> Iterator[AuditEvent]:
        """Read to the end, or as much as was asked for."""
        size = 0
        yield from self._restored()
        for piece in self._reader:
            if self._most_bytes is not None and size >= self._most_bytes:
                self.has_more = True  # this piece is read again: the reader stands behind the last one that was taken
                break
            yield from self._take(piece)
            size += 0 if isinstance(piece, BadLine) else len(piece.lines)
        yield from self._finish()

    def _restored(self) -> list[AuditEvent]:
        return self._assembler.restore(RawLine(file, line, text.encode("latin-1")) for file, line, text in self._pending)

    def _take(self, piece: Piece | BadLine) -> list[AuditEvent]:
        assembler = self._assembler
        if isinstance(piece, BadLine):
            assembler.refuse(piece)
            return []
        before = assembler.counters.lines
        events = assembler.push(piece.lines, file=piece.file, line=piece.line)
        self._reader.lines_taken = assembler.counters.lines - before
        return events

    def _finish(self) -> Iterator[AuditEvent]:
        """Give out what is open at the end; then the cursor stands there."""
        assembler = self._assembler
        # in the middle of a log only its own clock says what is old: an event's rest comes with the next reading
        now_ms = None if self.has_more else self._now_ms
        yield from assembler.settle(now_ms=now_ms) if self._live else assembler.flush()
        pending = tuple((raw.file, raw.line, raw.text.decode("latin-1")) for raw in assembler.pending())
        self.cursor = None if self._reader.cursor is None else replace(self._reader.cursor, pending=pending)


def read_records(paths: Iterable[bytes | Path], *, cursor: LogCursor | None = None, live: bool = False) -> LogReader:
    """Read audit logs as :func:`read_log` does, in pieces that hold whole events where events do not mix."""
    return read_log(paths, cursor=cursor, live=live, max_line_bytes=MAX_RECORD_BYTES, cut_before=b"type=SYSCALL ")


def load_events(
    paths: Iterable[bytes | Path],
    *,
    cursor: LogCursor | None = None,
    live: bool = False,
    now_ms: int | None = None,
    on_bad: Callable[[BadLine], None] | None = None,
    way: Way | None = None,
    most_bytes: int | None = None,
) -> EventLoad:
    """Read audit logs.

    Args:
        paths: The files, the oldest first.
        cursor: Where an earlier reading stopped; its open events come first.
        live: The log is still written: an event that may be half written is left for the next time, in the cursor.
        now_ms: The present, for a live log: what is older than two seconds is no longer waited for.
        on_bad: Called with every bad line.
        way: How the commonest events are read; without, the quickest way that is here.
        most_bytes: Of a live log: where so much was read, the rest is left for the next time.

    Returns:
        The events in the order in which they were complete, when iterated once; then ``cursor``.
    """
    reader = read_records(paths, cursor=cursor, live=live)
    return EventLoad(reader, cursor=cursor, live=live, now_ms=now_ms, on_bad=on_bad, way=way, most_bytes=most_bytes)


class LineLoad:
    """The lines of a log, with file and number, when iterated; then ``cursor``. ``bad`` and ``problems`` have what was no line."""

    def __init__(self, reader: LogReader) -> None:
        """Use :func:`load_lines`."""
        self.bad: list[BadLine] = []
        self._reader = reader

    @property
    def cursor(self) -> LogCursor | None:
        """Where the reading stands."""
        return self._reader.cursor

    @property
    def problems(self) -> list[str]:
        """What could not be read, in words; ``bad`` is not told again."""
        return list(self._reader.problems)

    @property
    def lost(self) -> list[str]:
        """Those of the problems by which text is gone that was never read."""
        return list(self._reader.lost)

    def __iter__(self) -> Iterator[tuple[bytes, str, int]]:
        """Read to the end."""
        for piece in self._reader:
            if isinstance(piece, BadLine):
                self.bad.append(piece)
            else:
                for number, line in enumerate(piece.lines.split(b"\n")[:-1], piece.line):
                    yield line, piece.file, number


def load_lines(
    paths: Iterable[bytes | Path], *, cursor: LogCursor | None = None, live: bool = False, max_line_bytes: int = MAX_LINE_BYTES
) -> LineLoad:
    """Read logs that have a whole something on every line, as osquery's.

    Args:
        paths: The files, the oldest first.
        cursor: Where an earlier reading stopped.
        live: The log is still written: a last line without its end is left for the next time.
        max_line_bytes: A longer line is given up, and said to be bad.
    """
    return LineLoad(read_log(paths, cursor=cursor, live=live, max_line_bytes=max_line_bytes))
