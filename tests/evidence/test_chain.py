"""Whatever is changed in a store past fimkit shows: altered, deleted, put in, swapped, cut off; and what fimkit does never does."""

import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.evidence import schema
from fimkit.evidence.chain_verify import ChainVerdict
from fimkit.evidence.incident_rows import IncidentRow
from fimkit.evidence.pin_rows import PinsRow
from fimkit.evidence.store import Store, open_store
from fimkit.model.chain import Head
from fimkit.model.changes import Action
from fimkit.model.coverage import Cause, Gap, Sense
from fimkit.model.findings import Severity
from tests.evidence.examples import DAY_NS, NOW, a_change, a_finding, a_state

OLD = NOW - 100 * DAY_NS


def fill(store: Store) -> None:
    store.write_baseline([a_state(b"/etc/a"), a_state(b"/etc/b")], who="root", why="new", time_ns=NOW)
    store.add_changes([a_change(b"/etc/a", serial=1), a_change(b"/etc/b", serial=2), a_change(b"/etc/c", serial=3)])
    store.put_findings([a_finding("a1", b"/etc/a"), a_finding("b2", b"/etc/b")], now_ns=NOW)
    store.accept([(b"/etc/b", a_state(b"/etc/b", size=7))], who="eva", why="known", time_ns=NOW, finding_ids=["b2"])
    store.add_incident(
        IncidentRow(id="i-1", host="web01", cause="x", triggered_ns=NOW, updated_ns=NOW, phase="cut", folder=b"/x")
    )
    store.set_pins(PinsRow(body={"v": 1}, who="ada", time_ns=NOW))
    store.add_seal(1, time_ns=NOW, key="k", body="b")
    store.add_gaps([Gap(from_ns=NOW, to_ns=NOW + 9, source=Sense.AUDIT, cause=Cause.LOST, words="lost", seen_ns=NOW)])


def verdict(state_dir: bytes, **options: object) -> ChainVerdict:
    with open_store(state_dir) as store:
        return store.verify_chain(**options)  # type: ignore[arg-type]


def words(state_dir: bytes, **options: object) -> list[str]:
    return [one.words for one in verdict(state_dir, **options).broken]


def edit(state_dir: bytes, *statements: str) -> None:
    """Do what an intruder does, with SQLite alone."""
    connection = sqlite3.connect(os.path.join(state_dir, b"fimkit.sqlite"))
    with connection:
        for statement in statements:
            assert connection.execute(statement).rowcount  # of what is no change of rows it is -1
    connection.close()


@pytest.fixture
def filled(state_dir: bytes) -> bytes:
    with open_store(state_dir, create=True) as store:
        fill(store)
    return state_dir


