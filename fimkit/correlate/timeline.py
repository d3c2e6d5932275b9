"""All changes of a host, looked up by inode, by path and by osquery's word. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from fimkit.correlate.folders import FolderMove, resolve_paths
from fimkit.correlate.frames import tabulate
from fimkit.correlate.lives import Life, Origin, Step, life_at, lives_of
from fimkit.model.changes import Action, Change
from fimkit.model.paths import is_below
from fimkit.model.states import FileState

__all__ = ["Timeline"]

_PASSIVE = (Action.DENIED, Action.LOST)


class Timeline:
    """The changes in their total order; lives of inodes are cut when they are asked for.

    Args:
        changes: Of one host, any order.
        before: The earlier snapshot by path.
        after: The later one.
    """

    def __init__(self, changes: Iterable[Change], before: Mapping[bytes, FileState], after: Mapping[bytes, FileState]) -> None:
        """Sort, resolve and index."""
        self.table = tabulate(changes, {**before, **after})
        folders = resolve_paths(self.table, before, after)
        self.paths: Sequence[bytes | None] = folders.paths
        self.moves: Sequence[FolderMove] = folders.moves
        frame = self.table.frame
        self._rows_of_key = frame.loc[frame["audit"]].groupby("key")["row"].indices if not frame.empty else {}
        self._keys: list[int] = frame["key"].tolist()
        self._audit_rows = frame.index[frame["audit"]]
        self._known = self._index_known(before)
        self._lives: dict[int, list[Life]] = {}
        self._by_path: dict[bytes, list[int]] = defaultdict(list)
        self.denied: list[Step] = []
        self.lost: list[Step] = []
        self.osquery: dict[bytes, list[Change]] = defaultdict(list)
        self._cookies: dict[str, list[bytes]] = defaultdict(list)
        self._index_rows()

    def _index_known(self, before: Mapping[bytes, FileState]) -> dict[int, list[FileState]]:
        known: dict[int, list[FileState]] = defaultdict(list)
        for state in before.values():
            if (key := self.table.key_of(state)) >= 0:
                known[key].append(state)
        return known

    def _index_rows(self) -> None:
        frame = self.table.frame
        for row, audit in zip(frame["row"], frame["audit"], strict=True):
            change = self.table.changes[row]
            path = self.paths[row]
            if not audit:
                if change.path is not None:
                    self.osquery[change.path].append(change)
                    if change.cookie:
                        self._cookies[change.cookie].append(change.path)
            elif change.action is Action.DENIED:
                self.denied.append(self.step(row))
            elif change.action is Action.LOST:
                self.lost.append(self.step(row))
            elif path is not None:
                self._by_path[path].append(row)

    def step(self, row: int) -> Step:
        """Give the change at a row with its resolved path."""
        return Step(order=row, change=self.table.changes[row], path=self.paths[row])

    def at_path(self, path: bytes) -> list[Step]:
        """Give what audit recorded of this name, in order."""
        return [self.step(row) for row in self._by_path.get(path, ())]

    def audited_paths(self) -> Iterable[bytes]:
        """Give every path that a record names."""
        return self._by_path

    def lives(self, key: int) -> list[Life]:
        """Give the lives of a number that stands for (dev, inode)."""
        if key < 0:
            return []
        if key not in self._lives:
            positions = self._rows_of_key.get(key, ())
            steps = (self.step(int(self._audit_rows[position])) for position in positions)
            self._lives[key] = lives_of(
                key, (step for step in steps if step.change.action not in _PASSIVE), self._known.get(key, ())
            )
        return self._lives[key]

    def life_of_step(self, step: Step) -> Life | None:
        """Find the life that a step belongs to."""
        for life in self.lives(self._keys[step.order]):
            if any(other.order == step.order for other in life.steps):
                return life
        return None

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

    def folder_moved_to(self, path: bytes) -> Step | None:
        """Find the last recorded rename of a folder that brought what is now at ``path``."""
        rows = [move.row for move in self.moves if move.new is not None and move.new != path and is_below(path, move.new)]
        return self.step(rows[-1]) if rows else None

    def folder_moved_from(self, path: bytes) -> FolderMove | None:
        """Find the last recorded rename of a folder that took away what was at ``path``."""
        moves = [move for move in self.moves if move.old is not None and move.old != path and is_below(path, move.old)]
        return moves[-1] if moves else None

    def key_of_row(self, row: int) -> int:
        """Give the number of a change's file; -1 for none."""
        return self._keys[row]

    def osquery_names(self, cookie: str) -> list[bytes]:
        """Give the names that osquery joined by one rename."""
        return self._cookies.get(cookie, [])

    def osquery_move(self, old: bytes, new: bytes) -> bool:
        """Tell whether osquery paired these two names in one rename."""
        cookies = {change.cookie for change in self.osquery.get(old, ()) if change.action is Action.MOVED_FROM and change.cookie}
        return any(change.cookie in cookies for change in self.osquery.get(new, ()) if change.action is Action.MOVED_TO)
