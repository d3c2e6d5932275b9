"""What was acknowledged is on the disk, nothing is doubled, and readers do not wait."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fimkit.evidence.store import Store, open_store
from fimkit.model.errors import HostError
from tests.evidence.examples import NOW, a_change, a_finding, a_state

ROUNDS = 5
ROOT = Path(__file__).parents[2]

CHECKS = """
# Checks without end: changes, cursor and findings in one commit, then a number on stdout as the acknowledgement.
import sys
from fimkit.evidence.store import open_store
from tests.evidence.examples import a_change, a_finding
with open_store(sys.argv[1].encode(), create=True) as store:
    number = (store.cursor("audit", b"/log") or {"offset": 0})["offset"]
    while True:
        number += 1
        with store.transaction():
            store.add_changes(a_change(b"/etc/%d-%d" % (number, item), serial=number, item=item) for item in range(20))
            store.set_cursor("audit", b"/log", {"offset": number})
            store.put_findings([a_finding(f"f{other}", b"/etc/%d" % other) for other in range(1, number + 1)][-40:], now_ns=number)
        print(number, flush=True)
"""

ACCEPTS = """
# Acceptances without end: rows, history and findings in one commit.
import sys
from fimkit.evidence.store import open_store
from tests.evidence.examples import a_finding, a_state
with open_store(sys.argv[1].encode(), create=True) as store:
    if store.baseline_meta() is None:
        store.write_baseline([a_state(b"/etc/x", size=0)], who="eve", why="", time_ns=0)
    number = store.baseline_row(b"/etc/x").size
    while True:
        number += 1
        store.put_findings([a_finding(f"f{number}")], now_ns=number)
        store.accept([(b"/etc/x", a_state(b"/etc/x", size=number))], who="eve", why="", time_ns=number, finding_ids=[f"f{number}"])
        print(number, flush=True)
"""

SCANS = """
# A scan without end into the baseline.
import itertools, sys
from fimkit.evidence.store import open_store
from tests.evidence.examples import a_state
def rows():
    for number in itertools.count():
        if number == 200_000:
            print(1, flush=True)
        yield a_state(b"/%d" % number)
with open_store(sys.argv[1].encode()) as store:
    store.write_baseline(rows(), who="eve", why="", time_ns=1)
"""

WRITER = """
# One long transaction, held open until its stdin closes.
import sys
from fimkit.evidence.store import open_store
from tests.evidence.examples import a_change
with open_store(sys.argv[1].encode()) as store:
    with store.transaction():
        store.add_changes(a_change(b"/new/%d" % number, serial=number) for number in range(1000))
        print("writing", flush=True)
        sys.stdin.read()
