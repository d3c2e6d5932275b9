"""Which operations on which canaries one reader saw, and how long after they were done. Pure."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from fimkit.model.changes import Action, Change, Source
from fimkit.verbs.canary_file import CanaryFile, Operation

__all__ = ["Sightings"]

_TOKEN = re.compile(rb"[0-9a-f]{32}")
_BY_FIRST_NAME = {
    Action.BORN: Operation.CREATE,
    Action.OPENED: Operation.MODIFY,
    Action.UPDATED: Operation.MODIFY,
    Action.MODE: Operation.CHMOD,
    Action.ATTRIBUTES: Operation.CHMOD,
    Action.MOVED_FROM: Operation.RENAME,
}
_BY_SECOND_NAME = {Action.MOVED_TO: Operation.RENAME, Action.UNLINKED: Operation.REMOVE}


class Sightings:
    """What one reader saw. Of audit's records only this process' own count: the test is whether *we* are seen."""

    def __init__(self, canaries: Sequence[CanaryFile], *, pid: int | None = None) -> None:
        """Take the canaries, and whose records count (this process')."""
        self._pid = os.getpid() if pid is None else pid
        self._names = {name: (canary, index) for canary in canaries for index, name in enumerate(canary.spot.names)}
        self._by_inode: dict[tuple[int | None, int], CanaryFile] = {}
        self._after_ms: dict[str, dict[Operation, float]] = {canary.spot.token: {} for canary in canaries}
        self._canaries = canaries

    @property
    def marks(self) -> list[bytes]:
        """The random parts of the names, to find lines by that tell of a canary."""
        return [mark for name in self._names for mark in _TOKEN.findall(name)]

    def of(self, canary: CanaryFile) -> Mapping[Operation, float]:
        """Give the operations on one canary that were seen, with the milliseconds from doing to reading."""
        return self._after_ms[canary.spot.token]

    @property
    def is_complete(self) -> bool:
        """True once everything that was done was seen."""
        return all(canary.done.keys() <= self.of(canary).keys() for canary in self._canaries)

    @property
    def is_empty(self) -> bool:
        """True as long as nothing at all was seen."""
        return not any(self._after_ms.values())

    def take(self, changes: Iterable[Change], *, read_s: float) -> None:
        """Look at what was read at a moment of the monotonic clock."""
        for change in changes:
            if change.source is Source.AUDIT and (change.actor is None or change.actor.pid != self._pid):
                continue
            canary, index = self._names.get(os.path.basename(change.path or b""), (None, 0))
            if canary is None and change.inode is not None:  # fchmod: the record has no name
                canary = self._by_inode.get((change.dev, change.inode))
            if canary is None:
                continue
            if change.inode is not None and change.source is Source.AUDIT:
                self._by_inode[change.dev, change.inode] = canary
            operation = (_BY_SECOND_NAME if index else _BY_FIRST_NAME).get(change.action)
            done = canary.done.get(operation) if operation is not None else None
            if operation is not None and done is not None:
                waited_ms = max(0.0, (read_s - done.monotonic_s) * 1000)
                self._after_ms[canary.spot.token].setdefault(operation, round(waited_ms, 1))
