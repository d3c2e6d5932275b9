"""What judges hands findings on and never waits; a runner that dies, stops or hangs costs nothing that was handed on."""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fimkit.model.config import Config, Host, Watch
from fimkit.model.config_json import render_config
from fimkit.model.findings import Kind, Severity, Tier, Verdict
from fimkit.model.json_form import parse_finding
from fimkit.verbs.panic_guard import PanicGuard, can_matter
from tests.panic.test_trigger import finding

__all__: list[str] = []

DOUBLE = str(Path(__file__).with_name("runner_double.py"))
CONFIG = Config(host=Host(name="web01"), paths=(Watch(path=b"/sbin", tier=Tier.CRITICAL),))


class Guarded:
    def __init__(self, guard: PanicGuard, log: Path) -> None:
        self.guard, self.log = guard, log
        self.words: list[str] = []

    def rows(self, do: str = "findings") -> list[dict[str, Any]]:
        text = self.log.read_text() if self.log.exists() else ""
        return [row for line in text.splitlines() if (row := json.loads(line))["do"] == do]

    def until(self, is_so: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not is_so():
            self.words += self.guard.read().words
            assert time.monotonic() < end, (self.words, self.rows())
            time.sleep(0.01)

    def heard(self, words: str) -> bool:
        self.words += self.guard.read().words
        return any(words in one for one in self.words)


@contextlib.contextmanager
def guarded(folder: Path, kind: str, **options: Any) -> Iterator[Guarded]:
    log = folder / "log"
    guard = PanicGuard(CONFIG, command=(sys.executable, "-I", DOUBLE, kind, str(log)), **options)
    try:
        yield Guarded(guard, log)
    finally:
        log.with_suffix(".go").touch()
        guard.close()


def test_the_runner_is_told_how_it_starts_and_what_was_found(tmp_path: Path) -> None:
    with guarded(tmp_path, "answers", nomail=True, live=False) as run:
        one, minor = finding(), finding("m", severity=Severity.HIGH)
        run.guard.whole([one, minor])
        assert run.guard.wait(60)
        run.guard([finding("b"), finding("e", verdict=Verdict.EXPECTED), finding("t", kind=Kind.ATTEMPTED)])
        run.guard.notice("stopped", ["by root"])
        assert run.guard.wait(60)
        (start,) = run.rows("start")
        assert start["config"] == render_config(CONFIG)
        assert (start["nomail"], start["nokill"], start["live"]) == (True, False, False)
        first, second = run.rows()
        assert [parse_finding(row) for row in first["findings"]] == [one]
        assert (first["whole"], second["whole"]) == (True, False)
        assert [row["id"] for row in second["findings"]] == ["b"]
        assert [(row["subject"], row["lines"]) for row in run.rows("notice")] == [("stopped", ["by root"])]
        assert run.guard.phase == "armed"
        assert run.guard.incident == "2026-11-22T103000Z"
        run.until(lambda: run.heard("heard notice"))


def test_what_was_undone_is_told_of_after_what_was_done_and_before_what_is_done_again(tmp_path: Path) -> None:
    with guarded(tmp_path, "answers") as run:
        with run.guard._changed:  # its thread sends nothing meanwhile
            run.guard([finding("b"), finding("c")])
            run.guard.gone([finding("b"), finding("m", severity=Severity.HIGH)])
            run.guard([finding("b")])
            run.guard.gone([finding("e", verdict=Verdict.EXPECTED)])
        assert run.guard.wait(60)
        rows = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
        rows = [row for row in rows if row["do"] in ("findings", "gone")]
        told = [[one["id"] for one in row["findings"]] if row["do"] == "findings" else row["ids"] for row in rows]
        assert ([row["do"] for row in rows], told) == (["findings", "gone", "findings"], [["b", "c"], ["b"], ["b"]])


def test_what_cannot_panic_is_not_handed_on_at_all(tmp_path: Path) -> None:
    with guarded(tmp_path, "answers") as run:
        run.guard([finding(str(number), severity=Severity.MEDIUM) for number in range(50_000)])
        assert run.guard.wait(60)
        assert run.rows() == []


def test_a_runner_that_dies_is_replaced_and_what_it_had_is_handed_on_again(tmp_path: Path) -> None:
    with guarded(tmp_path, "dies once") as run:
        run.guard([finding("a")])
        assert run.guard.wait(60)
        assert [[row["id"] for row in message["findings"]] for message in run.rows()] == [["a"], ["a"]]
        assert len({row["pid"] for row in run.rows()}) == 2
        run.until(lambda: run.heard("ended with status 7: a new one is started"))
        assert run.guard.problem == ""


def test_a_message_that_kills_each_runner_is_left_out_and_said(tmp_path: Path) -> None:
    with guarded(tmp_path, "dies") as run:
        run.guard([finding("a"), finding("b")])
        run.until(lambda: run.heard("ended 3 times on the same message: it is left out, with 2 critical findings"))
        assert run.guard.wait(60)
        assert len(run.rows()) == 3
        assert "ended with status 7" in run.guard.problem


def test_a_killed_runner_is_replaced_before_anything_is_found(tmp_path: Path) -> None:
    with guarded(tmp_path, "answers") as run:
        run.guard.fileno()
        run.until(lambda: run.rows("start"))
        os.kill(run.rows("start")[0]["pid"], signal.SIGKILL)
        run.until(lambda: len(run.rows("start")) == 2)
        run.until(lambda: run.heard("ended with status -9"))
        run.guard([finding()])
        assert run.guard.wait(60)


def test_a_stopped_runner_is_made_to_go_on(tmp_path: Path) -> None:
    with guarded(tmp_path, "stops once") as run:
        run.guard([finding()])
        assert run.guard.wait(60)
        assert run.log.with_suffix(".stopped").exists()
        run.until(lambda: run.heard("somebody has stopped the panic's runner"))


def test_a_runner_that_hangs_holds_nobody_up_and_the_worst_of_a_flood_stay(tmp_path: Path) -> None:
    with guarded(tmp_path, "hangs") as run:
        run.guard([finding("first")])
        run.until(run.rows)
        for number in range(30):
            run.guard([finding(f"{number}-{one}") for one in range(100)])
        run.guard([finding("worst", verdict=Verdict.SUSPECT, kind=Kind.CREATED)])
        assert not run.guard.wait(0.01)
        run.until(lambda: run.heard("more than 1000 critical findings wait"))
        run.log.with_suffix(".go").touch()
        assert run.guard.wait(60)
        handed = [row["id"] for message in run.rows() for row in message["findings"]]
        assert "worst" in handed
        assert len(handed) == len(set(handed)) <= 2500
        run.until(lambda: run.heard("critical findings were not handed to the panic's runner"))


def test_what_is_no_message_is_said_and_changes_nothing(tmp_path: Path) -> None:
    with guarded(tmp_path, "babbles") as run:
        run.guard([finding()])
        assert run.guard.wait(60)
        run.until(lambda: run.heard("said what is no message: b'[1]'"))


def test_a_runner_that_cannot_be_started_is_a_problem_and_no_end(tmp_path: Path) -> None:
    said: list[str] = []
    guard = PanicGuard(CONFIG, command=(str(tmp_path / "absent"),), say=said.append)
    guard([finding()])
    assert not guard.wait(0.05)
    assert "cannot be started: No such file" in said[0]
    assert guard.problem == said[0]
    guard.close(0.1)


def test_a_new_configuration_reaches_the_runner(tmp_path: Path) -> None:
    with guarded(tmp_path, "answers") as run:
        run.guard.reconfigure(Config(host=Host(name="web02")))
        run.until(lambda: run.rows("config"))
        assert run.rows("config")[0]["config"]["host"]["name"] == "web02"


def test_a_panic_under_way_is_left_to_end_without_us(tmp_path: Path) -> None:
    with guarded(tmp_path, "hangs") as run:
        run.guard([finding()])
        run.until(run.rows)
        guard = PanicGuard(CONFIG, command=(sys.executable, "-I", DOUBLE, "hangs", str(tmp_path / "other")))
        guard([finding()])
        run.until((tmp_path / "other").exists)
        with pytest.warns(ResourceWarning, match="still running"):
            assert not guard.close(0.2)
            del guard
        (tmp_path / "other.go").touch()


def test_a_guard_matters_only_where_something_is_critical() -> None:
    assert can_matter(CONFIG)
    assert not can_matter(Config(host=Host(name="x"), paths=(Watch(path=b"/etc"),)))
