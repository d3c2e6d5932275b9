"""Which folder has which inotify watch: an inode has one in an instance, however many paths lead to it."""

from inotify_simple import INotify, flags

__all__ = ["ENTRIES", "EVERYTHING", "FolderWatches"]

_ARRIVALS = flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO
# MASK_ADD: a folder may be watched for two reasons, and the second must not take away from the first.
ENTRIES = _ARRIVALS | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR | flags.MASK_ADD
"""For a folder on the way to a watched path: names that come and go."""

EVERYTHING = ENTRIES | flags.MODIFY | flags.ATTRIB | flags.CLOSE_WRITE | flags.EXCL_UNLINK
"""For a folder whose files are watched."""

_REMOVED_AT_ONCE = 2048  # each removal puts an event into the kernel's queue, which holds 16384


class FolderWatches:
    """Paths of folders and the numbers of their watches, kept while folders move."""

    def __init__(self, inotify: INotify) -> None:
        """Take an open inotify instance."""
        self._inotify = inotify
        self._paths: dict[int, set[bytes]] = {}
        self._numbers: dict[bytes, int] = {}
        self._children: dict[bytes, set[bytes]] = {}
        self._stale: dict[int, None] = {}

    def __len__(self) -> int:
        """How many paths have a watch."""
        return len(self._numbers)

    def paths_of(self, number: int) -> tuple[bytes, ...]:
        """Give the paths that a watch stands for; none once it is forgotten."""
        return tuple(self._paths.get(number, ()))

    def add(self, path: bytes, mask: int) -> None:
        """Watch a folder.

        Raises:
            OSError: As inotify_add_watch(2): ENOSPC at the limit, EACCES, ENOENT.
        """
        number: int = self._inotify.add_watch(path, mask)
        old = self._numbers.get(path)
        if old == number:
            return
        if old is not None:
            self._unmap(path)
        self._numbers[path] = number
        self._paths.setdefault(number, set()).add(path)
        self._stale.pop(number, None)
        self._link(path)

    def forget(self, path: bytes) -> list[bytes]:
        """Let go of a path and of all below it, which is not there any more, or not what it was; give the paths.

        The kernel's watches stay until :meth:`sweep`: a renamed folder keeps them under its new path.
        """
        gone: list[bytes] = []
        todo = [path]
        while todo:
            one = todo.pop()
            gone.append(one)
            todo += self._children.pop(one, ())
            if one in self._numbers:
                self._unmap(one)
        self._children.get(_above(path), set()).discard(path)
        return gone

    def drop(self, number: int) -> tuple[bytes, ...]:
        """Take note that the kernel has ended a watch; give the paths that had it."""
        paths = self.paths_of(number)
        for path in paths:
            self._unmap(path)
        self._stale.pop(number, None)
        return paths

    def sweep(self) -> None:
        """Give watches back that nothing is known by any more."""
        for number in list(self._stale)[:_REMOVED_AT_ONCE]:
            del self._stale[number]
            try:
                self._inotify.rm_watch(number)
            except OSError:  # it ended with its folder
                continue

    def _link(self, path: bytes) -> None:
        """Have a path found from each folder above it, also from those that have no watch."""
        while path != b"/":
            siblings = self._children.setdefault(_above(path), set())
            if path in siblings:
                return
            siblings.add(path)
            path = _above(path)

    def _unmap(self, path: bytes) -> None:
        number = self._numbers.pop(path)
        paths = self._paths[number]
        paths.discard(path)
        if not paths:
            del self._paths[number]
            self._stale[number] = None


def _above(path: bytes) -> bytes:
    return path[: path.rfind(b"/")] or b"/"
