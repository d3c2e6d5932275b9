"""Judges findings by what was announced: the change that a ticket describes is expected, what departs from it says how. Pure.

Only what is known for sure counts: all that is recorded of the change was done by whom the ticket names, in its time. Without the
hash of its bytes a ticket says nothing of what is in a file: a content rule's hit, an executable where none belongs, stay suspect.
"""

import fnmatch
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from fimkit.evidence.ticket_rows import AnnouncedActor, Ticket, TicketEnd, TicketEvent
from fimkit.model.changes import Actor
from fimkit.model.findings import ANNOUNCED, ANNOUNCED_BYTES, Attribution, Finding, Kind, Tier, Verdict, severity_of
from fimkit.model.paths import join_path, render_path
from fimkit.model.states import FileState, FileType
from fimkit.model.time import render_time
from fimkit.model.watches import WatchSet
from fimkit.verbs.own_findings import find_overdue

__all__ = ["Announced", "find_unmet", "judge_announced", "literal_folder", "matches_path", "render_by"]

_COARSE_NS = 20_000_000
"""The kernel stamps records with a clock that is up to a tick behind."""

_AFTER_NS = 1_000_000_000
_LATE_NS = 24 * 3600 * 1_000_000_000
"""What comes so long after a ticket's end is told that it came too late."""

_WILD = re.compile(r"[*?\[]")
_CAPABILITY = "security.capability"
_DENIED_TRY = "a denied try"


class Announced(NamedTuple):
    """The same findings in the same order, judged anew, and which tickets they meet."""

    findings: list[Finding]
    ends: tuple[TicketEnd, ...] = ()


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[bytes]:
    return re.compile(os.fsencode(fnmatch.translate(pattern.rstrip("/") or "/")))


def matches_path(pattern: str, path: bytes) -> bool:
    """Tell whether a ticket's pattern means a path: the path itself, by name where it has no slash, or a folder that it lies in.

    >>> [matches_path("/srv/app", path) for path in (b"/srv/app", b"/srv/app/x", b"/srv/apple")]
    [True, True, False]
    >>> matches_path("*.conf", b"/etc/x.conf"), matches_path("/srv/[ab]/*", b"/srv/a/x"), matches_path("/", b"/etc")
    (True, True, True)
    """
    compiled = _compiled(pattern)
    if "/" not in pattern:
        return any(map(compiled.match, filter(None, path.split(b"/"))))
    if os.fsencode(pattern) == b"/":
        return True
    return path == os.fsencode(pattern).rstrip(b"/") or any(map(compiled.match, _and_above(path)))


def _and_above(path: bytes) -> Iterator[bytes]:
    yield path
    end = path.rfind(b"/")
    while end > 0:
        yield path[:end]
        end = path.rfind(b"/", 0, end)


def literal_folder(pattern: str) -> bytes:
    """Give the path that a pattern is about, or where it has wild cards the folder that all it means lies in.

    >>> literal_folder("/srv/app/"), literal_folder("/srv/app/*.conf"), literal_folder("*.conf")
    (b'/srv/app', b'/srv/app', b'/')
    """
    if "/" not in pattern:
        return b"/"
    wild = _WILD.search(pattern)
    whole = pattern if wild is None else pattern[: wild.start()].rpartition("/")[0]
    return join_path(b"/", os.fsencode(whole or "/"))


def render_by(ticket: Ticket) -> str:
    """Name those who are to make a change."""
    return " or ".join(one.text for one in ticket.by)


def judge_announced(findings: Iterable[Finding], tickets: Sequence[Ticket]) -> Announced:
    """Judge findings in the light of what was announced.

    A finding that a ticket describes is expected. One that is expected already, by a package's proof, stays as it is, and meets
    the ticket all the same. One at a path of a ticket that departs from it, and one beside it in its time, stay what they are and
    say so.

    Args:
        findings: Of this host's own sources.
        tickets: Any, in any order; those that do not concern a finding say nothing of it.
    """
    findings = list(findings)
    if not tickets:
        return Announced(findings)
    judged, ends = [], []
    for finding in findings:
        now, met = _judge(finding, tickets) if finding.kind not in _NO_CHANGE else (finding, [])
        judged.append(now)
        ends += met
    return Announced(judged, tuple(ends))


_NO_CHANGE = frozenset({Kind.ATTEMPTED, Kind.TAMPERED, Kind.OVERDUE})
"""A denied try changed nothing: it is nobody's plan. The last two are no changes of a path."""


