"""What was seen or accepted before is not found again; what came after it is."""

from pathlib import Path

import pytest

from fimkit.evidence.store import Store, open_store
from fimkit.model.changes import Action, Change, Source
from fimkit.model.findings import Kind
from fimkit.verbs.earlier import load_earlier
from tests.evidence.examples import DAY_NS, NOW, a_change, a_finding, a_state


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = open_store(bytes(tmp_path / "state"), create=True)
    opened.write_baseline([a_state(b"/etc/x")], who="eve", why="", time_ns=NOW - DAY_NS)
    return opened


def came(serial: int, path: bytes = b"/etc/new", **more: object) -> Change:
    return a_change(path, serial=serial, action=Action.BORN, **more)


def event(serial: int) -> str:
    return came(serial).actor.event


def created(*serials: int) -> object:
    return a_finding("c1", b"/etc/new", kind=Kind.CREATED, before=None, after=a_state(b"/etc/new"), changed=(),
                     evidence=tuple(map(event, serials)))  # fmt: skip


def transient(*serials: int) -> object:
    events = tuple(map(event, serials))
    return a_finding("t1", b"/etc/new", kind=Kind.TRANSIENT, before=None, after=None, changed=(), evidence=events)


def test_going_of_what_was_seen_is_nothing_new(store: Store) -> None:
    store.put_findings([created(1)], now_ns=NOW)
    gone = a_change(b"/etc/new", serial=2, action=Action.UNLINKED)
    assert load_earlier(store).unsettled([transient(1, 2)], [came(1), gone]) == []


def test_second_coming_of_what_was_seen_is(store: Store) -> None:
    store.put_findings([created(1)], now_ns=NOW)
    assert load_earlier(store).unsettled([transient(1, 2, 3)], [came(1), came(3)]) == [transient(1, 2, 3)]


def test_finding_that_is_open_goes_on(store: Store) -> None:
    store.put_findings([created(1)], now_ns=NOW)
    store.put_findings([transient(1, 2)], now_ns=NOW)
    assert load_earlier(store).unsettled([transient(1, 2)], [came(1)]) == [transient(1, 2)]


def test_what_was_never_seen_is_told(store: Store) -> None:
    assert load_earlier(store).unsettled([transient(1, 2)], [came(1)]) == [transient(1, 2)]


@pytest.mark.parametrize(("age_ns", "told"), [(-1, False), (1, True)])
def test_osquerys_rows_before_the_last_look_are_nothing_new(store: Store, age_ns: int, told: bool) -> None:
    store.put_findings([created()], now_ns=NOW)
    rows = [came(0, source=Source.OSQUERY, actor=None, time_ns=NOW + age_ns)]
    assert bool(load_earlier(store).unsettled([transient()], rows)) is told


def test_path_is_settled_up_to_its_acceptance_and_a_try_up_to_its_last(store: Store) -> None:
    store.put_findings([a_finding(), a_finding("t2", b"/etc/y", kind=Kind.ATTEMPTED, last_seen_ns=NOW + 5)], now_ns=NOW + 7)
    store.accept([(b"/etc/x", a_state(b"/etc/x", mode=0o600))], who="eve", why="", time_ns=NOW + 9, finding_ids=["a1", "t2"])
    assert load_earlier(store).accepted_ns == {b"/etc/x": NOW + 9, b"/etc/y": NOW + 6}


def test_a_watch_keeps_the_events_by_which_names_came_and_not_those_of_each_writing(store: Store) -> None:
    earlier = load_earlier(store)
    for serial in range(1, 500):
        written = a_change(b"/etc/x", serial=serial, action=Action.OPENED)
        found = a_finding(f"m{serial}", evidence=(event(serial),))
        assert earlier.unsettled([found], [written]) == [found]
        earlier.settle(store.put_findings([found], now_ns=NOW + serial))
    assert earlier.events == set()
    assert len(earlier.open_ids) == 1

    assert earlier.unsettled([created(600)], [came(600), came(601)]) == [created(600)]
    earlier.settle(store.put_findings([created(600)], now_ns=NOW + 600))
    assert earlier.events == {event(600)}
    assert earlier.unsettled([transient(600, 602)], [came(600)]) == []
    assert earlier.unsettled([transient(601, 602)], [came(601)]) == [transient(601, 602)]
