"""The traps by name: what each must be called, and whom it names."""

from dataclasses import replace

from fimkit.correlate.correlate import correlate
from fimkit.correlate.judge import MOST_NAMED
from fimkit.model.changes import Action, Change, Note, NoteKind, Source
from fimkit.model.config import Watch
from fimkit.model.findings import Attribution, Finding, Kind, Severity, Tier, Verdict
from fimkit.model.states import FileState
from fimkit.model.watches import WatchSet
from tests.correlate.world import ROOT, START_NS, World, actor, differences

PLAIN = WatchSet([Watch(path=ROOT)])


def begun(*files: bytes, folders: tuple[bytes, ...] = ()) -> tuple[World, dict[bytes, FileState]]:
    world = World()
    for folder in folders:
        world.mkdir(1, folder)
    for path in files:
        world.write(1, path)
    return world, world.begin()


def judge(
    world: World, before: dict[bytes, FileState], *, watches: WatchSet = PLAIN, extra: tuple[Change, ...] = (), **more: object
) -> list[Finding]:
    after = world.snapshot()
    options = {"since_ns": START_NS, **more}
    return correlate(
        host="h",
        watches=watches,
        before=before,
        after=after,
        diffs=differences(before, after),
        changes=[*world.changes, *extra],
        seen_ns=world.now,
        **options,
    )  # type: ignore[arg-type]


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, [(one.path, one.kind) for one in findings]
    return findings[0]


def pids(finding: Finding) -> list[int | None]:
    return [one.pid for one in finding.actors]


def test_the_maker_of_a_temporary_file_comes_before_who_renamed_it() -> None:
    world, before = begun(b"/w/a")
    world.write(7, b"/w/a.tmp")
    world.rename(8, b"/w/a.tmp", b"/w/a")
    found = only(judge(world, before))
    assert (found.kind, found.attribution, pids(found)) == (Kind.MODIFIED, Attribution.EXACT, [7, 8])


def test_two_writers_of_one_file_are_ambiguous_and_both_named() -> None:
    world, before = begun(b"/w/a")
    world.write(7, b"/w/a")
    world.write(8, b"/w/a")
    found = only(judge(world, before))
    assert (found.attribution, pids(found)) == (Attribution.AMBIGUOUS, [8, 7])


def test_who_opened_after_the_last_change_time_wrote_nothing() -> None:
    world, before = begun(b"/w/a")
    world.write(7, b"/w/a")
    world.wait(50_000_000)
    world.open_only(8, b"/w/a")
    found = only(judge(world, before))
    assert (found.attribution, pids(found)) == (Attribution.EXACT, [7])


def test_a_reused_inode_number_is_no_move_and_takes_no_writers_along() -> None:
    world, before = begun(b"/w/a")
    number = world.names[b"/w/a"].number
    world.write(6, b"/w/a")
    world.unlink(7, b"/w/a")
    world.write(8, b"/w/b")
    assert world.names[b"/w/b"].number == number
    findings = {one.path: one for one in judge(world, before)}
    assert (findings[b"/w/a"].kind, pids(findings[b"/w/a"])[0]) == (Kind.DELETED, 7)
    assert (findings[b"/w/b"].kind, pids(findings[b"/w/b"])) == (Kind.CREATED, [8])


def test_a_reused_inode_number_without_records_is_no_move() -> None:
    world, before = begun(b"/w/a")
    world.unlink(7, b"/w/a")
    world.write(8, b"/w/b")
    world.changes.clear()
    assert {one.path: one.kind for one in judge(world, before)} == {b"/w/a": Kind.DELETED, b"/w/b": Kind.CREATED}


def test_a_rename_without_records_is_a_move_by_its_bytes_and_times() -> None:
    world, before = begun(b"/w/a")
    world.rename(7, b"/w/a", b"/w/b")
    world.changes.clear()
    found = only(judge(world, before))
    assert (found.kind, found.path, found.moved_to, found.attribution) == (Kind.MOVED, b"/w/a", b"/w/b", Attribution.UNATTRIBUTED)


def test_a_removal_behind_a_dirfd_is_found_by_the_folders_inode() -> None:
    world, before = begun(b"/w/x/a", folders=(b"/w/x",))
    world.unlink(7, b"/w/x/a", by_dirfd=True)
    found = only(judge(world, before))
    assert (found.kind, found.path, found.attribution, pids(found)) == (Kind.DELETED, b"/w/x/a", Attribution.EXACT, [7])


