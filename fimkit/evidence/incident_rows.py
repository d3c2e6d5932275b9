"""The incidents of a host: one row a panic, from its first moment on, brought up to date when it is over. None is ever dropped."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fimkit.evidence.values import int_in, int_out, text_in, text_out

__all__ = ["IncidentRow", "load_incidents", "save_incident"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRow:
    """One incident.

    ``id`` is its name, ``phase`` how far it came (``triggered``, ``cut``, ``test``, …), ``folder`` where its evidence is, and
    ``steps`` what was done, as JSON objects.
    """

    id: str
    host: str
    cause: str
    triggered_ns: int
    updated_ns: int
    phase: str
    folder: bytes
    steps: tuple[Mapping[str, Any], ...] = ()


def save_incident(connection: sqlite3.Connection, row: IncidentRow) -> None:
    """Store an incident, in place of what was known of it, in the caller's transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO incidents (id, host, cause, triggered_ns, updated_ns, phase, folder, steps)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            text_in(row.id), text_in(row.host), text_in(row.cause), int_in(row.triggered_ns), int_in(row.updated_ns),
            text_in(row.phase), row.folder, json.dumps([dict(step) for step in row.steps]),
        ),
    )  # fmt: skip


def load_incidents(connection: sqlite3.Connection) -> list[IncidentRow]:
    """Load all of them, in the order of time. Steps that cannot be read are none: the rest of the row is still to be had."""
    rows = connection.execute(
        "SELECT id, host, cause, triggered_ns, updated_ns, phase, folder, steps FROM incidents ORDER BY triggered_ns, id"
    )
    return [
        IncidentRow(
            id=text_out(name) or "", host=text_out(host) or "", cause=text_out(cause) or "",
            triggered_ns=int_out(triggered_ns) or 0, updated_ns=int_out(updated_ns) or 0, phase=text_out(phase) or "",
            folder=folder, steps=_steps(steps),
        )
        for name, host, cause, triggered_ns, updated_ns, phase, folder, steps in rows
    ]  # fmt: skip


def _steps(text: str) -> tuple[Mapping[str, Any], ...]:
    try:
        return tuple(dict(step) for step in json.loads(text))
    except (TypeError, ValueError):
        return ()
