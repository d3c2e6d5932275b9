"""Which of a host's changes bear on what there is to find: those alone, judged, give what all of them would. Pure.

Most of what a busy host records is about files that are in the end as they were: no finding comes of it. What can matter is: the
records of a differing path's name and of the files that had it; denied tries; what left a name that neither snapshot has; what
lost its names; folders that came or were renamed, which say where names were; and what osquery says of those names, of the names
that it joins with them, and of the folders above. A file is followed by its number, so a chain of renames is one step.

The way from a name's text to its place is the one of :mod:`fimkit.correlate.folders`. Where a folder was at more places than one,
or the text is of another, a name counts for all places that may be meant: too much is taken then, and never too little.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fimkit.correlate.columns import Bools, Columns, Mark, Numbers, look_up, make_columns
from fimkit.correlate.folders import trace_folders
from fimkit.correlate.frames import ChangeTable, FileNumbers, in_order
from fimkit.correlate.ledger import ChangeLedger
from fimkit.correlate.reasons import RecordSpan
from fimkit.correlate.timeline import folders_above
from fimkit.model.changes import Change, Source, StateDiff
from fimkit.model.state_index import States, devices_of, folders_of, states_with
from fimkit.model.states import FileState

__all__ = ["Selection", "select_changes"]

_SOLE_UNKNOWN, _NO_PLACE = -2, -3


class Selection(NamedTuple):
    """What to correlate, and between which times there are audit records at all."""

    changes: list[Change]
    before: dict[bytes, FileState]
    after: dict[bytes, FileState]
    span: RecordSpan


def select_changes(
    ledger: ChangeLedger,
    *,
    before: States,
    after: States,
    diffs: Sequence[StateDiff],
    since_ns: int,
    watched: Callable[[bytes], bool],
) -> Selection:
    """Take what bears on the findings of a host.

    Args:
        ledger: All its changes, any order.
        before: The earlier snapshot by path.
        after: The later one.
        diffs: The differences between the two.
        since_ns: When the earlier one was taken.
        watched: Tells whether a path that is in neither snapshot, and so no folder, belongs to a watch.

    Returns:
        Changes in the ledger's order, and the states that they or the differences are about, with all folders.
    """
    return _Selector(ledger, before, after).select(diffs, since_ns, watched)


class _Selector:
    """One selection. ``core`` are the names that findings may be about, ``files`` those whose records all count."""

    def __init__(self, ledger: ChangeLedger, before: States, after: States) -> None:
        self.ledger, self.before, self.after = ledger, before, after
        self.devices = tuple(map(devices_of, (before, after)))
        self.columns = make_columns(ledger, before, after, set().union(*self.devices))
        self.folders = tuple(
            {state.path: state for state in folders_of(states)} for states in (before, after)
        )
        self.osquery = self.columns.osquery
        told = self.columns.rows_with(Mark.FOLDER_ARRIVAL)
        self.told = told[self.columns.key[told] >= 0]
        self.names = _Names(ledger, self.columns, self._places())
        self.core = self.names.none()
        # one more than there are: what has no number is no one's
        self.files: Bools = np.zeros(max(len(ledger.tables.keys.values), len(self.columns.numbers)) + 1, dtype=bool)

    def _places(self) -> dict[int, set[bytes]]:
        """Find every path that each folder had, by its number; of the folders that rows name."""
        columns = self.columns
        changes = in_order(self.ledger.changes_at(self.told.tolist()))
        numbers = FileNumbers(columns.devices)
        row_keys = [numbers[change.dev, change.inode] for change in changes]
        row_parents = [numbers[change.parent_dev, change.parent_inode] for change in changes]
        for states in self.folders:
            for state in states.values():
                numbers[state.dev, state.inode]  # gives it one
        table = ChangeTable(changes=changes, keys=numbers.files, row_keys=row_keys, row_parents=row_parents)
        found: dict[int, set[bytes]] = defaultdict(set)
        files = list(numbers.files)
        for key, _, path in trace_folders(table, *self.folders).places:
            if (own := columns.numbers.get(files[key], -1)) >= 0:
                found[own].add(path)
        return found

    def select(self, diffs: Sequence[StateDiff], since_ns: int, watched: Callable[[bytes], bool]) -> Selection:
        columns, names = self.columns, self.names
        for diff in diffs:
            self._take(diff.path, (diff.before, diff.after))
        self.core |= self._passing(since_ns, watched)
        odd = columns.at(columns.rows_with(Mark.DENIED))
        odd[list(self.ledger.whole)] = True
        self._take_tries(odd)
        audit = columns.audit()
        at_core = names.rows_at(self.core) & audit
        self.files[columns.key[at_core]] = True
        self.files[-1] = False
        rows = look_up(self.files, columns.key) & audit
        rows |= at_core
        rows |= odd
        for others in (columns.rows_with(Mark.LOST), self.told, columns.deciding):
            rows[others] = True
        near = self._near_osquery()
        rows[self._osquery_rows(near)] = True
        return self._selection(rows, near, [diff.path for diff in diffs])

    def _take(self, path: bytes, states: Iterable[FileState | None]) -> None:
        if (number := self.names.numbers.get(path, -1)) >= 0:
            self.core[number] = True
        for state in states:
            self.files[self.columns.number_of(state)] = True

    def _passing(self, since_ns: int, watched: Callable[[bytes], bool]) -> Bools:
        """Find the watched names that something left, and that neither snapshot has."""
        columns, names = self.columns, self.names
        rows = columns.rows_with(Mark.DEPARTURE)
        left = names.of_rows(columns.at(rows[columns.rows["time_ns"][rows] >= since_ns]))
        found = names.none()
        for number in np.flatnonzero(left).tolist():
            path = names.texts[number]
            found[number] = path not in self.before and path not in self.after and watched(path)
        return found

    def _take_tries(self, tries: Bools) -> None:
        """Take the names that were tried, and those that the files have: a try is told of the file where the name is a link's."""
        columns = self.columns
        for number in np.flatnonzero(self.names.of_rows(tries)).tolist():
            path = self.names.texts[number]
            self._take(path, (self.before.get(path), self.after.get(path)))
        wanted = set(np.unique(columns.key[tries]).tolist()) - {-1}
        if wanted:
            keys = list(columns.numbers)
            inodes = {keys[number][1] for number in wanted}
            for state in states_with(self.before, inodes):
                if columns.number_of(state) in wanted:
                    self._take(state.path, (state, self.after.get(state.path)))

    def _near_osquery(self) -> Bools:
        """Find the names that osquery joined by renames with those there is something to find about."""
        halves = self.osquery.cookie != -1
        path, cookie = self.osquery.path[halves], self.osquery.cookie[halves]
        near = self.core.copy()
        near[-1] = False
        while True:
            cookies = self._no_cookies()
            cookies[cookie[near[path]]] = True
            more = near.copy()
            more[path[cookies[cookie]]] = True
            more[-1] = False
            if (more == near).all():
                return near
            near = more

    def _osquery_rows(self, near: Bools) -> npt.NDArray[np.intp]:
        """Take osquery's rows of some names; with a row that names a process those of the folders above too."""
        osquery, names = self.osquery, self.names
        if (osquery.actor != -1).any():
            folders = {folder for number in np.flatnonzero(near).tolist() for folder in folders_above(names.texts[number])}
            near[[names.numbers[folder] for folder in folders if folder in names.numbers]] = True
        return osquery.rows[look_up(near, osquery.path)]

    def _no_cookies(self) -> Bools:
        """Give a mask over the cookies with none in it; the last two stand for: derived of the row itself, and none."""
        return np.zeros(len(self.ledger.tables.cookies.values) + 2, dtype=bool)

    def _selection(self, rows: Bools, near: Bools, paths: Iterable[bytes]) -> Selection:
        columns, names = self.columns, self.names
        wanted = {*paths, *(names.texts[number] for number in np.flatnonzero(names.of_rows(rows) | near).tolist())}
        files = self.files.copy()
        files[columns.key[rows]] = True
        span = columns.span
        whole = [change.time_ns for change in self.ledger.whole.values() if change.source is Source.AUDIT]
        if whole and span is not None:
            span = min(span[0], *whole), max(span[1], *whole)
        inodes = columns.inodes_of(files)
        before, after = (
            self._states(states, folders, devices, wanted, inodes)
            for states, folders, devices in zip((self.before, self.after), self.folders, self.devices, strict=True)
        )
        return Selection(self.ledger.changes_at(np.flatnonzero(rows).tolist()), before, after, span)

    def _states(
        self,
        states: States,
        folders: dict[bytes, FileState],
        devices: Collection[int | None],
        wanted: Collection[bytes],
        inodes: Collection[int],
    ) -> dict[bytes, FileState]:
        """Take the folders, the names, the files, and one of each device: what is on none is a device by another name."""
        found = {state.path: state for state in states_with(states, inodes)} | folders
        found |= {path: states[path] for path in wanted if path in states}
        missing = {*devices} - {state.dev for state in found.values()}
        for path, state in states.items() if missing else ():
            if not missing:
                break
            if state.dev in missing:
                found[path] = state
                missing.discard(state.dev)
        return found