def test_what_fimkit_wrote_is_whole(filled: bytes) -> None:
    whole = verdict(filled)
    assert not whole.broken and whole.first == 1
    assert whole.head is not None and whole.links == whole.head.seq
    assert whole.rows >= 3 + 2 + 2 + 2 + 1


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE findings SET severity = 'info' WHERE id = 'a1'", "the finding a1 of /etc/a was altered"),
        ("UPDATE findings SET body = replace(body, 'critical', 'info') WHERE id = 'a1'", "the finding a1 of /etc/a was altered"),
        ("UPDATE findings SET status = 'gone', closed_ns = 5 WHERE id = 'a1'", "the finding a1 of /etc/a was altered"),
        ("DELETE FROM findings WHERE id = 'a1'", "the finding 1 was deleted"),
        ("INSERT INTO findings SELECT 99, 'zz', host, path, moved_to, kind, severity, severity_rank, 'accepted', first_seen_ns,"
         " last_seen_ns, closed_ns, acceptance, superseded_by, body, told_ns FROM findings WHERE id = 'a1'",
         "the finding zz of /etc/a is in no link: put in past fimkit"),
        ("UPDATE changes SET path = X'2f78' WHERE serial = 2", "the change of /x at"),
        ("UPDATE changes SET size = 1.5 WHERE serial = 2", "the change of /etc/b at"),
        ("UPDATE changes SET batch = 1 WHERE serial = 2", "1 rows of changes are in no link: put in past fimkit"),
        ("DELETE FROM changes WHERE serial = 2", "1 of 3 rows (a batch of changes"),
        ("UPDATE processes SET exe = X'2f78', uid = 0", "the change of /etc/a at"),
        ("UPDATE acceptances SET who = 'eve' WHERE id = 2", "the acceptance 2 was altered"),
        ("DELETE FROM history WHERE side = 0", "1 of 2 rows (the states of acceptance 2) were deleted"),
        ("UPDATE history SET mode = 2541 WHERE side = 1", "the state of /etc/b in acceptance 2 was altered or put in"),
        ("UPDATE incidents SET phase = 'test'", "the incident i-1 was altered"),
        ("DELETE FROM incidents", "the incident i-1 was deleted"),
        ("UPDATE package_pins SET body = '{}'", "what packages are trusted by was altered"),
        ("DELETE FROM seals", "the seal 1 was deleted"),
        ("UPDATE coverage SET to_ns = from_ns", "the gap of the coverage ledger, row 1 was altered"),
        ("DELETE FROM coverage", "the gap of the coverage ledger, row 1 was deleted"),
        ("UPDATE chain SET digest = zeroblob(32) WHERE kind = 'finding' AND subject = 1", "does not follow from the one before"),
        ("UPDATE chain SET parts = zeroblob(48) WHERE kind = 'changes'", "its list of rows is not the one that it was made of"),
        ("UPDATE chain SET time_ns = time_ns + 1 WHERE kind = 'acceptance'", "does not follow from the one before"),
        ("DELETE FROM chain WHERE seq = 4", "link 4 is missing: deleted"),
        ("DELETE FROM chain WHERE seq <= 3", "links 1 to 3 are missing, and no checkpoint says"),
        ("DELETE FROM chain WHERE seq > 4", "the end of the chain was cut off"),
        ("DELETE FROM chain", "the end of the chain was cut off"),
    ],
)  # fmt: skip
def test_an_edit_by_sql_is_named(filled: bytes, statement: str, expected: str) -> None:
    edit(filled, statement)
    assert any(expected in one for one in words(filled)), words(filled)


def test_row_that_was_altered_and_then_written_anew_by_fimkit_still_shows(filled: bytes) -> None:
    before = verdict(filled).head
    edit(filled, "UPDATE findings SET body = replace(body, 'sed', 'awk'), severity = 'info' WHERE id = 'a1'")
    with open_store(filled) as store:
        store.put_findings([], now_ns=NOW + 5)
    assert any("the finding 1 had been altered past fimkit when it was written anew" in one for one in words(filled, after=before))
    assert any("the finding 1 had been altered past fimkit" in one for one in words(filled))


def test_rows_that_were_swapped_show(filled: bytes) -> None:
    edit(filled, "UPDATE findings SET row_id = row_id + 50", "UPDATE findings SET row_id = 53 - row_id")
    assert {"the finding a1 of /etc/a was altered", "the finding b2 of /etc/b was altered"} == {
        one.split(": ", 1)[1] for one in words(filled)
    }


def test_links_that_were_swapped_show_at_the_first_of_them(filled: bytes) -> None:
    edit(filled, "UPDATE chain SET seq = seq + 1000 WHERE seq IN (3, 4)", "UPDATE chain SET seq = 1007 - seq WHERE seq > 1000")
    broken = verdict(filled)
    assert broken.broken[0].seq == 3
    assert broken.head is not None and broken.unsure == (4, broken.head.seq)


def test_an_end_cut_off_together_with_its_counter_shows_by_a_head_seen_elsewhere(filled: bytes) -> None:
    head = verdict(filled).head
    assert head is not None
    last = "(SELECT max(row_id) FROM findings)"
    with open_store(filled) as store:
        store.add_findings([a_finding("c3", b"/etc/c")], now_ns=NOW)
        later = store.head()
    edit(filled, f"DELETE FROM findings WHERE row_id = {last}", f"DELETE FROM chain WHERE seq > {head.seq}",
         f"UPDATE sqlite_sequence SET seq = {head.seq} WHERE name = 'chain'")  # fmt: skip
    assert later is not None and words(filled, heads=[head]) == []
    seen = verdict(filled, heads=[head, later]).broken
    assert [one.is_end for one in seen] == [True] and "its end was cut off, or this is an older copy" in seen[0].words


