"""The store's changes as a ledger are the very changes that it has, whatever is in them."""

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.evidence import change_columns
from fimkit.evidence.connection import store_path
from fimkit.evidence.schema import migrate
from fimkit.evidence.store import Store, open_store
from fimkit.model.changes import Action, Change, Source
from fimkit.verbs.stored_changes import load_ledger
from tests.evidence.examples import NOW, a_change, an_actor, changes

FIRST_NS = -(2**63)


def a_store() -> Store:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return Store(connection, b":memory:")


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Five changes by five processes in a store of ``tmp_path``, and a connection of another process to it."""
    with open_store(os.fsencode(tmp_path / "state"), create=True) as store:
        store.add_changes([a_change(serial=number, actor=an_actor(pid=number)) for number in range(5)])
    other = sqlite3.connect(store_path(os.fsencode(tmp_path / "state")), isolation_level=None)
    yield other
    other.close()


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


def test_a_process_whose_row_is_gone_is_one_of_whom_nothing_is_known(tmp_path: Path, beside: sqlite3.Connection) -> None:
    beside.execute("DELETE FROM processes WHERE pid = 3")
    with open_store(os.fsencode(tmp_path / "state")) as store:
        ledger = load_ledger(store, NOW)
        assert list(ledger) == list(store.changes(NOW))
    actors = [change.actor for change in ledger]
    assert [actor is not None and actor.pid for actor in actors] == [0, 1, 2, None, 4]
    assert actors[3] is not None
    assert (actors[3].event, actors[3].exe, actors[3].cmdline_verified) == (an_actor().event, None, False)


class _Late(Store):
    """A store of which another process drops the oldest changes, and whose they were, each time that some were read."""

    other: sqlite3.Connection

    def change_columns(self, since_ns: int) -> Iterator[change_columns.ChangeColumns]:
        seen: list[str] = []

        def drop_old(statement: str) -> None:
            if "FROM processes" in statement and not seen:
                seen.append(statement)
                self.other.execute("DELETE FROM changes WHERE serial < 3")
                self.other.execute("DELETE FROM processes WHERE id NOT IN (SELECT process FROM changes)")

        self._connection.set_trace_callback(drop_old)
        yield from super().change_columns(since_ns)
        assert seen


def test_who_made_a_change_is_known_though_retention_drops_both_in_between(tmp_path: Path, beside: sqlite3.Connection) -> None:
    connection = sqlite3.connect(store_path(os.fsencode(tmp_path / "state")), isolation_level=None)
    store = _Late(connection, store_path(os.fsencode(tmp_path / "state")))
    store.other = beside
    ledger = load_ledger(store, NOW)
    assert [change.actor and change.actor.pid for change in ledger] == [0, 1, 2, 3, 4]
    assert [change.serial for change in store.changes(NOW)] == [3, 4]
    store.close()
