"""Announced changes: a row a ticket, and what came of each of its paths. None is ever dropped."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fimkit.evidence.values import int_in, int_out, text_in, text_out
from fimkit.model.findings import Kind

__all__ = [
    "AnnouncedActor", "Ticket", "TicketEnd", "TicketEvent", "add_ends", "add_ticket", "cancel_ticket", "load_ends", "load_tickets",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedActor:
    """Who is to make the change: a login id or a program. ``text`` is how it was announced."""

    text: str
    auid: int | None = None
    exe: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One announced change.

    ``paths`` are patterns on the whole path, or on the name when without a slash, and mean all below too. ``sha256`` and ``kinds``
    are empty where any will do. ``who`` announced it, under the login ``auid`` (``None`` is no login), at ``announced_ns``.
    """

    number: int
    paths: tuple[str, ...]
    by: tuple[AnnouncedActor, ...]
    from_ns: int
    until_ns: int
    sha256: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    reason: str
    who: str
    auid: int | None = None
    announced_ns: int
    cancelled_ns: int | None = None
    cancelled_by: str | None = None

    @property
    def end_ns(self) -> int:
        """Up to when it holds: its end, or when it was cancelled."""
        return self.until_ns if self.cancelled_ns is None else min(self.until_ns, self.cancelled_ns)


class TicketEvent(StrEnum):
    """What came of one path of a ticket."""

    MET = "met"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketEnd:
    """What came of one path of a ticket: a finding that matched it, or that there was none when its time was over."""

    ticket: int
    pattern: str
    event: TicketEvent
    finding_id: str
    time_ns: int


def add_ticket(connection: sqlite3.Connection, ticket: Ticket) -> int:
    """Store a ticket, whatever number it says, in the caller's transaction; give the number that it has now."""
    body = {
        "paths": list(ticket.paths),
        "by": [[one.text, one.auid, None if one.exe is None else one.exe.hex()] for one in ticket.by],
        "sha256": list(ticket.sha256),
        "kinds": [kind.value for kind in ticket.kinds],
    }
    done = connection.execute(
        "INSERT INTO tickets (who, auid, announced_ns, from_ns, until_ns, reason, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            text_in(ticket.who), ticket.auid, int_in(ticket.announced_ns), int_in(ticket.from_ns), int_in(ticket.until_ns),
            text_in(ticket.reason), json.dumps(body),
        ),
    )  # fmt: skip
    assert done.lastrowid is not None
    return done.lastrowid


def cancel_ticket(connection: sqlite3.Connection, number: int, *, who: str, time_ns: int) -> bool:
    """End a ticket that holds, or is to hold; tell whether there was one."""
    done = connection.execute(
        "UPDATE tickets SET cancelled_ns = ?, cancelled_by = ? WHERE id = ? AND cancelled_ns IS NULL AND until_ns > ?",
        (int_in(time_ns), text_in(who), number, int_in(time_ns)),
    )
    return done.rowcount == 1


def load_tickets(connection: sqlite3.Connection) -> list[Ticket]:
    """Load all, in the order of their numbers. One whose terms cannot be read matches nothing, and is there to be seen."""
    rows = connection.execute(
        "SELECT id, who, auid, announced_ns, from_ns, until_ns, reason, body, cancelled_ns, cancelled_by FROM tickets ORDER BY id"
    )
    return [
        Ticket(
            number=number, who=text_out(who) or "", auid=auid, announced_ns=int_out(announced_ns) or 0,
            from_ns=int_out(from_ns) or 0, until_ns=int_out(until_ns) or 0, reason=text_out(reason) or "",
            cancelled_ns=int_out(cancelled_ns), cancelled_by=text_out(cancelled_by), **_terms(body),
        )
        for number, who, auid, announced_ns, from_ns, until_ns, reason, body, cancelled_ns, cancelled_by in rows
    ]  # fmt: skip


def _terms(body: str) -> Mapping[str, Any]:
    try:
        terms = json.loads(body)
        return {
            "paths": tuple(map(str, terms["paths"])),
            "by": tuple(
                AnnouncedActor(text=str(text), auid=auid, exe=None if exe is None else bytes.fromhex(exe))
                for text, auid, exe in terms["by"]
            ),
            "sha256": tuple(map(str, terms["sha256"])),
            "kinds": tuple(map(Kind, terms["kinds"])),
        }
    except (KeyError, TypeError, ValueError):
        return {"paths": (), "by": ()}


def add_ends(connection: sqlite3.Connection, ends: Iterable[TicketEnd]) -> None:
    """Store what came of tickets, each once however often it is given, in the caller's transaction."""
    connection.executemany(
        "INSERT OR IGNORE INTO ticket_ends (ticket, pattern, event, finding, time_ns) VALUES (?, ?, ?, ?, ?)",
        ((one.ticket, text_in(one.pattern), one.event.value, one.finding_id, int_in(one.time_ns)) for one in ends),
    )


def load_ends(connection: sqlite3.Connection) -> list[TicketEnd]:
    """Load what came of all tickets, in the order of time."""
    rows = connection.execute("SELECT ticket, pattern, event, finding, time_ns FROM ticket_ends ORDER BY time_ns, ticket, pattern")
    return [
        TicketEnd(
            ticket=ticket, pattern=text_out(pattern) or "", event=TicketEvent(event), finding_id=finding,
            time_ns=int_out(time_ns) or 0,
        )
        for ticket, pattern, event, finding, time_ns in rows
    ]  # fmt: skip
