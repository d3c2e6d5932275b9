"""A ledger gives back every change as it came, whatever is in it."""

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from fimkit.correlate.ledger import ChangeLedger
from fimkit.model.changes import Action, Actor, Change, Source

NUMBERS = st.one_of(st.none(), st.integers(-5, 5), st.integers(-(1 << 70), 1 << 70))
TEXTS = st.one_of(st.none(), st.text(max_size=5))
NAMES = st.one_of(st.none(), st.binary(max_size=8))
ACTOR = st.builds(
    Actor,
    auid=NUMBERS, uid=NUMBERS, euid=NUMBERS, user=TEXTS, pid=NUMBERS, ppid=NUMBERS, exe=NAMES, comm=NAMES, cmdline=TEXTS,
    cmdline_verified=st.booleans(), tty=TEXTS, ses=NUMBERS, syscall=TEXTS, time_ns=st.integers(-3, 3),
    event=st.sampled_from(["0.000:1", "0.000:0", "x"]),
)  # fmt: skip
CHANGE = st.builds(
    Change,
    source=st.sampled_from(Source), action=st.sampled_from(Action),
    time_ns=st.one_of(st.integers(-3, 3), st.integers(-(1 << 70), 1 << 70)), serial=st.integers(0, 1 << 66),
    item=st.integers(0, 1 << 40),
    path=NAMES, path_sure=st.booleans(), dev=NUMBERS, inode=NUMBERS, parent_dev=NUMBERS, parent_inode=NUMBERS, mode=NUMBERS,
    new_mode=NUMBERS, actor=st.one_of(st.none(), ACTOR), cookie=st.one_of(TEXTS, st.just("0.000:1/5")), error=TEXTS, sha256=TEXTS,
    uid=NUMBERS, gid=NUMBERS, size=NUMBERS, mtime_ns=NUMBERS, node=TEXTS, hash_late=st.booleans(), last_ns=NUMBERS,
)  # fmt: skip


@given(st.lists(CHANGE, max_size=8))
def test_every_change_comes_back_as_it_was(changes: list[Change]) -> None:
    ledger = ChangeLedger(changes)
    assert list(ledger) == changes
    assert [ledger[row] for row in range(len(changes))] == changes
    assert ledger[1:5] == changes[1:5]


@given(st.lists(CHANGE, max_size=5), st.lists(CHANGE, max_size=5))
def test_ledgers_over_the_same_tables_are_joined_by_their_rows(first: list[Change], second: list[Change]) -> None:
    one = ChangeLedger(first)
    other = ChangeLedger(second, tables=one.tables)
    apart = ChangeLedger(second)
    one.extend(other)
    assert list(one) == [*first, *second]
    apart.extend(one)
    assert list(apart) == [*second, *first, *second]


def test_what_audit_says_takes_no_more_than_a_row() -> None:
    actor = dict.fromkeys((one.name for one in fields(Actor)), None) | {"cmdline_verified": False, "time_ns": 1_234_000_000}
    rows = [
        Change(
            source=Source.AUDIT, action=Action.MOVED_TO, time_ns=1_234_000_000, serial=serial, dev=1, inode=7, path=b"/w/a",
            actor=Actor(**{**actor, "event": f"1.234:{serial}"}), cookie=f"1.234:{serial}/7",
        )
        for serial in range(1000)
    ]  # fmt: skip
    ledger = ChangeLedger(rows)
    tables = ledger.tables
    assert list(ledger) == rows
    assert len(ledger.rows) == 48 * len(rows)
    kept = (tables.paths, tables.keys, tables.plain, tables.processes)
    assert [len(table.values) for table in kept] == [1, 1, 1, 1]
    assert not (tables.actors or tables.cookies.values or tables.more or ledger.whole)


@given(st.lists(CHANGE, max_size=8), st.integers(-3, 3), st.integers(-3, 3))
def test_questions_of_a_ledger_are_answered_as_a_list_would(changes: list[Change], low: int, high: int) -> None:
    ledger = ChangeLedger(changes)
    assert list(ledger.of_source(Source.AUDIT)) == [change for change in changes if change.source is Source.AUDIT]
    assert ledger.actions() == {change.action for change in changes}
    kinds = (Action.BORN, Action.OPENED, Action.LOST)
    assert list(ledger.of_actions(kinds)) == [change for change in changes if change.action in kinds]
    some = [row for row, change in enumerate(changes) if change.action is Action.BORN and change.mode is None]
    assert ledger.rows_of(lambda action, mode: action is Action.BORN and mode is None) == some
    times = [change.time_ns for change in changes if change.source is Source.AUDIT]
    assert ledger.span(Source.AUDIT) == ((min(times), max(times)) if times else None)
    assert list(ledger.between(low, high)) == [change for change in changes if low <= change.time_ns <= high]
    firsts = list(ledger.first_of_each_process())
    assert {change.actor for change in firsts if change.actor is not None and change.actor.event == "0.000:1"} <= {
        change.actor for change in changes
    }
    processes = {(one.actor.pid, one.actor.exe, one.actor.cmdline) for one in changes if one.actor is not None}
    assert {(one.actor.pid, one.actor.exe, one.actor.cmdline) for one in firsts} == processes


@given(st.lists(CHANGE, max_size=8), st.sampled_from(["", "web01"]))
def test_a_node_is_forgotten_in_every_change_and_known_again_in_later_ones(changes: list[Change], node: str) -> None:
    rows = [replace(change, node=node) if place % 2 else change for place, change in enumerate(changes)]
    ledger = ChangeLedger(rows)
    ledger.forget_node(node)
    assert list(ledger) == [replace(change, node=None) if change.node == node else change for change in rows]
    ledger.extend(rows)
    assert list(ledger)[len(rows) :] == rows


@given(st.lists(CHANGE, max_size=10), st.sets(st.integers(0, 9)))
def test_a_ledger_without_some_rows_has_all_others(changes: list[Change], gone: set[int]) -> None:
    ledger = ChangeLedger(changes)
    kept = ledger.without(row for row in gone if row < len(changes))
    assert list(kept) == [change for row, change in enumerate(changes) if row not in gone]
    assert list(ledger) == changes


@given(st.lists(CHANGE, max_size=10), st.lists(st.binary(max_size=1), max_size=2))
def test_rows_near_names_are_those_of_the_names_and_of_their_files(changes: list[Change], names: list[bytes]) -> None:
    near = ChangeLedger(changes).rows_near(names)
    keys = {(one.dev, one.inode) for one in changes if one.path in names and None not in (one.dev, one.inode)}
    wanted = {row for row, one in enumerate(changes) if one.path in names or (one.dev, one.inode) in keys}
    assert wanted <= set(near)
    assert set(near) - wanted <= ChangeLedger(changes).whole.keys()
    assert near == sorted(near)
