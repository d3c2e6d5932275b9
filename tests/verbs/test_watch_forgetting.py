"""What a live engine holds, forgets and asks for again: nobody is taken for the one who did it because of that."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.correlate.ledger import ChangeLedger
from fimkit.evidence.store import open_store
from fimkit.evidence.weighing import MOST_WEIGHING
from fimkit.model.changes import Action, Change
from fimkit.model.errors import HostError
from fimkit.model.findings import Attribution
from fimkit.verbs import watch_engine
from tests.verbs.test_watch_engine import Place

Told = list[tuple[Attribution, set[int | None]]]
BY_BOTH: Told = [(Attribution.AMBIGUOUS, {41, 66})]
BY_ONE: Told = [(Attribution.EXACT, {41})]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(watch_engine, "MOST_CHANGES", 20)
    (tmp_path / "watched").mkdir()
    with open_store(os.fsencode(tmp_path / "state"), create=True) as store:
        place = Place(tmp_path / "watched", store)
        yield place
        place.engine.close()


def others(change: Change, count: int, *, first: int = 1000, **attributes: object) -> list[Change]:
    """Give as many changes, each another process's."""
    assert change.actor is not None
    return [
        replace(change, serial=number, actor=replace(change.actor, pid=number, event=f"{change.time_ns}:{number}"), **attributes)
        for number in range(first, first + count)
    ]


def nameless(change: Change, *, serial: int, pid: int) -> Change:
    assert change.actor is not None
    return replace(
        change, action=Action.LOST, path=change.path and os.path.dirname(change.path), dev=None, inode=None, serial=serial,
        actor=replace(change.actor, pid=pid, event=f"{change.time_ns}:{serial}"),
    )  # fmt: skip


def of_one(place: Place, told: Told) -> Told:
    """Leave out what is told of other files."""
    return [one for one in told if one[1] & {41, 66}]


def test_what_is_put_back_drives_nothing_away_that_is_not_stored_yet(place: Place) -> None:
    history = others(place.write("other", 1, pid=7), 80)
    place.store.add_changes(history)
    place.engine.close()
    place.engine = place.start(ChangeLedger(history))
    assert place.turn(place.write("one", 101, pid=41)) == BY_ONE
    both = place.write("one", 102, pid=66), *others(place.write("other", 103, pid=9), 1, first=2000)
    place.engine.take(both)
    assert of_one(place, place.turn(place.write("one", 104, pid=41))) == BY_BOTH


def test_what_waits_for_a_store_that_refuses_is_not_forgotten(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place.turn(place.write("one", 1, pid=41)) == BY_ONE
    other = place.write("other", 2, pid=7)

    @contextlib.contextmanager
    def refuse() -> Iterator[None]:
        raise HostError("there is no room on the disk")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(place.store, "transaction", refuse)
        place.turn(place.write("one", 3, pid=66))
        for one in others(other, 60):
            place.turn(one)
    assert of_one(place, place.turn(place.write("one", 4, pid=41))) == BY_BOTH


def test_what_could_not_wait_any_longer_makes_it_unsure_who_did_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_engine, "MOST_UNSTORED", 10)
    first = place.write("one", 1, pid=41)
    assert place.turn(first) == BY_ONE
    other = place.write("other", 2, pid=7)
    place.engine.refusal = HostError("there is no room on the disk")
    place.engine.take([place.write("one", 3, pid=66), *others(other, 20)])
    assert place.engine.dropped == 21
    place.engine.refusal = None
    for some in others(other, 60, first=2000):
        place.turn(some)
    told = of_one(place, place.turn(place.write("one", 4, pid=41)))
    assert told == [(Attribution.AMBIGUOUS, {41})]
    (found,) = (one for one in place.store.findings() if one.path == first.path)
    assert any("more was recorded of that time than can be looked through" in reason for reason in found.reasons)


def test_changes_are_stored_though_nothing_is_due(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_engine, "MANY_UNSTORED", 10)
    place.engine.take(others(place.write("other", 1, pid=7), 11))
    assert len(list(place.store.changes(0))) == 11


