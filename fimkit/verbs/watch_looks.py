"""Looks at single paths again, and at whole folders that came or went, and keeps a live picture of the host by that."""

import os
import stat
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from fimkit.baseline.scan import scan_watches
from fimkit.correlate.picture import Snapshot
from fimkit.model.config import Watch
from fimkit.model.findings import Finding
from fimkit.model.paths import is_below
from fimkit.model.states import FileKey, FileState, FileType
from fimkit.model.watches import WatchSet
from fimkit.verbs.canaries import Canaries
from fimkit.verbs.look import Looker
from fimkit.verbs.sight import recall_states
from fimkit.verbs.watch_arrivals import Arrival

__all__ = ["Glimpse", "Looks"]

_HASH_S = 3.0
"""So long one file holds up the others: what takes longer is told without its hash, which the next check adds."""

_LARGE_BYTES = 32 << 20

_MANY_FILES, _MANY_BYTES = 200, 8 << 20
"""A folder with more than this in it that has to be hashed is looked through beside the others, not before them."""

_SURE_NS = 3_000_000_000
"""A file whose last change is as long ago was looked at after it: what was written within one tick of the kernel's clock was
found by the looks that follow (:data:`fimkit.verbs.watch_waiting.LATER_S`)."""

_TICK_NS = 20_000_000


class Glimpse(NamedTuple):
    """What ``lstat`` says of a path, without its content."""

    ctime_ns: int
    mtime_ns: int
    size: int
    inode: int
    mode: int


