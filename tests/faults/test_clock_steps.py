"""Clocks that are set by a day, either way: between records, between checks and under a watch; nothing is lost or told twice.

No clock of this machine is touched: the tested processes add a number to what theirs says, and the records' stamps are made so too.
"""

import json
import mmap
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from fimkit.evidence.store import open_store
from fimkit.model.coverage import Cause, Gap
from tests.auditlog import ALICE, AuditLog
from tests.checked_host import CheckedHost, Outcome, make_checked_host
from tests.faults.test_turned_logs_live import wait_ready

__all__: list[str] = []

DAY_NS = 86_400 * 10**9
NAMES = ("a", "b", "c", "d")
# In a process of its own: the wall clock is what the kernel says and the number that stands in a file.
STEPPED = """
import mmap, sys, time
with open(sys.argv.pop(1), "rb") as file:
    step = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
real = time.time_ns
time.time_ns = lambda: real() + int.from_bytes(step[:8], "little", signed=True)
time.time = lambda: time.time_ns() / 1e9
from fimkit.cli import main
sys.exit(main(sys.argv[1:]))
"""


class SteppedLog(AuditLog):
    """An audit log whose stamps go by a clock that was set."""

    step_ns = 0

    def _stamp(self) -> str:
        self.serial += 1
        millis = (time.time_ns() + self.step_ns) // 1_000_000
        return f"audit({millis // 1000}.{millis % 1000:03d}:{self.serial})"


class SteppedHost:
    """A host whose clock can be set."""

    def __init__(self, folder: Path) -> None:
        self.host: CheckedHost = make_checked_host(folder, *NAMES, tier="watch")
        self.log = self.host.log = SteppedLog(self.host.log.path)
        place = folder / "step"
        place.write_bytes(bytes(8))
        with place.open("r+b") as file:
            self._step = mmap.mmap(file.fileno(), 8)
        self.command = [sys.executable, "-c", STEPPED, str(place), "--config", str(self.host.config)]

    def set_clock(self, step_ns: int) -> None:
        self.log.step_ns = step_ns
        self._step[:8] = step_ns.to_bytes(8, "little", signed=True)

    def deny(self, name: str, pid: int) -> None:
        self.log.deny(self.host.tree / name, ALICE._replace(pid=pid, auid=pid, uid=pid))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=False, timeout=120)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def check(self, *arguments: str) -> Outcome:
        done = self.run("check", "--json", *arguments)
        return Outcome(done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr)

    def serials(self) -> Counter[int]:
        with open_store(os.fsencode(self.host.state)) as store:
            return Counter(change.serial for change in store.changes())

    def steps(self) -> list[Gap]:
        with open_store(os.fsencode(self.host.state)) as store:
            return [gap for gap in store.gaps() if gap.cause is Cause.CLOCK]


@pytest.fixture
def stepped(tmp_path: Path) -> SteppedHost:
    return SteppedHost(tmp_path)


def test_a_clock_that_was_set_between_records_costs_none_of_them(stepped: SteppedHost) -> None:
    for number, days in enumerate((0, 1, 0, 2, 1, 0)):
        stepped.log.step_ns = days * DAY_NS
        stepped.deny("abcd"[number % 4], 5000 + number)
    first = stepped.check()
    assert len(first.findings) == 6 or set(first.kinds) == set(NAMES)
    assert stepped.serials() == Counter(range(1001, 1007))
    assert stepped.check().findings == []
    assert stepped.serials() == Counter(range(1001, 1007))


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_was_set_between_checks_is_a_gap_and_costs_nothing(stepped: SteppedHost, days: int) -> None:
    stepped.set_clock(0 if days > 0 else DAY_NS)  # never before the baseline, which would be another matter
    stepped.deny("a", 5000)
    assert stepped.check().kinds == {"a": "attempted"}
    stepped.set_clock(DAY_NS if days > 0 else 0)
    stepped.deny("b", 5001)
    found = stepped.check()
    assert found.kinds == {"b": "attempted", "state": "tampered"}  # who sets a clock hides something
    (gap,) = stepped.steps()
    assert f"the clock was set {'forward' if days > 0 else 'back'} by 86" in gap.words
    assert "not all was seen" in found.words
    again = stepped.check()
    assert again.findings == [] and len(stepped.steps()) == 1
    assert {one["path"].rpartition("/")[2] for one in stepped.check("--all").findings if one["kind"] == "attempted"} == {"a", "b"}
    assert stepped.serials() == Counter((1001, 1002))


def test_what_was_changed_before_the_clock_was_set_back_is_not_exact_by_a_record_that_cannot_be_its_own(
    stepped: SteppedHost,
) -> None:
    stepped.set_clock(DAY_NS)
    stepped.log.write(stepped.host.tree / "a", "new\n", ALICE)  # by its record a day later than by its times
    found = stepped.check().of("a")
    assert found["attribution"] != "exact"
    stepped.set_clock(0)
    stepped.check()
    (again,) = [one for one in stepped.check("--all").findings if one["path"].endswith("/a")]
    assert again["id"] == found["id"] and again["attribution"] != "exact"


def test_what_was_announced_is_told_once_however_the_clock_is_set(stepped: SteppedHost) -> None:
    done = stepped.run("expect", "--path", str(stepped.host.tree / "a"), "--by", "nobody", "--until", "2h", "--reason", "ticket")
    assert done.returncode == 0, done.stderr
    assert stepped.check().findings == []
    told: list[str] = []
    for step_ns in (DAY_NS, 0, DAY_NS):
        stepped.set_clock(step_ns)
        told += [one["id"] for one in stepped.check().findings if one["path"].endswith("/a")]
    assert len(told) == 1
    assert len(stepped.steps()) == 3


def test_a_watch_whose_clock_is_set_forward_and_back_hears_on_and_says_so(stepped: SteppedHost, tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    with errors.open("w") as file:
        watching = subprocess.Popen(
            [*stepped.command, "watch", "--json", "--records", "log"], stdout=subprocess.DEVNULL, stderr=file
        )
    try:
        wait_ready(stepped.host, watching)
        for number, days in enumerate((0, 1, 0, 1)):
            stepped.set_clock(days * DAY_NS)
            time.sleep(1.5)
            stepped.deny("abcd"[number], 5000 + number)
        time.sleep(2.5)
    finally:
        watching.terminate()
        watching.wait(60)
    words = errors.read_text()
    assert "Traceback" not in words
    assert words.count("the clock was set forward by 86") >= 2 and "the clock was set back by 86" in words
    assert stepped.serials() == Counter(range(1001, 1005))
    assert len(stepped.steps()) == 3
    found = stepped.check("--all")
    assert {one["path"].rpartition("/")[2] for one in found.findings if one["kind"] == "attempted"} == set(NAMES)
    assert stepped.serials() == Counter(range(1001, 1005))
