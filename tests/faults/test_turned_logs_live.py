"""`check` and `watch` while their logs are turned, packed, cut and replaced: each event is stored once, or a gap says it.

Seeded; ``FIMKIT_TEST_SEED`` gives other moments, ``-s`` prints what was done.
"""

import json
import os
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from fimkit.evidence.store import open_store
from fimkit.model.coverage import Cause
from tests.auditlog import ALICE, AuditLog
from tests.checked_host import CheckedHost, make_checked_host
from tests.faults.turned_log import GENTLE, ROUGH, TurnedLog
from tests.osquery.result_rows import FILE_ROW, event

__all__: list[str] = []

SEED = int(os.environ.get("FIMKIT_TEST_SEED", "1"))
SMALL = tuple(action for action in GENTLE if action != "burst")


class TurnedHost:
    """A host whose audit log is turned; each event of it is a denied try."""

    def __init__(self, folder: Path, actions: tuple[str, ...], seed: int) -> None:
        self.host: CheckedHost = make_checked_host(folder, "a", tier="watch")
        self.actions, self.tally = actions, Counter[str]()
        self.log = TurnedLog(self.host.log.path, random.Random(seed), self.event_of)
        self._item = self.host.log._item

    def event_of(self, number: int) -> bytes:
        millis = time.time_ns() // 1_000_000
        stamp = f"audit({millis // 1000}.{millis % 1000:03d}:{number})"
        items = [AuditLog._item(self.host.log, stamp, 0, self.host.tree / "a", "NORMAL")]
        args = [0xFFFFFF9C, 0x7F00, os.O_WRONLY, 0]
        return b"".join(self.host.log._event(stamp, ALICE, 257, "openat", args, items, code=-13))

    def act(self) -> None:
        action = self.log.chance.choice(self.actions)
        self.tally[action] += 1
        self.log.do(action)

    def stored(self) -> Counter[int]:
        with open_store(os.fsencode(self.host.state)) as store:
            assert store.bad_line_counts() == {} or self.log.hurt, store.bad_line_counts()
            return Counter(change.serial for change in store.changes())

    def missed(self) -> set[int]:
        stored = self.stored()
        assert set(stored.values()) <= {1}
        return set(range(1, self.log.written + 1)) - set(stored)


def test_checks_while_the_log_is_turned_store_each_event_once(tmp_path: Path) -> None:
    turned = TurnedHost(tmp_path, SMALL, SEED)
    for _ in range(4):
        running = subprocess.Popen(
            [*turned.host.command, "check", "--json"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        while running.poll() is None:
            turned.act()
            time.sleep(turned.log.chance.random() * 0.1)
        _, words = running.communicate()
        assert running.returncode in (0, 1) and "Traceback" not in words, words
    turned.log.settle()
    time.sleep(2.1)  # an event without its end is waited for so long
    turned.host.check()
    assert turned.missed() == set()
    print(f"\n{turned.log.written} events: {dict(turned.tally)}")


@pytest.mark.parametrize("actions", [SMALL, ROUGH], ids=["gentle", "rough"])
def test_a_watch_of_a_log_that_is_turned_stores_each_event_once_or_writes_a_gap(tmp_path: Path, actions: tuple[str, ...]) -> None:
    turned = TurnedHost(tmp_path, actions, SEED)
    host = turned.host
    turned.log.do("write")
    errors = tmp_path / "errors"
    with errors.open("w") as file:
        watching = subprocess.Popen([*host.command, "watch", "--json", "--records", "log"], stdout=subprocess.DEVNULL, stderr=file)
    try:
        wait_ready(host, watching)
        for _ in range(80):
            turned.act()
            time.sleep(turned.log.chance.random() * 0.06)
        turned.log.settle()
        time.sleep(2.5)
    finally:
        watching.terminate()
        watching.wait(60)
    assert "Traceback" not in errors.read_text(), errors.read_text()
    missed = turned.missed()
    with open_store(os.fsencode(host.state)) as store:
        gone = [gap for gap in store.gaps() if gap.cause is Cause.LOG_GONE]
    print(f"\n{turned.log.written} events, {len(missed)} missed, {len(gone)} gaps: {dict(turned.tally)}")
    assert not missed or gone, errors.read_text()
    assert turned.log.hurt or (not missed and not gone), errors.read_text()


def wait_ready(host: CheckedHost, watching: subprocess.Popen[bytes]) -> None:
    status, until = host.state / "watch.json", time.monotonic() + 60
    while not (status.exists() and json.loads(status.read_text() or "{}").get("ready")):
        assert watching.poll() is None and time.monotonic() < until
        time.sleep(0.05)


def test_a_watch_writes_a_gap_for_osquery_lines_that_are_gone_and_for_bad_ones(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a", tier="watch")
    log = host.log.path.with_name("osqueryd.results.log")
    row = {**FILE_ROW, "target_path": str(host.tree / "a"), "time": str(int(time.time()))}
    log.write_bytes(event(row) + b"\n")
    watching = subprocess.Popen(
        [*host.command, "watch", "--json", "--records", "log"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_ready(host, watching)
        with log.open("ab") as file:
            file.write(b"no JSON\n" * 1500)
        time.sleep(1.5)
        other = log.with_name("other")
        other.write_bytes(event({**row, "inode": "9"}, unixTime=1) + b"\n")
        other.rename(log)
        time.sleep(1.5)
    finally:
        watching.terminate()
        watching.wait(60)
    with open_store(os.fsencode(host.state)) as store:
        gaps = {(gap.source.value, gap.cause): gap for gap in store.gaps()}
        assert store.bad_line_counts() == {str(log): 1500}
    assert gaps["osquery", Cause.BAD_LINES].lost == 1500
    assert ("osquery", Cause.LOG_GONE) in gaps
