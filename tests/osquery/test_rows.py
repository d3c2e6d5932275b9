"""Rows of file_events and process_file_events as changes."""

import pytest

from fimkit.model.changes import Action, Change
from fimkit.model.errors import RecordError
from fimkit.osquery.rows import parse_file_event, parse_process_event
from tests.osquery.result_rows import FILE_ROW, PROCESS_ROW


def process_changes(**columns: object) -> list[Change]:
    return parse_process_event({**PROCESS_ROW, **columns}, node="web01")


def test_numbers_in_place_of_texts_mean_the_same() -> None:
    numeric = {name: int(value) if value.isdigit() else value for name, value in FILE_ROW.items()}
    assert parse_file_event({**numeric, "mode": 644}, node=None) == parse_file_event(FILE_ROW, node=None)
    numbers = {name: int(value) if value.isdigit() else value for name, value in PROCESS_ROW.items()}
    assert parse_process_event(numbers, node=None) == parse_process_event(PROCESS_ROW, node=None)


def test_a_gone_file_has_no_inode_and_no_hash() -> None:
    empty = dict.fromkeys(("inode", "mtime", "size", "mode", "uid", "gid", "sha256"), "")
    row = parse_file_event({**FILE_ROW, **empty, "action": "MOVED_FROM", "hashed": "0", "transaction_id": "103200"}, node=None)
    assert row is not None
    assert (row.inode, row.sha256, row.mtime_ns, row.new_mode, row.cookie) == (None, None, None, None, "103200")


@pytest.mark.parametrize("hashed", ["-1", "0", 0])
def test_a_hash_that_was_not_taken_is_not_believed(hashed: object) -> None:
    row = parse_file_event({**FILE_ROW, "hashed": hashed}, node=None)
    assert row is not None
    assert row.sha256 is None


@pytest.mark.parametrize(
    "wrong",
    [{"action": "EXPLODED"}, {"action": ["CREATED"]}, {"target_path": 3}, {"target_path": "rel"}, {"time": ""}, {"time": "-1"},
     {"time": 10**30}, {"time": float("inf")}, {"mode": "rw"}, {"mode": 999}, {"inode": "x"}],
)  # fmt: skip
def test_a_wrong_file_row_says_what_was_seen(wrong: dict[str, object]) -> None:
    with pytest.raises(RecordError, match=str(next(iter(wrong)))):
        parse_file_event({**FILE_ROW, **wrong}, node=None)


@pytest.mark.parametrize(
    ("operation", "actions"),
    [
        ("write", [Action.UPDATED]),
        ("open+truncate", [Action.OPENED]),
        ("unlink", [Action.UNLINKED]),
        ("rename", [Action.MOVED_FROM, Action.MOVED_TO]),
        ("link", [Action.LINKED, Action.ATTRIBUTES]),
        ("symlink", [Action.BORN]),
        ("open", []),
        ("read", []),
        ("close", []),
    ],
)
def test_an_operation_is_what_osquery_means_by_it(operation: str, actions: list[Action]) -> None:
    found = process_changes(operation=operation, dest_path="/etc/b")
    assert [change.action for change in found] == actions
    assert [change.path for change in found] == {
        "rename": [b"/etc/a", b"/etc/b"], "link": [b"/etc/b", b"/etc/a"], "symlink": [b"/etc/b"],
    }.get(operation, [b"/etc/a"] * len(actions))  # fmt: skip


def test_the_two_halves_of_a_rename_are_one_pair_and_another_rename_another() -> None:
    first, second = process_changes(operation="rename", dest_path="/etc/b"), process_changes(operation="rename", dest_path="/etc/c")
    assert first[0].cookie == first[1].cookie is not None
    assert first[0].cookie != second[0].cookie


def test_the_actor_is_what_the_row_says_and_no_more() -> None:
    (change,) = process_changes(eid="0000000042")
    actor = change.actor
    assert actor is not None
    assert (actor.pid, actor.ppid, actor.auid, actor.uid, actor.euid) == (4711, 4000, 1000, 0, 0)
    assert (actor.exe, actor.syscall, actor.event) == (b"/usr/bin/vim", "write", "osquery:100:0000000042")
    assert (actor.cmdline, actor.comm, actor.tty, actor.ses, actor.user) == (None, None, None, None, None)


@pytest.mark.parametrize("auid", ["4294967295", 4294967295, -1, "-1", ""])
def test_no_login_is_none(auid: object) -> None:
    (change,) = process_changes(auid=auid)
    assert change.actor is not None
    assert change.actor.auid is None


def test_the_user_is_named_by_the_login_else_by_the_uid() -> None:
    names = {1000: "eve", 0: "root"}
    for auid, name in (("1000", "eve"), ("4294967295", "root")):
        (change,) = parse_process_event({**PROCESS_ROW, "auid": auid}, node=None, user_of=names.get)
        assert change.actor is not None
        assert change.actor.user == name


@pytest.mark.parametrize(("partial", "sure"), [("false", True), ("true", False), ("", False), (None, False)])
def test_a_partial_row_is_not_sure(partial: object, sure: bool) -> None:
    assert [change.path_sure for change in process_changes(partial=partial)] == [sure]


@pytest.mark.parametrize(
    "wrong", [{"operation": "chmod"}, {"operation": {}}, {"path": ""}, {"pid": ""}, {"pid": "-3"}, {"time": None}]
)
def test_a_wrong_process_row_says_what_was_seen(wrong: dict[str, object]) -> None:
    with pytest.raises(RecordError, match=str(next(iter(wrong)))):
        process_changes(**wrong)


def test_a_rename_without_a_new_name_is_refused_whole() -> None:
    with pytest.raises(RecordError, match="dest_path"):
        process_changes(operation="rename", dest_path="")
