"""Which path a folder had when a record was made, and so the true path of a name in it. Pure.

The kernel's text is wrong behind a real dirfd, in a chroot and through a bind mount; the PARENT's inode is right. Folders come from
the snapshots and move with the recorded renames; every name is then resolved by one as-of join on (folder, order).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from fimkit.correlate.frames import ChangeTable
from fimkit.model.changes import Action, Change
from fimkit.model.paths import is_below
from fimkit.model.states import FileState, FileType

__all__ = ["FolderMove", "Folders", "resolve_paths"]


class FolderMove(NamedTuple):
    """One recorded rename of a folder. ``old`` or ``new`` is ``None`` where it is not known."""

    row: int
    key: int
    old: bytes | None
    new: bytes | None


class Folders(NamedTuple):
    """The resolved path of each change (by row), and the renames of folders in their order."""

    paths: Sequence[bytes | None]
    moves: Sequence[FolderMove]


def _known_folders(table: ChangeTable, states: Mapping[bytes, FileState]) -> Iterator[tuple[int, bytes]]:
    for path, state in states.items():
        if state.type is FileType.DIRECTORY and (key := table.key_of(state)) >= 0:
            yield key, path


def _place(change: Change, parent: int, current: Mapping[int, bytes]) -> bytes | None:
    """Give the true path of a name now."""
    if change.path is None:
        return None
    folder = current.get(parent)
    if folder is None:
        return change.path if change.path_sure else None
    name = change.path.rpartition(b"/")[2]
    return folder.rstrip(b"/") + b"/" + name


def resolve_paths(table: ChangeTable, before: Mapping[bytes, FileState], after: Mapping[bytes, FileState]) -> Folders:
    """Find the true path of every named change.

    Args:
        table: All changes of a host.
        before: The earlier snapshot by path.
        after: The later one.

    Returns:
        One path a change, in the table's order; ``None`` where only the inode is known.
    """
    frame = table.frame
    current = dict(_known_folders(table, before))
    born = set(
        frame.loc[frame["audit"] & frame["folder"] & frame["action"].isin([Action.BORN.value, Action.MOVED_TO.value]), "key"]
    )
    for key, path in _known_folders(table, after):
        if key not in born:
            current.setdefault(key, path)
    rows = [(key, -1, path) for key, path in current.items()]
    moves = []
    folder_rows = frame.loc[frame["audit"] & frame["folder"] & (frame["key"] >= 0)]
    for row, key, parent in zip(folder_rows["row"], folder_rows["key"], folder_rows["parent"], strict=True):
        change = table.changes[row]
        if change.action not in (Action.BORN, Action.MOVED_TO):
            continue
        old, new = current.get(key), _place(change, parent, current)
        if change.action is Action.MOVED_TO:
            moves.append(FolderMove(row, key, old, new))
        if new is None:
            continue
        renamed = [(key, new)]
        if change.action is Action.MOVED_TO and old is not None:
            renamed += [(other, new + path[len(old) :]) for other, path in current.items() if path != old and is_below(path, old)]
        for other, path in renamed:
            current[other] = path
            rows.append((other, row, path))
    return Folders(_joined(table, rows), moves)


def _joined(table: ChangeTable, rows: Sequence[tuple[int, int, bytes]]) -> list[bytes | None]:
    """Join every change to its folder's path as of its order."""
    if not rows or table.frame.empty:
        places: list[bytes | None] = [None] * len(table.changes)
    else:
        # a folder's own rename takes effect after the record that tells of it
        lives = pd.DataFrame(rows, columns=["parent", "order", "place"]).sort_values("order", kind="stable")
        asked = table.frame[["order", "parent"]]
        joined = pd.merge_asof(asked, lives, on="order", by="parent", allow_exact_matches=False)
        places = [place if isinstance(place, bytes) else None for place in joined["place"]]
    return [_place(change, 0, {} if place is None else {0: place}) for change, place in zip(table.changes, places, strict=True)]
