"""The ledger under this kernel's real audit: what is done to it is in there, with who did it, and closed when it is over."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from fimkit.audit.kernel import AuditKernel
from fimkit.model.config_text import load_config
from fimkit.verbs.install import install
from tests.checked_host import make_checked_host
from tests.watching import WatchedHost, watched_host

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for the kernel's audit and for mounts")


def auditctl(*words: str) -> None:
    subprocess.run(["auditctl", *words], check=True, capture_output=True, timeout=30)


def gaps(host: WatchedHost, *arguments: str) -> dict[str, dict[str, Any]]:
    """Give the last gap of each cause, as `fimkit coverage` tells it."""
    done = host.fimkit("coverage", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    found = [gap for line in done.stdout.splitlines() for gap in json.loads(line)["gaps"]]
    return {gap["cause"]: gap for gap in sorted(found, key=lambda gap: gap["from"])}


def test_what_is_done_to_auditing_is_in_the_ledger_until_it_is_undone(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        first = host.fimkit("check")
        assert {"rules", "audit-off", "never-task", "lost", "auditd"}.isdisjoint(gaps(host)), first.stdout
        auditctl("-D")
        host.live.sync()
        done = host.fimkit("check")
        gone = gaps(host)["rules"]
        assert "new: 1 finding: 1 medium; 1 not attributed for sure; not all was seen: " in done.stdout, done.stdout
        assert "tampered" in done.stdout and "audit rules of fimkit's were taken out by " in done.stdout
        assert gone["to"] is None and "auditctl" in gone["words"], gone
        rules = str(host.place / "40-fimkit.rules")
        assert install(load_config(host.config), dry_run=False, root=None, rules_file=rules).refused is None
        host.fimkit("check")
        assert gaps(host)["rules"]["to"] is not None

        auditctl("-e", "0")
        host.fimkit("check")
        off = gaps(host)["audit-off"]
        assert off["to"] is None and "auditing is off" in off["words"], off
        assert "auditing is off" in host.fimkit("findings").stderr
        auditctl("-e", "1")
        host.live.sync()
        host.fimkit("check")
        assert gaps(host)["audit-off"]["to"] is not None

        auditctl("-a", "never,task")
        try:
            host.fimkit("check")
            assert gaps(host)["never-task"]["to"] is None
        finally:
            auditctl("-d", "never,task")
        host.fimkit("check")
        assert gaps(host)["never-task"]["to"] is not None


def test_records_that_the_kernel_dropped_and_an_auditd_that_ended_are_in_the_ledger(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        host.fimkit("check")
        auditctl("--backlog_wait_time", "0")
        auditctl("-b", "2")
        try:
            os.kill(host.live.auditd_pid, signal.SIGSTOP)  # nobody takes what the kernel has
            for number in range(3000):
                (host.tree / "etc" / f"f{number % 3}").write_text("x")
        finally:
            os.kill(host.live.auditd_pid, signal.SIGCONT)
            auditctl("-b", "8192")
            auditctl("--backlog_wait_time", "15000")
        host.live.sync()
        host.fimkit("check")
        lost = gaps(host)["lost"]
        assert lost["lost"] > 0 and lost["to"] is not None, lost
        os.kill(host.live.auditd_pid, signal.SIGTERM)
        until = time.monotonic() + 30
        while True:
            with AuditKernel() as kernel:
                if kernel.status().pid == 0:
                    break
            assert time.monotonic() < until
            time.sleep(0.05)
        host.fimkit("check")
        ended = gaps(host)["auditd"]
        assert ended["to"] is None and "no process owns the audit socket" in ended["words"], ended


def test_a_watch_writes_what_it_cannot_hear_and_one_that_is_killed_is_missed(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        watching = host.watch()
        auditctl("-e", "0")
        watching.wait(lambda: "audit-off" in gaps(host), 30)
        assert gaps(host)["audit-off"]["to"] is None
        watching.process.kill()
        watching.process.wait(30)
        down = gaps(host)["watch-down"]
        assert down["to"] is None and "killed" in down["words"]
        auditctl("-e", "1")
        again = host.watch()
        after = gaps(host)
        assert after["watch-down"]["to"] is not None
        assert after["audit-off"]["to"] is not None
        assert "not all was seen: " in again.words
        again.stop()
        assert gaps(host)["watch-down"]["words"] == "the watch was stopped"


def test_a_change_is_found_at_once_while_nothing_is_recorded(tmp_path: Path) -> None:
    with watched_host(tmp_path) as host:
        watching = host.watch()
        looks = host.status()["rescans"]
        descriptors = Path(f"/proc/{watching.process.pid}/fd")
        auditctl("-e", "0")
        watching.wait(lambda: "seen by inotify" in watching.words and host.status()["rescans"] > looks, 30)
        assert "anon_inode:inotify" in {os.readlink(one) for one in descriptors.iterdir()}
        path = host.tree / "etc/while-deaf"
        path.write_text("x")
        watching.wait(lambda: watching.of(path), 20)  # the next look at all is a minute away
        assert watching.of(path)[-1]["attribution"] == "unattributed" and host.status()["rescans"] == looks + 1
        auditctl("-e", "1")
        watching.wait(lambda: "recorded again" in watching.words and host.status()["rescans"] > looks + 1, 30)
        watching.wait(lambda: "anon_inode:inotify" not in {os.readlink(one) for one in descriptors.iterdir()}, 10)
        watching.stop()


def test_a_file_system_mounted_inside_a_watched_tree_is_a_gap_of_its_path_alone(tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare(1)")
    host = make_checked_host(tmp_path, "sub/a", "b")
    inner = " ".join([*host.command, "check"])
    script = f"mount -t tmpfs none {host.tree}/sub && {inner}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=120)
    if "permission denied" in done.stderr.lower() or "not permitted" in done.stderr.lower():
        pytest.skip("this host lets nobody mount")
    assert f"; not all was seen: {host.tree}/sub: a file system is mounted here" in done.stdout, done.stderr
    told = [json.loads(line) for line in host.run("coverage", "--json", "--path", host.tree / "sub" / "a").stdout.splitlines()]
    assert any(gap["cause"] == "mount" for row in told for gap in row["gaps"])
    beside = host.run("coverage", "--json", "--path", host.tree / "b").stdout
    assert "mount" not in beside
    assert host.run("coverage", "--fail").returncode == 1
    assert "; not all was seen: " in host.run("check").stdout  # it lasted until this look
    assert host.run("check").stdout == "new: no findings\n"


def test_a_log_that_was_cut_and_records_that_were_taken_out_of_it_are_gaps(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a", "b")
    for name in ("a", "b"):
        host.log.write(host.tree / name, "new\n")
    host.check()
    log = host.base / "log" / "audit.log"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[: len(lines) // 2]))
    done = host.run("check")
    assert "new: no findings; not all was seen: " in done.stdout
    for told in (done.stdout, host.run("coverage").stdout, host.run("findings").stderr):
        assert "the file that was read last" in told
