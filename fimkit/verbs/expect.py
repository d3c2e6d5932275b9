"""Announces changes, lists and cancels what was announced; where the host is armed, others are told."""

import os
import pwd
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fimkit.evidence.ticket_rows import AnnouncedActor, Ticket, TicketEnd, TicketEvent
from fimkit.model.config import Config
from fimkit.model.errors import HostError, UsageError, clip
from fimkit.model.findings import Kind, Tier
from fimkit.model.paths import is_below, join_path, parse_path, render_path, render_terminal
from fimkit.model.time import render_time
from fimkit.model.watches import WatchSet
from fimkit.verbs.baseline import open_baseline
from fimkit.verbs.caller import load_caller
from fimkit.verbs.effective import effective_watches
from fimkit.verbs.expected_changes import literal_folder, matches_path, render_by
from fimkit.verbs.panic_notices import notify_if_armed
from fimkit.verbs.report_file import append_lines
from fimkit.verbs.since import parse_ahead

__all__ = [
    "ANNOUNCED_KINDS", "Announcement", "Told", "announce", "cancel", "find_doubts", "list_tickets", "plan_ticket", "render_row",
    "render_ticket",
]  # fmt: skip

ANNOUNCED_KINDS = tuple(kind for kind in Kind if kind.lasts or kind is Kind.TRANSIENT)
"""What can be announced: a change, and a file that comes and goes."""

