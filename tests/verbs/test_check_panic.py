"""What a check does on an armed host: the panic's runner is asked about what is new to it, and about nothing else."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fimkit.model.config import Config, Host, Panic, Sources, Watch
from fimkit.model.findings import Severity, Tier, Verdict
from fimkit.panic.record import Phase, load_record
from fimkit.verbs.baseline import create_baseline
from fimkit.verbs.check import Checked, CheckOptions, check
from fimkit.verbs.check_panic import judge_open
from tests.packages.debworld import NEEDS_DEBIAN
from tests.private_net import in_private_net
from tests.verbs.armed_host import put_record
from tests.verbs.package_host import PackageHost, make_package_host, publish_second
from tests.verbs.panic_place import armed, settings_of
from tests.verbs.test_explain import config_of, findings_of
from tests.verbs.test_panic_guard import DOUBLE

__all__: list[str] = []


def needs_debian(test: Any) -> Any:
    for mark in NEEDS_DEBIAN:
        test = mark(test)
    return test


# Holds dpkg's lock as dpkg does, until its input ends.
HOLD = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"


class Armable:
    """A host with one critical file, which has changed; its runner is a double."""

    def __init__(self, place: Path) -> None:
        (place / "tree").mkdir()
        (place / "tree/door").write_text("old")
        sources = Sources(
            audit_log=os.fsencode(place / "audit.log"), osquery_log=os.fsencode(place / "os.log"), osquery_config=b"",
            package_root=b"",
        )  # fmt: skip
        self.config = Config(
            host=Host(name="web01", state_dir=os.fsencode(place / "state")), sources=sources,
            paths=(Watch(path=os.fsencode(place / "tree"), tier=Tier.CRITICAL),),
        )  # fmt: skip
        self.log, self.place = place / "runner.log", place
        create_baseline(self.config, who="eve", why="")
        (place / "tree/door").write_text("evil")

    def check(self, **options: Any) -> Checked:
        runner = (sys.executable, "-I", DOUBLE, "answers", str(self.log))
        return check(self.config, CheckOptions(runner=runner, **options))

    def rows(self, do: str = "findings") -> list[dict[str, Any]]:
        return rows_of(self.log, do)


def rows_of(log: Path, do: str = "findings") -> list[dict[str, Any]]:
    text = log.read_text() if log.exists() else ""
    return [row for line in text.splitlines() if (row := json.loads(line))["do"] == do]


@pytest.fixture
def host(tmp_path: Path) -> Armable:
    return Armable(tmp_path)


def test_an_armed_host_asks_the_runner_and_waits_for_its_answer(host: Armable) -> None:
    put_record(host.config)
    checked = host.check(nomail=True, nokill=True)
    (row,) = host.rows()
    assert row["whole"] and [one["id"] for one in row["findings"]] == [checked.new[0].id]
    (start,) = host.rows("start")
    assert (start["nomail"], start["nokill"], start["live"]) == (True, True, False)
    assert host.rows("end")
    assert "heard findings" in checked.words
    assert checked.words[-1] == "a panic was run: incident 2026-11-22T103000Z"


def test_a_host_that_is_not_armed_starts_no_runner(host: Armable) -> None:
    assert host.check().new
    put_record(host.config, Phase.RESTORED)
    host.check()
    assert not host.log.exists()


def test_what_was_judged_before_and_an_unchanged_host_start_no_runner(host: Armable) -> None:
    (one,) = host.check().new
    put_record(host.config, seen=[one.id])
    host.check()
    (host.place / "tree/door").write_text("old")
    put_record(host.config)
    assert not [finding for finding in host.check().open if finding.severity is Severity.CRITICAL]
    assert not host.log.exists()


def test_what_was_undone_is_forgotten_by_the_helper_and_starts_the_runner_when_it_is_done_again(host: Armable) -> None:
    (one,) = host.check().new

    def run() -> None:
        with armed(host.config) as helper:
            helper.arm(settings_of(host.config), by="the test", seen=[one.id])
            door = host.place / "tree/door"
            door.write_text("old")  # at another time: a difference of another kind
            assert [gone.id for gone in host.check().undone] == [one.id]
            assert load_record(host.config.host.state_dir).seen == () and not host.log.exists()
            door.write_text("evil")
            (again,) = host.check().new
            assert again.id == one.id
            (row,) = host.rows()
            assert [found["id"] for found in row["findings"]] == [one.id]
        watched = host.config
        host.config = dataclasses.replace(watched, paths=(dataclasses.replace(watched.paths[0], exclude=("door",)),))
        put_record(host.config, seen=[one.id])
        checked = host.check()  # nobody looks there any more: that is no undoing
        assert checked.gone and not checked.undone and load_record(watched.host.state_dir).seen == (one.id,)
        host.config = watched
        host.check()
        (host.place / "tree/door").write_text("old")
        words = host.check().words
        assert any("what was undone still counts as judged: no panic helper answers" in each for each in words), words

    in_private_net(run)


def test_while_the_network_is_cut_what_is_new_is_still_judged(host: Armable) -> None:
    put_record(host.config, Phase.CUT)
    host.check()
    assert len(host.rows()) == 1


def test_logs_given_by_hand_start_no_panic_and_it_says_so(host: Armable) -> None:
    put_record(host.config)
    log = host.place / "copied.log"
    log.write_text("")
    for options in ({"audit_logs": (log,)}, {"osquery_logs": (log,)}):
        assert any("logs given by hand start no panic" in words for words in host.check(**options).words)
    assert not host.log.exists()


def test_a_damaged_record_is_said_and_nothing_begins(host: Armable) -> None:
    put_record(host.config)
    (host.place / "state/panic/record.json").write_text("[]")
    assert any("whether this host is to panic cannot be known" in words for words in host.check().words)
    assert not host.log.exists()


def test_a_runner_that_cannot_be_started_is_said_and_the_findings_are_there(host: Armable) -> None:
    put_record(dataclasses.replace(host.config, panic=Panic(deadline_s=1, capture_s=0)))
    runner = (sys.executable, "-c", "raise SystemExit(3)")
    checked = judge_open(host.config, host.check().open, by_hand=False, nomail=False, nokill=False, runner=runner)
    assert any("ended with status 3" in words for words in checked.words)
    assert any("it is left out" in words for words in checked.words)


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> PackageHost:
    made = make_package_host(Path(os.path.realpath(tmp_path_factory.mktemp("upgraded"))))
    create_baseline(config_of(made), who="eve", why="first")
    made.world.install(*publish_second(made.world))
    (made.root / "usr/bin/door").write_bytes(b"evil")
    return made


@pytest.fixture
def package_manager(upgraded: PackageHost) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", HOLD, str(upgraded.root / "var/lib/dpkg/lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


@needs_debian
def test_a_package_manager_at_work_delays_by_its_bound_and_silences_nothing(
    upgraded: PackageHost, package_manager: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    config = dataclasses.replace(config_of(upgraded), panic=Panic(package_hold_s=3))
    put_record(config)
    findings = [dataclasses.replace(one, severity=Severity.CRITICAL) for one in findings_of(upgraded)]
    log = tmp_path / "log"
    relaxed = dataclasses.replace(config, panic=Panic(package_hold_s=3600))  # the file's: not in force while armed
    runner = (sys.executable, "-I", DOUBLE, "answers", str(log))
    judged = judge_open(relaxed, findings, by_hand=False, nomail=False, nokill=False, runner=runner)
    assert package_manager.poll() is None
    assert any("a package manager is at work" in words and "in 3 s at the latest" in words for words in judged.words)
    assert any("it is at work after 3 s" in words for words in judged.words)
    proved = {one.id for one in judged.findings}
    assert proved and all(one.verdict is Verdict.EXPECTED for one in judged.findings)
    (row,) = rows_of(log)
    handed = {one["id"] for one in row["findings"]}
    assert handed == {one.id for one in findings} - proved
    assert any(one["path"].endswith("/usr/bin/door") for one in row["findings"])
