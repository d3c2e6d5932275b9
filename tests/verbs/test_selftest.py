"""`selftest` leaves nothing behind, hurts nothing that is there, and hides nobody; whatever ends it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fimkit.evidence.canary_rows import Canary
from fimkit.evidence.connection import connect, write_transaction
from fimkit.evidence.store import open_store
from fimkit.verbs.canaries import canary_texts
from tests.verbs.selftest_host import SelftestHost, make_selftest_host

MANY = [f"d{number}" for number in range(60)]


def interrupt(host: SelftestHost, number: int) -> subprocess.Popen[bytes]:
    """Run `selftest`, and send it a signal as soon as the first canary is there."""
    process = subprocess.Popen(host.command("selftest", "--timeout", "1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        if any("canary" in name for name in os.listdir(host.tree / MANY[0])):
            process.send_signal(number)
            break
    process.wait(30)
    return process


def test_killed_selftest_leaves_canaries_that_are_no_finding_and_the_next_removes_them(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, *MANY)
    assert host.run("baseline", "create").returncode == 0
    assert interrupt(host, signal.SIGKILL).returncode == -signal.SIGKILL
    left = host.left()
    assert left, "it was done before it was killed"
    assert host.check() == []
    _, _, words = host.selftest("--timeout", "1")
    assert "removed a canary that an interrupted selftest left behind" in words
    assert host.left() == []
    assert host.check() == []
    assert all(row.gone_ns is not None for row in host.canaries())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_stopped_selftest_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    host = make_selftest_host(tmp_path, *MANY)
    assert interrupt(host, number).returncode == 128 + signal.SIGINT
    assert host.left() == []
    assert all(row.gone_ns is not None for row in host.canaries())


def plant_left(host: SelftestHost, text: bytes | None = None, *, token: str = "ab" * 16) -> Path:
    """Leave a canary behind as a killed `selftest` does."""
    path = host.tree / "d" / f"fimkit-canary-{token}"
    with open_store(os.fsencode(host.base / "state"), create=True) as store:
        store.add_canaries([Canary(path=os.fsencode(path), token=token, pid=2**22 + 1, planted_ns=time.time_ns())])
    path.write_bytes(canary_texts(token)[1] if text is None else text)
    path.chmod(0o600)
    return path


def test_left_canary_that_was_tampered_with_is_a_finding_and_stays(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, "d")
    assert host.run("baseline", "create").returncode == 0
    path = plant_left(host, b"<?php evil")
    assert [finding["path"] for finding in host.check()] == [str(path)]
    _, _, words = host.selftest("--timeout", "1")
    assert "this is no canary as selftest makes it, and stays" in words
    assert path.read_bytes() == b"<?php evil"
    assert [finding["path"] for finding in host.check()] == [str(path)]


def test_file_that_comes_under_the_name_of_a_canary_that_is_gone_is_a_finding(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, "d")
    assert host.run("baseline", "create").returncode == 0
    host.selftest("--timeout", "1")
    for row in host.canaries():
        path = Path(os.fsdecode(row.path))
        path.write_bytes(canary_texts(row.token)[1])
        path.chmod(0o600)
        assert [finding["path"] for finding in host.check()] == [str(path)]
        path.unlink()


def test_file_with_a_canarys_look_that_no_selftest_planted_is_a_finding(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, "d")
    assert host.run("baseline", "create").returncode == 0
    host.selftest("--timeout", "1")
    path = host.tree / "d" / f"fimkit-canary-{'12' * 16}"
    path.write_bytes(canary_texts("12" * 16)[1])
    path.chmod(0o600)
    assert [finding["path"] for finding in host.check()] == [str(path)]


def test_left_canary_is_not_taken_into_a_baseline_nor_accepted(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, "d")
    path = plant_left(host)
    assert host.run("baseline", "create").returncode == 0
    assert str(path) not in host.run("baseline", "show").stdout
    assert host.run("baseline", "diff", "--json").stdout == ""
    (host.tree / "d" / "new").write_text("new\n")
    assert host.run("baseline", "accept", "--yes", "--reason", "planned", str(host.tree)).returncode == 0
    assert str(path) not in host.run("baseline", "show").stdout
    host.selftest("--timeout", "1")
    assert not path.exists() and host.check() == []


def test_selftest_before_any_baseline_makes_a_store_that_a_baseline_can_follow(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, "d")
    status, rows, _ = host.selftest("--timeout", "1")
    assert status == 1 and rows["d"]["sources"]["scan"]["ok"] is True
    assert host.run("check").returncode == 2  # still no baseline
    assert host.run("baseline", "create").returncode == 0
    assert host.check() == []


def test_second_selftest_is_refused_while_one_runs(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, *MANY)
    from fimkit.evidence.lock import lock_state

    with lock_state(os.fsencode(host.base / "state"), verb="selftest", name=b"selftest.lock"):
        done = host.run("selftest")
        assert host.run("baseline", "create").returncode == 0  # what writes is not kept waiting
    assert done.returncode == 3 and f"pid {os.getpid()} (selftest) is at work" in done.stderr


def test_selftest_waits_for_a_writer_that_keeps_the_store(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, "d")
    connection = connect(os.fsencode(host.base / "state"), create=True)
    with write_transaction(connection):
        process = subprocess.Popen(host.command("selftest", "--timeout", "1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(1.5)
        assert host.left() == []  # nothing is planted before the store knows it
    connection.close()
    stdout, _ = process.communicate(timeout=60)
    assert b"SCAN" in stdout and host.left() == []


def test_what_cannot_be_tried_is_told_with_its_reason(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, "plain", "names", "linked")
    (host.tree / "link").symlink_to(host.tree / "linked")
    host.configure(
        "missing",
        f'path = "{host.tree}/names"\ninclude = ["wp-config.php"]',
        f'path = "{host.tree}/plain"\nexclude = ["fimkit*"]',
        "link",
        "linked/file",
    )
    status, rows, _ = host.selftest("--timeout", "1")
    assert status == 1
    assert rows["missing"]["ok"] is False and "there is no such path" in rows["missing"]["why"]
    assert rows["names"]["ok"] is None and "let no name of a canary through" in rows["names"]["why"]
    assert rows["plain"]["sources"]["scan"]["ok"] is True  # under a name that the exclude lets through
    assert rows["link"]["folder"] == str(host.tree / "linked") and rows["link"]["sources"]["scan"]["ok"] is True
    assert "the canary sits beside it" in rows["file"]["why"] and rows["file"]["sources"]["scan"]["ok"] is True


def test_nothing_that_can_be_tried_is_no_success(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, "names")
    host.configure(f'path = "{host.tree}/names"\ninclude = ["wp-config.php"]')
    assert host.selftest()[0] == 1


@pytest.mark.parametrize("words", [["--timeout", "0"], ["--timeout", "-1"], ["--timeout", "nan"], ["--timeout", "inf"]])
def test_timeout_that_is_none_is_refused(tmp_path: Path, words: list[str]) -> None:
    done = make_selftest_host(tmp_path, "d").run("selftest", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--timeout" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_read_only_file_system_is_no_failure_and_one_below_is_tried_if_it_is_watched(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, "ro", "above")
    below = host.tree / "above" / "mnt"
    below.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(host.tree / "ro")], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(below)], check=True)
        host.configure("ro", "above")
        _, rows, _ = host.selftest("--timeout", "1")
        host.configure("ro", f'path = "{host.tree}/above"\ncross_mounts = true')
        crossed = host.run("selftest", "--json", "--timeout", "1").stdout
    finally:
        for folder in (host.tree / "ro", below):
            subprocess.run(["umount", str(folder)], check=False)
    assert rows["ro"]["ok"] is None and "Read-only file system" in rows["ro"]["why"]
    assert f"other file systems below it ({below}) are neither recorded nor scanned" in rows["above"]["why"]
    assert f'"folder":"{below}"' in crossed and "a file system mounted below" in crossed
