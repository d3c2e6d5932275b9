"""A watch that is stopped in a storm ends in time: what it could not read is counted, said, and read by the next start."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from fimkit.audit.drain import Drained
from fimkit.evidence.store import open_store
from fimkit.model.coverage import Cause
from fimkit.verbs import watch, watch_sources
from fimkit.verbs.watch_rest import Rest, render_rest
from tests.auditlog import ALICE
from tests.checked_host import CheckedHost, make_checked_host
from tests.faults.forked import Ran, preload, start
from tests.faults.kills import parse_findings, wait_ready

__all__: list[str] = []

OTHERS = b'type=CWD msg=audit(1700000000.000:%d): cwd="/elsewhere/%s"\n'


class Storm:
    """Stands for a drain that has always more, none of which comes to its end."""

    buffer_bytes, records = 0, 0
    backlog_bytes = 3 << 20

    def __init__(self, **more: Any) -> None:
        self._ready, self._end = os.pipe()
        os.write(self._end, b"x")
        self.process = type("Process", (), {"pid": os.getpid()})
        more["opened"]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def fileno(self) -> int:
        return self._ready

    def finish(self) -> None:
        pass

    def read(self, most_bytes: int) -> Drained:
        time.sleep(0.01)
        return Drained([], [], ended=False)


class NothingLost:
    """Stands for the kernel's own count, which another's storm would move."""

    def take(self, now: int | None) -> None:
        return None


def in_a_storm() -> None:
    watch_sources.Drain = Storm  # type: ignore[assignment, misc]
    watch.KernelLost = NothingLost  # type: ignore[assignment, misc]
    watch._END_S, watch._END_LOG_S = 0.5, 0.0


@contextmanager
def stopped(host: CheckedHost, folder: Path, do: Callable[[], object]) -> Iterator[Ran]:
    running = start(["--config", str(host.config), "watch", "--json", "--nomail", "--nokill"], folder, prepare=in_a_storm)
    try:
        wait_ready(host.state, running)
        do()
        running.kill(signal.SIGTERM)
        yield running.end()
    finally:
        running.kill()


@pytest.fixture(autouse=True)
def loaded() -> None:
    preload()


def test_what_is_left_in_the_log_is_counted_and_read_at_the_next_start(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a")

    def far_behind() -> None:
        host.log.append([OTHERS % (number, b"x" * 1000) for number in range(12_000)])
        host.log.write(host.tree / "a", "new\n", ALICE)

    with stopped(host, tmp_path / "out", far_behind) as ran:
        pass
    assert "MiB of records are not read yet: the next start reads them from the audit log" in ran.stderr, ran.stderr
    words = ["--config", str(host.config), "check", "--json", "--all", "--nomail"]
    (found,) = parse_findings(start(words, tmp_path / "out").end().lines)
    assert (found["path"], found["attribution"], found["actors"][0]["auid"]) == (str(host.tree / "a"), "exact", ALICE.auid)


def test_without_a_log_what_is_left_is_a_gap_and_said(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a")
    host.log.path.unlink()
    with stopped(host, tmp_path / "out", lambda: None) as ran:
        pass
    assert "3.0 MiB of the kernel's records were not read in time, and no audit log has them" in ran.stderr, ran.stderr
    with open_store(os.fsencode(host.state)) as store:
        (gap,) = [gap for gap in store.gaps() if gap.cause is Cause.OVERFLOW]
    assert gap.words == "3145728 bytes of records were not read at the end"


def test_a_few_bytes_are_said_as_one_kibibyte() -> None:
    assert render_rest(Rest(records_bytes=1, has_log=True)) == (
        "1 KiB of records are not read yet: the next start reads them from the audit log",
    )
