"""osquery's result log: its three formats, its traps, and bad lines."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.changes import Action
from fimkit.model.errors import RecordError
from fimkit.osquery.results import OsqueryResults, parse_line, parse_row, unescape_name

DATA = Path(__file__).parent.parent / "data"
ROW = {
    "action": "CREATED",
    "target_path": "/etc/a",
    "time": "100",
    "mode": "0644",
    "inode": "7",
    "mtime": "99",
    "hashed": "1",
    "sha256": "ab" * 32,
    "transaction_id": "0",
    "uid": "0",
    "gid": "0",
    "size": "3",
}


def changes(*lines: bytes) -> tuple[list, OsqueryResults]:  # type: ignore[type-arg]
    results = OsqueryResults()
    return list(results.changes_of(lines, file="r.log")), results


def test_the_three_formats_give_the_same_change() -> None:
    event = json.dumps({"name": "q", "hostIdentifier": "h", "columns": ROW, "action": "added"}).encode()
    batch = json.dumps({"name": "q", "hostIdentifier": "h", "diffResults": {"removed": [ROW], "added": [ROW]}}).encode()
    snapshot = json.dumps({"name": "q", "hostname": "h", "action": "snapshot", "snapshot": [ROW]}).encode()
    found = [changes(line)[0] for line in (event, batch, snapshot)]
    assert found[0] == found[1] == found[2]
    assert (found[0][0].action, found[0][0].path, found[0][0].sha256, found[0][0].node) == (Action.BORN, b"/etc/a", "ab" * 32, "h")


def test_numbers_in_place_of_texts_mean_the_same() -> None:
    numbers = {
        **ROW,
        "time": 100,
        "mode": 644,
        "inode": 7,
        "mtime": 99,
        "hashed": 1,
        "transaction_id": 0,
        "uid": 0,
        "gid": 0,
        "size": 3,
    }
    assert parse_row(numbers, node=None) == parse_row(ROW, node=None)


def test_a_removed_row_is_no_change() -> None:
    line = json.dumps({"name": "q", "columns": ROW, "action": "removed"}).encode()
    assert changes(line)[0] == []


def test_rows_of_other_queries_are_counted_and_passed_over() -> None:
    found, results = changes(json.dumps({"name": "users", "snapshot": [{"uid": "0"}, {"uid": "1"}]}).encode())
    assert (found, results.other_rows, results.bad) == ([], 2, [])


def test_one_bad_row_leaves_the_others_of_its_line() -> None:
    line = json.dumps({"diffResults": {"added": [ROW, {**ROW, "time": "soon"}, {**ROW, "target_path": "/etc/b"}]}}).encode()
    found, results = changes(line)
    assert [change.path for change in found] == [b"/etc/a", b"/etc/b"]
    assert [(bad.file, bad.line) for bad in results.bad] == [("r.log", 1)]


def test_a_half_line_is_kept_as_bad_with_its_place() -> None:
    _, results = changes(b'{"name":"q","columns":{"action":"CREATED"', b"\xff\xfe")
    assert [(bad.line, bad.text) for bad in results.bad] == [(1, b'{"name":"q","columns":{"action":"CREATED"'), (2, b"\xff\xfe")]


def test_a_gone_file_has_no_inode_and_no_hash() -> None:
    row = parse_row(
        {**ROW, "action": "MOVED_FROM", "inode": "", "mtime": "", "hashed": "0", "sha256": "", "transaction_id": "103200"},
        node=None,
    )
    assert row is not None
    assert (row.inode, row.sha256, row.cookie) == (None, None, "103200")


def test_a_hash_that_was_not_taken_is_not_believed() -> None:
    row = parse_row({**ROW, "hashed": "-1"}, node=None)
    assert row is not None
    assert row.sha256 is None


def test_reading_a_file_is_no_change() -> None:
    assert parse_row({**ROW, "action": "OPENED"}, node=None) is None


@pytest.mark.parametrize(
    "wrong", [{"action": "EXPLODED"}, {"target_path": 3}, {"target_path": "rel"}, {"time": ""}, {"mode": "rw"}]
)
def test_a_wrong_row_says_what_was_seen(wrong: dict[str, object]) -> None:
    with pytest.raises(RecordError):
        parse_row({**ROW, **wrong}, node=None)


def test_every_row_of_the_incident_is_read() -> None:
    lines = (DATA / "incident-01/osqueryd.results.log").read_bytes().split(b"\n")
    found, results = changes(*lines)
    assert (len(found), results.rows, results.bad) == (71, 71, [])
    assert {b"/srv/fim/tree/etc/new\nline", b"/srv/fim/tree/etc/bad\xffname"} <= {change.path for change in found}


@given(st.binary())
def test_any_line_is_read_or_refused_with_our_own_error(line: bytes) -> None:
    try:
        parse_line(line)
    except RecordError:
        return


@given(st.dictionaries(st.sampled_from(sorted(ROW)), st.none() | st.integers() | st.text(max_size=9) | st.floats() | st.booleans()))
def test_any_row_is_read_or_refused_with_our_own_error(wrong: dict[str, object]) -> None:
    try:
        parse_row({**ROW, **wrong}, node=None)
    except RecordError:
        return


@given(st.binary(max_size=30))
def test_a_name_as_osquery_writes_it_is_read_back(name: bytes) -> None:
    if b"\\x" in name:  # a real backslash in a name cannot be told from an escape
        return
    written = "".join(
        char
        if char.isprintable() or char > "\x9f"
        else "".join(f"\\x{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
        for char in name.decode("utf-8", "surrogateescape").translate(
            {code: f"\\x{code - 0xDC00:02X}" for code in range(0xDC80, 0xDD00)}
        )
    )
    assert unescape_name(written) == name
