"""Reads a log in ranges, each of which a process of its own may read, so that together they give what one reading gives.

What is open where a range begins only a reading from the log's start would know. So an assembler that begins at a cut reads on,
and gives nothing out, until it is settled: what was open at the cut is long given out then. The range before reads as far, and
finds the same place by reading the same pieces with an assembler of its own. Both name what they hold there (``begun``, ``ended``).
Where the two names are equal, nothing tells the two readings from one; where they are not, as in a log whose clock stood still, the
ranges do not fit, and whoever asked reads on in one.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fimkit.audit.compiled import Way
from fimkit.audit.logfile import EventLoad, LogCursor, LogReader, Piece, read_records
from fimkit.audit.logpart import LogPart, fingerprint
from fimkit.audit.parser import EventAssembler
from fimkit.model.records import AuditEvent, BadLine

__all__ = ["Mark", "RangeLoad", "load_range", "plan_cuts"]

Mark = tuple[int, int, int, str]
"""A place (device, inode, offset), and the digest of what an assembler holds there."""

_PACKED = 10
"""So many times its size a compressed log has when it is read; it only decides where the ranges are cut."""
_BLOCK = 1 << 20


def plan_cuts(paths: Sequence[Path], *, cursor: LogCursor | None, live: bool, least_bytes: int, most: int) -> list[LogCursor]:
    """Choose where to cut what is to be read of a log into ranges of like size; none where it is not worth it.

    Args:
        paths: The files, the oldest first.
        cursor: Where an earlier reading stopped.
        live: The log is still written.
        least_bytes: Of one range.
        most: As many ranges, at most.

    Returns:
        Cursors at beginnings of lines in files that are not compressed; one less than there are ranges.
    """
    if most < 2 or sum(map(_weight, paths)) < 2 * least_bytes:
        return []
    reader = read_records(paths, cursor=cursor, live=live)
    with reader.open_places() as places:
        if reader.problems:
            return []
        sizes = [_weight(part.path) if part.compressed else max((part.size_bytes or 0) - offset, 0) for part, offset, _ in places]
        count = min(most, sum(sizes) // least_bytes)
        steps = (sum(sizes) * number // count for number in range(1, count))
        cuts = [cut for step in steps if (cut := _cut_at(places, sizes, step)) is not None]
    return list(dict.fromkeys(cuts))


def _weight(path: Path) -> int:
    try:
        size = os.stat(path).st_size
    except OSError:
        return 0
    return size * _PACKED if path.suffix in (".gz", ".zst", ".bz2", ".xz") else size


def _cut_at(places: Sequence[tuple[LogPart, int, int]], sizes: Sequence[int], step: int) -> LogCursor | None:
    for (part, offset, line), size in zip(places, sizes, strict=True):
        if step < size:
            return None if part.compressed else _cut_after(part, offset, line, offset + step)
        step -= size
    return None


def _cut_after(part: LogPart, offset: int, line: int, wanted: int) -> LogCursor | None:
    """Make a cut behind the line that is at a place; ``offset`` is the beginning of ``line``, before it."""
    while block := part.peek(offset, min(_BLOCK, wanted - offset)):
        offset, line = offset + len(block), line + block.count(b"\n")
    end = part.peek(offset, _BLOCK).find(b"\n") + 1
    if not end:
        return None
    return LogCursor(
        dev=part.dev, inode=part.inode, offset=offset + end, line=line + 1, fingerprint=fingerprint(part.head),
        head_bytes=len(part.head),
    )  # fmt: skip


class Readers(NamedTuple):
    """Of one range: its own, from ``cut`` or the start, and one over its end from ``until``."""

    own: LogReader
    over: LogReader | None
    cut: LogCursor | None
    until: LogCursor | None


class RangeLoad(EventLoad):
    """The events of one range, when iterated; then ``begun`` and ``ended`` are what is held at either end, where that is known."""

    begun: Mark | None = None
    ended: Mark | None = None

    def __init__(
        self,
        readers: Readers,
        *,
        cursor: LogCursor | None,
        live: bool,
        now_ms: int | None,
        on_bad: Callable[[BadLine], None],
        way: Way | None,
    ) -> None:
        """Use :func:`load_range`."""
        self._readers = readers
        self._tell_bad = on_bad
        self._warm = readers.cut is None
        super().__init__(readers.own, cursor=cursor, live=live, now_ms=now_ms, on_bad=self._refused, way=way)
        self._next_range = EventAssembler(way=way)

    @property
    def troubles(self) -> list[str]:
        """What could not be read, in words; nothing of the count of bad lines."""
        return [*self._readers.own.problems, *([] if self._readers.over is None else self._readers.over.problems)]

    def _refused(self, line: BadLine) -> None:
        if self._warm:
            self._tell_bad(line)

    def __iter__(self) -> Iterator[AuditEvent]:
        """Read the range, and as far over its end as it takes to know what the next one begins with."""
        pieces = iter(self._reader)
        if self._warm:
            yield from self._restored()
        elif not self._warm_up(pieces):
            return
        for piece in pieces:
            own = self._own_part(piece)
            if own is None:
                yield from self._take(piece)
                continue
            if own:
                yield from self._assembler.push(own, file=piece.file, line=piece.line)
            yield from self._read_over()
            return
        if self._readers.over is None:
            yield from self._finish()

    def _warm_up(self, pieces: Iterator[Piece | BadLine]) -> bool:
        for piece in pieces:
            if self._own_part(piece) is not None:
                return False
            self._take(piece)
            if self._assembler.is_settled:
                self.begun = self._mark(piece)
                self._assembler.forget_counts()
                self._warm = True
                return True
        return False

    def _own_part(self, piece: Piece | BadLine) -> bytes | None:
        """Give what of a piece is before the end of the range, where that is in it or at its end."""
        until = self._readers.until
        if until is None or isinstance(piece, BadLine):
            return None
        dev, inode, offset = self._reader.given
        own = max(until.offset - offset, 0)
        return piece.lines[:own] if (dev, inode) == (until.dev, until.inode) and own <= len(piece.lines) else None

    def _read_over(self) -> Iterator[AuditEvent]:
        """Read the pieces that the next range warms up with, as it does beside what is read of them here."""
        assert self._readers.over is not None
        self._reader = self._readers.over
        for piece in self._reader:
            if isinstance(piece, BadLine):
                self._next_range.refuse(piece)
            else:
                self._next_range.push(piece.lines, file=piece.file, line=piece.line)
            yield from self._take(piece)
            if self._next_range.is_settled:
                self.ended = self._mark(piece)
                return

    def _mark(self, piece: Piece | BadLine) -> Mark:
        dev, inode, offset = self._reader.given
        return dev, inode, offset + (0 if isinstance(piece, BadLine) else len(piece.lines)), self._assembler.digest()


def load_range(
    paths: Sequence[Path],
    *,
    cursor: LogCursor | None,
    cut: LogCursor | None,
    until: LogCursor | None,
    live: bool,
    now_ms: int | None,
    on_bad: Callable[[BadLine], None],
    way: Way | None = None,
) -> RangeLoad:
    """Read one range of a log.

    Args:
        paths: The files, the oldest first.
        cursor: Where an earlier reading stopped: where the first range begins.
        cut: Where any other range begins.
        until: Where the next one begins; ``None`` reads to the end, as :func:`fimkit.audit.logfile.load_events` does.
        live: The log is still written.
        now_ms: The present, for a live log.
        on_bad: Called with every bad line of the range.
        way: How the commonest events are read.
    """
    readers = Readers(
        own=read_records(paths, cursor=cut or cursor, live=live and until is None),
        over=None if until is None else read_records(paths, cursor=until),
        cut=cut,
        until=until,
    )
    return RangeLoad(readers, cursor=cursor if cut is None else None, live=live, now_ms=now_ms, on_bad=on_bad, way=way)
