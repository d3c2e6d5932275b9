"""One path's state, read without following a link and without opening anything but regular files and folders."""

import errno
import os
import stat
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from fimkit.baseline.content import BLOCK, hash_file, is_hollow, is_same_version
from fimkit.baseline.pace import Pace
from fimkit.baseline.plain import is_unchanged, read_plain, state_of_plain
from fimkit.baseline.problems import CHANGED, UNHASHED, VANISHED, say_error
from fimkit.baseline.xattrs import load_xattrs
from fimkit.model.states import FileState, FileType

if TYPE_CHECKING:
    from fimkit.baseline.page_cache import SparedPages

__all__ = ["EntryReader", "OpenedFile", "Place", "open_unfollowed", "state_of"]

_TYPES = {
    stat.S_IFREG: FileType.FILE,
    stat.S_IFDIR: FileType.DIRECTORY,
    stat.S_IFLNK: FileType.SYMLINK,
    stat.S_IFBLK: FileType.BLOCK,
    stat.S_IFCHR: FileType.CHAR,
    stat.S_IFIFO: FileType.FIFO,
    stat.S_IFSOCK: FileType.SOCKET,
}
"""The kernel knows no eighth. Source: inode(7)."""

# O_NONBLOCK: should a fifo have taken the name since it was listed, the open returns at once instead of waiting for a writer.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class Place(NamedTuple):
    """Where a path is: a name in an open folder (``None``: the name is a whole path), and the path that is said of it."""

    folder: int | None
    name: bytes
    path: bytes


class OpenedFile(NamedTuple):
    """A regular file, open, as it was right after the open."""

    place: Place
    file: int
    seen: os.stat_result


def open_unfollowed(place: Place, more_flags: int = 0) -> int:
    """Open for reading, without touching the access time where that is allowed (one's own file, or CAP_FOWNER).

    Raises:
        OSError: If the kernel refuses; ELOOP for a link.
    """
    flags = _FLAGS | more_flags
    try:
        return os.open(place.name, flags | os.O_NOATIME, dir_fd=place.folder)
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
    return os.open(place.name, flags, dir_fd=place.folder)


def state_of(
    path: bytes,
    seen: os.stat_result,
    *,
    sha256: str | None = None,
    target: bytes | None = None,
    xattrs: dict[str, bytes] | None = None,
    problem: str | None = None,
) -> FileState:
    """Make a state of what the kernel says."""
    mode = seen.st_mode
    return FileState(
        path, _TYPES[mode & 0o170000], mode & 0o7777, seen.st_uid, seen.st_gid, seen.st_size, seen.st_ino, seen.st_dev,
        seen.st_nlink, seen.st_mtime_ns, seen.st_ctime_ns, sha256, target, xattrs, problem,
    )  # fmt: skip


def _spare(file: int, size: int) -> "SparedPages":
    from fimkit.baseline.page_cache import SparedPages  # only who is to leave the page cache as it was pays for it

    return SparedPages(file, size)


def _join(*problems: str | None) -> str | None:
    return "; ".join(problem for problem in problems if problem) if any(problems) else None


def _is_as_known(known: FileState, seen: os.stat_result) -> bool:
    return (
        known.ctime_ns == seen.st_ctime_ns
        and known.mtime_ns == seen.st_mtime_ns
        and known.size == seen.st_size
        and known.inode == seen.st_ino
        and known.dev == seen.st_dev
        and known.type is FileType.FILE
        and stat.S_ISREG(seen.st_mode)
        and known.sha256 is not None
        and known.xattrs is not None
    )


