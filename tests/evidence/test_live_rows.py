"""What a watch asks of the store: what is undone at a few paths, what others found meanwhile, the changes of a few files."""

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fimkit.evidence.finding_life import FindingStatus
from fimkit.evidence.store import Store, open_store
from fimkit.evidence.weighing import MOST_WEIGHING, Weighing
from fimkit.model.changes import Action, left_out
from fimkit.model.findings import Kind
from fimkit.model.states import FileKey
from tests.evidence.examples import NOW, a_change, a_finding

OPEN = [
    a_finding("a1", b"/etc/a", kind=Kind.MODIFIED),
    a_finding("b1", b"/etc/b", kind=Kind.CREATED),
    a_finding("c1", b"/etc/c", kind=Kind.TRANSIENT),
]


@pytest.fixture
def store(tmp_path: Path):  # type: ignore[no-untyped-def]
    with open_store(bytes(tmp_path / "state"), create=True) as opened:
        yield opened


def test_what_a_look_at_some_paths_does_not_find_again_is_closed_there_and_nowhere_else(store: Store) -> None:
    store.add_findings(OPEN, now_ns=NOW)
    gone = store.close_undone([b"/etc/a", b"/etc/c", b"/etc/none"], [], now_ns=NOW + 1)
    assert [finding.id for finding in gone] == ["a1"]  # what passed happened, and stays until it is accepted
    assert {finding.id for finding in store.findings()} == {"b1", "c1"}
    assert [row.finding.id for row in store.finding_rows(FindingStatus.GONE)] == ["a1"]


def test_what_is_found_again_stays_open(store: Store) -> None:
    store.add_findings(OPEN, now_ns=NOW)
    assert store.close_undone([b"/etc/a", b"/etc/b"], OPEN, now_ns=NOW + 1) == ()
    assert store.open_ids() == {"a1": b"/etc/a", "b1": b"/etc/b"}


def test_a_whole_look_leaves_open_what_another_found_since_it_began(store: Store) -> None:
    store.add_findings(OPEN[:1], now_ns=NOW)
    known = set(store.open_ids())
    store.add_findings(OPEN[1:2], now_ns=NOW)  # a watch beside it
    stored = store.put_findings([], now_ns=NOW + 1, known=known)
    assert [finding.id for finding in stored.gone] == ["a1"]
    assert set(store.open_ids()) == {"b1"}


def test_only_what_nobody_was_shown_is_untold(store: Store) -> None:
    store.add_findings(OPEN, now_ns=NOW)
    store.tell(["a1"], time_ns=NOW)
    assert store.untold_of(["a1", "b1", "none"]) == {"b1"}


def test_changes_are_found_by_name_and_by_inode_once_each_in_their_order(store: Store) -> None:
    by_name = a_change(b"/etc/x", time_ns=NOW + 2, serial=3, inode=7)
    by_inode = a_change(None, time_ns=NOW + 1, serial=2, inode=8)  # type: ignore[arg-type]
    both = a_change(b"/etc/x", time_ns=NOW + 3, serial=4, inode=8)
    store.add_changes([by_name, by_inode, both, a_change(b"/etc/other", time_ns=NOW + 4, serial=5, inode=9)])
    assert store.changes_about([b"/etc/x"], [8], since_ns=NOW) == [by_inode, by_name, both]
    assert store.changes_about([b"/etc/x"], [8], since_ns=NOW + 3) == [both]


def test_the_version_moves_when_another_writes_and_not_by_itself(tmp_path: Path, store: Store) -> None:
    first = store.version()
    store.add_findings(OPEN, now_ns=NOW)
    assert store.version() == first
    with open_store(bytes(tmp_path / "state")) as other:
        other.tell(["a1"], time_ns=NOW)
    assert store.version() != first


