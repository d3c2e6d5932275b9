"""What a panic asks osqueryd: rows of each answer in a file, and one that does not answer holds nothing up for long."""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimkit.osquery.queries import Query
from fimkit.panic.incident import Incident, Status, make_incident
from fimkit.panic.steps import run_steps
from fimkit.verbs.panic_recon import plan_questions
from tests.osqueryd import start_osqueryd

__all__: list[str] = []

LATE_S = 60.0


@pytest.fixture
def incident(tmp_path: Path) -> Incident:
    return make_incident(os.fsencode(tmp_path / "incidents"), "x")


def asked(*queries: str) -> list[Query]:
    return [Query(name=f"q{number}", folder="", sql=sql, description=sql) for number, sql in enumerate(queries)]


@contextlib.contextmanager
def mute(path: Path) -> Iterator[bytes]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        kept: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    kept.append(listener.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield os.fsencode(path)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(30)
            for each in kept:
                each.close()


def test_a_host_without_osqueryd_says_so_once(incident: Incident, tmp_path: Path) -> None:
    steps = plan_questions(os.fsencode(tmp_path / "no.em"), asked("SELECT 1", "SELECT 2"))
    (entry,) = run_steps(incident, steps, deadline_s=LATE_S)
    assert entry.status is Status.ABSENT and "no osqueryd listens at" in entry.note


def test_answers_are_kept_row_by_row_and_a_query_that_is_refused_stops_no_other(incident: Incident, tmp_path: Path) -> None:
    with start_osqueryd(tmp_path / "osquery") as osqueryd:
        steps = plan_questions(os.fsencode(osqueryd.socket), asked("SELECT 1 AS one", "SELECT nonsense", "SELECT 2 AS two"))
        entries = run_steps(incident, steps, deadline_s=LATE_S)
    assert [entry.status for entry in entries] == [Status.OK, Status.ABSENT, Status.OK]
    assert "osqueryd refuses it" in entries[1].note
    folder = Path(os.fsdecode(incident.folder))
    assert json.loads((folder / "osquery_q0.jsonl").read_text()) == {"one": "1"}
    assert json.loads((folder / "osquery_q2.jsonl").read_text()) == {"two": "2"}


def test_one_that_never_answers_is_asked_twice_and_no_more(incident: Incident, tmp_path: Path) -> None:
    with mute(tmp_path / "mute.em") as path:
        entries = run_steps(incident, plan_questions(path, asked(*["SELECT 1"] * 6)), deadline_s=8.0)
    assert [entry.status for entry in entries[:2]] == [Status.TIMEOUT, Status.TIMEOUT]
    assert {(entry.status, entry.note) for entry in entries[2:]} == {
        (Status.ABSENT, "not asked: osqueryd did not answer what it was asked before")
    }
