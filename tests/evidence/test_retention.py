"""Old rows go in an order that spares what matters, and it is said what went."""

import os
import sqlite3
from pathlib import Path

import pytest

from fimkit.evidence import retention
from fimkit.evidence.store import Store, open_store
from fimkit.model.changes import Action, Note, NoteKind, Source
from fimkit.model.errors import HostError, StoreError
from fimkit.model.findings import Kind, Severity
from fimkit.model.records import BadLine
from tests.evidence.examples import DAY_NS, NOW, a_change, a_finding, a_state

OLD = NOW - 100 * DAY_NS
MIB = 1024 * 1024


def limit(store: Store, *, keep_days: int = 90, max_mb: int = 4096) -> list[str]:
    return store.apply_limits(keep_days=keep_days, max_mb=max_mb, now_ns=NOW)


def paths(store: Store) -> set[bytes | None]:
    return {change.path for change in store.changes()}


def test_store_within_its_limits_drops_and_says_nothing(store: Store) -> None:
    store.put_findings([a_finding()], now_ns=OLD)
    store.add_changes([a_change()])
    assert limit(store) == []
    assert len(store.findings()) == 1


def test_old_closed_findings_go_and_open_critical_ones_never(store: Store) -> None:
    store.put_findings([a_finding("a1", b"/a"), a_finding("b2", b"/b", last_seen_ns=OLD)], now_ns=OLD)
    store.put_findings([a_finding("b2", b"/b", last_seen_ns=OLD)], now_ns=OLD)
    assert limit(store) == ["dropped 1 closed findings, older than 90 days (before 2026-08-24T03:49:01.970Z)"]
    assert [row.finding.id for row in store.finding_rows(None)] == ["b2"]


def test_old_tries_go_though_nobody_accepted_them_and_recent_ones_stay(store: Store) -> None:
    tries = [a_finding("t1", kind=Kind.ATTEMPTED, severity=Severity.MEDIUM, last_seen_ns=OLD),
             a_finding("t2", kind=Kind.TRANSIENT, severity=Severity.HIGH, last_seen_ns=NOW)]
    store.put_findings(tries, now_ns=NOW)
    assert [words.split(",")[0] for words in limit(store)] == ["dropped 1 open denied tries and passing files"]
    assert [finding.id for finding in store.findings()] == ["t2"]


def test_old_changes_go_unless_an_open_finding_stands_on_them(store: Store) -> None:
    evidence = a_change(b"/tmp/sed1", time_ns=OLD, serial=5)
    same_path = a_change(b"/etc/x", time_ns=OLD, serial=6, action=Action.MODE)
    opening = a_change(b"/etc/x", time_ns=OLD, serial=9, action=Action.OPENED)  # the finding names those that tell something
    store.add_changes([evidence, same_path, opening, a_change(b"/other", time_ns=OLD, serial=7), a_change(b"/recent", serial=8)])
    store.put_findings([a_finding(evidence=(evidence.actor.event,))], now_ns=NOW)
    assert [words.split(",")[0] for words in limit(store)] == ["dropped 2 changes that no open finding stands on"]
    assert paths(store) == {b"/tmp/sed1", b"/etc/x", b"/recent"}
    assert Action.OPENED not in {change.action for change in store.changes() if change.path == b"/etc/x"}
    store.put_findings([], now_ns=NOW)
    limit(store)
    assert paths(store) == {b"/recent"}


def test_processes_without_changes_go_with_them(store: Store) -> None:
    store.add_changes([a_change(b"/other", time_ns=OLD)])
    limit(store)
    assert store._connection.execute("SELECT count(*) FROM processes").fetchone() == (0,)


def test_last_note_of_a_kind_stays_however_old(store: Store) -> None:
    store.add_notes(Note(source=Source.AUDIT, kind=NoteKind.AUDIT_ENABLED, time_ns=OLD + age, text="on") for age in (0, 1))
    assert [words.split(",")[0] for words in limit(store)] == ["dropped 1 notes of the sources"]
    assert [note.time_ns for note in store.notes()] == [OLD + 1]


