"""What was seen or accepted before is not found again; what came after it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.evidence.store import Store, open_store
from fimkit.model.changes import Action, Change, Source
from fimkit.model.findings import Finding, Kind
from fimkit.verbs.earlier import Earlier
from tests.evidence.examples import DAY_NS, NOW, a_change, a_finding, a_state


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = open_store(bytes(tmp_path / "state"), create=True)
    opened.write_baseline([a_state(b"/etc/x")], who="eve", why="", time_ns=NOW - DAY_NS)
    return opened


def came(serial: int, path: bytes = b"/etc/new", **more: object) -> Change:
    return a_change(path, serial=serial, action=Action.BORN, **more)


def renamed(serial: int, old: bytes, new: bytes) -> list[Change]:
    return [a_change(old, serial=serial, action=Action.MOVED_FROM), a_change(new, serial=serial, action=Action.MOVED_TO)]


def event(serial: int) -> str:
    return came(serial).actor.event


def created(*serials: int) -> Finding:
    return a_finding("c1", b"/etc/new", kind=Kind.CREATED, before=None, after=a_state(b"/etc/new"), changed=(),
                     evidence=tuple(map(event, serials)))  # fmt: skip


def transient(*serials: int) -> Finding:
    events = tuple(map(event, serials))
    return a_finding("t1", b"/etc/new", kind=Kind.TRANSIENT, before=None, after=None, changed=(), evidence=events)


def test_going_of_what_was_seen_is_nothing_new(store: Store) -> None:
    store.put_findings([created(1)], now_ns=NOW)
    gone = a_change(b"/etc/new", serial=2, action=Action.UNLINKED)
    assert Earlier(store).unsettled([transient(1, 2)], [came(1), gone]) == []


def test_second_coming_of_what_was_seen_is(store: Store) -> None:
    store.put_findings([created(1)], now_ns=NOW)
    assert Earlier(store).unsettled([transient(1, 2, 3)], [came(1), came(3)]) == [transient(1, 2, 3)]


def test_finding_that_is_open_goes_on(store: Store) -> None:
    store.put_findings([created(1)], now_ns=NOW)
    store.put_findings([transient(1, 2)], now_ns=NOW)
    assert Earlier(store).unsettled([transient(1, 2)], [came(1)]) == [transient(1, 2)]


def test_what_was_never_seen_is_told(store: Store) -> None:
    assert Earlier(store).unsettled([transient(1, 2)], [came(1)]) == [transient(1, 2)]


@pytest.mark.parametrize(("age_ns", "told"), [(-1, False), (1, True)])
def test_osquerys_rows_before_the_last_look_are_nothing_new(store: Store, age_ns: int, told: bool) -> None:
    store.put_findings([created()], now_ns=NOW)
    rows = [came(0, source=Source.OSQUERY, actor=None, time_ns=NOW + age_ns)]
    assert bool(Earlier(store).unsettled([transient()], rows)) is told


def test_path_is_settled_up_to_its_acceptance_and_a_try_up_to_its_last(store: Store) -> None:
    store.put_findings([a_finding(), a_finding("t2", b"/etc/y", kind=Kind.ATTEMPTED, last_seen_ns=NOW + 5)], now_ns=NOW + 7)
    store.accept([(b"/etc/x", a_state(b"/etc/x", mode=0o600))], who="eve", why="", time_ns=NOW + 9, finding_ids=["a1", "t2"])
    assert Earlier(store).accepted_ns == {b"/etc/x": NOW + 9, b"/etc/y": NOW + 6}


def test_what_was_seen_under_another_name_or_by_a_renamed_folder_is_nothing_new(store: Store) -> None:
    was = came(1, b"/etc/d/first")
    moved, folder = renamed(2, b"/etc/d/first", b"/etc/d/then"), renamed(3, b"/etc/d", b"/etc/e")
    found = a_finding("c1", b"/etc/e/then", kind=Kind.CREATED, before=None, changed=(), evidence=(event(1), event(2)))
    store.put_findings([found], now_ns=NOW)
    passed = replace(transient(1, 2), path=b"/etc/d/first")
    assert Earlier(store).unsettled([passed], [was, *moved, *folder]) == []
    assert Earlier(store).unsettled([passed], [was, *moved]) == [passed]  # nothing leads there

    target = a_finding("m1", b"/etc/old", kind=Kind.MOVED, moved_to=b"/etc/d/first", evidence=(event(1), event(2)))
    store.put_findings([target], now_ns=NOW)
    assert Earlier(store).unsettled([passed], [was, *moved]) == []


def test_what_comes_and_goes_all_the_time_is_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier, rows = Earlier(store), []
    ask = store.evidence_of

    def asked(name: bytes, *, after_row: int = 0) -> tuple[set[str], int]:
        rows.append(after_row)
        return ask(name, after_row=after_row)

    monkeypatch.setattr(store, "evidence_of", asked)
    serials: list[int] = []
    for serial in range(10, 20, 2):
        serials += [serial, serial + 1]
        found = created(serial)
        assert earlier.unsettled([found], [came(serial)]) == [found]  # and asks nothing
        store.put_findings([replace(found, id=f"c{serial}")], now_ns=NOW + serial)
        changes = [came(one) for one in serials[::2]]
        assert earlier.unsettled([transient(*serials)], changes) == []
    assert len(rows) == 5 and rows == sorted(set(rows))
    assert earlier.unsettled([transient(*serials, 30, 31)], [*changes, came(30)]) == [transient(*serials, 30, 31)]


def test_closed_findings_of_other_paths_are_not_read(store: Store) -> None:
    queries: list[str] = []
    store._connection.set_trace_callback(queries.append)
    earlier = Earlier(store)
    earlier.unsettled([transient(1, 2)], [came(1)])
    earlier.unsettled([transient()], [])
    store._connection.set_trace_callback(None)
    asked = [query for query in queries if "FROM findings" in query or "JOIN findings" in query]
    plans = [row[3] for query in asked for row in store._connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert len(asked) >= 5
    assert [plan for plan in plans if "findings" in plan and plan.startswith("SCAN")] == []
