"""Announced changes in a running watch: expected at once, a stranger's is not, and what never came is told when it is over."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.live import why_not_live
from tests.watching import WatchedHost, watched_host

_WHY = why_not_live()
pytestmark = pytest.mark.skipif(_WHY is not None, reason=str(_WHY))

WRITE = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"


def announce(host: WatchedHost, path: Path, by: str, until: str) -> dict[str, Any]:
    done = host.fimkit("expect", "--yes", "--json", "--path", str(path), "--by", by, "--until", until, "--reason", "release 1.2")
    assert done.returncode == 0, done.stderr
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def write(host: WatchedHost, path: Path, text: str, auid: int) -> None:
    ran = host.live.run([sys.executable, "-c", WRITE, str(path), text], auid=auid)
    assert ran.returncode == 0, ran.stderr


def prepare(tree: Path) -> None:
    for name in ("app.conf", "other.conf", "never.conf"):
        (tree / "sbin" / name).write_text("old\n")


def test_change_right_after_its_announcement_is_told_as_expected_and_a_strangers_is_not(tmp_path: Path) -> None:
    with watched_host(tmp_path, prepare) as host:
        sbin = host.tree / "sbin"
        watching = host.watch()
        announce(host, sbin / "app.conf", "1001", "1h")
        write(host, sbin / "app.conf", "new\n", 1001)  # within the second in which a watch asks what others wrote
        watching.wait(lambda: watching.of(sbin / "app.conf"), 60)
        row = announce(host, sbin / "other.conf", "1001", "1h")
        write(host, sbin / "other.conf", "new\n", 1002)
        watching.wait(lambda: watching.of(sbin / "other.conf"), 60)
        assert watching.stop() == 1, watching.words
    mine, others = watching.of(sbin / "app.conf"), watching.of(sbin / "other.conf")  # one between open and write may be among them
    assert {(one["verdict"], one["severity"], one["attribution"]) for one in mine} == {("expected", "info", "exact")}
    assert all(one["reasons"][0].startswith("announced: ticket ") for one in mine)
    assert {(one["verdict"], one["severity"]) for one in others} == {("unexplained", "critical")}
    start = f"ticket {row['ticket']} does not cover it: "
    assert all(any(words.startswith(start) for words in one["reasons"]) for one in others)


def test_announced_change_that_never_came_is_told_once_when_its_time_is_over(tmp_path: Path) -> None:
    with watched_host(tmp_path, prepare) as host:
        path = host.tree / "sbin" / "never.conf"
        watching = host.watch()
        announce(host, path, "1001", "1s")
        watching.wait(lambda: watching.of(path), 120)
        beside = host.check()
        every = host.check("--all")
        assert watching.stop() == 1, watching.words  # open until it is accepted, as to a check
    (told,) = watching.of(path)
    assert (told["kind"], told["severity"], told["verdict"]) == ("overdue", "low", "unexplained")
    assert beside == [] and [one["id"] for one in every] == [told["id"]]
