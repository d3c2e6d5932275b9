"""A store that another program holds for long: who would write waits a bounded time and says why; nothing is lost by it."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fimkit.evidence.store import open_store
from fimkit.model.findings import Finding
from tests.auditlog import ALICE
from tests.checked_host import make_checked_host
from tests.faults.forked import Running, preload, run, start
from tests.faults.kills import parse_findings, settled, wait_ready
from tests.verbs.panic_place import locked_store

__all__: list[str] = []

PATIENCE_S = 40.0  # four times what fimkit waits, for a machine under load


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    preload()


def stored(state: bytes) -> list[Finding]:
    with open_store(state) as store:
        return store.findings()


@contextlib.contextmanager
def ended(runs: dict[str, Running]) -> Iterator[None]:
    try:
        yield
    finally:
        for running in runs.values():
            running.kill()


def test_who_writes_waits_and_then_says_so_and_who_reads_does_not_wait(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a", "b")
    host.log.write(host.tree / "a", "new\n", ALICE)
    config, state = ["--config", str(host.config)], os.fsencode(host.state)

    def do(*words: Any) -> list[str]:
        return [*config, *map(str, words)]

    watch = start(do("watch", "--json", "--records", "log", "--nomail"), tmp_path / "watch")
    runs = {"watch": watch}
    with ended(runs):
        wait_ready(host.state, watch)
        head = settled(host.state, None)
        with locked_store(state):
            began = time.monotonic()
            host.log.write(host.tree / "b", "new\n", ALICE)
            watch.wait(lambda: [row for row in parse_findings(watch.lines) if row["path"] == str(host.tree / "b")])
            runs["check"] = start(do("check", "--json"), tmp_path / "check")
            runs["expect"] = start(
                do("expect", "--path", "p", "--by", "root", "--until", "1d", "--reason", "r"), tmp_path / "expect"
            )
            for words in (("evidence", "verify"), ("export", "--format", "jsonl"), ("baseline", "show", "--json")):
                assert run(do(*words), tmp_path / "read").status == 0, words
            assert time.monotonic() - began < PATIENCE_S
            refused = {verb: runs[verb].end() for verb in ("check", "expect")}
            assert time.monotonic() - began < PATIENCE_S
        for verb, ran in refused.items():
            assert ran.status == 3, (verb, ran.status, ran.stderr)
            assert str(host.state) in ran.stderr and ("locked" in ran.stderr or "is at work on" in ran.stderr), ran.stderr
        assert not watch.poll(), watch.stderr
        watch.wait(lambda: len(stored(state)) == 2)
        watch.kill(signal.SIGTERM)
        ran = watch.end()
    assert ran.status == 1, ran.stderr
    settled(host.state, head)
    told = parse_findings(ran.lines)
    assert sorted(row["path"] for row in told) == [str(host.tree / "a"), str(host.tree / "b")], "once each"
    assert {row["attribution"] for row in told} == {"exact"}
    assert parse_findings(run(do("check", "--json"), tmp_path / "check").lines) == []
