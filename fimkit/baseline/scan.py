"""Every path below the configured watches, once, with its state."""

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from fimkit.baseline.batch import Batch, Runs
from fimkit.baseline.compiled import Way, best_way
from fimkit.baseline.entry import EntryReader, Place, open_unfollowed
from fimkit.baseline.folders import Folder, FolderStack
from fimkit.baseline.listing import listing_of
from fimkit.baseline.mounts import load_mount_points, mount_points_below
from fimkit.baseline.pace import Pace, low_priority
from fimkit.baseline.problems import UNLISTED, VANISHED, ScanProblem, say_error
from fimkit.baseline.selection import Selection, select_in
from fimkit.model.config import Scanning, Watch
from fimkit.model.paths import render_path
from fimkit.model.states import FileState, FileType
from fimkit.model.watches import WatchSet

if TYPE_CHECKING:
    from fimkit.baseline.known_files import KnownFiles
    from fimkit.baseline.pool import WorkerPool
    from fimkit.baseline.thread_pool import ThreadPool

__all__ = ["Scan", "scan_watches"]

_BATCH = 64
_STEP_BYTES = 1 << 26

_MANY_BYTES = 1 << 28
"""From here on a scan is worth the start of other processes, however few its paths are."""


def scan_watches(
    watches: Sequence[Watch],
    *,
    known: Mapping[bytes, FileState] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    limits: Scanning | None = None,
    way: Way | None = None,
) -> "Scan":
    """Look at every path below the watches, once each; watches may nest.

    Regular files are hashed in full, links are never followed, and nothing but regular files and folders is opened. What goes
    wrong with one path is words in its row's ``problem``, and never ends the scan.

    Args:
        watches: The configuration's entries; :class:`fimkit.model.watches.WatchSet` says what belongs to them.
        known: The shortcut by times: a file whose type, size, mtime, ctime, inode and device are as known here is not read; its
            hash and extended attributes are repeated. Who can set the clock or write to the block device can fool it.
        on_progress: Told now and then of the paths seen and the bytes read so far, in this thread.
        limits: How much of the host the scan may take. With a rate it is done by this thread alone, so that the rate is its own.
        way: How ordinary files are read; by default the quickest way that is here.

    Returns:
        An iterator of states in no order, to be consumed once; its ``problems`` and ``mounts`` are complete at its end.
    """
    return Scan(watches, known=known, on_progress=on_progress, limits=limits, way=way)


