"""Reads an audit log into a harvest: at once, or a large one by as many processes as there are cores, with the same result.

Each process is a copy of this one (a fork: the watched paths and their inodes are millions, and need not be sent), reads a range of
the log, and answers with one marshalled value. The last range, which may still grow, is read here. What a range cannot know, what
was open, learned or started before it, is looked at when the parts are joined in their order. Where a part would have read
otherwise had it known, or its process is gone, it is not taken, and the rest of the log is read here from there on.

It is done where few files come into the watched paths, as a look at each range's beginning says: what came is known from then on,
by its inode, so a range that passed that inode over has to be read again. Where most of a log is of the watched paths that is
nearly always so (measured: 1.6 times the processor time, and no less of the clock's).
"""

import contextlib
import gc
import marshal
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import add, itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from fimkit.audit.changes import AuditChanges, PartChanges, render_command
from fimkit.audit.logfile import LogCursor, load_events
from fimkit.audit.logrange import Mark, RangeLoad, load_range, plan_cuts
from fimkit.audit.parser import MAX_BAD_KEPT, Counters
from fimkit.correlate.ledger_parts import is_packable, pack_tables
from fimkit.model.changes import Change, Note, NoteKind, Source
from fimkit.model.records import AuditEvent, BadLine, PathItem
from fimkit.verbs.harvest import Harvest, Numbers, PartNumbers
from fimkit.verbs.scope import Scope

__all__ = ["Asked", "LogSource", "Reading", "harvest_at_once", "harvest_in_parts"]

LEAST_BYTES = 24 << 20
"""Of one range. Starting a process and joining what it says takes as long as reading one or two megabytes; what is read twice at a
cut, for some seconds of the log to pass, is a few more on a busy host."""
_MOST_PROCESSES = 4
_MOST_DROPPED = 1 << 20
"""Files of which something was not kept, remembered of one range: 60 MB."""
_PROBE_BYTES = 1 << 18
_LOOK_EVENTS = 4096
_FORM = 2
_file_of = itemgetter(PathItem._fields.index("inode"), PathItem._fields.index("dev"))
_PID, _EXE, _CMDLINE, _VERIFIED = 4, 6, 8, 9
"""Where a ledger's process has what a part may not have known."""


class LogSource(NamedTuple):
    """What is read: the files, the oldest first, from where an earlier reading stopped; and the present, for a live log."""

    paths: Sequence[Path]
    cursor: LogCursor | None
    live: bool
    now_ms: int


class Asked(NamedTuple):
    """What is kept of it: as :class:`fimkit.verbs.harvest.Harvest` and :class:`fimkit.audit.changes.AuditChanges` take it."""

    wanted: Callable[[Change], bool]
    worth: Callable[[AuditEvent], bool] | None
    user_of: Callable[[int], str | None] | None
    state: Sequence[Sequence[int]]

    def new_harvest(self) -> Harvest[Numbers]:
        """Make the harvest of a whole log."""
        return Harvest(
            AuditChanges(self.user_of), wanted=self.wanted, worth=self.worth, new_numbers=lambda: Numbers(self.state)
        )  # fmt: skip


@dataclass(slots=True)
class Reading:
    """What reading says of itself: what went through, bad lines (``met`` counts them by file), words, where it stands."""

    counters: Counters = field(default_factory=Counters)
    bad: list[BadLine] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    cursor: LogCursor | None = None
    has_more: bool = False

    def count(self, counters: Sequence[int], bad: Sequence[BadLine], met: Mapping[str, int]) -> None:
        """Add what a part met."""
        self.counters = Counters(*map(add, _numbers_of(self.counters), counters))
        self.bad += bad[: MAX_BAD_KEPT - len(self.bad)]
        self.met.update(met)


