"""Findings of what was done to fimkit's own means: auditing, its rules, auditd, its log, the clock, the watch, its disk. Pure.

They are made of the same gaps that the coverage ledger is of, so that each has its who where one is recorded. An administrator, a
crash or a reboot may be behind any of them: they weigh as the watch tier does, and can start no panic.

Numbers that are missing in the log stay a gap: the kernel gives the same numbers to what ``exclude`` rules leave out, to what it
drops itself, and to what was under way when auditd stopped. Nothing tells these from records that somebody took out, but the
hash of what had been read.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fimkit.model.changes import Note, NoteKind, Source
from fimkit.model.coverage import STOPPED, Cause, Gap, Sense, gaps_of_notes, render_span
from fimkit.model.findings import Finding, Tier, Verdict
from fimkit.verbs.own_findings import find_tampering

__all__ = ["Meddling", "find_meddling", "gaps_that_meddle"]

_NS = 1_000_000_000
_RESTART_NS = 60 * _NS
"""An auditd that an upgrade starts anew is away for less,"""
_RELOAD_NS = 5 * _NS
"""and so are rules that are loaded anew."""
_BOOT_NS = 300 * _NS
_FOLD_NS = 3600 * _NS
"""A clock that is set again and again by the same one, as a time service does, is one finding an hour."""
_MOST = 50
_WHO = re.compile(r" by (?:auid \d+|%?/)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meddling:
    """What a look knows: the gaps of this look, what lasted before it, and when the host was booted, where that is known.

    ``was`` is how the sources stood at the look before; empty where none was. ``audit_log`` and ``state_dir`` are what findings are
    about. ``rules`` is how many rules an install put into the kernel, and ``missing`` how many of them are there no more.
    """

    host: str
    audit_log: bytes
    state_dir: bytes
    was: Mapping[str, Any]
    rules: int
    missing: int
    boot_ns: int | None
    since_ns: int


def gaps_that_meddle(
    opened: Iterable[Gap], over: Iterable[Gap], notes: Sequence[Note], *, lasted: Collection[tuple[Sense, Cause]], until_ns: int
) -> list[Gap]:
    """Give the gaps that one look came upon: those that last now and did not before, those that are over, and what the log says.

    Args:
        opened: What lasts now.
        over: What was found to be over.
        notes: What the sources have said since the look before.
        lasted: The kinds that lasted already at the look before, and were told of then.
        until_ns: The present.
    """
    new = [gap for gap in opened if (gap.source, gap.cause) not in lasted]
    told = [note for note in notes if note.kind is not NoteKind.INCOMPLETE]
    every = [*gaps_of_notes(told, until_ns=until_ns), *over, *new]
    recorded = [gap.from_ns for gap in every if gap.cause is Cause.CLOCK and gap.evidence]
    every = [gap for gap in every if gap.cause is not Cause.CLOCK or gap.evidence or not _has(gap, recorded, until_ns)]
    first: dict[tuple[Cause, int], Gap] = {}
    for gap in every:
        first.setdefault((gap.cause, gap.from_ns), gap)
    return list(first.values())


def _has(gap: Gap, times_ns: Iterable[int], until_ns: int) -> bool:
    """Tell whether one of some times lies in a gap: the step that two clocks show is the one that a record tells of."""
    return any(gap.from_ns - _NS <= one <= gap.until(until_ns) + _NS for one in times_ns)


def find_meddling(look: Meddling, gaps: Iterable[Gap]) -> list[Finding]:
    """Make the findings of gaps: one for each thing that was done, however many records tell of it.

    Args:
        look: What is known beside them.
        gaps: As :func:`gaps_that_meddle` gives them.
    """
    found: list[Finding] = []
    clock: dict[str, int] = {}
    for gap in sorted(gaps, key=lambda one: (one.from_ns, one.cause)):
        if gap.until(gap.from_ns) < look.since_ns or len(found) >= _MOST:
            continue
        judge = _JUDGES.get(gap.cause)
        words = "" if judge is None else judge(look, gap)
        if not words:
            continue
        if gap.cause is Cause.CLOCK:
            who = re.sub(r", pid \d+", "", words)
            if who in clock and gap.from_ns - clock[who] < _FOLD_NS:
                continue
            clock[who] = gap.from_ns
        found.append(_finding(look, gap, words))
    return found


def _finding(look: Meddling, gap: Gap, words: str) -> Finding:
    path = look.state_dir if gap.cause in (Cause.WATCH_DOWN, Cause.CLOCK, Cause.DISK_FULL) else look.audit_log
    return find_tampering(
        look.host, path, key=f"{gap.cause.value} {_key(gap)}", tier=Tier.WATCH,
        verdict=Verdict.UNEXPLAINED, reasons=tuple(_reasons(gap, words)), time_ns=gap.from_ns,
        sources=(Source.AUDIT,) if gap.source is Sense.AUDIT else (Source.SCAN,), evidence=gap.evidence,
    )  # fmt: skip


def _key(gap: Gap) -> str:
    """Name the case: what is recorded by its event, else by when it began."""
    return gap.evidence[0] if gap.evidence else str(gap.from_ns)


def _reasons(gap: Gap, words: str) -> Iterator[str]:
    yield words
    yield render_span(gap)
    if not _WHO.search(words) and gap.source is Sense.AUDIT:
        yield "who did it is not recorded"


def _is_boot(look: Meddling, gap: Gap) -> bool:
    """Tell whether the host was started anew about then: what ends with a reboot is nobody's doing."""
    if look.boot_ns is None:
        return False
    end_ns = gap.until(gap.from_ns) if gap.to_ns is not None else look.boot_ns
    return gap.from_ns <= look.boot_ns <= end_ns + _BOOT_NS and gap.from_ns < look.boot_ns


