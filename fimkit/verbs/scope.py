"""Tells which changes can concern the watched paths, so that the others need not be kept."""

from collections.abc import Iterable, Mapping

from fimkit.correlate.ledger import ChangeLedger
from fimkit.model.changes import Action, Change, Source
from fimkit.model.file_numbers import FileNumbers
from fimkit.model.paths import join_path
from fimkit.model.records import AuditEvent
from fimkit.model.state_index import file_keys_of
from fimkit.model.states import FileState
from fimkit.model.watches import WatchSet

__all__ = ["Scope"]

_ARRIVALS = (Action.BORN, Action.LINKED, Action.MOVED_TO)


class Scope:
    """The watched paths and the inodes that were or are on them.

    A change counts by its name, or, where the name may be wrong or is missing, by its inode or its folder's. Devices that records
    call otherwise than ``stat`` does (btrfs) are found by inode alone: too much is kept then, and never too little. What comes into
    the watched paths is known from then on: a folder that is made and removed again is in no snapshot, and its files' names behind
    a real dirfd are wrong.
    """

    def __init__(self, watches: WatchSet, *snapshots: Mapping[bytes, FileState]) -> None:
        """Take the watches and every snapshot whose inodes matter."""
        # With a slash behind both, one call tells of all roots whether a path is one of them or lies in it.
        self._prefixes = tuple({watch.path.rstrip(b"/") + b"/" for watch in watches.watches})
        self._snapshots = snapshots
        self._files: FileNumbers | None = None
        self._learned: set[tuple[int | None, int | None]] = set()

    def _load(self) -> FileNumbers:
        self._files = FileNumbers(file_keys_of(*self._snapshots))
        return self._files

    def _known(self, dev: int | None, inode: int | None) -> bool:
        if inode is None:
            return False
        files = self._files or self._load()
        if dev is None or dev not in files.devices:
            return inode in files.inodes
        return (dev, inode) in files.keys

    def concerns(self, change: Change) -> bool:
        """Tell whether a change may be about a watched path."""
        named = self._is_named(change)
        if named and change.action in _ARRIVALS and change.source is Source.AUDIT:
            self._learned.add((change.dev, change.inode))
        return named or self._is_known(change)

    def may_concern(self, event: AuditEvent) -> bool:
        """Tell whether any change of an audit event could concern a watched path: a quick look, before changes are made of it.

        It looks at every name and inode that the event has, whatever its call does with them. What says too little may concern.
        """
        items = event.items
        if event.syscall is None or not items or (event.items_expected is not None and len(items) < event.items_expected):
            return True
        learned, cwd = self._learned, event.cwd
        files = self._files or self._load()
        inodes = files.inodes
        for _, name, inode, dev, _, _, _, _ in items:
            if name is not None and (cwd is not None or name.startswith(b"/")) and self._is_watched(join_path(cwd or b"/", name)):
                return True
            if dev is None or (dev, inode) in learned:
                return True
            if inode in inodes and (dev not in files.devices or (dev, inode) in files.keys):
                return True
        return (None, None) in learned

    @property
    def learned(self) -> frozenset[tuple[int | None, int | None]]:
        """What came into the watched paths, as it is known now; to be set where a log is read again, or was read elsewhere."""
        return frozenset(self._learned)

    @learned.setter
    def learned(self, learned: Iterable[tuple[int | None, int | None]]) -> None:
        self._learned = set(learned)

    def prepare(self) -> None:
        """Do now what the first question would do."""
        if self._files is None:
            self._load()

    def may_depend(self, change: Change, *, concerns: bool) -> bool:
        """Tell whether more knowledge of what came into the watched paths could change what a change came to."""
        return not concerns or (change.action in _ARRIVALS and (change.dev, change.inode) not in self._learned)

    def learn(self, changes: ChangeLedger) -> None:
        """Take what was recorded earlier of inodes that came into the watched paths, and may be gone again."""
        for change in changes.of_actions(_ARRIVALS):
            self.concerns(change)

    def _is_named(self, change: Change) -> bool:
        path = change.path
        if change.action is Action.LOST and path is None and change.dev is None and change.parent_dev is None:
            return True  # it may have been for any file
        return path is not None and self._is_watched(path)

    def _is_watched(self, path: bytes) -> bool:
        return (path + b"/").startswith(self._prefixes)

    def _is_known(self, change: Change) -> bool:
        if change.dev is None and change.parent_dev is None:
            return False
        if (change.dev, change.inode) in self._learned or (change.parent_dev, change.parent_inode) in self._learned:
            if change.action in _ARRIVALS:
                self._learned.add((change.dev, change.inode))
            return True
        return self._known(change.dev, change.inode) or self._known(change.parent_dev, change.parent_inode)
