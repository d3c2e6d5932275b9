"""The store's changes as a ledger are the very changes that it has, whatever is in them."""

import sqlite3
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.evidence import change_columns
from fimkit.evidence.schema import migrate
from fimkit.evidence.store import Store
from fimkit.model.changes import Action, Change, Source
from fimkit.verbs.stored_changes import load_ledger
from tests.evidence.examples import NOW, a_change, changes

FIRST_NS = -(2**63)


def a_store() -> Store:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return Store(connection, b":memory:")


@given(st.lists(changes, max_size=6))
def test_any_changes_come_back_as_the_store_has_them(given_changes: list[Change]) -> None:
    store = a_store()
    store.add_changes(given_changes)
    assert list(load_ledger(store, FIRST_NS)) == list(store.changes(FIRST_NS))
    store.close()


def test_many_are_read_in_parts_and_kept_as_small_as_when_they_were_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_columns, "_ROWS", 7)
    store = a_store()
    moved = [
        replace(a_change(b"/etc/%d" % (number % 3), time_ns=NOW + number * 1_000_000, serial=number), action=Action.MOVED_TO)
        for number in range(50)
    ]
    assert moved[0].actor is not None
    moved = [replace(one, cookie=f"{one.actor.event}/{one.inode}") for one in moved if one.actor is not None]
    row = Change(source=Source.OSQUERY, action=Action.UPDATED, time_ns=NOW, path=b"/etc/0", sha256="ab" * 32, size=3, mtime_ns=NOW)
    whose = replace(row, path=b"/etc/1", actor=replace(moved[0].actor, time_ns=NOW - 5))
    odd = a_change(b"/odd", time_ns=NOW + 3, serial=2**70, inode=2**64 - 1)
    store.add_changes([*moved, row, whose, odd])
    ledger = load_ledger(store, NOW)
    assert list(ledger) == list(store.changes(NOW))
    assert len(ledger) == 53
    assert list(ledger.whole.values()) == [odd]
    assert len(ledger.tables.processes.values) == 1 and not ledger.tables.cookies.values
    assert list(load_ledger(store, NOW + 40_000_000)) == moved[40:]
    store.close()
