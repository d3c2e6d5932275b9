"""The table of changes: sorted in their total order, by time, serial and item, with a number for each file. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise, starmap
from operator import attrgetter, eq

from fimkit.model.changes import Change, Source
from fimkit.model.states import FileKey, FileState

__all__ = ["ChangeTable", "FileNumbers", "in_order", "is_about_folder", "tabulate"]

_FORMAT_MASK, _FOLDER_BITS = 0o170000, 0o040000


@dataclass(frozen=True, kw_only=True)
class ChangeTable:
    """Changes in their total order, and the numbers that stand for (dev, inode); by row the file's number and its folder's."""

    changes: Sequence[Change]
    keys: Mapping[FileKey, int]
    row_keys: Sequence[int]
    row_parents: Sequence[int]

    def key_of(self, state: FileState | None) -> int:
        """Give the number of a state's file; -1 where no change concerns it."""
        if state is None:
            return -1
        return self.keys.get((state.dev, state.inode), -1)  # type: ignore[call-overload, no-any-return] # a key is such a pair


class FileNumbers(dict[tuple[int | None, int | None], int]):
    """Numbers for device and inode as records say them, given when they are first asked for; -1 where one of the two is missing.

    Args:
        devices: What ``stat`` calls the devices that records call otherwise.
    """

    def __init__(self, devices: Mapping[int, int]) -> None:
        """Begin with no number given."""
        super().__init__()
        self._devices = devices
        self.files: dict[FileKey, int] = {}

    def __missing__(self, pair: tuple[int | None, int | None]) -> int:
        """Give a pair its number."""
        dev, inode = pair
        if dev is None or inode is None:
            number = -1
        else:
            number = self.files.setdefault(FileKey(self._devices.get(dev, dev), inode), len(self.files))
        self[pair] = number
        return number


def is_about_folder(change: Change) -> bool:
    """Tell whether the inode that a change is about is a folder."""
    return ((change.mode or 0) & _FORMAT_MASK) == _FOLDER_BITS


_place_of = attrgetter("time_ns", "serial", "item")
_file_of = attrgetter("dev", "inode")
_parent_of = attrgetter("parent_dev", "parent_inode")


def _order_in_place(change: Change) -> tuple[object, ...]:
    return (
        change.source,
        change.action,
        change.path or b"",
        change.dev or 0,
        change.inode or 0,
        change.node or "",
        change.error or "",
    )


def _more_of(change: Change) -> tuple[object, ...]:
    """Give what else must be the same where the place in the order is, to be the same claim."""
    who = None if change.actor is None else (change.actor.event, change.actor.pid)
    return (change.cookie, change.sha256, change.size, who, change.last_ns if change.source is Source.AUDIT else None)


def _device_names(changes: Iterable[Change], paths: Mapping[bytes, FileState]) -> dict[int, int]:
    """Find devices that the kernel's records call otherwise than ``stat`` does (btrfs, overlayfs): same path, same inode."""
    known = {state.dev for state in paths.values()}
    names: dict[int, int] = {}
    for change in changes:
        if change.dev is None or change.dev in known or change.dev in names or change.path is None:
            continue
        state = paths.get(change.path)
        if state is not None and state.dev is not None and state.inode == change.inode:
            names[change.dev] = state.dev
    return names


def in_order(changes: Iterable[Change]) -> list[Change]:
    """Sort changes in their total order, and drop those that are told twice."""
    whole = list(changes)
    places = list(map(_place_of, whole))
    order = sorted(range(len(whole)), key=places.__getitem__)
    if not any(starmap(eq, pairwise(map(places.__getitem__, order)))):
        return [whole[number] for number in order]
    groups = ([whole[number] for number in group] for _, group in groupby(order, key=places.__getitem__))
    return list(chain.from_iterable(group if len(group) == 1 else _in_place(group) for group in groups))


def _in_place(changes: Sequence[Change]) -> list[Change]:
    """Sort changes of one time, serial and item, and drop those that are told twice."""
    orders = list(map(_order_in_place, changes))
    met: set[tuple[object, ...]] = set()
    kept = []
    for number in sorted(range(len(changes)), key=orders.__getitem__):
        claim = (*orders[number], *_more_of(changes[number]))
        if claim not in met:
            met.add(claim)
            kept.append(changes[number])
    return kept


def tabulate(changes: Iterable[Change], paths: Mapping[bytes, FileState]) -> ChangeTable:
    """Sort changes, drop those that are told twice, and number their files.

    Args:
        changes: Of one host, any order.
        paths: States by path, before and after in one: to tell what a device is called.

    Returns:
        The table, one row a change, by time, serial, item.
    """
    kept = in_order(changes)
    numbers = FileNumbers(_device_names(kept, paths))
    return ChangeTable(
        changes=kept,
        row_keys=[numbers[pair] for pair in map(_file_of, kept)],
        row_parents=[numbers[pair] for pair in map(_parent_of, kept)],
        keys=numbers.files,
    )