def test_folders_that_come_do_not_drive_calls_without_a_name_away(place: Place) -> None:
    written = place.write("sub/file", 1, pid=41)
    place.turn(nameless(written, serial=2, pid=66))
    made = place.record(place.folder, 5, pid=7)
    folders = [
        replace(one, action=Action.BORN, mode=0o040755, path=os.fsencode(place.folder / f"d{one.serial}"), inode=10**6 + one.serial)
        for one in others(made, 60)
    ]
    for one in folders:
        place.turn(one)
    assert place.engine.picture.changes.forgotten
    assert place.turn(written) == BY_BOTH
    place.engine.close()
    place.engine = place.start(ChangeLedger(place.store.changes(0)))  # nor where a watch starts
    place.turn(replace(written, serial=3))
    (found,) = (one for one in place.store.findings() if one.path == written.path)
    assert found.attribution is Attribution.AMBIGUOUS


def test_of_more_calls_without_a_name_than_are_held_one_stands_for_the_rest(place: Place) -> None:
    written = place.write("one", 1, pid=41)
    lost = [replace(nameless(written, serial=2 + number, pid=41), parent_inode=10**7) for number in range(60)]  # of another folder
    place.turn(*lost)
    place.engine.take(others(place.write("other", 100, pid=7), 40))
    assert place.engine.picture.changes.lost_in(None)
    assert of_one(place, place.turn(replace(written, serial=5000))) == [(Attribution.AMBIGUOUS, {41})]


def test_who_opens_a_file_again_and_again_does_not_hide_that_he_wrote_it(place: Place) -> None:
    """Before the file was the one it is, once since, and often after his last writing."""
    path = place.folder / "one"
    assert place.turn(place.write("one", 1, pid=41)) == BY_ONE
    number = path.stat().st_ino
    path.unlink()
    for count in range(300):
        path.write_text("another's")
        if path.stat().st_ino == number:
            break
        path.rename(place.folder.parent / f"aside{count}")
    else:
        pytest.skip("this file system does not give a number again")
    made = place.record(path, 3, pid=66)
    assert made.actor is not None
    place.turn(replace(made, action=Action.UNLINKED, item=1), replace(made, action=Action.BORN, item=2, mode=0o100644))
    place.turn(place.write("one", 4, pid=41))
    for serial in range(5, 12):
        place.turn(replace(place.record(path, serial, pid=41), time_ns=made.time_ns + serial * 1_000_000_000))
    (found,) = (one for one in place.store.findings() if one.path == os.fsencode(path))
    assert (found.attribution, {actor.pid for actor in found.actors}) == (Attribution.AMBIGUOUS, {41, 66})


def test_a_number_of_64_bits_is_asked_for_like_any_other(place: Place) -> None:
    other = place.write("other", 1, pid=7)
    for one in others(other, 60):
        place.turn(one)
    assert place.engine.picture.changes.forgotten
    strange = replace(place.write("one", 2, pid=41), inode=2**64 - 2)
    place.turn(strange)
    assert strange in place.store.changes_weighing([], [2**64 - 2], since_ns=0, ends=3)


def renamed_over(place: Place, serial: int, *, inode: int, pid: int) -> list[Change]:
    """Give what is recorded of a process that makes a file and renames it over another one."""
    change = replace(place.record(place.folder / "one", serial, pid=pid), inode=inode, mode=0o100644, cookie=f"{serial}/{inode}")
    temporary = os.fsencode(place.folder / f".one.{serial}")
    return [
        replace(change, action=Action.BORN, path=temporary, item=1, cookie=None),
        replace(change, action=Action.MOVED_FROM, path=temporary, item=2),
        replace(change, action=Action.UNLINKED, inode=inode - 1, item=3, cookie=None),
        replace(change, action=Action.MOVED_TO, item=4),
    ]


def test_a_file_that_was_replaced_thousands_of_times_is_judged_by_a_part_of_that(place: Place) -> None:
    count = MOST_WEIGHING * 2
    history = [
        replace(one, time_ns=place.since_ns + number * 1000)
        for number in range(count)
        for one in renamed_over(place, number, inode=10**7 + number, pid=10_000 + number)
    ]
    place.store.add_changes(history)
    place.engine.close()
    place.engine = place.start(ChangeLedger(history))
    place.write("other", 1, pid=7)
    (place.folder / "new").write_text("new bytes")
    (place.folder / "new").rename(place.folder / "one")
    inode = (place.folder / "one").stat().st_ino
    told = of_one(place, place.turn(*renamed_over(place, 10**6, inode=inode, pid=41)))
    assert told == BY_ONE
    assert len(place.engine.picture.changes) < 6 * MOST_WEIGHING


