"""Changes are stored whole, and once."""

import dataclasses
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.evidence import changes_rows
from fimkit.evidence.schema import migrate
from fimkit.evidence.store import Store
from fimkit.model.changes import Action, Change, Source
from tests.evidence.examples import NOW, a_change, changes


@given(st.lists(changes, max_size=5))
def test_any_changes_come_back_unchanged_and_each_once(given_changes: list[Change]) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    store = Store(connection, b":memory:")
    new = store.add_changes(given_changes)
    loaded = list(store.changes())
    assert new == len(loaded)
    assert all(change in given_changes for change in loaded)
    assert store.add_changes(given_changes) == 0
    store.close()


@given(changes)
def test_every_field_of_a_change_is_kept(change: Change) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    store = Store(connection, b":memory:")
    store.add_changes([change])
    assert list(store.changes()) == [change]
    store.close()


def test_log_read_twice_is_stored_once(store: Store) -> None:
    seen = [a_change(b"/etc/%d" % number, serial=number) for number in range(5000)]
    assert store.add_changes(seen) == 5000
    assert store.add_changes(iter(seen)) == 0
    assert sum(1 for _ in store.changes()) == 5000


def test_items_and_actions_of_one_event_are_changes_of_their_own(store: Store) -> None:
    one = a_change()
    others = [dataclasses.replace(one, item=2), dataclasses.replace(one, action=Action.MODE), dataclasses.replace(one, path=b"/y"),
              dataclasses.replace(one, node="db01")]
    assert store.add_changes([one, *others]) == 5


def test_osquery_row_read_again_under_another_number_is_the_same(store: Store) -> None:
    row = Change(source=Source.OSQUERY, action=Action.UPDATED, time_ns=NOW, serial=17, path=b"/etc/x", sha256="ab" * 32)
    assert store.add_changes([row, dataclasses.replace(row, serial=3), dataclasses.replace(row, sha256="cd" * 32)]) == 2


def test_changes_come_in_the_order_of_time_serial_and_item(store: Store) -> None:
    late, early = a_change(time_ns=NOW + 1), a_change(time_ns=NOW, serial=10)
    first, second = a_change(time_ns=NOW, serial=9, item=0), a_change(time_ns=NOW, serial=9, item=1)
    store.add_changes([late, early, second, first])
    assert list(store.changes()) == [first, second, early, late]
    assert list(store.changes(NOW + 1)) == [late]


def test_process_of_many_changes_is_stored_once(store: Store) -> None:
    store.add_changes(a_change(b"/etc/%d" % number, serial=number) for number in range(50))
    assert store._connection.execute("SELECT count(*) FROM processes").fetchone() == (1,)


def replace_pid(change: Change, pid: int) -> Change:
    assert change.actor is not None
    return dataclasses.replace(change, actor=dataclasses.replace(change.actor, pid=pid))


def test_of_very_many_processes_some_are_looked_up_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_rows, "_CHUNK", 4)
    monkeypatch.setattr(changes_rows, "_MOST_PROCESSES", 3)
    given_changes = [replace_pid(a_change(serial=number), number % 7) for number in range(40)]
    assert store.add_changes(given_changes) == 40
    assert list(store.changes()) == given_changes
    assert store._connection.execute("SELECT count(*) FROM processes").fetchone() == (7,)
    assert not store.verify_chain().broken


def test_numbers_and_names_that_sqlite_does_not_take_do_not_stop_the_others(store: Store) -> None:
    odd = a_change(b"/odd", time_ns=10**30, inode=2**64 - 1, cookie="a\udcff")
    assert store.add_changes([a_change(b"/a"), odd, a_change(b"/b", serial=10)]) == 3
    assert odd in list(store.changes())