def test_a_file_made_and_removed_behind_a_dirfd_in_a_new_folder_has_its_true_path() -> None:
    world, before = begun(b"/w/a")
    world.mkdir(7, b"/w/n")
    world.write(7, b"/w/n/f")
    world.unlink(8, b"/w/n/f", by_dirfd=True)
    findings = {one.path: one.kind for one in judge(world, before)}
    assert findings == {b"/w/n": Kind.CREATED, b"/w/n/f": Kind.TRANSIENT}


def test_a_renamed_folder_is_one_finding() -> None:
    world, before = begun(b"/w/x/a", b"/w/x/b", folders=(b"/w/x",))
    world.rename(7, b"/w/x", b"/w/y")
    found = only(judge(world, before))
    assert (found.kind, found.path, found.moved_to, pids(found)) == (Kind.MOVED, b"/w/x", b"/w/y", [7])


def test_what_changed_otherwise_in_a_renamed_folder_has_its_own_finding() -> None:
    world, before = begun(b"/w/x/a", b"/w/x/b", folders=(b"/w/x",))
    world.rename(7, b"/w/x", b"/w/y")
    world.write(8, b"/w/y/a")
    findings = {one.path: one for one in judge(world, before)}
    assert set(findings) == {b"/w/x", b"/w/x/a"}
    assert (findings[b"/w/x/a"].moved_to, findings[b"/w/x/a"].changed[0], pids(findings[b"/w/x/a"])[0]) == (b"/w/y/a", "sha256", 8)


def test_bytes_changed_out_of_sight_in_a_renamed_folder_are_not_the_movers() -> None:
    world, before = begun(b"/w/x/a", b"/w/x/b", folders=(b"/w/x",))
    world.write(7, b"/w/x/a", recorded=False)
    world.rename(8, b"/w/x", b"/w/y")
    findings = {one.path: one for one in judge(world, before)}
    assert findings[b"/w/x"].attribution is Attribution.EXACT
    assert (findings[b"/w/x/a"].kind, findings[b"/w/x/a"].attribution) == (Kind.MOVED, Attribution.UNATTRIBUTED)


def test_files_of_a_folder_that_was_moved_away_name_who_moved_it() -> None:
    world, before = begun(b"/w/x/a", folders=(b"/w/x",))
    world.rename(7, b"/w/x", b"/out/x")
    findings = {one.path: one for one in judge(world, before)}
    assert {path: (one.kind, pids(one)) for path, one in findings.items()} == {
        b"/w/x": (Kind.DELETED, [7]),
        b"/w/x/a": (Kind.DELETED, [7]),
    }
    assert "renamed to /out/x" in " ".join(findings[b"/w/x/a"].reasons)


def test_an_exchange_modifies_both_and_names_who_exchanged() -> None:
    world, before = begun(b"/w/a", b"/w/b")
    world.exchange(7, b"/w/a", b"/w/b")
    assert {one.path: (one.kind, one.attribution, pids(one)) for one in judge(world, before)} == {
        b"/w/a": (Kind.MODIFIED, Attribution.EXACT, [7]),
        b"/w/b": (Kind.MODIFIED, Attribution.EXACT, [7]),
    }


def test_another_name_of_a_file_is_one_finding_and_its_link_count_none() -> None:
    world, before = begun(b"/w/a")
    world.link(7, b"/w/a", b"/w/b")
    found = only(judge(world, before))
    assert (found.path, found.kind, found.attribution, pids(found)) == (b"/w/b", Kind.CREATED, Attribution.EXACT, [7])


def test_a_link_count_that_nothing_else_explains_is_a_finding() -> None:
    world, before = begun(b"/w/a")
    world.link(7, b"/w/a", b"/out/b")
    found = only(judge(world, before))
    assert (found.kind, found.severity, found.changed) == (Kind.ATTRIBUTES, Severity.INFO, ("nlink", "ctime_ns"))


def test_a_write_through_a_link_outside_is_unattributed_and_says_why() -> None:
    world, _ = begun(b"/w/a")
    world.link(1, b"/w/a", b"/out/b")
    before = world.begin()
    world.write(7, b"/out/b")
    found = only(judge(world, before, notes=[]))
    assert (found.attribution, found.actors) == (Attribution.UNATTRIBUTED, ())
    assert found.reasons


