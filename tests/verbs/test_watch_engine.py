"""The live engine: what it has forgotten of a path is asked of the store, and once."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.evidence.store import Store, open_store
from fimkit.model.changes import Change
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
        for name in ("one", "other"):
            (folder / name).write_text("as it was")
        states = {path: self.look(path) for path in map(os.fsencode, (folder / "one", folder / "other"))}
        self.since_ns = max(state.ctime_ns or 0 for state in states.values())
        store.write_baseline(states.values(), who="", why="", time_ns=self.since_ns)
        watch = Watch(path=os.fsencode(folder), tier=Tier.CRITICAL)
        self.engine = Engine(
            Config(host=Host(name="web01"), paths=(watch,)), store, watches=[watch], since_ns=self.since_ns, before=states,
            after=dict(states), hidden=lambda path: False, changes=(), clock=lambda: self.now_s,
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
        state = self.look(os.fsencode(path))
        assert state.ctime_ns is not None
        time_ns = state.ctime_ns // 1_000_000 * 1_000_000
        actor = an_actor(pid=pid, serial=serial, time_ns=time_ns, event=f"{time_ns}:{serial}")
        return a_change(state.path, time_ns=time_ns, serial=serial, inode=state.inode, dev=state.dev, actor=actor)

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
        ask = store.changes_about

        def asked(paths: set[bytes], inodes: set[int], *, since_ns: int) -> list[Change]:
            place.asked.append(set(paths))
            return ask(paths, inodes, since_ns=since_ns)

        monkeypatch.setattr(store, "changes_about", asked)
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
