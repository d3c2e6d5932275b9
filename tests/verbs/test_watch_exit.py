"""The exit status of a watch is that of a check: 1 while anything is open, also what left no difference."""

import signal
import time
from pathlib import Path

from tests.auditlog import ALICE
from tests.checked_host import CheckedHost, make_checked_host
from tests.faults.forked import preload, start
from tests.faults.kills import wait_ready

__all__: list[str] = []


def watch_once(host: CheckedHost, folder: Path) -> int | None:
    words = ["--config", str(host.config), "watch", "--json", "--records", "log", "--nomail", "--nokill"]
    running = start(words, folder)
    try:
        wait_ready(host.state, running)
        running.kill(signal.SIGTERM)
        return running.end().status
    finally:
        running.kill()


def test_an_announced_change_that_never_came_and_a_denied_try_are_open_to_both(tmp_path: Path) -> None:
    preload()
    host = make_checked_host(tmp_path, "never.conf", "denied")
    assert (host.check().status, watch_once(host, tmp_path / "out")) == (0, 0)
    said = ("--path", str(host.tree / "never.conf"), "--by", "root", "--until", "1s", "--reason", "release")
    assert host.run("expect", *said).returncode == 0
    time.sleep(1.1)
    found = host.check()
    assert (found.status, found.kinds) == (1, {"never.conf": "overdue"})
    assert watch_once(host, tmp_path / "out") == 1
    host.accept(host.tree / "never.conf")
    assert (host.check().status, watch_once(host, tmp_path / "out")) == (0, 0)
    host.log.deny(host.tree / "denied", ALICE)
    found = host.check()
    assert (found.status, found.kinds) == (1, {"denied": "attempted"})
    assert watch_once(host, tmp_path / "out") == 1
