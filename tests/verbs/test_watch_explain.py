"""What a watch holds back for packages to explain: asked in a process of its own, told within a bound."""

import dataclasses
import errno
import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimkit.evidence.store import Store
from fimkit.model.config import Panic
from fimkit.model.findings import Finding, Kind, Verdict
from fimkit.verbs.baseline import create_baseline
from fimkit.verbs.watch_explain import Explained, PackageHold
from tests.packages.debworld import NEEDS_DEBIAN
from tests.verbs.package_host import PackageHost, make_package_host, publish_second
from tests.verbs.test_explain import config_of, findings_of, store_of

__all__: list[str] = []

pytestmark = NEEDS_DEBIAN


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PackageHost:
    """The upgrade is done and nothing of it is stored yet."""
    host = make_package_host(Path(os.path.realpath(tmp_path_factory.mktemp("made"))))
    create_baseline(config_of(host), who="eve", why="first")
    host.world.install(*publish_second(host.world))
    (host.root / "usr/bin/door").write_bytes(b"evil")
    return host


@pytest.fixture
def hold(made: PackageHost) -> Iterator[PackageHold]:
    with store_of(made) as store:
        hold = PackageHold(config_of(made), store)
        try:
            yield hold
        finally:
            hold.end()
            store._connection.execute("DELETE FROM findings")


def put(made: PackageHost, store: Store) -> list[Finding]:
    findings = [dataclasses.replace(one, reasons=("the engine's",)) for one in findings_of(made)]
    store.add_findings(findings, now_ns=1)
    return findings


def answered(hold: PackageHold, timeout_s: float = 30.0) -> Explained:
    """Read as a watch does, until something is to be told."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        explained = hold.read()
        if explained.findings:
            return explained
        assert hold.next_s is not None
        time.sleep(max(0.0, min(hold.next_s - time.monotonic(), 0.1)))
    raise TimeoutError


def test_an_upgrade_is_held_back_asked_about_once_and_told_as_proved(made: PackageHost, hold: PackageHold) -> None:
    with store_of(made) as store:
        findings = put(made, store)
        assert hold.take(findings) == Explained([], [])
        assert len(hold) == len(findings)
        told = {one.path: one for one in answered(hold).findings}
        assert len(hold) == 0
        assert hold.next_s is None
        door = os.fsencode(made.root / "usr/bin/door")
        tool = os.fsencode(made.root / "usr/bin/tool")
        assert told.keys() == {one.path for one in findings}
        assert (told[tool].verdict, told[door].verdict) == (Verdict.EXPECTED, Verdict.UNEXPLAINED)
        stored = {one.path: one for one in store.findings()}
    assert stored[tool].verdict is Verdict.EXPECTED
    assert "no package ships this path; what packages' own scripts make is never proved" in stored[door].reasons


def test_what_no_package_can_have_done_is_told_at_once(made: PackageHost, hold: PackageHold) -> None:
    with store_of(made) as store:
        one = put(made, store)[0]
    tried = dataclasses.replace(one, kind=Kind.ATTEMPTED, id="tried")
    elsewhere = dataclasses.replace(one, path=b"/srv/x", id="elsewhere")
    assert hold.take([tried, one, elsewhere]).findings == [tried, elsewhere]
    assert len(hold) == 1


def test_a_lock_that_is_held_keeps_what_is_not_proved_and_not_for_ever(made: PackageHost, hold: PackageHold) -> None:
    hold.config = dataclasses.replace(hold.config, panic=Panic(package_hold_s=4))
    with store_of(made) as store:
        findings = put(made, store)
    began = time.monotonic()
    with (made.root / "var/lib/dpkg/lock").open("a") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        # This process holds it, and a process never sees its own locks: another one has to.
        pid = os.fork()
        if pid == 0:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            time.sleep(60)
            os._exit(0)
        fcntl.lockf(lock, fcntl.LOCK_UN)
        try:
            while not hold.at_work():
                time.sleep(0.01)
            hold.take(findings)
            first = answered(hold)
            assert {one.verdict for one in first.findings} == {Verdict.EXPECTED}
            assert len(hold) == len(findings) - len(first.findings) > 0
            second = answered(hold)
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
    assert Verdict.UNEXPLAINED in {one.verdict for one in second.findings}
    assert 3.5 < time.monotonic() - began < 15
    assert len(hold) == 0


def test_an_answer_that_does_not_come_holds_nothing_back_for_long(made: PackageHost, hold: PackageHold) -> None:
    hold.config = dataclasses.replace(hold.config, panic=Panic(package_hold_s=0))
    with store_of(made) as store:
        hold.take(put(made, store))
        told = answered(hold)
    assert {one.verdict for one in told.findings} == {Verdict.UNEXPLAINED}
    assert "no answer in 0 s" in told.words[0]
    assert len(hold) == 0


def test_what_was_told_by_a_check_or_is_gone_meanwhile_is_not_told_again(made: PackageHost, hold: PackageHold) -> None:
    with store_of(made) as store:
        findings = put(made, store)
        hold.take(findings)
        shown, gone = findings[0], findings[1]
        store.tell([shown.id], time_ns=2)
        store.close_undone([gone.path], [], now_ns=3)
        told = {one.id for one in answered(hold).findings}
        assert told == {one.id for one in findings} - {shown.id, gone.id}
        assert gone.id not in {one.id for one in store.findings()}


def test_without_pins_nothing_is_held_back_and_that_is_said_once(made: PackageHost, hold: PackageHold) -> None:
    with store_of(made) as store:
        findings = put(made, store)
        row = store.pins()
        assert row is not None
        store._connection.execute("DELETE FROM package_pins")
        try:
            first, second = hold.take(findings), hold.take(findings)
        finally:
            store.set_pins(row)
    assert first.findings == second.findings == findings
    assert ("baseline pin" in first.words[0], second.words) == (True, [])


def test_a_question_that_cannot_be_put_holds_nothing_back(
    made: PackageHost, hold: PackageHold, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with store_of(made) as store:
        findings = put(made, store)
        hold.take(findings)
        told = answered(hold)
    assert {one.id for one in told.findings} == {one.id for one in findings}
    assert {one.verdict for one in told.findings} == {Verdict.UNEXPLAINED}
    assert "cannot be begun: Resource temporarily unavailable" in told.words[0]
    assert len(hold) == 0
