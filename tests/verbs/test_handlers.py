"""Handler commands: no shell, a user without rights, bounded in time, output and number; each run is in the log."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimkit.verbs.handlers import HANDLER_LOG, Handlers, fill_command

__all__: list[str] = []


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fimkit-handlers-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def run(place: Path, command: tuple[str, ...], paths: list[bytes], *, seconds: float = 20.0) -> tuple[str, list[str]]:
    said: list[str] = []
    handlers = Handlers(os.fsencode(place), said.append, user="fimkit-scan", seconds=seconds)
    for path in paths:
        handlers.put(command, path)
    assert handlers.finish(60)
    return (place / os.fsdecode(HANDLER_LOG)).read_text(), said


def test_a_name_is_one_word_whatever_is_in_it(place: Path) -> None:
    path = b"/www/a b;touch $(x)\n\x1b[2J"
    log, said = run(place, ("/bin/echo", "came:", "<%%>"), [path])
    assert "came: </www/a b;touch $(x)\n" in log and "%1B[2J>" in log and "\x1b" not in log
    assert said == [] and fill_command(["%%"], path) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_it_runs_as_another_user_in_a_session_of_its_own_with_little_around_it(place: Path) -> None:
    program = "id -u; id -G; env | sort; pwd; test $(ps -o sid= -p $$) = $$ && echo leads; cat"
    log, said = run(place, ("/bin/sh", "-c", program), [b"/x"])
    lines = [line.strip() for line in log.splitlines()[1:]]
    assert lines[0] == lines[1] != "0" and "leads" in lines and said == []
    names = {line.partition("=")[0] for line in lines if "=" in line}
    assert names <= {"LC_ALL", "PATH", "PWD", "SHLVL", "_", "OLDPWD"}


def test_a_file_that_changes_while_its_handler_waits_has_one_run_more_and_not_a_hundred(place: Path) -> None:
    program = f"while [ ! -e {place}/go ]; do sleep 0.05; done; echo ran"
    handlers = Handlers(os.fsencode(place), print, user="fimkit-scan")
    for _ in range(100):
        handlers.put(("/bin/sh", "-c", program, "%%"), b"/x")
        time.sleep(0.002)
    (place / "go").touch()
    assert handlers.finish(60)
    assert 1 <= (place / os.fsdecode(HANDLER_LOG)).read_text().count("    ran") <= 3


def test_one_that_hangs_is_ended_with_all_that_it_started_and_said_once(place: Path) -> None:
    began_s = time.monotonic()
    log, said = run(place, ("/bin/sh", "-c", "sleep 300 & echo $!; sleep 300"), [b"/x", b"/y"], seconds=1.0)
    assert time.monotonic() - began_s < 60
    assert log.count("took longer than 1 s, and was ended") == 2
    assert len(said) == 1 and "took longer" in said[0] and "said once" in said[0]
    for line in log.splitlines():
        if line.strip().isdigit():
            stat = Path(f"/proc/{line.strip()}/stat")
            assert not stat.exists() or stat.read_text().split(") ")[1][0] == "Z"


def test_what_prints_without_end_is_cut_and_what_fails_or_is_absent_is_said_once(place: Path) -> None:
    log, said = run(place, ("/bin/sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' 'x'; exit 3"), [b"/x", b"/y"])
    assert len(log) < 40_000 and log.count("status 3") == 2 and len(said) == 1
    log, said = run(place, ("/no/such/program", "%%"), [b"/x", b"/y"])
    assert log.count("cannot be started: No such file or directory") == 2 and len(said) == 1


def test_too_many_are_counted_and_said(place: Path) -> None:
    said: list[str] = []
    handlers = Handlers(os.fsencode(place), said.append, user="fimkit-scan")
    for number in range(1200):
        handlers.put(("/bin/true", "%%"), b"/%d" % number)
    assert said[0].startswith("more than 1000 files wait for their handler")