class Scan(Iterator[FileState]):
    """One scan under way.

    Attributes:
        problems: What no row can say: a configured path that is not there or is a link, a part that could not be reached.
        mounts: The folders where another file system is mounted that was not entered (``cross_mounts``).
        count: Paths seen so far.
    """

    def __init__(
        self,
        watches: Sequence[Watch],
        *,
        known: Mapping[bytes, FileState] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        limits: Scanning | None = None,
        way: Way | None = None,
    ) -> None:
        """Prepare; nothing is read before the first state is asked for."""
        self.problems: list[ScanProblem] = []
        self.mounts: list[bytes] = []
        self.count = 0
        self._watches = WatchSet(watches)
        self._roots = frozenset(watch.path for watch in watches)
        self._above_roots = frozenset(map(os.path.dirname, self._roots))
        self._on_progress = on_progress
        limits = limits or Scanning()
        pace = Pace(limits)
        self._pace = pace if pace.limits else None
        self._is_nice = limits.nice
        self._reader = EntryReader(known, self._tell_block, pace=self._pace, spares_cache=limits.nice)
        self._next_tell = _STEP_BYTES
        way = way or best_way()
        self._listing = listing_of(way)
        self._pool = _new_pool(self._reader, limits, way) if known is None or pace.limits else _new_known(self._reader, known, way)
        self._is_alone = known is not None or pace.limits  # the shortcut is quicker than telling another of it
        self._mount_points: frozenset[bytes] = frozenset()
        self._runs = self._run()
        self._states = chain.from_iterable(self._runs)

    @property
    def bytes_read(self) -> int:
        """How much was hashed so far."""
        return self._reader.bytes_read + self._pool.bytes_read

    def __iter__(self) -> Iterator[FileState]:
        """Give the states themselves: a call less for each."""
        return self._states

    def __next__(self) -> FileState:
        """Give the next state."""
        return next(self._states)

    def close(self) -> None:
        """Stop before the end; threads and descriptors are given back."""
        self._runs.close()

    def _run(self) -> Generator[Sequence[FileState], None, None]:
        points = load_mount_points()
        try:
            with low_priority(self._is_nice):
                yield from self._run_roots(points)
        finally:
            self._pool.close()

    def _run_roots(self, points: frozenset[bytes]) -> Runs:
        for root in sorted(self._roots):
            self._mount_points = mount_points_below(root, points)
            yield from self._scan_root(root)
        for run in self._pool.finish():
            yield run
            self._report()
        self._report()

    def _report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.count, self.bytes_read)

    def _tell_block(self) -> bool:
        if self._reader.bytes_read >= self._next_tell:
            self._next_tell = self._reader.bytes_read + _STEP_BYTES
            self._report()
        return True

    def _scan_root(self, root: bytes) -> Runs:
        place = Place(None, root, root)
        try:
            seen = os.lstat(root)
            target = os.readlink(root) if stat.S_ISLNK(seen.st_mode) else None
        except FileNotFoundError:
            self.problems.append(ScanProblem(root, "is configured and not there"))
            return
        except OSError as error:
            self.problems.append(ScanProblem(root, say_error("is configured and cannot be looked at", error)))
            return
        is_folder = stat.S_ISDIR(seen.st_mode)
        wanted = self._watches.watch_of(root, is_folder=is_folder) is not None
        if is_folder:
            yield from self._walk(place, select_in(root, self._watches.watches), wanted=wanted)
            return
        if target is not None:
            words = f"is a link to {render_path(target)}: only the link is watched, configure what it leads to"
            self.problems.append(ScanProblem(root, words))
        if wanted:
            yield (self._read_leaf(place, is_file=stat.S_ISREG(seen.st_mode)),)

    def _walk(self, place: Place, selection: Selection, *, wanted: bool) -> Runs:
        stack = FolderStack()
        try:
            yield from self._visit(stack, place, selection, wanted=wanted, home=None)
            while stack:
                top = stack.top
                if top.pending:
                    yield from self._visit_child(stack, top, top.pending.pop())
                elif lost := list(stack.pop()):
                    yield [self._unlisted(path, "a folder above it was moved meanwhile") for path in lost]
        finally:
            stack.close()

    def _visit_child(self, stack: FolderStack, above: Folder, name: bytes) -> Runs:
        place = Place(above.file, name, above.child_path(name))
        watch = above.selection.watch_of(place.path, is_folder=True)
        crosses = watch is not None and watch.cross_mounts
        if place.path in self._mount_points and not crosses:
            self.mounts.append(place.path)  # not even opened: an automount would answer by mounting
            if watch is not None:
                yield (self._read_leaf(place, is_file=False),)
            return
        home = None if crosses else above.dev
        yield from self._visit(stack, place, above.selection.below(), wanted=watch is not None, home=home)

    def _visit(
        self, stack: FolderStack, place: Place, selection: Selection, *, wanted: bool, home: int | None
    ) -> Runs:
        """Open a folder, give what lies in it but its subfolders, and then its own state; put it on the stack.

        ``home`` is the device that must not be left, if any.
        """
        try:
            file, seen = _open_folder(place)
        except OSError as error:
            if wanted:
                yield (self._read_unopened(place, error),)
            return
        if home is not None and seen.st_dev != home:
            self.mounts.append(place.path)
            try:
                if wanted:
                    yield (self._reader.read_folder(place.path, file, seen),)
            finally:
                os.close(file)
            return
        folder = Folder(place.path, file, seen, selection)
        stack.push(folder)
        problem = None
        if selection.watches:
            try:
                yield from self._list(folder)
            except OSError as error:
                problem = f"{UNLISTED}, {say_error('it cannot be listed to its end', error)}"
                if not wanted:
                    self.problems.append(ScanProblem(place.path, problem))
        if wanted:
            self.count += 1
            yield (self._reader.read_folder(place.path, file, seen, problem),)

    def _list(self, folder: Folder) -> Runs:
        selection, start = folder.selection, folder.child_path(b"")
        asks = not selection.takes_all or folder.path in self._above_roots
        try:
            for files, folders, others in self._listing(folder.file):
                if asks:
                    files = [name for name in files if self._takes(start + name, selection, is_folder=False)]
                    folders = [name for name in folders if self._takes(start + name, selection, is_folder=True)]
                    others = [name for name in others if self._takes(start + name, selection, is_folder=False)]
                folder.pending += folders
                for name in others:
                    yield (self._read_leaf(Place(folder.file, name, start + name), is_file=False),)
                yield from self._read_sorted(folder.file, start, files)
        finally:
            folder.pending.sort(reverse=True)  # the last is visited first

    def _takes(self, path: bytes, selection: Selection, *, is_folder: bool) -> bool:
        if path in self._roots:
            return False  # it has a walk of its own
        return (is_folder and selection.enters(path)) or selection.watch_of(path, is_folder=is_folder) is not None

    def _read_sorted(self, folder: int, start: bytes, files: list[bytes]) -> Runs:
        """Read files nearly in the order of their paths: that is what is stored the fastest, and promised to nobody."""
        files.sort()
        for first in range(0, len(files), _BATCH):
            yield from self._read_files(Batch(folder, start, files[first : first + _BATCH]))

    def _read_files(self, batch: Batch) -> Runs:
        self.count += len(batch.names)
        if not self._is_alone and (self.count >= self._pool.many_paths or self.bytes_read > _MANY_BYTES):
            self._is_alone = True
            self._pool.start()
        for run in self._pool.read(batch):
            yield run
            self._report()

    def _read_leaf(self, place: Place, *, is_file: bool) -> FileState:
        self.count += 1
        if is_file:
            return self._reader.read_file(place)
        if self._pace is not None:
            self._pace.take_files()
        return self._reader.read_other(place)

    def _read_unopened(self, place: Place, error: OSError) -> FileState:
        self.count += 1
        if isinstance(error, FileNotFoundError):
            return FileState(place.path, FileType.DIRECTORY, problem=VANISHED)
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            return self._reader.read_other(place, "took a folder's name meanwhile")
        return self._reader.read_other(place, f"{UNLISTED}, {say_error('it cannot be opened', error)}")

    def _unlisted(self, path: bytes, why: str) -> FileState:
        self.count += 1
        return FileState(path, FileType.DIRECTORY, problem=f"{UNLISTED}, {why}")


def _new_known(reader: EntryReader, known: Mapping[bytes, FileState], way: Way) -> "KnownFiles | ThreadPool | WorkerPool":
    """Choose who repeats what is known; nothing is started for it."""
    if way is Way.PYTHON:
        return _new_pool(reader, Scanning(), way)
    from fimkit.baseline.known_files import KnownFiles

    return KnownFiles(reader, known)


def _new_pool(reader: EntryReader, limits: Scanning, way: Way) -> "ThreadPool | WorkerPool":
    """Choose who reads: what leaves the page cache as it was found is the exact way's, by processes."""
    if way is not Way.PYTHON and not limits.nice:
        from fimkit.baseline.thread_pool import ThreadPool

        return ThreadPool(reader, way)
    from fimkit.baseline.pool import WorkerPool  # with what it takes to start processes

    return WorkerPool(reader, spares_cache=limits.nice)


def _open_folder(place: Place) -> tuple[int, os.stat_result]:
    file = open_unfollowed(place, os.O_DIRECTORY)
    try:
        return file, os.fstat(file)
    except OSError:
        os.close(file)
        raise