def harvest_at_once(source: LogSource, asked: Asked, *, most_bytes: int | None = None) -> tuple[Harvest[Numbers], Reading]:
    """Read a log in one go.

    Args:
        source: The log.
        asked: What to keep.
        most_bytes: Of a live log: where so much was read, the rest is left for the next time.
    """
    harvest, reading = asked.new_harvest(), Reading()
    events = load_events(
        source.paths, cursor=source.cursor, live=source.live, now_ms=source.now_ms, most_bytes=most_bytes,
        on_bad=lambda line: reading.met.update((line.file,)),
    )  # fmt: skip
    harvest.take(events)
    reading.counters, reading.bad, reading.problems, reading.lost = events.counters, events.bad, events.problems, events.lost
    reading.cursor, reading.has_more = events.cursor, events.has_more
    return harvest, reading


def harvest_in_parts(
    source: LogSource, asked: Asked, scope: Scope, *, cuts: Sequence[LogCursor] | None = None
) -> tuple[Harvest[Numbers], Reading] | None:
    """Read a large log by several processes; ``None``, and nothing was read, where it is not worth it or cannot be.

    Args:
        source: The log.
        asked: What to keep.
        scope: What it asks, and all that learns by it.
        cuts: Where to cut it; chosen by its size where nobody says.
    """
    is_chosen = cuts is None
    if cuts is None:
        cores = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)
        if cores < 2 or threading.active_count() > 1:  # of a process with threads a copy may wait for ever for what they held
            return None
        cuts = plan_cuts(source.paths, cursor=source.cursor, live=source.live, least_bytes=LEAST_BYTES, most=cores)
    if not cuts or (is_chosen and _learns(source, asked, scope, cuts)):
        return None
    scope.prepare()
    known = scope.learned
    ranges = [_Range(source, asked, scope, cut, until) for cut, until in zip((None, *cuts), (*cuts, None), strict=True)]
    joined = _Joined(asked, scope)
    with contextlib.ExitStack() as stack:
        children: list[_Child] = []
        for one in ranges[:-1]:
            children.append(stack.enter_context(_Child(one, children)))
        last = ranges[-1].read()
        scope.learned = known
        part = children[0].answer()
        for number, one in enumerate(ranges[:-1], 1):
            following = children[number].answer() if number < len(children) else last
            if part is None or not joined.fits(part, one, following):
                break
            joined.add(part)
            part = following
        else:
            one = ranges[-1]
            if joined.fits(last, one, None):
                joined.add(last)
                return joined.end(one)
    result = joined.finish(one)
    if result is None:
        scope.learned = known
    return result


def _learns(source: LogSource, asked: Asked, scope: Scope, cuts: Sequence[LogCursor]) -> bool:
    """Tell whether files keep coming into the watched paths: where they do, hardly a range can be read without knowing of them."""
    known = scope.learned
    for cut in cuts:
        asked.new_harvest().take(load_events(source.paths, cursor=cut, most_bytes=_PROBE_BYTES))
    learned, scope.learned = scope.learned, known
    return learned != known


class _Part(NamedTuple):
    """What one range says, in values that marshal takes."""

    begun: Mark | None
    ended: Mark | None
    troubles: list[str]
    counters: tuple[int, ...]
    bad: list[tuple[str, int, bytes, str]]
    met: dict[str, int]
    learned: list[tuple[int | None, int | None]]
    dropped: list[int] | None
    commands: dict[int, tuple[bytes | None, tuple[bytes, ...]]]
    unsure: list[tuple[int, bytes | None]]
    is_whole: bool
    tables: Any
    nodes: list[tuple[bytes | None, bytes | bytearray, list[tuple[str, str, int, str]], bytes]]


class _Noticed:
    """What is kept, and the files, by a number each, of what might have been kept too, had more been known."""

    def __init__(self, asked: Asked, scope: Scope) -> None:
        self._asked, self._scope = asked, scope
        self.files: set[int] | None = set()

    def wanted(self, change: Change) -> bool:
        concerns = self._asked.wanted(change)
        if self._scope.may_depend(change, concerns=concerns):
            self._add((hash((change.inode, change.dev)), hash((change.parent_inode, change.parent_dev))))
        return concerns

    def worth(self, event: AuditEvent) -> bool:
        if self._asked.worth is None or self._asked.worth(event):
            return True
        self._add(map(hash, map(_file_of, event.items)))
        return False

    def _add(self, files: Iterable[int]) -> None:
        if self.files is not None:
            self.files.update(files)
            if len(self.files) > _MOST_DROPPED:
                self.files = None


