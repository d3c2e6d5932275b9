"""`check` finds what was done to its own means: a log edited where it was read, a watch that was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fimkit.evidence.lock import lock_state
from fimkit.evidence.store import open_store
from fimkit.model.changes import Note, NoteKind, Source
from fimkit.model.config import Config, Host, Sources, Watch
from fimkit.model.findings import Finding, Kind, Severity
from fimkit.verbs.baseline import create_baseline
from fimkit.verbs.check import Checked, CheckOptions, check
from fimkit.verbs.self_look import find_killed_watch
from fimkit.verbs.watch_coverage import WatchCoverage
from fimkit.verbs.watch_status import LOCK_NAME, StatusFile, WatchStatus, load_watch_status

__all__: list[str] = []

LINES = b"".join(b"type=LOGIN msg=audit(1700000000.%03d:%d): pid=1 uid=0 auid=1000\n" % (n, n + 1) for n in range(900))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").write_text("a")
    (tmp_path / "audit.log").write_bytes(LINES)
    made = Config(
        host=Host(name="h", state_dir=os.fsencode(tmp_path / "state")), paths=(Watch(path=os.fsencode(tree)),),
        sources=Sources(audit_log=os.fsencode(tmp_path / "audit.log"), osquery_log=os.fsencode(tmp_path / "none.log")),
    )  # fmt: skip
    create_baseline(made, who="eve", why="first")
    return made


def looked(config: Config) -> Checked:
    return check(config, CheckOptions())


def test_a_log_that_was_edited_where_it_was_read_is_one_finding_until_it_is_accepted(config: Config, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    assert looked(config).open == ()
    with log.open("ab") as file:
        file.write(b"type=LOGIN msg=audit(1700000001.000:901): pid=1 uid=0 auid=1000\n")
    assert looked(config).open == ()
    with log.open("r+b") as file:
        file.seek(LINES.index(b"auid=1000", 20_000) + 5)
        file.write(b"0000")
    (one,) = looked(config).new
    assert (one.kind, one.severity, one.path) == (Kind.TAMPERED, Severity.HIGH, os.fsencode(log))
    assert "altered where it had been read" in one.reasons[0]
    assert [again.id for again in looked(config).open] == [one.id]


def test_a_log_given_by_hand_is_held_against_nothing(config: Config, tmp_path: Path) -> None:
    looked(config)
    (tmp_path / "audit.log").write_bytes(LINES[:-70])
    assert check(config, CheckOptions(audit_logs=(tmp_path / "audit.log",))).open == ()


_HOLD = """
import sys, time
from fimkit.evidence.lock import lock_state
with lock_state(sys.argv[1].encode(), verb="watch", name=b"watch.lock"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_watch_that_was_killed_is_found_by_the_next_check_and_by_the_next_watch_as_the_same(config: Config) -> None:
    state = config.host.state_dir
    looked(config)
    with StatusFile(state) as file:
        file.write(WatchStatus(pid=4_000_000, started_ns=1, records="log"))
    held = subprocess.Popen([sys.executable, "-c", _HOLD, os.fsdecode(state)], stdout=subprocess.PIPE)
    assert held.stdout is not None
    assert held.stdout.readline() == b"held\n"
    assert looked(config).open == ()
    held.send_signal(signal.SIGKILL)
    held.wait()
    held.stdout.close()
    before = load_watch_status(state)
    (one,) = looked(config).new
    assert one.reasons[0].startswith("the watch was killed")
    with lock_state(state, verb="watch", name=LOCK_NAME), open_store(state) as store:
        assert [again.id for again in find_killed_watch(config, store, before, now_ns=one.last_seen_ns)] == [one.id]


def test_a_watch_that_was_stopped_is_no_finding(config: Config) -> None:
    with StatusFile(config.host.state_dir) as file:
        file.write(WatchStatus(pid=4_000_000, started_ns=1, stopped_ns=2))
    assert looked(config).open == ()


def test_the_clock_set_back_between_two_looks_is_a_finding(config: Config) -> None:
    looked(config)
    with open_store(config.host.state_dir) as store:
        state = store.cursor("coverage", b"")
        assert state is not None
        store.set_cursor("coverage", b"", {**state, "asked_ns": int(state["asked_ns"]) + 86_400 * 10**9})
    (one,) = looked(config).new
    assert one.reasons[0].startswith("the clock was set back by 864")
    assert json.dumps(one.reasons).isascii()


def test_a_watch_finds_within_a_minute_what_the_records_tell_of_once(config: Config) -> None:
    looked(config)
    with open_store(config.host.state_dir) as store:
        ledger = WatchCoverage(config, store, None, senses_files=False)
        ledger.begin()
        text = "auditing was switched off by auid 1000 (eve), /usr/sbin/auditctl, pid 7 (event 50.000:9)"
        ledger.hear([Note(source=Source.AUDIT, kind=NoteKind.AUDIT_DISABLED, time_ns=time.time_ns(), text=text)])
        found, until = list[Finding](), time.monotonic() + 60
        while not found and time.monotonic() < until:  # young words may be taken back by the next ones
            ledger._next_s = 0.0  # the minute is over
            ledger.step()
            assert ledger.problem == ""
            found = ledger.take_findings()
            time.sleep(0.2)
        assert [one.evidence for one in found] == [("50.000:9",)]
        ledger._next_s = 0.0
        ledger.step()
        assert ledger.take_findings() == []
