"""A folder's path as of a record is the one that pandas' as-of join finds."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from fimkit.correlate.folders import join_places, resolve_paths
from fimkit.correlate.frames import tabulate
from fimkit.model.changes import Action, Change, Source
from fimkit.model.states import FileState, FileType

ROW = st.tuples(st.integers(0, 3), st.integers(-1, 12), st.sampled_from([b"/a", b"/b", b"/c"]))


def joined_by_pandas(parents: list[int], rows: list[tuple[int, int, bytes]]) -> list[bytes | None]:
    places = sorted(rows, key=lambda row: row[1])
    lives = pd.DataFrame({"parent": [row[0] for row in places], "order": [row[1] for row in places]}, dtype="int64")
    lives["place"] = range(len(places))
    frame = pd.DataFrame({"order": range(len(parents)), "parent": parents}, dtype="int64")
    found = pd.merge_asof(frame, lives, on="order", by="parent", allow_exact_matches=False)["place"].fillna(-1)
    return [places[int(place)][2] if place >= 0 else None for place in found]


@given(st.lists(st.integers(-1, 4), max_size=12), st.lists(ROW, max_size=10))
def test_folders_are_joined_as_pandas_joins_them(parents: list[int], rows: list[tuple[int, int, bytes]]) -> None:
    assert join_places(parents, rows) == joined_by_pandas(parents, rows)


def test_a_rename_takes_effect_after_the_record_that_tells_of_it() -> None:
    assert join_places([7, 7, 7], [(7, -1, b"/old"), (7, 1, b"/new")]) == [b"/old", b"/old", b"/new"]


def test_a_renamed_folder_carries_along_what_lies_deeper_though_nothing_was_recorded_in_between() -> None:
    def folder(path: bytes, inode: int) -> FileState:
        return FileState(path, FileType.DIRECTORY, inode=inode, dev=1)

    def change(serial: int, action: Action, path: bytes, inode: int, parent: int, mode: int) -> Change:
        return Change(
            source=Source.AUDIT, action=action, time_ns=serial, serial=serial, path=path,
            path_sure=action is not Action.BORN, dev=1, inode=inode, parent_dev=1, parent_inode=parent, mode=mode,
        )  # fmt: skip

    states = {path: folder(path, inode) for path, inode in ((b"/w", 1), (b"/w/a", 2), (b"/w/a/b", 3), (b"/w/a/b/c", 4))}
    changes = [
        change(1, Action.MOVED_FROM, b"/w/a", 2, 1, 0o040755),
        change(1, Action.MOVED_TO, b"/w/z", 2, 1, 0o040755),
        change(2, Action.BORN, b"/somewhere/f", 9, 4, 0o100644),  # by a file descriptor of /w/z/b/c; of /w/z/b there is no record
    ]
    assert resolve_paths(tabulate(changes, states), states, {}).paths == [b"/w/a", b"/w/z", b"/w/z/b/c/f"]