class _Range:
    """One range of a log, from a cut to the next; the first one begins where an earlier reading stopped."""

    def __init__(self, source: LogSource, asked: Asked, scope: Scope, cut: LogCursor | None, until: LogCursor | None) -> None:
        self.source, self.asked, self.scope, self.cut, self.until = source, asked, scope, cut, until
        self.met: Counter[str] = Counter()
        self.load = self.open(until)

    def open(self, until: LogCursor | None) -> RangeLoad:
        self.met.clear()
        paths, cursor, live, now_ms = self.source
        return load_range(
            paths, cursor=cursor, cut=self.cut, until=until, live=live, now_ms=now_ms,
            on_bad=lambda line: self.met.update((line.file,)),
        )  # fmt: skip

    def read(self, goes_on: Callable[[], bool] = lambda: True) -> _Part:
        noticed, known = _Noticed(self.asked, self.scope), self.scope.learned
        reader = PartChanges(self.asked.user_of)
        harvest = Harvest(reader, wanted=noticed.wanted, worth=noticed.worth, new_numbers=PartNumbers)
        harvest.take(_while(self.load, goes_on))
        of_nodes = harvest.by_node.items()
        return _Part(
            begun=self.load.begun,
            ended=self.load.ended,
            troubles=self.load.troubles,
            counters=_numbers_of(self.load.counters),
            bad=[(line.file, line.line, line.text, line.error) for line in self.load.bad],
            met=dict(self.met),
            learned=list(self.scope.learned - known),
            dropped=None if noticed.files is None else list(noticed.files),
            commands=reader.commands,
            unsure=list(reader.unsure),
            is_whole=not reader.is_mixed and all(is_packable(of_node.ledger) for _, of_node in of_nodes),
            tables=pack_tables(harvest.tables),
            nodes=[(node, of.ledger.rows, list(map(_pack_note, of.notes)), of.numbers.rows.tobytes()) for node, of in of_nodes],
        )


def _while(events: Iterable[AuditEvent], goes_on: Callable[[], bool]) -> Iterator[AuditEvent]:
    for number, event in enumerate(events):
        if not number % _LOOK_EVENTS and not goes_on():
            raise InterruptedError("nobody waits for it any more")
        yield event


def _numbers_of(counters: Counters) -> tuple[int, ...]:
    return counters.lines, counters.records, counters.events, counters.bad_lines, counters.incomplete


def _pack_note(note: Note) -> tuple[str, str, int, str]:
    return note.source.value, note.kind.value, note.time_ns, note.text


class _Child:
    """A copy of this process that reads a range, and ends with it; or when nobody waits for it any more."""

    def __init__(self, one: _Range, others: Sequence["_Child"]) -> None:
        parent = os.getpid()
        self._peer, theirs = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):  # what the terminal sends is the parent's affair
                    signal.signal(number, signal.SIG_IGN)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                for peer in (self._peer, *(other._peer for other in others)):  # where nobody reads, writing must fail
                    os.close(peer)
                gc.freeze()  # looking through the parent's objects would copy them
                with open(theirs, "wb") as file:
                    file.write(marshal.dumps(tuple(one.read(lambda: os.getppid() == parent)), _FORM))
            except BaseException:  # whatever it is, the parent reads the range itself
                os._exit(1)
            os._exit(0)
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._peer)
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def answer(self) -> _Part | None:
        """Wait for what it says; ``None`` where it is gone."""
        with open(self._peer, "rb", closefd=False) as file:
            said = file.read()
        pid, self._pid = self._pid, 0
        _, status = os.waitpid(pid, 0)
        return _Part(*marshal.loads(said)) if status == 0 else None


