"""Tells which changes can concern the watched paths, so that the others need not be kept."""

from collections.abc import Mapping

from fimkit.model.changes import Change
from fimkit.model.paths import is_below
from fimkit.model.states import FileKey, FileState
from fimkit.model.watches import WatchSet

__all__ = ["Scope"]


class Scope:
    """The watched paths and the inodes that were or are on them.

    A change counts by its name, or, where the name may be wrong or is missing, by its inode or its folder's. Devices that records
    call otherwise than ``stat`` does (btrfs) are found by inode alone: too much is kept then, and never too little.
    """

    def __init__(self, watches: WatchSet, *snapshots: Mapping[bytes, FileState]) -> None:
        """Take the watches and every snapshot whose inodes matter."""
        self._roots = tuple({watch.path for watch in watches.watches})
        self._snapshots = snapshots
        self._keys: frozenset[FileKey] | None = None
        self._inodes: frozenset[int] = frozenset()
        self._devices: frozenset[int] = frozenset()

    def _load(self) -> frozenset[FileKey]:
        keys = frozenset(key for states in self._snapshots for state in states.values() if (key := state.key) is not None)
        self._inodes = frozenset(key.inode for key in keys)
        self._devices = frozenset(key.dev for key in keys)
        self._keys = keys
        return keys

    def _known(self, dev: int | None, inode: int | None) -> bool:
        if inode is None:
            return False
        keys = self._keys if self._keys is not None else self._load()
        if dev is None or dev not in self._devices:
            return inode in self._inodes
        return FileKey(dev, inode) in keys

    def concerns(self, change: Change) -> bool:
        """Tell whether a change may be about a watched path."""
        path = change.path
        if path is not None and any(is_below(path, root) for root in self._roots):
            return True
        if change.dev is None and change.parent_dev is None:
            return False
        return self._known(change.dev, change.inode) or self._known(change.parent_dev, change.parent_inode)
