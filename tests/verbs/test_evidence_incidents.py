"""The folder of an incident is held against its journal, line by line and file by file, and that against the chain."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fimkit.evidence.incident_rows import IncidentRow
from fimkit.panic.incident import make_incident, open_incident
from fimkit.panic.steps import Step, run_step
from fimkit.verbs.evidence_incidents import verify_incidents
from fimkit.verbs.panic_order import JOURNAL_STEP
from tests.verbs.baseline_host import NOW, SmallHost, make_host


def step(name: str) -> Step:
    return Step(name=name, file=f"{name}.txt", write=lambda sink: sink.write(name.encode()))


@pytest.fixture
def kept(tmp_path: Path) -> tuple[SmallHost, Path]:
    host = make_host(tmp_path)
    incident = make_incident(bytes(tmp_path / "incidents"), "i-1")
    for name in ("cause", "ps", "routes"):
        run_step(incident, step(name), patience_s=30)
    head = incident.head
    incident.close()
    assert head is not None and head.startswith("3:")
    row = IncidentRow(
        id="i-1", host="web01", cause="x", triggered_ns=NOW, updated_ns=NOW, phase="cut", folder=incident.folder,
        steps=({"step": JOURNAL_STEP, "words": head},),
    )  # fmt: skip
    with host.store() as store:
        store.add_incident(row)
    return host, Path(os.fsdecode(incident.folder))


def test_folder_as_it_was_written_is_whole_and_may_go_on(kept: tuple[SmallHost, Path]) -> None:
    host, folder = kept
    seen = verify_incidents(host.config.host.state_dir)
    assert (seen.broken, seen.notes, seen.files) == ([], [], 3)
    again = open_incident(bytes(folder))
    run_step(again, step("later"), patience_s=30)
    again.close()
    seen = verify_incidents(host.config.host.state_dir)
    assert (seen.broken, seen.files) == ([], 4)


def _index(folder: Path, edit: Callable[[list[dict[str, object]]], object]) -> None:
    place = folder / "index.json"
    said = json.loads(place.read_text())
    edit(said["entries"])
    place.write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda folder: (folder / "ps.txt").write_text("nothing"), "'ps.txt' is another than was written: altered"),
        (lambda folder: (folder / "ps.txt").unlink(), "'ps.txt' cannot be read"),
        (lambda folder: _index(folder, lambda rows: rows[1].update(note="fine")), "line 2 of its journal ('ps') does not follow"),
        (lambda folder: _index(folder, lambda rows: rows.pop(1)), "line 2 of its journal ('routes') does not follow"),
        (lambda folder: _index(folder, lambda rows: rows.pop()), "has 2 lines, and had 3: its end was cut off"),
        (lambda folder: _index(folder, lambda rows: rows[0].update(file="../../x")), "is no name of a file"),
        (lambda folder: (folder / "index.json").write_text("[]"), "is none any more"),
        (lambda folder: (folder / "index.json").unlink(), "cannot be read"),
    ],
)
def test_what_was_spoilt_is_named(kept: tuple[SmallHost, Path], spoil: Callable[[Path], object], expected: str) -> None:
    host, folder = kept
    spoil(folder)
    assert any(expected in words for words in verify_incidents(host.config.host.state_dir).broken)


def test_journal_that_was_written_anew_shows_by_the_chain(kept: tuple[SmallHost, Path]) -> None:
    host, folder = kept
    (folder / "index.json").unlink()
    again = open_incident(bytes(folder))
    for name in ("a", "b", "c"):
        run_step(again, step(name), patience_s=30)
    again.close()
    assert ["was written anew" in words for words in verify_incidents(host.config.host.state_dir).broken] == [True]


def test_folder_that_was_taken_out_of_the_state_is_named(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    incidents = Path(os.fsdecode(host.config.host.state_dir)) / "panic" / "incidents"
    incidents.mkdir(parents=True, mode=0o700)
    row = IncidentRow(
        id="i-1", host="web01", cause="x", triggered_ns=NOW, updated_ns=NOW, phase="cut", folder=bytes(incidents / "i-1"),
        steps=({"step": JOURNAL_STEP, "words": "3:ab"},),
    )  # fmt: skip
    with host.store() as store:
        store.add_incident(row)
    assert ["is gone: fimkit removes none" in one for one in verify_incidents(host.config.host.state_dir).broken] == [True]


def test_folder_that_is_not_on_this_host_is_a_note(kept: tuple[SmallHost, Path]) -> None:
    host, folder = kept
    folder.rename(folder.with_name("elsewhere"))
    seen = verify_incidents(host.config.host.state_dir)
    assert not seen.broken and "cannot be read" in seen.notes[0]