def _judge(finding: Finding, tickets: Sequence[Ticket]) -> tuple[Finding, list[TicketEnd]]:
    ends: list[TicketEnd] = []
    matched: list[str] = []
    departs: list[str] = []
    for ticket in tickets:
        patterns = _patterns_for(ticket, finding)
        if not patterns:
            departs += _beside_words(ticket, finding)
            continue
        but = _departure(ticket, finding)
        if but is None:
            matched.append(_match_words(ticket, finding))
            ends += [_end(ticket, pattern, finding) for pattern in patterns]
        elif but:
            departs.append(f"ticket {ticket.number} does not cover it: announced by {_described(ticket)}, but {but}")
    if finding.verdict is Verdict.EXPECTED:
        return finding, ends
    if matched:
        matched = [words for words in matched if words.startswith(ANNOUNCED_BYTES)] or matched
        severity = severity_of(finding.tier, finding.kind, Verdict.EXPECTED, finding.changed)
        reasons = tuple(dict.fromkeys((*matched, *finding.reasons)))
        return replace(finding, verdict=Verdict.EXPECTED, severity=severity, reasons=reasons), ends
    return replace(finding, reasons=tuple(dict.fromkeys((*finding.reasons, *departs)))) if departs else finding, ends


def _patterns_for(ticket: Ticket, finding: Finding) -> list[str]:
    """Give the patterns that mean a finding; of a move, both ends must be meant."""
    names = [finding.path] if finding.moved_to is None else [finding.path, finding.moved_to]
    if not all(any(matches_path(pattern, name) for pattern in ticket.paths) for name in names):
        return []
    return [pattern for pattern in ticket.paths if any(matches_path(pattern, name) for name in names)]


def _end(ticket: Ticket, pattern: str, finding: Finding) -> TicketEnd:
    time_ns = max(_times(finding), default=finding.first_seen_ns)
    return TicketEnd(ticket=ticket.number, pattern=pattern, event=TicketEvent.MET, finding_id=finding.id, time_ns=time_ns)


def _described(ticket: Ticket) -> str:
    return f"{ticket.who}, for {render_by(ticket)}, until {render_time(ticket.until_ns)}"


def _match_words(ticket: Ticket, finding: Finding) -> str:
    prefix = ANNOUNCED_BYTES if _has_hash(ticket, finding) else ANNOUNCED
    return f"{prefix}ticket {ticket.number} of {_described(ticket)}: {ticket.reason}"


def _has_hash(ticket: Ticket, finding: Finding) -> bool:
    return finding.after is not None and finding.after.type is FileType.FILE and finding.after.sha256 in ticket.sha256


def _times(finding: Finding) -> list[int]:
    """Give when what is recorded of a finding happened: of each actor, and of each event that it stands on."""
    return [actor.time_ns for actor in finding.actors] + [time for one in finding.evidence if (time := _event_ns(one)) is not None]


def _event_ns(event: str) -> int | None:
    seconds, _, rest = event.partition(".")
    millis = rest.partition(":")[0]
    if not (seconds.isascii() and seconds.isdigit() and millis.isascii() and millis.isdigit()):
        return None
    return int(seconds) * 1_000_000_000 + int(millis.ljust(3, "0")[:3]) * 1_000_000


def _changed_ns(finding: Finding) -> int:
    """Give the best that is known of when it happened, where nothing is recorded."""
    changed_ns = None if finding.after is None else finding.after.ctime_ns
    return finding.first_seen_ns if changed_ns is None else min(changed_ns, finding.last_seen_ns)


def _departure(ticket: Ticket, finding: Finding) -> str | None:
    """Say how a finding departs from a ticket for its path.

    Returns:
        ``None`` where it does not; empty where it has nothing to do with it, for it came at another time.
    """
    begin_ns, end_ns = max(ticket.from_ns, ticket.announced_ns) - _COARSE_NS, ticket.end_ns
    times = _times(finding) or [_changed_ns(finding)]
    if all(time < begin_ns for time in times) or all(time > end_ns + _LATE_NS for time in times):
        return ""
    if max(times) > end_ns:
        ended = "its time was over" if ticket.cancelled_ns is None else f"{ticket.cancelled_by} had cancelled it"
        return f"it came at {render_time(max(times))}, when {ended}"
    if min(times) < begin_ns:
        return f"part of it came before, at {render_time(min(times))}"
    if ticket.kinds and finding.kind not in ticket.kinds:
        return f"it is {finding.kind.value}, and announced was {' or '.join(kind.value for kind in ticket.kinds)}"
    return _who_departs(ticket, finding) or _late_change(finding, end_ns) or _hash_departs(ticket, finding) or _suspicion(
        ticket, finding
    )


def _who_departs(ticket: Ticket, finding: Finding) -> str | None:
    if finding.attribution is not Attribution.EXACT or not finding.actors:
        is_either = finding.attribution is Attribution.AMBIGUOUS
        return "two processes could have made it" if is_either else "nothing recorded says for sure who made it"
    others = [actor for actor in finding.actors if not any(_is(actor, one) for one in ticket.by)]
    return f"it was made by {', '.join(dict.fromkeys(map(_render_actor, others)))}" if others else None


def _is(actor: Actor, announced: AnnouncedActor) -> bool:
    """Tell whether a process is the announced one: by its login, which stays through su and sudo, or by its program."""
    if announced.exe is not None:
        return actor.exe == announced.exe
    return announced.auid is not None and actor.auid == announced.auid


