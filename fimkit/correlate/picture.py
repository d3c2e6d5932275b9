"""What is known of a host at one moment, kept so that single paths can be looked up: two snapshots and the changes. Pure.

A million paths must be cheap: a snapshot's second index is one dictionary from inode numbers, and lists only where files share one.
"""

import stat
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from fimkit.model.changes import NAMINGS, Action, Change, Source, end_of, left_out, place_of
from fimkit.model.paths import is_below
from fimkit.model.states import FileKey, FileState

__all__ = [
    "LAST_OPENINGS", "ChangeIndex", "Slot", "Snapshot", "is_coming_folder", "key_of_change", "opening_of", "parent_of_change",
]  # fmt: skip

_COMINGS = frozenset({Action.BORN, Action.MOVED_TO, Action.MOVED_FROM})

Slot = tuple[FileKey, bytes]
"""A name in a folder that is known by its inode."""


LAST_OPENINGS = 3
"""Of the openings of one file by one process so many are kept, and the first one; one stands for those between."""


def key_of_change(change: Change) -> FileKey | None:
    """Give the file that a change is about, where the record says it."""
    return None if change.dev is None or change.inode is None else FileKey(change.dev, change.inode)


def parent_of_change(change: Change) -> FileKey | None:
    """Give the folder that the changed name is in, where the record says it."""
    return None if change.parent_dev is None or change.parent_inode is None else FileKey(change.parent_dev, change.parent_inode)