def test_texts_of_old_bad_lines_go_and_their_count_stays(store: Store) -> None:
    store.add_bad_lines([BadLine(file="a.log", line=1, text=b"x", error="?")], time_ns=OLD)
    assert [words.split(",")[0] for words in limit(store)] == ["dropped 1 texts of bad lines"]
    assert (list(store.bad_lines()), store.bad_line_counts()) == ([], {"a.log": 1})


def fill_changes(store: Store, count: int) -> None:
    store.add_changes(a_change(b"/srv/%06d" % number, time_ns=NOW + number * 1_000_000, serial=number) for number in range(count))


def test_too_big_a_store_drops_the_oldest_changes_and_the_file_shrinks(store: Store) -> None:
    fill_changes(store, 20_000)
    before = retention.used_bytes(store._connection)
    words = limit(store, max_mb=2)
    after = os.path.getsize(store.path)
    left = list(store.changes())
    assert before > 3 * MIB > after
    assert words[0].startswith(f"dropped the {20_000 - len(left)} oldest changes that no open finding stands on, to keep")
    assert len(words) == 1
    assert left[-1].serial == 19_999
    assert [change.serial for change in left] == list(range(20_000 - len(left), 20_000))
    assert after <= 2 * MIB


def test_too_big_a_store_drops_closed_findings_first_then_open_info_and_never_open_critical_ones(store: Store) -> None:
    closed = [a_finding(f"c{number}", b"/c%d" % number, severity=Severity.HIGH) for number in range(600)]
    closed_critical = [a_finding(f"k{number}", b"/k%d" % number) for number in range(600)]
    store.put_findings([*closed, *closed_critical], now_ns=NOW)
    info = [a_finding(f"i{number}", b"/i%d" % number, severity=Severity.INFO) for number in range(600)]
    critical = [a_finding(f"o{number}", b"/o%d" % number) for number in range(1200)]
    store.put_findings([*info, *critical], now_ns=NOW)
    words = limit(store, max_mb=1)
    assert [line.split(", ")[0] for line in words[:3]] == [
        "dropped the 600 oldest closed findings that were not critical",
        "dropped the 600 oldest open findings of severity info",
        "dropped the 600 oldest closed critical findings",
    ]
    assert words[3].startswith("the store still takes ")
    assert "never dropped" in words[3]
    assert [finding.id for finding in store.findings()] == sorted(finding.id for finding in critical)
    assert len(store.finding_rows(None)) == 1200


def test_old_states_go_last_and_the_store_says_that_it_cannot_show_them(store: Store) -> None:
    rows = [a_state(b"/%05d" % number) for number in range(5000)]
    store.write_baseline(rows, who="eve", why="", time_ns=NOW)
    store.write_baseline([row._replace(mode=0) for row in rows], who="eve", why="", time_ns=NOW + 1)
    words = limit(store, max_mb=1)
    assert words[0].startswith("dropped the ")
    assert " oldest old states of accepted paths" in words[0]
    assert len(store.baseline()) == 5000
    assert len(store.acceptances()) == 2
    with pytest.raises(StoreError, match="were dropped to keep the store within its limit"):
        store.baseline(at_ns=NOW)


def test_try_that_goes_by_age_takes_its_records_along_so_that_it_is_not_found_again(store: Store) -> None:
    record = a_change(time_ns=OLD, serial=5, action=Action.DENIED)
    store.add_changes([record])
    names = (record.actor.event,)
    store.put_findings(
        [a_finding("t1", kind=Kind.ATTEMPTED, severity=Severity.MEDIUM, evidence=names, last_seen_ns=OLD)], now_ns=NOW
    )
    assert len(limit(store)) == 2
    assert (store.findings(), list(store.changes())) == ([], [])


def test_accepted_try_outlives_its_records(store: Store) -> None:
    store.write_baseline([], who="eve", why="", time_ns=NOW)
    store.put_findings([a_finding("t1", kind=Kind.ATTEMPTED, severity=Severity.MEDIUM)], now_ns=NOW)
    store.accept([], who="eve", why="", time_ns=NOW, finding_ids=["t1"])
    fill_changes(store, 20_000)
    assert len(limit(store, max_mb=2)) == 1
    assert [row.finding.id for row in store.finding_rows(None)] == ["t1"]


