"""The live engine: what it has forgotten of a path is asked of the store, and once."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.correlate.ledger import ChangeLedger
from fimkit.evidence.store import Store, open_store
from fimkit.model.changes import Action, Change
from fimkit.model.config import Config, Host, Tier, Watch
from fimkit.model.findings import Attribution
from fimkit.model.states import FileState
from fimkit.verbs import watch_engine
from fimkit.verbs.look import Looker
from fimkit.verbs.watch_engine import GATHER_S, Engine, _Gathering
from tests.evidence.examples import a_change, an_actor


class Place:
    """A watched folder with two files, an engine that remembers twenty changes, and what it asks of its store."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store
        self.now_s = 1000.0
        self.asked: list[set[bytes]] = []
        (folder / "sub").mkdir()
        for name in ("one", "other", "sub/file"):
            (folder / name).write_text("as it was")
        paths = (folder, *(folder / name for name in ("one", "other", "sub", "sub/file")))
        self.states = {path: self.look(path) for path in map(os.fsencode, paths)}
        self.since_ns = max(state.ctime_ns or 0 for state in self.states.values()) // 1_000_000 * 1_000_000  # as records have it
        store.write_baseline(self.states.values(), who="", why="", time_ns=self.since_ns)
        self.engine = self.start(ChangeLedger())

    def start(self, changes: ChangeLedger) -> Engine:
        """Begin with what was recorded before."""
        watch = Watch(path=os.fsencode(self.folder), tier=Tier.CRITICAL)
        return Engine(
            Config(host=Host(name="web01"), paths=(watch,)), self.store, watches=[watch], since_ns=self.since_ns,
            before=self.states, after=dict(self.states), hidden=lambda path: False, changes=changes, clock=lambda: self.now_s,
        )  # fmt: skip

    @staticmethod
    def look(path: bytes) -> FileState:
        state = Looker(hash_s=3.0).look(path)
        assert state is not None
        return state

    def write(self, name: str, serial: int, *, pid: int) -> Change:
        """Write a file as a process would be recorded to."""
        path = self.folder / name
        path.write_text(f"written as number {serial}")
        return self.record(path, serial, pid=pid)

    def rename(self, name: str, new: str, serial: int, *, pid: int) -> tuple[Change, Change]:
        """Rename a folder as a process would be recorded to."""
        (self.folder / name).rename(self.folder / new)
        arrived = replace(self.record(self.folder / new, serial, pid=pid), mode=0o040755, cookie=f"{serial}/0", item=3)
        left = replace(arrived, path=os.fsencode(self.folder / name), action=Action.MOVED_FROM, item=2)
        return left, replace(arrived, action=Action.MOVED_TO)

    def record(self, path: Path, serial: int, *, pid: int) -> Change:
        """Give what would be recorded of an opening that was the last thing done to a file."""
        state, parent = self.look(os.fsencode(path)), self.look(os.fsencode(path.parent))
        assert state.ctime_ns is not None
        time_ns = state.ctime_ns // 1_000_000 * 1_000_000
        actor = an_actor(pid=pid, serial=serial, time_ns=time_ns, event=f"{time_ns}:{serial}")
        return a_change(
            state.path, time_ns=time_ns, serial=serial, inode=state.inode, dev=state.dev, parent_dev=parent.dev,
            parent_inode=parent.inode, actor=actor,
        )  # fmt: skip

    def turn(self, *changes: Change) -> list[tuple[Attribution, set[int | None]]]:
        """Take records in, and give what is found, as attribution and process ids."""
        self.engine.take(changes)
        self.now_s += 10
        found = []
        for _ in range(3):
            self.now_s += 1
            batch = self.engine.step()
            found += [(one.attribution, {actor.pid for actor in one.actors}) for one in batch.new]
        return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(watch_engine, "MOST_CHANGES", 20)
    (tmp_path / "watched").mkdir()
    with open_store(os.fsencode(tmp_path / "state"), create=True) as store:
        place = Place(tmp_path / "watched", store)
        ask = store.changes_weighing

        def asked(paths: set[bytes], inodes: set[int], *, since_ns: int, ends: int) -> list[Change]:
            place.asked.append(set(paths))
            return ask(paths, inodes, since_ns=since_ns, ends=ends)

        monkeypatch.setattr(store, "changes_weighing", asked)
        yield place
        place.engine.close()


