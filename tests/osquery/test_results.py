"""osquery's result log: rows are known by their columns, and what cannot be read is told by query, file and line."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.changes import Action, Change
from fimkit.osquery.results import MAX_BAD_KEPT, OsqueryResults
from tests.osquery.result_rows import FILE_ROW, PROCESS_ROW, batch, event, snapshot

DATA = Path(__file__).parent.parent / "data"


def read(*lines: bytes, **options: Any) -> tuple[list[Change], OsqueryResults]:
    results = OsqueryResults(**options)
    return list(results.changes_of(lines, file="r.log")), results


def test_the_three_formats_give_the_same_change() -> None:
    found = [read(line)[0] for line in (event(FILE_ROW), batch([FILE_ROW]), snapshot([FILE_ROW]))]
    assert found[0] == found[1] == found[2]
    (change,) = found[0]
    assert (change.action, change.path, change.sha256, change.node) == (Action.BORN, b"/etc/a", "ab" * 32, "web01")


@pytest.mark.parametrize("name", ["pack_fimkit_file_events", "pack/other/x", "fe", None, 7])
def test_a_row_is_known_by_its_columns_whatever_the_query_is_called(name: object) -> None:
    found, results = read(event(FILE_ROW, name=name), event(PROCESS_ROW, name=name))
    assert [change.actor is not None for change in found] == [False, True]
    assert results.problems == []


def test_a_removed_row_is_no_change_and_is_counted() -> None:
    found, results = read(event(FILE_ROW, action="removed"), batch([], removed=[FILE_ROW, FILE_ROW]))
    assert (found, results.removed_rows, results.bad) == ([], 3, [])


def test_rows_of_other_tables_are_counted_and_passed_over() -> None:
    rows: list[dict[str, Any]] = [{"uid": "0"}, {"path": "/x", "action": "y", "time": "1"}]
    found, results = read(snapshot(rows, name="users"))
    assert (found, results.other_rows, results.bad, results.problems) == ([], 2, [], [])


def test_yara_events_tell_of_the_same_events_and_are_no_rows_of_ours() -> None:
    row = {"target_path": "/a", "action": "CREATED", "transaction_id": "0", "time": "1", "matches": "", "strings": ""}
    assert read(event(row))[1].other_rows == 1


def test_a_query_with_renamed_columns_is_told_once_and_its_rows_are_bad() -> None:
    renamed = {("file" if name == "target_path" else name): value for name, value in FILE_ROW.items()}
    found, results = read(*[event(renamed, name="mine")] * 3)
    assert found == []
    (words,) = results.problems
    assert "'mine'" in words and "without target_path" in words and "3 rows" in words
    assert [line.line for line in results.bad] == [1, 2, 3]


def test_a_query_by_the_tables_name_with_all_its_columns_renamed_is_told() -> None:
    _, results = read(event({"path": "/a", "what": "CREATED", "time": "1"}, name="pack_x_file_events"))
    assert "target_path, action" in results.problems[0]


def test_a_query_without_hashes_and_inodes_is_read_and_told_once() -> None:
    few = {"action": "UPDATED", "target_path": "/etc/a", "time": "5"}
    found, results = read(event(few, name="few"), event(few, name="few"))
    assert len(found) == 2
    assert len(results.problems) == 1 and "sha256" in results.problems[0] and "'few'" in results.problems[0]


def test_a_row_that_is_no_object_leaves_the_others_of_its_line_and_the_books_are_exact() -> None:
    rows: list[Any] = [FILE_ROW, 5, {**FILE_ROW, "matches": "", "strings": ""}, None, {**FILE_ROW, "target_path": "/etc/b"}]
    found, results = read(snapshot(rows), b"no JSON", b"  ", batch([{**FILE_ROW, "time": "soon"}], removed=[FILE_ROW]))
    assert [change.path for change in found] == [b"/etc/a", b"/etc/b"]
    assert [(bad.line, bad.error) for bad in results.bad[:2]] == [
        (1, "row 2: a row is a JSON object; seen: 5"), (1, "row 4: a row is a JSON object; seen: None")
    ]  # fmt: skip
    assert (results.lines, results.bad_lines) == (3, 1)
    assert (results.rows, results.other_rows, results.refused_rows, results.removed_rows) == (2, 1, 3, 1)
    assert results.bad_rows == {"r.log": 4}


def test_one_bad_row_leaves_the_others_of_its_line() -> None:
    found, results = read(batch([FILE_ROW, {**FILE_ROW, "time": "soon"}, {**FILE_ROW, "target_path": "/etc/b"}]))
    assert [change.path for change in found] == [b"/etc/a", b"/etc/b"]
    assert [(bad.file, bad.line, bad.error) for bad in results.bad] == [
        ("r.log", 1, "row 2: time is 'soon', expected a number")
    ]


def test_half_lines_and_garbage_are_kept_as_bad_with_their_place() -> None:
    half = b'{"name":"q","columns":{"action":"CREATED"'
    found, results = read(half, event(FILE_ROW), b"\xff\xfe", b"[]", b"")
    assert len(found) == 1
    assert [(bad.line, bad.text) for bad in results.bad][:2] == [(1, half), (3, b"\xff\xfe")]
    assert len(results.bad) == 3


def test_bad_lines_are_kept_up_to_a_bound_and_all_counted() -> None:
    _, results = read(*[b"noise"] * (MAX_BAD_KEPT + 50))
    assert len(results.bad) == MAX_BAD_KEPT
    assert results.uncounted == {"r.log": 50}
    assert results.problems == ["50 more bad lines were counted, and not kept"]


def test_reading_a_file_is_no_change_and_is_counted() -> None:
    found, results = read(event({**FILE_ROW, "action": "OPENED"}), event({**PROCESS_ROW, "operation": "open"}))
    assert (found, results.read_rows) == ([], 2)


def test_a_host_has_all_the_names_that_its_lines_give() -> None:
    uuid = {"hostIdentifier": "4615da65", "decorations": {"hostname": "web01", "host_uuid": "4615da65"}}
    _, results = read(event(FILE_ROW, **uuid), event(FILE_ROW, hostIdentifier=None, hostname="old"))
    assert results.names == {"4615da65": {"4615da65", "web01"}, "old": {"old"}}


def test_a_name_that_can_be_read_in_two_ways_is_the_one_that_is_known() -> None:
    row = {**FILE_ROW, "target_path": "/etc/a\\x0Ab"}
    assert read(event(row))[0][0].path == b"/etc/a\nb"
    assert read(event(row), is_known=lambda path: path == b"/etc/a\\x0Ab")[0][0].path == b"/etc/a\\x0Ab"


def test_every_row_of_the_incident_is_read() -> None:
    found, results = read(*(DATA / "incident-01/osqueryd.results.log").read_bytes().split(b"\n"))
    assert (len(found), results.rows, results.bad, results.problems) == (71, 71, [], [])
    assert {b"/srv/fim/tree/etc/new\nline", b"/srv/fim/tree/etc/bad\xffname"} <= {change.path for change in found}


def test_recorded_logs_with_other_queries_are_read_as_far_as_they_tell_of_files() -> None:
    found, results = read(*(DATA / "osquery/results-fileops.log").read_bytes().split(b"\n"))
    assert len(found) == results.rows > 20
    assert results.other_rows > 0
    assert all("selects file_events without" in words for words in results.problems)
    _, batches = read(*(DATA / "osquery/batch.txt").read_bytes().split(b"\n"))
    assert any("without time" in words for words in batches.problems)
    _, snapshots = read(*(DATA / "osquery/snapshots.log").read_bytes().split(b"\n"))
    assert snapshots.other_rows > 0 and snapshots.bad == []


@given(st.lists(st.binary() | st.sampled_from([event(FILE_ROW), b"{}", b'{"snapshot":[1]}', b'{"diffResults":{"added":3}}'])))
def test_no_line_ends_the_reading(lines: list[bytes]) -> None:
    found, results = read(*lines)
    assert len(found) == lines.count(event(FILE_ROW))
    assert results.lines == sum(bool(line.strip()) for line in lines)


VALUES = st.none() | st.integers() | st.text(max_size=9) | st.floats() | st.booleans() | st.lists(st.text(max_size=2), max_size=2)


@given(st.sampled_from([FILE_ROW, PROCESS_ROW]).flatmap(lambda row: st.dictionaries(st.sampled_from(sorted(row)), VALUES)))
def test_no_row_ends_the_reading(wrong: dict[str, object]) -> None:
    for row in (FILE_ROW, PROCESS_ROW):
        _, results = read(event({**row, **wrong}), event({name: row[name] for name in row if name not in wrong}))
        assert results.lines == 2