def test_a_chmod_after_a_copy_is_exact_with_two_actors() -> None:
    world, before = begun()
    world.write(7, b"/w/sh")
    world.chmod(8, b"/w/sh", 0o4755)
    found = only(judge(world, before))
    assert (found.attribution, pids(found), found.verdict, found.severity) == (
        Attribution.EXACT,
        [7, 8],
        Verdict.SUSPECT,
        Severity.HIGH,
    )


def test_of_two_chmods_the_last_counts() -> None:
    world, before = begun(b"/w/a")
    world.chmod(7, b"/w/a", 0o600)
    world.chmod(8, b"/w/a", 0o640)
    found = only(judge(world, before))
    assert (found.attribution, pids(found)[0], found.changed[0]) == (Attribution.EXACT, 8, "mode")


def denied(world: World, pid: int, path: bytes, uid: int = 1000) -> Change:
    node = world.names[path]
    world.serial += 1
    who = replace(actor(pid, auid=uid, time_ns=world.now, serial=world.serial), uid=uid)
    return Change(
        source=Source.AUDIT,
        action=Action.DENIED,
        time_ns=world.now,
        serial=world.serial,
        path=path,
        dev=65024,
        inode=node.number,
        mode=node.mode | 0o100000,
        actor=who,
        error="EACCES",
    )


def test_a_denied_try_is_attempted_with_low_or_medium_severity() -> None:
    world, before = begun(b"/w/a")
    for tier, severity in ((Tier.WATCH, Severity.LOW), (Tier.CRITICAL, Severity.MEDIUM)):
        watches = WatchSet([Watch(path=ROOT, tier=tier)])
        found = only(judge(world, before, watches=watches, extra=(denied(world, 7, b"/w/a"),)))
        assert (found.kind, found.severity, found.verdict, pids(found)) == (Kind.ATTEMPTED, severity, Verdict.SUSPECT, [7])
        assert found.before == found.after == before[b"/w/a"]


def test_a_denied_try_on_a_changed_file_is_part_of_its_one_finding_and_renames_it() -> None:
    world, before = begun(b"/w/a")
    world.write(7, b"/w/a")
    alone = only(judge(world, before))
    both = only(judge(world, before, extra=(denied(world, 8, b"/w/a"),)))
    assert (both.kind, both.severity, pids(both)) == (Kind.MODIFIED, Severity.MEDIUM, [7, 8])
    assert both.id != alone.id


def test_the_same_person_trying_again_is_the_same_finding_and_another_is_not() -> None:
    world, before = begun(b"/w/a")
    first = denied(world, 7, b"/w/a")
    once = only(judge(world, before, extra=(first,)))
    world.wait(1_000_000_000)
    again = replace(first, time_ns=world.now, serial=world.serial + 1)
    assert only(judge(world, before, extra=(first, again))).id == once.id
    assert only(judge(world, before, extra=(first, denied(world, 9, b"/w/a", uid=1001)))).id != once.id


def test_an_accepted_try_is_not_told_again() -> None:
    world, before = begun(b"/w/a")
    attempt = denied(world, 7, b"/w/a")
    assert judge(world, before, extra=(attempt,), accepted_ns={b"/w/a": world.now + 1}) == []


def test_a_temporary_file_that_lives_on_is_no_transient() -> None:
    world, before = begun()
    world.write(7, b"/w/t")
    world.rename(7, b"/w/t", b"/w/kept")
    assert [(one.path, one.kind) for one in judge(world, before)] == [(b"/w/kept", Kind.CREATED)]


def test_a_name_that_is_saved_under_again_and_again_is_no_transient() -> None:
    world, before = begun(b"/w/a")
    for pid in (7, 8):
        world.write(pid, b"/w/a.tmp")
        world.rename(pid, b"/w/a.tmp", b"/w/a")
    found = only(judge(world, before))
    assert (found.path, found.kind, found.attribution, pids(found)[0]) == (b"/w/a", Kind.MODIFIED, Attribution.EXACT, 8)


def test_a_passing_file_that_was_renamed_is_told_under_its_last_name() -> None:
    world, before = begun()
    world.write(7, b"/w/t")
    world.rename(8, b"/w/t", b"/w/u")
    world.unlink(9, b"/w/u")
    found = only(judge(world, before))
    assert (found.path, found.kind, pids(found)) == (b"/w/u", Kind.TRANSIENT, [7, 8, 9])