"""


def start(code: str, state_dir: bytes) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, os.fsdecode(state_dir)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def kill_after(code: str, state_dir: bytes, acknowledgements: int, delay_s: float) -> int:
    """Let it run for some acknowledgements and a moment, end it by SIGKILL, and give the last number that it acknowledged."""
    process = start(code, state_dir)
    seen = [process.stdout.readline() for _ in range(acknowledgements)]
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    with process:
        seen += process.stdout.readlines()  # not communicate(): what was read ahead would be no acknowledgement
    assert process.returncode == -signal.SIGKILL
    return int([line for line in seen if line.endswith("\n")][-1])


def test_check_killed_at_any_moment_loses_nothing_acknowledged_and_doubles_nothing(state_dir: bytes) -> None:
    for number in range(ROUNDS):
        acknowledged = kill_after(CHECKS, state_dir, 3, number * 0.003)
        with open_store(state_dir) as store:
            stored = store.cursor("audit", b"/log")["offset"]
            changes = [(change.serial, change.item) for change in store.changes()]
            findings = [finding.id for finding in store.findings()]
            assert acknowledged <= stored <= acknowledged + 1
            assert changes == [(serial, item) for serial in range(1, stored + 1) for item in range(20)]
            assert sorted(findings) == sorted(f"f{other}" for other in range(max(1, stored - 39), stored + 1))
            assert store.verify() == []


def test_acceptance_killed_at_any_moment_is_whole_or_absent(state_dir: bytes) -> None:
    for number in range(ROUNDS):
        acknowledged = kill_after(ACCEPTS, state_dir, 3, number * 0.003)
        with open_store(state_dir) as store:
            stored = store.baseline_row(b"/etc/x").size
            assert acknowledged <= stored <= acknowledged + 1
            assert [row.after.size for row in store.history(b"/etc/x")] == list(range(1, stored + 1))
            assert {row.finding.id for row in store.finding_rows("accepted")} == {f"f{done}" for done in range(1, stored + 1)}
            assert [finding.id for finding in store.findings()] in ([], [f"f{stored + 1}"])


def test_baseline_killed_while_it_is_written_leaves_the_old_one(state_dir: bytes) -> None:
    with open_store(state_dir, create=True) as store:
        store.write_baseline([a_state(b"/old")], who="eve", why="", time_ns=NOW)
    assert kill_after(SCANS, state_dir, 1, 0.01) == 1
    with open_store(state_dir) as store:
        assert list(store.baseline()) == [b"/old"]
        assert store.verify() == []
        store.write_baseline([a_state(b"/next")], who="eve", why="", time_ns=NOW)
        assert list(store.baseline()) == [b"/next"]


@contextmanager
def busy_writer(state_dir: bytes) -> Iterator[subprocess.Popen]:
    process = start(WRITER, state_dir)
    try:
        assert process.stdout.readline() == "writing\n"
        yield process
    finally:
        process.communicate()


def test_reader_in_another_process_does_not_wait_for_the_writer(state_dir: bytes) -> None:
    with open_store(state_dir, create=True) as store:
        store.write_baseline([a_state(b"/a")], who="eve", why="", time_ns=NOW)
        store.put_findings([a_finding()], now_ns=NOW)
    with busy_writer(state_dir):
        began = time.monotonic()
        with open_store(state_dir) as store:
            assert list(store.baseline()) == [b"/a"]
            assert len(store.findings()) == 1
            assert list(store.changes()) == []
        assert time.monotonic() - began < 5
    with open_store(state_dir) as store:
        assert sum(1 for _ in store.changes()) == 1000


def test_second_writer_waits_for_the_first_and_both_are_stored(state_dir: bytes) -> None:
    open_store(state_dir, create=True).close()
    with busy_writer(state_dir) as process, open_store(state_dir) as store:
        process.stdin.close()
        process.stdin = None
        store.add_changes([a_change(b"/mine", serial=7000)])
    with open_store(state_dir) as store:
        assert sum(1 for _ in store.changes()) == 1001


def test_reader_sees_one_state_while_others_write(state_dir: bytes) -> None:
    with open_store(state_dir, create=True) as reader, open_store(state_dir) as writer:
        writer.write_baseline([a_state(b"/a")], who="eve", why="", time_ns=1)
        with reader.reading():
            assert reader.baseline_meta().count == 1
            writer.write_baseline([], who="eve", why="", time_ns=2)
            assert list(reader.baseline()) == [b"/a"]
        assert reader.baseline() == {}


def test_error_in_a_transaction_takes_all_of_it_back(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.add_changes([a_change()])
        store.set_cursor("audit", b"/log", {"offset": 1})
        store.put_findings([a_finding()], now_ns=NOW)
        raise ZeroDivisionError
    assert (list(store.changes()), store.cursor("audit", b"/log"), store.findings()) == ([], None, [])
    store.set_cursor("audit", b"/log", {"offset": 2})
    assert store.cursor("audit", b"/log") == {"offset": 2}


def test_full_disk_is_the_hosts_refusal(store: Store) -> None:
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(HostError, match="cannot be used: database or disk is full"):
        store.add_changes(a_change(b"/etc/%d" % number, serial=number) for number in range(5000))
    assert list(store.changes()) == []


@pytest.mark.parametrize("how", ["removed", "replaced", "folder"])
def test_nothing_is_written_to_a_store_that_was_taken_away_meanwhile(state_dir: bytes, how: str) -> None:
    path = os.path.join(state_dir, b"fimkit.sqlite")
    with open_store(state_dir, create=True) as store:
        store.put_findings([a_finding("a1", b"/a")], now_ns=NOW)
        if how == "folder":
            os.rename(state_dir, state_dir + b".old")
        elif how == "removed":
            os.unlink(path)
        else:
            shutil.copyfile(path, path + b".copy")
            os.replace(path + b".copy", path)
        with pytest.raises(HostError, match="it was moved, removed or replaced meanwhile; nothing is written to it"):
            store.add_findings([a_finding("b2", b"/b")], now_ns=NOW)