def test_a_chain_that_was_written_anew_shows_by_a_head_seen_elsewhere(filled: bytes) -> None:
    head = verdict(filled).head
    edit(filled, "UPDATE findings SET severity = 'info'", "DELETE FROM chain", "UPDATE changes SET batch = NULL",
         "DELETE FROM sqlite_sequence WHERE name = 'chain'")  # fmt: skip
    with open_store(filled) as store:
        for number in range(12):
            store.add_findings([a_finding(f"d{number}", b"/etc/d%d" % number)], now_ns=NOW)
    assert words(filled) == []
    assert head is not None and "the chain was written anew" in words(filled, heads=[head])[0]


def test_only_what_is_new_is_looked_at_after_a_verified_point(filled: bytes) -> None:
    head = verdict(filled).head
    with open_store(filled) as store:
        store.add_findings([a_finding("c3", b"/etc/c")], now_ns=NOW)
    new = verdict(filled, after=head)
    assert (new.links, new.rows, new.broken) == (1, 6, ())  # with what there is little of: acceptances, incident, pins, seal
    edit(filled, "UPDATE findings SET severity = 'info' WHERE id = 'c3'")
    assert [one.split(": ")[1] for one in words(filled, after=head)] == ["the finding c3 of /etc/c was altered"]
    assert words(filled, after=Head(1, bytes(32)))  # a point that is no more


def test_a_look_that_finds_the_same_again_makes_no_link(filled: bytes) -> None:
    before = verdict(filled).head
    with open_store(filled) as store:
        store.put_findings([a_finding("a1", b"/etc/a")], now_ns=NOW + DAY_NS)
        store.tell(["a1"], time_ns=NOW)
        store.add_changes([a_change(b"/etc/a", serial=1)])
    assert verdict(filled).head == before


def test_a_gap_that_lasts_makes_a_link_when_it_grows_and_none_when_it_is_only_seen_again(filled: bytes) -> None:
    lasting = Gap(from_ns=NOW + 5, to_ns=None, source=Sense.AUDIT, cause=Cause.LOST, words="lost", lost=1, seen_ns=NOW)
    judged = [(Sense.AUDIT, Cause.LOST)]
    links = []
    with open_store(filled) as store:
        for number, gap in enumerate((lasting, lasting, replace(lasting, lost=2), replace(lasting, lost=2))):
            store.settle_gaps([gap], judged=judged, now_ns=NOW + number)
            links.append(store.head().seq)
        store.settle_gaps([], judged=judged, now_ns=NOW + 9)
        assert [b - a for a, b in itertools.pairwise(links)] == [0, 1, 0] and store.head().seq == links[-1] + 1
        assert not store.verify_chain().broken


def test_pins_that_were_altered_and_then_taken_anew_still_show(filled: bytes) -> None:
    edit(filled, "UPDATE package_pins SET who = 'eve'")
    with open_store(filled) as store:
        store.set_pins(PinsRow(body={"v": 2}, who="ada", time_ns=NOW))
    assert any("the pins 1 had been altered past fimkit" in one for one in words(filled))


def test_what_came_into_the_chain_later_is_taken_in_once_and_a_version_set_back_makes_nothing_good(filled: bytes) -> None:
    edit(filled, "DELETE FROM chain WHERE kind IN ('pins', 'seal', 'gap')", "PRAGMA user_version = 11")
    with open_store(filled):
        pass
    assert not [one for one in words(filled) if "in no link" in one]
    edit(filled, "UPDATE package_pins SET who = 'eve'", "PRAGMA user_version = 11")
    assert any("what packages are trusted by was altered" in one for one in words(filled))


def test_changes_of_which_some_are_known_are_linked_once(state_dir: bytes) -> None:
    with open_store(state_dir, create=True) as store:
        first = [a_change(b"/f%d" % number, serial=number) for number in range(10)]
        assert store.add_changes(first) == 10
        both = [a_change(b"/f%d" % number, serial=number) for number in (*range(5, 15), 14, 12)]
        assert store.add_changes(both) == 5
    whole = verdict(state_dir)
    assert whole.rows == 15 and not whole.broken


def test_values_that_sqlite_does_not_take_are_hashed_as_they_are_stored(state_dir: bytes) -> None:
    with open_store(state_dir, create=True) as store:
        store.add_changes([a_change(b"/\xff", serial=1, inode=1 << 63, cookie="a\udcff"), a_change(b"/b", serial=2)])
    assert words(state_dir) == []
    edit(state_dir, "UPDATE changes SET node = CAST(X'ff' AS TEXT) WHERE serial = 2")
    assert "the change of /b" in words(state_dir)[0]


