"""Findings in the order in which they were stored: each at one place, which is never given again."""

import os
from pathlib import Path

from fimkit.evidence.reader import open_reader
from fimkit.evidence.store import Store
from fimkit.model.changes import Source
from fimkit.model.findings import Kind
from tests.evidence.examples import NOW, a_change, a_finding

__all__: list[str] = []


def test_places_grow_and_a_closed_finding_keeps_its_own(store: Store, state_dir: bytes) -> None:
    store.add_findings([a_finding("a1"), a_finding("b2", b"/etc/y")], now_ns=NOW)
    store.tell(["a1"], time_ns=NOW)
    store.put_findings([a_finding("c3", b"/etc/z")], now_ns=NOW + 1)
    with open_reader(state_dir) as reader:
        rows = reader.findings_after(0, most=9)
        assert [(row.place, row.row.finding.id, row.row.status.value, row.was_told) for row in rows] == [
            (1, "a1", "gone", True), (2, "b2", "gone", False), (3, "c3", "open", False),
        ]  # fmt: skip
        assert [row.place for row in reader.findings_after(1, most=1)] == [2]
        assert reader.last_place() == 3
        assert (reader.id_at(2), reader.id_at(7)) == ("b2", None)


def test_what_took_whose_place_is_known(store: Store, state_dir: bytes) -> None:
    store.add_findings([a_finding("a1")], now_ns=NOW)
    store.add_findings([a_finding("b2", kind=Kind.DELETED, after=None)], now_ns=NOW + 1)
    with open_reader(state_dir) as reader:
        assert reader.replaced(["b2", "zz"]) == {"b2": ("a1",)}
        assert reader.last_place() == 2


def test_an_empty_store_has_no_places(store: Store, state_dir: bytes) -> None:
    with open_reader(state_dir) as reader:
        assert (reader.findings_after(0, most=9), reader.last_place()) == ([], 0)


def test_changes_are_found_by_the_events_that_findings_name(store: Store, state_dir: bytes) -> None:
    mine, other = a_change(serial=9), a_change(b"/etc/other", serial=10)
    late = a_change(b"/etc/x", source=Source.OSQUERY, actor=None)
    store.add_changes([mine, other, late])
    with open_reader(state_dir) as reader:
        event = mine.actor.event if mine.actor else ""
        assert reader.changes_of([event, "osquery:1:2", "", "1.2:3", "9" * 40 + ".000:1"]) == [mine]
        assert late in reader.changes_about([b"/etc/x"], [], since_ns=0)


def test_a_reader_finds_by_prefix_and_knows_who_accepted(store: Store, state_dir: bytes, tmp_path: Path) -> None:
    store.write_baseline([], who="eve", why="first", time_ns=NOW)
    store.add_findings([a_finding("a1b2")], now_ns=NOW)
    store.accept([(b"/etc/x", None)], who="eve", why="ticket", time_ns=NOW + 1, finding_ids=["a1b2"])
    assert os.fsdecode(state_dir).startswith(str(tmp_path))
    with open_reader(state_dir) as reader:
        row = reader.finding("a1")
        assert row is not None and row.acceptance is not None
        assert reader.acceptances()[row.acceptance].why == "ticket"
        assert reader.finding("zz") is None
