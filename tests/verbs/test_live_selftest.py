"""`selftest` on this kernel's real audit, with an auditd and an osqueryd: who sees, who does not, and what that means."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.live import live_audit
from tests.osqueryd import OSQUERYDS, start_osqueryd
from tests.verbs.selftest_host import SelftestHost, installed, make_selftest_host

OPERATIONS = ["create", "modify", "chmod", "rename", "remove"]


def osquery_config(*folders: Path, interval: int = 1) -> dict[str, Any]:
    return {
        "schedule": {"fim": {"query": "SELECT * FROM file_events", "interval": interval, "removed": False}},
        "file_paths": {f"c{number}": [f"{folder}/%%"] for number, folder in enumerate(folders)},
    }


def saw_all(source: dict[str, Any]) -> bool:
    return list(source["operations"]) == OPERATIONS and all(ms is not None for ms in source["operations"].values())


@pytest.mark.parametrize("osqueryd", OSQUERYDS)
def test_every_source_sees_every_operation_and_check_finds_nothing(tmp_path: Path, osqueryd: tuple[str, ...]) -> None:
    host = make_selftest_host(tmp_path, "sbin", "www")
    config = osquery_config(host.tree / "sbin", host.tree / "www")
    with live_audit(host.base / "audit") as live, start_osqueryd(host.base / "osq", config=config, binary=osqueryd) as running:
        host.configure(
            "sbin",
            f'path = "{host.tree}/www"\ninclude = ["*.php"]',
            audit_log=live.log, osquery_log=running.results_log, socket=running.socket,
        )  # fmt: skip
        assert host.run("baseline", "create").returncode == 0
        with installed(host):
            status, rows, words = host.selftest()
            live.sync()
            found = host.check()
            again = host.check()
    assert status == 0, (rows, words)
    for row in rows.values():
        assert row["ok"] is True and row["why"] == ""
        for name, source in row["sources"].items():
            assert saw_all(source) and source["ok"] is True and source["why"] == "", (name, source)
            assert source["after_ms"] == max(source["operations"].values())
    assert all(row["sources"]["audit"]["after_ms"] < 1000 for row in rows.values())
    assert found == again == []
    assert host.left() == []
    canaries = host.canaries()
    assert len(canaries) == 4 and all(row.gone_ns is not None for row in canaries)
    names = [row.path.rpartition(b"/")[2] for row in canaries]
    assert len({row.token for row in canaries}) == 2 and len(set(names)) == 4
    assert sum(name.endswith(b".php") for name in names) == 2
    print(json.dumps(rows, indent=1))


def test_root_without_a_rule_and_root_that_osquery_does_not_know_are_told(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, "sbin", "www")
    with live_audit(host.base / "audit") as live, start_osqueryd(
        host.base / "osq", config=osquery_config(host.tree / "www")
    ) as running:
        sources: dict[str, Any] = {"audit_log": live.log, "osquery_log": running.results_log, "socket": running.socket}
        host.configure("sbin", **sources)
        with installed(host):
            host.configure("sbin", "www", **sources)
            status, rows, _ = host.selftest("--timeout", "4")
            shown = host.run("selftest", "--timeout", "4").stdout
    assert status == 1
    sbin, www = rows["sbin"]["sources"], rows["www"]["sources"]
    assert sbin["audit"]["ok"] and sbin["scan"]["ok"] and www["osquery"]["ok"] and www["scan"]["ok"]
    assert www["audit"]["seen"] is False and "run `fimkit install`" in www["audit"]["why"]
    assert sbin["osquery"]["seen"] is False and "file_paths do not name this folder" in sbin["osquery"]["why"]
    assert all(ms is None for ms in sbin["osquery"]["operations"].values())
    assert rows["sbin"]["ok"] is rows["www"]["ok"] is False
    assert max(map(len, shown.splitlines())) <= 100
    assert shown.count("NOT SEEN") == 2


def test_auditing_that_is_off_is_told(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, "sbin")
    with live_audit(host.base / "audit") as live:
        host.configure("sbin", audit_log=live.log)
        with installed(host):
            live.kernel.disable()
            status, rows, _ = host.selftest()
    audit = rows["sbin"]["sources"]["audit"]
    assert (status, audit["seen"], audit["logged"]) == (1, False, False)
    assert "auditing is off" in audit["why"]


def test_records_that_do_not_come_into_the_log_are_told(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, "sbin")
    with live_audit(host.base / "audit"):
        host.configure("sbin", audit_log=host.base / "elsewhere.log")
        with installed(host):
            status, rows, _ = host.selftest()
            (host.base / "elsewhere.log").write_text("type=DAEMON_START msg=audit(1.000:1): op=start\n")
            _, later, _ = host.selftest("--timeout", "1")
    audit, silent = rows["sbin"]["sources"]["audit"], later["sbin"]["sources"]["audit"]
    assert (status, audit["seen"], audit["logged"], audit["ok"]) == (1, True, None, False)
    assert "there is no audit log at" in audit["why"]
    assert (silent["seen"], silent["logged"], silent["ok"]) == (True, False, False)
    assert "does not come into" in silent["why"]


def test_osquery_that_sees_and_does_not_log_is_told_from_one_that_is_blind(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, "sbin")
    whys = []
    for config, flags in (
        ({**osquery_config(host.tree / "sbin"), "schedule": {}}, ()),
        (osquery_config(host.tree / "sbin", interval=3600), ()),
        (osquery_config(host.tree / "sbin"), ("--enable_file_events=false",)),
    ):
        with start_osqueryd(host.base / "osq", config=config, flags=flags) as running:
            # A schedule alone makes osqueryd write its log's first line: another query keeps it there.
            running.results_log.touch()
            host.configure("sbin", osquery_log=running.results_log, socket=running.socket)
            status, rows, _ = host.selftest("--timeout", "2")
        osquery = rows["sbin"]["sources"]["osquery"]
        assert (status, osquery["logged"], osquery["ok"]) == (1, False, False)
        whys.append((osquery["seen"], osquery["why"]))
    assert whys[0][0] is True and "no scheduled query selects from file_events" in whys[0][1]
    assert whys[1][0] is True and "its query runs every 3600 s, and 2 s were waited for" in whys[1][1]
    assert whys[2][0] is False and "enable_file_events" in whys[2][1]


def test_osqueryd_that_is_away_is_told(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, "sbin")
    log = host.base / "osqueryd.results.log"
    log.write_text("{}\n")
    host.configure("sbin", osquery_log=log)
    _, rows, _ = host.selftest("--timeout", "1")
    osquery = rows["sbin"]["sources"]["osquery"]
    assert osquery["seen"] is False and "osqueryd does not answer" in osquery["why"]


def test_single_file_is_not_touched_and_its_folder_tests_osquery(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, "etc")
    file = host.tree / "etc" / "file"
    before = file.stat()
    with live_audit(host.base / "audit") as live, start_osqueryd(
        host.base / "osq", config=osquery_config(host.tree / "etc")
    ) as running:
        host.configure("etc/file", audit_log=live.log, osquery_log=running.results_log, socket=running.socket)
        status, rows, _ = host.selftest()
        with installed(host):
            later, ruled, _ = host.selftest()
    sources = rows["file"]["sources"]
    assert sources["osquery"]["ok"] is True and sources["scan"]["seen"] is None
    assert (status, sources["audit"]["seen"], sources["audit"]["ok"]) == (1, None, False)
    assert (later, ruled["file"]["ok"]) == (0, True)
    assert "the rule is in the kernel" in ruled["file"]["sources"]["audit"]["why"]
    assert file.stat() == before


_INTRUDE = """
import os, sys, time
folder = sys.argv[1]
until = time.monotonic() + 30
while time.monotonic() < until:
    for name in os.listdir(folder):
        if "canary" in name:
            try:
                with open(os.path.join(folder, name), "ab") as file:
                    file.write(b"evil")
            except OSError:
                continue
            sys.exit(0)