class EntryReader:
    """Reads states, into one buffer for all.

    ``bytes_read`` counts what was hashed. ``goes_on`` is asked after every block.
    """

    def __init__(
        self,
        known: Mapping[bytes, FileState] | None = None,
        goes_on: Callable[[], bool] = lambda: True,
        *,
        pace: Pace | None = None,
        spares_cache: bool = False,
    ) -> None:
        """Take what a look may rest on, and what it must heed.

        Args:
            known: The states that the shortcut by times may repeat.
            goes_on: Whether anybody still waits for results.
            pace: What holds the reading up; ``None``: nothing does.
            spares_cache: Leave the page cache as it was found.
        """
        self.bytes_read = 0
        self._known = known
        self._goes_on = goes_on
        self._pace = pace
        self._spares_cache = spares_cache
        self._spared: SparedPages | None = None  # of the file at hand
        self._offset = 0
        self._buffer = bytearray(BLOCK)
        self._view = memoryview(self._buffer)
        self._has_proc = os.path.exists("/proc/self/fd")

    def read_file(self, place: Place) -> FileState:
        """Read what was listed as a regular file, whole."""
        if self._pace is not None:
            self._pace.take_files()
        if self._known is not None:
            return self._repeat(place) or self.read_exactly(place)
        if (fields := self.read_plain(place.folder, place.name)) is not None:
            return state_of_plain(place.path, fields)
        return self.read_exactly(place)

    def read_plain(self, folder: int | None, name: bytes) -> tuple[Any, ...] | None:
        """Try the quick way of :func:`fimkit.baseline.plain.read_plain`, where nothing is to be spared."""
        if self._spares_cache:
            return None
        fields = read_plain(folder, name, self._view)
        if fields is not None:
            self.bytes_read += fields[3]
            if self._pace is not None:
                self._pace.take_bytes(fields[3])
        return fields

    def read_exactly(self, place: Place) -> FileState:
        """Read any file, of any size, by name; what goes wrong is words in its row."""
        opened = self.open_file(place)
        return opened if isinstance(opened, FileState) else self.finish_file(opened)

    def open_file(self, place: Place) -> OpenedFile | FileState:
        """Open what was listed as a regular file.

        Returns:
            The file, still to be hashed by :meth:`finish_file`; or the whole state, where nothing is to be read.
        """
        if self._known is not None and (state := self._repeat(place)) is not None:
            return state
        try:
            file = open_unfollowed(place)
        except OSError as error:
            return self._unopened(place, error)
        try:
            seen = os.fstat(file)
        except OSError as error:
            os.close(file)
            return self._unopened(place, error)
        if stat.S_ISREG(seen.st_mode):
            return OpenedFile(place, file, seen)
        os.close(file)
        return self.read_other(place)

    def finish_file(self, opened: OpenedFile) -> FileState:
        """Hash an opened file and close it; a file that changes meanwhile is opened and read once more."""
        state = self._read(opened)
        if state.problem != CHANGED:
            return state
        # By its name, not from the old descriptor: a rename may have put another file here.
        again = self.open_file(opened.place)
        return again if isinstance(again, FileState) else self._read(again)

    def read_other(self, place: Place, problem: str | None = None) -> FileState:
        """Read a link, a device, a fifo or a socket, or anything that could not be opened; nothing is opened here.

        What cannot even be looked at any more has a row of type file with nothing known but its problem.
        """
        try:
            seen = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
        except FileNotFoundError:
            return FileState(place.path, FileType.FILE, problem=VANISHED)
        except OSError as error:
            return FileState(place.path, FileType.FILE, problem=_join(problem, say_error("cannot be looked at", error)))
        target = None
        if stat.S_ISLNK(seen.st_mode):
            try:
                target = os.readlink(place.name, dir_fd=place.folder)
            except OSError as error:
                problem = _join(problem, say_error("the link cannot be read", error))
        xattrs, trouble = load_xattrs(self._named(place))
        return state_of(place.path, seen, target=target, xattrs=xattrs, problem=_join(problem, trouble))

    def read_folder(self, path: bytes, folder: int, seen: os.stat_result, problem: str | None = None) -> FileState:
        """Give an open folder's own state."""
        if self._pace is not None:
            self._pace.take_files()
        xattrs, trouble = load_xattrs(folder)
        return state_of(path, seen, xattrs=xattrs, problem=_join(problem, trouble))

    def _named(self, place: Place) -> bytes:
        # listxattr(2) knows no dir_fd; through /proc a path of any length is short, and a folder swapped meanwhile is not met.
        if place.folder is None or not self._has_proc:
            return place.path
        return b"/proc/self/fd/%d/%s" % (place.folder, place.name)

    def _repeat(self, place: Place) -> FileState | None:
        known = self._known.get(place.path) if self._known is not None else None
        if known is None:
            return None
        try:
            seen = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
        except OSError:
            return None
        if is_unchanged(known, seen):
            return known  # the row itself: a million unchanged files cost no second million of rows
        # The ctime moves with every change of an extended attribute too: what vouches for the bytes vouches for them.
        return state_of(place.path, seen, sha256=known.sha256, xattrs=known.xattrs) if _is_as_known(known, seen) else None

    def _unopened(self, place: Place, error: OSError) -> FileState:
        if isinstance(error, FileNotFoundError):
            return FileState(place.path, FileType.FILE, problem=VANISHED)
        state = self.read_other(place)
        if state.type is not FileType.FILE or state.mode is None:
            return state  # something else took the name meanwhile, or not even a look is allowed
        return state._replace(problem=_join(say_error("cannot be read", error), state.problem))

    def _hash_block(self, length: int) -> bool:
        self.bytes_read += length
        self._offset += length
        if self._spared is not None:
            self._spared.give_back(self._offset)
        if self._pace is not None:
            self._pace.take_bytes(length)
        return self._goes_on()

    def _read(self, opened: OpenedFile) -> FileState:
        place, file, seen = opened
        sha256 = problem = None
        try:
            try:
                if is_hollow(seen):
                    problem = f"a sparse file, {seen.st_blocks * 512} of its {seen.st_size} bytes are on the disk: not hashed"
                else:
                    self._offset, self._spared = 0, _spare(file, seen.st_size) if self._spares_cache else None
                    sha256 = hash_file(file, seen.st_size, self._buffer, self._hash_block)
                    problem = UNHASHED if sha256 is None else None
            except OSError as error:
                problem = say_error("cannot be read", error)
            if self._spared is not None:
                self._spared.give_back()
                self._spared = None
            xattrs, trouble = load_xattrs(file)
            try:
                after = os.fstat(file)
            except OSError as error:
                return state_of(place.path, seen, problem=say_error("cannot be looked at again", error))
        finally:
            os.close(file)
        if not is_same_version(seen, after):
            return state_of(place.path, after, xattrs=xattrs, problem=CHANGED)
        if problem is None and trouble is None:
            return state_of(place.path, seen, sha256=sha256, xattrs=xattrs)
        return state_of(place.path, seen, sha256=sha256, xattrs=xattrs, problem=_join(problem, trouble))