def test_a_passing_file_names_its_maker_first() -> None:
    world, before = begun()
    world.write(7, b"/w/t")
    world.unlink(8, b"/w/t")
    found = only(judge(world, before))
    assert (found.kind, found.attribution, pids(found), found.before, found.after) == (
        Kind.TRANSIENT,
        Attribution.EXACT,
        [7, 8],
        None,
        None,
    )


def test_a_call_that_lost_its_file_record_in_the_same_folder_makes_an_exact_who_ambiguous() -> None:
    world, before = begun(b"/w/a")
    world.write(7, b"/w/b")
    parent = world.names[ROOT].number
    lost = Change(
        source=Source.AUDIT,
        action=Action.LOST,
        time_ns=world.now,
        serial=world.serial + 1,
        parent_dev=65024,
        parent_inode=parent,
        actor=actor(9, time_ns=world.now, serial=world.serial + 1),
    )
    found = only(judge(world, before, extra=(lost,)))
    assert found.attribution is Attribution.AMBIGUOUS


def test_a_change_before_auditing_began_says_so() -> None:
    world, before = begun(b"/w/a", b"/w/b")
    world.write(7, b"/w/a", recorded=False)
    note = Note(source=Source.AUDIT, kind=NoteKind.AUDIT_ENABLED, time_ns=world.now + 1, text="")
    world.wait(50_000_000)
    world.write(7, b"/w/b")
    found = next(one for one in judge(world, before, notes=[note]) if one.path == b"/w/a")
    assert any("before the first record" in reason for reason in found.reasons)
    assert any("auditing began only at" in reason for reason in found.reasons)


def test_excluded_paths_and_those_of_no_watch_give_no_finding() -> None:
    world, before = begun(folders=(b"/w/cache",))
    for path in (b"/w/cache/x", b"/w/a.swp"):
        world.write(7, path)
    watches = WatchSet([Watch(path=ROOT, exclude=("/w/cache/*", "*.swp"))])
    assert judge(world, before, watches=watches) == []


def test_identity_stays_while_the_difference_stays_and_moves_with_it() -> None:
    world, before = begun(b"/w/a")
    world.write(7, b"/w/a")
    first = only(judge(world, before))
    world.wait(10**9)
    assert only(judge(world, before)).id == first.id
    world.write(7, b"/w/a")
    assert only(judge(world, before)).id != first.id


def test_an_empty_look_is_empty() -> None:
    world, before = begun()
    assert judge(world, before) == []


def test_a_chroots_own_file_of_the_same_name_explains_nothing() -> None:
    world, before = begun(b"/w/x/a", folders=(b"/w/x",))
    world.names[b"/out/y"] = world.names.pop(b"/w/x/a")
    foreign = Change(
        source=Source.AUDIT,
        action=Action.UNLINKED,
        time_ns=world.now,
        serial=900,
        path=b"/w/x/a",
        dev=77,
        inode=4242,
        parent_dev=77,
        parent_inode=4243,
        actor=actor(7, time_ns=world.now, serial=900),
    )
    found = only(judge(world, before, extra=(foreign,)))
    assert (found.kind, found.attribution, pids(found)) == (Kind.DELETED, Attribution.UNATTRIBUTED, [])


def test_a_denied_try_on_another_roots_file_is_none_here() -> None:
    world, before = begun(b"/w/a")
    foreign = Change(
        source=Source.AUDIT,
        action=Action.DENIED,
        time_ns=world.now,
        serial=900,
        path=b"/w/a",
        dev=77,
        inode=4242,
        error="EACCES",
        actor=actor(7, time_ns=world.now, serial=900),
    )
    assert judge(world, before, extra=(foreign,)) == []


def test_a_file_removed_under_its_folders_new_name_is_the_removers() -> None:
    world, before = begun(b"/w/d/x", folders=(b"/w/d",))
    world.link(1, b"/w/d/x", b"/w/keep")
    before = world.begin()
    world.rename(7, b"/w/d", b"/w/e")
    world.unlink(8, b"/w/e/x")
    found = {one.path: one for one in judge(world, before)}
    assert (found[b"/w/d"].kind, pids(found[b"/w/d"])) == (Kind.MOVED, [7])
    assert (found[b"/w/d/x"].kind, found[b"/w/d/x"].attribution, pids(found[b"/w/d/x"])[0]) == (
        Kind.DELETED,
        Attribution.EXACT,
        8,
    )