def is_coming_folder(action: Action, mode: int | None) -> bool:
    """Tell whether a folder came or went: that bears on all names in it.

    Args:
        action: What was done.
        mode: Of the file, with the type bits.
    """
    return action in _COMINGS and mode is not None and stat.S_ISDIR(mode)


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

    It holds ``most`` changes: past that the oldest half goes, ``forgotten`` counts them, and whoever needs them asks the store: so
    only what is stored goes (:meth:`note_stored`). What is put back from there is held beside them until more is forgotten, and
    drives nothing away. Of what bears on other names than its own, calls without their files' names and folders that came or went,
    a part stays: whoever asks for a name would not be told of it. Where calls go, what :func:`fimkit.model.changes.left_out` gives
    stands for them.

    Where one process opens one file for writing again and again, the first and the last openings are held, and one that stands for
    all between, with the times of the first and the last of those: whether it can have made the bytes is told by these, and a file
    that is written each second would soon fill everything.
    """

    def __init__(self, most: int = 100_000) -> None:
        """Begin with nothing."""
        self.most, self.most_staying = most, most // 8
        self.forgotten = 0
        self.asked: set[bytes | int] | None = None
        self._rows: dict[int, Change] = {}
        self._back: set[int] = set()
        self._next = self._stored = 0
        self._try_at = most
        self._gone: tuple[int, int] | None = None
        self._clear()

    def _clear(self) -> None:
        self._by_path: dict[bytes, list[int]] = defaultdict(list)
        self._by_key: dict[FileKey, list[int]] = defaultdict(list)
        self._by_slot: dict[Slot, list[int]] = defaultdict(list)
        self._by_cookie: dict[str, list[int]] = defaultdict(list)
        self._lost_in: dict[FileKey | None, list[int]] = defaultdict(list)
        self._openings: dict[tuple[object, ...], list[int]] = defaultdict(list)
        self._partings: dict[FileKey, list[int]] = defaultdict(list)

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
            back: It was forgotten, and is put back until more is.
        """
        if not back and len(self._rows) - len(self._back) >= self._try_at:
            self._forget()
        if back:
            self._back.add(self._next)
        self._insert(self._next, change, is_odd)
        self._next += 1

    def note_stored(self) -> None:
        """Take note that all that was taken in is stored now, and may be forgotten."""
        self._stored, self._try_at = self._next, self.most

    def note_gone(self, first_ns: int, last_ns: int) -> None:
        """Take note that changes of a time are nowhere."""
        low, high = self._gone or (first_ns, last_ns)
        self._gone = min(low, first_ns), max(high, last_ns)
        for row in [row for row in self._lost_in.get(None, ()) if self._rows[row].last_ns is not None]:
            self._lost_in[None].remove(row)
            del self._rows[row]
        self._insert(self._next, left_out(*self._gone), is_odd=False)
        self._next += 1

    def drop_back(self) -> bool:
        """Forget what was put back, where that has become more than all else; tells whether it has."""
        is_much = len(self._back) > self.most
        if is_much:
            self._rebuild([(row, change) for row, change in self._rows.items() if row not in self._back])
        return is_much

    def _insert(self, row: int, change: Change, is_odd: bool) -> None:
        self._rows[row] = change
        key, parent = key_of_change(change), parent_of_change(change)
        if change.action is Action.LOST:
            self._lost_in[key or parent].append(row)
            return
        if change.path is not None:
            self._put(self._by_path[change.path], row)
            if is_odd and parent is not None:
                self._put(self._by_slot[parent, change.path.rpartition(b"/")[2]], row)
        if key is not None and change.source is Source.AUDIT:
            self._put(self._by_key[key], row)
            if change.action in NAMINGS:
                insort(self._partings[key], change.time_ns)
        if change.cookie is not None and change.source is Source.OSQUERY:
            self._by_cookie[change.cookie].append(row)
        if change.action is Action.OPENED and change.actor is not None and not is_odd and row not in self._back:
            self._thin(self._openings[opening_of(change)], row)

    def _put(self, rows: list[int], row: int) -> None:
        """Put a row behind the others; one that was forgotten, before those that are later."""
        if row in self._back:
            insort(rows, row, key=lambda one: place_of(self._rows[one]))
        else:
            rows.append(row)

    def _thin(self, rows: list[int], row: int) -> None:
        """Take one more opening of a kind in, by its time; of those between the first and the last ones two become one."""
        insort(rows, row, key=lambda one: self._rows[one].time_ns)
        place = len(rows) - LAST_OPENINGS - 1
        if place < 2:
            return
        older, newer = rows[place - 1], rows[place]
        was, change = self._rows[older], self._rows[newer]
        key = key_of_change(change)
        if key is not None and self._is_parted(key, was.time_ns, change.time_ns):
            return
        gone, stays = sorted((older, newer))  # the one that was taken in last: it is stored when both are
        del self._rows[gone]
        self._rows[stays] = replace(was, last_ns=max(end_of(was), end_of(change)))
        rows[place - 1 : place + 1] = [stays]
        if change.path is not None:
            self._by_path[change.path].remove(gone)
        if key is not None and change.source is Source.AUDIT:
            self._by_key[key].remove(gone)

    def _is_parted(self, key: FileKey, first_ns: int, last_ns: int) -> bool:
        """Tell whether a file got or lost a name between two times: the number may be another file's since."""
        times = self._partings.get(key, [])
        place = bisect_left(times, first_ns)
        return place < len(times) and times[place] <= last_ns

    def _forget(self) -> None:
        rows = [(row, change) for row, change in self._rows.items() if row not in self._back]
        half = len(rows) // 2
        older = [(row, change) for row, change in rows[:half] if row < self._stored]
        lost = [(row, change) for row, change in older if change.action is Action.LOST]
        folders = [(row, change) for row, change in older if is_coming_folder(change.action, change.mode)]
        staying = {row for row, _ in (*lost[-self.most_staying :], *folders[-self.most_staying :])}
        dropped = {row for row, _ in older if row not in staying}
        least = max(1, half // 8)
        if len(dropped) < least:  # not stored yet
            self._try_at = len(rows) + least
            return
        if gone := [change for row, change in lost if row not in staying]:
            self.note_gone(min(change.time_ns for change in gone), max(map(end_of, gone)))
        self.forgotten += len(dropped)
        self._try_at = self.most
        self._rebuild([(row, change) for row, change in self._rows.items() if row not in dropped and row not in self._back])

    def _rebuild(self, kept: list[tuple[int, Change]]) -> None:
        odd = {row for rows in self._by_slot.values() for row in rows}
        self._rows, self._back = {}, set()
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


def opening_of(change: Change) -> tuple[object, ...]:
    """Name the file, the way to it and the process of an opening that is somebody's."""
    actor = change.actor
    assert actor is not None
    who = (actor.pid, actor.ppid, actor.auid, actor.ses, actor.exe, actor.uid, actor.euid, actor.syscall)
    return (change.path, change.path_sure, change.dev, change.inode, change.parent_dev, change.parent_inode, *who)


def _claim(change: Change) -> tuple[object, ...]:
    who = None if change.actor is None else (change.actor.pid, change.actor.event)
    return (
        change.source, change.action, change.time_ns, change.serial, change.item, change.path, change.dev, change.inode,
        change.cookie, change.error, change.sha256, change.size, who, change.last_ns if change.source is Source.AUDIT else None,
    )  # fmt: skip