def test_a_link_made_among_very_many_openings_does_not_hide_who_made_the_bytes(place: Place) -> None:
    first, second, third = (place.folder / name for name in ("new", "second", "third"))
    first.write_text("its bytes")
    came = place.record(first, 1, pid=41)

    def at(number: int, action: Action, *, pid: int = 41, path: Path = first, **attributes: object) -> Change:
        assert came.actor is not None
        time_ns = place.since_ns + number * 1000
        actor = replace(came.actor, pid=pid, ppid=pid, exe=b"/p%d" % pid, time_ns=time_ns, event=f"{time_ns}:{number}")
        made = replace(came, time_ns=time_ns, serial=number, action=action, path=os.fsencode(path), actor=actor)
        return replace(made, mode=0o100644, **attributes)

    count = 2 * MOST_WEIGHING
    opened = [at(number, Action.OPENED, pid=10_000 + number) for number in range(1, count)]
    aside = place.folder / "aside"  # a name that nobody has a reason to ask for
    linked = at(count // 2, Action.LINKED, path=aside, item=5)
    left, arrived = (
        at(count // 2, action, path=name, item=item, cookie="b/1")
        for item, (action, name) in enumerate([(Action.MOVED_FROM, aside), (Action.MOVED_TO, second)], 6)
    )
    history = [at(0, Action.BORN), *opened, linked, left, arrived, at(count, Action.OPENED, pid=66), at(count + 1, Action.UNLINKED)]
    noise = others(place.write("other", 1, pid=7), 100, first=10**6)
    place.store.add_changes([*history, *noise])
    place.engine.close()
    place.engine = place.start(ChangeLedger([*history, *noise]))
    os.link(first, second)
    first.unlink()
    second.rename(third)
    moved = replace(place.record(third, 10**7, pid=77), mode=0o100644, cookie="a/1")
    left = replace(moved, action=Action.MOVED_FROM, path=os.fsencode(second), item=2)
    place.turn(left, replace(moved, action=Action.MOVED_TO, item=3))
    (found,) = (one for one in place.store.findings() if one.path == os.fsencode(third))
    assert found.attribution is Attribution.AMBIGUOUS


def test_of_a_file_that_came_and_went_too_what_is_nowhere_makes_it_unsure(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_engine, "MOST_UNSTORED", 10)
    path = place.folder / "passing"
    path.write_text("for a moment")
    came = replace(place.record(path, 1, pid=41), mode=0o100644)
    path.unlink()
    place.engine.take([replace(came, action=Action.BORN)])
    place.engine.flush()
    place.engine.refusal = HostError("there is no room on the disk")
    place.engine.take(others(replace(came, action=Action.OPENED, serial=2), 11))
    place.engine.refusal = None
    for one in others(place.write("other", 3, pid=7), 60, first=2000):
        place.turn(one)
    place.turn(replace(came, action=Action.UNLINKED, serial=4))
    (found,) = (one for one in place.store.findings() if one.path == os.fsencode(path))
    assert (found.attribution, [actor.pid for actor in found.actors]) == (Attribution.AMBIGUOUS, [41])


def test_while_the_store_refuses_no_more_is_held_than_may_wait(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_engine, "MOST_UNSTORED", 50)
    place.engine.refusal = HostError("there is no room on the disk")
    for one in others(place.write("other", 1, pid=7), 1000):
        place.engine.take([one])
    assert place.engine.dropped > 900 and len(place.engine.picture.changes) < 150


def test_of_many_files_with_long_histories_each_is_asked_for_once_as_its_changes_come(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, one = place.write("other", 1, pid=7), place.record(place.folder / "one", 2, pid=8)
    history = [*others(other, 40, first=10_000), *others(one, 40, first=20_000), *others(place.record(place.folder, 3, pid=9), 60)]
    place.store.add_changes(history)
    place.engine.close()
    place.engine = place.start(ChangeLedger(history))
    asked: list[set[int]] = []
    ask = place.store.changes_weighing

    def count(paths: set[bytes], inodes: set[int], *, since_ns: int, ends: int) -> list[Change]:
        asked.append(set(inodes))
        return ask(paths, inodes, since_ns=since_ns, ends=ends)

    monkeypatch.setattr(place.store, "changes_weighing", count)
    for number in range(4):
        place.engine.take([replace(other, serial=50_000 + number), replace(one, serial=60_000 + number)])
    assert asked == [{other.inode}, {one.inode}]