class _Names:
    """The names that rows have, by number: their texts, and where those may be wrong, the places that may be meant.

    Masks over names are one longer than there are names: a row without a name has the number -1.
    """

    def __init__(self, ledger: ChangeLedger, columns: Columns, places: Mapping[int, Collection[bytes]]) -> None:
        tables = ledger.tables
        self._path = columns.path
        self.texts, self.numbers = tables.paths.values, tables.paths.numbers
        sole: Numbers = np.full(len(columns.numbers) + len(tables.keys.values) + 1, _NO_PLACE, dtype=np.int32)
        for key, paths in places.items():
            sole[key] = tables.folders.numbers.get(next(iter(paths)), _SOLE_UNKNOWN) if len(paths) == 1 else _SOLE_UNKNOWN
        folder_of = np.append(np.array(tables.folder_of, dtype=np.int32), np.int32(-1))
        found, parents = [], []
        for part in columns.parts():
            parent, path = columns.parent[part], columns.path[part]
            place = sole[parent]
            known = place != _NO_PLACE
            if not known.any():
                continue
            own = np.flatnonzero(known & (place != folder_of[path]) & (path >= 0) & columns.audit(part))
            found.append(own + part.start)
            parents.append(parent[own])
        odd, parent = (np.concatenate([np.zeros(0, dtype=np.intp), *each]) for each in (found, parents))
        pairs, which = np.unique(parent.astype(np.int64) << 32 | columns.path[odd], return_inverse=True)
        self._rows, self._paths = self._others(pairs, which, odd, places)

    def _others(
        self,
        pairs: npt.NDArray[np.int64],
        which: npt.NDArray[np.intp],
        rows: npt.NDArray[np.intp],
        places: Mapping[int, Collection[bytes]],
    ) -> tuple[npt.NDArray[np.intp], Numbers]:
        """Give the further names of odd rows: row and name, one after the other."""
        if not len(pairs):
            return rows, np.zeros(0, dtype=np.int32)
        self.texts, self.numbers = list(self.texts), dict(self.numbers)
        of_pair: list[tuple[int, int]] = []
        for place, pair in enumerate(pairs.tolist()):
            of_pair += ((place, number) for number in self._numbered(self.texts[pair & 0xFFFFFFFF], places[pair >> 32]))
        order = np.argsort(which, kind="stable")
        starts = np.searchsorted(which[order], np.arange(len(pairs) + 1))
        found_rows, found_names = [], []
        for place, number in of_pair:
            own = rows[order[starts[place] : starts[place + 1]]]
            found_rows.append(own)
            found_names.append(np.full(len(own), number, dtype=np.int32))
        return np.concatenate(found_rows), np.concatenate(found_names)

    def _numbered(self, text: bytes, places: Iterable[bytes]) -> Iterator[int]:
        name = text.rpartition(b"/")[2]
        for folder in places:
            path = folder.rstrip(b"/") + b"/" + name
            number = self.numbers.setdefault(path, len(self.texts))
            if number == len(self.texts):
                self.texts.append(path)
            yield number

    def none(self) -> Bools:
        """Give a mask over the names with none in it."""
        return np.zeros(len(self.texts) + 1, dtype=bool)

    def rows_at(self, names: Bools) -> Bools:
        """Tell which rows are, or may be, about one of some names."""
        found = look_up(names, self._path)
        found[self._rows[names[self._paths]]] = True
        return found

    def of_rows(self, rows: Bools) -> Bools:
        """Tell which names some rows have, or may have."""
        found = self.none()
        found[self._path[rows]] = True
        found[self._paths[rows[self._rows]]] = True
        found[-1] = False
        return found
