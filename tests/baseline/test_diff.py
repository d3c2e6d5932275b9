from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.baseline.diff import diff_pairs, diff_states
from fimkit.baseline.problems import CHANGED, UNLISTED, VANISHED
from fimkit.model.states import COMPARED, FileState, FileType
from tests.baseline.states import snapshots

Rows = dict[bytes, FileState]

FILE = FileState(b"/a", FileType.FILE, 0o644, 0, 0, 1, 2, 3, 1, 4, 5, "00", None, {}, None)
FOLDER = FileState(b"/a", FileType.DIRECTORY, 0o755, 0, 0, 4096, 2, 3, 2, 4, 5, None, None, {}, None)


def changed(before: FileState | None, after: FileState | None) -> list[tuple[str, ...]]:
    return [
        diff.changed
        for diff in diff_states({} if before is None else {before.path: before}, {} if after is None else {after.path: after})
    ]


@given(snapshots)
def test_snapshot_does_not_differ_from_itself(rows: Rows) -> None:
    copies = {path: row._replace(xattrs=None if row.xattrs is None else dict(row.xattrs)) for path, row in rows.items()}
    assert diff_states(rows, rows) == diff_states(rows, copies) == []


@given(snapshots, snapshots)
def test_every_path_that_came_or_went_is_a_difference_once_and_in_order(before: Rows, after: Rows) -> None:
    diffs = diff_states(before, after)
    found = [diff.path for diff in diffs]
    assert found == sorted(set(found))
    assert {diff.path for diff in diffs if diff.before is None} == after.keys() - before.keys()
    assert {diff.path for diff in diffs if diff.after is None} == before.keys() - after.keys()
    assert all(bool(diff.changed) == (diff.before is not None and diff.after is not None) for diff in diffs)


@given(snapshots, snapshots, st.sampled_from([None, VANISHED, f"{UNLISTED}, for a test"]), st.randoms(use_true_random=False))
def test_pairs_in_any_order_give_what_mappings_give(before: Rows, after: Rows, problem: str | None, draw: Random) -> None:
    after = {path: row._replace(problem=problem) if len(path) < 4 else row for path, row in after.items()}
    pairs = [(path, before.get(path), after.get(path)) for path in before.keys() | after.keys()]
    draw.shuffle(pairs)
    assert diff_pairs((pair for pair in pairs if pair[1] != pair[2]), after) == diff_states(before, after)


@pytest.mark.parametrize("name", COMPARED)
def test_each_attribute_that_differs_is_named(name: str) -> None:
    other = {"type": FileType.FIFO, "sha256": "11", "target": b"/y", "xattrs": {"user.a": b"1"}}.get(name, 77)
    before = FILE._replace(target=b"/x")
    assert changed(before, before._replace(**{name: other})) == [(name,)]


def test_names_are_in_the_order_of_weight() -> None:
    assert changed(FILE, FILE._replace(ctime_ns=9, mode=0o777, sha256="11", size=9)) == [("sha256", "mode", "size", "ctime_ns")]


@pytest.mark.parametrize("name", [name for name in COMPARED if name != "type"])
def test_what_is_not_known_on_one_side_is_no_difference(name: str) -> None:
    before = FILE._replace(target=b"/x")
    assert changed(before, before._replace(**{name: None})) == changed(before._replace(**{name: None}), before) == []


def test_hash_that_could_not_be_read_hides_no_other_difference() -> None:
    assert changed(FILE, FILE._replace(sha256=None, mode=0o666, mtime_ns=9, problem=CHANGED)) == [("mode", "mtime_ns")]


def test_folder_of_which_times_size_and_links_alone_differ_is_no_difference() -> None:
    noise = {"mtime_ns": 9, "ctime_ns": 9, "size": 8192, "nlink": 3}
    assert changed(FOLDER, FOLDER._replace(**noise)) == []
    assert changed(FOLDER, FOLDER._replace(**noise, mode=0o777)) == [("mode", "size", "nlink", "mtime_ns", "ctime_ns")]
    assert changed(FOLDER, FOLDER._replace(inode=9)) == [("inode",)]
    assert changed(FILE, FILE._replace(**noise)) == [("size", "nlink", "mtime_ns", "ctime_ns")]


def test_row_that_vanished_stands_for_an_absent_path() -> None:
    gone = FileState(b"/a", FileType.FILE, problem=VANISHED)
    assert changed(None, gone) == changed(gone, None) == changed(gone, gone) == []
    [deleted] = diff_states({b"/a": FILE}, {b"/a": gone})
    [created] = diff_states({b"/a": gone}, {b"/a": FILE})
    assert (deleted.after, created.before) == (None, None)


def test_what_lies_in_a_folder_that_could_not_be_listed_is_not_called_deleted() -> None:
    inside, beside = FILE._replace(path=b"/d/x/y"), FILE._replace(path=b"/dd")
    unlisted = FOLDER._replace(path=b"/d", problem=f"{UNLISTED}, it cannot be opened: Input/output error")
    diffs = diff_states({row.path: row for row in (inside, beside, unlisted._replace(problem=None))}, {b"/d": unlisted})
    assert [diff.path for diff in diffs] == [b"/dd"]