def test_of_the_openings_by_one_process_the_first_and_the_last_ones_weigh(store: Store) -> None:
    own = [a_change(b"/etc/x", time_ns=NOW + number * 1_000_000, serial=number) for number in range(1, 40)]
    assert own[0].actor is not None
    other = [replace(one, serial=100 + one.serial, actor=replace(own[0].actor, pid=5)) for one in own[10:12]]
    others = [replace(own[20], serial=200, inode=78), replace(own[20], serial=201, actor=None)]
    modes = [replace(one, serial=300 + one.serial, action=Action.MODE) for one in own[:6]]
    nameless = replace(own[0], serial=400, action=Action.LOST)
    store.add_changes([*own, *other, *others, *modes, nameless])
    weighing = store.changes_weighing([b"/etc/x"], [], since_ns=NOW, ends=3)
    expected = [own[0], replace(own[1], last_ns=own[-4].time_ns), *own[-3:], *other, *others, *modes]
    assert sorted(one.serial for one in weighing) == sorted(one.serial for one in expected)
    assert {one.serial for one in store.changes_weighing([b"/etc/x"], [], since_ns=NOW + 39_000_000, ends=3)} == {39}
    assert store.changes_weighing([], [77], since_ns=NOW, ends=3) == [one for one in weighing if one.inode == 77]
    assert weighing == sorted(expected, key=lambda one: (one.time_ns, one.serial, one.item))


def test_of_very_many_the_first_and_the_last_weigh_and_one_stands_for_the_others(store: Store) -> None:
    many = [a_change(b"/etc/x", time_ns=NOW + number, serial=number, action=Action.MODE) for number in range(2 * MOST_WEIGHING)]
    store.add_changes(many)
    first, last = MOST_WEIGHING // 4, MOST_WEIGHING - MOST_WEIGHING // 4
    assert store.changes_weighing([b"/etc/x"], [], since_ns=NOW, ends=3) == [*many[:first], *many[-last:]]
    weighing = store.changes_weighing([], [77], since_ns=NOW, ends=3)
    gap = left_out(NOW + first, NOW + len(many) - last - 1, FileKey(65024, 77))
    assert weighing == [*many[:first], *many[-last:], gap]


def test_of_very_many_of_a_file_those_that_say_how_many_names_it_had_weigh_too(store: Store) -> None:
    many = [a_change(b"/etc/x", time_ns=NOW + number, serial=number, action=Action.MODE) for number in range(2 * MOST_WEIGHING)]
    linked = [replace(one, action=Action.LINKED) for one in many[MOST_WEIGHING - 50 : MOST_WEIGHING]]
    store.add_changes([one for one in many if one.serial not in {other.serial for other in linked}] + linked)
    weighing = store.changes_weighing([], [77], since_ns=NOW, ends=3)
    assert [one for one in weighing if one.action is Action.LINKED] == linked
    assert not any(one.action is Action.LINKED for one in store.changes_weighing([b"/etc/x"], [], since_ns=NOW, ends=3))


def test_nothing_stands_for_the_middle_where_all_of_it_weighs(store: Store) -> None:
    every = [
        a_change(b"/etc/x", time_ns=NOW + number, serial=number, action=Action.UNLINKED if number % 2 else Action.BORN)
        for number in range(MOST_WEIGHING + 100)
    ]
    store.add_changes(every)
    assert store.changes_weighing([], [77], since_ns=NOW, ends=3) == every


def test_openings_before_and_after_a_name_came_are_not_one(store: Store) -> None:
    own = [a_change(b"/etc/x", time_ns=NOW + number, serial=number) for number in range(20)]
    came = replace(own[10], action=Action.MOVED_TO, item=9)
    store.add_changes([*own, came])
    weighing = store.changes_weighing([b"/etc/x"], [], since_ns=NOW, ends=3)
    assert [(one.serial, one.last_ns) for one in weighing if one.last_ns] == [(1, NOW + 7), (12, NOW + 16)]
    assert came in weighing


def test_what_weighs_is_of_one_moment(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one = a_change(b"/etc/x", time_ns=NOW, serial=1)
    store.add_changes([one])
    read = Weighing._history

    def read_and_wait(*args: Any) -> Any:
        found = read(*args)
        with sqlite3.connect(tmp_path / "state" / "fimkit.sqlite") as other:
            other.execute("DELETE FROM changes")
        return found

    monkeypatch.setattr(Weighing, "_history", read_and_wait)
    assert store.changes_weighing([b"/etc/x"], [], since_ns=NOW, ends=3) == [one]
    assert store.changes_about([b"/etc/x"], [], since_ns=NOW) == []