def test_in_parts_the_same_goes_as_at_once(tmp_path: Path) -> None:
    left = []
    for name, rows in (("once", 0), ("parts", 7)):
        folder = tmp_path / name
        folder.mkdir(mode=0o700)
        with open_store(bytes(folder), create=True) as store:
            closed = [a_finding(f"c{number}", b"/c%d" % number, severity=Severity.HIGH) for number in range(50)]
            store.put_findings(closed, now_ns=OLD)
            store.put_findings([a_finding("o1", b"/o", evidence=("event",))], now_ns=OLD)
            for number in range(40):
                store.add_changes([a_change(b"/srv/%d" % number, time_ns=OLD + number, serial=number)])
            store.add_changes([a_change(b"/o", time_ns=OLD, serial=99, action=Action.MODE)])
            if rows:
                limiting, parts = store.limiting(keep_days=90, max_mb=4096, now_ns=NOW, rows=rows), 1
                while limiting.step():
                    parts += 1
                assert parts > 80 // rows
                words = limiting.words()
            else:
                words = limit(store)
            assert not store.verify_chain().broken
            left.append((words, paths(store), [row.finding.id for row in store.finding_rows(None)]))
    assert left[0] == left[1]
    assert left[0][1:] == ({b"/o"}, ["o1"])
    assert len(left[0][0]) == 2


def test_what_a_finding_stands_on_that_comes_between_two_parts_stays(store: Store) -> None:
    changes = [a_change(b"/srv/%d" % number, time_ns=OLD + number, serial=number) for number in range(40)]
    for change in changes:
        store.add_changes([change])
    limiting = store.limiting(keep_days=90, max_mb=4096, now_ns=NOW, rows=7)
    while len(paths(store)) == 40:
        assert limiting.step()
    actor = changes[30].actor
    assert actor is not None
    store.put_findings([a_finding("late", b"/late", evidence=(actor.event,))], now_ns=NOW)
    while limiting.step():
        pass
    assert paths(store) == {b"/srv/30"}


def test_a_round_that_the_store_refuses_is_over(store: Store) -> None:
    for number in range(40):
        store.add_changes([a_change(b"/srv/%d" % number, time_ns=OLD + number, serial=number)])
    limiting = store.limiting(keep_days=90, max_mb=4096, now_ns=NOW, rows=7)
    limiting.step()
    store.wait_at_most(0.01)
    with sqlite3.connect(os.fsdecode(store.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HostError):
            limiting.step()
        other.rollback()
    while limiting.step():
        pass
    left = len(paths(store))
    assert limit(store) != [] or left == 0
    assert paths(store) == set()


def test_what_comes_again_while_later_kinds_go_goes_before_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_MOST_PARTS", 2)
    monkeypatch.setattr(retention, "_NAMED_PARTS", 2)
    for number in range(60):
        store.add_changes([a_change(b"/srv/%d" % number, time_ns=NOW + number, serial=1000 + number)])
    limiting, closed = store.limiting(keep_days=90, max_mb=0, now_ns=NOW, rows=7), 0
    most = 0
    for number in range(100):
        if not limiting.step():
            break
        if paths(store):  # a storm goes on: one more is open, and then superseded, with each part
            for name in ("a", "b"):
                store.add_findings([a_finding(f"{name}{number}", b"/x", severity=Severity.HIGH)], now_ns=NOW)
            closed += 1
        most = max(most, len([row for row in store.finding_rows(None) if row.status != "open"]))
    assert paths(store) == set()
    assert closed > 6 and most <= 2 * 3 + 1
    assert len(store.findings()) == 1
    assert store._connection.execute("SELECT count(*) FROM temp.named_events").fetchone()[0] <= 3


def test_the_names_of_a_storms_findings_go_from_memory_in_a_long_round(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_NAMED_PARTS", 5)
    for number in range(400):
        store.add_changes([a_change(b"/srv/%d" % number, time_ns=OLD + number, serial=number)])
    limiting, number, most = store.limiting(keep_days=90, max_mb=4096, now_ns=NOW, rows=7), 0, 0
    while limiting.step():
        number += 1
        store.add_findings([a_finding(f"m{number}", b"/x", evidence=(f"1.000:{number}",))], now_ns=NOW)
        if paths(store):
            most = max(most, store._connection.execute("SELECT count(*) FROM temp.named_events").fetchone()[0])
    assert number > 40 and 1 < most <= 6
