"""Which states and changes can bear on some paths: correlating those alone finds for these paths what correlating all would. Pure.

A path's finding depends on the states and records of its name; on every file that was or is at that name, wherever it was before
and went later; on all names of that file (hard links, the other side of a rename); on the folders above it, their own renames, and
the names that those gave it; and on the halves of osquery's renames. *Core* paths have all of that, and so their findings hold.
What is only needed to tell where a name was (folders, passing names) is given along, and its findings do not hold.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fimkit.correlate.frames import is_about_folder
from fimkit.correlate.picture import ChangeIndex, Snapshot, key_of_change, parent_of_change
from fimkit.correlate.timeline import folders_above
from fimkit.model.changes import NAMINGS, Action, Change, Source
from fimkit.model.states import FileKey, FileState

__all__ = ["Affected", "Neighbourhood", "Picture"]

_ARRIVALS = (Action.BORN, Action.LINKED, Action.MOVED_TO)


class Affected(NamedTuple):
    """A path to be looked at again; with ``below``, all that lies, or lay, in it too."""

    path: bytes
    below: bool


class Neighbourhood(NamedTuple):
    """What to correlate. Only the findings of ``core`` paths hold."""

    core: frozenset[bytes]
    before: dict[bytes, FileState]
    after: dict[bytes, FileState]
    changes: list[Change]


class Picture:
    """What is known of a host: the baseline, the present, and what was recorded since; the caller keeps all three up to date."""

    def __init__(self, before: Snapshot, after: Snapshot, changes: ChangeIndex) -> None:
        """Take the two snapshots and the changes."""
        self.before, self.after, self.changes = before, after, changes

    def add(self, change: Change) -> None:
        """Take one more change in; of one on a folder's new name, before the snapshots know of it."""
        self.changes.add(change, is_odd=self._is_odd(change))

    def put_back(self, change: Change) -> None:
        """Take one in again that was forgotten."""
        self.changes.add(change, is_odd=self._is_odd(change), back=True)

    def _is_odd(self, change: Change) -> bool:
        """Tell whether a name's text need not be its place: behind a dirfd, in a chroot, through a bind mount."""
        parent = parent_of_change(change)
        if change.path is None or parent is None:
            return False
        folder = change.path.rpartition(b"/")[0] or b"/"
        states = [state for snapshot in (self.before, self.after) if (state := snapshot.get(folder)) is not None]
        return not change.path_sure or not any(state.key == parent for state in states)

    def affected(self, change: Change) -> list[Affected]:
        """Name the paths that a change may have changed: by its name, by its file, and by its folder where the name is not sure."""
        is_folder = is_about_folder(change) and change.action in NAMINGS
        paths = {*self.paths_of(key_of_change(change)), *self.passed(key_of_change(change))}
        if change.path is not None:
            if change.path_sure:
                paths.add(change.path)
            name = change.path.rpartition(b"/")[2]
            if self._is_odd(change):
                paths.update(folder.rstrip(b"/") + b"/" + name for folder in self.places_of(parent_of_change(change)))
        return [Affected(path, is_folder) for path in sorted(paths)]

    def passed(self, key: FileKey | None) -> Iterator[bytes]:
        """Give the names that a file had since its birth: what came and went under one goes on with what is done to it later."""
        for row in reversed([] if key is None else self.changes.of_key(key)):
            change = self.changes[row]
            if change.path is not None and change.path_sure and change.path not in self.before and change.path not in self.after:
                yield change.path
            if change.action is Action.BORN:
                return

    def paths_of(self, key: FileKey | None) -> list[bytes]:
        """Give the paths that a file has in the snapshots."""
        return [] if key is None else [*self.before.paths_of(key), *self.after.paths_of(key)]

    def places_of(self, folder: FileKey | None) -> set[bytes]:
        """Give every path that a folder had in a snapshot, or was recorded to get."""
        if folder is None:
            return set()
        rows = (self.changes[row] for row in self.changes.of_key(folder))
        named = {change.path for change in rows if change.path is not None and change.action in _ARRIVALS}
        return named.union(self.paths_of(folder))

    def neighbourhood(self, paths: Iterable[bytes]) -> Neighbourhood:
        """Collect what bears on some paths.

        Args:
            paths: Those that were changed, or may have been.

        Returns:
            States and changes; the core has at least ``paths``.
        """
        walk = _Walk(self)
        walk.run(paths)
        names = sorted(walk.names | walk.states)
        return Neighbourhood(
            core=frozenset(walk.core),
            before={path: self.before[path] for path in names if path in self.before},
            after={path: self.after[path] for path in names if path in self.after},
            changes=[self.changes[row] for row in sorted(walk.rows)],
        )


