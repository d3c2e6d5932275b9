"""What is known of a host at one moment, kept so that single paths can be looked up: two snapshots and the changes. Pure.

A million paths must be cheap: a snapshot's second index is one dictionary from inode numbers, and lists only where files share one.
"""

import stat
from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Iterator

from fimkit.model.changes import Action, Change, Source
from fimkit.model.paths import is_below
from fimkit.model.states import FileKey, FileState

__all__ = ["LAST_OPENINGS", "ChangeIndex", "Slot", "Snapshot", "bears_on_others", "key_of_change", "parent_of_change"]

_COMINGS = frozenset({Action.BORN, Action.MOVED_TO, Action.MOVED_FROM})

Slot = tuple[FileKey, bytes]
"""A name in a folder that is known by its inode."""


LAST_OPENINGS = 3
"""Of the openings of one file by one process so many are kept, and the first one."""


def key_of_change(change: Change) -> FileKey | None:
    """Give the file that a change is about, where the record says it."""
    return None if change.dev is None or change.inode is None else FileKey(change.dev, change.inode)


def parent_of_change(change: Change) -> FileKey | None:
    """Give the folder that the changed name is in, where the record says it."""
    return None if change.parent_dev is None or change.parent_inode is None else FileKey(change.parent_dev, change.parent_inode)


def bears_on_others(action: Action, mode: int | None) -> bool:
    """Tell whether a change bears on other names than its own: calls without their files' names, and folders that came or went.

    Args:
        action: What was done.
        mode: Of the file, with the type bits.
    """
    return action is Action.LOST or (action in _COMINGS and mode is not None and stat.S_ISDIR(mode))


class Snapshot(dict[bytes, FileState]):
    """States by path, and their paths by file. Change it by :meth:`put` and :meth:`drop` alone."""

    __slots__ = ("_by_inode",)

    def __init__(self, states: Iterable[FileState] = ()) -> None:
        """Take the states, each path once."""
        super().__init__()
        self._by_inode: dict[int, bytes | list[bytes]] = {}
        for state in states:
            self.put(state)

    def put(self, state: FileState) -> None:
        """Set the state of its path."""
        self.drop(state.path)
        self[state.path] = state
        if state.inode is None:
            return
        there = self._by_inode.get(state.inode)
        if there is None:
            self._by_inode[state.inode] = state.path
        elif isinstance(there, list):
            there.append(state.path)
        else:
            self._by_inode[state.inode] = [there, state.path]

    def drop(self, path: bytes) -> None:
        """Say that there is nothing at a path."""
        state = self.pop(path, None)
        if state is None or state.inode is None:
            return
        there = self._by_inode[state.inode]
        if isinstance(there, list):
            there.remove(path)
            if not there:
                del self._by_inode[state.inode]
        else:
            del self._by_inode[state.inode]

    def paths_of(self, key: FileKey | None) -> list[bytes]:
        """Give every path of a file, sorted."""
        there = None if key is None else self._by_inode.get(key.inode)
        if there is None:
            return []
        return sorted(path for path in (there if isinstance(there, list) else [there]) if self[path].key == key)

    def has_inode(self, inode: int) -> bool:
        """Tell whether any file has this number, on whichever device."""
        return inode in self._by_inode

    def below(self, folder: bytes) -> list[bytes]:
        """Give the paths at and below a folder; this walks through all of them."""
        return [path for path in self if is_below(path, folder)]


