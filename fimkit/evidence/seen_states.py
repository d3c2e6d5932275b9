"""A scan's states beside the baseline's: only what differs is kept, of the rest a byte each."""

import itertools
from collections.abc import Collection, ItemsView, Iterable, Iterator, MutableMapping, ValuesView
from typing import TypeVar

from fimkit.evidence.known_states import KnownStates
from fimkit.model.state_index import ComparedStates
from fimkit.model.states import FileState, FileType

__all__ = ["Difference", "SeenStates"]

Difference = tuple[bytes, FileState | None, FileState | None]
"""A path, its earlier state and its later one."""

_BATCH = 256
_ABSENT, _SAME, _OTHER = 0, 1, 2
_T = TypeVar("_T")


class SeenStates(ComparedStates, MutableMapping[bytes, FileState]):
    """The states of one scan by path; equal to the dictionary of them, as long as the baseline that they stand beside."""

    def __init__(self, known: KnownStates, states: Iterable[FileState] = ()) -> None:
        """Take the baseline, and a scan to its end.

        Args:
            known: The baseline.
            states: Each path once, in any order; nearly sorted is fastest.
        """
        self._known = known
        self._marks = bytearray(len(known))
        self._own: dict[bytes, FileState] = {}
        rest = iter(states)
        while batch := list(itertools.islice(rest, _BATCH)):
            others: list[FileState] = []
            while batch:
                batch = known.piece_of(batch[0].path).mark_same(batch, self._marks, others)
            for state in others:
                self[state.path] = state

    @property
    def known(self) -> KnownStates:
        """The baseline."""
        return self._known

    # One path.

    def __getitem__(self, path: bytes) -> FileState:
        own = self._own.get(path)
        if own is not None:
            return own
        if path not in self:
            raise KeyError(path)
        return self._known[path]

    def __setitem__(self, path: bytes, state: FileState) -> None:
        place = self._known.place_of(path)
        if place is not None:
            same = self._known[path] == state
            self._marks[place] = _SAME if same else _OTHER
            if same:
                self._own.pop(path, None)
                return
        self._own[path] = state

    def __delitem__(self, path: bytes) -> None:
        if path not in self:
            raise KeyError(path)
        self._own.pop(path, None)
        place = self._known.place_of(path)
        if place is not None:
            self._marks[place] = _ABSENT

    def __contains__(self, path: object) -> bool:
        if path in self._own:
            return True
        place = self._known.place_of(path) if isinstance(path, bytes) else None
        return place is not None and self._marks[place] == _SAME

    # All of them.

    def __len__(self) -> int:
        return self._marks.count(_SAME) + len(self._own)

    def __iter__(self) -> Iterator[bytes]:
        return itertools.chain(self._same(self._known), self._own)

    def _same(self, known: Iterable[_T]) -> Iterator[_T]:
        return (one for one, mark in zip(known, self._marks, strict=True) if mark == _SAME)

    def values(self) -> ValuesView[FileState]:
        """Give the states: those of the baseline, each read when its turn comes, and then the others."""
        return _Values(self)

    def items(self) -> ItemsView[bytes, FileState]:
        """Give paths and states, in the same order."""
        return _Items(self)

    def loaded(self) -> tuple[dict[bytes, FileState], dict[bytes, FileState]]:
        """Load the baseline and these states whole; a state that is the same is there once."""
        before = dict(self._known.items())
        after = {path: state for (path, state), mark in zip(before.items(), self._marks, strict=True) if mark == _SAME}
        return before, after | self._own

    # What differs.

    def own(self) -> Collection[FileState]:
        """Give the states that are not the baseline's."""
        return self._own.values()

    def gone(self) -> Iterator[FileState]:
        """Give the baseline's states whose paths were not seen, sorted by path."""
        if self._marks.count(_ABSENT):
            places = (place for place, mark in enumerate(self._marks) if mark == _ABSENT)
            yield from self._known.states_at(places)

    def differences(self) -> Iterator[Difference]:
        """Give every path whose states are not equal, with both of them."""
        for state in self.gone():
            yield state.path, state, None
        for path, state in sorted(self._own.items()):  # the baseline is read piece by piece
            yield path, self._known.get(path), state

    # Some of them.

    def _and_same(self, own: Iterable[FileState], known: Iterable[FileState]) -> Iterator[FileState]:
        yield from own
        gone = {state.path for state in self.gone()}
        yield from (state for state in known if state.path not in self._own and state.path not in gone)

    def folders(self) -> Iterator[FileState]:
        """Give the states of folders."""
        own = [state for state in self._own.values() if state.type is FileType.DIRECTORY]
        return self._and_same(own, self._known.folders())

    def devices(self) -> set[int | None]:
        """Give the devices that the states are on; one that is gone with all of its paths may be among them."""
        return self._known.devices() | {state.dev for state in self._own.values()}

    def with_inodes(self, inodes: Collection[int]) -> Iterator[FileState]:
        """Give the states whose inode is one of some, on whichever device."""
        own = [state for state in self._own.values() if state.inode in inodes]
        return self._and_same(own, self._known.with_inodes(inodes))

    def file_keys(self) -> Iterator[tuple[int, int]]:
        """Give device and inode of every state that has both."""
        return (key for state in self.values() if (key := state.key) is not None)

    def troubled(self) -> Iterator[FileState]:
        """Give the states with a problem."""
        return self._and_same([state for state in self._own.values() if state.problem is not None], self._known.troubled())


class _Values(ValuesView[FileState]):
    def __init__(self, states: SeenStates) -> None:
        self._mapping = states
        self._states = states

    def __iter__(self) -> Iterator[FileState]:
        return itertools.chain(self._states._same(self._states.known.states()), self._states.own())


class _Items(ItemsView[bytes, FileState]):
    def __init__(self, states: SeenStates) -> None:
        self._mapping = states
        self._states = states

    def __iter__(self) -> Iterator[tuple[bytes, FileState]]:
        return ((state.path, state) for state in self._states.values())