class _Walk:
    """One walk from paths to all that bears on them: by worklists, for a chain of renames may be longer than a stack is deep.

    ``names`` are the paths whose states and rows belong to it, ``states`` those of which the states alone do.
    """

    def __init__(self, picture: Picture) -> None:
        self.picture, self.index = picture, picture.changes
        self.core: set[bytes] = set()
        self.names: set[bytes] = set()
        self.states: set[bytes] = set()
        self.rows: set[int] = set()
        self._keys: set[FileKey] = set()
        self._core_todo: list[bytes] = []
        self._name_todo: list[bytes] = []
        self._key_todo: list[FileKey] = []
        # What is asked of each path's folders again and again; nothing changes while this runs.
        self._keys_by_path: dict[bytes, frozenset[FileKey]] = {}
        self._names_by_key: dict[FileKey, frozenset[bytes]] = {}
        self._above: set[bytes] = set()

    def run(self, paths: Iterable[bytes]) -> None:
        self._core_todo = list(paths)
        self.rows.update(self.index.lost_in(None))
        while self._core_todo:
            path = self._core_todo.pop()
            if path not in self.core:
                self.core.add(path)
                self._take(path)
        while self._name_todo or self._key_todo:
            if self._name_todo:
                self._name(self._name_todo.pop())
            else:
                self._follow(self._key_todo.pop())

    def _take(self, path: bytes) -> None:
        """Collect what bears on a core path; other paths that stand or fall with it become core too."""
        self._name_todo.append(path)
        for own in self._keys_of_states(path):
            self._core_todo += self.picture.paths_of(own)
        for own in self._keys_at(path):  # what was here, and went on: the finding of where it was tells of that
            self._core_todo += self.picture.before.paths_of(own)
        for row in self._rows_at(path):
            change = self.index[row]
            if change.action is Action.DENIED and (key := key_of_change(change)) is not None:
                self._core_todo += self.picture.before.paths_of(key)  # a try at a link's name is told of the file itself
            self._name_partners(row)
        for folder_key in self._keys_at(path.rpartition(b"/")[0] or b"/"):
            self.rows.update(self.index.lost_in(folder_key))
        self._carry(path)

    def _name_partners(self, row: int) -> None:
        """Follow osquery's renames to the other names, and on from there."""
        todo, seen = [row], {row}
        while todo:
            for other in self.index.partners(todo.pop()):
                path = self.index[other].path
                if other not in seen and path is not None:
                    seen.add(other)
                    self._name_todo.append(path)
                    todo += (further for further in self.index.at_path(path) if further not in seen)

    def _carry(self, path: bytes) -> None:
        """Find where renamed folders took a path, or what had its name under a folder's other names."""
        for folder in folders_above(path):
            rest = path[len(folder) :]
            for key in self._keys_at(folder):
                for other in self._names_of(key):
                    if other != folder and self._is_known(other + rest):
                        self._core_todo.append(other + rest)

    def _is_known(self, path: bytes) -> bool:
        """Tell whether there is anything of a path: a number given again could make up names without end."""
        return path in self.picture.before or path in self.picture.after or bool(self.index.at_path(path))

    def _name(self, path: bytes) -> None:
        """Take in the states and rows of a name, the files that they are about, and the folders above."""
        if path in self.names:
            return
        self.names.add(path)
        self._key_todo += self._keys_of_states(path)
        for row in self._rows_at(path):
            self.rows.add(row)
            about = key_of_change(self.index[row])
            if about is not None and self.index[row].source is Source.AUDIT:
                self._key_todo.append(about)
            self._places(self.index[row])
        self._name_above(path)

    def _name_above(self, path: bytes) -> None:
        """Have the folders above a path taken in; those above one that was met were met with it."""
        for folder in folders_above(path):
            if folder in self._above:
                return
            self._above.add(folder)
            self._name_todo.append(folder)

    def _follow(self, key: FileKey) -> None:
        """Take in all that was recorded of a file, where it is, and what is needed to tell where it was."""
        if key in self._keys:
            return
        self._keys.add(key)
        self.rows.update(self.index.lost_in(key))
        for row in self.index.of_key(key):
            self.rows.add(row)
            self._places(self.index[row])
        for path in self.picture.paths_of(key):
            self.states.add(path)
            self._name_above(path)

    def _places(self, change: Change) -> None:
        """Take in the folders that a change's name may be in: by its text, and by its parent's inode."""
        if change.path is not None:
            self._name_above(change.path)
        parent = parent_of_change(change)
        if parent is not None:
            self._key_todo.append(parent)
            self._name_todo += self.picture.paths_of(parent)

    def _keys_of_states(self, path: bytes) -> Iterator[FileKey]:
        for snapshot in (self.picture.before, self.picture.after):
            state = snapshot.get(path)
            if state is not None and state.key is not None:
                yield state.key

    def _keys_at(self, path: bytes) -> frozenset[FileKey]:
        """Give the files that were at a name at any time."""
        known = self._keys_by_path.get(path)
        if known is None:
            known = self._keys_by_path[path] = self._find_keys_at(path)
        return known

    def _find_keys_at(self, path: bytes) -> frozenset[FileKey]:
        rows = (self.index[row] for row in self.index.at_path(path))
        arrived = {key for change in rows if change.action in NAMINGS and (key := key_of_change(change)) is not None}
        return frozenset(arrived.union(self._keys_of_states(path)))

    def _names_of(self, key: FileKey) -> frozenset[bytes]:
        """Give the names that a file had at any time."""
        known = self._names_by_key.get(key)
        if known is None:
            known = self._names_by_key[key] = self._find_names_of(key)
        return known

    def _find_names_of(self, key: FileKey) -> frozenset[bytes]:
        names = set(self.picture.paths_of(key))
        for row in self.index.of_key(key):
            change = self.index[row]
            if change.path is None or change.action not in NAMINGS:
                continue
            names.add(change.path)
            name = change.path.rpartition(b"/")[2]
            names.update(folder + b"/" + name for folder in self.picture.places_of(parent_of_change(change)))
        return frozenset(names)

    def _rows_at(self, path: bytes) -> Iterator[int]:
        yield from list(self.index.at_path(path))
        folder, _, name = path.rpartition(b"/")
        for key in self._keys_at(folder or b"/"):
            yield from list(self.index.at_slot(key, name))
