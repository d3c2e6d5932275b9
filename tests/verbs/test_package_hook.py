"""A package manager's hook: what the real dpkg put in place and is proved goes into the baseline by itself; the rest stays open."""

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.evidence.store import open_store
from fimkit.model.findings import ANNOUNCED, ANNOUNCED_BYTES
from fimkit.notify.outbox import Outbox
from fimkit.verbs.package_hook import reason_of
from tests.verbs.package_host import PackageHost, make_package_host, publish_second

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("dpkg") is None, reason="needs root and dpkg: packages are installed below a folder"
)


@pytest.fixture
def host(tmp_path: Path) -> PackageHost:
    host = make_package_host(Path(os.path.realpath(tmp_path)))
    text = host.config_file.read_text().replace("[sources]", f'report_file = "{host.place}/report"\n\n[sources]', 1)
    host.config_file.write_text(text + "\n[packages]\nhook = true\n")
    assert host.fimkit("baseline", "create", "--reason", "first").returncode == 0
    return host


def report(host: PackageHost) -> str:
    path = host.place / "report"
    return path.read_text() if path.exists() else ""


def until(is_so: Callable[[], object], host: PackageHost) -> None:
    end = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < end, report(host)
        time.sleep(0.05)


def is_done(host: PackageHost) -> bool:
    """Nothing is to be looked at any more, and nobody is at it: the lock's file is emptied by who lets go of it."""
    state = host.place / "state"
    lock = state / "hook.lock"
    return not (state / "hook-apt.json").exists() and lock.exists() and not lock.read_text() and " by proof, " in report(host)


def call_hook(host: PackageHost) -> None:
    done = host.fimkit("baseline", "accept", "--expected", "--hook", "apt")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def upgrade(host: PackageHost) -> None:
    subprocess.run(host.upgrade_command(*publish_second(host.world)), check=True, capture_output=True)


def test_proved_upgrade_is_accepted_by_the_hook_with_package_and_version_and_the_rest_is_left(host: PackageHost) -> None:
    upgrade(host)
    (host.root / "usr/bin/plain").write_bytes(b"#!/bin/sh\necho evil\n")
    call_hook(host)
    until(lambda: is_done(host), host)
    rows = [json.loads(line) for line in host.fimkit("baseline", "show", "--history", "--json").stdout.splitlines()]
    mine = {"/" + os.path.relpath(row["path"], host.root): row for row in rows if row["who"] == "apt-hook"}
    assert mine["/usr/bin/tool"]["why"].startswith("apt: tool 1:2.0 (proved: the archive stands in ")
    assert mine["/usr/share/tool/gone.txt"]["after"] is None and "tool" in mine["/usr/share/tool/gone.txt"]["why"]
    assert "/usr/bin/plain" not in mine and "/etc/made-by-script" not in mine
    assert len({row["acceptance"] for row in mine.values()}) == len({row["why"] for row in mine.values()})
    with open_store(os.fsencode(host.place / "state")) as store:
        assert store.findings() == []  # what is left is for the watch or the check, which tell it, and judge it
    found, _ = host.check()
    assert found["/usr/bin/plain"]["verdict"] != "expected"
    assert not set(mine) & set(found)
    text = report(host)
    assert f"paths taken into the baseline by proof, {len(found)} left open" in text.splitlines()[0]
    assert "left open, for nothing proves it: " in text and "usr/bin/plain" in text


def test_answer_is_mailed_to_the_general_recipients_and_waits_where_no_server_takes_it(host: PackageHost) -> None:
    mail = '\n[mail]\nsmtp_server = "192.0.2.1:587"\ndeadline_s = 1\ngeneral_recipients = ["ops@example.org"]\n'
    host.config_file.write_text(host.config_file.read_text() + mail)
    upgrade(host)
    call_hook(host)
    until(lambda: is_done(host), host)
    with Outbox(os.fsencode(host.place / "state")) as outbox:
        (waiting,) = outbox.letters()
        assert waiting.recipients == ("ops@example.org",)


def test_calls_while_the_manager_is_at_work_are_one_acceptance_when_it_is_through(host: PackageHost) -> None:
    upgrade(host)
    with (host.root / "var/lib/dpkg/lock-frontend").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        for _ in range(3):
            began = time.monotonic()
            call_hook(host)
            assert time.monotonic() - began < 60
        until(lambda: (host.place / "state/hook.lock").exists(), host)
        time.sleep(2)
        assert report(host) == ""
        assert host.fimkit("baseline", "show", "--history", "--json").stdout.count("apt-hook") == 0
    until(lambda: is_done(host), host)
    time.sleep(0.5)
    assert report(host).count(" by proof, ") == 1


def test_nothing_is_taken_by_keys_that_were_put_into_the_store_past_fimkit(host: PackageHost) -> None:
    upgrade(host)
    connection = sqlite3.connect(host.place / "state/fimkit.sqlite")
    with connection:
        assert connection.execute("UPDATE package_pins SET body = replace(body, '{', '{ ')").rowcount == 1
    connection.close()
    call_hook(host)
    until(lambda: "nothing was taken into the baseline" in report(host), host)
    assert "what packages are trusted by was altered past fimkit" in report(host)
    assert host.fimkit("baseline", "show", "--history", "--json").stdout.count("apt-hook") == 0


def test_announced_change_is_not_taken_by_the_hook(host: PackageHost) -> None:
    upgrade(host)
    host.check()
    with open_store(os.fsencode(host.place / "state")) as store:
        by_path = {"/" + os.path.relpath(os.fsdecode(one.path), host.root): one for one in store.findings()}
    assert reason_of(by_path["/usr/bin/tool"], "apt") is not None
    assert reason_of(by_path["/etc/made-by-script"], "apt") is None
    for prefix in (ANNOUNCED, ANNOUNCED_BYTES):
        finding = replace(by_path["/usr/bin/tool"], reasons=(f"{prefix}ticket 1 of alice", *by_path["/usr/bin/tool"].reasons))
        assert reason_of(finding, "apt") is None


def test_hook_that_is_not_configured_does_nothing_and_says_so(host: PackageHost) -> None:
    host.config_file.write_text(host.config_file.read_text().replace("hook = true", "hook = false"))
    done = host.fimkit("baseline", "accept", "--expected", "--hook", "apt")
    assert done.returncode == 0 and "[packages] hook is false" in done.stderr
    assert not (host.place / "state/hook-apt.json").exists()


def test_hook_takes_no_paths_and_only_what_is_proved(host: PackageHost) -> None:
    assert host.fimkit("baseline", "accept", "--hook", "apt").returncode == 2
    assert host.fimkit("baseline", "accept", "--expected", "--hook", "apt", "/usr").returncode == 2
