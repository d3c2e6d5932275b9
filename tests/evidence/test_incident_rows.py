"""A panic's row in the store: there from its first moment, brought up to date, never dropped."""

import sqlite3
from dataclasses import replace

from fimkit.evidence.connection import store_path
from fimkit.evidence.incident_rows import IncidentRow
from fimkit.evidence.store import Store

__all__: list[str] = []

FIRST = IncidentRow(
    id="2026-11-22T103000Z", host="web01", cause="modified /sbin/init\udcff", triggered_ns=2**63 + 7, updated_ns=2**63 + 8,
    phase="triggered", folder=b"/var/lib/fimkit/panic/incidents/\xff",
)
YEAR_NS = 365 * 86_400 * 1_000_000_000


def test_an_incident_is_brought_up_to_date_in_its_place(store: Store) -> None:
    assert store.incidents() == []
    store.add_incident(FIRST)
    assert store.incidents() == [FIRST]
    later = replace(FIRST, phase="cut", updated_ns=9, steps=({"step": "cut", "status": "ok", "words": "eth0 \u2014 ü"},))
    store.add_incident(later)
    assert store.incidents() == [later]


def test_incidents_come_in_the_order_of_time_and_no_limit_drops_them(store: Store) -> None:
    store.add_incident(replace(FIRST, id="b", triggered_ns=20))
    store.add_incident(replace(FIRST, id="a", triggered_ns=30))
    store.apply_limits(keep_days=1, max_mb=1, now_ns=YEAR_NS)
    assert [row.id for row in store.incidents()] == ["b", "a"]


def test_steps_that_cannot_be_read_cost_the_row_nothing_else(store: Store, state_dir: bytes) -> None:
    store.add_incident(FIRST)
    with sqlite3.connect(store_path(state_dir)) as connection:
        connection.execute("UPDATE incidents SET steps = '7'")
    connection.close()
    assert store.incidents() == [FIRST]
