"""A path that may have changed, and what one reading tells of them, each path once. Pure."""

from typing import NamedTuple

__all__ = ["Batch", "Dirty"]


class Dirty(NamedTuple):
    """A path to look at: something was done to it, or it came or went.

    ``recursive``: so may everything below it. ``closed_write``: a writer closed it, or it was moved here whole, so that it can be
    read as it is meant to be.
    """

    path: bytes
    recursive: bool = False
    closed_write: bool = False


class Batch:
    """What comes together in one reading.

    >>> batch = Batch()
    >>> batch.add(b"/a")
    >>> batch.add(b"/a", closed_write=True)
    >>> batch.take()
    [Dirty(path=b'/a', recursive=False, closed_write=True)]
    """

    def __init__(self) -> None:
        """Start empty."""
        self._paths: dict[bytes, Dirty] = {}

    def add(self, path: bytes, *, recursive: bool = False, closed_write: bool = False) -> None:
        """Note one path; what is said of it twice is joined."""
        old = self._paths.get(path)
        if old is not None:
            recursive, closed_write = recursive or old.recursive, closed_write or old.closed_write
        self._paths[path] = Dirty(path, recursive, closed_write)

    def take(self) -> list[Dirty]:
        """Give all, in the order in which they were first met, and start anew."""
        paths, self._paths = self._paths, {}
        return list(paths.values())
