"""Each thing that a selection takes is needed: without it, a finding would be another one."""

from typing import Any

from fimkit.correlate.correlate import correlate
from fimkit.correlate.ledger import ChangeLedger
from fimkit.correlate.selection import Selection, select_changes
from fimkit.model.changes import Action, Change, Source
from fimkit.model.findings import Attribution, Finding, Kind
from fimkit.model.states import FileState
from tests.correlate.test_large import hold_equal
from tests.correlate.test_world import WATCHES, prepared
from tests.correlate.world import DEV, World, actor, differences

SECOND = 1_000_000_000


def told(world: World, action: Action, path: bytes | None, pid: int = 0, *, source: Source = Source.AUDIT, **more: Any) -> Change:
    """Give a record, or osquery's row, of now."""
    world.wait(SECOND)
    world.serial += 1
    who = actor(pid, time_ns=world.now, serial=world.serial) if pid else None
    return Change(source=source, action=action, time_ns=world.now, serial=world.serial, path=path, actor=who, **more)


def seen(world: World, action: Action, path: bytes, pid: int = 0, cookie: str | None = None) -> Change:
    """Give a row of file_events, or, with a process, of process_file_events."""
    return told(world, action, path, pid, source=Source.OSQUERY, cookie=cookie, node="h")


def found_by(world: World, before: dict[bytes, FileState], changes: list[Change]) -> list[Finding]:
    """Correlate all changes, and hold what is selected of them against that."""
    hold_equal(world, before, changes)
    after = world.snapshot()
    return correlate(
        host="h", watches=WATCHES, before=before, after=after, diffs=differences(before, after), changes=changes,
        since_ns=world.begun_ns, seen_ns=world.now,
    )  # fmt: skip


def selected(world: World, before: dict[bytes, FileState], changes: list[Change]) -> Selection:
    after = world.snapshot()
    return select_changes(
        ChangeLedger(changes), before=before, after=after, diffs=differences(before, after), since_ns=world.begun_ns,
        watched=lambda path: WATCHES.watch_of(path, is_folder=False) is not None,
    )  # fmt: skip


def test_what_osquery_saw_of_a_tried_name_is_taken_though_nothing_differs_there() -> None:
    world = prepared()
    before = world.begin()
    tried = told(world, Action.DENIED, b"/w/a", 7, error="EACCES")
    (finding,) = found_by(world, before, [tried, seen(world, Action.ATTRIBUTES, b"/w/a")])
    assert (finding.kind, finding.path, finding.sources) == (Kind.ATTEMPTED, b"/w/a", (Source.AUDIT, Source.OSQUERY))


def test_a_try_at_a_links_name_takes_what_osquery_saw_of_the_file_that_is_meant() -> None:
    world = prepared()
    before = world.begin()
    tried = told(world, Action.DENIED, b"/w/link", 7, error="EACCES", dev=DEV, inode=before[b"/w/a"].inode)
    (finding,) = found_by(world, before, [tried, seen(world, Action.ATTRIBUTES, b"/w/a")])
    assert (finding.kind, finding.path, finding.sources) == (Kind.ATTEMPTED, b"/w/a", (Source.AUDIT, Source.OSQUERY))


def test_a_tried_files_nameless_records_are_taken_for_they_tell_whose_root_it_was_in() -> None:
    world = prepared()
    before = world.begin()
    other = {"dev": DEV, "inode": 9_999}
    tried = told(world, Action.DENIED, b"/w/a", 7, error="EACCES", **other)
    assert found_by(world, before, [tried]) == []  # another root's /w/a
    (finding,) = found_by(world, before, [told(world, Action.MODE, None, 8, path_sure=False, **other), tried])
    assert (finding.kind, finding.path) == (Kind.ATTEMPTED, b"/w/a")


def renamed(world: World, old: bytes, new: bytes, cookie: str) -> list[Change]:
    """Give what both of osquery's tables say of a rename."""
    return [
        seen(world, Action.MOVED_FROM, old, cookie=cookie), seen(world, Action.MOVED_TO, new, cookie=cookie),
        seen(world, Action.MOVED_FROM, old, 9, "p" + cookie), seen(world, Action.MOVED_TO, new, 9, "p" + cookie),
    ]  # fmt: skip


def test_a_files_earlier_names_by_osqueys_renames_are_taken_however_many() -> None:
    world = prepared()
    before = world.begin()
    names = [b"/out/one", b"/out/two", b"/out/three", b"/w/new"]
    changes = [seen(world, Action.BORN, names[0]), seen(world, Action.UPDATED, names[0], 8)]
    for number in range(3):
        changes += renamed(world, names[number], names[number + 1], str(number))
    world.write(8, names[-1], recorded=False)
    (finding,) = found_by(world, before, changes)
    assert (finding.kind, finding.path) == (Kind.CREATED, b"/w/new")
    assert {one.pid for one in finding.actors} == {8, 9}


def test_a_name_that_a_rename_led_on_from_to_a_known_file_is_no_passing_one() -> None:
    world = prepared()
    before = world.begin()
    changes = [
        seen(world, Action.BORN, b"/w/way"), seen(world, Action.MOVED_FROM, b"/w/way", cookie="1"),
        seen(world, Action.MOVED_TO, b"/w/a", cookie="1"),
    ]  # fmt: skip
    assert found_by(world, before, changes) == []
    assert [finding.kind for finding in found_by(world, before, changes[:2])] == [Kind.TRANSIENT]


