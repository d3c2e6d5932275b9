"""A canary is left out of a look, and nothing that anybody else does at its path is."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.evidence.canary_rows import Canary
from fimkit.model.changes import Action, Actor, Change, Source
from fimkit.model.states import FileState, FileType
from fimkit.verbs.canaries import Canaries, canary_texts

SECOND = 1_000_000_000
T0 = 1_800_000_000 * SECOND
TOKEN = "0f" * 16
FIRST, SECOND_NAME = b"/etc/fimkit-canary-" + b"0f" * 16, b"/etc/fimkit-canary-" + b"a1" * 16
OURS, OTHER = 4711, 666
ROWS = [
    Canary(path=path, token=TOKEN, pid=OURS, planted_ns=T0, gone_ns=T0 + gone_ms * 1_000_000)
    for path, gone_ms in ((FIRST, 300), (SECOND_NAME, 400))
]
ALIVE = [replace(row, gone_ns=None) for row in ROWS]


def actor(pid: int) -> Actor:
    return Actor(
        auid=1000, uid=0, euid=0, user="eve", pid=pid, ppid=1, exe=b"/usr/bin/x", comm=b"x", cmdline="x", cmdline_verified=True,
        tty=None, ses=1, syscall="openat", time_ns=T0, event=f"1.000:{pid}",
    )  # fmt: skip


def audit(action: Action, ms: int, path: bytes | None, pid: int = OURS, inode: int = 9, cookie: str | None = None) -> Change:
    return Change(
        source=Source.AUDIT, action=action, time_ns=T0 + ms * 1_000_000, serial=ms, path=path, dev=1, inode=inode,
        actor=actor(pid), cookie=cookie,
    )  # fmt: skip


def osquery(action: Action, seconds: int, path: bytes, serial: int, text: bytes | None = None, **more: object) -> Change:
    return Change(
        source=Source.OSQUERY, action=action, time_ns=T0 + seconds * SECOND, serial=serial, path=path, inode=9,
        sha256=None if text is None else hashlib.sha256(text).hexdigest(), size=None if text is None else len(text), **more,  # type: ignore[arg-type]
    )  # fmt: skip


OWN_RECORDS = [
    audit(Action.BORN, 10, FIRST),
    audit(Action.OPENED, 20, FIRST),
    audit(Action.MODE, 30, None),
    audit(Action.MOVED_FROM, 300, FIRST, cookie="c"),
    audit(Action.MOVED_TO, 300, SECOND_NAME, cookie="c"),
    audit(Action.UNLINKED, 400, SECOND_NAME),
]
OWN_ROWS = [
    osquery(Action.BORN, 0, FIRST, 1, canary_texts(TOKEN)[2]),
    osquery(Action.UPDATED, 0, FIRST, 2, b""),
    osquery(Action.ATTRIBUTES, 0, FIRST, 3),
    osquery(Action.MOVED_FROM, 0, FIRST, 4, cookie="7"),
    osquery(Action.MOVED_TO, 1, SECOND_NAME, 5, cookie="7"),
    osquery(Action.UNLINKED, 1, SECOND_NAME, 6),
]


def test_nothing_of_an_undisturbed_canary_stays() -> None:
    assert Canaries(ROWS).strip(OWN_RECORDS + OWN_ROWS) == []
    assert Canaries(ALIVE).strip(OWN_RECORDS[:3] + OWN_ROWS[:2]) == []


def test_without_its_row_everything_stays() -> None:
    assert Canaries([]).strip(OWN_RECORDS) == OWN_RECORDS
    other = [replace(row, path=row.path + b"x") for row in ROWS]
    assert Canaries(other).strip(OWN_RECORDS) == OWN_RECORDS


@pytest.mark.parametrize(
    "strange",
    [
        audit(Action.OPENED, 50, FIRST, OTHER),
        audit(Action.OPENED, 50, None, OTHER),  # behind a real dirfd, or by fchmod: the inode tells
        audit(Action.LINKED, 50, b"/etc/other", OTHER),
        audit(Action.UNLINKED, 50, FIRST, OTHER),
        osquery(Action.UPDATED, 0, FIRST, 9, b"<?php evil"),
        osquery(Action.UPDATED, 0, FIRST, 9, actor=actor(OTHER)),
    ],
)
def test_whoever_touches_a_living_canary_is_told_with_the_whole_story(strange: Change) -> None:
    every = sorted([*OWN_RECORDS, *OWN_ROWS, strange], key=lambda change: change.time_ns)
    assert Canaries(ROWS).strip(every) == every


def test_file_that_comes_under_the_name_afterwards_is_told_alone() -> None:
    later = [audit(Action.BORN, 900, FIRST, OTHER), audit(Action.UNLINKED, 950, FIRST, OTHER)]
    assert Canaries(ROWS).strip(OWN_RECORDS + later) == later


def test_other_file_that_gets_the_inode_is_not_the_canary() -> None:
    later = [audit(Action.BORN, 401, b"/etc/new", OTHER), audit(Action.MODE, 402, None, OTHER)]
    assert Canaries(ROWS).strip(OWN_RECORDS + later) == later


def test_later_process_of_the_same_number_is_another() -> None:
    later = [audit(Action.BORN, 700_000, FIRST), audit(Action.UNLINKED, 700_001, FIRST)]
    assert Canaries(ROWS).strip(later) == later
    assert Canaries(ALIVE).strip(later) == later  # the selftest was killed


def test_denied_try_at_a_canary_is_told_and_the_canary_is_not() -> None:
    denied = audit(Action.DENIED, 60, FIRST, OTHER)
    assert Canaries(ROWS).strip([*OWN_RECORDS, denied]) == [denied]


def test_second_coming_in_osquerys_rows_is_anothers() -> None:
    second = [osquery(Action.BORN, 1, FIRST, 20, canary_texts(TOKEN)[1]), osquery(Action.UNLINKED, 2, FIRST, 21)]
    assert Canaries(ROWS).strip(OWN_ROWS + second) == second


def test_rows_told_by_two_queries_are_the_canarys_twice() -> None:
    again = [replace(row, serial=row.serial + 100) for row in OWN_ROWS]
    assert Canaries(ROWS).strip(OWN_ROWS + again) == []


def test_late_osquery_is_believed_for_ten_minutes() -> None:
    late, too_late = osquery(Action.BORN, 590, FIRST, 1), osquery(Action.BORN, 700, FIRST, 1)
    assert Canaries(ROWS).strip([late]) == []
    assert Canaries(ROWS).strip([too_late]) == [too_late]


def test_the_next_selftest_may_remove_what_a_killed_one_left() -> None:
    removed_ms = 3_600_000
    removed = replace(audit(Action.UNLINKED, removed_ms, FIRST, pid=OURS + 1))
    rows = [
        replace(ROWS[0], gone_ns=removed.time_ns),
        replace(ROWS[0], pid=OURS + 1, planted_ns=removed.time_ns - 1000, gone_ns=removed.time_ns),
    ]
    assert Canaries(rows).strip([OWN_RECORDS[0], removed]) == []
    assert Canaries(rows[:1]).strip([OWN_RECORDS[0], removed]) == [OWN_RECORDS[0], removed]


def planted(text: bytes, **more: object) -> FileState:
    state = FileState(
        FIRST, FileType.FILE, mode=0o600, uid=os.geteuid(), gid=0, size=len(text), nlink=1, ctime_ns=T0 + 1000,
        sha256=hashlib.sha256(text).hexdigest(), xattrs={"security.selinux": b"x"},
    )  # fmt: skip
    return state._replace(**more)


@pytest.mark.parametrize("text", canary_texts(TOKEN))
def test_living_canary_is_no_difference(text: bytes) -> None:
    after = {FIRST: planted(text)}
    assert Canaries(ALIVE).take_out(after, began_ns=T0, now_ns=T0 + SECOND, look=lambda path: None) == []
    assert after == {}


@pytest.mark.parametrize(
    "state",
    [
        planted(b"evil"),
        planted(canary_texts("00" * 16)[1]),
        planted(b"", mode=0o4755),
        planted(b"", uid=os.geteuid() + 1),
        planted(b"", xattrs={"security.capability": b"x"}),
        planted(b"", type=FileType.SYMLINK, sha256=None),
        planted(b"", ctime_ns=T0 - SECOND),
    ],
)
def test_tampered_canary_is_a_difference(state: FileState) -> None:
    after = {FIRST: state}
    Canaries(ALIVE).take_out(after, began_ns=T0, now_ns=T0 + SECOND, look=lambda path: state)
    assert after == {FIRST: state}


def test_same_file_that_is_there_after_the_canary_was_gone_is_a_difference() -> None:
    gone_ns = ROWS[0].gone_ns
    assert gone_ns is not None
    canaries = Canaries(ROWS)
    assert canaries.is_ours(planted(b""), began_ns=gone_ns - 1)  # it went while the scan ran
    assert not canaries.is_ours(planted(b""), began_ns=gone_ns + 1)
    assert not canaries.is_ours(planted(b"", ctime_ns=gone_ns + 1), began_ns=gone_ns - 1)


@pytest.mark.parametrize("now", [None, planted(b"")])
def test_canary_that_changed_while_it_was_read_is_looked_at_again(now: FileState | None) -> None:
    after = {FIRST: planted(b"", sha256=None, problem="changed while it was read, twice")}
    Canaries(ALIVE).take_out(after, began_ns=T0, now_ns=T0 + SECOND, look=lambda path: now)
    assert after == {}
    torn = planted(b"", sha256=None, problem="changed while it was read, twice")
    assert list(Canaries(ALIVE).without([torn], began_ns=T0, look=lambda path: now)) == []


def test_canary_that_was_left_behind_is_told_of() -> None:
    after = {FIRST: planted(b"")}
    (words,) = Canaries(ALIVE).take_out(after, began_ns=T0, now_ns=T0 + 3600 * SECOND, look=lambda path: None)
    assert "left behind" in words and "fimkit selftest" in words


ACTIONS = st.sampled_from(list(Action))
PATHS = st.sampled_from([None, FIRST, SECOND_NAME, b"/etc/passwd"])


@given(
    st.lists(st.builds(audit, ACTIONS, st.integers(-2000, 2000), PATHS, st.just(OTHER), st.integers(8, 10))),
    st.permutations(OWN_RECORDS),
)
def test_what_others_do_is_never_left_out(strange: list[Change], own: list[Change]) -> None:
    stripped = Canaries(ROWS).strip([*strange, *own])
    assert [change for change in stripped if change.actor is not None and change.actor.pid == OTHER] == strange


@given(st.lists(st.builds(audit, ACTIONS, st.integers(0, 400), PATHS, st.just(OURS), st.integers(8, 10))))
def test_order_of_the_records_does_not_matter(records: list[Change]) -> None:
    key: Callable[[Change], str] = repr
    forward, backward = Canaries(ROWS).strip(records), Canaries(ROWS).strip(records[::-1])
    assert sorted(forward, key=key) == sorted(backward, key=key)
