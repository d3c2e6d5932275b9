"""Who osquery's process_file_events names, and when that is not enough; single cases, in words."""

from dataclasses import replace
from typing import Any

import pytest

from fimkit.correlate.correlate import correlate
from fimkit.correlate.timeline import Timeline
from fimkit.model.changes import Action, Actor, Change, Source
from fimkit.model.config import Watch
from fimkit.model.findings import Attribution, Finding, Kind
from fimkit.model.states import FileState, FileType
from fimkit.model.watches import WatchSet
from fimkit.osquery.rows import parse_file_event, parse_process_event
from tests.correlate.world import differences
from tests.osquery.result_rows import FILE_ROW, PROCESS_ROW

SECOND = 1_000_000_000
BASE_S = 1_000
AT_S = 2_000


def state(path: bytes = b"/w/a", *, at_s: float = 500, sha256: str = "ab" * 32, inode: int = 7, **more: Any) -> FileState:
    plain = FileState(
        path, FileType.FILE, mode=0o644, uid=0, gid=0, size=3, inode=inode, dev=1, nlink=1, mtime_ns=int(at_s * SECOND),
        ctime_ns=int(at_s * SECOND), sha256=sha256, xattrs={},
    )  # fmt: skip
    return plain._replace(**more)


def saw(action: str, path: str = "/w/a", *, at_s: int = AT_S, **more: object) -> Change:
    change = parse_file_event({**FILE_ROW, "action": action, "target_path": path, "time": str(at_s), **more}, node="h")
    assert change is not None
    return change


def did(operation: str, path: str = "/w/a", *, pid: int = 4711, at_s: int = AT_S, **more: object) -> list[Change]:
    return parse_process_event({**PROCESS_ROW, "operation": operation, "path": path, "pid": pid, "time": at_s, **more}, node="h")


def found(before: list[FileState], after: list[FileState], *changes: Change) -> Finding:
    first, second = ({one.path: one for one in states} for states in (before, after))
    (finding,) = correlate(
        host="h",
        watches=WatchSet([Watch(path=b"/w")]),
        before=first,
        after=second,
        diffs=differences(first, second),
        changes=changes,
        since_ns=BASE_S * SECOND,
        seen_ns=3_000 * SECOND,
    )
    return finding


WRITTEN = state(at_s=AT_S + 0.4, sha256="cd" * 32, size=9)
WRITE = [saw("UPDATED"), *did("write")]


def test_one_process_that_wrote_in_place_is_exact() -> None:
    finding = found([state()], [WRITTEN], *WRITE)
    assert (finding.kind, finding.attribution) == (Kind.MODIFIED, Attribution.EXACT)
    (actor,) = finding.actors
    assert (actor.pid, actor.auid, actor.exe, actor.cmdline, actor.syscall) == (4711, 1000, b"/usr/bin/vim", None, "write")
    assert finding.sources == (Source.SCAN, Source.OSQUERY)
    assert finding.reasons == ("osquery's process_file_events says who: it knows paths and whole seconds, no inodes",)


@pytest.mark.parametrize(
    ("after", "changes", "words"),
    [
        (WRITTEN, [*WRITE, *did("write", pid=9, executable="/bin/other")], "2 processes could have made the bytes: pid 4711, 9"),
        (WRITTEN, [saw("UPDATED"), *did("write", partial="true")], "a part of the record only"),
        (WRITTEN, [saw("UPDATED"), *did("write", partial=None)], "does not say that it is whole"),
        (WRITTEN, did("write"), "file_events do not tell of it"),
        (WRITTEN._replace(mtime_ns=1_500 * SECOND), WRITE, "its modification time is not that of the last write"),
        (WRITTEN._replace(ctime_ns=2_003 * SECOND), WRITE, "changed once more after the last that osquery shows"),
        (WRITTEN._replace(inode=8), WRITE, "how another file came to this name is not shown"),
        (WRITTEN, [*WRITE, saw("MOVED_TO", transaction_id="5")], "another file come to this name"),
        (WRITTEN, [*WRITE, *did("unlink", pid=9)], "another file come to this name"),
        (WRITTEN, [*WRITE, saw("MOVED_FROM", "/w", transaction_id="5")], "a folder above it was renamed"),
        (WRITTEN, [*WRITE, *did("link", dest_path="/w/b")], "more names (hard links)"),
    ],
)
def test_whatever_else_can_be_meant_makes_it_ambiguous_and_says_so(after: FileState, changes: list[Change], words: str) -> None:
    finding = found([state()], [after], *changes)
    assert finding.attribution is Attribution.AMBIGUOUS
    assert 4711 in {actor.pid for actor in finding.actors}
    assert any(words in reason for reason in finding.reasons), finding.reasons