def test_retention_leaves_a_checkpoint_and_verifying_goes_on(state_dir: bytes) -> None:
    with open_store(state_dir, create=True) as store:
        store.write_baseline([a_state(b"/etc/a")], who="root", why="new", time_ns=OLD)
        evidence = a_change(b"/tmp/sed1", time_ns=OLD, serial=5)
        store.add_changes([evidence, *(a_change(b"/o%d" % n, time_ns=OLD, serial=n + 10) for n in range(9))])
        store.add_changes([a_change(b"/recent", serial=99)])
        store.put_findings([a_finding("a1", b"/a"), a_finding("b2", b"/b", evidence=(evidence.actor.event,))], now_ns=OLD)
        store.put_findings([a_finding("b2", b"/b", evidence=(evidence.actor.event,))], now_ns=OLD)
        assert len(store.apply_limits(keep_days=90, max_mb=4096, now_ns=NOW)) == 2
        assert not store.verify_chain().broken
        assert not store.apply_limits(keep_days=90, max_mb=4096, now_ns=NOW)
    whole = verdict(state_dir)
    assert not whole.broken
    edit(state_dir, "UPDATE changes SET uid = 7 WHERE path = X'2f746d702f73656431'")
    assert "the change of /tmp/sed1" in words(state_dir)[0]


def test_links_of_before_the_limit_go_and_an_old_head_says_nothing_any_more(state_dir: bytes) -> None:
    with open_store(state_dir, create=True) as store:
        fill(store)
        old = store.head()
        assert old is not None
        later_ns = time.time_ns() + 200 * DAY_NS
        store.add_changes([a_change(b"/late", time_ns=later_ns, serial=77)])
        store.apply_limits(keep_days=90, max_mb=4096, now_ns=later_ns)
        pruned = store.verify_chain(heads=[old])
        assert not pruned.broken and pruned.first > 1
        assert pruned.notes == (f"head {old.seq} is older than the first link that is kept, {pruned.first}: it says nothing now",)
        assert store.head() in [pruned.head] and not store.verify_chain(after=pruned.head).broken
        store.add_findings([a_finding("n1", b"/n")], now_ns=later_ns)
        assert not store.verify_chain(after=pruned.head).broken
    edit(state_dir, "UPDATE findings SET severity = 'low' WHERE id = 'a1'")
    assert [one.split(": ")[1] for one in words(state_dir)] == ["the finding a1 of /etc/a was altered"]


def test_size_limit_drops_changes_and_the_chain_stays_whole(state_dir: bytes) -> None:
    with open_store(state_dir, create=True) as store:
        store.write_baseline([a_state(b"/etc/a")], who="root", why="new", time_ns=NOW)
        store.add_changes(a_change(b"/f/%d" % n, time_ns=NOW + n, serial=n, action=Action.MODE) for n in range(20_000))
        store.put_findings([a_finding("a1", b"/f/10", severity=Severity.CRITICAL)], now_ns=NOW)
        assert store.apply_limits(keep_days=90, max_mb=2, now_ns=NOW + DAY_NS)
        left = list(store.changes())
        assert 0 < len(left) < 20_000 and b"/f/10" in {change.path for change in left}
        assert not store.verify_chain().broken


def test_what_was_altered_before_it_was_to_be_dropped_is_not_made_good(state_dir: bytes) -> None:
    with open_store(state_dir, create=True) as store:
        store.add_changes(
            a_change(path, time_ns=OLD, serial=serial, action=Action.MODE)
            for serial, path in enumerate((b"/keep", b"/o", b"/p"), 1)
        )
        store.put_findings([a_finding("a1", b"/keep")], now_ns=NOW)
    edit(state_dir, "UPDATE changes SET uid = 7 WHERE serial = 1")
    with open_store(state_dir) as store:
        store.apply_limits(keep_days=90, max_mb=4096, now_ns=NOW)
    assert any("the change of /keep" in one for one in words(state_dir))


