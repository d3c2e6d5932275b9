"""Joins audit records to events, as they stream in. Pure.

Records of one event share (node, time, serial), and may come mixed with others' and in any order; the end mark EOE is never on
disk. So an event is open until EOE, or until the log's own clock (the newest stamp seen) has gone on by ``window_ms``, or until
too many are open. The open events are kept in two generations: when the clock passes the window, or the young one is full, the
old one is given out and the young one becomes the old; so an event stays open for one to two windows. The clock passes a window
at whole multiples of it, wherever the reading began: so one that begins in the middle soon has open what one from the start has.
Nothing waits on the wall clock: a log gives the same events whenever it is read, and in whatever pieces.

A record that comes after its event was given out makes an event of its own. Every line that is not empty is in an event or in
``bad``.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from fimkit.audit.compiled import AT_END, CLOCK_TURNED, Way, best_way, new_blocks
from fimkit.audit.draft import Draft, Held, RawLine
from fimkit.audit.fastpath import BLOCK, COUNTS, FIRST_ITEMS, TYPES, TYPES_WITHOUT_CWD, Block, Memories, block_lines
from fimkit.audit.fields import Header, parse_header
from fimkit.model.errors import RecordError
from fimkit.model.records import AuditEvent, BadLine, EventId, PathItem

if TYPE_CHECKING:
    from fimkit.audit._blocks import Blocks

__all__ = ["MAX_BAD_KEPT", "Counters", "EventAssembler"]

MAX_BAD_KEPT = 10_000
"""Bad lines kept in ``bad``; all are counted, and all are given to ``on_bad``."""

_BAD_TEXT = 4096
_LINE_OF = itemgetter(AuditEvent._fields.index("line"))
_TURNS_TO_SETTLE = 3
"""After one by the clock: by the second nothing that began before it is young, by the third not even what came late is open."""


@dataclass(slots=True)
class Counters:
    """What went through. ``incomplete``: events given out that say themselves that records are missing."""

    lines: int = 0
    records: int = 0
    events: int = 0
    bad_lines: int = 0
    incomplete: int = 0

    @property
    def left_out_words(self) -> list[str]:
        """Say how many bad lines were not kept, if any."""
        left_out = self.bad_lines - MAX_BAD_KEPT
        return [f"{left_out} more bad lines were counted, and not kept"] if left_out > 0 else []


class EventAssembler:
    """Takes lines, gives events as they become complete, of those that do so at once in the order in which they begin."""

    def __init__(
        self,
        *,
        on_bad: Callable[[BadLine], None] | None = None,
        window_ms: int = 2000,
        max_open: int = 16384,
        way: Way | None = None,
    ) -> None:
        """Begin with nothing open.

        Args:
            on_bad: Called with every bad line.
            window_ms: How far the log's clock must go on before an event without an end mark is taken as whole; at least 1.
            max_open: Events kept open at most; past it the oldest are given out as they are.
            way: How the commonest events are read; without, the quickest way that is here.

        Raises:
            ImportError: If the compiled way is asked for, and is not here.
        """
        self.bad: list[BadLine] = []
        self.counters = Counters()
        self._on_bad = on_bad
        self._window_ms = window_ms
        self._generation_size = max(1, max_open // 2)
        self._memories = Memories()
        self._blocks = new_blocks(self._memories) if (way or best_way()) is Way.COMPILED else None
        self._newest_ms = 0
        self._turn_ms = 0
        self._clock_turns = self._turns = 0
        self._files: dict[str, int] = {}
        self._young: dict[bytes, AuditEvent] = {}
        self._old: dict[bytes, AuditEvent] = {}
        self._young_drafts: dict[bytes, Draft | Held] = {}
        self._old_drafts: dict[bytes, Draft | Held] = {}

    def push(self, lines: bytes, *, file: str, line: int = 1) -> list[AuditEvent]:
        """Take whole lines in.

        Args:
            lines: One or more lines, split at newlines only.
            file: Where they are from, for events and bad lines.
            line: The first one's number there.

        Returns:
            The events that became complete.
        """
        if not lines.endswith(b"\n"):
            lines += b"\n"
        self._files.setdefault(file, len(self._files))
        bad = self.counters.bad_lines
        out: list[AuditEvent] = []
        if self._blocks is None:
            end, blank = self._push_blocks(BLOCK.findall(lines), file, line, out)
        else:
            end, blank = self._push_compiled(self._blocks, lines, file, line, out)
        self.counters.lines += end - line
        self.counters.records += end - line - blank - (self.counters.bad_lines - bad)
        self.counters.events += len(out)
        return out

    def _push_compiled(self, blocks: "Blocks", lines: bytes, file: str, line: int, out: list[AuditEvent]) -> tuple[int, int]:
        """Take lines by the compiled loop, and the Python way what that leaves; give the next line's number, and the blank ones."""
        position, all_blank = 0, 0
        while True:
            position, line, newest_ms, why, turn_ms = blocks.take(
                lines, position, line, file, self._young, self._old, self._young_drafts, self._old_drafts,
                self._newest_ms, self._turn_ms, self._generation_size,
            )  # fmt: skip
            self._newest_ms = newest_ms
            if why == AT_END:
                return line, all_blank
            if why == CLOCK_TURNED:
                self._tick(turn_ms, out)
                continue
            match = BLOCK.match(lines, position)
            if match is None:  # the expression's last branch takes any line
                raise AssertionError("a line that is none")
            position = match.end()
            line, blank = self._push_blocks([match.groups(b"")], file, line, out)
            all_blank += blank

    def _push_blocks(self, blocks: list[Block], file: str, line: int, out: list[AuditEvent]) -> tuple[int, int]:
        """Take what the expression found; give the next line's number, and how many lines were blank."""
        blank = 0
        memories = self._memories
        heads, args, processes, cwds = memories.heads, memories.args, memories.processes, memories.cwds
        path_items, names, rests = memories.paths, memories.names, memories.rests
        new = tuple.__new__
        young, old, young_drafts, old_drafts = self._young, self._old, self._young_drafts, self._old_drafts
        paths: tuple[PathItem, ...]
        clock, time_ms, full = b"", 0, self._generation_size
        # The hot loop: one turn an event, no calls but to C. tuple.__new__ makes a named tuple in a third of the time.
        for block in blocks:
            (node, stamp, stamp_clock, serial, head, call_args, items, process, cwd,
             first_path, quoted, bare, inode, rest, more, title, other) = block  # fmt: skip
            if stamp:
                key = node + stamp if node else stamp
                if stamp_clock != clock or len(young) >= full:
                    clock = stamp_clock
                    time_ms = int(clock.replace(b".", b""))
                    if time_ms > self._turn_ms or len(young) >= full:
                        self._tick(time_ms, out)
                        young, old, young_drafts, old_drafts = self._young, self._old, self._young_drafts, self._old_drafts
                    elif time_ms > self._newest_ms:
                        self._newest_ms = time_ms
                if not (key in young or key in old or (young_drafts and key in young_drafts) or (old_drafts and key in old_drafts)):
                    try:
                        if inode:
                            second = new(PathItem, (1, names[bare] if bare else quoted, int(inode)) + rests[rest])
                            paths, count = (path_items[first_path], second), 2
                        elif first_path:
                            paths, count = (path_items[first_path],), 1
                        else:
                            paths, count = (), 0
                        if more:
                            start = len(key) + 23  # behind "type=PATH msg=audit(): "
                            paths += tuple([path_items[path[start:]] for path in more.split(b"\n") if path])
                            if [path.item for path in paths] != FIRST_ITEMS[len(paths)]:
                                raise RecordError("PATH records that only the exact way brings in order")
                            count = len(paths)
                        if COUNTS[items] == count and title:
                            by_number, arch, success, code = heads[head]
                            who, rule_key, call = processes[process, title]
                            young[key] = new(AuditEvent, (
                                new(EventId, (time_ms, int(serial))), node[5:-1] if node else None,
                                TYPES[count] if cwd else TYPES_WITHOUT_CWD[count],
                                call or by_number, arch, success, code,
                                args[call_args],
                                rule_key, who, cwds[cwd] if cwd else None, paths, count, None, (), file, line,
                            ))  # fmt: skip
                            line += count + 3 if cwd else count + 2
                            continue
                    except (LookupError, ValueError):
                        pass  # the exact way says what it is
                line = self._push_block(block, file, line, out)
            else:
                if other:
                    self._push_line(other, file, line, out)
                else:
                    blank += 1
                line += 1
            young, old, young_drafts, old_drafts = self._young, self._old, self._young_drafts, self._old_drafts
        return line, blank

    def refuse(self, line: BadLine) -> None:
        """Keep and count a line that the reader could not even give whole."""
        self.counters.lines += 1
        self._refuse(line)

    def restore(self, lines: Iterable[RawLine]) -> list[AuditEvent]:
        """Take the lines of events that were still open when a log was left, as :meth:`pending` gave them."""
        out: list[AuditEvent] = []
        for raw in lines:
            self._push_line(raw.text, raw.file, raw.line, out)
        self.counters.events += len(out)
        return out

    def settle(self, *, now_ms: int | None = None) -> list[AuditEvent]:
        """Give out what is whole, or older than the window, at the end of a log that is still being written.

        Args:
            now_ms: The present, if known: it ages events beside the log's own clock.

        Returns:
            All open events but those that may still be half written; :meth:`pending` has those.
        """
        settled_ms = max(self._newest_ms, now_ms or 0) - self._window_ms
        drafts = self._old_drafts | self._young_drafts
        waiting = {key: draft for key, draft in drafts.items() if not draft.complete and draft.event_id.time_ms > settled_ms}
        for key in waiting:
            self._old_drafts.pop(key, None)
            self._young_drafts.pop(key, None)
        out = self.flush()
        self._young_drafts = waiting
        return out

    def flush(self) -> list[AuditEvent]:
        """Give out every open event as it is."""
        out: list[AuditEvent] = []
        self._turn(out)
        self._turn(out)
        self.counters.events += len(out)
        return out

    def pending(self) -> tuple[RawLine, ...]:
        """Give the lines of the events that :meth:`settle` left open, in the order of their places."""
        drafts = [*self._old_drafts.values(), *self._young_drafts.values()]
        return tuple(raw for draft in drafts for raw in draft.raw)

    @property
    def is_settled(self) -> bool:
        """Whether what is open is most likely what a reading from the start has open here: where it began is long given out."""
        return self._turns >= _TURNS_TO_SETTLE

    def digest(self) -> str:
        """Name all that decides what comes next: of two assemblers that have the same, the same lines make the same events."""
        digest = hashlib.sha256(repr((self._newest_ms, self._turn_ms)).encode())
        for events in (self._old, self._young):
            digest.update(repr(list(events.items())).encode())
        for drafts in (self._old_drafts, self._young_drafts):
            digest.update(repr(_lines_of(drafts)).encode())
        return digest.hexdigest()

    def forget_counts(self) -> None:
        """Begin to count, and to keep bad lines, anew."""
        self.bad, self.counters = [], Counters()

    def _tick(self, time_ms: int, out: list[AuditEvent]) -> None:
        if time_ms > self._newest_ms:
            self._newest_ms = time_ms
        by_clock = self._newest_ms > self._turn_ms
        if by_clock or len(self._young) + len(self._young_drafts) >= self._generation_size:
            self._turn(out)
            self._turn_ms = (self._newest_ms // self._window_ms + 1) * self._window_ms - 1
            self._clock_turns += by_clock
            self._turns += self._clock_turns > 1  # the first is the first record's

    def _turn(self, out: list[AuditEvent]) -> None:
        if self._old_drafts:
            events = list(self._old.values())
            for draft in self._old_drafts.values():
                self._give(draft, events)
            # Which of them are drafts is a matter of how the log came in pieces; where they begin is not.
            events.sort(key=_LINE_OF if len(self._files) < 2 else self._place_of)
            out += events
        else:
            out.extend(self._old.values())
        self._old, self._young = self._young, {}
        self._old_drafts, self._young_drafts = self._young_drafts, {}

    def _place_of(self, event: AuditEvent) -> tuple[int, int]:
        return self._files.get(event.file, -1), event.line  # of an earlier reading's lines come first

    def _push_block(self, block: Block, file: str, line: int, out: list[AuditEvent]) -> int:
        for text in block_lines(block):
            self._push_line(text, file, line, out)
            line += 1
        return line

    def _push_line(self, text: bytes, file: str, line: int, out: list[AuditEvent]) -> None:
        try:
            header = parse_header(text.removesuffix(b"\r"))
            self._tick(header.event_id.time_ms, out)
            draft = self._open_draft(header, out) or Draft(header.event_id, header.node, file=file, line=line)
            draft.add(header.type, header.body)
        except RecordError as error:
            self._refuse(BadLine(file, line, text[:_BAD_TEXT], str(error)))
            return
        draft.raw.append(RawLine(file, line, text))
        if header.type == "EOE":
            self._old_drafts.pop(header.key, None)
            self._young_drafts.pop(header.key, None)
            self._give(draft, out)
        elif header.key not in self._old_drafts:
            self._young_drafts[header.key] = draft

    def _open_draft(self, header: Header, out: list[AuditEvent]) -> Draft | None:
        """Find the open event that a record is of; a whole one is opened again, one that cannot take it is given out."""
        key = header.key
        drafts = self._young_drafts if key in self._young_drafts else self._old_drafts
        draft = drafts.get(key)
        if isinstance(draft, Held):
            draft = drafts[key] = draft.reopen()
        if draft is not None:
            if draft.accepts(header.type):
                return draft
            self._give(drafts.pop(key), out)
            return None
        event = self._young.pop(key, None) or self._old.pop(key, None)
        if event is None:
            return None
        draft = Draft.reopen(event)
        if draft.accepts(header.type):
            self._young_drafts[key] = draft
            return draft
        out.append(event)
        return None

    def _give(self, draft: Draft | Held, out: list[AuditEvent]) -> None:
        self.counters.incomplete += draft.incomplete
        out.append(draft.event())

    def _refuse(self, line: BadLine) -> None:
        self.counters.bad_lines += 1
        if len(self.bad) < MAX_BAD_KEPT:
            self.bad.append(line)
        if self._on_bad is not None:
            self._on_bad(line)


def _lines_of(drafts: Mapping[bytes, Draft | Held]) -> list[tuple[bytes, list[RawLine], AuditEvent]]:
    return [(key, draft.raw, draft.event()) for key, draft in drafts.items()]
