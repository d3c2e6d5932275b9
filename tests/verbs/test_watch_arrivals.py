"""Folders that are looked through beside the watch: what comes of them, and what is believed of it."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fimkit.baseline.scan import scan_watches
from fimkit.correlate.picture import Snapshot
from fimkit.model.config import Watch
from fimkit.model.states import FileState
from fimkit.verbs.watch_arrivals import Arrival, Arrivals
from fimkit.verbs.watch_looks import Looks

__all__: list[str] = []

OLD_NS = 1_600_000_000_000_000_000
MANY = 300


def fill(folder: Path, count: int = MANY) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}").write_text(f"{number}\n")
    return folder


def looks_at(tree: Path, states: Sequence[FileState] = (), **more: object) -> Looks:
    watch = Watch(path=os.fsencode(tree), **more)  # type: ignore[arg-type]
    return Looks([watch], Snapshot(states), Snapshot(states))


def take_all(arrivals: Arrivals, until: Callable[[], bool]) -> list[FileState]:
    states: list[FileState] = []
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end, "it never came"
        states += arrivals.take(100)
        time.sleep(0.005)
    return states


def test_the_states_of_a_folder_come_as_a_scan_sees_them(tmp_path: Path) -> None:
    tree = fill(tmp_path / "tree/come") / ".."
    (tree / "come/odd\udcff\n").write_text("x")
    (tree / "come/link").symlink_to("/")
    os.mkfifo(tree / "come/fifo")
    watch = Watch(path=os.fsencode(tmp_path / "tree/come"), exclude=("1*",))
    arrivals = Arrivals()
    arrivals.put(Arrival(watch.path, [watch]))
    states = take_all(arrivals, lambda: not arrivals)
    assert sorted(states) == sorted(scan_watches([watch]))
    assert arrivals.failed == []


def test_a_process_that_is_ended_is_told_of(tmp_path: Path) -> None:
    folder = fill(tmp_path / "come")
    with open(folder / "large", "wb") as file:
        file.truncate(1 << 40)  # a day of hashing
    arrivals = Arrivals()
    arrivals.put(Arrival(os.fsencode(folder), [Watch(path=os.fsencode(folder))]))
    arrivals.take(0)
    assert arrivals._process is not None
    arrivals._process.kill()
    take_all(arrivals, lambda: bool(arrivals.failed))
    assert arrivals.failed == [os.fsencode(folder)]


def test_an_arrival_is_stopped_at_once(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as file:
        file.truncate(1 << 40)
    arrivals = Arrivals()
    arrivals.put(Arrival(os.fsencode(tmp_path), [Watch(path=os.fsencode(tmp_path))]))
    arrivals.take(0)
    process = arrivals._process
    assert process is not None
    arrivals.end()
    assert process.returncode is not None
    assert not arrivals


def test_a_folder_with_much_in_it_is_left_to_another_process_and_a_small_one_is_not(tmp_path: Path) -> None:
    looks = looks_at(tmp_path)
    fill(tmp_path / "much")
    few = fill(tmp_path / "few", 3)
    much = os.fsencode(tmp_path / "much")
    seen = looks.look([much, os.fsencode(few)], [])
    assert sorted(seen) == sorted([much, *(os.fsencode(path) for path in (few, *few.iterdir()))])
    assert [arrival.folder for arrival in looks.arrivals] == [much]
    looks.look_through_next(much)
    assert len(looks.look([], [much])) == MANY + 1


def test_a_large_file_in_a_folder_that_came_is_hashed_elsewhere(tmp_path: Path) -> None:
    looks = looks_at(tmp_path)
    (tmp_path / "come").mkdir()
    with open(tmp_path / "come/large", "wb") as file:
        file.truncate(1 << 40)
    begun = time.monotonic()
    assert list(looks.look([os.fsencode(tmp_path / "come")], [])) == [os.fsencode(tmp_path / "come")]
    assert time.monotonic() - begun < 30
    assert len(looks.arrivals) == 1


@pytest.mark.parametrize("age_s", [0, 60])
def test_a_folder_that_only_has_another_name_is_not_read_again(tmp_path: Path, age_s: int, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "old")
    states = list(scan_watches([Watch(path=os.fsencode(tmp_path))]))
    looks = looks_at(tmp_path, states)
    folder.rename(tmp_path / "new")
    now_ns = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now_ns + age_s * 1_000_000_000)
    old, new = os.fsencode(folder), os.fsencode(tmp_path / "new")
    seen = looks.look([], [old, new])
    assert {path for path, state in seen.items() if state is None} == {one.path for one in states if one.path.startswith(old)}
    # What was changed a moment ago may have been changed once more within a tick: that is read anew, and elsewhere, for it is much.
    assert len(looks.arrivals) == (not age_s)
    here = [state for path, state in seen.items() if state is not None and path != new]
    assert len(here) == (MANY if age_s else 0)
    assert {state.sha256 for state in here} <= {state.sha256 for state in states}


def test_an_offered_state_is_used_while_the_path_is_as_it_was_and_no_longer(tmp_path: Path) -> None:
    for name in ("same", "other", "gone"):
        (tmp_path / name).write_text(name)
    looks = looks_at(tmp_path)
    truth = {state.path: state for state in scan_watches([Watch(path=os.fsencode(tmp_path))])}
    claimed = [state._replace(sha256="f" * 64) for state in truth.values() if state.sha256]
    looks.offer(claimed, began_ns=time.time_ns() + 1_000_000_000)
    (tmp_path / "other").write_text("else")
    (tmp_path / "gone").unlink()
    paths = [os.fsencode(tmp_path / name) for name in ("same", "other", "gone")]
    seen = looks.look(paths, [])
    hashes = [None if (state := seen[path]) is None else state.sha256 for path in paths]
    assert hashes[0] == "f" * 64
    assert hashes[1] not in (None, "f" * 64, truth[paths[1]].sha256)
    assert hashes[2] is None
    again = looks.look(paths[:1], [])[paths[0]]
    assert again is not None
    assert again.sha256 == truth[paths[0]].sha256  # an offer is for one look


def test_what_changed_while_the_process_was_at_it_is_not_taken_from_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    looks = looks_at(tmp_path)
    (state,) = [one for one in scan_watches([Watch(path=os.fsencode(tmp_path))]) if one.sha256]
    looks.offer([state._replace(sha256="f" * 64)], began_ns=state.ctime_ns or 0)
    seen = looks.look([state.path], [])[state.path]
    assert seen is not None
    assert seen.sha256 == state.sha256
