"""All changes of a host, looked up by inode, by path and by osquery's word. Pure."""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, make_dataclass
from typing import Any

from fimkit.correlate.folders import FolderMove, resolve_paths
from fimkit.correlate.frames import tabulate
from fimkit.correlate.lives import SLACK_NS, Life, Origin, Step, life_at, lives_of
from fimkit.model.changes import Action, Change, Source, end_of
from fimkit.model.states import FileState
from fimkit.osquery.moves import pair_moves

__all__ = ["Timeline", "folders_above"]

_PASSIVE = (Action.DENIED, Action.LOST)

# A step is made open and then becomes one, as changes do: see fimkit.model.open_changes.
_OpenStep: Any = make_dataclass("_OpenStep", [one.name for one in fields(Step)], slots=True, eq=False, repr=False)


def folders_above(path: bytes) -> Iterator[bytes]:
    """Give every folder above a path, the nearest first.

    >>> list(folders_above(b"/a/b/c"))
    [b'/a/b', b'/a']
    """
    end = path.rfind(b"/")
    while end > 0:
        yield path[:end]
        end = path.rfind(b"/", 0, end)


class Timeline:
    """The changes in their total order; lives of inodes are cut when they are asked for.

    ``osquery`` has the rows of file_events by path, which say what; ``witnessed`` those of process_file_events, which say who.

    Args:
        changes: Of one host, any order.
        before: The earlier snapshot by path.
        after: The later one.
        since_ns: When the earlier one was taken: renames of folders before that are in its paths already.
    """

    def __init__(
        self,
        changes: Iterable[Change],
        before: Mapping[bytes, FileState],
        after: Mapping[bytes, FileState],
        since_ns: int = 0,
    ) -> None:
        """Sort, resolve and index."""
        self.table = tabulate(changes, {**before, **after})
        folders = resolve_paths(self.table, before, after)
        self.paths: Sequence[bytes | None] = folders.paths
        self._moves_to: dict[bytes, list[FolderMove]] = defaultdict(list)
        self._moves_from: dict[bytes, list[FolderMove]] = defaultdict(list)
        self._index_moves(folders.moves, since_ns)
        self.since_ns = since_ns
        self._keys: Sequence[int] = self.table.row_keys
        self._parents: Sequence[int] = self.table.row_parents
        self._rows_of_key: dict[int, list[int]] = defaultdict(list)
        self._known = self._index_known(before)
        self._lives: dict[int, list[Life]] = {}
        self._lives_by_row: dict[int, dict[int, Life]] = {}
        self._by_path: dict[bytes, list[int]] = defaultdict(list)
        self.denied: list[Step] = []
        self.lost: list[Step] = []
        self.left_out: list[int] = []
        self._lost_in: dict[int, list[int]] = defaultdict(list)
        self._lost_of: dict[int, list[int]] = defaultdict(list)
        self._snapshots = (before, after)
        self.osquery: dict[bytes, list[Change]] = defaultdict(list)
        self.witnessed: dict[bytes, list[Step]] = defaultdict(list)
        self._partners: dict[bytes, set[bytes]] = defaultdict(set)
        self._index_rows()
        self._index_partners()

    def _index_moves(self, moves: Sequence[FolderMove], since_ns: int) -> None:
        for move in moves:
            if self.table.changes[move.row].time_ns < since_ns:
                continue
            if move.new is not None:
                self._moves_to[move.new].append(move)
            if move.old is not None:
                self._moves_from[move.old].append(move)

    def _index_known(self, before: Mapping[bytes, FileState]) -> dict[int, list[FileState]]:
        known: dict[int, list[FileState]] = defaultdict(list)
        for state in before.values():
            if (key := self.table.key_of(state)) >= 0:
                known[key].append(state)
        return known

    def _index_rows(self) -> None:
        rows_of_key, by_path = self._rows_of_key, self._by_path
        for row, (change, path, key) in enumerate(zip(self.table.changes, self.paths, self._keys, strict=True)):
            if change.source is not Source.AUDIT:
                if change.path is not None and change.actor is None:
                    self.osquery[change.path].append(change)
                elif change.path is not None:
                    self.witnessed[change.path].append(Step(order=row, change=change, path=change.path))
                continue
            rows_of_key[key].append(row)
            if change.action is Action.DENIED:
                self.denied.append(self.step(row))
            elif change.action is Action.LOST and change.last_ns is not None:
                self.left_out.append(row)
            elif change.action is Action.LOST:
                self.lost.append(self.step(row))
                (self._lost_of[key] if key >= 0 else self._lost_in[self._parents[row]]).append(row)
            elif path is not None:
                by_path[path].append(row)

    def _index_partners(self) -> None:
        self._renames = {(move.old, move.new) for move in pair_moves(self.table.changes)}
        for old, new in self._renames:
            self._partners[old].add(new)
            self._partners[new].add(old)

    def step(self, row: int) -> Step:
        """Give the change at a row with its resolved path."""
        made = _OpenStep(row, self.table.changes[row], self.paths[row])
        made.__class__ = Step
        step: Step = made
        return step

    def at_path(self, path: bytes) -> list[Step]:
        """Give what audit recorded of this name, in order."""
        return [self.step(row) for row in self._by_path.get(path, ())]

    def audited_paths(self) -> Iterable[bytes]:
        """Give every path that a record names."""
        return self._by_path

    def lost_between(self, key: int, names: Iterable[bytes], low_ns: int | None, high_ns: int | None) -> list[Step]:
        """Give the calls of that time that may have been for a file, for all that is left of their records.

        Args:
            key: The file's number.
            names: Its paths: what is left may name the folder alone, or nothing.
            low_ns: From when on.
            high_ns: Until when.
        """
        folders = {name.rpartition(b"/")[0] or b"/" for name in names}
        parents = {self.table.key_of(states.get(folder)) for folder in folders for states in self._snapshots} - {-1}
        found = []
        for rows in (self._lost_of.get(key, ()), *(self._lost_in.get(one, ()) for one in (-1, *parents))):
            first = 0 if low_ns is None else bisect_left(rows, low_ns, key=self._time_of)
            last = len(rows) if high_ns is None else bisect_right(rows, high_ns, key=self._time_of)
            found += [self.step(row) for row in rows[first:last]]
        return found

    def leaves_out(self, life: Life | None, key: int, low_ns: int | None, high_ns: int | None) -> bool:
        """Tell whether changes of that time, which may have been a file's, are not here: there were too many to hold.

        Args:
            life: The file's life, where it is known: what is left out of its number before its birth or after its end is of others.
            key: The file's number.
            low_ns: From when on; a record that is stamped a little earlier counts too.
            high_ns: Until when.
        """
        low = -math.inf if low_ns is None else low_ns - SLACK_NS
        high = math.inf if high_ns is None else high_ns
        own_low, own_high = low, high
        if life is not None and life.origin is Origin.BORN:
            own_low = max(low, life.steps[0].change.time_ns - SLACK_NS)
        if life is not None and life.end_ns is not None:
            own_high = min(high, life.end_ns)
        spans = ((self._keys[row], self.table.changes[row]) for row in self.left_out)
        return any(
            (one == key and change.time_ns <= own_high and end_of(change) >= own_low)
            or (one < 0 and change.time_ns <= high and end_of(change) >= low)
            for one, change in spans
        )

    def _time_of(self, row: int) -> int:
        return self.table.changes[row].time_ns

    def lives(self, key: int) -> list[Life]:
        """Give the lives of a number that stands for (dev, inode)."""
        if key < 0:
            return []
        if key not in self._lives:
            changes = self.table.changes
            steps = [self.step(row) for row in self._rows_of_key.get(key, ()) if changes[row].action not in _PASSIVE]
            self._lives[key] = lives_of(key, steps, self._known.get(key, ()), self.since_ns)
        return self._lives[key]

    def life_of_step(self, step: Step) -> Life | None:
        """Find the life that a step belongs to."""
        key = self._keys[step.order]
        if key not in self._lives_by_row:
            self._lives_by_row[key] = {one.order: life for life in self.lives(key) for one in life.steps}
        return self._lives_by_row[key].get(step.order)

    def life_of(self, state: FileState) -> Life | None:
        """Find the life that a state of the later snapshot belongs to."""
        return life_at(self.lives(self.table.key_of(state)), state)

    def known_paths(self, key: int) -> list[bytes]:
        """Give the paths that an inode had in the earlier snapshot."""
        return [state.path for state in self._known.get(key, ())]

    def own_state(self, life: Life) -> FileState | None:
        """Give the state of this very file in the earlier snapshot; ``None`` for one that began later."""
        known = self._known.get(life.key, ())
        return known[0] if known and life.origin is Origin.BASELINE else None

    def folders_moved_to(self, path: bytes) -> list[Step]:
        """Find the recorded renames of folders that brought what is now at ``path``, the last one first."""
        found: list[Step] = []
        name, first = path, len(self.table.changes)
        while True:
            moves = [move for folder in folders_above(name) for move in self._moves_to.get(folder, ()) if move.row < first]
            if not moves:
                return found
            last = max(moves, key=lambda move: move.row)
            found.append(self.step(last.row))
            if last.old is None or last.new is None:
                return found
            name, first = last.old + name[len(last.new) :], self._event_rows(last.row)[0]

    def folder_moved_from(self, path: bytes) -> FolderMove | None:
        """Find the last recorded rename of a folder that took away what was at ``path``."""
        moves = [move for folder in folders_above(path) for move in self._moves_from.get(folder, ())]
        return max(moves, key=lambda move: move.row, default=None)

    def trail(self, path: bytes) -> list[tuple[int, bytes | None]]:
        """Follow what was at ``path`` through the renames of its folders: after which row it had which name."""
        found: list[tuple[int, bytes | None]] = [(-1, path)]
        while True:
            row, name = found[-1]
            if name is None:
                return found
            moves = [move for folder in folders_above(name) for move in self._moves_from.get(folder, ()) if move.row > row]
            if not moves:
                return found
            first = min(moves, key=lambda move: move.row)
            assert first.old is not None
            new = None if first.new is None else first.new + name[len(first.old) :]
            found.append((self._event_rows(first.row)[1], new))

    def _event_rows(self, row: int) -> tuple[int, int]:
        """Give the first and the last row of the event that a row is of: an exchange moves two folders at once."""
        changes = self.table.changes
        own, first, last = changes[row], row, row
        while first > 0 and (changes[first - 1].time_ns, changes[first - 1].serial) == (own.time_ns, own.serial):
            first -= 1
        while last + 1 < len(changes) and (changes[last + 1].time_ns, changes[last + 1].serial) == (own.time_ns, own.serial):
            last += 1
        return first, last

    def key_of_row(self, row: int) -> int:
        """Give the number of a change's file; -1 for none."""
        return self._keys[row]

    def states_at(self, path: bytes) -> tuple[FileState | None, FileState | None]:
        """Give the states of a path in the earlier and in the later snapshot."""
        before, after = self._snapshots
        return before.get(path), after.get(path)

    def osquery_partners(self, path: bytes) -> Iterable[bytes]:
        """Give the names that osquery joined with this one by a rename, in either direction, sorted."""
        return sorted(self._partners.get(path, ()))

    def osquery_move(self, old: bytes, new: bytes) -> bool:
        """Tell whether osquery paired these two names in one rename."""
        return (old, new) in self._renames