_MOST_NS = 30 * 86_400 * 1_000_000_000
_SHOWN_NS = 31 * 86_400 * 1_000_000_000
_MOST_CHARS = 1000
_MOST_PATHS = 100
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WILD = re.compile(r"[*?\[]")
_ANY_NAME = b"\xf0\x9d\x94\xb2-any"
"""A name that nobody has: what matches it matches any."""
_NOTICE = 5  # as syslog's priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a caller says, as it was typed."""

    paths: tuple[str, ...]
    by: tuple[str, ...]
    until: str
    begin: str | None = None
    sha256: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A stored ticket, and words on what came of telling others."""

    ticket: Ticket
    words: tuple[str, ...]


def _uid_of(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):
        return None


def plan_ticket(
    announcement: Announcement, *, now_ns: int, who: str, auid: int | None, uid_of: Callable[[str], int | None] = _uid_of
) -> Ticket:
    """Read an announcement; nothing is stored. What already happened cannot be announced: it is accepted, or not.

    Args:
        announcement: What was said.
        now_ns: The present.
        who: Who announces it.
        auid: Under which login.
        uid_of: Gives a user's id.

    Raises:
        UsageError: If something of it cannot be meant.
    """
    until_ns = parse_ahead(announcement.until, now_ns=now_ns)
    from_ns = now_ns if announcement.begin is None else parse_ahead(announcement.begin, now_ns=now_ns)
    if from_ns < now_ns:
        raise UsageError("--from is over: what happened before it was announced is looked at, and accepted with `baseline accept`")
    if until_ns <= from_ns:
        words = "is over, or before --from; expected a time to come, as 2h or RFC 3339"
        raise UsageError(f"--until {clip(announcement.until)} {words}")
    reason = announcement.reason.strip()
    if not reason or len(reason) > _MOST_CHARS or not reason.isprintable():
        raise UsageError(f"{clip(announcement.reason)} is no reason, expected one line of words for those who ask later")
    hashes = tuple(dict.fromkeys(map(str.lower, announcement.sha256)))
    for word in hashes:
        if not _SHA256.fullmatch(word):
            raise UsageError(f"{clip(word)} is no SHA-256, expected 64 hexadecimal digits")
    if not announcement.paths or len(announcement.paths) > _MOST_PATHS:
        raise UsageError(f"{len(announcement.paths)} paths, expected 1 to {_MOST_PATHS}: a pattern stands for many")
    return Ticket(
        number=0, paths=tuple(dict.fromkeys(map(_read_pattern, announcement.paths))),
        by=tuple(dict.fromkeys(_read_actor(word, uid_of) for word in announcement.by)), from_ns=from_ns, until_ns=until_ns,
        sha256=hashes, kinds=tuple(dict.fromkeys(map(Kind, announcement.kinds))), reason=reason, who=who, auid=auid,
        announced_ns=now_ns,
    )  # fmt: skip


def _read_pattern(word: str) -> str:
    if not word or "\0" in word or len(word) > 4096:
        raise UsageError(f"{clip(word)} is no pattern of paths")
    if word.startswith(("./", "../")):
        word = os.fsdecode(join_path(os.getcwdb(), os.fsencode(word)))
    if "/" not in word:
        return word
    if word[0] not in "/*?[":
        raise UsageError(f"{clip(word)} can never match: with a slash it is for the whole path, so it begins with / or *")
    if _WILD.search(word):
        return word
    literal = join_path(b"/", os.fsencode(word))
    if "%" in word and not os.path.lexists(literal):  # as fimkit prints it
        literal = join_path(b"/", parse_path(word))
    return os.fsdecode(literal)


def _read_actor(word: str, uid_of: Callable[[str], int | None]) -> AnnouncedActor:
    """Read a program's path, a login id, or a user's name, which stands for the login id that it has now."""
    if word.startswith("/"):
        return AnnouncedActor(text=render_path(os.fsencode(word)), exe=join_path(b"/", os.fsencode(word)))
    if word.isascii() and word.isdigit():
        if int(word) >= 0xFFFFFFFF:
            raise UsageError(f"--by {word} is no login id")
        return AnnouncedActor(text=f"auid {int(word)}", auid=int(word))
    uid = uid_of(word) if word.isprintable() else None
    if uid is None:
        raise UsageError(f"--by {clip(word)} is no user of this host; expected a login's name or id, or a program's whole path")
    return AnnouncedActor(text=f"{word} (auid {uid})", auid=uid)


def find_doubts(config: Config, ticket: Ticket) -> list[str]:
    """Say what a person should be asked about: a ticket for a whole critical tree, or for more than 30 days."""
    doubts = []
    if ticket.until_ns - ticket.announced_ns > _MOST_NS:
        doubts.append(f"it holds until {render_time(ticket.until_ns)}, which is more than 30 days away")
    for watch in effective_watches(config.paths):
        if watch.tier is not Tier.CRITICAL or not os.path.isdir(watch.path):
            continue
        inside = join_path(watch.path, _ANY_NAME)
        covers = [pattern for pattern in ticket.paths if matches_path(pattern, inside)]
        if covers:
            shown = render_path(watch.path)
            doubts.append(f"{clip(covers[0])} means all in {shown}, which is critical: whatever {render_by(ticket)} changes there")
    return doubts


def announce(config: Config, ticket: Ticket) -> Told:
    """Store a ticket; this host's log and the report file have it, and where the host is armed the panic recipients.

    Raises:
        UsageError: If there is no baseline.
        HostError: If the host refuses the store.
    """
    store, _ = open_baseline(config)
    with store:
        number = store.add_ticket(ticket)
    ticket = replace(ticket, number=number)
    line = f"ticket {number} announced by {ticket.who}: {render_ticket(ticket)}"
    words = [*_unseen_words(config, ticket), *_tell(config, "change announced", [line, "What is just so starts no panic."])]
    return Told(ticket=ticket, words=tuple(words))


def cancel(config: Config, number: int) -> Told:
    """End a ticket before its time; what came until now stays as it was judged.

    Raises:
        UsageError: If there is no such ticket, or it is over.
    """
    who, now_ns = load_caller(), time.time_ns()
    store, _ = open_baseline(config)
    with store:
        found = store.cancel_ticket(number, who=who, time_ns=now_ns)
        ticket = next((one for one in store.tickets() if one.number == number), None)
    if ticket is None:
        raise UsageError(f"no ticket {number}; `fimkit expect list` shows them")
    if not found:
        over = "was cancelled" if ticket.cancelled_ns is not None else "ended"
        raise UsageError(f"ticket {number} {over} at {render_time(ticket.end_ns)}")
    line = f"ticket {number} of {ticket.who} was cancelled by {who}: {render_ticket(ticket)}"
    return Told(ticket=ticket, words=tuple(_tell(config, "announced change cancelled", [line])))


def _tell(config: Config, subject: str, lines: Sequence[str]) -> Iterator[str]:
    lines = [render_terminal(line) for line in lines]
    notice = notify_if_armed(config, subject, lines)
    if notice is not None:
        yield f"this host is armed: {notice}"
    else:
        from fimkit.notify.journal import log_locally

        log_locally(f"{subject}: {' '.join(lines)}", priority=_NOTICE, fields={"FIMKIT_KIND": "notice"})
    try:
        append_lines(config.host.report_file, [f"{render_time(time.time_ns())} {config.host.name} {line}" for line in lines[:1]])
    except HostError as error:
        yield str(error)


def _unseen_words(config: Config, ticket: Ticket) -> Iterator[str]:
    """Say of which paths nothing can be seen: a ticket for them can only become overdue."""
    watches = effective_watches(config.paths)
    every = WatchSet(watches)
    for pattern in ticket.paths:
        folder = literal_folder(pattern)
        around = every.watch_of(folder, is_folder=True) is not None
        if not around and not any(is_below(watch.path, folder) for watch in watches):
            yield f"{clip(pattern)} is in no watched path: nothing of it is ever seen, and the ticket will be overdue"


def list_tickets(config: Config, *, every: bool = False) -> list[tuple[Ticket, list[TicketEnd]]]:
    """Load the tickets that hold, are to hold, or ended within a month, or all; and what came of each.

    Raises:
        UsageError: If there is no baseline.
    """
    store, _ = open_baseline(config)
    since_ns = time.time_ns() - _SHOWN_NS
    with store, store.reading():
        ends = store.ticket_ends()
        return [
            (ticket, [end for end in ends if end.ticket == ticket.number])
            for ticket in store.tickets()
            if every or ticket.end_ns > since_ns
        ]


def _state(ticket: Ticket, ends: Iterable[TicketEnd], now_ns: int) -> str:
    """Give one word for a ticket: to come, open, met, overdue, over, cancelled."""
    ends = list(ends)
    met = {end.pattern for end in ends if end.event is TicketEvent.MET}
    if met.issuperset(ticket.paths):
        return "met"
    if ticket.cancelled_ns is not None:
        return "cancelled"
    if any(end.event is TicketEvent.OVERDUE for end in ends):
        return "overdue"
    if now_ns > ticket.until_ns:
        return "over"  # and no look has been taken since
    return "to come" if now_ns < ticket.from_ns else "open"


def render_ticket(ticket: Ticket) -> str:
    """Write a ticket's terms in a line."""
    what = ", ".join(render_path(os.fsencode(pattern)) for pattern in ticket.paths)
    kinds = f" ({' or '.join(kind.value for kind in ticket.kinds)})" if ticket.kinds else ""
    bytes_ = f", with {len(ticket.sha256)} hash{'' if len(ticket.sha256) == 1 else 'es'}" if ticket.sha256 else ""
    times = f"from {render_time(ticket.from_ns)} until {render_time(ticket.until_ns)}"
    return f"{what}{kinds} by {render_by(ticket)}, {times}{bytes_}: {ticket.reason}"


