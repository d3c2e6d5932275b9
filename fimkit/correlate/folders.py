"""Which path a folder had when a record was made, and so the true path of a name in it. Pure.

The kernel's text is wrong behind a real dirfd, in a chroot and through a bind mount; the PARENT's inode is right. Folders come from
the snapshots and move with the recorded renames; every name is then resolved by one as-of join on (folder, order). Both sides are
in their order already, so the join is one walk along both: on a million rows it takes a third of what ``pandas.merge_asof`` does
with the frames that have to be made for it (0.05 s to 0.14 s), on a hundred a three-hundredth.
"""

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from fimkit.correlate.frames import ChangeTable, is_about_folder
from fimkit.model.changes import Action, Change, Source
from fimkit.model.states import FileState, FileType

__all__ = ["FolderMove", "FolderTrace", "Folders", "join_places", "resolve_paths", "trace_folders"]

_ARRIVALS = (Action.BORN, Action.MOVED_TO)
_path_of = attrgetter("path")


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


def _place(change: Change, folder: bytes | None, inodes: Mapping[bytes, Collection[int]]) -> bytes | None:
    """Give the true path of a name in a folder that is known, or what its text says of it.

    Args:
        change: Whose name it is.
        folder: Where its PARENT is then; ``None`` if that is not known.
        inodes: Which inodes were seen at the path of a folder. Text that names such a folder, with another inode, is about another
            root: a container's or a chroot's own.
    """
    if change.path is None:
        return None
    above, _, name = change.path.rpartition(b"/")
    if folder is not None:
        return folder.rstrip(b"/") + b"/" + name
    if not change.path_sure:
        return None
    seen = inodes.get(above or b"/")
    return change.path if seen is None or change.parent_inode is None or change.parent_inode in seen else None


class _Tree:
    """The folders by number, with their paths now, and by the folder that they lie in.

    A folder that nothing was recorded of has no number, and a renamed one carries along what lies in it all the same: so the
    way down leads through paths, and not through numbers.
    """

    def __init__(self, places: Mapping[int, bytes], states: Iterable[FileState]) -> None:
        self.paths: dict[int, bytes] = {}
        self.inodes: dict[bytes, set[int]] = defaultdict(set)
        for state in states:
            if state.type is FileType.DIRECTORY and state.inode is not None:
                self.inodes[state.path].add(state.inode)
        self._at: dict[bytes, set[int]] = defaultdict(set)
        self._inside: dict[bytes, set[bytes]] = defaultdict(set)
        for key, path in places.items():
            self.put(key, path)

    def put(self, key: int, path: bytes) -> None:
        old = self.paths.get(key)
        if old is not None:
            self._at[old].discard(key)
            self._prune(old)
        self.paths[key] = path
        self._at[path].add(key)
        while len(path) > 1 and path not in self._inside[above := path.rpartition(b"/")[0] or b"/"]:
            self._inside[above].add(path)
            path = above

    def _prune(self, path: bytes) -> None:
        """Forget a way that leads to no folder any more."""
        while len(path) > 1 and not self._at.get(path) and not self._inside.get(path):
            self._at.pop(path, None)
            self._inside.pop(path, None)
            above = path.rpartition(b"/")[0] or b"/"
            if above in self._inside:
                self._inside[above].discard(path)
            path = above

    def below(self, path: bytes) -> Iterator[int]:
        """Give every folder in ``path``, at any depth."""
        todo = [path]
        while todo:
            for inner in self._inside.get(todo.pop(), ()):
                yield from self._at.get(inner, ())
                todo.append(inner)


class FolderTrace(NamedTuple):
    """Where folders were: ``places`` are number, from after which row on, path; the renames; the inodes seen at a path."""

    places: Sequence[tuple[int, int, bytes]]
    moves: Sequence[FolderMove]
    inodes: Mapping[bytes, Collection[int]]


