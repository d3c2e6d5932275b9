"""A scan kept by what differs from the baseline is the dictionary of its states, and finds what differs as dictionaries do."""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.baseline.diff import diff_pairs, diff_states
from fimkit.evidence.connection import connect_reading, store_path
from fimkit.evidence.known_states import PIECE, KnownStates, open_known_states
from fimkit.evidence.packed_pieces import read_rows
from fimkit.evidence.seen_states import SeenStates
from fimkit.evidence.store import Store, open_store
from fimkit.model.config import Watch
from fimkit.model.errors import StoreError
from fimkit.model.state_index import devices_of, file_keys_of, folders_of, only_after, only_before, states_with, troubled_of
from fimkit.model.states import FileState, FileType
from tests.baseline.trees import scan
from tests.evidence.examples import NOW, a_state, plain_states, states

Open = Callable[[bytes], KnownStates]


def open_by_rows(state_dir: bytes) -> KnownStates:
    """Open the baseline as where the compiled way was not built."""
    connection = connect_reading(state_dir)
    connection.execute("COMMIT")
    return KnownStates(connection, store_path(state_dir), partial(read_rows, connection))


each_way = pytest.mark.parametrize("way", [open_known_states, open_by_rows])


@contextmanager
def known_from(rows: Mapping[bytes, FileState], way: Open = open_known_states) -> Iterator[tuple[Store, KnownStates]]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o700)
        state_dir = folder.encode() + b"/state"
        with open_store(state_dir, create=True) as store:
            store.write_baseline(rows.values(), who="eve", why="", time_ns=NOW)
            known = way(state_dir)
            yield store, known
            known.close()


def by_path(rows: list[FileState]) -> dict[bytes, FileState]:
    return {row.path: row for row in rows}