def test_a_cookie_that_is_given_again_brings_both_renames_whole() -> None:
    world = prepared()
    before = world.begin()
    first, second = (
        [seen(world, Action.MOVED_FROM, old, cookie="1"), seen(world, Action.MOVED_TO, new, cookie="1")]
        for old, new in ((b"/w/b", b"/w/x/b2"), (b"/w/way", b"/out/gone"))
    )
    changes = [seen(world, Action.BORN, b"/w/way"), *first, *second]
    found_by(world, before, changes)
    assert {change.path for change in selected(world, before, changes).changes} == {
        b"/w/way", b"/out/gone", b"/w/b", b"/w/x/b2"
    }  # fmt: skip


def test_a_folder_above_that_osquery_saw_renamed_makes_a_process_it_names_doubtful() -> None:
    world = prepared()
    before = world.begin()
    changes = [
        seen(world, Action.MOVED_FROM, b"/w/x", cookie="1"), seen(world, Action.MOVED_TO, b"/out/x2", cookie="1"),
        seen(world, Action.MOVED_FROM, b"/out/x2", cookie="2"), seen(world, Action.MOVED_TO, b"/w/x", cookie="2"),
        seen(world, Action.BORN, b"/w/x/new"), seen(world, Action.OPENED, b"/w/x/new", 8),
        seen(world, Action.UPDATED, b"/w/x/new", 8),
    ]  # fmt: skip
    world.write(8, b"/w/x/new", recorded=False)
    finding = next(one for one in found_by(world, before, changes) if one.path == b"/w/x/new")
    assert finding.attribution is Attribution.AMBIGUOUS
    assert any("a folder above it was renamed" in reason for reason in finding.reasons)


def test_records_of_a_files_other_name_are_taken_by_its_number() -> None:
    world = prepared()
    world.link(1, b"/w/a", b"/out/other")
    before = world.begin()
    opened = told(world, Action.OPENED, b"/out/other", 8, dev=DEV, inode=before[b"/w/a"].inode)
    world.write(8, b"/out/other", recorded=False)
    found = found_by(world, before, [opened])
    assert [(one.path, one.kind, [who.pid for who in one.actors]) for one in found] == [(b"/w/a", Kind.MODIFIED, [8])]


def test_a_name_behind_a_folders_number_is_taken_though_its_text_is_of_another_place() -> None:
    world = prepared()
    before = world.begin()
    world.unlink(7, b"/w/x/a", by_dirfd=True)
    (finding,) = found_by(world, before, world.changes)
    assert (finding.kind, finding.attribution) == (Kind.DELETED, Attribution.EXACT)


def test_a_folders_renames_are_taken_though_the_folder_is_where_it_was() -> None:
    world = prepared()
    before = world.begin()
    world.rename(7, b"/w/x", b"/out/x2")
    folder = {"parent_dev": DEV, "parent_inode": before[b"/w/x"].inode}
    made = told(world, Action.BORN, b"/out/x2/new", 8, dev=DEV, inode=min(set(range(10, 99)) - world.numbers), **folder)
    world.write(8, b"/out/x2/new")
    world.wait(SECOND)
    world.rename(9, b"/out/x2", b"/w/x")
    (finding,) = found_by(world, before, [*world.changes, made])
    assert (finding.kind, finding.path, {who.pid for who in finding.actors}) == (Kind.CREATED, b"/w/x/new", {8, 9})
    assert any("it came with its folder" in reason for reason in finding.reasons)


def test_the_record_that_tells_a_devices_other_name_is_taken_though_its_file_is_as_it_was() -> None:
    world = prepared()
    before = world.begin()
    telling = told(world, Action.OPENED, b"/w/y/c", 7, dev=99, inode=before[b"/w/y/c"].inode)
    opened = told(world, Action.OPENED, None, 8, path_sure=False, dev=99, inode=before[b"/w/a"].inode)
    world.write(8, b"/w/a", recorded=False)
    (finding,) = found_by(world, before, [telling, opened])
    assert (finding.path, [who.pid for who in finding.actors]) == (b"/w/a", [8])


def test_records_that_are_not_taken_still_tell_from_when_on_there_are_any() -> None:
    world = prepared()
    before = world.begin()
    world.write(8, b"/w/a", recorded=False)
    late = told(world, Action.OPENED, b"/w/y/c", 7, dev=DEV, inode=before[b"/w/y/c"].inode)
    (finding,) = found_by(world, before, [late])
    assert "before the first record" in finding.reasons[0]
    assert selected(world, before, [late]).changes == []


def behind_dirfd(world: World, before: dict[bytes, FileState], name: bytes) -> list[Change]:
    """Give the records of a file that came and went in ``/w/x``, under a text that is wrong."""
    more = {"dev": DEV, "inode": 9_999, "parent_dev": DEV, "parent_inode": before[b"/w/x"].inode, "path_sure": False}
    return [told(world, action, b"/somewhere/" + name, 8, **more) for action in (Action.BORN, Action.UNLINKED)]


def test_records_with_a_wrong_text_are_taken_by_the_place_of_their_folder() -> None:
    world = prepared()
    before = world.begin()
    changes = behind_dirfd(world, before, b"a")
    del world.names[b"/w/x/a"]
    (finding,) = found_by(world, before, changes)
    assert (finding.kind, finding.path, [who.pid for who in finding.actors]) == (Kind.DELETED, b"/w/x/a", [8])


def test_a_passing_name_with_a_wrong_text_is_found_by_the_place_of_its_folder() -> None:
    world = prepared()
    before = world.begin()
    (finding,) = found_by(world, before, behind_dirfd(world, before, b"zz"))
    assert (finding.kind, finding.path) == (Kind.TRANSIENT, b"/w/x/zz")