def _switched_off(look: Meddling, gap: Gap) -> str:
    is_known = bool(gap.evidence) or bool(look.was.get("is_own"))
    return gap.words if is_known and not _is_boot(look, gap) else ""


def _auditd(look: Meddling, gap: Gap) -> str:
    """Stopped by somebody who has a login, or for longer than an upgrade takes."""
    if _is_boot(look, gap) or not (gap.evidence or look.was.get("is_own")):
        return ""
    is_short = gap.to_ns is not None and gap.to_ns - gap.from_ns < _RESTART_NS
    return "" if is_short and not _WHO.search(gap.words) else gap.words


def _rules(look: Meddling, gap: Gap) -> str:
    """Rules that an install has put there, and that somebody took out and did not put back at once."""
    if not look.rules or _is_boot(look, gap):
        return ""
    if not gap.evidence:  # found by comparing: what the configuration asks for since, and was never installed, nobody took out
        words = f"{look.missing} of the {look.rules} audit rules that fimkit put into the kernel are there no more"
        return words if look.missing and gap.to_ns is None and look.was.get("is_own") else ""
    return "" if gap.to_ns is not None and gap.to_ns - gap.from_ns < _RELOAD_NS else gap.words


def _clock(_look: Meddling, gap: Gap) -> str:
    return gap.words


def _killed(look: Meddling, gap: Gap) -> str:
    if gap.words == STOPPED or (look.boot_ns is not None and gap.from_ns < look.boot_ns):
        return ""
    return "the watch was killed: it ended without a word, and the host did not go down"


def _full(_look: Meddling, gap: Gap) -> str:
    return f"{gap.words} (writes that failed: {gap.lost or 1}); what came and went meanwhile may be lost"


_JUDGES: dict[Cause, Callable[[Meddling, Gap], str]] = {
    Cause.AUDIT_OFF: _switched_off,
    Cause.AUDITD: _auditd,
    Cause.RULES: _rules,
    Cause.CLOCK: _clock,
    Cause.WATCH_DOWN: _killed,
    Cause.DISK_FULL: _full,
}
