"""Steps are bounded in time and output, none stops the next one, and the index says what became of each."""

import errno
import hashlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from fimkit.model.errors import HostError
from fimkit.panic.incident import Incident, Sink, Status, make_incident, open_incident, parse_entry, render_entry
from fimkit.panic.steps import Step, StepAbsent, run_steps, start_steps

__all__: list[str] = []

LATE_S = 30.0


@pytest.fixture
def incident(tmp_path: Path) -> Incident:
    return make_incident(str(tmp_path / "incidents").encode(), "x")


def step(name: str, write: Any, **options: Any) -> Step:
    return Step(name=name, file=f"{name}.txt", **{"write": write, **options})


def hello(sink: Sink) -> str:
    sink.write(b"hello\n")
    return "1 row"


def hang(sink: Sink) -> None:
    sink.write(b"before\n")
    sink.flush()
    time.sleep(1)
    sink.write(b"after\n")


def endless(sink: Sink) -> None:
    while True:
        sink.write(b"x" * 1000)


def fail(_: Sink) -> None:
    raise ZeroDivisionError("nothing to share")


def absent(_: Sink) -> None:
    raise StepAbsent("there is no such thing")


def index_of(incident: Incident) -> list[dict[str, Any]]:
    return list(json.loads(Path(os.fsdecode(incident.folder), "index.json").read_text())["entries"])


def test_each_ends_in_its_own_way_and_the_others_run(incident: Incident) -> None:
    steps = [
        step("one", hello), step("two", hang, most_s=0.2), step("three", endless, most_bytes=200_500), step("four", fail),
        step("five", absent), step("six", hello),
    ]
    entries = run_steps(incident, steps, deadline_s=LATE_S)
    assert [(entry.status.value, entry.note) for entry in entries] == [
        ("ok", "1 row"), ("timeout", "not done within 0.2 s"), ("truncated", "cut at 200500 bytes"),
        ("failed", "ZeroDivisionError: nothing to share"), ("absent", "there is no such thing"), ("ok", "1 row"),
    ]
    assert [entry.size_bytes for entry in entries] == [6, 7, 200_500, 0, 0, 6]
    time.sleep(1.2)  # what was left behind has woken up, and wrote nothing
    for entry, row in zip(entries, index_of(incident), strict=True):
        content = Path(os.fsdecode(incident.folder), str(entry.file)).read_bytes()
        assert (row["sha256"], row["bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))
        assert (row["step"], row["status"]) == (entry.step, entry.status.value)


def test_the_folder_and_its_files_are_private(incident: Incident) -> None:
    run_steps(incident, [step("one", hello)], deadline_s=LATE_S)
    folder = Path(os.fsdecode(incident.folder))
    assert [path.stat().st_mode & 0o7777 for path in (folder, folder.parent)] == [0o700, 0o700]
    assert {path.name: path.stat().st_mode & 0o7777 for path in folder.iterdir()} == {"one.txt": 0o600, "index.json": 0o600}


def test_what_the_time_does_not_reach_is_noted_as_skipped(incident: Incident) -> None:
    steps = [step("one", lambda _: time.sleep(LATE_S), share=1.0, most_s=LATE_S), step("two", hello), step("three", hello)]
    entries = run_steps(incident, steps, deadline_s=0.3)
    assert [entry.status for entry in entries] == [Status.TIMEOUT, Status.SKIPPED, Status.SKIPPED]
    assert [row["file"] for row in index_of(incident)] == ["one.txt", None, None]


def test_one_that_hangs_leaves_most_of_the_time_to_the_others(incident: Incident) -> None:
    entries = run_steps(incident, [step("one", lambda _: time.sleep(LATE_S)), step("two", hello)], deadline_s=2.0)
    assert [entry.status for entry in entries] == [Status.TIMEOUT, Status.OK]


def test_side_by_side_they_do_not_wait_for_each_other(incident: Incident) -> None:
    meet = threading.Barrier(3, timeout=LATE_S)

    def together(sink: Sink) -> None:
        meet.wait()
        sink.write(b"met")

    steps = [step(name, together, most_s=LATE_S, share=1.0) for name in ("one", "two", "three")]
    running = start_steps(incident, steps, deadline_s=LATE_S, side_by_side=3)
    assert [(entry.step, entry.status) for entry in running.wait()] == [
        ("one", Status.OK), ("two", Status.OK), ("three", Status.OK)
    ]


def test_a_full_disk_is_noted_and_stops_nothing(incident: Incident) -> None:
    full = Sink(os.open("/dev/full", os.O_WRONLY), most_bytes=1 << 20)

    class OnFullDisk(Incident):
        def create(self, name: str, *, most_bytes: int) -> Sink:
            return full if name == "one.txt" else super().create(name, most_bytes=most_bytes)

    descriptor = os.open(incident.folder, os.O_RDONLY | os.O_DIRECTORY)
    entries = run_steps(OnFullDisk(incident.folder, descriptor), [step("one", hello), step("two", hello)], deadline_s=LATE_S)
    assert [entry.status for entry in entries] == [Status.FAILED, Status.OK]
    assert os.strerror(errno.ENOSPC) in entries[0].note


def test_a_file_name_that_is_taken_is_refused_and_not_overwritten(incident: Incident) -> None:
    entries = run_steps(incident, [step("one", hello), step("one", endless)], deadline_s=LATE_S)
    assert [entry.status for entry in entries] == [Status.OK, Status.FAILED]
    assert Path(os.fsdecode(incident.folder), "one.txt").read_text() == "hello\n"


def test_a_second_incident_of_the_same_name_has_a_folder_of_its_own(tmp_path: Path) -> None:
    parent = str(tmp_path / "incidents").encode()
    assert [make_incident(parent, "x").folder[-3:] for _ in range(3)] == [b"s/x", b"x-2", b"x-3"]


def test_a_link_in_the_place_of_the_incidents_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "incidents").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="cannot make an incident folder"):
        make_incident(str(tmp_path / "incidents").encode(), "x")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_folder_is_opened_again_with_its_index_and_added_to(incident: Incident) -> None:
    first = run_steps(incident, [step("one", hello)], deadline_s=LATE_S)
    again = open_incident(incident.folder)
    assert list(again.entries) == [parse_entry(render_entry(first[0]))] and again.names() == ["index.json", "one.txt"]
    run_steps(again, [step("two", hello)], deadline_s=LATE_S)
    assert [row["file"] for row in index_of(again)] == ["one.txt", "two.txt"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"entries": [{}]}', '{"entries": 7}'])
def test_an_index_that_cannot_be_read_is_begun_anew(text: str, incident: Incident) -> None:
    Path(os.fsdecode(incident.folder), "index.json").write_text(text)
    assert open_incident(incident.folder).entries == ()


def test_a_link_in_place_of_a_folder_is_not_opened(incident: Incident, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(os.fsdecode(incident.folder))
    with pytest.raises(HostError, match="cannot open the incident folder"):
        open_incident(os.fsencode(tmp_path / "link"))