sys.exit(1)
"""


def test_intruder_who_writes_into_a_living_canary_is_a_finding(tmp_path: Path) -> None:
    host = make_selftest_host(tmp_path, *(f"d{number}" for number in range(30)))
    names = [f"d{number}" for number in range(30)]
    with live_audit(host.base / "audit") as live:
        host.configure(*names, audit_log=live.log)
        assert host.run("baseline", "create").returncode == 0
        with installed(host):
            intruder = subprocess.Popen(["/usr/bin/python3", "-c", _INTRUDE, str(host.tree / "d0")])
            host.selftest("--timeout", "2")
            wrote = intruder.wait(40)
            live.sync()
            found = host.check()
    if wrote != 0:
        pytest.skip("the canary was gone before the intruder saw it")
    assert len({finding["path"] for finding in found}) >= 1, found
    for finding in found:
        assert "/d0/" in finding["path"] and finding["severity"] in ("high", "critical"), finding
    assert any(actor["pid"] == intruder.pid for finding in found for actor in finding["actors"]), found


def run_checks(host: SelftestHost, count: int) -> list[dict[str, Any]]:
    return [finding for _ in range(count) for finding in host.check()]


def test_checks_that_run_meanwhile_take_no_canary_for_a_change(tmp_path: Path) -> None:
    names = [f"d{number}" for number in range(40)]
    host = make_selftest_host(tmp_path, *names)
    with live_audit(host.base / "audit") as live, start_osqueryd(host.base / "osq", config=osquery_config(host.tree)) as running:
        host.configure(*names, audit_log=live.log, osquery_log=running.results_log, socket=running.socket)
        assert host.run("baseline", "create").returncode == 0
        with installed(host):
            loop = subprocess.Popen(
                ["/bin/sh", "-c", 'for i in 1 2 3 4 5 6; do "$@" || exit 1; done', "sh", *host.command("selftest")],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            found = []
            checks = 0
            while loop.poll() is None:
                found += host.check()
                checks += 1
            told, _ = loop.communicate()
            found += host.check()
    assert loop.returncode == 0, told
    assert found == [] and checks > 3
