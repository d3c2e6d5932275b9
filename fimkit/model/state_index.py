"""States by path that need not all be in memory, and the questions about all of them that something else can answer. Pure.

A dictionary of a million states takes most of a gigabyte. What looks states up by path takes any mapping; what would go through all
of them asks here, and a mapping that knows better is not gone through.
"""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import compress, repeat
from operator import is_, itemgetter

from fimkit.model.states import FileState, FileType

__all__ = [
    "ComparedStates", "IndexedStates", "States", "devices_of", "file_keys_of", "folders_of", "only_after", "only_before",
    "states_with", "troubled_of",
]  # fmt: skip

States = Mapping[bytes, FileState]

_type_of, _inode_of, _dev_of = (itemgetter(FileState._fields.index(name)) for name in ("type", "inode", "dev"))


class IndexedStates(Mapping[bytes, FileState]):
    """States by path, kept elsewhere."""

    @abstractmethod
    def folders(self) -> Iterable[FileState]:
        """Give the states of folders."""

    @abstractmethod
    def devices(self) -> set[int | None]:
        """Give the devices that the states are on."""

    @abstractmethod
    def with_inodes(self, inodes: Collection[int]) -> Iterable[FileState]:
        """Give the states whose inode is one of some, on whichever device."""

    @abstractmethod
    def file_keys(self) -> Iterable[tuple[int, int]]:
        """Give device and inode of every state that has both, as often as there are states."""

    @abstractmethod
    def troubled(self) -> Iterable[FileState]:
        """Give the states with a problem."""


class ComparedStates(IndexedStates):
    """Later states that are kept by what differs from earlier ones."""

    @property
    @abstractmethod
    def known(self) -> States:
        """The earlier ones."""

    @abstractmethod
    def own(self) -> Collection[FileState]:
        """Give the states that are not as the earlier ones are."""

    @abstractmethod
    def gone(self) -> Iterator[FileState]:
        """Give the earlier states whose paths the later ones do not have."""


def folders_of(states: States) -> Iterable[FileState]:
    """Give the states of folders.

    >>> [state.path for state in folders_of({b"/a": FileState(b"/a", FileType.DIRECTORY), b"/b": FileState(b"/b", FileType.FILE)})]
    [b'/a']
    """
    if isinstance(states, IndexedStates):
        return states.folders()
    return compress(states.values(), map(is_, map(_type_of, states.values()), repeat(FileType.DIRECTORY)))


def devices_of(states: States) -> set[int | None]:
    """Give the devices that states are on."""
    return states.devices() if isinstance(states, IndexedStates) else set(map(_dev_of, states.values()))


def states_with(states: States, inodes: Collection[int]) -> Iterable[FileState]:
    """Give the states whose inode is one of some: no line of Python is run for the millions of others."""
    if isinstance(states, IndexedStates):
        return states.with_inodes(inodes)
    return compress(states.values(), map(inodes.__contains__, map(_inode_of, states.values())))


def file_keys_of(*snapshots: States) -> Iterator[tuple[int, int]]:
    """Give device and inode of every state of some snapshots that has both; of what is in two of them once or twice."""
    for states in snapshots:
        if isinstance(states, ComparedStates) and any(states.known is other for other in snapshots):
            yield from (key for state in states.own() if (key := state.key) is not None)
        elif isinstance(states, IndexedStates):
            yield from states.file_keys()
        else:
            yield from (key for state in states.values() if (key := state.key) is not None)


def troubled_of(states: States) -> Iterable[FileState]:
    """Give the states with a problem."""
    if isinstance(states, IndexedStates):
        return states.troubled()
    return (state for state in states.values() if state.problem is not None)


def only_before(before: States, after: States) -> Iterable[FileState]:
    """Give the earlier states whose paths the later ones do not have."""
    if isinstance(after, ComparedStates) and after.known is before:
        return after.gone()
    return (state for path, state in before.items() if path not in after)


def only_after(before: States, after: States) -> Iterable[FileState]:
    """Give the later states whose paths the earlier ones do not have."""
    states = after.own() if isinstance(after, ComparedStates) and after.known is before else after.values()
    return (state for state in states if state.path not in before)