def test_what_vanishes_out_of_sight_from_a_renamed_folder_is_nobodys() -> None:
    world, before = begun(b"/w/d/x", folders=(b"/w/d",))
    world.rename(7, b"/w/d", b"/w/e")
    del world.names[b"/w/e/x"]
    found = {one.path: one for one in judge(world, before)}
    assert (found[b"/w/d/x"].kind, found[b"/w/d/x"].attribution) == (Kind.DELETED, Attribution.UNATTRIBUTED)


def test_bytes_changed_out_of_sight_are_not_the_movers() -> None:
    world, before = begun(b"/w/a")
    world.write(7, b"/w/a", recorded=False)
    world.rename(8, b"/w/a", b"/w/b")
    found = only(judge(world, before))
    assert (found.kind, found.attribution) == (Kind.MOVED, Attribution.UNATTRIBUTED)


def test_who_brought_a_file_is_named_for_its_bytes_and_who_renamed_it_then_for_its_name() -> None:
    world, before = begun(b"/out/a")
    world.rename(7, b"/out/a", b"/w/a")
    world.rename(8, b"/w/a", b"/w/b")
    found = only([one for one in judge(world, before) if one.kind is Kind.CREATED])
    assert (found.attribution, pids(found)) == (Attribution.EXACT, [7, 8])


def test_a_file_written_after_it_came_by_one_who_held_it_open_is_not_exact() -> None:
    world, before = begun(b"/out/a")
    world.rename(7, b"/out/a", b"/w/a")
    world.wait(50_000_000)
    world.write(9, b"/w/a", recorded=False)
    found = only(judge(world, before))
    assert (found.kind, found.attribution, pids(found)) == (Kind.CREATED, Attribution.AMBIGUOUS, [7])


def test_folders_that_change_places_take_their_files_along() -> None:
    world, before = begun(b"/w/x/s/a", b"/w/y/t/b", folders=(b"/w/x", b"/w/x/s", b"/w/y", b"/w/y/t"))
    one, other = world.names[b"/w/x"], world.names[b"/w/y"]
    world._event()
    for item, (action, path, node, cookie) in enumerate(
        [
            (Action.MOVED_FROM, b"/w/x", one, "1"),
            (Action.MOVED_FROM, b"/w/y", other, "2"),
            (Action.MOVED_TO, b"/w/y", one, "1"),
            (Action.MOVED_TO, b"/w/x", other, "2"),
        ]
    ):
        world._record(7, action, path, node, item, cookie=cookie)
    flipped = {b"/w/x": b"/w/y", b"/w/y": b"/w/x"}
    world.names = {flipped.get(path[:4], path[:4]) + path[4:]: node for path, node in world.names.items()}
    world.wait(30_000_000)
    world.write(8, b"/w/y/s/a")
    found = {one.path: one for one in judge(world, before)}
    assert (found[b"/w/x/s/a"].moved_to, pids(found[b"/w/x/s/a"])[0]) == (b"/w/y/s/a", 8)
    assert (found[b"/w/y/t"].moved_to, pids(found[b"/w/y/t"])) == (b"/w/x/t", [7])
    assert b"/w/y/t/b" not in found


def test_a_mode_that_no_recorded_call_asked_for_is_not_exact() -> None:
    world, before = begun(b"/w/a")
    world.chmod(7, b"/w/a", 0o600)
    world.names[b"/w/a"].mode = 0o4755
    found = only(judge(world, before))
    assert (found.kind, found.attribution) == (Kind.ATTRIBUTES, Attribution.AMBIGUOUS)
    assert found.reasons


def test_many_processes_on_one_file_are_told_in_a_short_sentence() -> None:
    world, before = begun(b"/w/a")
    for pid in range(100, 600):
        world.write(pid, b"/w/a")
    found = only(judge(world, before))
    assert (found.attribution, len(found.actors)) == (Attribution.AMBIGUOUS, MOST_NAMED)
    assert "500 processes could have made the bytes" in found.reasons[0]
    assert len(found.reasons[0]) < 200