class Looks:
    """The present of the watched paths, as of the last look at each.

    Args:
        watches: What is watched, as a scan takes it.
        before: The baseline.
        after: The present; kept up to date here.
    """

    def __init__(self, watches: Sequence[Watch], before: Snapshot, after: Snapshot) -> None:
        """Begin with what a whole look found."""
        self.before, self.after = before, after
        self._looker = Looker(hash_s=_HASH_S)
        self._offered: dict[bytes, FileState] = {}
        self._through: set[bytes] = set()
        self.arrivals: list[Arrival] = []
        """Folders that :meth:`look` leaves to another process; whoever has them looked through takes them out."""
        self.set_watches(watches)

    def set_watches(self, watches: Sequence[Watch]) -> None:
        """Take other watches; what is not watched any more is not looked at from now on."""
        self.watches = WatchSet(watches)
        self._roots = frozenset(watch.path for watch in watches)
        self._inside = tuple(root if root == b"/" else root + b"/" for root in self._roots)

    def is_within(self, path: bytes) -> bool:
        """Tell whether a path lies at or below a configured one, excluded or not."""
        return path.startswith(self._inside) or path in self._roots

    def is_watched(self, path: bytes) -> bool:
        """Tell whether a path belongs to a watch, as far as its own kind is known."""
        state = self.after.get(path) or self.before.get(path)
        return self.watches.watch_of(path, is_folder=state is not None and state.type is FileType.DIRECTORY) is not None

    def has_moved_on(self, path: bytes) -> bool:
        """Tell by metadata alone whether a path may be another than when it was looked at."""
        return self.is_other(path, self.glimpse(path))

    def is_other(self, path: bytes, glimpse: Glimpse | None) -> bool:
        """Tell whether what was glimpsed at a path is another than what was looked at."""
        known = self.after.get(path)
        if known is None or glimpse is None:
            return known is not None or glimpse is not None
        return glimpse != _glimpse_of(known)

    @staticmethod
    def glimpse(path: bytes) -> Glimpse | None:
        """Give the metadata that tells one state of a path from another; ``None`` if there is nothing."""
        try:
            seen = os.lstat(path)
        except OSError:
            return None
        return Glimpse(seen.st_ctime_ns, seen.st_mtime_ns, seen.st_size, seen.st_ino, seen.st_mode & 0o7777)

    @staticmethod
    def is_large(path: bytes) -> bool:
        """Tell whether a look at a path takes time, since it is a large file."""
        try:
            seen = os.lstat(path)
        except OSError:
            return False
        return stat.S_ISREG(seen.st_mode) and seen.st_size > _LARGE_BYTES

    def look(self, paths: Iterable[bytes], folders: Iterable[bytes]) -> dict[bytes, FileState | None]:
        """Look at single paths, and at all that lies or lay in and below folders.

        Args:
            paths: Each is looked at by itself; one that turns out to be a folder nobody knew is taken as one that came.
            folders: Those whose whole content may have come, gone or moved.

        Returns:
            What is at each path now; nothing is kept until :meth:`keep`.
        """
        seen: dict[bytes, FileState | None] = {}
        came = list(folders)
        for path in paths:
            seen[path] = state = self._look(path)
            known = self.after.get(path)
            if state is not None and state.type is FileType.DIRECTORY and (known is None or known.key != state.key):
                came.append(path)
        for folder in _topmost(came):
            self._look_below(folder, seen)
        return seen

    def offer(self, states: Iterable[FileState], *, began_ns: int) -> None:
        """Take what another process saw: the next look at a path uses it if its metadata are those still.

        Args:
            states: What it saw.
            began_ns: When it began. What was changed after that, or within the tick before, is looked at anew.
        """
        self._offered.update((one.path, one) for one in states if one.ctime_ns is not None and one.ctime_ns < began_ns - _TICK_NS)

    def _look(self, path: bytes) -> FileState | None:
        offered = self._offered.pop(path, None)
        if not self.is_within(path):
            return None
        is_same = offered is not None and offered.problem is None and _glimpse_of(offered) == self.glimpse(path)
        state = offered if is_same else self._looker.look(path)
        if state is None or self.watches.watch_of(path, is_folder=state.type is FileType.DIRECTORY) is None:
            return None
        return state

    def look_through_next(self, folder: bytes) -> None:
        """Have the next look at a folder look through it here, whatever it takes: the process that was to do it failed."""
        self._through.add(folder)

    def _look_below(self, folder: bytes, seen: dict[bytes, FileState | None]) -> None:
        if not self.is_within(folder):
            return
        is_failed = folder in self._through
        self._through.discard(folder)
        known = {} if is_failed else self._known_files(folder)
        if known is not None:
            self._look_at_all(folder, seen, known)
            return
        # What is gone is told now, with where it went; what is there is looked at elsewhere.
        seen[folder] = self._look(folder)
        for path in {*self.before.below(folder), *self.after.below(folder)}:
            if self.glimpse(path) is None:
                seen[path] = None
        if narrowed := self._narrowed(folder):
            self.arrivals.append(Arrival(folder, narrowed))

    def _known_files(self, folder: bytes) -> dict[bytes, FileState] | None:
        """Give what needs no hashing in a folder, for it was seen, perhaps elsewhere; ``None`` where much needs it."""
        known: dict[bytes, FileState] = {}
        files = size = 0
        for above, folders, names in os.walk(folder):
            files += sum(os.path.join(above, name) not in self.after for name in folders)
            for name in names:
                path = os.path.join(above, name)
                try:
                    seen = os.lstat(path)
                except OSError:
                    continue
                is_file = stat.S_ISREG(seen.st_mode)
                if is_file and (state := self._seen_before(seen)) is not None:
                    known[path] = state._replace(path=path)
                    continue
                files, size = files + 1, size + (seen.st_size if is_file else 0)
                if files > _MANY_FILES or size > _MANY_BYTES:
                    return None
        return known

    def _seen_before(self, seen: os.stat_result) -> FileState | None:
        """Give what is known of a file by whatever name, if nothing was done to it since."""
        if seen.st_ctime_ns > time.time_ns() - _SURE_NS:
            return None
        for path in self.after.paths_of(FileKey(seen.st_dev, seen.st_ino)):
            state = self.after[path]
            times = seen.st_ctime_ns, seen.st_mtime_ns, seen.st_size
            if state.problem is None and (state.ctime_ns, state.mtime_ns, state.size) == times:
                return state
        return None

    def _look_at_all(self, folder: bytes, seen: dict[bytes, FileState | None], unchanged: dict[bytes, FileState]) -> None:
        closed: list[bytes] = []
        states: dict[bytes, FileState] = {}
        if narrowed := self._narrowed(folder):
            scan = scan_watches(narrowed, known=unchanged or None)
            states = {state.path: state for state in scan if is_below(state.path, folder)}
            closed = [*scan.mounts]
        known = {*self.before.below(folder), *self.after.below(folder)}
        seen.update(states)
        for path in known - states.keys():
            if not any(path != mount and is_below(path, mount) for mount in closed):
                seen[path] = self._look(path)

    def _narrowed(self, folder: bytes) -> list[Watch]:
        """Give the watches that a scan of one folder needs: the one that it lies in, from there on, and those further in."""
        inner = [watch for watch in self.watches.watches if is_below(watch.path, folder)]
        outer = self.watches.watch_of(folder, is_folder=True)
        if outer is None or outer in inner or not self.watches.enters(folder):
            return inner
        return [replace(outer, path=folder), *inner]

    def keep(
        self, seen: dict[bytes, FileState | None], canaries: Canaries, open_findings: Sequence[Finding], began_ns: int
    ) -> set[bytes]:
        """Take over what was seen, without the canaries of a selftest.

        Args:
            seen: What :meth:`look` gave.
            canaries: Loaded after that.
            open_findings: What is open at these paths: what cannot be read now was perhaps read then.
            began_ns: When the look began.

        Returns:
            The paths whose state is another one now.
        """
        states = {path: state for path, state in seen.items() if state is not None}
        canaries.take_out(states, began_ns=began_ns, now_ns=time.time_ns(), look=self._looker.look)
        recall_states(states, open_findings)
        changed = set()
        for path in seen:
            state = states.get(path)
            if state == self.after.get(path):
                continue
            changed.add(path)
            if state is None:
                self.after.drop(path)
            else:
                self.after.put(state)
        return changed


def _glimpse_of(state: FileState) -> tuple[int | None, ...]:
    return state.ctime_ns, state.mtime_ns, state.size, state.inode, state.mode


def _topmost(folders: Iterable[bytes]) -> list[bytes]:
    """Leave out folders that lie in others."""
    kept: list[bytes] = []
    for folder in sorted(set(folders)):
        if not kept or not is_below(folder, kept[-1]):
            kept.append(folder)
    return kept
