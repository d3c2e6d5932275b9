"""What the sources could not see, from when to when, and why: gaps, and the intervals that they leave. Pure.

A gap is of one source. That a source has a gap does not mean that nothing is known of the time: a rescan finds what lasts, a log is
read later. What each source's gap hides is said by :data:`HIDES`.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from fimkit.model.changes import Note, NoteKind
from fimkit.model.paths import is_below, render_path, render_terminal
from fimkit.model.time import parse_time, render_time

__all__ = [
    "HIDES",
    "STOPPED",
    "Cause",
    "Gap",
    "Interval",
    "Sense",
    "cut_intervals",
    "gaps_of_notes",
    "render_gap",
    "render_span",
    "say_gaps",
    "select_gaps",
    "unseen_ns",
    "weighty",
]  # fmt: skip

_NEAR_NS = 60_000_000_000
_MOST_EVIDENCE = 20
_NAMED = 2
_BETWEEN = re.compile(r"between (\S+Z) and (\S+Z)")
_RULE = re.compile(r"\Aan audit rule with key (\S+) was (added|removed)")
_EVENT = re.compile(r"\bevent ([0-9.]+:[0-9]+)")
_EVENT_WORDS = re.compile(r" \(event [0-9.]+:[0-9]+\)")
_OURS = "fimkit"


class Sense(StrEnum):
    """A source of what is known, as the ledger has it: ``live`` is the watch, by which things are seen when they happen."""

    SCAN = "scan"
    AUDIT = "audit"
    OSQUERY = "osquery"
    LIVE = "live"


HIDES = {
    Sense.SCAN: "a difference there is not found",
    Sense.AUDIT: "who did what is not known, and what came and went is not seen",
    Sense.OSQUERY: "what osquery would have told is missing",
    Sense.LIVE: "what happened is found later, and not when it happens",
}
"""What a gap of a source means for whoever reads findings."""

STOPPED = "the watch was stopped"
"""The words of a gap that somebody meant."""


class Cause(StrEnum):
    """What breaks the sight of a source."""

    LOST = "lost"                    # the kernel counted records that it dropped, or a reader did
    SERIALS = "serials"              # numbers are missing in the log: records were never written, or taken out
    INCOMPLETE = "incomplete"        # events without all of their records
    OVERFLOW = "overflow"            # a queue was full: the socket's, the spool, inotify's
    AUDIT_OFF = "audit-off"
    RULES = "rules"                  # rules of fimkit's were not in the kernel
    NEVER_TASK = "never-task"
    AUDITD = "auditd"                # stopped, restarted, or not the one that reads
    OSQUERYD = "osqueryd"
    MOUNT = "mount"                  # inside a watched tree
    INOTIFY = "inotify"              # no watch was left
    CLOCK = "clock"
    DISK_FULL = "disk-full"          # what was found could not be stored
    WATCH_DOWN = "watch-down"
    NO_CONTEXT = "no-context"        # processes that the kernel never records
    LOG_GONE = "log-gone"            # rotated away, cut or replaced before it was read
    BAD_LINES = "bad-lines"
    NO_CHECK = "no-check"
    UNREAD = "unread"                # a path that could not be looked at
    UNASKED = "unasked"              # the kernel, or whoever else is to be asked, does not answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time in which one source did not tell all; ``to_ns`` is ``None`` while it lasts.

    ``path`` is what it is about with all that lies below, ``None`` everything. ``lost`` is what was counted, which need not be
    records. ``evidence`` are recorded events. ``seen_ns`` is when it was last known to be so.
    """

    from_ns: int
    to_ns: int | None
    source: Sense
    cause: Cause
    words: str
    path: bytes | None = None
    lost: int | None = None
    evidence: tuple[str, ...] = ()
    seen_ns: int = 0

    def until(self, now_ns: int) -> int:
        """Give its end; of one that lasts the present."""
        return max(self.from_ns, now_ns if self.to_ns is None else self.to_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A time in which the same sources could see: those of ``saw`` all of it, and what kept the others from it."""

    from_ns: int
    to_ns: int
    saw: tuple[Sense, ...]
    gaps: tuple[Gap, ...]


def select_gaps(gaps: Iterable[Gap], *, since_ns: int, until_ns: int, path: bytes | None = None) -> list[Gap]:
    """Choose the gaps that bear on a time and a path with what lies below it, the earliest first."""
    found = [
        gap for gap in gaps if gap.from_ns <= until_ns and gap.until(until_ns) >= since_ns
        and (path is None or gap.path is None or is_below(path, gap.path) or is_below(gap.path, path))
    ]  # fmt: skip
    return sorted(found, key=lambda gap: (gap.from_ns, gap.until(until_ns), gap.source, gap.cause, gap.path or b"", gap.words))


def weighty(gaps: Iterable[Gap]) -> list[Gap]:
    """Leave out what hides nothing from who looks now: that somebody stopped the watch, as who checks by a timer does."""
    return [gap for gap in gaps if not (gap.cause is Cause.WATCH_DOWN and gap.words == STOPPED)]


def cut_intervals(gaps: Sequence[Gap], senses: Sequence[Sense], *, since_ns: int, until_ns: int) -> Iterator[Interval]:
    """Cut a time into intervals, in each of which the same sources could see. A gap of one moment is an interval of its own.

    >>> gap = Gap(from_ns=2, to_ns=5, source=Sense.AUDIT, cause=Cause.LOST, words="lost")
    >>> cut = cut_intervals([gap], [Sense.SCAN, Sense.AUDIT], since_ns=0, until_ns=9)
    >>> [(one.from_ns, one.to_ns, len(one.saw)) for one in cut]
    [(0, 2, 2), (2, 5, 1), (5, 9, 2)]
    """
    spans = [(max(gap.from_ns, since_ns), max(min(gap.until(until_ns), until_ns), gap.from_ns + 1), gap) for gap in gaps]
    begins = sorted(spans, key=lambda span: span[0])
    edges = sorted({since_ns, until_ns, *(edge for start, end, _ in spans for edge in (start, end) if since_ns < edge < until_ns)})
    active: list[tuple[int, Gap]] = []
    place = 0
    for start, end in itertools.pairwise(edges):
        active = [(last, gap) for last, gap in active if last > start]
        while place < len(begins) and begins[place][0] <= start:
            if begins[place][1] > start:
                active.append((begins[place][1], begins[place][2]))
            place += 1
        broken = {gap.source for _, gap in active}
        yield Interval(
            from_ns=start, to_ns=end, saw=tuple(one for one in senses if one not in broken), gaps=tuple(gap for _, gap in active)
        )


def unseen_ns(gaps: Iterable[Gap], *, since_ns: int, until_ns: int) -> int:
    """Add up how long it was that something was not seen, what overlaps once."""
    total, end = 0, since_ns
    for gap in sorted(gaps, key=lambda one: one.from_ns):
        last = min(gap.until(until_ns), until_ns)
        total += max(0, last - max(gap.from_ns, end))
        end = max(end, last)
    return total


def render_span(gap: Gap) -> str:
    """Say when.

    >>> render_span(Gap(from_ns=0, to_ns=None, source=Sense.AUDIT, cause=Cause.RULES, words=""))
    'since 1970-01-01T00:00:00Z'
    """
    if gap.to_ns is None:
        return f"since {_when(gap.from_ns)}"
    if gap.to_ns <= gap.from_ns:
        return f"at {_when(gap.from_ns)}"
    return f"from {_when(gap.from_ns)} to {_when(gap.to_ns)}"


def _when(time_ns: int) -> str:
    try:
        return render_time(time_ns // 1_000_000 * 1_000_000)
    except (ValueError, OverflowError, OSError):  # a broken log's
        return f"{time_ns // 1_000_000_000} s"


def render_gap(gap: Gap) -> str:
    """Say when, of which source and why, in a line that a terminal may show."""
    where = "" if gap.path is None else f"{render_path(gap.path)}: "
    counted = f" ({gap.lost} counted)" if gap.lost else ""
    return render_terminal(f"{render_span(gap)}, {gap.source.value}: {where}{gap.words}{counted}")


def say_gaps(gaps: Sequence[Gap]) -> str:
    """Say in a clause what was not seen, the weightiest first; nothing where there is no gap.

    >>> say_gaps([])
    ''
    >>> say_gaps([Gap(from_ns=0, to_ns=0, source=Sense.AUDIT, cause=Cause.LOST, words="records were lost")])
    'not all was seen: records were lost (audit, at 1970-01-01T00:00:00Z); fimkit coverage says more'
    """
    if not gaps:
        return ""
    first: dict[tuple[Sense, str], Gap] = {}
    for gap in sorted(gaps, key=_weight):
        first.setdefault((gap.source, gap.words), gap)
    shown = [f"{_where(gap)}{gap.words} ({gap.source.value}, {render_span(gap)})" for gap in list(first.values())[:_NAMED]]
    left = len(gaps) - len(shown)
    more = [f"and {left} more gap{'s' if left != 1 else ''}"] if left > 0 else []
    return render_terminal("not all was seen: " + "; ".join([*shown, *more]) + "; fimkit coverage says more")


def _where(gap: Gap) -> str:
    return "" if gap.path is None else f"{render_path(gap.path)}: "


def _weight(gap: Gap) -> tuple[bool, int, int]:
    """What lasts comes first, then what hides most, then what took longest."""
    order = (Sense.SCAN, Sense.AUDIT, Sense.OSQUERY, Sense.LIVE)
    return gap.to_ns is not None, order.index(gap.source), gap.from_ns - gap.until(gap.from_ns)


# What the sources said of themselves.

_PAIRS = {
    NoteKind.AUDIT_DISABLED: (NoteKind.AUDIT_ENABLED, Cause.AUDIT_OFF, "auditing was switched off"),
    NoteKind.LOG_ENDED: (NoteKind.LOG_STARTED, Cause.AUDITD, "auditd was stopped: its log has nothing of this time"),
}
_ENDS = {end: begin for begin, (end, _, _) in _PAIRS.items()}


def gaps_of_notes(notes: Iterable[Note], *, until_ns: int, told: Iterable[Gap] = ()) -> tuple[Gap, ...]:
    """Find the gaps that the sources' own words are of.

    Args:
        notes: What the sources said, in any order.
        until_ns: Where the log ends: what begins later is none.
        told: What is known in more detail already: a loss that ends where one of these does is not given again.

    Returns:
        By time; what nothing has ended has no end.
    """
    ends = {gap.to_ns for gap in told}
    ordered = sorted(notes, key=lambda note: note.time_ns)
    found = [
        *_paired(ordered, until_ns), *_removed(ordered), *_incomplete(ordered),
        *(_lost(note) for note in ordered if note.kind is NoteKind.RECORDS_LOST and note.time_ns not in ends),
        *(_moment(note, Cause.CLOCK) for note in ordered if note.kind is NoteKind.CLOCK_STEPPED),
    ]  # fmt: skip
    return tuple(select_gaps(found, since_ns=min((gap.from_ns for gap in found), default=0), until_ns=until_ns))


def _moment(note: Note, cause: Cause) -> Gap:
    return Gap(
        from_ns=note.time_ns, to_ns=note.time_ns, source=Sense(note.source.value), cause=cause,
        words=_EVENT_WORDS.sub("", note.text),
        evidence=tuple(_EVENT.findall(note.text)[:1]),
    )  # fmt: skip


def _paired(notes: Sequence[Note], until_ns: int) -> Iterator[Gap]:
    began: dict[NoteKind, Note] = {}
    for note in notes:
        if note.kind in _PAIRS:
            began.setdefault(note.kind, note)
        elif note.kind in _ENDS and (first := began.pop(_ENDS[note.kind], None)) is not None:
            yield replace(_begun(first), to_ns=note.time_ns)
    for first in began.values():
        if first.time_ns < until_ns:  # else it is the log's end, after which nothing is asked
            yield _begun(first)


def _begun(note: Note) -> Gap:
    _, cause, words = _PAIRS[note.kind]
    gap = _moment(note, cause)
    by = gap.words.partition(" by ")[2]
    return replace(gap, to_ns=None, words=words + (f", by {by}" if by else ""))


def _removed(notes: Sequence[Note]) -> Iterator[Gap]:
    """Count fimkit's rules out and in: from the first that is taken out until as many are in again."""
    out, gap = 0, None
    for note in notes:
        rule = _RULE.match(note.text) if note.kind is NoteKind.RULES_CHANGED else None
        if rule is None or not rule[1].startswith(_OURS):
            continue
        if rule[2] == "removed":
            out += 1
            if gap is None:
                by = _EVENT_WORDS.sub("", note.text[rule.end() :])
                gap = replace(_moment(note, Cause.RULES), to_ns=None, words=f"audit rules of fimkit's were taken out{by}")
            evidence = dict.fromkeys((*gap.evidence, *_EVENT.findall(note.text)[:1]))
            gap = replace(gap, lost=out, evidence=tuple(evidence)[:_MOST_EVIDENCE])
        elif gap is not None:
            out -= 1
            if not out:
                yield replace(gap, to_ns=note.time_ns)
                gap = None
    if gap is not None:
        yield gap


def _incomplete(notes: Sequence[Note]) -> Iterator[Gap]:
    """Make one gap of the events that follow each other closely."""
    gap: Gap | None = None
    for note in notes:
        if note.kind is not NoteKind.INCOMPLETE:
            continue
        one = replace(_moment(note, Cause.INCOMPLETE), words="events lack some of their records", lost=1)
        if gap is not None and note.time_ns - (gap.to_ns or 0) <= _NEAR_NS:
            evidence = (*gap.evidence, *one.evidence)[:_MOST_EVIDENCE]
            gap = replace(gap, to_ns=note.time_ns, lost=(gap.lost or 0) + 1, evidence=evidence)
        else:
            if gap is not None:
                yield gap
            gap = one
    if gap is not None:
        yield gap


def _lost(note: Note) -> Gap:
    """Of records that were lost the note may say when they were last whole; else only when it was noticed."""
    gap, said = _moment(note, Cause.LOST), _BETWEEN.search(note.text)
    if said is None:
        return gap
    try:
        from_ns, to_ns = parse_time(said[1]), parse_time(said[2])
    except (ValueError, OverflowError):
        return gap
    if from_ns > to_ns:
        return gap
    words = (note.text[: said.start()] + note.text[said.end() :]).replace("  ", " ").replace(" :", ":").strip()
    return replace(gap, from_ns=from_ns, to_ns=to_ns, words=words)