def _render_actor(actor: Actor) -> str:
    login = "no login" if actor.auid is None else f"auid {actor.auid}" + (f" ({actor.user})" if actor.user else "")
    return f"{login}, by {render_path(actor.exe or b'?')}"


def _late_change(finding: Finding, end_ns: int) -> str | None:
    changed_ns = None if finding.after is None else finding.after.ctime_ns
    if changed_ns is None or changed_ns <= end_ns + _AFTER_NS:
        return None
    return f"something about it changed again at {render_time(changed_ns)}, when its time was over"


def _hash_departs(ticket: Ticket, finding: Finding) -> str | None:
    after = finding.after
    if not ticket.sha256 or (after is not None and after.type is FileType.DIRECTORY) or _has_hash(ticket, finding):
        return None  # a folder has no bytes: what is in it is announced, or is not, by itself
    if after is None:
        return "it is gone, and announced were bytes"
    if after.type is not FileType.FILE:
        return f"it is a {after.type.value}, and announced were the bytes of a file"
    return "its bytes could not be read" if after.sha256 is None else f"its hash is {after.sha256}, which was not announced"


def _suspicion(ticket: Ticket, finding: Finding) -> str | None:
    """Say what a ticket does not explain: rights gained and denied tries never, what is in a file only by its hash."""
    if _DENIED_TRY in finding.reasons:
        return "a denied try is part of it"
    if _gained(finding.before, finding.after):
        return "it gained rights of its own (set-id or capabilities), which a ticket does not explain"
    if finding.verdict is Verdict.SUSPECT and not _has_hash(ticket, finding):
        return "it is suspect, and only a ticket with its hash explains that"
    return None


def _gained(before: FileState | None, after: FileState | None) -> bool:
    if after is None or after.type is not FileType.FILE:
        return False
    was = 0 if before is None else before.mode or 0
    old = {} if before is None else before.xattrs or {}
    bits = (after.mode or 0) & ~was & (stat.S_ISUID | stat.S_ISGID)
    return bool(bits) or (after.xattrs or {}).get(_CAPABILITY, old.get(_CAPABILITY)) != old.get(_CAPABILITY)


def _beside_words(ticket: Ticket, finding: Finding) -> Iterator[str]:
    """Name the ticket in whose time something else happened in the folder that it is about."""
    begin_ns = max(ticket.from_ns, ticket.announced_ns) - _COARSE_NS
    times = _times(finding) or [_changed_ns(finding)]
    if not any(begin_ns <= time <= ticket.end_ns for time in times):
        return
    names = [finding.path] if finding.moved_to is None else [finding.path, finding.moved_to]
    folders = {name.rpartition(b"/")[0] or b"/" for name in names}
    about = [pattern for pattern in ticket.paths if "/" in pattern and _home(pattern) in folders]
    if about or any(matches_path(pattern, name) for pattern in ticket.paths for name in names):
        shown = ", ".join(about or ticket.paths)
        yield f"not announced: it came in the time of ticket {ticket.number} of {_described(ticket)}, which is for {shown}"


def _home(pattern: str) -> bytes:
    """Give the folder that an announced path lies in."""
    folder = literal_folder(pattern)
    return folder if _WILD.search(pattern) else folder.rpartition(b"/")[0] or b"/"


def find_unmet(
    host: str, tickets: Iterable[Ticket], ends: Iterable[TicketEnd], watches: WatchSet, *, now_ns: int
) -> list[tuple[Finding, TicketEnd]]:
    """Find what was announced and never came: for each path of a ticket whose time is over, once.

    Args:
        host: The host's name.
        tickets: All of them; one that was cancelled is not waited for.
        ends: What came of them until now.
        watches: For the tier of what it is about.
        now_ns: Up to when all that came is known.
    """
    settled = {(one.ticket, one.pattern) for one in ends}
    return [
        _overdue(host, ticket, pattern, watches)
        for ticket in tickets
        if ticket.cancelled_ns is None and ticket.until_ns < now_ns
        for pattern in ticket.paths
        if (ticket.number, pattern) not in settled
    ]


def _overdue(host: str, ticket: Ticket, pattern: str, watches: WatchSet) -> tuple[Finding, TicketEnd]:
    path = literal_folder(pattern)
    watch = watches.watch_of(path)
    what = f"announced by {_described(ticket)}, and nothing came that is just so: {pattern}"
    finding = find_overdue(
        host, path, key=f"ticket {ticket.number}: {pattern}", tier=Tier.WATCH if watch is None else watch.tier,
        reasons=(f"ticket {ticket.number}: {what}", f"its reason was: {ticket.reason}"), time_ns=ticket.until_ns,
    )  # fmt: skip
    end = TicketEnd(
        ticket=ticket.number, pattern=pattern, event=TicketEvent.OVERDUE, finding_id=finding.id, time_ns=ticket.until_ns
    )
    return finding, end