def test_a_file_with_two_names_may_have_been_written_to_by_the_other() -> None:
    finding = found([state(nlink=2)], [WRITTEN._replace(nlink=2)], *WRITE)
    assert finding.attribution is Attribution.AMBIGUOUS
    assert any("more names (hard links)" in reason for reason in finding.reasons)


def test_a_stamp_near_the_baseline_may_be_of_before_it() -> None:
    at_s = BASE_S + 2
    written = state(at_s=at_s + 0.4, sha256="cd" * 32)
    finding = found([state()], [written], saw("UPDATED", at_s=at_s), *did("write", at_s=at_s))
    assert finding.attribution is Attribution.AMBIGUOUS
    assert any("before the baseline" in reason for reason in finding.reasons)


def test_rows_of_before_the_baseline_or_after_the_last_change_explain_nothing() -> None:
    for at_s in (BASE_S - 10, AT_S + 100):
        finding = found([state()], [WRITTEN], saw("UPDATED"), *did("write", at_s=at_s))
        assert (finding.attribution, finding.actors) == (Attribution.UNATTRIBUTED, ())
        assert "osquery saw it, and says what changed and not who" in finding.reasons


def test_attributes_are_never_in_it() -> None:
    finding = found([state()], [state(mode=0o4755, ctime_ns=AT_S * SECOND)], saw("ATTRIBUTES_MODIFIED"), *did("write"))
    assert (finding.kind, finding.attribution) == (Kind.ATTRIBUTES, Attribution.UNATTRIBUTED)


def test_bytes_are_explained_and_a_new_mode_is_not_so_the_whole_is_unattributed_with_its_actor() -> None:
    finding = found([state()], [WRITTEN._replace(mode=0o755)], *WRITE)
    assert (finding.attribution, [actor.pid for actor in finding.actors]) == (Attribution.UNATTRIBUTED, [4711])


def test_a_new_file_is_its_opener_and_writers() -> None:
    changes = [saw("CREATED", "/w/new"), *did("open+truncate", "/w/new"), *did("write", "/w/new")]
    new = state(b"/w/new", at_s=AT_S + 0.4)
    assert found([], [new], *changes).attribution is Attribution.EXACT
    finding = found([], [new], changes[0], changes[2])
    assert finding.attribution is Attribution.AMBIGUOUS
    assert any("not who made its name" in reason for reason in finding.reasons)


def test_a_link_is_its_maker() -> None:
    link = state(b"/w/l", at_s=AT_S + 0.1, type=FileType.SYMLINK, sha256=None, target=b"x")
    assert found([], [link], saw("CREATED", "/w/l"), *did("symlink", "/x", dest_path="/w/l")).attribution is Attribution.EXACT


def test_a_deleted_file_is_who_unlinked_it() -> None:
    finding = found([state()], [], saw("DELETED"), *did("unlink"))
    assert (finding.kind, finding.attribution, finding.actors[0].syscall) == (Kind.DELETED, Attribution.EXACT, "unlink")
    twice = found([state()], [], saw("DELETED"), saw("DELETED", at_s=AT_S + 60), *did("unlink"))
    assert twice.attribution is Attribution.AMBIGUOUS


def test_a_file_replaced_by_rename_has_its_bytes_maker_first() -> None:
    changes = [
        saw("CREATED", "/w/t"),
        *did("open+truncate", "/w/t", pid=1),
        saw("MOVED_FROM", "/w/t", transaction_id="5"),
        saw("MOVED_TO", transaction_id="5"),
        *did("rename", "/w/t", dest_path="/w/a", pid=2, executable="/bin/mv"),
    ]
    finding = found([state()], [state(at_s=AT_S + 0.1, inode=8, sha256="cd" * 32)], *changes)
    assert (finding.kind, finding.attribution) == (Kind.MODIFIED, Attribution.EXACT)
    assert [actor.pid for actor in finding.actors] == [1, 2]


