"""Judges what of a host's state keeps its sources from seeing: gaps that last, gaps that are over, and what to remember. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fimkit.evidence.full_disk import FullDisk
from fimkit.model.changes import Note, NoteKind
from fimkit.model.coverage import STOPPED, Cause, Gap, Sense, gaps_of_notes
from fimkit.model.paths import render_terminal
from fimkit.model.records import BadLine
from fimkit.verbs.coverage_host import HostSight
from fimkit.verbs.gather import Gathered
from fimkit.verbs.watch_status import WatchStatus

__all__ = [
    "LONG_NS", "STEP_NS", "GapsNow", "first_enabling", "gaps_of_full_disk", "gaps_of_gathered", "gaps_of_watch", "judge_host",
    "step_of",
]  # fmt: skip

STEP_NS = 2_000_000_000
"""The wall clock may drift this far from the other between two looks; more is a step."""
LONG_NS = 36 * 3600 * 1_000_000_000
"""A host that was not looked at for so long was not checked each day."""
_MOST_NAMED = 5
_CODES = {
    "audit-off": Cause.AUDIT_OFF, "audit-no-owner": Cause.AUDITD, "audit-other-owner": Cause.AUDITD,
}  # fmt: skip
_KERNEL = frozenset(
    (Sense.AUDIT, cause)
    for cause in (Cause.AUDIT_OFF, Cause.AUDITD, Cause.RULES, Cause.NEVER_TASK, Cause.NO_CONTEXT, Cause.UNASKED)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GapsNow:
    """What lasts (``open``) of the kinds that were ``judged``, what is over, and what the next judgement is to know."""

    open: tuple[Gap, ...] = ()
    over: tuple[Gap, ...] = ()
    judged: frozenset[tuple[Sense, Cause]] = frozenset()
    state: Mapping[str, Any] | None = None


def step_of(was: Mapping[str, Any], *, now_ns: int, boot_clock_ns: int, boot_id: str) -> int:
    """Tell by how many nanoseconds the wall clock was set since, on the same boot; 0 where it was not.

    >>> step_of({"boot_id": "b", "asked_ns": 100, "boot_clock_ns": 50}, now_ns=86400 * 10**9, boot_clock_ns=60, boot_id="b") > 0
    True
    """
    if was.get("boot_id") != boot_id or "boot_clock_ns" not in was:
        return 0
    step = (now_ns - boot_clock_ns) - (int(was["asked_ns"]) - int(was["boot_clock_ns"]))
    return step if abs(step) > STEP_NS else 0


def first_enabling(notes: Iterable[Note], boot_s: float | None) -> float | None:
    """Give when auditing was first switched on since the boot, as far as the notes reach back."""
    return min(
        (note.time_ns / 1e9 for note in notes if note.kind is NoteKind.AUDIT_ENABLED and note.time_ns / 1e9 >= (boot_s or 0)),
        default=None,
    )


def judge_host(
    sight: HostSight, was: Mapping[str, Any], notes: Sequence[Note], *, known: Sequence[Gap] = (), reads_kernel: bool = False
) -> GapsNow:
    """Judge one moment by what was known before.

    Args:
        sight: The moment.
        was: ``state`` of the judgement before; empty for the first.
        notes: What the sources said of themselves: they may know the beginning better.
        known: The gaps that are stored: what the notes say of one that is over is settled.
        reads_kernel: A watch hears the kernel's records: that nobody writes a log hides nothing.
    """
    settled = {(gap.source, gap.cause, gap.from_ns) for gap in known if gap.to_ns is not None}
    said = [gap for gap in gaps_of_notes(notes, until_ns=sight.now_ns)
            if gap.to_ns is None and (gap.source, gap.cause, gap.from_ns) not in settled]  # fmt: skip
    begins = {gap.cause: gap for gap in said}
    asked_ns = min(int(was.get("asked_ns", sight.now_ns)), sight.now_ns)
    last_ns = asked_ns if was.get("boot_id") == sight.boot_id else sight.now_ns
    found = [_lasting(cause, words, last_ns, begins.get(cause)) for cause, words in _kernel_words(sight, reads_kernel)]
    judged = set(_KERNEL) if sight.status is not None else {(Sense.AUDIT, Cause.UNASKED)} if sight.refusal else set()
    if sight.status is not None:
        lasting = {gap.cause for gap in found}
        over = [replace(gap, to_ns=sight.now_ns) for gap in said
                if (gap.source, gap.cause) in _KERNEL and gap.cause not in lasting]  # fmt: skip
    else:
        over = []
    over += [*_steps(sight, was, asked_ns), *_lost(sight, was, last_ns), *_restarted(sight, was, asked_ns)]
    if sight.osqueryd is not None or was.get("osqueryd"):
        judged.add((Sense.OSQUERY, Cause.OSQUERYD))
        if sight.osqueryd is None:
            words = "osqueryd does not run"
            found.append(Gap(from_ns=last_ns, to_ns=None, source=Sense.OSQUERY, cause=Cause.OSQUERYD, words=words))
    return GapsNow(open=tuple(found), over=tuple(over), judged=frozenset(judged), state=_state(sight, was))


def _lasting(cause: Cause, words: str, last_ns: int, said: Gap | None) -> Gap:
    """Make the gap of what is so now; the records may tell when it began, and who began it."""
    gap = Gap(from_ns=last_ns, to_ns=None, source=Sense.AUDIT, cause=cause, words=words)
    if said is None:
        return gap
    return replace(gap, from_ns=said.from_ns, words=f"{words}; {said.words}", evidence=said.evidence)


def _kernel_words(sight: HostSight, reads_kernel: bool) -> Iterator[tuple[Cause, str]]:
    if sight.refusal:
        yield Cause.UNASKED, f"whether the kernel records cannot be asked: {sight.refusal}"
    if sight.status is None:
        return
    by_cause: dict[Cause, list[str]] = {}
    for code, words in (sight.deaf or {}).items():
        cause = _CODES.get(code)
        if cause is not None and not (cause is Cause.AUDITD and reads_kernel):
            by_cause.setdefault(cause, []).append(words)
    if sight.rules or sight.obstacles:
        by_cause[Cause.RULES] = [*([sight.rules] if sight.rules else []), *sight.obstacles]
    if sight.is_never_task:
        by_cause[Cause.NEVER_TASK] = ["a rule never,task keeps every process that starts under it from being recorded"]
    if sight.older:
        named = ", ".join(f"{pid} {render_terminal(name)}" for pid, name in sight.older[:_MOST_NAMED])
        more = ", …" if len(sight.older) > _MOST_NAMED else ""
        by_cause[Cause.NO_CONTEXT] = [
            f"{len(sight.older)} processes started before auditing was switched on, and are never recorded: {named}{more}"
        ]
    yield from ((cause, "; ".join(words)) for cause, words in by_cause.items())


def _steps(sight: HostSight, was: Mapping[str, Any], asked_ns: int) -> Iterator[Gap]:
    step = step_of(was, now_ns=sight.now_ns, boot_clock_ns=sight.boot_clock_ns, boot_id=sight.boot_id)
    if step:
        way = "forward" if step > 0 else "back"
        words = f"the clock was set {way} by {abs(step) / 1e9:.0f} s: times before and after do not compare"
        # one that follows another, back and forth, begins where that one began: it is another gap all the same
        from_ns, to_ns = asked_ns + 1 if step > 0 else sight.now_ns, max(int(was["asked_ns"]), sight.now_ns)
        yield Gap(from_ns=from_ns, to_ns=to_ns, source=Sense.AUDIT, cause=Cause.CLOCK, words=words)


def _lost(sight: HostSight, was: Mapping[str, Any], last_ns: int) -> Iterator[Gap]:
    if sight.status is None or "lost" not in was:
        return
    before = int(was["lost"]) if was.get("boot_id") == sight.boot_id else 0
    if sight.status.lost > before:
        yield Gap(from_ns=last_ns, to_ns=sight.now_ns, source=Sense.AUDIT, cause=Cause.LOST,
                  words="the kernel dropped records", lost=sight.status.lost - before)  # fmt: skip


def _restarted(sight: HostSight, was: Mapping[str, Any], asked_ns: int) -> Iterator[Gap]:
    """The osqueryd that is another process than the last time was away for a while, and its subscribers with it."""
    before = was.get("osqueryd")
    if before and sight.osqueryd is not None and abs(sight.osqueryd[1] - int(before[1])) > STEP_NS:
        yield Gap(from_ns=min(asked_ns, sight.osqueryd[1]), to_ns=max(asked_ns, sight.osqueryd[1]), source=Sense.OSQUERY,
                  cause=Cause.OSQUERYD, words="osqueryd was started anew")  # fmt: skip


def _state(sight: HostSight, was: Mapping[str, Any]) -> dict[str, Any]:
    osqueryd = sight.osqueryd if sight.osqueryd is not None else was.get("osqueryd")
    state: dict[str, Any] = {
        "asked_ns": sight.now_ns, "boot_id": sight.boot_id, "boot_clock_ns": sight.boot_clock_ns,
        "is_own": bool(was.get("is_own")) or sight.status is not None,
        "osqueryd": list(osqueryd) if osqueryd else None,
    }  # fmt: skip
    if sight.status is not None:
        state["lost"] = sight.status.lost
    elif was.get("boot_id") == sight.boot_id and "lost" in was:
        state["lost"] = was["lost"]
    return state


def gaps_of_gathered(
    source: Sense, gathered: Gathered, *, last_ns: int, now_ns: int, notes: Sequence[Note] = ()
) -> list[Gap]:
    """Give the gaps that one reading of a log came upon.

    Args:
        source: Whose log.
        gathered: What was read.
        last_ns: When it was read before.
        now_ns: The present.
        notes: What the sources said: an auditd whose end is in its log is told of by that.
    """

    def gap(cause: Cause, words: str, *, from_ns: int = last_ns, to_ns: int = now_ns, lost: int | None = None) -> Gap:
        return Gap(from_ns=min(from_ns, to_ns), to_ns=to_ns, source=source, cause=cause, words=words, lost=lost)

    found = [gap(Cause.LOG_GONE, words) for words in gathered.lost]
    for one in gathered.missing:
        count = one.last - one.first + 1
        words = f"the log lacks the serials {one.first} to {one.last}: events were lost, or taken out"
        found.append(gap(Cause.SERIALS, words, from_ns=one.from_ms * 1_000_000, to_ns=one.to_ms * 1_000_000, lost=count))
    ends = [note.time_ns for note in notes if note.kind is NoteKind.LOG_ENDED]
    for from_ms, to_ms in gathered.restarts:
        if not any(from_ms * 1_000_000 <= end <= to_ms * 1_000_000 for end in ends):
            words = "auditd ended without a word, and was started again"
            found.append(gap(Cause.AUDITD, words, from_ns=from_ms * 1_000_000, to_ns=to_ms * 1_000_000))
    bad = len(gathered.bad_lines) + sum(gathered.uncounted.values())
    if bad:
        found.append(gap(Cause.BAD_LINES, f"lines of the log could not be read{_first(gathered.bad_lines)}", lost=bad))
    return found


def gaps_of_full_disk(full: FullDisk | None, was: Mapping[str, Any]) -> tuple[Gap, ...]:
    """Give the gap of writes that failed since the judgement before, whose ``full_ns`` is up to when that was told of."""
    told_ns = int(was.get("full_ns", 0))
    if full is None or full.to_ns <= told_ns:
        return ()
    words = "the disk was full: what fimkit saw could not be stored"
    return (Gap(from_ns=max(full.from_ns, told_ns), to_ns=full.to_ns, source=Sense.SCAN, cause=Cause.DISK_FULL, words=words,
                lost=full.writes),)  # fmt: skip


def _first(lines: Sequence[BadLine]) -> str:
    return f", the first is {lines[0].file}:{lines[0].line}" if lines else ""


def gaps_of_watch(status: WatchStatus | None, *, now_ns: int) -> tuple[Gap, ...]:
    """Give the gap of a watch that was at work, and is not now."""
    if status is None or status.running or not (status.stopped_ns or status.written_ns):
        return ()
    words = STOPPED if status.stopped_ns else "the watch ended without a word: it was killed, or the host went down"
    from_ns = min(status.stopped_ns or status.written_ns, now_ns)
    return (Gap(from_ns=from_ns, to_ns=None, source=Sense.LIVE, cause=Cause.WATCH_DOWN, words=words),)