def forget(place: Place) -> None:
    """Have so much happen to the other file, and no more, that nothing is remembered of the first one."""
    first = place.write("other", 100, pid=7)
    assert first.actor is not None
    path, number = os.fsencode(place.folder / "one"), 200
    while place.engine.picture.changes.at_path(path):
        number += 1
        place.turn(replace(first, serial=number, actor=replace(first.actor, pid=number, event=f"{first.time_ns}:{number}")))


def test_who_wrote_before_is_known_from_the_store_when_the_engine_has_forgotten_it(place: Place) -> None:
    assert place.turn(place.write("one", 1, pid=41)) == [(Attribution.EXACT, {41})]
    forget(place)
    assert place.engine.picture.changes.forgotten
    place.asked.clear()
    ((attribution, pids),) = place.turn(place.write("one", 2, pid=42))
    assert (attribution, pids) == (Attribution.AMBIGUOUS, {41, 42})  # 41 may have had it open still
    assert {os.fsencode(place.folder / "one")} in place.asked


def test_the_store_is_asked_of_a_path_once_until_more_is_forgotten(place: Place) -> None:
    place.turn(place.write("one", 1, pid=41))
    forget(place)
    place.turn(place.write("one", 2, pid=41))
    place.asked.clear()
    for serial in (3, 4):
        assert place.turn(place.write("one", serial, pid=41)) == [(Attribution.EXACT, {41})]
    assert set().union(*place.asked) == set()
    forget(place)
    place.asked.clear()
    place.turn(place.write("one", 5, pid=41))
    assert os.fsencode(place.folder / "one") in set().union(*place.asked)


def test_what_lies_in_a_renamed_folder_is_known_when_the_rename_is_long_past(place: Place) -> None:
    assert place.turn(*place.rename("sub", "new", 1, pid=41)) == [(Attribution.EXACT, {41})]
    forget(place)
    forget(place)
    assert place.turn(place.write("new/file", 2, pid=42)) == [(Attribution.EXACT, {41, 42})]


def test_a_call_that_may_have_been_for_any_file_of_a_folder_is_not_forgotten_in_a_storm(place: Place) -> None:
    written = place.write("sub/file", 1, pid=41)
    assert written.actor is not None
    nameless = replace(
        written, action=Action.LOST, path=os.fsencode(place.folder / "sub"), dev=None, inode=None, serial=2,
        actor=replace(written.actor, pid=66),
    )  # fmt: skip
    place.turn(nameless)
    forget(place)
    forget(place)
    assert place.turn(written) == [(Attribution.AMBIGUOUS, {41, 66})]  # whoever says it was 41 claims what was not seen


def test_an_engine_that_starts_after_a_storm_takes_over_the_last_changes_and_what_bears_on_others(place: Place) -> None:
    renamed = place.rename("sub", "new", 1, pid=41)
    other = place.write("other", 2, pid=7)
    storm = [replace(other, serial=number, item=number) for number in range(10, 500)]
    ledger = ChangeLedger([*renamed, *storm])
    place.store.add_changes(ledger)
    place.engine.close()
    place.engine = place.start(ledger)
    index = place.engine.picture.changes
    assert len(index) <= 20 and index.at_path(renamed[1].path or b"")
    assert place.engine._span == (min(one.time_ns for one in ledger), max(one.time_ns for one in ledger))
    assert place.turn(place.write("new/file", 600, pid=42)) == [(Attribution.EXACT, {41, 42})]


def test_batches_are_put_off_for_a_moment_where_there_is_much_and_never_else() -> None:
    now_s = 1000.0
    gathering = _Gathering(lambda: now_s)

    def go_on(per_s: int, seconds: float) -> float:
        """Count batches of a twentieth of a second, and give how long the next one is put off."""
        nonlocal now_s
        for _ in range(int(seconds * 20)):
            now_s += 0.05
            gathering.count(per_s // 20)
        return gathering.until_s - now_s

    assert go_on(200, 3) == 0.0 and not gathering.goes_on()
    assert go_on(600, 3) == pytest.approx(GATHER_S / 2, rel=0.2)
    assert go_on(5000, 3) == pytest.approx(GATHER_S) and gathering.goes_on()
    now_s += 3600
    assert not gathering.goes_on()
    gathering.count(1)
    assert not gathering.goes_on()  # after a rest the first change is as prompt as ever


def test_in_a_storm_paths_are_gathered_and_at_the_end_nothing_waits(place: Place) -> None:
    place.engine._gather.until_s = place.now_s + 100
    place.engine.take([place.write("one", 99, pid=41)])
    place.now_s += 10
    assert place.engine.step().looked == 0
    assert place.engine.next_s == place.engine._gather.until_s
    assert place.engine.step(everything=True).looked == 1