def test_a_file_renamed_in_from_out_of_sight_is_ambiguous_in_its_bytes() -> None:
    changes = [saw("MOVED_TO", transaction_id="5"), *did("rename", "/tmp/x", dest_path="/w/a")]
    finding = found([], [state(at_s=AT_S + 0.1, inode=8, mtime_ns=1)], *changes)
    assert finding.attribution is Attribution.AMBIGUOUS
    assert any("not who made its bytes" in reason for reason in finding.reasons)


def test_a_renamed_file_is_who_renamed_it() -> None:
    moved = state(b"/w/b", ctime_ns=AT_S * SECOND + 1)
    pair = [saw("MOVED_FROM", transaction_id="5"), saw("MOVED_TO", "/w/b", transaction_id="5")]
    finding = found([state()], [moved], *pair, *did("rename", dest_path="/w/b"))
    assert (finding.kind, finding.moved_to, finding.attribution) == (Kind.MOVED, b"/w/b", Attribution.EXACT)


def test_a_file_that_came_and_went_is_who_made_and_removed_it() -> None:
    changes = [saw("CREATED", "/w/t"), saw("DELETED", "/w/t"), *did("open+truncate", "/w/t"), *did("write", "/w/t")]
    one = found([], [], *changes, *did("unlink", "/w/t"))
    assert (one.kind, one.attribution) == (Kind.TRANSIENT, Attribution.EXACT)
    other = found([], [], *changes, *did("unlink", "/w/t", pid=9, executable="/bin/rm"))
    assert (other.attribution, {actor.pid for actor in other.actors}) == (Attribution.AMBIGUOUS, {4711, 9})


def test_names_that_renames_joined_come_in_one_order_in_every_process() -> None:
    names = [b"/w/%d" % number for number in range(10)]
    rows = [saw("MOVED_FROM", name.decode(), transaction_id=str(place)) for place, name in enumerate(names, 1)]
    rows += [saw("MOVED_TO", "/w/b", transaction_id=str(place)) for place in range(1, 11)]
    assert list(Timeline(rows, {}, {}).osquery_partners(b"/w/b")) == names


AUDIT = Change(
    source=Source.AUDIT, action=Action.OPENED, time_ns=AT_S * SECOND, serial=5, path=b"/w/a", dev=1, inode=7, mode=0o100644,
    actor=Actor(auid=1000, uid=0, euid=0, user=None, pid=4711, ppid=4000, exe=b"/usr/bin/vim", comm=b"vim", cmdline=None,
                cmdline_verified=False, tty=None, ses=3, syscall="openat", time_ns=AT_S * SECOND, event="2000.000:5"),
)  # fmt: skip


def test_audit_and_osquery_that_name_one_process_are_exact_with_both_sources() -> None:
    finding = found([state()], [WRITTEN], AUDIT, *WRITE)
    assert (finding.attribution, len(finding.actors)) == (Attribution.EXACT, 1)
    assert finding.sources == (Source.SCAN, Source.AUDIT, Source.OSQUERY)


def test_audit_and_osquery_that_name_two_are_ambiguous() -> None:
    other = replace(AUDIT, actor=replace(AUDIT.actor, pid=99, exe=b"/bin/sh", ppid=1))
    finding = found([state()], [WRITTEN], other, *WRITE)
    assert (finding.attribution, {actor.pid for actor in finding.actors}) == (Attribution.AMBIGUOUS, {99, 4711})
    assert "osquery names another process than audit does" in finding.reasons


def test_a_late_hash_is_never_told_as_what_osquery_saw() -> None:
    late = replace(saw("UPDATED"), sha256="ee" * 32, hash_late=True)
    assert not any("ee" * 32 in reason for reason in found([state()], [WRITTEN], late, saw("UPDATED")).reasons)
    seen = found([state()], [WRITTEN], replace(late, hash_late=False))
    assert any("ee" * 32 in reason for reason in seen.reasons)