def tree(count: int) -> dict[bytes, FileState]:
    rows = [a_state(b"/t/%04d/%05d" % (number // 7, number), inode=number, dev=number // 1000) for number in range(count)]
    folders = [b"/t/%04d" % number for number in range(count // 7)]
    rows += [a_state(path, type=FileType.DIRECTORY, sha256=None, inode=10**6 + place) for place, path in enumerate(folders)]
    return by_path(sorted(rows))


def in_order(found: object) -> list[object]:
    return sorted(found, key=repr)


def assert_alike(known: KnownStates, seen: SeenStates, before: dict[bytes, FileState], after: dict[bytes, FileState]) -> None:
    assert dict(known) == before
    assert list(known) == sorted(before)
    assert dict(seen) == after
    assert len(seen) == len(after)
    assert in_order(seen.items()) == in_order(after.items())
    assert in_order(seen.values()) == in_order(after.values())
    assert seen.loaded() == (before, after)
    assert diff_pairs(seen.differences(), seen) == diff_states(before, after)
    for path in {*before, *after, b"/none", b"/t/0001/", b""}:
        assert known.get(path) == before.get(path)
        assert seen.get(path) == after.get(path)
        assert (path in known, path in seen) == (path in before, path in after)
    inodes = {state.inode for state in [*before.values(), *after.values()][::3] if state.inode is not None}
    for mine, plain in ((known, before), (seen, after)):
        assert in_order(folders_of(mine)) == in_order(folders_of(plain))
        assert in_order(troubled_of(mine)) == in_order(troubled_of(plain))
        assert in_order(states_with(mine, inodes)) == in_order(states_with(plain, inodes))
        assert set(file_keys_of(mine)) == set(file_keys_of(plain))
    assert devices_of(known) == devices_of(before)
    assert devices_of(after) <= devices_of(seen) <= devices_of(before) | devices_of(after)
    assert set(file_keys_of(known, seen)) == set(file_keys_of(before, after))
    assert in_order(only_before(known, seen)) == in_order(only_before(before, after))
    assert in_order(only_after(known, seen)) == in_order(only_after(before, after))


@each_way
@given(st.lists(states | plain_states, max_size=8), st.lists(states | plain_states, max_size=8), st.sets(st.integers(0, 7)))
def test_any_two_snapshots_are_compared_as_dictionaries_are(
    way: Open, older: list[FileState], newer: list[FileState], kept: set[int]
) -> None:
    before = by_path(older)
    after = by_path([*(row for place, row in enumerate(before.values()) if place in kept), *newer])
    with known_from(before, way) as (_, known):
        assert_alike(known, SeenStates(known, after.values()), before, after)


@each_way
@pytest.mark.parametrize("count", [1, PIECE - 1, PIECE, PIECE + 1, 20 * PIECE])
def test_pieces_are_cut_so_that_none_is_missing_whatever_the_order(way: Open, count: int) -> None:
    before = tree(count)
    rows = list(before.values())
    after = by_path(rows[::-1])
    for row in rows[5::50]:
        after[row.path] = row._replace(mtime_ns=5, mode=None)
    for row in rows[7::61]:
        del after[row.path]
    after[b"/t/new"] = a_state(b"/t/new")
    with known_from(before, way) as (_, known):
        assert_alike(known, SeenStates(known, after.values()), before, after)


MUTATIONS: list[dict[str, object]] = [
    {"type": FileType.CHAR}, {"mode": 0o4755}, {"uid": 7}, {"gid": None}, {"size": 10**6}, {"inode": 2**64 - 1}, {"dev": 9},
    {"nlink": 9}, {"mtime_ns": 2**63}, {"ctime_ns": -1}, {"sha256": "00" * 32}, {"sha256": None}, {"target": b"\xff\n"},
    {"xattrs": {"user.b": b"\xff"}}, {"xattrs": None}, {"problem": "it vanished"},
]  # fmt: skip


@each_way
def test_a_scan_of_a_real_tree_and_what_was_altered_in_it_are_told_apart(way: Open, tmp_path: Path) -> None:
    for name in (b"plain", b"line\nbreak", b"\xff\xfe", b"100%", b"a", b"a.b", b"a b", "\u00e4".encode()):
        (tmp_path / os.fsdecode(name)).write_bytes(name)
        (tmp_path / "in" / os.fsdecode(name)).mkdir(parents=True)
        (tmp_path / "in" / os.fsdecode(name) / "empty").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(os.fsdecode(b"\xff"))
    with suppress(OSError):  # a file system without
        os.setxattr(tmp_path / "plain", "user.a", b"\xff")
    before, _ = scan([Watch(path=os.fsencode(tmp_path))])
    again, _ = scan([Watch(path=os.fsencode(tmp_path))])
    with known_from(before, way) as (_, known):
        assert list(SeenStates(known, again.values()).differences()) == []
        for place, mutation in enumerate(MUTATIONS):
            after = {
                path: row._replace(**mutation) if number % 5 == place % 5 else row
                for number, (path, row) in enumerate(again.items())
            }
            after.pop(sorted(after)[place])
            after |= {path + b"\0": after[path]._replace(path=path + b"\0") for path in sorted(after)[place::9]}
            assert_alike(known, SeenStates(known, after.values()), before, after)


@each_way
def test_states_are_set_and_taken_out_as_of_a_dictionary(way: Open) -> None:
    before = tree(400)
    with known_from(before, way) as (_, known):
        seen, after = SeenStates(known, before.values()), dict(before)
        first, second, third = list(before)[:3]
        for states_of in (seen, after):
            states_of[first] = before[first]._replace(problem="not readable")
            assert states_of.pop(second) == before[second]
            states_of[b"/new"] = a_state(b"/new")
            states_of[third] = before[third]._replace(mode=0)
            states_of[third] = before[third]
            del states_of[b"/new"]
            with pytest.raises(KeyError):
                del states_of[second]
        assert_alike(known, seen, before, after)
        seen[second] = before[second]
        after[second] = before[second]
        assert_alike(known, seen, before, after)


@each_way
def test_a_baseline_that_is_changed_meanwhile_ends_the_comparison(way: Open) -> None:
    before = tree(3000)
    with known_from(before, way) as (store, known):
        assert known[b"/t/0000/00000"] == before[b"/t/0000/00000"]
        store.accept([(b"/t/0001/00009", None)], who="eve", why="", time_ns=NOW)
        with pytest.raises(StoreError, match="was changed while it was compared"):
            list(known.values())


@each_way
@pytest.mark.parametrize(
    "column, value", [("mode", "x"), ("type", "door"), ("xattrs", "{"), ("xattrs", "[]"), ("inode", "x"), ("problem", b"\xff")]
)
def test_a_row_that_cannot_be_read_is_said_whichever_way_it_is_come_upon(way: Open, column: str, value: object) -> None:
    before, path = tree(600), b"/t/0070/00490"
    with known_from(before, way) as (store, known):
        with sqlite3.connect(store.path.decode()) as other:
            other.execute(f"UPDATE baseline SET {column} = ? WHERE path = ?", (value, path))
        looks: list[Callable[[], object]] = [
            lambda: known[path], lambda: list(known.values()), lambda: SeenStates(known, before.values()),
        ]  # fmt: skip
        if column == "mode":  # a text is one that no scan gives, and no more
            assert known[path].mode == value
            assert len(list(SeenStates(known, before.values()).differences())) == 1
            return
        for look in looks:
            with pytest.raises(StoreError, match="is damaged"):
                look()


@each_way
def test_a_baseline_that_is_changed_past_fimkit_ends_the_comparison_too(way: Open) -> None:
    with known_from(tree(3000), way) as (store, known):
        with sqlite3.connect(store.path.decode()) as other:
            other.execute("DELETE FROM baseline WHERE path = ?", (b"/t/0001/00009",))
        with pytest.raises(StoreError, match="not by fimkit"):
            list(known.values())
