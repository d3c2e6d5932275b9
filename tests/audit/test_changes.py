"""What audit events say was done: the sections of the recorded sample, each with its trap."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from fimkit.audit.changes import AuditChanges, render_command
from fimkit.audit.logfile import load_events
from fimkit.model.changes import Action, Change, NoteKind
from fimkit.model.records import AuditEvent

DATA = Path(__file__).parent.parent / "data/audit"
SECTION = re.compile(rb"fimkit-section (\S+)")


@cache
def sections() -> dict[str, list[AuditEvent]]:
    """Cut the sample at its USER records."""
    found: dict[str, list[AuditEvent]] = {}
    name = "start"
    for event in sorted(load_events([DATA / "audit-sample.log"]), key=lambda event: event.event_id.serial):
        marks = [match[1].decode() for kind, body in event.extra if kind == "USER" and (match := SECTION.search(body))]
        name = marks[0] if marks else name
        found.setdefault(name, []).append(event)
    return found


def changes(section: str) -> list[Change]:
    reader = AuditChanges()
    return [change for event in sections()[section] for change in reader.changes_of(event)]


def said(section: str) -> Iterator[tuple[str, bytes | None, int | None]]:
    for change in changes(section):
        yield change.action.value, change.path, change.inode


def test_a_rename_over_a_file_removes_the_old_and_moves_the_new() -> None:
    found = [step for step in said("atomic-replace") if step[0] != "born"]
    assert found == [
        ("moved_from", b"/srv/fim/lab/w/.plain.txt.tmp", 2451804),
        ("unlinked", b"/srv/fim/lab/w/plain.txt", 2451788),
        ("moved_to", b"/srv/fim/lab/w/plain.txt", 2451804),
    ]


def test_the_failed_first_try_of_mv_is_no_change() -> None:
    assert sum(event.success is False for event in sections()["atomic-replace"]) == 1
    assert Action.DENIED not in {change.action for change in changes("atomic-replace")}


def test_an_exchange_is_two_moves() -> None:
    moves = [change for change in changes("exchange") if change.cookie]
    assert [change.action.value for change in moves] == ["moved_from", "moved_from", "moved_to", "moved_to"]
    assert len({change.cookie for change in moves}) == 2


def test_a_rename_across_folders_finds_each_parent_by_its_name_not_by_its_place() -> None:
    across = [change for change in changes("rename") if change.path in (b"/srv/fim/lab/w/renamed", b"/srv/fim/lab/w/sub/moved")]
    assert {(change.action.value, change.path, change.parent_inode) for change in across} >= {
        ("moved_from", b"/srv/fim/lab/w/renamed", 2451791),
        ("moved_to", b"/srv/fim/lab/w/sub/moved", 2902137),
    }


def test_a_name_behind_a_dirfd_is_not_sure_and_its_folder_is() -> None:
    unsure = [change for change in changes("dirfd") if not change.path_sure and change.path is not None]
    assert unsure
    assert all(change.parent_inode for change in unsure if change.action in (Action.BORN, Action.UNLINKED))


def test_a_chmod_by_descriptor_has_no_name_and_the_asked_for_mode() -> None:
    found = [(change.action, change.path, change.new_mode) for change in changes("chmod")]
    assert (Action.MODE, b"/srv/fim/lab/w/plain.txt", 0o600) in found
    assert (Action.MODE, None, 0o640) in found
    assert (Action.OWNER, None, None) in found


def test_a_chown_says_which_ids_it_left_alone() -> None:
    assert [(change.uid, change.gid) for change in changes("chown")] == [(1, 1), (2, None)]


def test_a_file_without_a_name_is_born_nameless_and_linked_later() -> None:
    assert list(said("otmpfile")) == [("born", None, 2451822), ("linked", b"/srv/fim/lab/w/tmpfile-linked.txt", 2451822)]


def test_a_symlinks_target_text_is_no_file() -> None:
    born = [path for action, path, _ in said("symlink") if action == "born"]
    assert born == [b"/srv/fim/lab/w/sym", b"/srv/fim/lab/w/symrel"]


def test_a_write_through_a_link_has_the_targets_inode() -> None:
    assert ("opened", b"/srv/fim/lab/w/symrel", 2451804) in list(said("symlink"))


def test_denied_tries_are_those_without_the_right_and_no_other_failures() -> None:
    denied = [(change.error, change.path) for change in changes("failed")]
    plain, nope = b"/srv/fim/lab/w/plain.txt", b"/srv/fim/lab/w/nope"
    assert denied == [("EACCES", plain), ("EACCES", plain), ("EPERM", plain), ("EACCES", nope)]
    assert {change.action for change in changes("failed")} == {Action.DENIED}


def test_bytes_in_names_are_bytes() -> None:
    names = {path.rpartition(b"/")[2] for _, path, _ in said("names") if path}
    assert b"(null)" in names
    for byte in (b" ", b"\n", b"\xff"):
        assert any(byte in name for name in names)


def test_a_32_bit_call_is_read_like_another() -> None:
    assert {change.action for change in changes("i386")} >= {Action.BORN, Action.UNLINKED}


def test_lost_path_records_are_told_as_lost_and_noted() -> None:
    reader = AuditChanges()
    events = list(load_events([DATA / "lost-partial.log"]))
    lost = [change for event in events for change in reader.changes_of(event) if change.action is Action.LOST]
    notes = [note for event in events for note in reader.notes_of(event)]
    assert lost
    assert len([note for note in notes if note.kind is NoteKind.INCOMPLETE]) == len(events)
    assert {change.path for change in lost} <= {None, b"/dev/shm/wb"}


def test_the_command_line_of_an_execve_record_is_verified_and_a_proctitle_is_not() -> None:
    change = changes("rename")[0]
    assert change.actor is not None
    assert (change.actor.cmdline, change.actor.cmdline_verified) == ("mv /srv/fim/lab/w/touched /srv/fim/lab/w/renamed", False)
    event = sections()["rename"][1]
    assert event.process is not None
    started = event._replace(syscall="execve", items=(), process=event.process._replace(argv=(b"mv", b"-f", b"a b")))
    reader = AuditChanges()
    assert list(reader.changes_of(started)) == []
    again = next(iter(reader.changes_of(event)))
    assert again.actor is not None
    assert (again.actor.cmdline, again.actor.cmdline_verified) == ("mv -f 'a b'", True)


def test_one_process_object_has_the_words_of_the_moment() -> None:
    event = sections()["rename"][1]
    assert event.process is not None
    names = iter(["first", "second", "third", "fourth"])
    nameless = event._replace(process=event.process._replace(auid_name=None, uid_name=None))
    reader = AuditChanges(lambda _number: next(names))

    def words() -> tuple[str | None, str | None]:
        actor = next(iter(reader.changes_of(nameless._replace(syscall=nameless.syscall)))).actor
        assert actor is not None
        return actor.cmdline, actor.user

    def started(*argv: bytes) -> None:
        assert event.process is not None
        process = event.process._replace(argv=argv)
        assert list(reader.changes_of(event._replace(syscall="execve", items=(), process=process))) == []

    assert words() == ("mv /srv/fim/lab/w/touched /srv/fim/lab/w/renamed", "first")
    started(b"mv", b"one")
    assert words() == ("mv one", "second")
    started(b"mv", b"two")
    assert words() == ("mv two", "third")
    started(b"mv", b"two")
    assert words() == ("mv two", "fourth")


def test_more_processes_than_are_remembered_are_told_apart() -> None:
    event = sections()["rename"][1]
    assert event.process is not None
    reader = AuditChanges()
    for number in range(9000):
        title = b"mv\0%d" % number
        change = next(iter(reader.changes_of(event._replace(process=event.process._replace(proctitle=title)))))
        assert change.actor is not None
        assert change.actor.cmdline == f"mv {number}"
    assert len(reader._makers) <= 4096


def test_a_user_is_named_by_the_log_or_by_the_host() -> None:
    event = next(
        event
        for event in sections()["auid-1000"]
        if event.process and event.process.auid == 1000 and list(AuditChanges().changes_of(event))
    )
    assert event.process is not None
    nameless = event._replace(process=event.process._replace(auid_name=None, uid_name=None))
    logged = next(iter(AuditChanges().changes_of(event))).actor
    resolved = next(iter(AuditChanges(lambda number: f"user{number}").changes_of(nameless))).actor
    unknown = next(iter(AuditChanges().changes_of(nameless))).actor
    assert [actor and actor.user for actor in (logged, resolved, unknown)] == [logged and logged.user, "user1000", None]
    assert logged is not None
    assert logged.user


def test_io_uring_tells_the_inode_and_no_program() -> None:
    reader = AuditChanges()
    found = [change for event in load_events([DATA / "uring.log"]) for change in reader.changes_of(event)]
    worker = next(change for change in found if change.action is Action.BORN)
    assert worker.actor is not None
    assert (worker.path, worker.inode, worker.parent_inode, worker.actor.exe, worker.actor.auid) == (
        None,
        2410505,
        2410497,
        None,
        None,
    )
    assert {change.action for change in found} >= {
        Action.BORN,
        Action.MOVED_FROM,
        Action.MOVED_TO,
        Action.LINKED,
        Action.UNLINKED,
        Action.LOST,
    }


@pytest.mark.parametrize(
    ("arguments", "text"),
    [((b"ls", b"-l"), "ls -l"), ((b"sh", b"-c", b"echo 'a'"), 'sh -c "echo \'a\'"'), ((b"x", b"", b"\x1b[2J"), "x '' '%1B[2J'")],
)  # fmt: skip
def test_a_command_is_written_so_that_a_shell_would_read_it_back(arguments: tuple[bytes, ...], text: str) -> None:
    assert render_command(arguments) == text


def test_switching_auditing_and_rules_is_noted() -> None:
    reader = AuditChanges()
    kinds = {note.kind for events in sections().values() for event in events for note in reader.notes_of(event)}
    assert {NoteKind.RULES_CHANGED, NoteKind.LOG_STARTED} <= kinds
