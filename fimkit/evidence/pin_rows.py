"""What packages are trusted by, as of the last time that somebody took it to be good: one row, which a later one replaces."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fimkit.evidence.values import int_in, int_out, text_in, text_out

__all__ = ["PinsRow", "load_pins", "save_pins"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PinsRow:
    """The pins, as JSON has them (nothing in it: they cannot be read); who took them to be good, and when."""

    body: Mapping[str, Any]
    who: str
    time_ns: int


def save_pins(connection: sqlite3.Connection, pins: PinsRow) -> None:
    """Store pins in place of the ones before, in the caller's transaction."""
    connection.execute(
        "INSERT INTO package_pins (one, who, time_ns, body) VALUES (1, ?, ?, ?)"
        " ON CONFLICT (one) DO UPDATE SET who = excluded.who, time_ns = excluded.time_ns, body = excluded.body",
        (text_in(pins.who), int_in(pins.time_ns), json.dumps(dict(pins.body))),
    )


def load_pins(connection: sqlite3.Connection) -> PinsRow | None:
    """Load the pins; nothing where there are none. A row that is no JSON object is one of no keys: it must not end a check."""
    row = connection.execute("SELECT who, time_ns, body FROM package_pins").fetchone()
    if row is None:
        return None
    try:
        body = dict(json.loads(row[2]))
    except (ValueError, TypeError):
        body = {}
    return PinsRow(body=body, who=text_out(row[0]) or "", time_ns=int_out(row[1]) or 0)
