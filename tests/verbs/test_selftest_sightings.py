"""Which records and rows count as having seen which operation."""

import os
import time
from pathlib import Path

from fimkit.model.changes import Action, Actor, Change, Source
from fimkit.verbs.canary_file import CanaryFile, Operation
from fimkit.verbs.selftest_sightings import Sightings
from tests.verbs.test_canary_file import make_canary

PID = 4711


def change(action: Action, path: bytes | None, *, pid: int = PID, source: Source = Source.AUDIT, inode: int = 9) -> Change:
    actor = Actor(
        auid=None, uid=0, euid=0, user=None, pid=pid, ppid=1, exe=None, comm=None, cmdline=None, cmdline_verified=False, tty=None,
        ses=None, syscall=None, time_ns=0, event="",
    )  # fmt: skip
    return Change(
        source=source, action=action, time_ns=time.time_ns(), path=path, dev=1, inode=inode,
        actor=actor if source is Source.AUDIT else None,
    )  # fmt: skip


def done_canary(folder: Path) -> CanaryFile:
    canary = make_canary(folder)
    for operation in Operation:
        canary.do(operation)
    return canary


def test_own_records_are_seen_and_fchmod_by_its_inode(tmp_path: Path) -> None:
    canary = done_canary(tmp_path)
    first, second = canary.spot.paths
    seen = Sightings([canary], pid=PID)
    read_s = time.monotonic() + 0.25
    seen.take([change(Action.BORN, first), change(Action.OPENED, first), change(Action.MODE, None)], read_s=read_s)
    assert list(seen.of(canary)) == [Operation.CREATE, Operation.MODIFY, Operation.CHMOD] and not seen.is_complete
    seen.take([change(Action.MOVED_TO, second), change(Action.UNLINKED, second)], read_s=read_s)
    assert seen.is_complete and all(250 <= ms < 5000 for ms in seen.of(canary).values())


def test_records_of_others_and_of_other_files_are_not(tmp_path: Path) -> None:
    canary = done_canary(tmp_path)
    first, _ = canary.spot.paths
    seen = Sightings([canary], pid=PID)
    seen.take([change(Action.BORN, first, pid=1), change(Action.MODE, None), change(Action.BORN, b"/x")], read_s=time.monotonic())
    assert seen.is_empty


def test_osquerys_rows_are_seen_by_name_and_the_first_time_counts(tmp_path: Path) -> None:
    canary = done_canary(tmp_path)
    first, second = canary.spot.paths
    seen = Sightings([canary], pid=os.getpid())
    rows = [(Action.BORN, first), (Action.UPDATED, first), (Action.ATTRIBUTES, first), (Action.MOVED_FROM, first),
            (Action.MOVED_TO, second), (Action.UNLINKED, second)]  # fmt: skip
    for wait_s in (1.0, 9.0):
        seen.take([change(action, path, source=Source.OSQUERY) for action, path in rows], read_s=time.monotonic() + wait_s)
    assert seen.is_complete and max(seen.of(canary).values()) < 5000


def test_what_was_not_done_is_not_waited_for(tmp_path: Path) -> None:
    canary = make_canary(tmp_path)
    seen = Sightings([canary])
    assert seen.is_complete
    canary.do(Operation.CREATE)
    assert not seen.is_complete
    canary.remove()


def test_marks_are_the_random_parts_of_both_names(tmp_path: Path) -> None:
    assert sorted(Sightings([make_canary(tmp_path)]).marks) == [b"ab" * 16, b"cd" * 16]