class _Joined:
    """The parts that were joined, in their order."""

    def __init__(self, asked: Asked, scope: Scope) -> None:
        self.harvest, self.reading = asked.new_harvest(), Reading()
        self._asked, self._scope = asked, scope
        self._learned = set(scope.learned)
        self._new_files: set[int] = set()
        self._numbers: dict[bytes | None, Numbers] = {}
        self._ended: Mark | None = None

    def fits(self, part: _Part, one: _Range, following: _Part | None) -> bool:
        """Tell whether a part says what a reading from the log's start would; the one that follows says whether its end does."""
        if part.troubles or not part.is_whole:
            return False
        if one.until is not None and (part.ended is None or following is None or part.ended != following.begun):
            return False
        if self._new_files and (part.dropped is None or not self._new_files.isdisjoint(part.dropped)):
            return False
        return self.harvest.reader.has_room(part.commands) and self._follow(part)

    def _follow(self, part: _Part) -> bool:
        self._numbers = {}
        for node, _, _, runs in part.nodes:
            numbers = self._numbers[node] = self.harvest.of(node).numbers.copy()
            if not numbers.follow(memoryview(runs).cast("q").tolist()):
                return False
        return True

    def add(self, part: _Part) -> None:
        harvest = self.harvest
        if any(rows for _, rows, _, _ in part.nodes):
            self._add_rows(part)
        for node, _, notes, _ in part.nodes:
            of_node = harvest.by_node[node] = harvest.of(node)._replace(numbers=self._numbers[node])
            of_node.notes.extend(Note(source=Source(a), kind=NoteKind(b), time_ns=c, text=d) for a, b, c, d in notes)
        harvest.reader.learn_commands(part.commands)
        self._learned.update(part.learned)
        self._new_files.update(hash((inode, dev)) for dev, inode in part.learned)
        self.reading.count(part.counters, [BadLine(*line) for line in part.bad], part.met)
        self._ended = part.ended

    def _add_rows(self, part: _Part) -> None:
        from fimkit.correlate.renumber import Renumbering  # numpy, for large logs alone

        harvest, commands = self.harvest, self.harvest.reader.commands
        unsure = {(pid, exe): commands[pid][1] for pid, exe in part.unsure if pid in commands and commands[pid][0] == exe}

        def of_process(process: tuple[Any, ...]) -> tuple[Any, ...]:
            pid, exe, is_verified = process[_PID], process[_EXE], process[_VERIFIED]
            if is_verified or (pid, exe) not in unsure:
                return process
            return (*process[:_CMDLINE], render_command(unsure[pid, exe]), True, *process[_VERIFIED + 1 :])

        renumbering = Renumbering(harvest.tables, part.tables, of_process)
        for node, rows, _, _ in part.nodes:
            renumbering.add_rows(harvest.of(node).ledger, rows)

    def end(self, last: _Range) -> tuple[Harvest[Numbers], Reading]:
        """Give all that was joined; the last range was the last part."""
        return self._told_by(last.load)

    def finish(self, one: _Range) -> tuple[Harvest[Numbers], Reading] | None:
        """Read the log from a range on, knowing all that was before; ``None`` where the log is not what it was a moment ago."""
        self._scope.learned = self._learned
        load = one.load = one.open(None)
        self.harvest.take(load)
        if load.begun != self._ended:
            return None
        self._learned.update(self._scope.learned)
        self.reading.count(_numbers_of(load.counters), load.bad, one.met)
        return self._told_by(load)

    def _told_by(self, load: RangeLoad) -> tuple[Harvest[Numbers], Reading]:
        self._scope.learned = self._learned
        self.reading.cursor, self.reading.lost = load.cursor, load.lost
        self.reading.problems = [*load.troubles, *self.reading.counters.left_out_words]
        return self.harvest, self.reading