class ChangeIndex:
    """Changes, looked up by name, by file, and by folder and name where the text may be wrong.

    It holds ``most`` changes: past that the oldest half goes, ``forgotten`` counts them, and whoever needs them asks the store. Of
    what bears on other names than its own (:func:`bears_on_others`) a part stays: whoever asks for a name would not be told of it.
    Where one process opens one file for writing again and again, the first and the last openings are held: whether it can have made
    the bytes is told by these, and a file that is written each second would soon fill everything.
    """

    def __init__(self, most: int = 100_000) -> None:
        """Begin with nothing."""
        self.most, self.most_staying = most, most // 4
        self.forgotten = 0
        self.asked: set[bytes | int] | None = None
        self._rows: dict[int, Change] = {}
        self._next = 0
        self._clear()

    def _clear(self) -> None:
        self._by_path: dict[bytes, list[int]] = defaultdict(list)
        self._by_key: dict[FileKey, list[int]] = defaultdict(list)
        self._by_slot: dict[Slot, list[int]] = defaultdict(list)
        self._by_cookie: dict[str, list[int]] = defaultdict(list)
        self._lost_in: dict[FileKey | None, list[int]] = defaultdict(list)
        self._openings: dict[tuple[object, ...], list[int]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> Change:
        return self._rows[row]

    def has(self, change: Change) -> bool:
        """Tell whether the very same claim is there: two ways of reading may tell of one event."""
        return _claim(change) in self._claims_near(change)

    def unknown(self, changes: Iterable[Change]) -> list[Change]:
        """Leave out the claims that are there, and of the others those given before."""
        known: dict[bytes | FileKey | None, set[tuple[object, ...]]] = {}
        found = []
        for change in changes:
            place, claim = change.path or key_of_change(change), _claim(change)
            if place not in known:
                known[place] = self._claims_near(change)
            if claim not in known[place]:
                known[place].add(claim)
                found.append(change)
        return found

    def _claims_near(self, change: Change) -> set[tuple[object, ...]]:
        """Give the claims of a change's name; where it has none, those of its file."""
        key = key_of_change(change)
        rows = self._by_path.get(change.path, ()) if change.path is not None else self._by_key.get(key, ()) if key else ()
        return {_claim(self._rows[row]) for row in rows}

    def add(self, change: Change, *, is_odd: bool, back: bool = False) -> None:
        """Take one change in.

        Args:
            change: Of audit or osquery.
            is_odd: Its text may not be where it is: it is to be found by its folder's inode too.
            back: It was forgotten, and is put back: nothing is forgotten for it, for what comes with it belongs together.
        """
        if len(self._rows) >= self.most and not back:
            self._forget()
        self._insert(self._next, change, is_odd)
        self._next += 1

    def _insert(self, row: int, change: Change, is_odd: bool) -> None:
        self._rows[row] = change
        key, parent = key_of_change(change), parent_of_change(change)
        if change.action is Action.LOST:
            self._lost_in[key or parent].append(row)
            return
        if change.path is not None:
            self._by_path[change.path].append(row)
            if is_odd and parent is not None:
                self._by_slot[parent, change.path.rpartition(b"/")[2]].append(row)
        if key is not None and change.source is Source.AUDIT:
            self._by_key[key].append(row)
        if change.cookie is not None and change.source is Source.OSQUERY:
            self._by_cookie[change.cookie].append(row)
        if change.action is Action.OPENED and change.actor is not None and not is_odd:
            self._thin(self._openings[_opening_of(change)], row)

    def _thin(self, rows: list[int], row: int) -> None:
        """Take one more opening of a kind in, by its time; the one before the last ones goes, if it is not the first."""
        insort(rows, row, key=lambda one: self._rows[one].time_ns)
        if len(rows) > LAST_OPENINGS + 1:
            gone = rows.pop(1)
            change = self._rows.pop(gone)
            if change.path is not None:
                self._by_path[change.path].remove(gone)
            key = key_of_change(change)
            if key is not None and change.source is Source.AUDIT:
                self._by_key[key].remove(gone)

    def _forget(self) -> None:
        rows = list(self._rows.items())
        older, newer = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        staying = [(row, change) for row, change in older if bears_on_others(change.action, change.mode)]
        kept = [*staying[-self.most_staying :], *newer]
        odd = {row for rows in self._by_slot.values() for row in rows}
        self.forgotten += len(rows) - len(kept)
        self._rows = {}
        self._clear()
        for row, change in kept:
            self._insert(row, change, row in odd)

    def at_path(self, path: bytes) -> list[int]:
        """Give the rows whose text is this path."""
        if self.asked is not None:
            self.asked.add(path)
        return self._by_path.get(path, [])

    def at_slot(self, folder: FileKey, name: bytes) -> list[int]:
        """Give the rows of a name in a folder whose text may be wrong."""
        return self._by_slot.get((folder, name), [])

    def of_key(self, key: FileKey) -> list[int]:
        """Give what audit says of one file."""
        if self.asked is not None:
            self.asked.add(key.inode)
        return self._by_key.get(key, [])

    def lost_in(self, key: FileKey | None) -> list[int]:
        """Give the calls on a file or in a folder whose records are missing; of ``None`` those that say neither."""
        return self._lost_in.get(key, [])

    def partners(self, row: int) -> Iterator[int]:
        """Give the other halves of osquery's renames that a row is a half of."""
        cookie = self._rows[row].cookie
        if cookie is not None and self._rows[row].source is Source.OSQUERY:
            yield from (other for other in self._by_cookie.get(cookie, ()) if other != row)


def _opening_of(change: Change) -> tuple[object, ...]:
    actor = change.actor
    assert actor is not None
    who = (actor.pid, actor.ppid, actor.auid, actor.ses, actor.exe, actor.uid, actor.euid, actor.syscall)
    return (change.path, change.path_sure, change.dev, change.inode, change.parent_dev, change.parent_inode, *who)


def _claim(change: Change) -> tuple[object, ...]:
    who = None if change.actor is None else (change.actor.pid, change.actor.event)
    return (
        change.source, change.action, change.time_ns, change.serial, change.item, change.path, change.dev, change.inode,
        change.cookie, change.error, change.sha256, change.size, who,
    )  # fmt: skip