def resolve_paths(table: ChangeTable, before: Mapping[bytes, FileState], after: Mapping[bytes, FileState]) -> Folders:
    """Find the true path of every named change.

    Args:
        table: All changes of a host.
        before: The earlier snapshot by path.
        after: The later one.

    Returns:
        One path a change, in the table's order; ``None`` where only the inode is known.
    """
    trace = trace_folders(table, before, after)
    return Folders(_joined(table, trace.places, trace.inodes), trace.moves)


def trace_folders(table: ChangeTable, before: Mapping[bytes, FileState], after: Mapping[bytes, FileState]) -> FolderTrace:
    """Follow the folders through the records of them that made or renamed one; of the other changes nothing is looked at."""
    places = dict(_known_folders(table, before))
    told = [
        (row, key, parent)
        for row, (change, key, parent) in enumerate(zip(table.changes, table.row_keys, table.row_parents, strict=True))
        if key >= 0 and change.action in _ARRIVALS and change.source is Source.AUDIT and is_about_folder(change)
    ]
    born = {key for _, key, _ in told}
    for key, path in _known_folders(table, after):
        if key not in born:
            places.setdefault(key, path)
    tree = _Tree(places, itertools.chain(before.values(), after.values()))
    rows = [(key, -1, path) for key, path in places.items()]
    moves: list[FolderMove] = []
    numbers = list(table.keys)
    for _, group in itertools.groupby(told, key=lambda one: _event(table.changes[one[0]])):
        for key, row, path in _rename(list(group), tree, table, moves):
            tree.put(key, path)
            if path in tree.inodes:
                tree.inodes[path].add(numbers[key].inode)
            rows.append((key, row, path))
    return FolderTrace(rows, moves, tree.inodes)


def _event(change: Change) -> tuple[int, int, str | None]:
    return change.time_ns, change.serial, change.node


def _rename(
    group: Sequence[tuple[int, int, int]], tree: _Tree, table: ChangeTable, moves: list[FolderMove]
) -> list[tuple[int, int, bytes]]:
    """Give the new paths that one event made, of the folders named and of those in them; an exchange moves two at once."""
    renamed = []
    for row, key, parent in group:
        change = table.changes[row]
        old, new = tree.paths.get(key), _place(change, tree.paths.get(parent), tree.inodes)
        moving = change.action is Action.MOVED_TO
        if moving:
            moves.append(FolderMove(row, key, old, new))
        if new is None:
            continue
        renamed.append((key, row, new))
        if moving and old is not None:
            renamed += [(other, row, new + tree.paths[other][len(old) :]) for other in tree.below(old)]
    return renamed


def _joined(
    table: ChangeTable, rows: Sequence[tuple[int, int, bytes]], inodes: Mapping[bytes, Collection[int]]
) -> list[bytes | None]:
    """Join every change to its folder's path as of its order."""
    places = join_places(table.row_parents, rows)
    return [
        path if path is not None and place is not None and _lies_in(path, place) else _place(change, place, inodes)
        for change, path, place in zip(table.changes, map(_path_of, table.changes), places, strict=True)
    ]


def _lies_in(path: bytes, folder: bytes) -> bool:
    """Tell whether the text is right, as it is of most names."""
    return path.rfind(b"/") == len(folder) and path.startswith(folder)


def join_places(parents: Sequence[int], rows: Iterable[tuple[int, int, bytes]]) -> list[bytes | None]:
    """Find each row's folder as of its order.

    Args:
        parents: The number of each row's folder, in the total order; -1 for none.
        rows: The folders' places: number, from after which row on, path; any order.

    Returns:
        One path a row; ``None`` where the folder is not known.

    >>> join_places([7, 7, 8], [(7, -1, b"/a"), (7, 0, b"/b")])
    [b'/a', b'/b', None]
    """
    now: dict[int, bytes] = {}
    found: list[bytes | None] = []
    for key, order, place in sorted(rows, key=_order_of):
        if order >= len(found):  # a folder's own rename takes effect after the record that tells of it
            found += map(now.get, parents[len(found) : order + 1])
        now[key] = place
    found += map(now.get, parents[len(found) :])
    return found


def _order_of(row: tuple[int, int, bytes]) -> int:
    return row[1]
