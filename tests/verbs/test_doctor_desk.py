"""The doctor's process: one look at a time, made when somebody asks; nobody waits longer than he said."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config, Host
from fimkit.panic.rights import held_rights
from fimkit.verbs.doctor_desk import DoctorDesk

__all__: list[str] = []

Look = Callable[[Config], Iterable[Advice]]
CONFIG = Config(host=Host(name="web01"))


def advice(problem: str = "It is off.", level: Level = Level.TRAP) -> Advice:
    return Advice(code="audit-off", level=level, where="x", problem=problem, remedy="switch it on")


@contextmanager
def desk(look: Look, fresh_s: float = 300.0) -> Iterator[DoctorDesk]:
    made = DoctorDesk(CONFIG, look, fresh_s=fresh_s)
    try:
        yield made
    finally:
        made.end()


def counting(folder: Path) -> Look:
    """Count the looks, in a file: they are made in another process."""

    def look(config: Config) -> Iterable[Advice]:
        (folder / str(time.monotonic_ns())).touch()
        return [advice(config.host.name), advice(level=Level.NOTE)]

    return look


def test_an_answer_has_its_time_and_each_thing_with_its_meaning(tmp_path: Path) -> None:
    before_ns = time.time_ns()
    with desk(counting(tmp_path)) as made:
        answer = made.ask(10)
    assert answer.time_ns is not None and before_ns <= answer.time_ns <= time.time_ns()
    assert [row["problem"] for row in answer.rows] == ["web01", "It is off."]
    assert all(row["meaning"] for row in answer.rows)
    assert [row["level"] for row in answer.rows] == ["trap", "note"] and answer.words == ""


@pytest.mark.parametrize(("fresh_s", "looks"), [(300.0, 1), (0.0, 3)])
def test_a_fresh_answer_is_given_again_and_an_old_one_made_anew(tmp_path: Path, fresh_s: float, looks: int) -> None:
    with desk(counting(tmp_path), fresh_s) as made:
        assert all(made.ask(10).rows for _ in range(3))
    assert len(list(tmp_path.iterdir())) == looks


def test_who_asks_waits_no_longer_than_he_said_and_has_the_answer_later(tmp_path: Path) -> None:
    go = tmp_path / "go"

    def look(config: Config) -> Iterable[Advice]:
        while not go.exists():
            time.sleep(0.01)
        return [advice()]

    with desk(look) as made:
        began_s = time.monotonic()
        first = made.ask(0.1)
        assert time.monotonic() - began_s < 5
        assert first.time_ns is None and first.rows == () and "the doctor looks since" in first.words
        go.touch()
        assert made.ask(10).rows


def test_a_doctor_that_fails_is_said_and_asked_again(tmp_path: Path) -> None:
    once = tmp_path / "once"

    def look(config: Config) -> Iterable[Advice]:
        if not once.exists():
            once.touch()
            raise ValueError("odd")
        return [advice()]

    with desk(look) as made:
        assert made.ask(10).words == "the doctor failed: 'ValueError: odd'"
        assert made.ask(10).rows


def test_a_process_that_is_gone_is_said() -> None:
    def look(config: Config) -> Iterable[Advice]:
        os._exit(1)

    with desk(look) as made:
        first, second = made.ask(10), made.ask(10)
    assert "has ended" in first.words and "has ended" in second.words and first.time_ns is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_it_keeps_the_rights_to_look_and_no_others() -> None:
    def look(config: Config) -> Iterable[Advice]:
        return [advice(" ".join(sorted(held_rights())))]

    with desk(look) as made:
        (row,) = made.ask(10).rows
    assert set(str(row["problem"]).split()) <= {"AUDIT_CONTROL", "DAC_READ_SEARCH", "NET_ADMIN", "SYS_PTRACE"}


def test_it_ends_with_who_asks() -> None:
    answers, answer = os.pipe()
    parent = os.fork()
    if parent == 0:
        made = DoctorDesk(CONFIG, lambda config: ())
        os.write(answer, str(made._pid).encode())
        os._exit(0)
    os.waitpid(parent, 0)
    pid = int(os.read(answers, 20))
    os.close(answer)
    os.close(answers)
    until_s = time.monotonic() + 10
    while time.monotonic() < until_s and runs(pid):
        time.sleep(0.02)
    assert not runs(pid)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
