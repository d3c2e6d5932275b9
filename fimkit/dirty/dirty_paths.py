"""Which of the watched paths may have changed, by inotify: no right is needed but to read the folders, and there is no who.

The library is inotify_simple: names survive that are no UTF-8, ENOSPC and the overflow of the queue come through, it has a
descriptor for ``select`` and needs nothing else. watchdog and watchfiles keep the overflow to themselves and have no descriptor;
pyroute2's does not look at errors.

Source: inotify(7).
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from inotify_simple import Event, INotify, flags

from fimkit.dirty.batch import Batch, Dirty
from fimkit.dirty.folder_watches import ENTRIES, EVERYTHING, FolderWatches
from fimkit.dirty.inotify_words import say_no_instance, say_overflow, say_unwatched
from fimkit.dirty.polled import PolledFolders
from fimkit.model.errors import HostError
from fimkit.model.paths import is_below, render_path
from fimkit.model.watches import WatchSet

__all__ = ["DirtyPaths"]

_CAME = flags.CREATE | flags.MOVED_TO
_WENT = flags.DELETE | flags.MOVED_FROM
_WHOLE = flags.CLOSE_WRITE | flags.MOVED_TO
_SELF_GONE = flags.DELETE_SELF | flags.MOVE_SELF
_VANISHED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class DirtyPaths:
    """The configured paths under inotify, with everything below them that belongs to a watch; a context manager.

    Excluded folders use no watch. A folder that comes in is watched first and listed then, so that nothing falls between. A
    configured path that is not there, or is replaced by another, is taken up when it comes. What no watch is left for is looked at
    every ``poll_s`` seconds, by metadata.

    Attributes:
        overflows: How often the kernel lost events. Each time all configured paths were given as dirty.
    """

    def __init__(self, watches: WatchSet, *, mounts: Callable[[], Iterable[bytes]] = tuple, poll_s: float = 60.0) -> None:
        """Watch all that is there; what happens from here on is seen.

        Args:
            watches: What belongs to the watched paths.
            mounts: Lists the mount points of this host; one is not entered, except where ``cross_mounts`` says so.
            poll_s: How often folders without a watch are looked at.

        Raises:
            HostError: If the kernel gives no inotify instance.
        """
        self.overflows = 0
        self._watches, self._roots = watches, _roots_of(watches)
        self._list_mounts, self._mounts = mounts, frozenset[bytes]()
        self._ways: dict[bytes, set[bytes]] = {}
        self._listed: set[bytes] = set()
        self._missing: set[bytes] = set()
        self._refused: dict[bytes, str] = {}
        self._polled = PolledFolders()
        self._poll_s, self._due = poll_s, time.monotonic() + poll_s
        self._batch = Batch()
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as error:
            raise HostError(say_no_instance(error)) from error
        self._folders = FolderWatches(self._inotify)
        self.refresh()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give all watches back."""
        self.close()

    def close(self) -> None:
        """Give all watches back."""
        self._inotify.close()

    def fileno(self) -> int:
        """The descriptor that is readable when :meth:`read` has something to give."""
        number: int = self._inotify.fileno()
        return number

    @property
    def folders(self) -> int:
        """How many folders are watched, those on the way to the configured paths among them."""
        return len(self._folders)

    @property
    def unwatched(self) -> tuple[bytes, ...]:
        """The folders that no watch was left for; they are looked at every ``poll_s`` seconds."""
        return tuple(self._polled)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is not seen, or not at once, and that events were lost: one sentence each, with its remedy."""
        return (*self.unseen, *([say_overflow(self.overflows)] if self.overflows else []))

    @property
    def unseen(self) -> tuple[str, ...]:
        """What is not seen, or not at once, as it stands now."""
        refused = [f"{render_path(path)} is not watched: {words}" for path, words in sorted(self._refused.items())]
        return (*([say_unwatched(self.unwatched, self._poll_s)] if self._polled else []), *refused)

    @property
    def wait_s(self) -> float | None:
        """In how many seconds :meth:`read` is due even if the descriptor stays silent; ``None`` is never."""
        return max(0.0, self._due - time.monotonic()) if self._polled or self._missing else None

    def read(self) -> list[Dirty]:
        """Give what is known now, each path once, without waiting."""
        for event in self._inotify.read(timeout=0):
            self._take(event)
        if time.monotonic() >= self._due:
            self._poll()
        self._folders.sweep()
        return self._batch.take()

    def refresh(self) -> None:
        """Go over all configured paths again and watch what has no watch yet, as after a mount or with a higher limit."""
        self._listed.clear()
        self._refused.clear()
        points = frozenset(self._list_mounts())
        self._mounts = frozenset(path for root in self._roots for path in _as_met(points, root))
        for root in self._roots:
            self._attach(root)

    def reconfigure(self, watches: WatchSet) -> None:
        """Watch other paths from now on, by the same descriptor; what stays watched is watched all the time."""
        self._watches, self._roots = watches, _roots_of(watches)
        self._ways.clear()
        self._missing.clear()
        self._forget(b"/")
        self.refresh()

    # What the kernel says.

    def _take(self, event: Event) -> None:
        if event.mask & flags.Q_OVERFLOW:
            self.overflows += 1
            self.refresh()
            self._all_dirty(self._roots)
            return
        if event.mask & flags.IGNORED:
            self._end(event.wd)
            return
        for folder in self._folders.paths_of(event.wd):
            if event.name:
                self._take_entry(event, folder, _join(folder, os.fsencode(event.name)))
            else:
                self._take_self(event, folder)

    def _end(self, number: int) -> None:
        for path in self._folders.drop(number):
            self._listed.discard(path)
            if path in self._ways or os.path.lexists(path):  # unmounted: what was below shows again
                self._renew(path)

    def _take_self(self, event: Event, folder: bytes) -> None:
        if event.mask & _SELF_GONE and folder in self._ways:
            self._renew(folder)
        elif event.mask & flags.ATTRIB and folder in self._listed:
            self._mark(folder, is_folder=True)

    def _take_entry(self, event: Event, folder: bytes, path: bytes) -> None:
        is_folder = bool(event.mask & flags.ISDIR)
        comes_or_goes = bool(event.mask & (_CAME | _WENT))
        if path in self._ways and comes_or_goes:
            self._renew(path)
        if folder not in self._listed and path not in self._roots:
            return  # watched for the way through it alone
        if is_folder and comes_or_goes:
            self._forget(path)
            if event.mask & _CAME and self._watches.enters(path):
                self._walk(path)
        self._mark(
            path, is_folder=is_folder, recursive=is_folder and comes_or_goes,
            closed_write=not is_folder and bool(event.mask & _WHOLE),
        )  # fmt: skip

    def _mark(self, path: bytes, *, is_folder: bool, recursive: bool = False, closed_write: bool = False) -> None:
        if self._watches.watch_of(path, is_folder=is_folder) is not None or (recursive and self._watches.enters(path)):
            self._batch.add(path, recursive=recursive, closed_write=closed_write)

    def _all_dirty(self, roots: Iterable[bytes]) -> None:
        for root in roots:
            self._batch.add(root, recursive=True)

    # What is watched.

    def _renew(self, path: bytes) -> None:
        """A path that others are reached by is another one now, or gone, or here."""
        roots = sorted(self._ways.get(path, ()))
        self._forget(path)
        for root in roots:
            self._forget(root)
            self._attach(root)
        self._all_dirty(roots)
        if path not in self._roots and self._watches.enters(path):
            self._walk(path)
            self._mark(path, is_folder=True, recursive=True)

    def _forget(self, path: bytes) -> None:
        self._listed.difference_update(self._folders.forget(path))
        if self._polled:
            self._polled.forget(path)
        if self._refused:
            self._refused = {one: words for one, words in self._refused.items() if not is_below(one, path)}

    def _attach(self, root: bytes) -> None:
        try:
            is_folder = stat.S_ISDIR(os.lstat(root).st_mode)
            self._missing.discard(root)
        except OSError:
            is_folder = False
            self._missing.add(root)
        for way in (root, os.path.realpath(root)):
            self._watch_way(way, root, is_folder=is_folder)
        if is_folder:
            self._walk(root)

    def _watch_way(self, way: bytes, root: bytes, *, is_folder: bool) -> None:
        """Watch the folders that lead to a path, so that its coming, and the going of any of them, is seen."""
        mask = ENTRIES if is_folder else EVERYTHING
        while way != b"/":
            self._ways.setdefault(way, set()).add(root)
            way = os.path.dirname(way)
            try:
                self._folders.add(way, mask)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    self._missing.add(root)  # looked for at intervals
            mask = ENTRIES

    def _walk(self, start: bytes) -> None:
        """Watch a folder, and all below it that belongs to a watch: each before it is listed."""
        todo = [start]
        while todo:
            folder = todo.pop()
            if folder not in self._listed and self._watch(folder):
                self._listed.add(folder)
                todo += self._subfolders(folder)

    def _watch(self, folder: bytes) -> bool:
        """Watch one folder, or have it polled; false where there is no folder to list."""
        try:
            self._folders.add(folder, EVERYTHING | flags.DONT_FOLLOW)
        except OSError as error:
            if error.errno in _VANISHED:
                return False
            if error.errno != errno.ENOSPC:
                self._refused[folder] = error.strerror or str(error)
                return False
            self._polled.add(folder)
            return True
        if folder in self._polled:
            self._settle(folder)
        return True

    def _subfolders(self, folder: bytes) -> list[bytes]:
        found: list[bytes] = []
        try:
            home = os.lstat(folder).st_dev
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        path = _join(folder, entry.name)
                        if self._watches.enters(path) and self._may_enter(path, entry, home):
                            found.append(path)
        except FileNotFoundError:
            return found
        except OSError as error:
            self._refused[folder] = f"it cannot be listed: {error.strerror}"
        return found

    def _may_enter(self, path: bytes, entry: os.DirEntry[bytes], home: int) -> bool:
        watch = self._watches.watch_of(path, is_folder=True)
        if watch is not None and watch.cross_mounts:
            return True
        try:
            return path not in self._mounts and entry.stat(follow_symlinks=False).st_dev == home
        except OSError:
            return False

    # What no watch was left for.

    def _poll(self) -> None:
        for root in sorted(self._missing):
            if os.path.lexists(root):
                self._attach(root)
                self._batch.add(root, recursive=True)
        room = True
        for folder in self._polled:
            self._compare(folder)
            room = room and self._retry(folder)
        self._due = time.monotonic() + self._poll_s

    def _compare(self, folder: bytes) -> None:
        for path in self._polled.compare(folder):
            is_folder = path == folder or (os.path.isdir(path) and not os.path.islink(path))
            if path != folder and is_folder and self._watches.enters(path):
                self._walk(path)
            self._mark(path, is_folder=is_folder, recursive=is_folder and path != folder)

    def _retry(self, folder: bytes) -> bool:
        """Watch a polled folder after all, if there is room by now."""
        try:
            self._folders.add(folder, EVERYTHING | flags.DONT_FOLLOW)
        except OSError as error:
            if error.errno in _VANISHED:
                self._forget(folder)
            return error.errno != errno.ENOSPC
        self._settle(folder)
        return True

    def _settle(self, folder: bytes) -> None:
        """A polled folder has a watch now; what happened before that is told."""
        self._compare(folder)
        self._polled.discard(folder)


def _roots_of(watches: WatchSet) -> tuple[bytes, ...]:
    return tuple(sorted({watch.path for watch in watches.watches}))


def _join(folder: bytes, name: bytes) -> bytes:
    return (b"" if folder == b"/" else folder) + b"/" + name


def _as_met(points: frozenset[bytes], root: bytes) -> Iterable[bytes]:
    """Give mount points below a path as a walk from there meets them: the kernel lists real ones, and a link may lead here."""
    real = os.path.realpath(root)
    start = root.rstrip(b"/")
    return [start + point[len(real.rstrip(b"/")) :] for point in points if point != real and is_below(point, real)]