def render_row(ticket: Ticket, ends: Sequence[TicketEnd], *, now_ns: int) -> dict[str, Any]:
    """Give a ticket as an object for JSON; ``state`` is to come, open, met, overdue, over (no look since) or cancelled."""
    met = [end for end in ends if end.event is TicketEvent.MET]
    return {
        "ticket": ticket.number,
        "state": _state(ticket, ends, now_ns),
        "paths": [render_path(os.fsencode(pattern)) for pattern in ticket.paths],
        "by": [{"name": one.text, "auid": one.auid, "exe": None if one.exe is None else render_path(one.exe)} for one in ticket.by],
        "from": render_time(ticket.from_ns),
        "until": render_time(ticket.until_ns),
        "sha256": list(ticket.sha256),
        "kinds": [kind.value for kind in ticket.kinds],
        "reason": ticket.reason,
        "who": ticket.who,
        "auid": ticket.auid,
        "announced": render_time(ticket.announced_ns),
        "cancelled": None if ticket.cancelled_ns is None else render_time(ticket.cancelled_ns),
        "cancelled_by": ticket.cancelled_by,
        "findings": list(dict.fromkeys(end.finding_id for end in met)),
        "overdue": [render_path(os.fsencode(end.pattern)) for end in ends if end.event is TicketEvent.OVERDUE],
    }
