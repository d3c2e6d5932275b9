"""What weighs of a long history: read in parts and remembered, it is what reading all of it gives, whatever comes or goes."""

import os
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.evidence import weighing
from fimkit.evidence.store import Store, open_store
from fimkit.evidence.weighing import Weighing
from fimkit.model.changes import Action, Change
from tests.evidence.examples import NOW, a_change, an_actor

S = 1_000_000_000
PATHS, INODES = (b"/etc/x", b"/etc/y"), (77, 78)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(os.fsencode(tmp_path / "state"), create=True) as opened:
        yield opened


@pytest.fixture
def beside(tmp_path: Path, store: Store) -> Iterator[sqlite3.Connection]:
    """Another process's connection to the same store."""
    connection = sqlite3.connect(tmp_path / "state" / "fimkit.sqlite")
    yield connection
    connection.close()


def opening(serial: int, at_s: float, *, pid: int = 5, **attributes: object) -> Change:
    time_ns = NOW + int(at_s * S)
    actor = an_actor(pid=pid, time_ns=time_ns, event=f"{time_ns // S}.000:{serial}")
    return replace(a_change(PATHS[0], time_ns=time_ns, serial=serial, actor=actor), **attributes)


def weigh(store: Store) -> list[Change]:
    return store.changes_weighing(PATHS, INODES, since_ns=NOW, ends=3)


def weigh_anew(connection: sqlite3.Connection) -> list[Change]:
    return Weighing().load(connection, PATHS, INODES, NOW, ends=3)


def count_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have the rows counted that each history takes in."""
    taken: list[int] = []
    take = weighing._History.take

    def count(self: weighing._History, row: tuple[object, ...], ends: int) -> None:
        taken.append(1)
        take(self, row, ends)

    monkeypatch.setattr(weighing._History, "take", count)
    return taken


@pytest.mark.parametrize("seed", range(12))
def test_what_is_remembered_is_what_there_is(
    seed: int, store: Store, beside: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weighing, "_MANY_ROWS", 3)
    monkeypatch.setattr(weighing, "_LATE_NS", 5 * S)
    monkeypatch.setattr(weighing, "_MOST_BYTES", (500, 5000, 60_000)[seed % 3])
    monkeypatch.setattr(weighing, "MOST_WEIGHING", (12, 300)[seed % 2])
    random_ = random.Random(seed)
    actions = [*[Action.OPENED] * 8, Action.MODE, Action.BORN, Action.UNLINKED, Action.LINKED, Action.LOST]
    at_s = 0.0
    for serial in range(1, 300):
        at_s += random_.choice((0, 0.001, 1, 3, 20))
        late_s = random_.choice((0, 0, 0, 0, 0, 2, 30)) if seed >= 4 else 0
        change = opening(
            serial, max(0.0, at_s - late_s), pid=random_.choice((5, 5, 5, 6)), action=random_.choice(actions),
            inode=random_.choice((*INODES, None)), path=random_.choice((*PATHS, None)),
        )  # fmt: skip
        store.add_changes([change])
        if seed >= 8 and random_.random() < 0.05:
            with beside:  # as retention does
                beside.execute("DELETE FROM changes WHERE serial % 7 = ? AND serial < ?", (seed % 7, serial - random_.randrange(9)))
        if random_.random() < 0.3:
            assert weigh(store) == weigh_anew(beside)
            beside.commit()


def test_of_a_long_history_only_the_young_rows_are_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add_changes(opening(number, number) for number in range(2000))
    taken = count_rows(monkeypatch)
    first = weigh(store)
    assert len(taken) == 2 * 2000  # of the name and of the file
    taken.clear()
    assert weigh(store) == first and len(taken) == 2 * 61  # seconds, and the one before
    store.add_changes([opening(2000, 2000, pid=6)])
    again = weigh(store)
    assert [one for one in again if one not in first] == [opening(2000, 2000, pid=6)]


def test_one_that_comes_late_is_read(store: Store, beside: sqlite3.Connection) -> None:
    store.add_changes(opening(number, number) for number in range(500))
    weigh(store)
    late = opening(900, 100.5, pid=6)
    store.add_changes([late])
    assert late in weigh(store) and weigh(store) == weigh_anew(beside)


def test_a_row_that_took_anothers_place_is_read(store: Store, beside: sqlite3.Connection) -> None:
    store.add_changes(opening(number, number) for number in range(500))
    assert opening(0, 0) in weigh(store)
    with beside:
        beside.execute("DELETE FROM changes WHERE serial = 0")
    other = opening(900, 0, pid=6)
    store.add_changes([other])  # of the same time: no count tells the two apart
    assert other in weigh(store) and weigh(store) == weigh_anew(beside)


def test_no_more_is_remembered_than_may_be(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "_MOST_BYTES", 10_000)
    store.add_changes(opening(number, number, inode=number % 40) for number in range(4000))
    memory = Weighing()
    with store.reading():
        for _ in range(2):
            memory.load(store._connection, [], range(40), NOW, ends=3)
            assert 9_000 <= memory._bytes == sum(map(len, memory._packed.values())) <= 10_000


def test_what_is_remembered_is_told_by_the_indexes_alone(beside: sqlite3.Connection) -> None:
    for column in ("path", "inode"):
        plan = beside.execute(f"EXPLAIN QUERY PLAN {weighing._PRINT.format(column)}", (b"/etc/x", 0, 1)).fetchall()
        assert f"USING COVERING INDEX changes_{column}" in plan[0][3]