def test_store_from_before_is_taken_in_whole(state_dir: bytes) -> None:
    os.mkdir(state_dir, 0o700)
    path = os.path.join(state_dir, b"fimkit.sqlite")
    connection = sqlite3.connect(path, isolation_level=None)
    schema.migrate(connection, schema.MIGRATIONS[:8])
    connection.execute("INSERT INTO acceptances (kind, time_ns, who, why) VALUES ('create', 1, 'x', 'y')")
    connection.executemany(
        "INSERT INTO changes (time_ns, identity, source, action, serial, item, path, path_sure)"
        " VALUES (?, ?, 'audit', 'written', 1, 1, X'2f', 1)",
        ((number, b"%d" % number) for number in range(4500)),
    )
    connection.close()
    os.chmod(path, 0o600)
    with open_store(state_dir):
        pass
    whole = verdict(state_dir)
    assert not whole.broken and (whole.links, whole.rows) == (5, 4501)  # the beginning, an acceptance, three batches


def test_a_copied_store_is_verified_without_a_write(filled: bytes, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(os.fsdecode(filled), copy)
    before = (copy / "fimkit.sqlite").read_bytes()
    assert not verdict(os.fsencode(copy)).broken
    assert (copy / "fimkit.sqlite").read_bytes() == before


_STATEMENTS: tuple[Callable[[Store, int], object], ...] = (
    lambda store, n: store.add_changes([a_change(b"/c%d" % n, serial=n, time_ns=NOW - (n % 200) * DAY_NS)]),
    lambda store, n: store.put_findings([a_finding(f"f{n % 7}", b"/p%d" % (n % 5))], now_ns=NOW + n),
    lambda store, n: store.add_findings([a_finding(f"f{n % 7}", b"/p%d" % (n % 3))], now_ns=NOW + n),
    lambda store, n: store.accept([(b"/p1", a_state(b"/p1", size=n))], who="x", why="y", time_ns=NOW, finding_ids=[f"f{n % 7}"]),
    lambda store, n: store.write_baseline([a_state(b"/p%d" % (n % 4), size=n)], who="x", why="y", time_ns=NOW + n),
    lambda store, n: store.apply_limits(keep_days=max(1, n % 150), max_mb=4096, now_ns=time.time_ns() + (n % 90) * DAY_NS),
)


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, len(_STATEMENTS) - 1), st.integers(0, 1000)), max_size=12))
def test_whatever_fimkit_does_its_chain_is_whole(steps: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = os.fsencode(tmp_path_factory.mktemp("chain") / "state")
    with open_store(folder, create=True) as store:
        store.write_baseline([a_state(b"/p0")], who="x", why="y", time_ns=NOW)
        for number, argument in steps:
            before = store.head()
            _STATEMENTS[number](store, argument)
            assert not store.verify_chain(after=before).broken
        assert not store.verify_chain().broken


_WRITER = """
import sys
from fimkit.evidence.store import open_store
from tests.evidence.examples import NOW, a_change, a_finding
with open_store(sys.argv[1].encode()) as store:
    for number in range(100000):
        with store.transaction():
            store.add_changes([a_change(b"/k%d" % number, serial=number), a_change(b"/l%d" % number, serial=number)])
            store.add_findings([a_finding(f"k{number}", b"/k%d" % number)], now_ns=NOW)
        head = store.head()
        print(f"{head.seq}:{head.link.hex()}", flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_chain_with_every_head_that_it_told(filled: bytes) -> None:
    from fimkit.model.chain import parse_head

    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, os.fsdecode(filled)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        assert writer.stdout is not None
        told = [parse_head(writer.stdout.readline()) for _ in range(15)]
        writer.send_signal(signal.SIGKILL)
        told += [parse_head(line) for line in writer.stdout if line.endswith("\n")]
        writer.wait()
        writer.stdout.close()
        assert words(filled, heads=told) == []


def test_what_frames_ask_of_findings_is_answered_by_indexes(store: Store) -> None:
    from fimkit.evidence.past_rows import Span, past_findings

    asked: list[str] = []
    store._connection.set_trace_callback(asked.append)
    for only_open in (True, False):
        for span in (Span(since_ns=NOW), Span(below=b"/etc")):
            assert not list(past_findings(store._connection, span, only_open=only_open))
    store._connection.set_trace_callback(None)
    plans = [row[3] for query in asked for row in store._connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert len(asked) == 4 and not [plan for plan in plans if plan.startswith("SCAN")]
    assert any("findings_open_seen" in plan for plan in plans) and any("findings_moved_to" in plan for plan in plans)
