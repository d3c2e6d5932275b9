"""The canonical lines of rows: two rows never have one, any difference is named, and acceptances explain without a gap."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fimkit.evidence.schema import STATE_TABLE
from fimkit.evidence.seal_compare import LineDiff, RowFault, diff_lines, explain_diffs, parse_row_change
from fimkit.evidence.seal_rows import digest_lines, load_lines
from fimkit.evidence.values import STATE_COLUMNS, encode_state
from fimkit.model.states import FileState, FileType

PATHS = st.binary(min_size=1, max_size=6).filter(lambda raw: b"\0" not in raw)
STATES = st.builds(
    FileState,
    path=st.just(b""),
    type=st.sampled_from(FileType),
    mode=st.none() | st.integers(0, 0o7777),
    uid=st.none() | st.integers(0, 2**32 - 1),
    gid=st.none() | st.integers(0, 2**32 - 1),
    size=st.none() | st.integers(0, 2**64 - 1),
    inode=st.none() | st.integers(0, 2**64 - 1),
    dev=st.none() | st.integers(0, 2**64 - 1),
    nlink=st.none() | st.integers(1, 2**32 - 1),
    ctime_ns=st.none() | st.integers(-(2**70), 2**70),
    mtime_ns=st.none() | st.integers(-(2**70), 2**70),
    sha256=st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex) | st.text(max_size=5),
    target=st.none() | st.binary(max_size=6),
    xattrs=st.none() | st.dictionaries(st.text(max_size=3), st.binary(max_size=3), max_size=2),
    problem=st.none() | st.text(st.characters(exclude_categories=[]), max_size=4),
)
TREES = st.dictionaries(PATHS, STATES, max_size=8)


def lines_of(tree: Mapping[bytes, FileState]) -> list[bytes]:
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE baseline {STATE_TABLE}")
    rows = [encode_state(state._replace(path=path)) for path, state in tree.items()]
    connection.executemany(f"INSERT INTO baseline VALUES ({', '.join('?' * len(STATE_COLUMNS))})", rows)
    lines = [line for batch in load_lines(connection) for line in batch]
    connection.close()
    return lines


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES, TREES)
def test_exactly_the_rows_that_differ_are_named(old: dict[bytes, FileState], new: dict[bytes, FileState]) -> None:
    for path in list(old)[:2]:
        new.setdefault(path, old[path])
    diffs = list(diff_lines(lines_of(old), lines_of(new)))
    changes = {change.path: change.fault for change in map(parse_row_change, diffs)}
    stored_old, stored_new = ({path: encode_state(state) for path, state in tree.items()} for tree in (old, new))
    wanted = {
        path: RowFault.ADDED if path not in old else RowFault.MISSING if path not in new else RowFault.ALTERED
        for path in {*old, *new}
        if stored_old.get(path) != stored_new.get(path)
    }
    assert changes == wanted
    assert [change.path for change in map(parse_row_change, diffs)] == sorted(changes)


@settings(max_examples=100, deadline=None)
@given(TREES)
def test_lines_do_not_depend_on_the_order_in_which_rows_came(tree: dict[bytes, FileState]) -> None:
    assert digest_lines([lines_of(tree)]) == digest_lines([lines_of(dict(reversed(tree.items())))])


VALUES = st.none() | st.integers(-5, 5) | st.text("x0T t61", max_size=5) | st.binary(max_size=3)


@settings(max_examples=200, deadline=None)
@given(st.tuples(VALUES, VALUES), st.tuples(VALUES, VALUES))
def test_values_of_other_storage_classes_never_look_the_same(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    def line(values: tuple[Any, Any]) -> bytes:
        connection = sqlite3.connect(":memory:")
        connection.execute(f"CREATE TABLE baseline {STATE_TABLE}")
        connection.execute("INSERT INTO baseline (path, type, sha256, target) VALUES (x'61', 'file', ?, ?)", values)
        ((only,),) = load_lines(connection)
        stored = connection.execute("SELECT typeof(sha256), sha256, typeof(target), target FROM baseline").fetchone()
        seen.append(stored)
        connection.close()
        return only

    seen: list[Any] = []
    assert (line(one) == line(other)) == (seen[0] == seen[1])


def test_acceptances_explain_a_row_only_without_a_gap() -> None:
    a, b, c = (b'["x61",%d]' % number for number in (1, 2, 3))
    steps = [(7, 0, a), (7, 1, b), (9, 0, b), (9, 1, c)]
    (whole,) = explain_diffs([LineDiff(a, c)], steps)
    assert whole.acceptances == (7, 9)
    for broken in (steps[:2], steps[2:], [(7, 0, a), (7, 1, c), (9, 0, b), (9, 1, c)], []):
        (one,) = explain_diffs([LineDiff(a, c)], broken)
        assert one.acceptances == ()


def test_acceptances_explain_what_came_and_what_went() -> None:
    came, went = b'["x61",1]', b'["x62",1]'
    found = list(explain_diffs([LineDiff(None, came), LineDiff(went, None)], [(3, 1, came), (4, 0, went)]))
    assert [one.acceptances for one in found] == [(3,), (4,)]
